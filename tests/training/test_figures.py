"""A figure of a split is that of all its rows at once, whatever the size of a batch."""

import json
import math
import random
import re
from typing import Any

import numpy as np
import pytest

from dotnn import plugins
from dotnn.compiler import check_file, compile_file
from dotnn.training.figures import Tally, number_of
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


def soft(x):
    made = np.exp(x - x.max())
    return made / made.sum()


AT_ONCE = {
    "mean(abs(year - mean(year)))": lambda y, s, p: np.abs(y - y.mean()).mean(),
    "mean((place - mean(place, over = 0))^2)": lambda y, s, p: ((p - p.mean(0)) ** 2).mean(),
    "sum(softmax(year) * year)": lambda y, s, p: (soft(y) * y).sum(),
    "logsumexp(year)": lambda y, s, p: y.max() + np.log(np.exp(y - y.max()).sum()),
    "mean(year[argmax(scores)])": lambda y, s, p: y[s.argmax(1)].mean(),
    "abs(year - mean(year)) > 3": lambda y, s, p: (np.abs(y - y.mean()) > 3).mean(),
    # Pairs of rows, a sum of totals among them.
    "sum(abs(place @ place.T)) / b^2": lambda y, s, p: np.abs(p @ p.T).sum() / len(p) ** 2,
    "max(year - mean(year)) - sum(year) / b": lambda y, s, p: (y - y.mean()).max() - y.mean(),
}


@pytest.mark.parametrize("backend", ["reference", "onnx"])
@pytest.mark.parametrize("text", AT_ONCE)
def test_what_needs_all_rows_is_made_of_the_rows(write, text, backend):
    program, found, scores, columns = measured(write("metric age = mean(year)", f"metric m = {text}"), backend)
    year, place = columns["year"].astype(np.float64), columns["place"].astype(np.float64)
    expected = AT_ONCE[text](year, scores, place)
    assert [f["m"] for f in found] == pytest.approx([expected] * 4, rel=1e-12)
    figure = program.figures[-1]
    assert "rows" in {total.fold for total in figure.totals}
    given = {o.name for o in program.graphs["train"].outputs}
    assert not given & {total.name for total in figure.totals}, "a batch has not all rows"


ANY_WAY = [
    "mean(sort(year) * cumulate(fill(1, [b])))",
    "mean(sort(scores)[0..b, 0])",
    "sum(argsort(year) * year)",
    "mean(argsort(scores) * scores)",
    "sum(cumulate(year - 2000))",
    "sum(cumulate(place, over = 0))",
    "sum(cumulate(place) * place)",
    "mean(max(place @ place.T, over = 1))",
    "mean(max(place, over = 1) * (year > mean(year)))",
    "mean(concat(place, scores) ^ 2)",
    "mean(stack(year, 2 * year) * stack(place[0..b, 0], place[0..b, 1]))",
    "max(fold(place.T, [b]) * 2)",
    "sum(cumulate(fold(place, [2])) * fold(place, [2]))",
    "sum(flatten(scores) * one_hot(kind))",
    "sum(one_hot(kind).T @ place * 2 + 1)",
    "variance(year)",
    "mean(variance(scores, over = -1))",
    "sum(variance(place, over = 0))",
    "mean(normalise(place, over = 0) ^ 4)",
    "mean(normalise(scores) ^ 4)",
    "mean(year[kind])",
    "mean(scores[kind] * scores)",
    "sum(place.T[0])",
    "mean(softmax(scores.T) ^ 2)",
    "mean(softmax(scores.T, over = 0) ^ 2)",
    "min(scores) + max(sum(scores, over = 0))",
    "mean(argmax(scores, over = 0) * 1.5)",
    "sum(fill(2, [b, 3]) * scores) / sum(fill(1, [b]))",
    "mean(squeeze(unfold(year, [b, 1]) - 2000))",
    "sum(logsumexp(scores)) / b + logsumexp(place[0..b, 0])",
    "mean((year if year > 2000 else mean(year)) - 2000)",
]


