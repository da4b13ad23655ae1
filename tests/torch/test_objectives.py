"""Steps that take turns, averages, gradients in a loss and altered columns as PyTorch text: the figures are ours."""

from __future__ import annotations

import pytest
from tests.objectives.test_gradient_inside import NET
from tests.objectives.test_steps import BOTH, TWO, seldom
from tests.torch.beside import compare, learned
from tests.torch.conftest import compiled, export, run

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")

TURNS = {
    "one after the other": (BOTH, BOTH, "first_optimizer.step()"),
    "the second less often": (BOTH, seldom(2), "if step % 2 == 0:"),
    "names that all see": (
        "step first",
        "mix = A(x) + uniform(0, 1)[b]\n step first",
        'mix = nets.A(x) + uniform((len(x),), "mix", 0, 1)',
    ),
    "draws of their own": (
        "loss (A(x) - y)^2",
        "near = normal(0, 1)[b]\n loss (A(x) + uniform(0, 1)[b] - y + near)^2",
        'random.turn = "first"',
    ),
    "nets that draw": ("a = x ->", "a = x -> dropout(0.4) ->", 'random.turn = "second"'),
    "where": ("loss (A(x) - y)^2", "loss (A(x) - y)^2 where y > 0", '"first.loss places"'),
    "gradients": (
        "loss (B(x) - A(x))^2",
        "loss (B(x) - A(x))^2\n clip norm 0.1\n decay 0.1 for *.W\n freeze *.b",
        "clip([nets.B.c_dense.W], 0.1)",
    ),
    "rates that change": (
        "loss (B(x) - A(x))^2\n    optimizer sgd(lr = 0.1)",
        "loss (B(x) - A(x))^2\n    optimizer adam(lr = cosine(from = 0.1))",
        'second_optimizer.param_groups[0]["lr"] = cosine(step, steps, from_=0.1)',
    ),
    "averages": (BOTH, f"{BOTH}\n average 0.8 for A\n average 0.5 for B.c.dense.b", '"B.c_dense.b": 0.5'),
}


@pytest.mark.parametrize("name", TURNS)
def test_steps_move_the_weights_as_ours(name, tmp_path):
    before, after, shown = TURNS[name]
    assert before in TWO
    made = compiled(tmp_path / "turns.nn", TWO.replace(before, after, 1))
    script = export(made, tmp_path / "script")
    assert shown in script.read_text(encoding="utf-8")
    ran, outcome = run(script), learned(made)
    compare(ran.history, outcome)
    val = outcome.splits["val"]
    assert f"val: first.loss {val['first.loss']:.4g}, second.loss {val['second.loss']:.4g}" in ran.said


ONE = NET.replace("LINES", "LINES\n  error abs(z - y)").replace("epochs 1", "epochs 3")
LINES = {
    "an average": "loss (z - y)^2\n average 0.9",
    "averages that are kept": "loss (z - y)^2\n average 0.9\n average 0.5 for last.*\n keep best val.loss",
    "an average of large batches": "loss (z - y)^2\n average 0.9\n accumulate 2",
    "a gradient": "slope = grad(sum(z), x)\n loss mean(slope^2, over = -1) + (z - y)^2",
    "a gradient of a gradient": "twice = grad(sum(grad(sum(z), x)), x)\n loss mean(twice^2, over = -1) + z^2",
    "a gradient in a function": "loss (z - y)^2 + 0.1 * gradient_penalty(N, x)",
    "a gradient by a result": "loss grad(sum(cubed(z)), z)",
    "a gradient by what is between": "s = softmax(x)\n t = N(s)\n loss sum(grad(sum(t), s)^2, over = -1) + (z - y)^2",
}


@pytest.mark.parametrize("name", LINES)
def test_averages_and_gradients_are_ours(name, tmp_path):
    made = compiled(tmp_path / "one.nn", ONE.replace("LINES", LINES[name]))
    compare(run(export(made, tmp_path / "script")).history, learned(made))


ALTERED = {
    "a draw that others share": "augment on = chance(50%)\n augment x = x + real(on) * 3\n augment y = y if on else -y",
    "twice": "augment x = x * 2\n augment x = x + normal(0, 0.5)[3]",
    "what is made of it": "augment y = normal(0, 1)",
    "a draw that stands alone": "augment u = normal(0, 1)\n augment x = x * u",
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_columns_are_ours(name, tmp_path):
    text = ONE.replace("LINES", "loss (z - far)^2 + 0.1 * (z - y)^2")
    text = text.replace("  split", f"  far = y + sum(x, over = -1) + uniform(0, 1)\n  {ALTERED[name]}\n  split")
    made = compiled(tmp_path / "altered.nn", text)
    script = export(made, tmp_path / "script")
    assert "batch = augment({" in script.read_text(encoding="utf-8")
    compare(run(script).history, learned(made))
