"""The PyTorch file of a spec learns what `nn train` learns: the same figures, epoch by epoch."""

from dataclasses import replace

import pytest
from tests.torch.beside import compare, learned
from tests.torch.conftest import ROOT, compiled, export, run

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")


@pytest.mark.parametrize("name", ["blocks", "line", "own", "weighed", "words"])
def test_the_figures_are_ours_epoch_by_epoch(name, folder, tmp_path):
    made = compiled(folder / f"{name}.nn")
    ran = run(export(made, tmp_path))
    outcome = learned(made)
    compare(ran.history, outcome)
    first, last = ran.history[0]["train"]["loss"], ran.history[-1]["train"]["loss"]
    assert last < 0.95 * first, "it learns"
    kept = f"kept the weights of epoch {outcome.kept}" if outcome.kept else ""
    assert kept in ran.said


def test_digits_learns_to_read(tmp_path):
    made = compiled(ROOT / "specs/digits.nn", hidden=32)
    program = made.program
    short = program.model_copy(update={"plan": program.plan.model_copy(update={"epochs": 6})})
    made = replace(made, program=short)
    ran = run(export(made, tmp_path))
    # The schedule's length is in the graph: the script has the plan's.
    assert ran.module.EPOCHS == 6
    assert ran.history[-1]["val"]["error"] < 0.1


def test_digits_whole(tmp_path):
    made = compiled(ROOT / "specs/digits.nn")
    ran = run(export(made, tmp_path))
    outcome = learned(made)
    compare(ran.history, outcome)
    test = outcome.splits["test"]
    assert ran.said.splitlines()[-1] == f"test: loss {test['loss']:.4g}, error {100 * test['error']:.1f} %"


FORMS = {
    "a repeat in a repeat": ("guess = x ->", "repeat i in 0..2 { repeat 2 { x = x -> dense(4) } }\n  guess = x ->"),
    "sizes that change": ("guess = x ->", "repeat i in 1..3 { x = x -> dense(4 + 2 * i) -> tanh }\n  guess = x ->"),
    "a name for an initialiser": ("guess = x -> dense(8)", "n0 = normal(0, 0.2)\n  guess = x -> dense(8, init = n0)"),
    "the net twice in the loss": ("mse(guess, size)", "mse(Line(x * 2), size)"),
    "along a named dim": ("guess = x ->", "x = softmax(x, over = n)\n  guess = x ->"),
    "a word of Python": ("guess", "lambda"),
    "a rate in two phases": ("lr = 0.02", "lr = 0.1 until step 3 then 0.01"),
}


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_begin_as_ours_do(form, folder, tmp_path):
    """The first epoch of each: later ones, of nets that hardly learn, magnify what rounding leaves."""
    text = (folder / "line.nn").read_text(encoding="utf-8")
    before, after = FORMS[form]
    assert before in text
    made = compiled(folder / "form.nn", text.replace(before, after))
    mine, theirs = run(export(made, tmp_path)).history[0], learned(made).history[0].splits
    for split, figures in mine.items():
        assert figures == pytest.approx({name: theirs[split][name] for name in figures}, rel=1e-5)
