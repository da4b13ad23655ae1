"""Every optimizer, schedule, initialiser and layer of the standard library as PyTorch text: the first epoch is ours."""

import re

import pytest
from tests.torch.beside import learned
from tests.torch.conftest import compiled, export, run

from dotnn.elaborate.library import standard, standard_names
from dotnn.testing.lines import told
from dotnn.testing.tried import Tensors

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


def layers():
    """By its name, what shows each layer: its first `try:` line that reads real numbers alone."""
    for definition in definitions():
        shown = [Tensors.of(tried) for tried in told(definition.doc).tries if definition.word == "layer"]
        for tried in [one for one in shown if one.fed and all(f.type.is_float for f in one.fed)][:1]:
            yield definition.name, tried


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


AROUND = """
data drawn {{
  source generate 12
  {columns}
  split train 50%, test 50%
  seed 3
}}
net Around({inputs}) -> out: [b, 1] {{
  shown = {expression}
  out = shown -> flatten -> dense(1)
}}
train Around on drawn {{
  loss mean(out^2, over = -1)
  error abs(out)
  optimizer sgd(lr = 0.01)
  batch 3
  epochs 1
}}
"""


@pytest.mark.parametrize(("name", "tried"), list(layers()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_layer_computes_as_ours(name, tried, tmp_path):
    dims = {f.name: [d if isinstance(d, int) else 5 for d in f.type.dims[1:]] for f in tried.fed}
    columns = "\n  ".join(f"{n} = normal(0, 1){d or ''}" for n, d in dims.items())
    inputs = ", ".join(f"{n}: [{', '.join(map(str, ['b', *d]))}]" for n, d in dims.items())
    made = compiled(
        tmp_path / "around.nn", AROUND.format(columns=columns, inputs=inputs, expression=tried.tried.expression)
    )
    mine, theirs = run(export(made, tmp_path / "script")).history[0], learned(made).history[0].splits
    for split, figures in mine.items():
        assert figures == pytest.approx({key: theirs[split][key] for key in figures}, rel=1e-4, abs=1e-5)
