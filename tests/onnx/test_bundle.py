"""The files of a bundle: complete, the same bytes each time, enough for a host that knows nothing of dotnn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import onnx
from dotnn.compiler import compile_file
from dotnn.plugins import Options
from dotnn_grammar.problems import ProblemError
from dotnn_onnx.bundle import bake, write
from dotnn_onnx.manifest import Manifest
from dotnn_onnx.plugin import OnnxBackend


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_file_is_there_and_comes_out_the_same_again(nets, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        paths = OnnxBackend().write(nets.program(), "net Net\n", folder, Options())
        assert sorted(p.name for p in paths) == sorted(contents(folder))
    assert list(contents(first)) == [
        "init.onnx", "manifest.json", "order.onnx", "predict.onnx", "spec.nn", "train.onnx",
    ]  # fmt: skip
    assert contents(first) == contents(second)
    OnnxBackend().write(nets.program(), "net Net\n", first, Options())
    assert contents(first) == contents(second)
    assert contents(first)["spec.nn"] == b"net Net\n"


def test_the_manifest_says_what_the_files_say(nets, tmp_path):
    write(nets.program(), "", tmp_path, Options())
    text = (tmp_path / "manifest.json").read_text()
    manifest = Manifest.model_validate_json(text)
    plain = json.loads(text)
    assert plain["format"] == 1
    assert plain["opset"] == 21
    assert plain["spec"] == {"name": "net.nn", "sha256": "0" * 64}
    assert plain["objective"]["loss"] == "cross_entropy(logits, label)"
    assert plain["plan"]["batch"] == 7
    assert [column["name"] for column in plain["data"]["inputs"]] == ["x", "label"]
    assert plain["graphs"]["train"]["inputs"][0] == {"name": "x", "dtype": "f32", "shape": ["b", 6], "role": "data"}
    for graph in manifest.graphs.values():
        model = onnx.load(tmp_path / graph.file)
        for told, info in ((graph.inputs, model.graph.input), (graph.outputs, model.graph.output)):
            shapes = [tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim) for v in info]
            assert [(t.name, t.shape) for t in told] == list(zip([v.name for v in info], shapes, strict=True))
    assert manifest.graphs["train"].state[:2] == (("W", "W.next"), ("c", "c.next"))
    assert all(after == f"{name}.next" for name, after in manifest.graphs["train"].state)


def test_a_folder_that_cannot_be_written_is_told(nets, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ProblemError, match="X006"):
        write(nets.program(), "", blocked, Options())


def test_an_interrupted_write_leaves_the_former_file(nets, tmp_path, monkeypatch):
    write(nets.program(), "one", tmp_path, Options())
    before = contents(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ProblemError, match="No space left on device"):
        write(nets.program(), "two", tmp_path, Options())
    assert contents(tmp_path) == before


def test_a_net_with_its_weights_inside(nets, rows):
    program = nets.program()
    state = nets.state(program.graphs["train"])
    model = bake(program, state)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [fed.name for fed in session.get_inputs()] == ["x"]
    (logits,) = session.run(None, {"x": rows["x"]})
    want = nets.start(program.graphs["predict"]).run({"x": rows["x"], **{n: state[n] for n in ("W", "c", "V")}})
    np.testing.assert_allclose(logits, want["logits"], rtol=1e-6, atol=1e-6)
    assert bake(program, state) == model


def test_weights_that_only_a_loop_reads_are_inside(tmp_path):
    """No kernel knows this loop: `u` is read in the graph of one step, and nowhere else."""
    graphs = Path(__file__).parents[1] / "graphs"
    for name in ("scan.nn", "line.csv"):
        (tmp_path / name).write_bytes((graphs / name).read_bytes())
    program = compile_file(tmp_path / "scan.nn").program
    states = [fed.name for fed in program.graphs["predict"].inputs if fed.role == "state"]
    model = onnx.load_from_string(bake(program, {name: np.array(0.5, np.float32) for name in states}))
    assert "Scan" in {node.op_type for node in model.graph.node}
    assert {tensor.name for tensor in model.graph.initializer} >= set(states)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    h, want = 0.0, session.run(["guess"], {"x": np.array([0.3], np.float32)})[0]
    for number in range(1, 6):
        h = np.tanh(0.5 * 0.3 * number + 0.5 * h)
    np.testing.assert_allclose(want, [h], rtol=1e-6)


# ---- host


def trained(nets, program, rows):
    """What `nn train` does, but for stopping and keeping."""
    machines = {name: nets.start(graph) for name, graph in program.graphs.items()}
    seed, count, batch = np.array(program.plan.seed), len(rows["label"]), program.plan.batch
    session = machines["train"].train(machines["init"].run({"seed": seed}))
    left = program.plan.steps or program.plan.epochs * -(-count // batch)
    epoch = 0
    while left:
        order = machines["order"].run({"seed": seed, "epoch": np.array(epoch), "n": np.array(count)})["order"]
        assert sorted(order) == list(range(count))
        for first in range(0, count, batch):
            if left:
                session.step({name: array[order[first : first + batch]] for name, array in rows.items()})
                left -= 1
        epoch += 1
    return session.state()


BLIND = """
import runpy, sys
class Blind:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("dotnn"):
            raise ImportError(name)
sys.meta_path.insert(0, Blind())
sys.argv = ["host.py", "1"]
runpy.run_path("host.py", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("batch", "epochs", "steps"), [(1, 1, None), (7, 3, None), (32, 3, None), (7, None, 10), (7, None, 3)]
)
def test_the_host_program_ends_with_the_same_weights(nets, rows, tmp_path, batch, epochs, steps):
    program = nets.program(batch, epochs, steps)
    paths = OnnxBackend().write(program, "", tmp_path, Options(), host="python", arrays=rows)
    assert {p.name for p in paths} >= {"host.py", "x.npy", "label.npy"}
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", BLIND],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("epoch 1: loss ")
    assert len(run.stdout.splitlines()) == (epochs or -(-(steps or 0) // 7))
    want = trained(nets, program, rows)
    with np.load(tmp_path / "weights.npz") as made:
        assert sorted(made.files) == sorted(want)
        for name, array in want.items():
            np.testing.assert_array_equal(made[name], array, err_msg=name)


def test_the_host_program_is_short_and_plain(nets):
    file, text = OnnxBackend().host(nets.program(), "python")
    assert file == "host.py"
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 120
    imported = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"json", "sys", "pathlib", "numpy", "onnxruntime"}


def test_an_unknown_host_is_refused(nets):
    with pytest.raises(ProblemError, match="X007"):
        OnnxBackend().host(nets.program(), "cobol")
