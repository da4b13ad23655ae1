"""Runs in which much comes together: ended and gone on with, by the host program, by folds, on shifted data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.training.run import read_weights
from dotnn_grammar.problems import ProblemError

TIMES = ("seconds", "rows_per_second", "memory")
Nn = Callable[..., tuple[int, str, str]]

MANY = """
param hidden = 6
data d {
  source generate 90
  kind  = chance(40%) as int < 2
  level = floor(uniform(0, 3)) as int < 3
  x     = normal(0, 1)[4] + kind
  hill[i, j] = exp(-((i - level)^2 + j) / 4)  for i in 0..3, j in 0..2
  w     = uniform(0, 2)
  split train 60%, val 20%, test 20%  stratify kind
  seed  3
}
function lower(from)(step, loss) {
  state best = 100
  best = min(best, loss)
  return from * min(best, 1) / sqrt(step)
}
function tamed(x: [b, n]) -> [b, n] { return x / (1 + abs(x)) }
layer bent(n)(x: [b, m]) -> [b, n] { return x -> dense(n) -> batch_norm -> tanh }
net A(x: [b, 4], hill: [b, 3, 2]) -> s: [b, 2] {
  y[b, i] = x[b, i] * i + hill[b, j, k] * x[b, i] / 4  for i in 0..4, j in 0..3
  s = tamed(y) -> bent(hidden) -> dropout(0.3) -> dense(2) as last
}
net B(x: [b, 4]) -> s: [b, 2] { s = x -> bent(hidden) -> dense(2) as last }
train A on d {
  loss cross_entropy(s, kind) where level != 1 weighted by w
  error argmax(s) != kind
  metric found = class_recall(argmax(s), kind)
  metric ranking = auc(s[..., 1] - s[..., 0], kind)
  answer argmax(s) as kind
  optimizer adamw(lr = lower(from = 0.1))
  batch 8
  accumulate 3
  epochs 3
  clip norm 0.5
  decay 0.01 for *.W
  rate warmup(3) then 0.5 for last
  precision f16
  seed 4
  keep best val.error
}
train A on d as plain {
  loss cross_entropy(s, kind) weighted by balanced(kind)
  optimizer sgd(lr = plateau(from = 0.5, patience = 0, factor = 0.5), momentum = 0.5)
  batch 7
  steps 23
  freeze last.b
  precision bf16
  seed 4
}
train B on d {
  loss focal(s, kind)
  optimizer muon(lr = 0.01)
  batch 9
  epochs 3
  seed 4
}
"""


def left(folder: Path) -> dict[str, Any]:
    """What a run leaves, without its times."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    newest = max(folder.glob("ckpt-*"))
    found[newest.name] = (newest / "tensors.safetensors").read_bytes()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    lines.append(json.loads((folder / "result.json").read_text()))
    found["log"] = [{name: value for name, value in line.items() if name not in TIMES} for line in lines]
    return found


