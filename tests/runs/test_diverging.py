"""Numbers that run away: exit code 4, the last good weights, and the line of the spec where it began."""

import json
import threading
import time

import numpy as np
import pytest

from dotnn import plugins
from dotnn.graph import Dtype, Type
from dotnn.plugins import Interrupted
from dotnn.tape import Tape
from dotnn.training.blame import MOST, blame
from dotnn.training.store import checkpoints, newest
from dotnn_onnx.session import TrainSession


@pytest.mark.parametrize(
    ("old", "new", "op", "said"),
    [
        ("  scores = place", "  raw = place", "log", "only those above 0 have a logarithm"),
        ("lr = cosine(from = 0.05)", "lr = 1e38", "", "the largest number of f32 is 3.4e+38"),
    ],
)
def test_the_first_operation_and_its_line_are_named(place, nn, old, new, op, said):
    spec = place / "small.nn"
    text = spec.read_text().replace(old, new)
    if op:
        text = text.replace("-> dense(2)\n", "-> dense(2)\n  scores = log(raw)  # of what may be negative\n")
    spec.write_text(text)
    code, _, err = nn("train", "small.nn", "--out", "run", "--device", "cpu", "--checkpoint-every", "1 step")
    assert code == 4, err
    assert "error[T001]: the numbers ran away: step" in err
    assert said in err
    if op:
        line = 1 + text.split("\n").index("  scores = log(raw)  # of what may be negative")
        assert f"small.nn:{line}" in err
        assert "| " in err
        assert "scores = log(raw)" in err
        assert "`log`" in err
    result = json.loads((place / "run" / "result.json").read_text())
    assert result["ending"] == "diverged"
    found = checkpoints(place / "run")
    assert [step for step, _ in found[:1]] == ([] if op else [result["steps"] - 1])
    if found:
        state = newest(place / "run").snapshot.state
        assert all(np.isfinite(array).all() for array in state.values())


F: Dtype = "f32"


def graph_of(make):
    tape = Tape("train")
    w = tape.input("w", Type(dtype=F, dims=(3,)), "state", learned=True)
    x = tape.input("x", Type(dtype=F, dims=("b", 3)), "data")
    tape.output("loss", make(tape, w, x), "loss")
    return tape.graph()


@pytest.mark.parametrize(
    ("make", "op", "cause"),
    [
        (lambda t, w, x: t.add("log", x - 2.0).sum(), "log", "only those above 0"),
        (lambda t, w, x: t.add("sqrt", w - 9.0).sum(), "sqrt", "a square root"),
        (lambda t, w, x: t.add("exp", x * 100.0).sum(), "exp", "numbers up to 100"),
        (lambda t, w, x: (x / (w - w)).sum(), "div", "by 0"),
        (lambda t, w, x: (x * 3e38 * 2.0).sum(), "mul", "the largest number"),
        # An endless number that never reaches the loss is not to blame.
        (lambda t, w, x: t.add("exp", -t.add("exp", x * 100.0)).sum() + t.add("log", x - 2.0).sum(), "log", "above 0"),
    ],
)
@pytest.mark.parametrize("most", [MOST, 0], ids=["every value kept", "folded as it goes"])
def test_what_is_to_blame(make, op, cause, most):
    feeds = {"w": np.array([0.5, 1, 2], np.float32), "x": np.ones((4, 3), np.float32)}
    found = blame(graph_of(make), feeds, most)
    assert found is not None
    assert f"`{op}`" in found.words
    assert cause in found.cause


def test_a_large_step_and_a_small_one_blame_the_same():
    """A step whose values hold four million numbers, by both ways: the words agree to the letter."""
    w, x = np.array([0.5, 1, 2], np.float32), np.ones((400_000, 3), np.float32)
    x[123_456, 2] = -3
    graph = graph_of(lambda t, w, x: t.add("sqrt", x * w + 1.0).sum() + t.add("sigmoid", x).sum())
    small, large = (blame(graph, {"w": w, "x": x}, most) for most in (2**30, 0))
    assert small is not None
    assert small == large
    assert "from -5 to 3, and only those from 0 on have a square root" in small.cause


@pytest.mark.parametrize("most", [MOST, 0])
def test_data_that_is_no_number_is_to_blame(most):
    x = np.ones((4, 3), np.float32)
    x[2, 1] = np.nan
    found = blame(graph_of(lambda t, w, x: (x * w).sum()), {"w": np.ones(3, np.float32), "x": x}, most)
    assert found is not None
    assert "the data `x`" in found.words
    assert "row 3 of the batch" in found.cause
    x[2, 1] = 1
    assert blame(graph_of(lambda t, w, x: (x * w).sum()), {"w": np.ones(3, np.float32), "x": x}) is None


def test_a_long_step_is_given_up_and_the_state_is_whole():
    """In a chain of products that takes a second or more, the session is asked to stop; then it goes on as ever."""
    size, products = 700, 160
    tape = Tape("train")
    w = tape.input("w", Type(dtype=F, dims=(size, size)), "state", learned=True)
    x = tape.input("x", Type(dtype=F, dims=("b", size)), "data")
    y = x
    for _ in range(products):
        y = tape.add("tanh", y @ w)
    tape.output("w.next", w * 0.5, "state")
    tape.output("loss", (y * y).sum(), "loss")
    onnx, options = plugins.backend("onnx"), plugins.Options(threads=1)
    executor = onnx.start(onnx.lower(tape.graph(), options), options)
    start = {"w": np.full((size, size), 0.01, np.float32)}
    session = executor.train(start)
    assert isinstance(session, TrainSession)
    batch = {"x": np.ones((size, size), np.float32)}
    begun = time.monotonic()
    session.step(batch)
    whole = time.monotonic() - begun
    session.load(start)
    threading.Timer(whole / 5, session.interrupt).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        session.step(batch)
    assert time.monotonic() - begun < 0.8 * whole
    assert session.state()["w"].tobytes() == start["w"].tobytes()
    session.interrupt(False)
    session.step(batch)
    assert session.state()["w"].tobytes() == (start["w"] * np.float32(0.5)).tobytes()
    former = session.former()["w"]
    assert former.tobytes() == start["w"].tobytes()
