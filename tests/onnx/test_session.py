"""Running: states in two sets of buffers, batches of any length, errors with their place in the spec."""

from __future__ import annotations

import gc

import numpy as np
import onnxruntime as ort
import pytest

from dotnn.graph import At, Type
from dotnn.plugins import Executor, Options, Session, backends
from dotnn.tape import Tape
from dotnn_grammar.problems import ProblemError
from dotnn_onnx import device
from dotnn_onnx.plugin import OnnxBackend


def batches(rows, size):
    count = len(rows["label"])
    for first in range(0, count, size):
        yield {name: array[first : first + size] for name, array in rows.items()}


def plainly(executor, state, rows, size):
    """Training by one run after the other, each with arrays of its own."""
    for batch in batches(rows, size):
        made = executor.run({**state, **batch})
        state = {name: made[f"{name}.next"] for name in state}
    return state


def test_it_comes_in_by_the_hooks():
    backend = backends()["onnx"]
    assert isinstance(backend, OnnxBackend)
    assert backend.summary


@pytest.mark.parametrize("size", [1, 7, 43])
@pytest.mark.parametrize("threads", [1, 2])
def test_two_sets_of_buffers_give_what_single_runs_give(nets, rows, size, threads):
    graph = nets.train()
    executor = nets.start(graph, Options(threads=threads))
    start = nets.state(graph)
    session = executor.train(start)
    for batch in batches(rows, size):
        session.step(batch)
    want = plainly(executor, start, rows, size)
    have = session.state()
    assert list(have) == [fed.name for fed in graph.inputs if fed.role == "state"]
    for name in want:
        np.testing.assert_array_equal(have[name], want[name], err_msg=name)
    assert have["step"] == -(-43 // size)


def test_results_are_numbers_of_the_step(nets, rows):
    graph = nets.train()
    executor = nets.start(graph)
    session = executor.train(nets.state(graph))
    for batch in batches(rows, 7):
        want = executor.run(batch, session)["loss"]
        out = session.step(batch)
        assert set(out) == {"loss"}
        np.testing.assert_array_equal(out["loss"], want)


def test_a_state_that_was_handed_out_stays_as_it_is(nets, rows):
    session = nets.start(nets.train()).train(nets.state(nets.train()))
    before = session.state()
    kept = {name: array.copy() for name, array in before.items()}
    for batch in batches(rows, 7):
        session.step(batch)
    for name, array in before.items():
        np.testing.assert_array_equal(array, kept[name])
    assert any((session.state()[name] != kept[name]).any() for name in kept)


def test_arrays_of_the_caller_are_read_and_never_written(nets, rows):
    given = nets.state(nets.train())
    kept = {name: array.copy() for name, array in {**given, **rows}.items()}
    session = nets.start(nets.train()).train(given)
    for _ in range(3):
        session.step(rows)
    for name, array in {**given, **rows}.items():
        np.testing.assert_array_equal(array, kept[name])


def test_what_a_run_gives_outlives_its_session(nets, rows):
    executor = nets.start(nets.train())
    made = executor.run({**nets.state(nets.train()), **rows})
    kept = {name: array.copy() for name, array in made.items()}
    del executor
    gc.collect()
    _ = [np.full(1000, 7.0) for _ in range(100)]
    for name, array in made.items():
        assert array.flags.owndata or array.base is not None
        np.testing.assert_array_equal(array, kept[name])


def test_going_back_to_an_earlier_state(nets, rows):
    session = nets.start(nets.train()).train(nets.state(nets.train()))
    session.step(rows)  # an odd number of steps: the other set of buffers is the current one
    early = session.state()
    first = float(session.step(rows)["loss"])
    for _ in range(3):
        session.step(rows)
    session.load(early)
    assert float(session.step(rows)["loss"]) == first
    assert session.state()["step"] == 2


def test_another_graph_reads_the_weights_of_a_session(nets, rows):
    train = nets.train()
    session = nets.start(train).train(nets.state(train))
    predict = nets.start(nets.program().graphs["predict"])
    for _ in range(2):
        session.step(rows)
        want = predict.run({**{n: v for n, v in session.state().items() if n in "WcV"}, "x": rows["x"]})["logits"]
        np.testing.assert_array_equal(predict.run({"x": rows["x"]}, session)["logits"], want)


def test_results_of_unknown_size_follow_the_batch(nets, rows):
    tape = Tape("loose")
    x = tape.input("x", Type(dtype="f32", dims=("b", 2)), "data")
    w = tape.input("w", Type(dtype="f32", dims=(2,)), "state")
    fixed = tape.input("fixed", Type(dtype="f32"), "state")
    tape.output("rows", x * w * fixed, "output")
    tape.output("w.next", w + 1, "state")
    tape.output("loss", x.sum(), "loss")
    session = nets.start(tape.graph()).train({"w": np.zeros(2, np.float32), "fixed": np.float32(2)})
    for count in (3, 1, 4, 4):
        out = session.step({"x": np.ones((count, 2), np.float32)})
        w = session.state()["w"][0] - 1
        assert out["rows"].tolist() == [[2 * w, 2 * w]] * count
        assert out["loss"] == 2 * count
    assert session.state()["fixed"] == 2


@pytest.mark.parametrize("make", [lambda a: a[::2], lambda a: a.astype(np.float64), lambda a: np.asfortranarray(a)])
def test_batches_in_another_form_are_understood(nets, make):
    tape = Tape("forms")
    x = tape.input("x", Type(dtype="f32", dims=("b", 3)), "data")
    w = tape.input("w", Type(dtype="f32"), "state")
    tape.output("w.next", w + x.sum(), "state")
    tape.output("loss", (x * x).sum(), "loss")
    array = make(np.arange(12, dtype=np.float32).reshape(4, 3))
    session = nets.start(tape.graph()).train({"w": np.float32(0)})
    assert session.step({"x": array})["loss"] == (array**2).sum()
    assert session.state()["w"] == array.sum()


def test_an_error_of_the_runtime_has_its_line(nets, rows):
    session = nets.start(nets.train()).train(nets.state(nets.train()))
    before = session.state()
    with pytest.raises(ProblemError) as caught:
        session.step({**rows, "label": rows["label"] + 3})
    (problem,) = caught.value.problems
    assert problem.code == "X004"
    assert problem.span is not None
    assert (problem.span.file, problem.span.line) == ("net.nn", 9)
    assert "`pick`" in problem.title_text or "`place`" in problem.title_text
    assert problem.help_text == "it says: GatherElements op: Out of range value in index tensor"
    assert "GatherElements node" in problem.notes[0].text
    for name, array in session.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_an_error_of_the_runtime_has_its_words(nets):
    """Where one place alone fits the node's name; else the line is all that is known of it."""
    words = At(file="net.nn", line=9, column=8, end_line=9, end_column=20)
    for others, column in ((), 8), ((words.model_copy(update={"column": 30, "end_column": 31}),), 1):
        tape = Tape("one")
        x = tape.input("x", Type(dtype="f32", dims=("b", 3)), "data")
        label = tape.input("label", Type(dtype="i64", dims=("b",)), "label")
        for number, at in enumerate((words, *others)):
            with tape.at(at):
                tape.output(f"y.{number}", tape.add("pick", x + number, label), "output")
        fed = {"x": np.ones((2, 3), np.float32), "label": np.array([0, 7])}
        with pytest.raises(ProblemError, match="X004") as caught:
            nets.start(tape.graph()).run(fed)
        span = caught.value.problems[0].span
        assert span is not None
        assert (span.line, span.column) == (9, column)


def test_an_error_of_a_single_run_has_its_line(nets, rows):
    with pytest.raises(ProblemError, match="X004") as caught:
        nets.start(nets.train()).run({**nets.state(nets.train()), **rows, "label": rows["label"] + 3})
    assert caught.value.problems[0].span is not None


@pytest.mark.parametrize("missing", ["x", "label"])
def test_what_is_not_fed_is_named(nets, rows, missing):
    graph = nets.train()
    executor = nets.start(graph)
    fed = {name: array for name, array in rows.items() if name != missing}
    with pytest.raises(ProblemError, match=f"F001 nothing was given for `{missing}`, .*which the graph `train` needs"):
        executor.train(nets.state(graph)).step(fed)
    with pytest.raises(ProblemError, match=f"F001 nothing was given for `{missing}`, .*which the graph `train` needs"):
        executor.run({**nets.state(graph), **fed})


def test_a_state_that_is_missing_or_misshapen_is_named(nets):
    graph = nets.train()
    state = nets.state(graph)
    with pytest.raises(ProblemError, match="F001 nothing was given for `V`, "):
        nets.start(graph).train({name: array for name, array in state.items() if name != "V"})
    with pytest.raises(ProblemError, match="F003") as caught:
        nets.start(graph).train({**state, "V": np.zeros((1, 1), np.float32)})
    assert "`V`, which is" in caught.value.problems[0].title_text


def test_small_graphs_are_run_by_one_thread(nets, monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 3)
    threads = [
        nets.start(nets.train(*sizes), Options(threads=asked)).session.get_session_options().intra_op_num_threads
        for sizes, asked in (((6, 5, 3), None), ((784, 512, 10), None), ((6, 5, 3), 2))
    ]
    assert threads == [1, 3, 2]


# ---- devices


def test_auto_takes_the_cpu_where_there_is_no_cuda(nets, monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert nets.start(nets.train(), Options(device="auto")).device == "cpu"


@pytest.mark.parametrize(
    ("providers", "packages", "said"),
    [
        (["CPUExecutionProvider"], {"onnxruntime"}, "this build of onnxruntime has no CUDA"),
        (["CPUExecutionProvider"], {"onnxruntime", "onnxruntime-gpu"}, "both onnxruntime and onnxruntime-gpu"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], {"onnxruntime-gpu"}, "no NVIDIA GPU is to be seen"),
    ],
)
def test_what_is_missing_for_cuda_is_said(nets, monkeypatch, providers, packages, said):
    monkeypatch.setattr(ort, "get_available_providers", lambda: providers)
    monkeypatch.setattr(device, "_installed", lambda package: package in packages)
    monkeypatch.setattr(device, "_has_gpu", lambda: False)
    with pytest.raises(ProblemError, match="X002") as caught:
        nets.start(nets.train(), Options(device="cuda"))
    assert said in caught.value.problems[0].title_text
    assert "--device cpu" in caught.value.problems[0].help_text


def test_an_unknown_device_is_refused(nets):
    with pytest.raises(ProblemError, match="X003 there is no device called `gpu`"):
        nets.start(nets.train(), Options(device="gpu"))


@pytest.mark.cuda
def test_cuda_trains_as_the_cpu_does(nets, rows):
    try:
        chosen = device.choose("cuda")
    except ProblemError as error:
        pytest.skip(str(error))
    assert chosen == "cuda"
    graph = nets.train()
    sessions = [nets.start(graph, Options(device=d)).train(nets.state(graph)) for d in ("cpu", "cuda")]
    for batch in batches(rows, 7):
        losses = [float(session.step(batch)["loss"]) for session in sessions]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for here, there in zip(*(session.state().values() for session in sessions), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4)


def test_the_protocols_are_kept(nets):
    executor: Executor = nets.start(nets.train())
    session: Session = executor.train(nets.state(nets.train()))
    assert session.state()
