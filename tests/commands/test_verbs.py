"""Every verb of `nn`, from the words on the command line to what is printed and the exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dotnn.commands
from dotnn.commands import VERBS, desk
from dotnn.commands.predict import _cell
from dotnn.commands.show import definitions
from dotnn.program import Program
from dotnn.spec import Spec

PYTHON = [sys.executable, "-m", "dotnn"]


def events(text):
    return [json.loads(line) for line in text.splitlines()]


# ---- train


def test_train_writes_a_run_and_sums_it_up(folder, nn):
    code, out, err = nn("train", "points.nn", "--threads", 1)
    assert (code, out) == (0, "")
    assert "learns from the data `points`: 72 to learn from, 24 to check itself on, 24 kept for the exam" in err
    assert "always answering" in err
    assert "nn predict runs/points-Sides-001 points.csv" in err
    assert "nn train points.nn --set hidden=8" in err
    assert "\x1b" not in err
    run = folder / "runs" / "points-Sides-001"
    names = {p.name for p in run.iterdir() if not p.name.startswith((".", "ckpt-"))}
    assert names - {"last.safetensors"} == {
        "spec.nn",
        "program.json",
        "started.json",
        "LATEST",
        "log.jsonl",
        "weights.safetensors",
        "predict.onnx",
        "result.json",
    }
    assert (run / "spec.nn").read_text() == (folder / "points.nn").read_text()
    for name in names - {"spec.nn", "program.json", "started.json", "LATEST"}:  # a run's own books are not told
        assert f"runs/points-Sides-001/{name}" in err
    assert nn("train", "points.nn", "--epochs", 1)[0] == 0
    assert (folder / "runs" / "points-Sides-002").is_dir()


def test_train_prints_events_as_promised(folder, nn):
    code, out, err = nn("train", "points.nn:Sides", "--format", "json", "--out", "here")
    assert (code, err) == (0, "")
    *epochs, done = events(out)
    assert [e["epoch"] for e in epochs] == [1, 2, 3, 4, 5, 6]
    assert all(list(e) == ["event", "name", "epoch", "step", "train", "val"] for e in epochs)
    assert list(done) == ["event", "name", "run", "steps", "epochs", "seconds", "train", "val", "test"]
    assert done["run"] == "here"
    assert done["steps"] == epochs[-1]["step"] == 30
    assert done["test"]["error"] < 0.25
    assert min(e["val"]["error"] for e in epochs) == done["val"]["error"]


def test_a_seed_and_a_param_change_the_run(folder, nn):
    def last(*more):
        return events(nn("train", "points.nn", "--format", "json", "--threads", 1, *more)[1])[-1]["train"]

    plain = last()
    assert last() == plain
    assert last("--seed", 9) != plain
    assert last("--set", "hidden=3") != plain


def test_both_backends_agree(folder, nn):
    one, two = (
        events(nn("train", "points.nn", "--format", "json", "--device", "cpu", "--backend", name)[1])[-1]
        for name in ("onnx", "reference")
    )
    for split in ("train", "val", "test"):
        assert one[split] == pytest.approx(two[split], rel=1e-3)


def test_divergence_exits_with_4_and_keeps_what_was_good(folder, nn):
    spec = (folder / "points.nn").read_text()
    (folder / "points.nn").write_text(spec.replace("adam(lr = 0.05)", "sgd(lr = 1e38)"))
    code, _, err = nn("train", "points.nn")
    assert code == 4
    assert "error[T001]" in err
    assert json.loads((folder / "runs/points-Sides-001/result.json").read_text())["ending"] == "diverged"
    assert (folder / "runs/points-Sides-001/weights.safetensors").is_file()


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_cleanly(folder, number, code):
    spec = (folder / "points.nn").read_text().replace("epochs 6", "epochs 1000000")
    (folder / "points.nn").write_text(spec)
    words = [*PYTHON, "train", "points.nn", "--format", "json", "--threads", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["epoch"] == 1
        begun = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert time.monotonic() - begun < 20
    assert err == ""
    assert events(out)[-1]["event"] == "done"
    run = folder / "runs" / "points-Sides-001"
    assert json.loads((run / "result.json").read_text())["ending"] == "interrupted"
    assert (run / "predict.onnx").is_file()


def test_a_run_that_never_begins_leaves_nothing(folder, nn, monkeypatch):
    from dotnn_reference.backend import ReferenceBackend
    from dotnn_reference.problems import NoFormula

    def refuse(self, graph, options):
        raise NoFormula(op="magic").error()

    monkeypatch.setattr(ReferenceBackend, "lower", refuse)
    code, _, err = nn("train", "points.nn", "--backend", "reference")
    assert code == 1
    assert "error[F009]" in err
    assert list((folder / "runs").iterdir()) == []


def test_several_blocks_train_in_turn_and_are_compared(folder, nn):
    spec = (folder / "points.nn").read_text()
    net, train = spec[spec.index("net Sides") : spec.index("train Sides")], spec[spec.index("train Sides") :]
    more = (net + train).replace("Sides", "Line").replace("dense(hidden) as hidden -> tanh -> ", "")
    (folder / "points.nn").write_text(spec + more)
    code, _, err = nn("train", "points.nn")
    assert code == 0
    assert {p.name for p in (folder / "runs").iterdir()} == {"points-Sides-001", "points-Line-001"}
    ending = err[err.index("Side by side:") :].splitlines()
    assert [line.split()[:4] for line in ending[1:4]] == [
        ["numbers", "epochs", "steps", "time"],
        ["Sides", "22", "6", "30"],
        ["Line", "6", "6", "30"],
    ]
    assert ["test", "loss", "error"] in [line.split() for line in ending]
    assert nn("train", "points.nn:Line", "--epochs", 1, "--out", "one")[0] == 0
    assert nn("compile", "points.nn", "-o", "b")[0] == 0
    assert {p.name for p in (folder / "b").iterdir()} == {"Sides", "Line"}
    assert nn("train", "points.nn:Lime")[0] == 1


# ---- predict


def test_predict_names_the_class_and_its_probability(folder, nn):
    assert nn("train", "points.nn", "--set", "hidden=8", "--out", "r")[0] == 0
    code, out, err = nn("predict", "r", "points.csv", "--format", "csv")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head == "answer,probability"
    truth = [row.split(",")[2] for row in (folder / "points.csv").read_text().splitlines()[1:]]
    answers = [line.split(",")[0] for line in lines]
    assert len(answers) == len(truth)
    assert sum(a == t for a, t in zip(answers, truth, strict=True)) > 100
    assert all(0.5 <= float(line.split(",")[1]) <= 1 for line in lines)
    assert nn("predict", "r/predict.onnx", "-0.9", "0")[1].split()[0] == "left"
    assert json.loads(nn("predict", "r", "a=0.9", "b=0", "--format", "json")[1])["answer"] == "right"
    assert nn("predict", "r", "points.csv", "--backend", "reference", "--format", "csv")[1].splitlines()[0] == head


def test_predict_says_what_is_missing(folder, nn):
    code, _, err = nn("predict", "nowhere", "1", "2")
    assert code == 1
    assert "error[T019]" in err
    assert nn("train", "points.nn", "--epochs", 1, "--out", "r")[0] == 0
    code, _, err = nn("predict", "r", "1")
    assert code == 1
    assert "error[D039]" in err


def test_cells_are_safe_in_a_spreadsheet():
    assert [_cell(v) for v in ("=1+1", "-x", 'a"b', "a,b", -1.5)] == ["'=1+1", "'-x", '"a""b"', '"a,b"', "-1.5"]


# ---- check, compile, show, ir


def test_check_says_what_a_spec_is_and_goes_on_after_a_wrong_one(folder, nn):
    code, out, err = nn("check", "points.nn")
    assert code == 0
    assert out.startswith("points.nn: fine\n")
    (folder / "bad.nn").write_text("net {\n")
    code, out, err = nn("check", "bad.nn", "points.nn")
    assert code == 1
    assert "points.nn: fine" in out
    assert "error[" in err
    assert not (folder / "runs").exists()


def test_compile_writes_a_bundle_once_and_again(folder, nn):
    code, out, _ = nn("compile", "points.nn", "-o", "build/points")
    assert code == 0
    files = {p.name for p in (folder / "build" / "points").iterdir()}
    assert {"init.onnx", "train.onnx", "eval.onnx", "predict.onnx", "order.onnx", "manifest.json", "spec.nn"} <= files
    assert {line.rsplit("/", 1)[-1] for line in out.splitlines()} == files
    assert nn("compile", "points.nn", "-o", "build/points")[0] == 0
    code, _, err = nn("compile", "points.nn", "-o", ".")
    assert code == 1
    assert "error[C004]" in err


def test_the_host_script_ends_with_the_weights_of_nn_train(folder, nn):
    import numpy as np

    from dotnn.training.run import read_weights

    spec = (folder / "points.nn").read_text().replace("  keep best val.error\n", "")
    (folder / "points.nn").write_text(spec)
    assert nn("train", "points.nn", "--threads", 1, "--device", "cpu", "--out", "r")[0] == 0
    assert nn("compile", "points.nn", "-o", "b", "--host", "python")[0] == 0
    subprocess.run([sys.executable, "-I", "b/host.py", "1"], capture_output=True, timeout=60, check=True)
    kept = read_weights(folder / "r")
    with np.load(folder / "b" / "weights.npz") as hosted:
        assert {name: hosted[name].tobytes() for name in hosted} == {name: a.tobytes() for name, a in kept.items()}


def test_show_prints_definitions_operations_and_files(folder, nn):
    code, out, _ = nn("show", "dense")
    assert code == 0
    assert "layer dense(" in out
    assert out.splitlines()[1].startswith("#")
    code, out, _ = nn("show", "Sides", "points.nn")
    assert "# Two numbers go in" in out
    assert out.rstrip().endswith("}")
    code, out, _ = nn("show", "matmul")
    assert out.startswith("operation matmul:")
    assert "g @ b.T" in out
    code, out, _ = nn("show", "sort")
    assert out.startswith("word sort: `sort(x)`")
    assert "settings: over, falling" in out
    code, out, _ = nn("show", "points.nn")
    assert "Sides: 22 numbers to learn" in out
    assert "Sides.hidden" in out
    code, _, err = nn("show", "dens")
    assert code == 1
    assert "did you mean `dense`?" in err


def test_definitions_are_found_whole():
    first = '# Doc.\n# More.\nlayer a(x = "}")(y: [n]) {\n  if x {\n    z = 1 # }\n  }\n}'
    text = f"{first}\n\nfunction b(x) {{ return x }}\n"
    found = list(definitions(text))
    assert [(d.word, d.name, d.line) for d in found] == [("layer", "a", 3), ("function", "b", 9)]
    assert found[0].text == first


def test_ir_prints_the_tree_the_graphs_and_their_schemas(folder, nn):
    assert Spec.model_validate_json(nn("ir", "spec", "points.nn")[1]).file.endswith("points.nn")
    code, out, _ = nn("ir", "graph", "points.nn")
    assert code == 0
    assert "matmul(" in out
    before = nn("ir", "graph", "points.nn", "--after", "build")[1]
    assert 0 < len(before) < len(out)
    program = Program.model_validate_json(nn("ir", "graph", "points.nn", "--format", "json")[1])
    assert str(program.graphs["train"]) in out
    assert "properties" in json.loads(nn("ir", "graph", "--schema")[1])
    assert nn("ir", "graph")[0] == 2


# ---- all of them


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_wants_its_words(verb, nn):
    code, out, _ = nn(verb, "--help")
    assert code == 0
    assert out.startswith(f"Usage: nn {verb}")
    code, out, err = nn(verb)
    if verb == "runs":  # which says what is missing, and how to get it
        assert (code, out) == (1, "")
        assert "help:" in err
        return
    if verb == "plugins":  # which needs no word
        assert (code, out.split()[:3]) == (0, ["kind", "name", "from"])
        return
    assert (code, out) == (2, "")
    assert "Usage" in err


def test_the_version(nn):
    assert nn("--version")[1].startswith("nn 0.")


@pytest.mark.parametrize("verb", ["check", "train", "show"])
def test_a_file_that_cannot_be_read_is_a_problem(folder, nn, verb):
    code, out, err = nn(verb, "pionts.nn")
    assert (code, out) == (1, "")
    assert "error[C001]" in err
    assert "points.nn" in err
    (folder / "a.nn").mkdir()
    code, _, err = nn(verb, "a.nn")
    assert code == 1
    assert "error[C002]" in err


@pytest.mark.parametrize("text", ["hidden", "=3", "hidden=", "2x=1"])
def test_a_setting_without_name_or_value(folder, nn, text):
    code, _, err = nn("check", "points.nn", "--set", text)
    assert code == 1
    assert "error[C003]" in err


def test_a_bug_of_ours_says_so_and_shows_its_traceback_only_when_asked(folder, nn, monkeypatch):
    def broken(texts):
        raise RuntimeError("out of order")

    monkeypatch.setattr(desk, "settings", broken)
    code, out, err = nn("check", "points.nn")
    assert (code, out) == (3, "")
    assert "a bug of nn, not yours: RuntimeError: out of order" in err
    assert "Traceback" not in err
    code, _, err = nn("check", "points.nn", "--debug")
    assert code == 3
    assert "Traceback" in err


def test_ctrl_c_before_training_exits_with_130(folder, nn, monkeypatch):
    def interrupted(texts):
        raise KeyboardInterrupt

    monkeypatch.setattr(desk, "settings", interrupted)
    assert nn("check", "points.nn")[0] == 130


def test_a_stray_module_beside_the_spec_is_not_imported(folder):
    for name in ("csv", "numpy", "typer", "json"):
        (folder / f"{name}.py").write_text("raise SystemExit('a stray module was imported')\n")
    found = subprocess.run([*PYTHON, "show", "dense"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert "layer dense(" in found.stdout


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from dotnn.commands import application; application(); "
        "print([m for m in ('numpy', 'onnx', 'onnxruntime', 'pydantic', 'lark', 'rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"


def test_the_verbs_are_the_files():
    here = Path(dotnn.commands.__file__).parent
    assert sorted(f.stem for f in here.glob("*.py")) == sorted(
        [*VERBS, "__init__", "desk", "options", "plugin", "sets", "several"]
    )
