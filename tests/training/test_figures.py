"""A figure of a split is that of all its rows at once, whatever the size of a batch."""

import json
import math
import random
from typing import Any

import numpy as np
import pytest

from dotnn import plugins
from dotnn.compiler import check_file, compile_file
from dotnn.training.figures import Tally
from dotnn_grammar.problems import ProblemError

ROWS = 101
SPEC = """data points {{
  source table "points.csv"
  place = columns a to b
  year  = column year
  kind  = column kind as class
}}
net Sides(place: [b, 2]) -> scores: [b, 3] {{
  scores = place -> dense(3)
}}
train Sides on points {{
  loss {loss}
  {lines}
  optimizer sgd(lr = 0.1)
  batch 32
  epochs 1
  seed 3
}}
"""
GUESS, TRUTH = "argmax(scores) == 2", "kind == 2"


@pytest.fixture
def write(tmp_path):
    def write(*lines, loss="cross_entropy(scores, kind)"):
        numbers = random.Random(4)
        rows = ["a,b,year,kind"]
        for _ in range(ROWS):
            a, b = numbers.uniform(-1, 1), numbers.uniform(-1, 1)
            kind = "left" if a < -0.3 else "right" if b < 0.2 else "over"
            rows.append(f"{a:.4f},{b:.4f},{2000 + 9 * a + b:.3f},{kind}")
        (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
        path = tmp_path / "points.nn"
        path.write_text(SPEC.format(loss=loss, lines="\n  ".join(lines)))
        return path

    return write


def measured(path, name="reference", sizes=(1, 7, 32, ROWS)):
    """The figures of the train split by each batch size; the net's scores and the columns, of all rows."""
    compiled = compile_file(path)
    program, rows = compiled.program, compiled.dataset.splits["train"]
    backend, options = plugins.backend(name), plugins.Options(threads=1)
    machine = {g: backend.start(backend.lower(program.graphs[g], options), options) for g in ("init", "eval")}
    state = machine["init"].run({"seed": np.array(3)})
    read = [fed.name for fed in program.graphs["eval"].inputs if fed.role != "state"]
    found = []
    for size in sizes:
        tally = Tally(program, program.graphs["eval"])
        for first in range(0, rows.count, size):
            feeds = {c: rows.arrays[c][first : first + size] for c in read}
            tally.add(machine["eval"].run({**only_states(program, state), **feeds}))
        found.append(tally.figures())
    wanted = {fed.name for fed in program.graphs["predict"].inputs}
    predict = backend.start(backend.lower(program.graphs["predict"], options), options)
    scores = predict.run({k: v for k, v in {**state, **rows.arrays}.items() if k in wanted})["scores"]
    return program, found, scores.astype(np.float64), rows.arrays


def only_states(program, state):
    return {fed.name: state[fed.name] for fed in program.graphs["eval"].inputs if fed.role == "state"}


def share(a, b):
    return a.sum() / b.sum() if b.sum() else math.nan


FORMULAS = {
    f"precision({GUESS}, {TRUTH})": lambda g, t, s, y: share(g & t, g),
    f"recall({GUESS}, {TRUTH})": lambda g, t, s, y: share(g & t, t),
    f"specificity({GUESS}, {TRUTH})": lambda g, t, s, y: share(~g & ~t, ~t),
    f"f1({GUESS}, {TRUTH})": lambda g, t, s, y: 2 / (1 / share(g & t, g) + 1 / share(g & t, t)),
    f"mean({GUESS})": lambda g, t, s, y: g.mean(),
    "rmse(20 * scores[0..b, 0] + 1990, year)": lambda g, t, s, y: np.sqrt(((20 * s[:, 0] + 1990 - y) ** 2).mean()),
    "r2(20 * scores[0..b, 0] + 1990, year)": lambda g, t, s, y: (
        1 - ((20 * s[:, 0] + 1990 - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    ),
    "max(year) - min(year)": lambda g, t, s, y: y.max() - y.min(),
    "sum(year * place[0..b, 0]) / b": lambda g, t, s, y: None,
    # One share a class, then their mean.
    "mean(mean(softmax(scores), over = 0) ^ 2)": lambda g, t, s, y: (
        (np.exp(s) / np.exp(s).sum(1, keepdims=True)).mean(0) ** 2
    ).mean(),
    "sum(scores.T @ scores)": lambda g, t, s, y: (s.T @ s).sum(),
    "sqrt(mean(year)) + 0.5 * 3": lambda g, t, s, y: math.sqrt(y.mean()) + 1.5,
}


@pytest.mark.parametrize("backend", ["reference", "onnx"])
@pytest.mark.parametrize("text", FORMULAS)
def test_a_metric_is_that_of_all_rows_at_once(write, text, backend):
    _, found, scores, columns = measured(write(f"metric m = {text}", "metric age = mean(year)"), backend)
    guess, truth = scores.argmax(1) == 2, columns["kind"] == 2
    year = columns["year"].astype(np.float64)
    expected = FORMULAS[text](guess, truth, scores, year)
    if expected is None:
        expected = (year * columns["place"][:, 0]).mean()
    assert 0 < guess.sum() < ROWS
    for figures in found:
        assert figures["m"] == pytest.approx(expected, rel=2e-6)
    # Batches differ in the order of the additions alone.
    assert [f["m"] for f in found] == pytest.approx([found[-1]["m"]] * 4, rel=1e-6 if "scores" in text else 1e-12)
    assert list(found[0]) == ["loss", "m", "age"]


def test_a_mean_of_the_metrics_of_batches_would_be_another_number(write):
    text = f"precision({GUESS}, {TRUTH})"
    _, found, scores, columns = measured(write(f"metric m = {text}"))
    guess, truth = scores.argmax(1) == 2, columns["kind"] == 2
    parts = [FORMULAS[text](guess[i : i + 32], truth[i : i + 32], 0, 0) for i in range(0, ROWS, 32)]
    assert np.isfinite(parts).all()
    assert abs(np.mean(parts) - found[0]["m"]) > 1e-3


def test_a_loss_that_is_no_mean_is_measured_whole_too(write):
    path = write("error abs(year - 2000)", loss="rmse(20 * sum(scores, over = -1) + 1990, year)")
    program, found, scores, columns = measured(path)
    expected = np.sqrt(((20 * scores.sum(1) + 1990 - columns["year"]) ** 2).mean())
    assert [f["loss"] for f in found] == pytest.approx([expected] * 4, rel=1e-6)
    assert [o.name for o in program.graphs["train"].outputs if o.role == "loss"] == ["loss"]


def test_one_number_and_one_a_row_are_the_same_mean(write):
    (_, a, *_), (_, b, *_) = (
        measured(write(f"error {text}")) for text in ("argmax(scores) != kind", "mean(argmax(scores) != kind)")
    )
    assert [f["error"] for f in a] == [f["error"] for f in b]
    assert "figures" not in compile_file(write("error mean(argmax(scores) != kind)")).program.graphs


def test_a_share_of_nothing_is_no_number(write):
    _, found, *_ = measured(write("metric m = recall(argmax(scores) == 1, kind == 7)"))
    assert all(math.isnan(f["m"]) for f in found)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("metric m = mean(abs(year - mean(year)))", "figure of all rows"),
        ("error abs(year - mean(year)) > 1", "figure of all rows"),
        ("metric m = sum(softmax(year) * year)", "looks at more than one"),
        ("metric m = logsumexp(year)", "cannot be put together"),
        ("metric m = mean(year[argmax(scores)])", "looks at more than one"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused_at_its_place(write, line, why):
    path = write(line)
    with pytest.raises(ProblemError) as caught:
        check_file(path)
    problem = caught.value.problems[0]
    assert problem.code == "B070"
    assert why in problem.title_text
    assert problem.span is not None
    assert problem.span.line == next(n for n, t in enumerate(path.read_text().splitlines(), 1) if line in t)


def test_a_loss_may_be_a_matter_of_its_batch(write):
    path = write(loss="mean((sum(scores, over = -1) - mean(year))^2)")
    assert check_file(path).summary


def test_a_host_finishes_with_figures_onnx_and_the_manifest(write, tmp_path):
    import onnxruntime as ort

    path = write(f"metric m = f1({GUESS}, {TRUTH})", "metric wide = max(year) - min(year)", f"metric p = mean({GUESS})")
    program, found, _, columns = measured(path, "onnx")
    folder = tmp_path / "bundle"
    folder.mkdir()
    plugins.backend("onnx").write(program, "", folder, plugins.Options())
    manifest = json.loads((folder / "manifest.json").read_text())
    init, measure, finish = (
        ort.InferenceSession(folder / manifest["graphs"][g]["file"]) for g in ("init", "eval", "figures")
    )

    def run(session, feeds):
        made = session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})
        return dict(zip([o.name for o in session.get_outputs()], made, strict=True))

    state = run(init, {"seed": np.array(3)})
    folds = {"sum": np.add, "max": np.maximum, "min": np.minimum}
    totals: dict[str, np.ndarray[Any, Any]] = {}
    names: dict[str, str] = {}
    for figure in manifest["figures"]:
        own = {t["name"]: t["fold"] for t in figure["totals"]}
        names |= own or {f"{figure['name']}.total": "sum", f"{figure['name']}.count": "sum"}
    for first in range(0, ROWS, 10):
        out = run(measure, {**state, **{c: a[first : first + 10] for c, a in columns.items()}})
        totals = {n: np.asarray(folds[f](totals.get(n, out[n]), out[n]) if first else out[n]) for n, f in names.items()}
    figures = run(finish, totals) | {n: totals[f"{n}.total"] / totals[f"{n}.count"] for n in ("loss", "p")}
    assert {n: float(v) for n, v in figures.items()} == pytest.approx(found[-1], rel=1e-6)


def test_training_reports_metrics_of_whole_splits(write):
    from dotnn.training.loop import train

    compiled = compile_file(write(f"metric m = f1({GUESS}, {TRUTH})"))
    outcome = train(compiled.program, compiled.dataset, plugins.backend("reference"), plugins.Options())
    assert set(outcome.history[0].splits["train"]) == {"loss", "m"}
    assert 0 < outcome.splits["train"]["m"] < 1


def test_a_tally_goes_on_where_it_was_left(write):
    program, found, _, columns = measured(write(f"metric m = f1({GUESS}, {TRUTH})", f"metric p = mean({GUESS})"))
    backend, options = plugins.backend("reference"), plugins.Options()
    machine = {g: backend.start(backend.lower(program.graphs[g], options), options) for g in ("init", "eval")}
    state = only_states(program, machine["init"].run({"seed": np.array(3)}))
    one = Tally(program, program.graphs["eval"])
    for first in range(0, ROWS, 9):
        if first == 45:
            held = one.state()
            one = Tally(program, program.graphs["eval"])
            one.load(held)
        one.add(machine["eval"].run({**state, **{c: a[first : first + 9] for c, a in columns.items()}}))
    assert one.figures() == pytest.approx(found[0], rel=1e-6)
    one.begin()
    assert all(math.isnan(v) for v in one.figures().values())
