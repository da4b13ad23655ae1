"""`nn eval`, `nn runs`, `nn predict` on runs that were trained here, and warm starts."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

from dotnn.commands.predict import _cell
from dotnn.commands.runs import columns
from dotnn.training.evaluate import dataset_of
from dotnn.training.run import read_program, read_weights


@pytest.fixture
def run(folder, nn):
    spec = (folder / "points.nn").read_text()
    metric = "  metric found = recall(argmax(scores) == 1, kind == 1)\n"
    (folder / "points.nn").write_text(spec.replace("  batch 16\n", f"{metric}  batch 16\n"))
    assert nn("train", "points.nn", "--threads", 1, "--device", "cpu", "--out", "runs/one")[0] == 0
    return folder / "runs" / "one"


# ---- eval


def test_eval_gives_the_figures_that_training_gave(run, nn):
    code, out, err = nn("eval", "runs/one", "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    result = json.loads((run / "result.json").read_text())
    assert [found[s]["rows"] for s in ("train", "val", "test")] == [72, 24, 24]
    for split in ("train", "val", "test"):
        assert set(result[split]) == {"loss", "error", "found"}
        assert {k: v for k, v in found[split].items() if k != "rows"} == pytest.approx(result[split], rel=1e-6)
    only = json.loads(nn("eval", "runs/one", "--on", "test", "--format", "json")[1])
    assert only == {"run": "runs/one", "test": found["test"]}
    other = json.loads(nn("eval", "runs/one", "--on", "test", "--format", "json", "--backend", "reference")[1])
    assert other["test"] == pytest.approx(found["test"], rel=1e-5)


def test_eval_prints_a_table(run, nn):
    lines = nn("eval", "runs/one")[1].splitlines()
    assert lines[0].split() == ["rows", "loss", "error", "found"]
    assert [line.split()[0] for line in lines[1:]] == ["train", "val", "test"]
    assert len({len(line) for line in lines}) == 1
    assert "%" in lines[1]


def test_eval_of_a_table_counts_its_rows(run, folder, nn):
    code, out, _ = nn("eval", "runs/one", "--on", "points.csv", "--format", "json")
    assert code == 0
    whole = json.loads(out)["points.csv"]
    parts = [json.loads(nn("eval", "runs/one", "--on", s, "--format", "json")[1])[s] for s in ("train", "val", "test")]
    assert whole["rows"] == 120
    for name in ("loss", "error"):
        assert whole[name] == pytest.approx(sum(p[name] * p["rows"] for p in parts) / 120, rel=1e-6)
    (folder / "bare.csv").write_text("a,b\n0.1,0.2\n")
    code, _, err = nn("eval", "runs/one", "--on", "bare.csv")
    assert code == 1
    assert "error[D038]" in err
    assert "`kind`" in err
    (folder / "odd.csv").write_text("a,b,kind\n0.1,0.2,middle\n")
    code, _, err = nn("eval", "runs/one", "--on", "odd.csv")
    assert code == 1
    assert "middle" in err


def test_eval_says_what_is_not_there(run, folder, nn):
    code, _, err = nn("eval", "runs/one", "--on", "tset")
    assert code == 1
    assert "error[T042]" in err
    assert "did you mean `test`?" in err
    code, _, err = nn("eval", "runs/none")
    assert code == 1
    assert "error[T019]" in err


def test_eval_after_the_spec_has_changed_or_moved(run, folder, nn):
    before = nn("eval", "runs/one", "--on", "test")
    (folder / "points.nn").write_text("# nothing is left of it\n")
    assert nn("eval", "runs/one", "--on", "test") == before
    moved = folder / "elsewhere"
    moved.mkdir()
    shutil.move(folder / "points.nn", moved / "points.nn")
    shutil.move(folder / "points.csv", moved / "points.csv")
    code, _, err = nn("eval", "runs/one", "--on", "test")
    assert code == 1
    assert "error[C020]" in err
    assert "--spec" in err
    assert nn("eval", "runs/one", "--on", "test", "--spec", "elsewhere/points.nn") == before


def test_eval_notes_that_the_tables_have_changed(run, folder, nn):
    with (folder / "points.csv").open("a") as file:
        file.write("0.5,0.5,right\n")
    code, _, err = nn("eval", "runs/one")
    assert code == 0
    assert "note: the tables have changed" in err


# ---- predict


def test_predict_gives_the_very_numbers_of_predict_onnx(run, nn):
    import onnxruntime as ort

    program = read_program(run)
    dataset, _ = dataset_of(run, program, run.parents[1])
    session = ort.InferenceSession(run / "predict.onnx")
    answer, shares = session.run(["answer", "shares"], {"place": dataset.splits["test"].arrays["place"]})
    places = dataset.splits["test"].arrays["place"]
    (run.parents[1] / "test.csv").write_text("a,b\n" + "\n".join(f"{a:.9g},{b:.9g}" for a, b in places) + "\n")
    code, out, _ = nn("predict", "runs/one", "test.csv", "--format", "json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["answer"] for line in lines] == [("left", "right")[i] for i in answer]
    sure = np.array([line["probability"] for line in lines])
    np.testing.assert_allclose(sure, shares[np.arange(len(answer)), answer], rtol=2e-6)


def test_what_came_from_data_cannot_harm(folder, nn):
    harmful = {"=HYPERLINK(1)": "left", "\t@x": "right", "a\x1b[2Jb": "over"}
    rows = ["a,b,kind"] + [f'{i / 60 - 1:.3f},{i % 7},"{list(harmful)[i % 3]}"' for i in range(90)]
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    spec = (folder / "points.nn").read_text().replace("-> scores: [b, 2]", "-> scores: [b, 3]")
    (folder / "points.nn").write_text(spec.replace("dense(2)", "dense(3)"))
    assert nn("train", "points.nn", "--epochs", 1, "--out", "r")[0] == 0
    code, out, _ = nn("predict", "r", "points.csv", "--format", "csv")
    assert code == 0
    cells = [row[0] for row in csv.reader(io.StringIO(out))][1:]
    assert not any(cell.lstrip()[:1] in ("=", "@", "+", "-") for cell in cells)
    assert "\x1b" not in nn("predict", "r", "points.csv")[1]
    assert _cell("\t=1") == "'\t=1"
    assert _cell(" -1") == "' -1"


# ---- runs


def test_runs_lists_settings_and_results_the_newest_last(run, folder, nn):
    assert nn("train", "points.nn", "--set", "hidden=7", "--seed", 5, "--epochs", 2, "--out", "runs/two")[0] == 0
    code, out, err = nn("runs")
    assert (code, err) == (0, "")
    head, one, two = out.splitlines()
    assert head.split() == ["run", "state", "epochs", "numbers", "hidden", "seed", "on", "loss", "error", "found"]
    assert one.split()[:7] == ["runs/one", "done", "6", "22", "4", "3", "test"]
    assert two.split()[:7] == ["runs/two", "done", "2", "37", "7", "5", "test"]
    facts = [json.loads(line) for line in nn("runs", "runs", "--format", "json")[1].splitlines()]
    assert [f["run"] for f in facts] == ["runs/one", "runs/two"]
    assert facts[1]["settings"]["hidden"] == 7
    assert facts[0]["test"] == json.loads((run / "result.json").read_text())["test"]


def test_runs_tells_those_that_did_not_end_well(run, folder, nn):
    shutil.copytree(run, folder / "runs" / "cut")
    (folder / "runs" / "cut" / "result.json").unlink()
    (folder / "runs" / "cut" / ".lock").unlink(missing_ok=True)
    shutil.copytree(run, folder / "runs" / "torn")
    (folder / "runs" / "torn" / "program.json").write_text("{")
    (folder / "runs" / "other").mkdir()
    spec = (folder / "points.nn").read_text()
    (folder / "points.nn").write_text(spec.replace("adam(lr = 0.05)", "sgd(lr = 1e38)"))
    assert nn("train", "points.nn", "--out", "runs/wild")[0] == 4
    code, out, _ = nn("runs")
    assert code == 0
    states = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:] if line.startswith("runs/")}
    assert states == {
        "runs/one": "done",
        "runs/cut": "unfinished",
        "runs/torn": "broken",
        "runs/wild": "diverged",
    }
    assert "1 run can go on: nn resume runs/cut" in out
    cut = next(line for line in out.splitlines() if line.startswith("runs/cut"))
    assert cut.split()[6] == "val"


def test_runs_without_any(folder, nn):
    code, out, err = nn("runs")
    assert (code, out) == (1, "")
    assert "error[T044]" in err
    (folder / "runs").mkdir()
    assert "error[T044]" in nn("runs")[2]
    assert nn("runs", "compare", "a")[0] == 2
    assert "error[T019]" in nn("runs", "compare", "a", "b")[2]


def test_two_runs_side_by_side(run, folder, nn):
    spec = (folder / "points.nn").read_text()
    (folder / "points.nn").write_text(spec.replace("lr = 0.05)", "lr = 0.01)  # slower"))
    assert nn("train", "points.nn", "--set", "hidden=7", "--threads", 1, "--device", "cpu", "--out", "two")[0] == 0
    code, out, _ = nn("runs", "compare", "runs/one", "two")
    assert code == 0
    assert out.splitlines()[0].split() == ["runs/one", "two"]
    assert [line.split() for line in out.splitlines() if line.startswith("  hidden")] == [["hidden", "4", "7"]]
    assert "  seed" not in out
    lines = [line.strip() for line in out.splitlines()]
    assert any(line.startswith("-") and "lr = 0.05" in line for line in lines)
    assert any(line.startswith("+") and "lr = 0.01" in line for line in lines)
    assert "slower" not in out
    told = json.loads(nn("runs", "compare", "runs/one", "two", "--format", "json")[1])
    assert told["settings"] == {"hidden": [4, 7]}
    assert [r["run"] for r in told["runs"]] == ["runs/one", "two"]
    same = nn("runs", "compare", "two", "two")[1]
    assert "Everything is set alike." in same
    assert "The specs say the same." in same


def test_a_table_has_straight_columns():
    table = columns([["a", "n", "word"], ["long name", "7", "x"], ["b", "12", "yy"]])
    assert table == ["a           n  word", "long name   7  x", "b          12  yy"]


# ---- warm starts


def test_a_warm_start_takes_what_fits_and_says_what_does_not(run, folder, nn):
    words = ("train", "points.nn", "--threads", 1, "--device", "cpu", "--warm-start", "runs/one")
    code, _, err = nn(*words, "--steps", 1, "--out", "again")
    assert code == 0
    assert "note: 4 of 4 weights start from runs/one" in err
    first, kept = read_weights(folder / "again"), read_weights(run)
    # One step with a rate of 0.05 leads less than 0.06 away; a new draw lies further off.
    assert all(np.abs(first[n] - kept[n]).max() < 0.06 for n in kept if n.startswith("Sides.") and ":" not in n)
    assert first["step"] == 1
    facts = [json.loads(line) for line in nn("runs", ".", "--format", "json")[1].splitlines()]
    assert [f["settings"].get("start from") for f in facts] == ["runs/one"]

    code, _, err = nn(*words, "--set", "hidden=9", "--steps", 1, "--out", "wider")
    assert code == 0
    assert "note: 1 of 4 weights start from runs/one" in err
    assert "of another shape there, so they begin anew: Sides.hidden.W ([2, 9] here, [2, 4] there)" in err

    code, _, err = nn(*words[:-1], "runs/none")
    assert code == 1
    assert "error[T019]" in err


def test_a_spec_says_where_it_starts(run, folder, nn):
    spec = (folder / "points.nn").read_text()
    (folder / "points.nn").write_text(spec.replace("  seed 3\n", '  seed 3\n  start from "runs/one"\n'))
    assert nn("check", "points.nn")[0] == 0
    code, _, err = nn("train", "points.nn", "--steps", 1, "--out", "again")
    assert code == 0
    assert "note: 4 of 4 weights start from runs/one" in err
    (folder / "points.nn").write_text(spec.replace("  seed 3\n", '  seed 3\n  start from "../runs/one"\n'))
    code, _, err = nn("train", "points.nn", "--steps", 1, "--out", "not")
    assert code == 1
    assert "error[T041]" in err
    assert not (folder / "not").exists() or not any((folder / "not").iterdir())


def test_training_writes_for_tensorboard_when_asked(folder, nn):
    pytest.importorskip("tensorboardX", reason="pip install 'dotnn[tensorboard]'")
    assert nn("train", "points.nn", "--epochs", 2, "--out", "r", "--log", "tensorboard")[0] == 0
    assert [p.name.split(".")[0] for p in (folder / "r" / "tensorboard").iterdir()] == ["events"]
    code, _, err = nn("train", "points.nn", "--epochs", 2, "--out", "s", "--log", "tensorbord")
    assert code == 1
    assert "error[P002]" in err


def test_a_run_that_goes_on_goes_on_with_its_loggers(folder, nn):
    pytest.importorskip("tensorboardX", reason="pip install 'dotnn[tensorboard]'")
    assert nn("train", "points.nn", "--epochs", 2, "--out", "r", "--log", "tensorboard")[0] == 0
    assert nn("resume", "r", "--epochs", 4)[0] == 0
    files = sorted(p for p in (folder / "r" / "tensorboard").iterdir())
    assert len(files) == 2
    assert files[1].stat().st_size > 500


def test_metrics_go_on_in_the_middle_of_an_epoch_with_the_same_bits(folder, nn):
    spec = (folder / "points.nn").read_text()
    lines = "  metric f = f1(argmax(scores) == 1, kind == 1)\n  metric top = max(scores) - min(scores)\n"
    (folder / "points.nn").write_text(spec.replace("  batch 16\n", f"{lines}  batch 16\n"))
    words = ("train", "points.nn", "--threads", 1, "--device", "cpu")
    assert nn(*words, "--steps", 12, "--out", "straight")[0] == 0
    assert nn(*words, "--steps", 8, "--out", "cut")[0] == 0  # 3 of the 5 steps of the second epoch
    assert nn("resume", "cut", "--steps", 12)[0] == 0
    straight, cut = (
        [json.loads(line) for line in (folder / name / "log.jsonl").read_text().splitlines()]
        for name in ("straight", "cut")
    )
    assert [line["step"] for line in cut] == [5, 10, 12]
    for one, other in zip(straight, cut, strict=True):
        assert set(one["train"]) == {"loss", "error", "f", "top"}
        assert (one["train"], one["val"]) == (other["train"], other["val"])


def test_runs_with_tables_are_compared(folder, nn):
    spec = (folder / "points.nn").read_text()
    metric = "  metric mixed = confusion(argmax(scores), kind)\n"
    (folder / "points.nn").write_text(spec.replace("  batch 16\n", f"{metric}  batch 16\n"))
    for name in ("one", "two"):
        more = ("--steps", 3) if name == "two" else ()
        assert nn("train", "points.nn", "--threads", 1, "--device", "cpu", "--out", f"runs/{name}", *more)[0] == 0
    code, out, _ = nn("runs", "compare", "runs/one", "runs/two")
    assert code == 0
    assert "test mixed of runs/one\n" in out
    assert out.count("left  ") >= 1 or out.count("  0  ") >= 1
    heads = nn("runs")[1].splitlines()[0].split()
    assert "mixed" not in heads
    facts = [json.loads(line) for line in nn("runs", "--format", "json")[1].splitlines()]
    assert np.array(facts[0]["test"]["mixed"]).sum() == 24
    code, out, _ = nn("eval", "runs/one", "--on", "test")
    assert "mixed on test: confusion(argmax(scores), kind)" in out
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["left", "right"]
