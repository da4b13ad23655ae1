"""Lines of a train block beside its loss, as PyTorch text: the figures are ours, epoch by epoch."""

import re

import numpy as np
import pytest
from tests.torch.beside import compare, learned
from tests.torch.conftest import compiled, export, run

from dotnn_grammar.problems import ProblemError

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")

LINES = {
    "freeze a part": ("freeze guess.dense[1]", "net.guess_dense2.requires_grad_(False)"),
    "freeze weights": ("freeze *.b\n  clip norm 0.5\n  decay 0.1 for *", "net.guess_dense.b.requires_grad_(False)"),
    "rate": ("rate 0.1 for *\n  rate 2 for guess.dense.W", '{"params": [net.guess_dense.W], "rate": 2},'),
    "rate of a part": ("rate 0.5 for guess.dense", '{"params": net.guess_dense.parameters(), "rate": 0.5},'),
    "rate and freeze": ("rate 0.5 for *.W\n  freeze *.b", "[net.guess_dense.W, net.guess_dense2.W]"),
    "rate of a schedule": ("rate warmup(5) then 1 for *.W", 'optimizer.param_groups[0]["rate"] = rate(step'),
    "rate beside a schedule": (
        "optimizer sgd(lr = cosine(from = 0.05))\n  rate 0.1 for *.b",
        'group["lr"] = group["rate"] * cosine(step, steps, from_=0.05)',
    ),
    "a schedule that remembers": (
        "optimizer sgd(lr = plateau(from = 0.02, factor = 0.5, patience = 0, threshold = 0.9), momentum = 0.5)",
        'plateau(step, epoch, now["loss"].item(), len(places))',
    ),
    "precision": ("precision bf16", "y = product(x, self.W)"),
    "accumulate": ("accumulate 4", "for first in range(0, len(batches), ACCUMULATE):"),
    "accumulate and more": (
        "optimizer adam(lr = cosine(from = 0.05))\n  accumulate 4\n  clip norm 0.5\n  decay 0.1 for *.W",
        "epoch = math.ceil(count / (BATCH * ACCUMULATE))",
    ),
}


def changed(folder, lines: str) -> str:
    """`line.nn` in three epochs of small batches, with these lines."""
    text = (
        (folder / "line.nn").read_text(encoding="utf-8").replace("batch 20", "batch 8").replace("steps 33", "epochs 3")
    )
    if "optimizer" in lines:
        text = re.sub(r"  optimizer .*\n", "", text)
    text = re.sub(r"  metric fit .*\n", "", text)  # 1 minus what is close to 1: few digits are left
    return text.replace("  seed 4\n", f"  seed 4\n  {lines}\n")


@pytest.mark.parametrize("name", LINES)
def test_the_figures_are_ours(name, folder, tmp_path):
    lines, shown = LINES[name]
    made = compiled(folder / "settings.nn", changed(folder, lines))
    script = export(made, tmp_path)
    assert shown in script.read_text(encoding="utf-8")
    compare(run(script).history, learned(made))


CARDS = """
data cards {
  source npz "cards.npz"
  image = column image / 255
  label = column label as int < 3
  split folds 3
}
net Cards(image: [b, 4, 4]) -> logits: [b, 3] { logits = image -> flatten -> dense(3) }
train Cards on cards {
  loss      cross_entropy(logits, label, smoothing = 0.1, weights = [1, 2, 3])
  error     argmax(logits) != label
  metric    bits = loss / log(2) + error
  metric    mixed = confusion(argmax(logits), label)
  metric    each = class_recall(argmax(logits), label)
  optimizer muon(lr = 0.01)
  batch     16
  epochs    3
}
"""


def test_arrays_folds_and_tables(tmp_path):
    draw = np.random.default_rng(1)
    pictures = draw.integers(0, 256, (60, 4, 4)).astype("uint8")
    np.savez(tmp_path / "cards.npz", image=pictures, label=draw.integers(0, 3, 60))
    made = compiled(tmp_path / "cards.nn", CARDS)
    ran = run(export(made, tmp_path / "script"))
    outcome = learned(made)
    for mine, theirs in zip(ran.history, outcome.history, strict=True):
        assert list(mine) == list(theirs.splits) == ["train", "val"]
        for split in mine:
            assert mine[split]["loss"] == pytest.approx(theirs.splits[split]["loss"], rel=1e-5)
    last = ran.history[-1]["val"]
    for figure in ("mixed", "each"):
        np.testing.assert_allclose(last[figure], outcome.splits["val"][figure], rtol=1e-6)
    assert sum(map(sum, last["mixed"])) == 20


@pytest.mark.parametrize(
    ("lines", "before", "after", "title"),
    [
        ("accumulate 2", "epochs 3", "steps 5", "`accumulate` with `steps`"),
        ("accumulate 2", "  mse(guess, size)", "  mse(guess, size) where size > 0", "rows do not all count alike"),
        ("precision f16", "epochs 3", "epochs 2", "`precision f16`"),
        ("rate 2 for *.W", "sgd(lr = 0.02, momentum = 0.9)", "plain", "no setting `lr`"),
    ],
)
def test_what_has_no_text_says_so(lines, before, after, title, folder, tmp_path):
    text = changed(folder, lines)
    assert before in text
    made = compiled(
        folder / "settings.nn", text.replace(before, after) + "\noptimizer plain()(w, g) { w = w - g / 50 }\n"
    )
    with pytest.raises(ProblemError, match=re.escape(title)) as caught:
        export(made, tmp_path)
    (problem,) = caught.value.problems
    assert problem.code == "Q010"
    assert problem.span is not None
    assert "nn train" in problem.help_text