@pytest.mark.parametrize("text", ANY_WAY)
def test_the_size_of_a_batch_never_matters(write, text):
    _, found, *_ = measured(write(f"metric m = {text}"))
    whole = np.array(found[-1]["m"])
    assert np.isfinite(whole).all()
    for figures in found:
        assert np.array(figures["m"]) == pytest.approx(whole, rel=1e-6 if "scores" in text else 1e-10, abs=1e-7)


def test_an_index_equation_over_pairs_of_rows(write):
    _, found, _, columns = measured(write("apart[p, q] = abs(year[p] - year[q])", "metric m = mean(apart)"))
    year = columns["year"].astype(np.float64)
    assert [f["m"] for f in found] == pytest.approx([np.abs(year[:, None] - year).mean()] * 4, rel=1e-12)


def test_an_error_may_need_all_rows_too(write):
    path = write("error abs(year - mean(year)) > 3 where place[0..b, 0] > mean(place[0..b, 0])")
    program, found, _, columns = measured(path)
    year, place = columns["year"].astype(np.float64), columns["place"].astype(np.float64)[:, 0]
    expected = (np.abs(year - year.mean()) > 3)[place > place.mean()].mean()
    assert [f["error"] for f in found] == pytest.approx([expected] * 4, rel=1e-12)
    assert "error" in {o.name for o in program.graphs["train"].outputs}, "a step has the error of its own batch"


def test_rows_beyond_the_limit_are_refused_before_training_begins(write):
    from dotnn.training.loop import train
    from dotnn_grammar.limits import Limits, allowing

    compiled = compile_file(write("metric m = mean(abs(year - mean(year)))"))
    most = 8 * ROWS

    def start():
        with allowing(Limits(gathered=most)):
            train(compiled.program, compiled.dataset, plugins.backend("reference"), plugins.Options())

    with pytest.raises(ProblemError) as caught:
        start()
    problem = caught.value.problems[0]
    assert problem.code == "T046"
    assert "`m` needs the 101 rows of `train`" in problem.title_text
    most = int(re.findall(r"gathered=(\d+)", problem.help_text)[0])
    start()


def test_a_metric_that_needs_all_rows_is_left_out_while_it_learns(write):
    from dotnn.training.loop import train

    compiled = compile_file(write("metric m = mean(abs(year - mean(year)))", "metric age = mean(year)"))
    outcome = train(compiled.program, compiled.dataset, plugins.backend("reference"), plugins.Options())
    assert set(outcome.history[0].splits["train"]) == {"loss", "age"}
    assert set(outcome.splits["train"]) == {"loss", "m", "age"}


TABLES = {
    "mean(softmax(scores), over = 0)": lambda s, p: (np.exp(s) / np.exp(s).sum(1, keepdims=True)).mean(0),
    "max(place, over = 0) - min(place, over = 0)": lambda s, p: p.max(0) - p.min(0),
    "(place - mean(place, over = 0)).T @ (place - mean(place, over = 0)) / b": lambda s, p: np.cov(p.T, bias=True),
    "place.T @ scores": lambda s, p: p.T @ s,
}


@pytest.mark.parametrize("backend", ["reference", "onnx"])
@pytest.mark.parametrize("text", TABLES)
def test_a_metric_may_be_a_table(write, text, backend):
    program, found, scores, columns = measured(write(f"metric m = {text}"), backend)
    expected = TABLES[text](scores, columns["place"].astype(np.float64))
    exact = "scores" not in text
    for figures in found:
        assert np.array(figures["m"]) == pytest.approx(expected, rel=1e-12 if exact else 2e-6, abs=1e-12)
    assert program.figures[-1].dims == expected.shape


