"""Claims: the figure that is compared is that of whole parts, as plain NumPy has it, at any size of batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.claims.verdict import Verdict
from dotnn.compiler import Compiled, check_file, compile_file
from dotnn.job import Text
from dotnn.plugins import Options, backend
from dotnn.program import Program
from dotnn.training.claims import check_claims, claimed_rows
from dotnn.training.events import Outcome
from dotnn.training.loop import train
from dotnn_grammar.problems import ProblemError

Array = np.ndarray[Any, Any]
Nn = Callable[..., tuple[int, str, str]]

DATA = """
param most = 60%
data dots {
  source generate 300
  x     = normal(0, 1)[3]
  kind  = chance(50%) as int < 2
  split train 50%, test 50%
  seed  4
}
data others = dots where { x = x + 1 }
data fourth {
  source generate 40
  x    = normal(0, 2)[3]
  kind = chance(50%) as int < 2
  seed 5
}
net Tell(x: [b, 3]) -> score: [b] { score = x -> dense(1) -> squeeze }
"""
BLOCK = """
train Tell on dots {
  right     = (score > 0) == kind
  loss      bce(score, kind)
  error     not right
  metric    found = recall(score > 0, kind)
  metric    ranking = auc(score, kind)
  optimizer sgd(lr = 0.1)
  batch     16
  epochs    1
}
"""


def trained(folder: Path, *claims: str, batch: int = 16) -> tuple[Compiled, Outcome]:
    path = folder / "tell.nn"
    lines = [f'claim "number {n}": {claim}' for n, claim in enumerate(claims)]
    text = DATA + BLOCK.replace("batch     16", f"batch     {batch}") + "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    compiled = compile_file(path)
    return compiled, train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))


def verdicts(
    compiled: Compiled, outcome: Outcome, path: Path, runner: str = "onnx", program: Program | None = None
) -> tuple[Verdict, ...]:
    used = program or compiled.program
    rows = claimed_rows(used, Text.read(path).spec, path.parent, compiled.dataset)
    return check_claims(used, outcome.state, rows, backend(runner), Options(threads=1))


def scores(outcome: Outcome, x: Array) -> Array:
    W, b = (outcome.state[f"Tell.score.dense.{name}"].astype(np.float64) for name in ("W", "b"))
    return np.asarray((x.astype(np.float64) @ W + b)[:, 0])


CLAIMS = (
    "error < most on test",
    "error < 60% on others.test",
    "error < 99% on fourth",
    "10% < found < 90% on test",
    "1 - error > 30% on test",
    "ranking > 0.3 on others.test",
    "others.test.error - test.error < 50%",
    "agree(score > 0, Tell(x + 0.5) > 0) > 10% on test",
    "max(abs(score)) < 100 on train",
    "mean(score) > -100 on test",
    "loss > 5 on test",
)


def test_figures_are_those_of_whole_parts(tmp_path: Path) -> None:
    compiled, outcome = trained(tmp_path, *CLAIMS)
    found = verdicts(compiled, outcome, tmp_path / "tell.nn")
    test, first = (compiled.dataset.splits[part].arrays for part in ("test", "train"))
    here, there = scores(outcome, test["x"]), scores(outcome, test["x"] + 1)
    truth = test["kind"] == 1
    wrong, elsewhere = ((s > 0) != truth for s in (here, there))
    pairs = there[truth][:, None] - there[~truth][None]
    expected = {
        0: wrong.mean(),
        1: elsewhere.mean(),
        3: (here[truth] > 0).mean(),
        4: 1 - wrong.mean(),
        5: ((pairs > 0) + (pairs == 0) / 2).mean(),
        6: elsewhere.mean() - wrong.mean(),
        7: ((here > 0) == (scores(outcome, test["x"] + 0.5) > 0)).mean(),
        8: np.abs(scores(outcome, first["x"])).max(),
        9: here.mean(),
        10: (np.logaddexp(0, here) - here * truth).mean(),
    }
    for number, figure in expected.items():
        assert found[number].figure == pytest.approx(figure, rel=1e-5, abs=1e-7), CLAIMS[number]
    assert found[2].rows == 40
    assert found[6].rows == 2 * found[0].rows == 300
    keeps = {"<": float.__lt__, ">": float.__gt__}
    for verdict in found:
        kept = zip(verdict.claim.bounds, verdict.bounds, strict=True)
        assert verdict.holds == all(keeps[sign](verdict.figure, bound) for sign, bound in kept)
    assert {verdict.holds for verdict in found} == {True, False}
    assert found[0].bounds == (0.6,)
    assert found[3].claim.bounds == (">", "<")
    assert [verdict.claim.share for verdict in found] == [*[True] * 3, False, True, False, True, True, *[False] * 3]


def test_the_size_of_a_batch_changes_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor who computes it: what a claim draws is drawn for each row by its number."""
    noisy = "agree(score > 0, Tell(gaussian_noise(x, 0.5)) > 0) > 10% on test"
    compiled, outcome = trained(tmp_path, *CLAIMS, noisy)
    path = tmp_path / "tell.nn"
    found = verdicts(compiled, outcome, path)
    for size in (7, 64):
        monkeypatch.setattr("dotnn.training.evaluate.evaluation_batch", lambda graph, batch, inputs, size=size: size)
        for other, one in zip(verdicts(compiled, outcome, path), found, strict=True):
            assert other.figure == pytest.approx(one.figure, rel=1e-6)
    by_reference = verdicts(compiled, outcome, path, "reference")
    assert [v.holds for v in by_reference] == [v.holds for v in found]
    assert by_reference[-1].figure == found[-1].figure < 1