def train(nn: Nn, *words: object) -> None:
    code, _, err = nn("train", *words, "--threads", 1, "--device", "cpu")
    assert code == 0, err


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "many.nn").write_text(MANY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_several_nets_go_on_as_if_they_had_never_ended(many: Path, nn: Nn) -> None:
    words = ("many.nn", "--set", "hidden=5", "--set", "A.batch=7", "--set", "B.accumulate=2")
    train(nn, *words, "--out", "straight")
    for steps in (4, 17):
        train(nn, *words, "--out", f"run{steps}", "--steps", steps)
        for name in ("A", "plain", "B"):
            code, _, err = nn("resume", f"run{steps}/{name}", "--epochs", 9)
            assert code == 0, err
            assert left(many / f"run{steps}" / name) == left(many / "straight" / name), (steps, name)


@pytest.mark.parametrize("block", ["A", "plain"])
def test_the_host_program_learns_the_same_numbers(many: Path, nn: Nn, block: str) -> None:
    train(nn, f"many.nn:{block}", "--out", "run")
    assert nn("compile", f"many.nn:{block}", "-o", "bundle", "--host", "python")[0] == 0
    words = [sys.executable, "-I", "-W", "error", "host.py", "1"]
    ran = subprocess.run(words, cwd=many / "bundle", capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    run = many / "run"
    kept = read_weights(run) if not (run / "last.safetensors").exists() else last(run)
    with np.load(many / "bundle" / "weights.npz") as made:
        assert sorted(made.files) == sorted(kept)
        for name in made.files:
            np.testing.assert_array_equal(made[name], kept[name], err_msg=name)


def last(run: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(run / "last.safetensors"))


# ---- what runs that were cut short leave

LINE = """
data d {
  source generate 60
  x = uniform(-1, 1)
  y = 3 * x
  split train 60%, val 40%
  seed 1
}
net N(x: [b]) -> guess: [b] { weight slope: [] ~ zeros ; guess = slope * x }
train N on d {
  loss mse(guess, y)
  optimizer sgd(lr = 0.05)
  batch 6
  epochs 4
  seed 1
  keep best val.loss
}
"""


def test_the_last_weights_of_a_run_that_went_on_are_not_those_of_before(tmp_path: Path, nn: Nn) -> None:
    astray = "function astray()(step) { return -0.05 if step == 7 or step == 8 else 0.05 }\n"
    (tmp_path / "line.nn").write_text(astray + LINE.replace("lr = 0.05", "lr = astray"), encoding="utf-8")
    run = tmp_path / "run"
    train(nn, tmp_path / "line.nn", "--out", run, "--steps", 8)
    assert (run / "last.safetensors").exists()  # the best was that of the first epoch, two steps ago
    assert nn("resume", run, "--epochs", 4)[0] == 0
    assert not (run / "last.safetensors").exists()  # now the last is the best


def test_a_warmup_that_training_never_leaves_still_rises(tmp_path: Path, nn: Nn) -> None:
    text = LINE.replace("lr = 0.05", "lr = warmup(40) then cosine(from = 0.05)").replace("epochs 4", "steps 12")
    (tmp_path / "line.nn").write_text(text, encoding="utf-8")
    train(nn, tmp_path / "line.nn", "--out", tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    rates = [line["rate"] for line in lines if "rate" in line]
    first = 0.05 * (1 + np.cos(np.pi / 12)) / 2
    assert rates == pytest.approx([first * 6 / 40, first * 12 / 40], rel=1e-6)


def test_a_loss_that_reads_no_column_is_refused(tmp_path: Path) -> None:
    text = LINE.replace("mse(guess, y)", "(slope - 3)^2").replace("guess: [b]", "guess: [b], slope: []")
    (tmp_path / "line.nn").write_text(text.replace("weight slope", "weight s").replace(
        "guess = slope", "slope = 2 * s ; guess = slope"), encoding="utf-8")  # fmt: skip
    with pytest.raises(ProblemError) as caught:
        check_file(tmp_path / "line.nn")
    (problem,) = caught.value.problems
    assert (problem.code, problem.span is not None) == ("B022", True)
    assert "reads nothing of the data" in problem.title_text


# ---- folds, fitted numbers, shifts

FOLDS = """
data d {
  source table "d.csv"
  x    = standardise(columns a to c)
  kind = column kind as class
  row  = column row
  split folds 4, test 20%  stratify kind
  seed 2
}
data shifted = d where { x = 2 * x + 1 }
net N(x: [b, n]) -> s: [b, 3] { s = x -> dense(3) }
train N on d {
  loss cross_entropy(s, kind) weighted by balanced(kind)
  metric middle = mean(x, over = 0)
  metric spread = mean(x^2, over = 0)
  metric rows = mean(row)
  optimizer adam(lr = 0.02)
  batch 16
  epochs 1
  seed 1
}
"""


@pytest.fixture
def dealt(tmp_path: Path) -> Path:
    numbers = np.random.default_rng(0)
    lines = ["a,b,c,row,kind"]
    for row in range(97):
        a, b, c = numbers.normal(size=3) * [1, 5, 100] + [3, 0, 1000]
        lines.append(f"{a:.5f},{b:.5f},{c:.4f},{row},{numbers.choice(['p', 'q', 'r'], p=[0.5, 0.3, 0.2])}")
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "folds.nn").write_text(FOLDS, encoding="utf-8")
    return tmp_path


def test_each_fold_is_fitted_on_what_it_learns_from_and_measured_elsewhere_as_dealt(dealt: Path, nn: Nn) -> None:
    seen: list[float] = []
    for fold in (1, 3):
        parts = compile_file(dealt / "folds.nn", fold=fold).dataset.splits
        seen += parts["val"].arrays["row"].tolist()
        run = dealt / f"run{fold}"
        train(nn, dealt / "folds.nn", "--fold", fold, "--out", run)
        own = json.loads(nn("eval", run, "--format", "json")[1])
        there = json.loads(nn("eval", run, "--on", "d", "--format", "json")[1])
        moved = json.loads(nn("eval", run, "--on", "shifted", "--format", "json")[1])
        np.testing.assert_allclose(own["train"]["middle"], 0, atol=1e-6)
        np.testing.assert_allclose(own["train"]["spread"], 1, atol=1e-6)
        assert max(abs(m) for m in own["val"]["middle"]) > 0.01
        for part, rows in parts.items():
            assert own[part]["rows"] == pytest.approx(rows.arrays["row"].mean())
            assert there[f"d.{part}"] == own[part]
            assert moved[f"shifted.{part}"]["rows"] == own[part]["rows"]
            wanted = 2 * np.array(own[part]["middle"]) + 1  # of x as it was fitted there
            np.testing.assert_allclose(moved[f"shifted.{part}"]["middle"], wanted, atol=1e-5)
    assert len(set(seen)) == len(seen)
