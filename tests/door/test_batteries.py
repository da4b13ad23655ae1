"""What strangers must pass, ours pass; and each battery fails what is wrong, in words that help."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.sets import specs_folder

from dotnn import operation as registry
from dotnn.elaborate.library import standard_names
from dotnn.operation import Operation, lookup, operations
from dotnn.plugins import Options, backend
from dotnn.testing import FailedError, check_backend, check_definition, check_op, check_source
from dotnn.testing.shelf import near

ROOT = Path(__file__).parents[2]
SPECS = sorted(specs_folder().glob("*.nn"))


@pytest.mark.parametrize("name", ["onnx", "training-info", pytest.param("torch", marks=pytest.mark.peers)])
def test_our_backends(name):
    if name == "torch":
        pytest.importorskip("torch")
    report = check_backend(name, SPECS)
    report.require()
    assert len(report.checks) >= len(list(operations())) + len(standard_names()) + len(SPECS)


@pytest.mark.parametrize("name", [operation.name for operation in operations()])
def test_our_operations(name):
    report = check_op(name, each=8)
    report.require()
    assert len(report.checks) >= (4 if lookup(name).gradient and name != "stop" else 1)


def test_our_source():
    check_source("table", "data/rows.csv", {"data/rows.csv": b"a,b\n1,2\n3,4\n"}).require()


# ---- each battery fails what is wrong


class OffBackend:
    """The reference, but for one operation, which is a little wrong; and for the state, where it forgets."""

    name = "off"
    summary = "wrong"

    def __init__(self, op="", forgets=False):
        self.op, self.forgets = op, forgets

    def write(self, program, source, folder, options):
        return []

    def lower(self, graph, options):
        return graph

    def start(self, graph, options):
        nodes = tuple(
            node.model_copy(update={"op": "cos"}) if node.op == self.op == "sin" else node for node in graph.nodes
        )
        inner = backend("reference").start(graph.model_copy(update={"nodes": nodes}), Options())
        if not self.forgets:
            return inner

        class Forgets:
            def run(self, feeds, session=None):
                return inner.run(feeds, session)

            def train(self, state):
                session = inner.train(state)
                kept = session.state()
                vars(session)["state"] = lambda: kept
                return session

        return Forgets()


def test_a_backend_with_a_wrong_operation_fails():
    report = check_backend(OffBackend("sin"), definitions=["tanh"])
    text = str(report)
    assert not report.ok
    assert "FAILS operation sin (8 of 8 failed)" in text
    assert "ok    operation cos (8)" in text
    assert "ok    operation tanh (8)" in text
    assert "the smallest that fails:" in text
    assert "= sin(x0)" in text
    assert "what to do: compare how `off` spells this" in text
    with pytest.raises(FailedError, match="backend off: "):
        report.require()


def test_a_backend_that_forgets_its_state_fails_though_its_operations_are_right():
    report = check_backend(OffBackend(forgets=True), [ROOT / "specs" / "digits.nn"], ops=["tanh"], definitions=["adam"])
    lines = [line for line in str(report).splitlines() if "FAILS" in line]
    assert any("FAILS spec digits.nn:Digits" in line for line in lines)
    assert any("FAILS definition" in line for line in lines)
    assert "the state after step 1: " in str(report)
    assert "ok    operation tanh" in str(report)


def test_a_backend_that_raises_is_told_where():
    class Raises(OffBackend):
        def lower(self, graph, options):
            raise KeyError("nothing")

    report = check_backend(Raises(), ops=["tanh"], definitions=["dense"])
    assert all(not check.ok for check in report.checks)
    assert "KeyError: 'nothing' (" in str(report)
    assert "test_batteries.py:" in str(report)


def test_where_rounding_alone_is_far_off_a_backend_may_be_a_few_times_as_far():
    wanted = {"gradient w": np.array([3.0, 4.0])}
    off = {size: {"gradient w": np.array([3.0, 4.0 + 5 * size])} for size in (9e-7, 3e-6, 5e-6)}
    near(off[9e-7], wanted, 1e-6)
    near(off[3e-6], wanted, 1e-6, rounded=lambda: off[9e-7])
    for made, rounded in ((off[3e-6], None), (off[5e-6], lambda: off[9e-7]), (off[3e-6], lambda: wanted)):
        with pytest.raises(FailedError, match=r"gradient w is off by [35].0e-06 \(at most "):
            near(made, wanted, 1e-6, rounded)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gradient": lambda g, y, x: [g * 1.001 * (1 - y * y)]}, "FAILS the gradient is the derivative"),
        ({"infer": lambda x: x.shaped(())}, "FAILS the type rule says what the formula gives"),
        ({"linear": (0,)}, "FAILS `linear` says neither too much nor too little"),
    ],
)
def test_a_wrong_operation_fails(change, said, monkeypatch):
    right = lookup("tanh")
    monkeypatch.setitem(registry._operations, "tanh", replace(right, **change))
    report = check_op("tanh")
    assert not report.ok
    assert said in str(report)
    assert "what to do: " in str(report)


def test_a_gradient_that_overflows_fails(monkeypatch):
    """1 / (1 + e^-x) is 0 at -10,000; e^-x y^2, the gradient by the book, is there infinity times 0."""
    right = lookup("sigmoid")
    exp = lookup("exp")
    monkeypatch.setitem(
        registry._operations, "sigmoid", replace(right, gradient=lambda g, y, x: [g * exp(x * -1) * y * y])
    )
    text = str(check_op("sigmoid"))
    assert "ok    the gradient is the derivative" in text
    assert "FAILS far out, at equals, at one and at none: where there is a result" in text
    assert "(reals, far)" in text
    assert "write the formula so that nothing in it grows beyond its result" in text


def test_a_curve_that_is_wrong_far_out_alone_fails(monkeypatch):
    """The gradient is right for all that is drawn otherwise: between -2 and 2."""
    right = lookup("tanh")
    where = lookup("select")
    wrong = replace(right, gradient=lambda g, y, x: [where(x > 100, g * 0.5, g * (1 - y * y))])
    monkeypatch.setitem(registry._operations, "tanh", wrong)
    failed = [line for line in str(check_op("tanh")).splitlines() if "FAILS" in line]
    assert len(failed) == 1
    assert failed[0].startswith("  FAILS the gradient is the derivative at 10,000 too")


def test_other_bits_the_second_time_are_found(monkeypatch):
    """As threads that write one place leave them; here a little noise, which comes each time and not now and then."""
    from dotnn_onnx.spelling import rules

    def trembling(w, node):
        x = w[node.inputs[0]]
        noise = w.emit("RandomUniformLike", x, low=0.0, high=1e-6)
        w.emit("Add", w.emit("Tanh", x), noise, to=node.name)

    monkeypatch.setitem(rules._rules, "tanh", trembling)
    text = str(check_op("tanh", each=4))
    assert "ok    ONNX gives the formula's numbers there" in text
    assert "FAILS ONNX gives the same bits again at 1, 2 and 4 threads" in text
    assert "with 1 thread the same input gives other bits" in text


def test_an_operation_without_a_recipe_fails(monkeypatch):
    monkeypatch.setitem(registry._operations, "new", Operation("new", lambda x: x))
    report = check_op("new")
    assert not report.ok
    assert "FAILS there is a recipe (nothing was tried)" in str(report)
    assert "FAILS operation new (nothing was tried)" in str(check_backend("onnx", ops=["new"], definitions=[]))
    with pytest.raises(KeyError):
        check_op("nobody_brings_this")


class Made:
    """A source that can be wrong."""

    name = "made"
    summary = "rows"

    def __init__(self, rows, reads=None):
        self.made, self.reads, self.asked = rows, reads, 0

    def tables(self, argument, place):
        self.argument = argument
        return [self]

    shown = "made"

    def header(self):
        return ["a", "b"]

    def rows(self):
        self.asked += 1
        if self.reads:
            Path(self.argument).read_bytes() if self.reads == "anything" else None
        return self.made(self.asked)


@pytest.mark.parametrize(
    ("source", "files", "said"),
    [
        (Made(lambda n: [["1", "2"]]), {}, ""),
        (Made(lambda n: [["1"]]), {}, "row 1 is not one text for each of the 2 columns"),
        (Made(lambda n: []), {}, "it has no rows"),
        (Made(lambda n: [[str(n), "2"]]), {}, "asked a second time, the first row is"),
        (Made(lambda n: [["1", "2"], ["3", str(n)]]), {}, "read a second time, the rows are others"),
        (Made(lambda n: [["1", "2"]]), {"x": b"1"}, "it was read"),
    ],
)
def test_a_source_that_is_wrong_fails(source, files, said):
    report = check_source(source, "x", files)
    assert report.ok == (not said)
    assert said in str(report)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Twice x.\nfunction twice(x) { return 2 * x }", ""),
        ("function twice(x) { return 2 * x }", "it has no comment above it"),
        ("# Twice x.\nfunction twice(x) { return 2 * }", "FAILS they can be read"),
        ("# Twice x.\nfunction twice(x) { return 2 * nothing }", "there is nothing called `nothing`"),
        ("# Nothing at all.", "FAILS there is a definition (nothing was tried)"),
    ],
)
def test_a_definition_that_is_wrong_fails(text, said):
    report = check_definition(text)
    assert report.ok == (not said), str(report)
    assert said in str(report)


def test_a_definition_whose_gradient_is_wrong_fails(monkeypatch):
    right = lookup("tanh")
    wrong = replace(right, gradient=lambda g, y, x: [g * (1 - y)])
    monkeypatch.setitem(registry._operations, "tanh", wrong)
    assert "finite differences say" in str(check_definition(ROOT / "compiler/dotnn/std/tanh.nn"))


def test_a_report_can_be_read():
    report = check_op("exp", each=3)
    assert str(report) == (
        "operation exp: all 8 checks hold\n"
        "  ok    the type rule says what the formula gives (3)\n"
        "  ok    the gradient is the derivative (3)\n"
        "  ok    Hessian-vector products are its derivative (3)\n"
        "  ok    a flow of the gradient that is one percent off would be seen (1)\n"
        "  ok    `linear` says neither too much nor too little (1)\n"
        "  ok    far out, at equals, at one and at none: where there is a result, its gradients are numbers (16)\n"
        "  ok    ONNX gives the formula's numbers there (16)\n"
        "  ok    ONNX gives the same bits again at 1, 2 and 4 threads (1)"
    )