def test_what_one_claim_draws_no_other_changes(tmp_path: Path) -> None:
    noisy = 'claim "noise": agree(score > 0, Tell(gaussian_noise(x, 2)) > 0) > 10% on test\n'
    other = 'claim "more noise": agree(score > 0, Tell(gaussian_noise(x, 3)) > 0) > 10% on test\n'
    figures = []
    for number, lines in enumerate((noisy, other + noisy)):
        path = tmp_path / f"{number}.nn"
        path.write_text(DATA + BLOCK + lines, encoding="utf-8")
        compiled = compile_file(path)
        outcome = train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))
        figures.append({v.claim.text: v.figure for v in verdicts(compiled, outcome, path)})
    assert figures[1]["noise"] == figures[0]["noise"] != figures[1]["more noise"]


def test_a_figure_that_is_no_number_fails(tmp_path: Path) -> None:
    compiled, outcome = trained(tmp_path, "mean(log(score - score - 1)) < 5 on test", "error <= 100% on test")
    first, second = verdicts(compiled, outcome, tmp_path / "tell.nn")
    assert np.isnan(first.figure)
    assert not first.holds
    assert second.holds


def test_a_program_with_claims_is_read_back_from_its_json(tmp_path: Path) -> None:
    compiled, outcome = trained(tmp_path, "error < 60% on others.test", "found > 0 on test")
    again = Program.model_validate_json(compiled.program.model_dump_json())
    assert again == compiled.program
    path = tmp_path / "tell.nn"
    assert verdicts(compiled, outcome, path, program=again) == verdicts(compiled, outcome, path)


def test_claims_leave_training_as_it_is(tmp_path: Path) -> None:
    bare, claimed = trained(tmp_path), trained(tmp_path, *CLAIMS)
    for name in ("init", "train", "eval", "predict", "order", "figures"):
        assert bare[0].program.graphs[name] == claimed[0].program.graphs[name]
    assert {g for g in claimed[0].program.graphs if g.startswith("claims")} == {
        "claims",
        "claims.figures",
        *(f"claims.{place}" for place in ("dots.test", "dots.train", "others.test", "fourth")),
    }
    assert not [g for g in bare[0].program.graphs if g.startswith("claims")]


