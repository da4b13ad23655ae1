"""The judge is judged by hand: small graphs with results that can be worked out with a pencil."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.graph import Type
from dotnn.operation import operations
from dotnn.plugins import Options, backend
from dotnn.tape import Tape
from dotnn_grammar.problems import ProblemError
from dotnn_reference.evaluate import evaluate, values
from dotnn_reference.formulas import FORMULAS


def typed(dtype, *dims):
    return Type(dtype=dtype, dims=dims)


def run(op, *inputs, dtype="f32", dtypes=None, **attributes):
    tape = Tape("one")
    arrays = [np.asarray(x) for x in inputs]
    kinds = dtypes or [dtype] * len(arrays)
    xs = [tape.input(f"x{i}", typed(k, *a.shape), "data") for i, (a, k) in enumerate(zip(arrays, kinds, strict=True))]
    tape.output("y", tape.add(op, *xs, **attributes), "output")
    return evaluate(tape.graph(), {f"x{i}": a for i, a in enumerate(arrays)})["y"]


def code(graph, feeds):
    with pytest.raises(ProblemError) as caught:
        evaluate(graph, feeds)
    problem = caught.value.problems[0]
    assert problem.title_text
    assert problem.help_text
    return problem.code


def test_every_operation_has_a_formula_and_every_formula_an_operation():
    evaluated = {"scan"}  # by `evaluate` itself: its body is a graph
    assert set(FORMULAS) | evaluated == {o.name for o in operations()}
    assert evaluated.isdisjoint(FORMULAS)


@pytest.mark.parametrize(
    ("op", "a", "b", "y"),
    [
        ("div", [7, -7, 7, -7, 6], [2, 2, -2, -2, -3], [3, -3, -3, 3, -2]),
        ("mod", [7, -7, 7, -7, 6], [3, 3, -3, -3, -3], [1, 2, -2, -1, 0]),
        ("pow", [2, -2, 2, 1, -1], [3, 3, -1, -5, -5], [8, -8, 0, 1, -1]),
    ],
)
def test_whole_numbers(op, a, b, y):
    found = run(op, a, b, dtype="i64")
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, y)


def test_remainders_of_reals_have_the_sign_of_what_divides():
    np.testing.assert_array_equal(run("mod", [5.5, -5.5, 5.5, -5.5], [2.0, 2.0, -2.0, -2.0]), [1.5, 0.5, -0.5, -1.5])


def test_reals_are_cut_towards_zero_when_cast_and_truth_is_not_zero():
    tape = Tape("casts")
    x = tape.input("x", typed("f32", 3), "data")
    tape.output("whole", x.cast("i64"), "output")
    tape.output("truth", x.cast("bool"), "output")
    found = evaluate(tape.graph(), {"x": [1.9, -1.9, 0.0]})
    np.testing.assert_array_equal(found["whole"], [1, -1, 0])
    np.testing.assert_array_equal(found["truth"], [True, True, False])


def test_the_first_of_equals_is_the_greatest():
    assert run("argmax", [1.0, 3.0, 3.0], axis=0) == 1
    assert run("argmax", np.zeros((0, 3)), axis=1).shape == (0,)


def test_of_nothing():
    nothing: dict[str, Any] = {"axes": (0,), "keep": False}
    assert run("sum", [], **nothing) == 0
    assert np.isnan(run("mean", [], **nothing))
    assert run("max", [], **nothing) == -np.inf
    assert run("min", [], **nothing) == np.inf
    assert run("logsumexp", []) == -np.inf


def test_shares_of_infinities():
    inf = np.inf
    np.testing.assert_array_equal(run("softmax", [0.0, -inf]), [1, 0])
    assert run("logsumexp", [-inf, -inf]) == -inf
    assert run("logsumexp", [inf, 0.0]) == inf


def test_places():
    np.testing.assert_array_equal(
        run("scatter", [0, 2, 0], [[1.0], [2.0], [4.0]], dtypes=["i64", "f32"], rows=3), [[5], [0], [2]]
    )
    np.testing.assert_array_equal(run("gather", [[1.0], [2.0]], [1, 1, 0], dtypes=["f32", "i64"]), [[2], [2], [1]])
    np.testing.assert_array_equal(run("pick", [[1.0, 2.0], [3.0, 4.0]], [1, 0], dtypes=["f32", "i64"]), [2, 3])
    np.testing.assert_array_equal(run("place", [5.0, 6.0], [1, 0], dtypes=["f32", "i64"], size=2), [[0, 5], [6, 0]])


def test_each_result_is_rounded_once_to_its_type_or_not_at_all():
    tape = Tape("thirds")
    x = tape.input("x", typed("f32"), "data")
    tape.output("y", x / 3, "output")
    assert evaluate(tape.graph(), {"x": 1.0})["y"] == np.float32(1 / 3)
    double = evaluate(tape.graph(), {"x": 1.0}, float64=True)["y"]
    assert double.dtype == np.float64
    assert double == 1 / 3


def test_random_numbers_keep_their_bits_in_float64():
    tape = Tape("noise")
    key, step = tape.input("key", typed("u64"), "state"), tape.input("step", typed("i64"), "state")
    for bits in (16, 24):
        tape.output(f"y{bits}", tape.add("random", key, step, dims=(5,), use="a", bits=bits), "output")
    feeds = {"key": np.uint64(0x123456789ABCDEF1), "step": np.int64(3)}
    single, double = evaluate(tape.graph(), feeds), evaluate(tape.graph(), feeds, float64=True)
    for name, numbers in single.items():
        assert len(set(numbers.tolist())) == 5
        np.testing.assert_array_equal(numbers.astype(np.float64), double[name])


def test_sizes_are_solved_from_what_is_given():
    tape = Tape("sizes")
    x = tape.input("x", typed("f32", "2*b*n"), "data")
    tape.input("z", typed("f32", "b", 3), "data")
    tape.output("y", x.reshape(("b", 2, "n")).sum((1,)), "output")
    tape.output("n", tape.size("n", "i64"), "output")
    found = evaluate(tape.graph(), {"x": np.ones(12), "z": np.zeros((2, 3))})
    assert found["y"].shape == (2, 3)
    assert found["n"] == 3


def test_a_size_that_is_born_in_the_graph():
    tape = Tape("order")
    key, n = tape.input("key", typed("u64"), "state"), tape.input("rows", typed("i64"), "data")
    order = tape.add("shuffle", key, tape.literal(0, "i64"), n)
    tape.output("order", order, "output")
    tape.output("n", tape.size("n", "i64"), "output")
    found = evaluate(tape.graph(), {"key": np.uint64(7), "rows": np.int64(9)})
    assert sorted(found["order"].tolist()) == list(range(9))
    assert found["n"] == 9


def test_what_does_not_suit_is_said():
    tape = Tape("t")
    x, z = tape.input("x", typed("f32", "b", 2), "data"), tape.input("z", typed("f32", "b"), "data")
    tape.output("y", x.sum((1,)) + z, "output")
    graph = tape.graph()
    assert code(graph, {"x": np.ones((2, 2))}) == "F001"
    assert code(graph, {"x": np.ones(2), "z": np.ones(2)}) == "F002"
    assert code(graph, {"x": np.ones((2, 2)), "z": np.ones(3)}) == "F003"
    assert code(graph, {"x": np.ones((2, 3)), "z": np.ones(2)}) == "F003"
    assert code(graph, {"x": np.ones((2, 2)), "z": np.array(["a", "b"])}) == "F005"

    tape = Tape("t")
    tape.output("y", tape.size("b"), "output")
    assert code(tape.graph(), {}) == "F004"

    tape = Tape("t")
    tape.output("y", tape.add("gather", *_table(tape)), "output")
    assert code(tape.graph(), {"table": np.ones((2, 1)), "index": np.array([0, 2])}) == "F006"
    assert code(tape.graph(), {"table": np.ones((2, 1)), "index": np.array([-1, 0])}) == "F006"

    tape = Tape("t")
    tape.output("y", tape.add("argmax", tape.input("x", typed("f32", 0), "data"), axis=0), "output")
    assert code(tape.graph(), {"x": np.ones(0)}) == "F007"

    tape = Tape("t")
    tape.output("y", tape.input("x", typed("bf16"), "data"), "output")
    assert code(tape.graph(), {"x": 1.0}) == "F008"


def _table(tape):
    return tape.input("table", typed("f32", 2, 1), "data"), tape.input("index", typed("i64", 2), "data")


def test_every_value_is_there():
    tape = Tape("t")
    x = tape.input("x", typed("f32"), "data")
    tape.output("y", x * 2 + 1, "output")
    graph = tape.graph()
    assert set(values(graph, {"x": 1.0})) == set(graph.types())


def step_graph():
    tape = Tape("train")
    w, x = tape.input("w", typed("f32"), "state", learned=True), tape.input("x", typed("f32", "b"), "data")
    tape.output("w.next", w + x.sum(), "state")
    tape.output("loss", w * 2, "loss")
    return tape.graph()


def test_the_backend_runs_and_trains(tmp_path):
    reference = backend("reference")
    executor = reference.start(reference.lower(step_graph(), Options()), Options())
    session = executor.train({"w": np.array(1.0)})
    assert {k: float(v) for k, v in session.step({"x": np.array([1.0, 2.0])}).items()} == {"loss": 2.0}
    assert session.step({"x": np.array([10.0])})["loss"] == 8
    assert session.state()["w"] == 14
    assert executor.run({"x": np.array([0.0])}, session)["w.next"] == 14
    session.load({"w": np.array(3.0)})
    assert session.state()["w"] == 3
    copy = session.state()
    copy["w"][...] = 99
    assert session.state()["w"] == 3
    for action in (lambda: session.load({}), lambda: _write(reference, tmp_path)):
        with pytest.raises(ProblemError):
            action()


def _write(reference: Any, folder: Path) -> None:
    reference.write(None, "", folder, Options())


def test_float64_is_an_option_of_the_backend():
    reference = backend("reference")
    executor = reference.start(step_graph(), Options(float64=True))
    assert executor.run({"w": np.array(0.1), "x": np.zeros(1)})["loss"].dtype == np.float64
