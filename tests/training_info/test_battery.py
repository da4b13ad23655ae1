"""Each operation, as ONNX's evaluator computes what this dialect writes for it."""

import numpy as np
import pytest

import onnx
from dotnn.graph import Type
from dotnn.operation import operations
from dotnn.tape import Tape
from dotnn.testing import cases_of
from dotnn_training_info.model import alone

OPERATIONS = [operation.name for operation in operations()]


@pytest.mark.parametrize("op", OPERATIONS)
def test_the_evaluator_agrees_with_the_reference(op, tools):
    for case in cases_of(op, each=4):
        onnx.checker.check_model(alone(case.graph), full_check=True)
        made, wanted = tools.own(case.graph).run(case.feeds)["y"], tools.judge(case.graph).run(case.feeds)["y"]
        assert (made.dtype, made.shape) == (wanted.dtype, wanted.shape), str(case)
        if made.dtype.kind != "f":
            np.testing.assert_array_equal(made, wanted, str(case))
        else:
            limit = 2e-3 if made.dtype == np.float16 else 1e-5
            np.testing.assert_allclose(made, wanted, rtol=limit, atol=1e-6, err_msg=str(case))


def test_a_share_too_small_for_single_precision_keeps_its_logarithm(tools):
    tape = Tape("far")
    tape.output("y", tape.add("log_softmax", tape.input("x", Type(dtype="f32", dims=(2,)), "data")), "output")
    assert tools.own(tape.graph()).run({"x": np.array([0, 200], np.float32)})["y"].tolist() == [-200, 0]


def test_one_of_many_is_picked(tools):
    tape = Tape("many")
    x = tape.input("x", Type(dtype="f32", dims=("b", 2, 50)), "data")
    i = tape.input("i", Type(dtype="i64", dims=("b", 2)), "data")
    tape.output("y", tape.add("pick", x, i), "output")
    feeds = {"x": np.arange(300, dtype=np.float32).reshape(3, 2, 50), "i": np.array([[0, 49], [7, 33], [48, 1]])}
    assert tools.own(tape.graph()).run(feeds)["y"].tolist() == [[0, 99], [107, 183], [248, 251]]


def test_random_bits_are_the_same(tools):
    tape = Tape("bits")
    key = tape.add("derive_key", tape.input("seed", Type(dtype="i64"), "seed"))
    step = tape.input("step", Type(dtype="i64"), "state")
    for bits in (16, 24):
        tape.output(f"u{bits}", tape.add("random", key, step, dims=(77, 3), use="N.W#0", bits=bits), "output")
    tape.output("key", key, "output")
    n = tape.input("n", Type(dtype="i64"), "seed")
    tape.output("order", tape.add("shuffle", key, step, n), "output")
    for seed, count in ((0, 0), (7, 12345), (-1, 2**40), (2**62, 3)):
        feeds = {"seed": np.array(seed), "step": np.array(count), "n": np.array(500)}
        made, wanted = tools.own(tape.graph()).run(feeds), tools.judge(tape.graph()).run(feeds)
        for name in wanted:
            np.testing.assert_array_equal(made[name], wanted[name])


def test_places_of_the_greatest_count_through_the_whole_tensor(tools):
    """With a stride of 1 too, where ONNX's own evaluator counts from each channel anew."""
    tape = Tape("greatest")
    x = tape.input("x", Type(dtype="f64", dims=(2, 2, 4)), "data")
    g = tape.input("g", Type(dtype="f64", dims=(2, 2, 3)), "data")
    how = {"size": (2,), "stride": (1,), "dilation": (1,), "before": (0,), "after": (0,)}
    tape.output("y", tape.add("window_put", g, x, **how), "output")
    feeds = {"x": np.array([[[3, 1, 2, 0]] * 2] * 2, np.float64), "g": np.arange(1, 13.0).reshape(2, 2, 3)}
    wanted = [[[1, 0, 5, 0], [4, 0, 11, 0]], [[7, 0, 17, 0], [10, 0, 23, 0]]]
    assert tools.own(tape.graph()).run(feeds)["y"].tolist() == wanted


def test_one_of_a_hundred_is_taken(tools):
    tape = Tape("long")
    x = tape.input("x", Type(dtype="f64", dims=(2, 100)), "data")
    i = tape.input("i", Type(dtype="i64", dims=(2, 3)), "data")
    tape.output("y", tape.add("take", x, i, axis=1), "output")
    feeds = {"x": np.arange(200.0).reshape(2, 100), "i": np.array([[99, 0, 64], [5, 5, 70]])}
    assert tools.own(tape.graph()).run(feeds)["y"].tolist() == [[99, 0, 64], [105, 105, 170]]