def test_a_table_is_shown_and_logged(write, tmp_path):
    from dotnn.training.loop import train
    from dotnn.training.run import Log, plain
    from dotnn.training.summary import summary

    compiled = compile_file(write("metric m = scores.T @ scores", "metric v = max(place, over = 0)"))
    log = Log(tmp_path)
    outcome = train(compiled.program, compiled.dataset, plugins.backend("reference"), plugins.Options(), [log])
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert np.array(line["train"]["m"]).shape == (3, 3)
    assert np.array((plain(outcome.splits["train"]) or {})["m"]).shape == (3, 3)
    text = summary(compiled.program, outcome, tmp_path, ["log.jsonl"], None, [])
    assert "m on train: scores.T @ scores" in text
    head = next(line for line in text.splitlines() if "left" in line)
    assert head.split() == ["left", "over", "right"]
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  left")] == ["left"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("metric m = max(place, over = 0)", "keep best train.m"), "it is a table"),
        (("metric m = mean(abs(year - mean(year)))", "stop when train.m < 1"), "all rows at once"),
    ],
)
def test_what_is_watched_is_one_number_at_the_end_of_an_epoch(write, lines, why):
    with pytest.raises(ProblemError) as caught:
        check_file(write(*lines))
    assert caught.value.problems[0].code == "B071"
    assert why in caught.value.problems[0].title_text


def test_a_loss_may_be_a_matter_of_its_batch(write):
    path = write(loss="mean((sum(scores, over = -1) - mean(year))^2)")
    assert check_file(path).summary


def test_a_host_finishes_with_figures_onnx_and_the_manifest(write, tmp_path):
    import onnxruntime as ort

    path = write(
        f"metric m = f1({GUESS}, {TRUTH})",
        "metric wide = max(year) - min(year)",
        f"metric p = mean({GUESS})",
        f"metric area = auc(scores[0..b, 1], {TRUTH})",
        "metric mixed = confusion(argmax(scores), kind)",
    )
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
    folds: dict[str, Any] = {
        "sum": np.add,
        "max": np.maximum,
        "min": np.minimum,
        "rows": lambda a, b: np.concatenate([a, b]),
    }
    totals: dict[str, np.ndarray[Any, Any]] = {}
    names: dict[str, str] = {}
    for figure in manifest["figures"]:
        own = {t["name"]: t["fold"] for t in figure["totals"]}
        names |= own or {f"{figure['name']}.total": "sum", f"{figure['name']}.count": "sum"}
    for first in range(0, ROWS, 10):
        out = run(measure, {**state, **{c: a[first : first + 10] for c, a in columns.items()}})
        totals = {n: np.asarray(folds[f](totals.get(n, out[n]), out[n]) if first else out[n]) for n, f in names.items()}
    figures = run(finish, totals) | {n: totals[f"{n}.total"] / totals[f"{n}.count"] for n in ("loss", "p")}
    assert set(figures) == set(found[-1])
    for name, value in figures.items():
        assert value == pytest.approx(np.array(found[-1][name]), rel=1e-6)


def test_training_reports_metrics_of_whole_splits(write):
    from dotnn.training.loop import train

    compiled = compile_file(write(f"metric m = f1({GUESS}, {TRUTH})"))
    outcome = train(compiled.program, compiled.dataset, plugins.backend("reference"), plugins.Options())
    assert set(outcome.history[0].splits["train"]) == {"loss", "m"}
    assert 0 < number_of(outcome.splits["train"]["m"]) < 1


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
    assert all(math.isnan(number_of(v)) for v in one.figures().values())


@pytest.mark.parametrize(
    "loss",
    [
        "cross_entropy(scores, kind)",
        "mean(cross_entropy(scores, kind))",
        "cross_entropy(scores, kind) where place[..., 0] > 0",
        "cross_entropy(scores, kind) weighted by [1, 5, 2][kind]",
    ],
)
def test_a_metric_sees_the_loss_and_the_error_of_all_rows(write, loss):
    lines = ("error argmax(scores) != kind", "metric bits = loss / log(2)", "metric odds = exp(loss) + error")
    _, found, _, _ = measured(write(*lines, loss=loss))
    for figures in found:
        assert figures["bits"] == pytest.approx(found[-1]["loss"] / math.log(2), rel=1e-6)
        assert figures["odds"] == pytest.approx(math.exp(found[-1]["loss"]) + found[-1]["error"], rel=1e-6)
