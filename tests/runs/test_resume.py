"""`nn resume`: the same run as one that was never ended; and what it refuses."""

import json
import os
import subprocess
import sys
import time

import pytest

from dotnn.training.checkpoint import seal
from dotnn.training.store import checkpoints, newest


def steps(folder):
    return [step for step, _ in checkpoints(folder)]


def train(nn, folder, *words):
    code, _, err = nn("train", "small.nn", "--threads", 1, "--device", "cpu", "--out", folder, *words)
    assert code == 0, err
    return folder


@pytest.mark.parametrize("step", [0, 3, 7, 20, 139])
def test_from_any_step_it_is_the_same_run(place, nn, left, step):
    straight = train(nn, place / "straight", "--epochs", 20)
    run = train(nn, place / "run", "--steps", step, "--checkpoint-every", "3 steps") if step else None
    if run is None:
        run = train(nn, place / "run", "--epochs", 1, "--checkpoint-every", "1 step", "--keep-checkpoints", 99)
        for later, path in checkpoints(run):
            if later > 1:
                (path / "manifest.json").unlink()
        (run / "result.json").unlink()
    code, _, err = nn("resume", run, "--epochs", 20)
    assert code == 0, err
    assert left(run) == left(straight)
    assert steps(run)[0] == 140


def test_train_takes_resume_too(place, nn, left):
    straight, run = train(nn, place / "a", "--epochs", 4), train(nn, place / "b", "--epochs", 2)
    assert nn("train", "--resume", run, "--epochs", 4)[0] == 0
    assert left(run) == left(straight)
    code, out, err = nn("train", "small.nn", "--resume", run, "--seed", 4)
    assert (code, out) == (2, "")
    assert "--resume goes on" in err
    assert nn("train")[0] == 2


def test_the_stop_rule_counts_on(place, nn, left):
    spec = place / "small.nn"
    spec.write_text(spec.read_text().replace("for 50 epochs", "for 3 epochs"))
    straight = train(nn, place / "straight")
    result = json.loads((straight / "result.json").read_text())
    assert result["ending"] == "stopped"
    run = train(nn, place / "run", "--epochs", result["epochs"] - 2)
    assert nn("resume", run, "--epochs", 60)[0] == 0
    assert left(run) == left(straight)
    code, _, err = nn("resume", run)
    assert code == 1
    assert "val.error has not fallen" in err


def test_its_own_settings_are_used(place, nn, left):
    words = ("--set", "hidden=5", "--seed", 9)
    straight, run = train(nn, place / "a", "--epochs", 4, *words), train(nn, place / "b", "--epochs", 2, *words)
    assert nn("resume", run, "--epochs", 4)[0] == 0
    assert left(run) == left(straight)


