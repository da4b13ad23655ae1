"""The first step of nets drawn at random equals PyTorch's.

How far a weight may be from PyTorch's, in units of its *scale*: the greatest change of a number of that tensor, or a
tenth of the greatest change of any number of the net where that is more (a bias that a normalisation takes away again
has no gradient but what rounding leaves; measured so, PyTorch's own single precision is off by as much as ours). In
single precision the rounding of the weight itself comes on top, half a unit in its last place, since a weight cannot be
nearer to anything than that.
"""

import numpy as np
import pytest
from tests.peers import goldens
from tests.peers.first_step import compile_net, one_step
from tests.peers.nets import NETS, draw
from tests.peers.texts import spec_text

FLOOR = 10
SINGLE = 1e-5
DOUBLE = 1e-12
ARRAYS, TEXTS = goldens.load("nets")


def distances(before, after, made, single):
    """Of each weight its greatest distance from PyTorch's, in scales."""
    moves = {k: np.abs(after[k] - before[k]).max() for k in before}
    floor = max(moves.values()) / FLOOR
    found = {}
    for name in before:
        off = np.abs(made[name] - after[name])
        if single:
            off = np.maximum(off - np.spacing(np.abs(after[name]).astype(np.float32)) / 2, 0)
        found[name] = float(off.max() / max(moves[name], floor))
    return found


def golden(number):
    return (goldens.part(ARRAYS, f"{number}/{what}/") for what in ("batch", "before", "after"))


@pytest.mark.parametrize("number", range(NETS))
def test_a_first_step_is_that_of_pytorch(number, tmp_path):
    text = TEXTS[str(number)]
    assert spec_text(draw(number)) == text, "the drawing has changed: run make_goldens (its documentation says how)"
    batch, before, after = golden(number)
    compiled = compile_net(text, batch, tmp_path)
    assert {fed.name for fed in compiled.program.graphs["train"].inputs if fed.learned} == set(before)
    for backend, float64, allowed in (("reference", True, DOUBLE), ("onnx", False, SINGLE)):
        made = one_step(compiled, before, backend, float64)
        assert made.pop("loss") == pytest.approx(float(after["loss"]), rel=1e-12 if float64 else 2e-6)
        off = distances(before, after, made, not float64)
        worst = max(off, key=off.__getitem__)
        assert off[worst] <= allowed, f"{backend}: {worst} is off by {off[worst]:.1e} of its scale in\n{text}"


def test_every_net_learns_and_together_they_use_every_form():
    """A comparison of weights that stand still would say nothing."""
    moving = 0
    for number in range(NETS):
        _, before, after = golden(number)
        moving += sum(bool(np.any(before[k] != after[k])) for k in before)
    assert moving > 0.95 * sum("/before/" in key for key in ARRAYS)
    text = "\n".join(TEXTS.values())
    for form in ("dense(", "bias = no", "layer_norm(", "relu", "tanh", "sigmoid", "softmax", "repeat", "[token]",
                 "[0..", "table.T", " -> f", "dropout(", "clip norm", "decay", "cross_entropy(", "mse(", "stop(",
                 "mean(", "max(", "min(", "sum(", "logsumexp(", "normalise(", "flatten(", " as part",
                 " if "):  # fmt: skip
        assert form in text, form


@pytest.mark.parametrize("number", [3, 6])
def test_a_wrong_step_is_seen(number, tmp_path):
    """A thousandth more of one weight's step is a hundred times what is allowed."""
    batch, before, after = golden(number)
    made = one_step(compile_net(TEXTS[str(number)], batch, tmp_path), before, "onnx")
    for name in before:
        wrong = {**made, name: made[name] + 1e-3 * (after[name] - before[name])}
        moved = np.abs(after[name] - before[name]).max()
        seen = distances(before, after, wrong, True)[name]
        assert seen > 10 * SINGLE or moved < max(np.abs(after[k] - before[k]).max() for k in before) / FLOOR


@pytest.mark.peers
def test_the_goldens_are_what_pytorch_says():
    pytest.importorskip("torch")
    from tests.peers.with_torch import first_step

    for number in range(NETS):
        batch, before, after = golden(number)
        again = first_step(draw(number), before, batch)
        assert set(again) == set(after)
        for name, array in again.items():
            np.testing.assert_allclose(array, after[name], rtol=1e-12, atol=1e-13)