def test_a_column_that_only_a_claim_reads(tmp_path: Path) -> None:
    path = tmp_path / "tell.nn"
    text = DATA.replace(
        "  kind  = chance(50%) as int < 2\n  split",
        "  kind  = chance(50%) as int < 2\n  age = uniform(0, 9)\n  split",
        1,
    )
    path.write_text(text + BLOCK + 'claim "a": mean(score > 0 if age > 5 else no) < 90% on test\n', encoding="utf-8")
    compiled = compile_file(path)
    outcome = train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))
    (found,) = verdicts(compiled, outcome, path)
    test = compiled.dataset.splits["test"].arrays
    assert found.figure == pytest.approx(((scores(outcome, test["x"]) > 0) & (test["age"] > 5)).mean())


def test_every_block_has_the_claims_below_it(tmp_path: Path) -> None:
    path = tmp_path / "two.nn"
    second = BLOCK.replace("on dots", "on fourth as Other")
    path.write_text(DATA + BLOCK + 'claim "one": error < 1 on test\n' + second + 'claim "two": error < 1 on train\n')
    told = {train.called or train.name: [c.text for c in train.claims] for train in Text.read(path).spec.trains}
    assert told == {"Tell": ["one"], "Other": ["two"]}
    assert check_file(path).summary


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ("error < 10% on val", "L002"),
        ("fourth.train.error < fourth.test.error", "L002"),
        ("test.error < error", "B001"),
        ("mean(Tell(x) + dense(1)(x)) > 0 on test", "B"),
        ("mean(score) > 3 on", "G"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(tmp_path: Path, claim: str, code: str) -> None:
    (tmp_path / "tell.nn").write_text(DATA + BLOCK + f'claim "a": {claim}\n', encoding="utf-8")
    with pytest.raises(ProblemError) as caught:
        check_file(tmp_path / "tell.nn")
    assert caught.value.problems[0].code.startswith(code)


# ---- as a person meets them


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = ['claim "it learns": error < 90% on others.test', 'claim "it is perfect": error <= 0% on test']
    (tmp_path / "tell.nn").write_text(DATA + BLOCK + "\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_training_ends_with_its_claims_and_records_them(nn: Nn, folder: Path) -> None:
    code, _, told = nn("train", "tell.nn")
    assert code == 0  # the run is whole, whatever was claimed of it
    assert "It is claimed, and 1 of 2 fails:" in told
    result = json.loads((folder / "runs/tell-001/result.json").read_text())
    assert [c["holds"] for c in result["claims"]] == [True, False]
    code, out, _ = nn("claims", "runs/tell-001")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["holds", "FAILS"]
    assert "it is perfect (on test)" in out
    code, out, _ = nn("claims", "runs/tell-001", "--format", "json")
    assert json.loads(out) == {"run": "runs/tell-001", "claims": result["claims"]}
    # Elsewhere they are counted, and listed.
    head, row = nn("runs")[1].splitlines()
    assert head.endswith("claims held")
    assert row.endswith("1 of 2")
    assert json.loads(nn("runs", "--format", "json")[1])["claims"] == {"held": 1, "of": 2}
    compared = nn("runs", "compare", "runs/tell-001", "runs/tell-001")[1].splitlines()
    assert ["claims", "held", "1", "of", "2", "1", "of", "2"] in [line.split() for line in compared]
    shown = [line.split(maxsplit=3) for line in nn("show", "tell.nn")[1].splitlines() if line.startswith("claim ")]
    assert [line[3] for line in shown] == ["it learns", "it is perfect"]


def test_a_run_on_its_way_is_asked_too(nn: Nn, folder: Path) -> None:
    assert nn("train", "tell.nn", "--epochs", "1", "--checkpoint-every", "1 steps")[0] == 0
    run = folder / "runs/tell-001"
    for name in ("weights.safetensors", "result.json"):
        (run / name).unlink()
    code, out, told = nn("claims", "runs/tell-001")
    assert code == 1
    assert "is not finished" in told
    assert "FAILS" in out


def test_other_data_that_is_gone_does_not_cost_the_run(nn: Nn, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dotnn.training import claims

    def gone(*_: object) -> None:
        raise ProblemError([_gone()])

    monkeypatch.setattr(claims, "claimed_rows", gone)
    code, _, told = nn("train", "tell.nn")
    assert code == 0
    assert "Its claims are not checked: there is no file `away.csv`" in told
    assert (folder / "runs/tell-001/weights.safetensors").exists()


def _gone() -> Any:
    from dotnn.commands.desk import NoSuchFile

    return NoSuchFile(path="away.csv", near="look for it")


def test_a_bundle_holds_them_and_its_manifest_lists_them(nn: Nn, folder: Path) -> None:
    assert nn("compile", "tell.nn", "-o", "build")[0] == 0
    manifest = json.loads((folder / "build/manifest.json").read_text())
    assert [c["text"] for c in manifest["claims"]] == ["it learns", "it is perfect"]
    assert {place["graph"] for place in manifest["claimed_on"]} == {"claims.others.test", "claims.dots.test"}
    for name in ("claims", "claims.others.test", "claims.dots.test", "claims.figures"):
        assert (folder / f"build/{name}.onnx").exists()
        assert manifest["graphs"][name]["file"] == f"{name}.onnx"


def test_a_host_checks_them_with_onnxruntime_alone(nn: Nn, folder: Path) -> None:
    """As backends/README.md says: totals of the batches, figures, and whether they keep their bounds."""
    import onnxruntime

    from dotnn.training.run import read_weights

    assert nn("train", "tell.nn")[0] == 0
    assert nn("compile", "tell.nn", "-o", "build")[0] == 0
    manifest = json.loads((folder / "build/manifest.json").read_text())
    state, rows = read_weights(folder / "runs/tell-001"), compile_file(folder / "tell.nn").dataset.splits["test"]
    (place,) = [p for p in manifest["claimed_on"] if p["graph"] == "claims.dots.test"]
    session = onnxruntime.InferenceSession("build/claims.dots.test.onnx")
    wanted = [i.name for i in session.get_inputs()]
    totals: dict[str, float] = {}
    for first in range(0, rows.count, 40):
        feeds = {n: state[n] if n in state else rows.arrays[n][first : first + 40] for n in wanted}
        for made, value in zip(session.get_outputs(), session.run(None, feeds), strict=True):
            totals[made.name] = totals.get(made.name, 0.0) + float(value)
    (figure,) = place["figures"]
    if figure["totals"]:
        last = onnxruntime.InferenceSession("build/claims.figures.onnx")
        fed = {t["name"]: np.array(totals[t["name"]]) for t in figure["totals"]}
        (value,) = last.run([figure["name"]], {i.name: fed.get(i.name, np.array(1.0)) for i in last.get_inputs()})
    else:
        value = np.array(totals[figure["name"] + ".total"] / totals[figure["name"] + ".count"])
    judge = onnxruntime.InferenceSession("build/claims.onnx")
    holds, found = judge.run(
        ["claim2.holds", "claim2.figure"],
        {i.name: value if i.name == figure["name"] else np.array(0.0) for i in judge.get_inputs()},
    )
    claims = json.loads((folder / "runs/tell-001/result.json").read_text())["claims"]
    assert bool(holds) == claims[1]["holds"]
    assert float(found) == pytest.approx(claims[1]["figure"], abs=1e-12)


def test_a_claim_may_be_about_a_metric_that_is_measured_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "tell.nn"
    line = "metric    late = auc(score, kind)  on test every 2 epochs\n  optimizer"
    claims = 'claim "late": late > 0% on others\nclaim "at once": others.late - others.ranking <= 0\n'
    path.write_text(DATA + BLOCK.replace("optimizer", line) + claims, encoding="utf-8")
    compiled = compile_file(path)
    outcome = train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))
    late, difference = verdicts(compiled, outcome, path)
    assert 0 < late.figure < 1
    assert difference.figure == 0
