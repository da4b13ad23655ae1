"""`accumulate`, `precision`, `freeze` and `rate` in whole runs: trained, ended, gone on with, compiled, asked."""

import json
import subprocess
import sys

import numpy as np
import pytest

from dotnn.training.checkpoint import unpack


def last(out):
    return json.loads(out.splitlines()[-1])


def weights(folder, name="weights"):
    return unpack((folder / f"{name}.safetensors").read_bytes())


@pytest.fixture
def spec(folder):
    """Writes the spec with other lines."""

    def write(**lines):
        text = (folder / "points.nn").read_text()
        for old, new in lines.items():
            old = old.replace("_", " ")
            assert old in text
            text = text.replace(old, new)
        (folder / "points.nn").write_text(text)

    return write


def test_batches_gathered_are_one_large_batch(folder, nn, spec):
    """72 rows: 9 batches of 8, of which 4 make an update, and one is left; or batches of 32, 32 and 8."""
    few = last(nn("train", "points.nn", "--format", "json", "--set", "batch=32", "--out", "large")[1])
    many = ("--set", "batch=8", "--set", "accumulate=4")
    gathered = last(nn("train", "points.nn", "--format", "json", *many, "--out", "small")[1])
    assert (few["steps"], gathered["steps"]) == (18, 54)
    large, small = weights(folder / "large"), weights(folder / "small")
    assert int(large["step"]) == int(small["step"])
    assert not small["accumulate.places"].any()
    for name in large:
        assert small[name] == pytest.approx(large[name], rel=1e-4, abs=1e-6), name
    for part in ("train", "val", "test"):
        assert gathered[part]["loss"] == pytest.approx(few[part]["loss"], rel=1e-4)


@pytest.mark.parametrize("more", [("accumulate=3",), ("accumulate=3", "precision=f16"), ("precision=bf16",)])
def test_a_run_goes_on_in_the_middle_of_an_update(folder, nn, more):
    given = [word for text in (*more, "batch=8") for word in ("--set", text)]
    assert nn("train", "points.nn", *given, "--threads", 1, "--out", "straight")[0] == 0
    assert nn("train", "points.nn", *given, "--threads", 1, "--steps", 13, "--out", "cut")[0] == 0
    if "accumulate=3" in more:
        end = "last" if (folder / "cut/last.safetensors").exists() else "weights"
        assert weights(folder / "cut", end)["accumulate.places"]  # it was cut in the middle of an update
    assert nn("resume", "cut", "--epochs", 6)[0] == 0
    one, other = (weights(folder / name) for name in ("straight", "cut"))
    assert set(one) == set(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_the_bundle_trains_anywhere_as_it_does_here(folder, nn):
    given = ("--set", "batch=8", "--set", "accumulate=4", "--set", "precision=bf16")
    assert nn("compile", "points.nn", *given, "-o", "bundle", "--host", "python")[0] == 0
    states = json.loads((folder / "bundle/manifest.json").read_text())["graphs"]["train"]["state"]
    assert ["Sides.hidden.W:accumulated", "Sides.hidden.W:accumulated.next"] in states
    made = subprocess.run([sys.executable, "bundle/host.py"], capture_output=True, text=True, check=True)
    assert nn("train", "points.nn", *given, "--format", "json", "--out", "r")[0] == 0
    losses = [float(line.split()[-1]) for line in made.stdout.splitlines() if line.startswith("epoch")]
    log = [json.loads(line)["train"]["loss"] for line in (folder / "r/log.jsonl").read_text().splitlines()]
    assert losses == pytest.approx(log, abs=2e-4)


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_a_net_learns_in_half_precision(folder, nn, precision):
    code, out, _ = nn("train", "points.nn", "--set", f"precision={precision}", "--format", "json", "--out", "r")
    assert code == 0
    assert last(out)["test"]["error"] < 0.25
    assert all(array.dtype != np.float16 for array in weights(folder / "r").values())
    code, out, _ = nn("predict", "r", "0.5", "0.5", "--format", "csv")
    assert (code, out.splitlines()[1].split(",")[0]) == (0, "right")
    said = nn("train", "points.nn", "--set", f"precision={precision}", "--set", "accumulate=2", "--epochs", 1)[2]
    assert f"16 rows at a time, 2 of these batches an adjustment, with products of {precision}," in said


def test_what_is_frozen_stays_in_a_run(folder, nn, spec):
    spec(batch_16="batch 16\n  freeze hidden\n  rate 0.1 for scores.*")
    assert "Sides learns 10 numbers" in nn("check", "points.nn")[1]
    assert nn("train", "points.nn", "--epochs", 1, "--out", "one")[0] == 0
    assert nn("train", "points.nn", "--out", "all")[0] == 0
    one, whole = weights(folder / "one"), weights(folder / "all")
    assert np.array_equal(one["Sides.hidden.W"], whole["Sides.hidden.W"])
    assert not np.array_equal(one["Sides.scores.dense[1].W"], whole["Sides.scores.dense[1].W"])
    assert not any(name.startswith("Sides.hidden.") and ":" in name for name in whole)
    # A run that begins with another's weights may hold some of them.
    spec(seed_3='seed 3\n  start from "all"')
    assert nn("train", "points.nn", "--out", "warm")[0] == 0
    assert np.array_equal(weights(folder / "warm")["Sides.hidden.W"], whole["Sides.hidden.W"])


def test_runs_tell_what_was_set(folder, nn):
    assert nn("train", "points.nn", "--epochs", 1, "--out", "runs/a")[0] == 0
    assert nn("train", "points.nn", "--epochs", 1, "--set", "accumulate=2", "--out", "runs/b")[0] == 0
    table = nn("runs")[1].splitlines()
    assert "accumulate" in table[0].split()
    assert "accumulate" in nn("runs", "compare", "runs/a", "runs/b")[1]
    assert nn("train", "points.nn", "--epochs", 1, "--set", "optimizer.lr=0.01", "--out", "runs/c")[0] == 0
    head, *lines = (line.split() for line in nn("runs")[1].splitlines())
    at = head.index("optimizer.lr")
    assert [line[at] for line in lines if len(line) > at][-1] == "0.01"


def test_numbers_too_large_for_f16_are_traced(folder, nn):
    text = (folder / "points.nn").read_text().replace("scores = place ->", "far = 1e6 * place\n  scores = far ->")
    (folder / "points.nn").write_text(text)
    code, _, err = nn("train", "points.nn", "--set", "precision=f16")
    assert code == 4
    assert "`narrow` of Sides.hidden" in err
    assert "the largest number of f16 is 6.6e+04" in err
