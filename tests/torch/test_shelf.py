"""Every optimizer, schedule and initialiser of the standard library as PyTorch text: the first epoch is ours."""

import re

import pytest
from tests.torch.beside import learned
from tests.torch.conftest import compiled, export, run

from dotnn.elaborate.library import standard, standard_names
from dotnn.testing.lines import told

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")


def definitions():
    for name in standard_names():
        known = standard(name)
        assert known is not None
        yield known.definition


def optimizers():
    """The `optimizer` lines that show them: each definition as its own `try:` lines write it."""
    for definition in definitions():
        inputs = [p.name for p in definition.inputs]
        for tried in told(definition.doc).tries:
            if definition.word == "optimizer":
                yield tried.expression
            elif "step" in inputs:
                yield f"sgd(lr = {tried.expression}, momentum = 0.5)"


def initialisers():
    for definition in definitions():
        if definition.word == "function" and definition.settings is not None and definition.name != "chance":
            for tried in told(definition.doc).tries[:2]:
                if tried.given.startswith("["):
                    yield tried.expression


def agree(folder, tmp_path, pattern, line):
    text = (folder / "line.nn").read_text(encoding="utf-8").replace("steps 33", "steps 12")
    text, count = re.subn(pattern, lambda _: line, text)
    assert count == 1
    made = compiled(folder / "form.nn", text)
    script = export(made, tmp_path)
    mine, theirs = run(script).history[0], learned(made).history[0].splits
    for split, figures in mine.items():
        assert figures == pytest.approx({name: theirs[split][name] for name in figures}, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("line", dict.fromkeys(optimizers()))
def test_an_optimizer_or_schedule_steps_as_ours(line, folder, tmp_path):
    agree(folder, tmp_path, "optimizer .*", f"optimizer {line}")


@pytest.mark.parametrize("line", dict.fromkeys(initialisers()))
def test_an_initialiser_begins_as_ours(line, folder, tmp_path):
    agree(folder, tmp_path, re.escape("dense(8)"), f"dense(8, init = {line})")


def test_settings_in_their_order_where_a_default_is_computed(folder, tmp_path):
    agree(folder, tmp_path, "optimizer .*", "optimizer sgd(lr = cyclic(0.002, 0.02, 2, 1))")
    agree(folder, tmp_path / "named", "optimizer .*", "optimizer sgd(lr = cyclic(0.002, 0.02, 2))")
