"""A definition of the user's own may take another's name: it is used, and a note says whose it is not."""

import pytest

from dotnn import plugins
from dotnn.elaborate import library
from dotnn.elaborate.library import Library
from dotnn.read import read_text
from dotnn_grammar.source import Source

OWN = """
function relu(x) { return x }
function tanh(x) { return 2 * x }
function mine(x) { return x }
"""


def shadowed(text):
    return Library(read_text(Source(name="own.nn", text=text)).definitions).shadowed()


def test_whose_each_is():
    assert dict(shadowed(OWN)) == {"relu": "the standard library's", "tanh": "the standard library's"}
    assert shadowed("function pick(x) { return x }\n") == [("pick", "the operation")]


def test_a_package_is_named(monkeypatch):
    monkeypatch.setattr(library, "standard_names", lambda: ("gentle",))
    monkeypatch.setattr(plugins, "definition", lambda name: ("some-package", None))
    assert shadowed("function gentle(x) { return x }\n") == [("gentle", "the package some-package's")]


@pytest.mark.parametrize(("text", "factor"), [("", 0.0), ("function relu(x) { return 7 * x }\n", 7.0)])
def test_it_is_used_in_its_place(bench, text, factor):
    x = -bench.value("x", {"x": [[1.0, 2.0]]})
    found = bench.value("relu(-x)", {"x": [[1.0, 2.0]]}, before=text)
    assert found == pytest.approx(factor * x)


def test_the_librarys_own_text_does_not_see_it(bench):
    own = "function sigmoid(x) { return 100 * x }\n"
    plain, shadow = (bench.value("relu(x) + dense(1, init = ones)(x)", {"x": [[1.0]]}, before=b) for b in ("", own))
    assert plain == pytest.approx(shadow)