def test_a_finished_run_says_so(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    before = (run / "result.json").read_bytes()
    code, out, err = nn("resume", run)
    assert (code, out) == (1, "")
    assert "is finished: it has made its 14 steps" in err
    assert "--epochs" in err
    assert (run / "result.json").read_bytes() == before


def test_a_changed_spec_is_refused_with_its_difference(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    spec = place / "small.nn"
    text = spec.read_text()
    spec.write_text(text.replace("# Which", "# Whichever").replace("\n  batch", "\n\n  batch"))
    assert nn("resume", run, "--epochs", 3)[0] == 0  # a comment means nothing
    spec.write_text(text.replace("dropout(0.2)", "dropout(0.3)"))
    code, _, err = nn("resume", run, "--epochs", 4)
    assert code == 1
    assert "has changed since" in err
    assert [line.strip()[0] for line in err.splitlines() if "dropout" in line] == ["-", "+"]
    spec.unlink()
    code, _, err = nn("resume", run, "--epochs", 4)
    assert (code, "--spec FILE" in err) == (1, True)
    (place / "moved.nn").write_text(text)
    assert nn("resume", run, "--epochs", 4, "--spec", "moved.nn")[0] == 0


def test_changed_data_is_refused(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    table = place / "points.csv"
    table.write_text(table.read_text().replace("0.1", "0.2", 1))
    code, _, err = nn("resume", run, "--epochs", 3)
    assert code == 1
    assert "the data of" in err


def test_other_versions_are_refused_unless_told(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    _, path = checkpoints(run)[0]
    manifest = newest(run).manifest
    facts = manifest.facts.model_copy(update={"versions": {**manifest.facts.versions, "numpy": "1.0"}})
    (path / "manifest.json").write_bytes(seal(manifest.model_copy(update={"facts": facts})))
    code, _, err = nn("resume", run, "--epochs", 3)
    assert code == 1
    assert "numpy 1.0" in err
    assert nn("resume", run, "--epochs", 3, "--inexact")[0] == 0


def test_a_torn_checkpoint_is_named_and_the_one_before_is_used(place, nn, left):
    straight = train(nn, place / "straight", "--epochs", 4)
    run = train(nn, place / "run", "--epochs", 2, "--checkpoint-every", "5 steps")
    last = checkpoints(run)[0][1]
    data = bytearray((last / "tensors.safetensors").read_bytes())
    data[-3] ^= 4
    (last / "tensors.safetensors").write_bytes(data)
    code, _, err = nn("resume", run, "--epochs", 4)
    assert code == 0
    assert f"{last.name} is not whole (tensors.safetensors was changed" in err
    assert "going on from ckpt-000010" in err
    assert (run / f"torn-{last.name}").is_dir()
    assert left(run) == left(straight)


def test_without_a_checkpoint_it_says_so(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    for _, path in checkpoints(run):
        (path / "manifest.json").write_text("{}")
    code, _, err = nn("resume", run, "--epochs", 4)
    assert code == 1
    assert "has no checkpoint" in err
    assert err.count("moved aside") == 2
    assert nn("resume", place)[0] == 1


def test_an_altered_log_is_told_and_kept(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    log = run / "log.jsonl"
    log.write_text(log.read_text().replace('"epoch": 1', '"epoch": 8'))
    code, _, err = nn("resume", run, "--epochs", 3)
    assert code == 0
    assert "is not as it was written" in err
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [8, 2, 3]


def test_one_trainer_a_run(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    hold = "import sys, time; from pathlib import Path; from dotnn.training.lock import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(run)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        code, _, err = nn("resume", run, "--epochs", 3)
        assert code == 1
        assert f"being trained already by the process {other.pid}" in err
        other.kill()
        other.wait()
    assert nn("resume", run, "--epochs", 3)[0] == 0  # the lock of a dead process is none


def test_what_a_dead_process_left_is_swept_away(place, nn):
    run = train(nn, place / "run", "--epochs", 2)
    (run / "ckpt-000099.tmp-12").mkdir()
    (run / "ckpt-000099.tmp-12" / "tensors.safetensors").write_bytes(b"half")
    (run / ".LATEST.tmp-12").write_text("ckpt")
    assert nn("resume", run, "--epochs", 3)[0] == 0
    assert not [p.name for p in run.iterdir() if ".tmp-" in p.name]
    assert (run / "LATEST").read_text() == f"{checkpoints(run)[0][1].name}\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs the signals of a Unix system")
def test_a_second_signal_ends_it_at_once(place):
    words = [sys.executable, "-m", "dotnn", "train", "small.nn", "--out", "run", "--epochs", "60"]
    (place / "small.nn").write_text((place / "small.nn").read_text().replace("epochs 60", "epochs 1000000"))
    with subprocess.Popen([*words[:-2], "--backend", "reference"], stderr=subprocess.PIPE, text=True) as child:
        for _ in range(600):
            if (place / "run" / "log.jsonl").exists() and (place / "run" / "log.jsonl").stat().st_size:
                break
            assert child.poll() is None
            time.sleep(0.05)
        os.kill(child.pid, 2)
        os.kill(child.pid, 15)
        time.sleep(0.02)
        os.kill(child.pid, 15)
        assert child.wait(timeout=20) in (130, 143, -15, -2)


def test_memory_that_runs_out_loses_nothing(place, nn, left, monkeypatch):
    from dotnn_onnx.session import TrainSession

    straight = train(nn, place / "straight", "--epochs", 3)
    step, count = TrainSession.step, 0

    def fails(session, batch):
        nonlocal count
        count += 1
        if count == 12:
            raise MemoryError("Unable to allocate 3.2 GiB")
        return step(session, batch)

    monkeypatch.setattr(TrainSession, "step", fails)
    code, _, err = nn("train", "small.nn", "--threads", 1, "--device", "cpu", "--out", "run", "--epochs", 3)
    assert code == 1
    assert "error[T017]" in err
    assert "Unable to allocate 3.2 GiB" in err
    assert "nothing before step 11 is lost: nn resume run" in err
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert nn("resume", "run")[0] == 0
    assert left(place / "run") == left(straight)


def test_a_step_that_onnxruntime_gives_up_loses_nothing(place, nn, left, monkeypatch):
    """Its own words become ours, with the operation and its line; and what is kept is said."""
    from dotnn_onnx import session as onnx

    straight = train(nn, place / "straight", "--epochs", 3)
    step, count = onnx.TrainSession.step, 0
    said = (
        "Non-zero status code returned while running MatMul node. Name:'small.nn:14 Sides.hidden.y matmul.MatMul#0' "
        "Status Message: Failed to allocate memory for requested buffer of size 3200000000"
    )

    def fails(session, batch):
        nonlocal count
        count += 1
        if count == 12:
            raise onnx._problem(session._graph, RuntimeError(said)).error()
        return step(session, batch)

    monkeypatch.setattr(onnx.TrainSession, "step", fails)
    code, _, err = nn("train", "small.nn", "--threads", 1, "--device", "cpu", "--out", "run", "--epochs", 3)
    assert code == 1
    assert "error[X009]: there is not enough memory for the graph `train`, at `matmul` of Sides.hidden.y" in err
    assert "small.nn:14" in err
    assert "it asked for 3.2 GB at once" in err
    assert "error[T018]: so `run` stopped after step 11" in err
    assert "nothing before step 11 is lost: nn resume run" in err
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert nn("resume", "run")[0] == 0
    assert left(place / "run") == left(straight)
