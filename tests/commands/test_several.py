"""Several train blocks in a file: side by side, each with a run of its own, and compared."""

import json
import signal
import subprocess
import sys

import pytest

from dotnn.training.checkpoint import unpack

SECOND = """
train Sides on points as slow {
  loss      cross_entropy(scores, kind)
  error     argmax(scores) != kind
  metric    sure = mean(max(softmax(scores), over = -1))
  optimizer sgd(lr = 0.01)
  batch 8
  epochs 4
  seed 3
}
"""


@pytest.fixture
def both(folder):
    text = (folder / "points.nn").read_text()
    (folder / "points.nn").write_text(text + SECOND)
    return folder


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def test_they_take_turns_and_end_as_if_alone(both, nn):
    code, out, err = nn("train", "points.nn", "--format", "json", "--threads", 1)
    assert (code, err) == (0, "")
    told = events(out)
    names = [e["name"] for e in told if e["event"] == "epoch"]
    assert names == ["Sides", "slow"] * 4 + ["Sides"] * 2
    assert [(e["event"], e["name"]) for e in told[-2:]] == [("done", "Sides"), ("done", "slow")]
    for name, run in (("Sides", "points-Sides-001"), ("slow", "points-slow-001")):
        assert nn("train", f"points.nn:{name}", "--format", "json", "--threads", 1, "--out", f"alone-{name}")[0] == 0
        one, alone = both / "runs" / run, both / f"alone-{name}"
        assert (one / "weights.safetensors").read_bytes() == (alone / "weights.safetensors").read_bytes()
        assert json.loads((one / "started.json").read_text())["block"] == name


def test_they_are_compared_part_by_part(both, nn):
    code, out, err = nn("train", "points.nn", "--out", "here")
    assert (code, out) == (0, "")
    lines = [line.split() for line in err[err.index("Side by side:") :].splitlines()]
    assert lines[1:4] == [
        ["numbers", "epochs", "steps", "time"],
        ["Sides", "22", "6", "30", *lines[2][4:]],
        ["slow", "22", "4", "36", *lines[3][4:]],
    ]
    for part in ("train", "val", "test"):
        at = lines.index([part, "loss", "error", "sure"])
        assert lines[at + 1][0] == "Sides"
        assert lines[at + 1][-1] == "-"  # it has no such figure
        assert lines[at + 2][0] == "slow"
        assert float(lines[at + 2][-1]) > 0.5
    assert "nn runs compare here/Sides here/slow" in err
    head = err[: err.index("Side by side:")]
    assert head.index("slow learns from") < head.index("epoch ")  # both are introduced before the first line
    assert head.count("At each step") == 1


def test_the_names_are_asked_for(both, nn):
    assert "slow learns 22 numbers" in nn("check", "points.nn")[1]
    assert "Sides learns" not in nn("check", "points.nn:slow")[1]
    assert "train     slow" in nn("show", "points.nn")[1]
    assert nn("compile", "points.nn:slow", "-o", "b")[0] == 0
    assert nn("ir", "graph", "points.nn:slow")[0] == 0
    code, _, err = nn("train", "points.nn:slw")
    assert (code, "did you mean `slow`?" in err) == (1, True)


def test_one_that_runs_away_does_not_stop_the_other(both, nn):
    text = (both / "points.nn").read_text()
    (both / "points.nn").write_text(text.replace("adam(lr = 0.05)", "sgd(lr = 1e38)"))
    code, out, err = nn("train", "points.nn", "--format", "json")
    assert code == 4
    assert "error[T001]" in err
    endings = {
        n: json.loads((both / "runs" / f"points-{n}-001" / "result.json").read_text()) for n in ("Sides", "slow")
    }
    assert {name: end["ending"] for name, end in endings.items()} == {"Sides": "diverged", "slow": "done"}
    assert [e["epochs"] for e in events(out) if e["event"] == "done"][1] == 4


def test_nothing_is_left_where_the_second_cannot_be_read(both, nn):
    text = (both / "points.nn").read_text()
    (both / "points.nn").write_text(text.replace("metric    sure = mean(max(", "metric    sure = mean(nonsense("))
    code, _, err = nn("train", "points.nn")
    assert (code, "nonsense" in err) == (1, True)
    assert list((both / "runs").iterdir()) == []


def test_ctrl_c_ends_both_and_both_go_on(both, nn):
    text = (both / "points.nn").read_text().replace("epochs 6", "epochs 4000").replace("epochs 4\n", "epochs 4000\n")
    (both / "points.nn").write_text(text)
    words = [sys.executable, "-m", "dotnn", "train", "points.nn", "--format", "json", "--threads", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(12):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    for name in ("Sides", "slow"):
        run = both / "runs" / f"points-{name}-001"
        ending = json.loads((run / "result.json").read_text())
        assert ending["ending"] == "interrupted"
        to = ending["epochs"] + 3
        assert nn("resume", run, "--epochs", to)[0] == 0
        assert nn("train", f"points.nn:{name}", "--epochs", to, "--threads", 1, "--out", f"straight-{name}")[0] == 0
        resumed, straight = (
            unpack((at / "weights.safetensors").read_bytes()) for at in (run, both / f"straight-{name}")
        )
        assert all((resumed[key] == straight[key]).all() for key in straight)
