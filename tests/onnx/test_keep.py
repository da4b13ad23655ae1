"""Run again and again: what is handed on stays where it lies, and every step gives what feeding it anew gives."""

from __future__ import annotations

import numpy as np
import pytest

from dotnn.arrays import Array
from dotnn.graph import Graph, Type
from dotnn.plugins import Keeping
from dotnn.tape import Tape
from dotnn_grammar.problems import ProblemError
from dotnn_onnx.keep import written_in_place

PLACES = 5


def writing(reads_old: bool = False) -> Graph:
    """Writes each new number into a cache and adds up what is there; counts on; weighs by what never changes."""
    tape = Tape("next")
    new = tape.input("new", Type(dtype="f32", dims=("b",)), "data")
    place = tape.input("place", Type(dtype="i64"), "position")
    cache = tape.input("cache", Type(dtype="f32", dims=("b", 2, PLACES)), "cache")
    count = tape.input("count", Type(dtype="f32", dims=("b",)), "cache")
    weight = tape.input("weight", Type(dtype="f32", dims=("b", 1)), "cache")
    row = new.reshape(("b", 1, 1)).expand(("b", 2, 1))
    written = tape.add("overwrite", cache, row, place, axis=2)
    tape.output("sum", written.sum((2,)) * weight + (cache.sum((2,)) if reads_old else 0.0), "output")
    tape.output("cache.next", written, "cache")
    tape.output("count.next", count + new, "cache")
    return tape.graph()


def given(rows: int = 3) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(2)
    dims = {"cache": (rows, 2, PLACES), "count": (rows,), "weight": (rows, 1)}
    return {name: numbers.normal(size=shape).astype(np.float32) for name, shape in dims.items()}


@pytest.mark.parametrize("reads_old", [False, True])
def test_steps_give_what_feeding_anew_gives(nets, reads_old):
    graph = writing(reads_old)
    assert written_in_place(graph) == (set() if reads_old else {"cache"})
    executor = nets.start(graph)
    assert isinstance(nets.start(graph), Keeping)
    fed = given()
    kept = executor.keep(fed)
    numbers = np.random.default_rng(3)
    for place in (0, 3, 4, 3, 1):
        new = {"new": numbers.normal(size=3).astype(np.float32), "place": np.array(place)}
        made = kept.step(new)
        assert list(made) == ["sum"]
        want = executor.run({**fed, **new})
        np.testing.assert_array_equal(made["sum"], want["sum"])
        fed |= {"cache": want["cache.next"], "count": want["count.next"]}
        rows = numbers.integers(0, 3, 3)
        kept.reorder(rows)
        fed = {name: array[rows] for name, array in fed.items()}


def test_what_was_given_stays_as_it_was(nets):
    begin = given()
    kept = nets.start(writing()).keep(begin)
    kept.step({"new": np.ones(3, np.float32), "place": np.array(2)})
    assert all((begin[name] == array).all() for name, array in given().items())


def test_a_step_that_lacks_something_says_so(nets):
    kept = nets.start(writing()).keep(given())
    with pytest.raises(ProblemError) as caught:
        kept.step({"new": np.ones(3, np.float32)})
    assert "place" in str(caught.value.problems[0])


def test_a_place_outside_is_refused(nets):
    kept = nets.start(writing()).keep(given())
    with pytest.raises(ProblemError) as caught:
        kept.step({"new": np.ones(3, np.float32), "place": np.array(PLACES)})
    assert caught.value.problems[0].code == "X004"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["f32", "i64", "bool"])
def test_one_place_of_many_is_written(nets, axis, dtype):
    dims: list[int | str] = ["b", 3, 4] if axis else [2, "b", 4]
    tape = Tape("write")
    x = tape.input("x", Type(dtype=dtype, dims=tuple(dims)), "data")
    row = tape.input("row", Type(dtype=dtype, dims=(*dims[:axis], 1, *dims[axis + 1 :])), "data")
    place = tape.input("place", Type(dtype="i32"), "data")
    tape.output("y", tape.add("overwrite", x, row, place, axis=axis), "output")
    numbers = np.random.default_rng(axis)
    kind = {"f32": np.float32, "i64": np.int64, "bool": np.bool_}[dtype]
    whole: Array = numbers.integers(0, 2, (2, 3, 4)).astype(kind)
    one: Array = (1 - numbers.integers(0, 2, (2, 3, 4)).astype(np.int64)).astype(kind).take([0], axis)
    want = whole.copy()
    np.moveaxis(want, axis, 0)[1] = one.squeeze(axis)
    made = nets.start(tape.graph()).run({"x": whole, "row": one, "place": np.array(1, np.int32)})["y"]
    np.testing.assert_array_equal(made, want)
    assert made.dtype == kind
