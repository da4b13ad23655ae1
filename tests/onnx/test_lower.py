"""What a graph becomes: the right numbers, plain operators of every build, names that lead back, the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onnx
from dotnn.graph import At, Dtype, Graph, Type, measure
from dotnn.operation import operations
from dotnn.plugins import Options
from dotnn.tape import Tape
from dotnn.testing import cases_of
from dotnn_grammar.problems import ProblemError
from dotnn_onnx.lower import lower, serialize
from dotnn_onnx.spelling import rules
from dotnn_reference.plugin import dotnn_backends as reference_backends
from onnx import shape_inference

REFERENCE = reference_backends()[0]
KERNELS = Path(__file__).parent / "kernels.txt"


def judged(graph: Graph, feeds, options: Options):
    return REFERENCE.start(REFERENCE.lower(graph, options), options).run(feeds)


def kernels() -> dict[str, tuple[set[str], set[str]]]:
    lines = [line for line in KERNELS.read_text().splitlines() if not line.startswith("#")]
    rows = [[part.split() for part in line.split("|")] for line in lines]
    return {op: (set(cpu), set(cuda)) for (op,), cpu, cuda in rows}


SHORT = {1: "f32", 2: "u8", 6: "i32", 7: "i64", 9: "bool", 10: "f16", 11: "f64", 13: "u64", 16: "bf16"}


def refused(model: onnx.ModelProto) -> list[str]:
    """Nodes that a stock build has no kernel for, on the CPU or on CUDA."""
    whole = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    graphs = [whole.graph, *bodies(whole.graph)]
    infos = [v for graph in graphs for v in (*graph.value_info, *graph.input, *graph.output)]
    types = {v.name: v.type.tensor_type.elem_type for v in infos}
    types |= {c.name: c.data_type for graph in graphs for c in graph.initializer}
    known = kernels()
    missing = []
    for node in (node for graph in graphs for node in graph.node):
        deciding = {"Where": 1}.get(node.op_type, 0)
        values = [node.output[0]] if node.op_type == "ConstantOfShape" else [node.input[deciding]]
        values += [node.output[0]] if node.op_type == "Cast" else []
        for value in values:
            dtype = SHORT[types[value]]
            missing += [
                f"{node.op_type} of {dtype} on {device}"
                for device, have in zip(("CPU", "CUDA"), known[node.op_type], strict=True)
                if dtype not in have
            ]
    return missing


def bodies(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """Graphs inside this one."""
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [each for one in inner for each in (one, *bodies(one))]


def check(graph: Graph) -> onnx.ModelProto:
    """Everything that holds for every file."""
    model = lower(graph)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 21)]
    assert model.ir_version == 10
    assert {node.domain for node in model.graph.node} <= {""}
    assert not [n.op_type for n in model.graph.node if n.op_type.startswith("Random") or n.op_type == "Dropout"]
    names = [node.name for one in (model.graph, *bodies(model.graph)) for node in one.node]
    assert len(set(names)) == len(names)
    assert refused(model) == []
    return model


def close(got, want) -> None:
    assert got.shape == np.shape(want)
    assert got.dtype == want.dtype
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    exact = (got == want) | (np.isnan(got) & np.isnan(want))
    error = np.abs(np.where(exact, 0, got.astype(np.float64) - want))
    assert np.all(exact | (error <= 2e-6 * np.maximum(1, np.abs(want))))


@pytest.mark.parametrize("op", [operation.name for operation in operations()])
def test_every_operation_comes_to_the_numbers_of_the_reference(nets, op):
    for case in cases_of(op, each=6):
        check(case.graph)
        close(nets.start(case.graph).run(case.feeds)["y"], judged(case.graph, case.feeds, Options())["y"])


def drawn(graph: Graph, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Numbers for every input."""
    generator = np.random.default_rng(0)
    shapes = {fed.name: [measure(d, sizes) for d in fed.type.dims] for fed in graph.inputs}
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def unary(op: str, dtype: Dtype, **attributes):
    tape = Tape(op)
    tape.output("y", tape.add(op, tape.input("x", Type(dtype=dtype, dims=("b", 3)), "data"), **attributes), "output")
    return tape.graph()


def binary(op: str, dtype: Dtype):
    tape = Tape(op)
    a, b = (tape.input(name, Type(dtype=dtype, dims=("b", 3)), "data") for name in "ab")
    tape.output("y", tape.add(op, a, b), "output")
    return tape.graph()


NUMPY = {"bool": np.bool_, "u8": np.uint8, "i32": np.int32, "i64": np.int64, "u64": np.uint64, "f64": np.float64}
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
ARITHMETIC = ("add", "sub", "mul", "div", "maximum", "minimum", "mod")


@pytest.mark.parametrize("dtype", ["u8", "i32", "i64", "u64", "f64"])
@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS])
def test_pairs_of_every_type(nets, op, dtype):
    graph = binary(op, dtype)
    feeds: dict[str, np.ndarray] = {
        "a": np.array([[7, 2, 9], [4, 4, 0]], NUMPY[dtype]),
        "b": np.array([[2, 7, 9], [3, 4, 5]], NUMPY[dtype]),
    }
    check(graph)
    close(nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options())["y"])


@pytest.mark.parametrize("op", COMPARISONS)
def test_truth_values_are_compared(nets, op):
    graph = binary(op, "bool")
    feeds: dict[str, np.ndarray] = {"a": np.array([[True, False, True]]), "b": np.array([[False, False, True]])}
    check(graph)
    close(nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options())["y"])


@pytest.mark.parametrize("dtype", ["u8", "i32", "i64", "u64", "f64"])
@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("neg", {}),
        ("abs", {}),
        ("sign", {}),
        ("sum", {"axes": (0,), "keep": False}),
        ("max", {"axes": (1,), "keep": True}),
        ("min", {"axes": (0, 1), "keep": False}),
        ("argmax", {"axis": 1}),
        ("pad", {"axis": 1, "before": 1, "after": 2}),
        ("transpose", {"order": (1, 0)}),
        ("slice", {"axis": 1, "start": 1, "stop": 3}),
        ("expand", {"dims": (2, "b", 3)}),
    ],
)
def test_one_input_of_every_type(nets, op, attributes, dtype):
    graph = unary(op, dtype, **attributes)
    feeds: dict[str, np.ndarray] = {"x": np.array([[7, 2, 9], [4, 4, 0]], NUMPY[dtype])}
    check(graph)
    close(nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options())["y"])


@pytest.mark.parametrize("op", ["exp", "tanh", "softmax", "log_softmax", "logsumexp", "sqrt", "sin", "floor"])
def test_double_precision_stays(nets, op):
    graph = unary(op, "f64")
    feeds: dict[str, np.ndarray] = {"x": np.array([[0.1, 1.7, 2.9]])}
    check(graph)
    np.testing.assert_allclose(
        nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options(float64=True))["y"], rtol=1e-13
    )


@pytest.mark.parametrize("op", ["normalise", "precision"])
def test_normalising_in_double_precision(nets, op):
    graph = unary(op, "f64", eps=1e-5)
    feeds: dict[str, np.ndarray] = {"x": np.array([[0.1, 1.7, 2.9]])}
    check(graph)
    np.testing.assert_allclose(
        nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options(float64=True))["y"], rtol=1e-13
    )


@pytest.mark.parametrize("dtype", ["bool", "u8", "u64", "i64", "f64"])
def test_choosing_in_every_type(nets, dtype):
    tape = Tape("select")
    c = tape.input("c", Type(dtype="bool", dims=(3,)), "data")
    a, b = (tape.input(name, Type(dtype=dtype, dims=(3,)), "data") for name in "ab")
    tape.output("y", tape.add("select", c, a, b), "output")
    feeds: dict[str, np.ndarray] = {
        "c": np.array([True, False, True]),
        "a": np.array([1, 0, 1], NUMPY[dtype]),
        "b": np.array([0, 1, 0], NUMPY[dtype]),
    }
    check(tape.graph())
    np.testing.assert_array_equal(nets.start(tape.graph()).run(feeds)["y"], np.array([1, 1, 1], NUMPY[dtype]))


@pytest.mark.parametrize("op", ["tanh", "log", "exp"])
def test_what_is_not_chosen_may_be_no_number(nets, op):
    tape = Tape("select")
    x = tape.input("x", Type(dtype="f32", dims=(3,)), "data")
    tape.output("y", tape.add("select", x > 0, tape.add(op, x), tape.literal(0.0)), "output")
    given = np.array([1, -np.inf, np.nan], np.float32)
    y = nets.start(tape.graph()).run({"x": given})["y"]
    assert np.isfinite(y).all()
    assert (y[1:] == 0).all()


@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("scale", [1e4, -1e4, 0.0])
def test_extreme_logits(nets, op, scale):
    graph = unary(op, "f32")
    for row in ([scale, scale, scale], [scale, 0, -scale]):
        feeds: dict[str, np.ndarray] = {"x": np.array([row], np.float32)}
        y = nets.start(graph).run(feeds)["y"]
        assert np.isfinite(y).all()
        close(y, judged(graph, feeds, Options())["y"])


@pytest.mark.parametrize("axis", [0, 1])
def test_putting_numbers_gives_the_same_bits_at_any_number_of_threads(nets, axis):
    generator = np.random.default_rng(0)
    tape = Tape("put")
    index = tape.input("index", Type(dtype="i64", dims=(400, 300)), "data")
    x = tape.input("x", Type(dtype="f32", dims=(400, 300)), "data")
    tape.output("y", tape.add("put", x, index, axis=axis, size=3), "output")
    feeds: dict[str, np.ndarray] = {
        "index": generator.integers(0, 3, (400, 300)),
        "x": generator.normal(size=(400, 300)).astype(np.float32),
    }
    want = judged(tape.graph(), feeds, Options())["y"]
    seen = set()
    for threads in (1, 2, 4):
        executor = nets.start(tape.graph(), Options(threads=threads))
        for _ in range(5):
            made = executor.run(feeds)["y"]
            np.testing.assert_allclose(made, want, rtol=1e-3, atol=1e-3)
            seen.add(made.tobytes())
    assert len(seen) == 1


def test_adding_rows_gives_the_same_bits_at_any_number_of_threads(nets):
    """CPU ScatterND(add) loses sums with two threads: whatever writes `scatter` must not."""
    tape = Tape("scatter")
    index = tape.input("index", Type(dtype="i64", dims=("n",)), "data")
    rows = tape.input("rows", Type(dtype="f32", dims=("n", 32)), "data")
    tape.output("y", tape.add("scatter", index, rows, rows=7), "output")
    generator = np.random.default_rng(0)
    places = generator.integers(0, 7, 4000)
    feeds: dict[str, np.ndarray] = {"index": places, "rows": generator.integers(-8, 9, (4000, 32)).astype(np.float32)}
    want = np.stack([feeds["rows"][places == r].sum(axis=0) for r in range(7)])  # whole numbers: exact in any order
    for threads in (1, 2, 4):
        executor = nets.start(tape.graph(), Options(threads=threads))
        for _ in range(20):
            np.testing.assert_array_equal(executor.run(feeds)["y"], want)


@pytest.mark.parametrize("op", ["random", "shuffle", "derive_key"])
def test_the_same_random_bits_on_every_target(nets, op):
    for case in cases_of(op, each=4):
        shifted, divided = lower(case.graph, "cpu"), lower(case.graph)
        assert "BitShift" in ops(shifted)
        assert "BitShift" not in ops(divided)
        want = nets.start(case.graph).run(case.feeds)["y"]
        np.testing.assert_array_equal(
            nets.start(case.graph, Options(target="cpu", threads=1)).run(case.feeds)["y"], want
        )


# ---- structure


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_plain_products_transpose_on_the_way_and_add_as_they_go(nets):
    model = check(nets.train())
    assert ops(model).count("Gemm") == 5  # two forward, one back to the hidden layer, two weights
    assert "Transpose" not in ops(model)
    assert "MatMul" not in ops(model)
    (first,) = [n for n in model.graph.node if n.op_type == "Gemm" and list(n.input) == ["x", "W", "c"]]
    assert first.name.startswith("net.nn:3 Net.hidden ")


@pytest.mark.parametrize("bias", [(4,), (1,), (1, 4), ("b", 1), ("b", 4)])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_sum_that_gemm_takes_over(nets, bias, flipped):
    tape = Tape("sum")
    x = tape.input("x", Type(dtype="f32", dims=("b", 3)), "data")
    w = tape.input("w", Type(dtype="f32", dims=(4, 3) if flipped else (3, 4)), "data")
    c = tape.input("c", Type(dtype="f32", dims=bias), "data")
    tape.output("y", c + x @ (w.T if flipped else w), "output")
    graph = tape.graph()
    assert ops(check(graph)) == ["Gemm"]
    feeds = drawn(graph, {"b": 2})
    close(nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options())["y"])


def test_a_sum_that_would_grow_the_product_stays_a_sum(nets):
    tape = Tape("sum")
    x, w = (tape.input(n, Type(dtype="f32", dims=(1, 1)), "data") for n in "xw")
    c = tape.input("c", Type(dtype="f32", dims=(2, 3)), "data")
    tape.output("y", x @ w + c, "output")
    assert ops(check(tape.graph())) == ["Gemm", "Add"]
    feeds: dict[str, np.ndarray] = {
        "x": np.ones((1, 1), np.float32),
        "w": np.ones((1, 1), np.float32),
        "c": np.zeros((2, 3), np.float32),
    }
    assert nets.start(tape.graph()).run(feeds)["y"].tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("flipped", [False, True])
def test_rows_of_a_batch_are_one_matrix(nets, flipped):
    tape = Tape("rows")
    x = tape.input("x", Type(dtype="f32", dims=("b", "t", 3)), "data")
    w = tape.input("w", Type(dtype="f32", dims=(4, 3) if flipped else (3, 4)), "data")
    c = tape.input("c", Type(dtype="f32", dims=(4,)), "data")
    tape.output("y", x @ (w.T if flipped else w) + c, "output")
    assert "Gemm" in ops(check(tape.graph()))
    assert "Add" not in ops(check(tape.graph()))
    feeds = drawn(tape.graph(), {"b": 2, "t": 5})
    close(nets.start(tape.graph()).run(feeds)["y"], judged(tape.graph(), feeds, Options())["y"])


def test_squares_are_summed_in_one_pass(nets):
    tape = Tape("squares")
    x = tape.input("x", Type(dtype="f32", dims=(2, 3)), "data")
    tape.output("y", (x * x).sum(), "output")
    assert ops(check(tape.graph())) == ["ReduceSumSquare"]
    assert nets.start(tape.graph()).run({"x": np.ones((2, 3), np.float32) * 2})["y"] == 24


def test_repeats_are_dropped_where_their_readers_broadcast(nets):
    tape = Tape("repeat")
    x = tape.input("x", Type(dtype="f32", dims=("b", 3)), "data")
    wide = tape.literal(2.0).expand(("b", 3))
    tape.output("y", x * wide, "output")
    assert ops(check(tape.graph())) == ["Mul"]
    tape.output("z", wide, "output")
    assert "Expand" in ops(check(tape.graph()))
    y, z = nets.start(tape.graph()).run({"x": np.ones((2, 3), np.float32)}).values()
    assert y.tolist() == z.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_two_repeats_that_need_one_another(nets):
    tape = Tape("repeat")
    x = tape.input("x", Type(dtype="f32", dims=("b", 3)), "data")
    a, b = (tape.literal(v).expand(x.dims) for v in (2.0, 3.0))
    tape.output("y", a * b, "output")
    check(tape.graph())
    assert nets.start(tape.graph()).run({"x": np.ones((2, 3), np.float32)})["y"].tolist() == [[6] * 3] * 2


@pytest.mark.parametrize(
    ("have", "want"),
    [
        (("b", 8, 8), ("b", 64)),
        (("b", "t", 6), ("6*b*t",)),
        (("b", "t", 6), ("b", "t", 2, 3)),
        (("b", "t", 6), (2, "b", 3, "t")),
        (("b", 6), (3, "2*b")),
        (("b", 0), (0, "b")),
        ((), (1, 1)),
    ],
)
def test_reshaping_with_sizes_that_are_not_known_yet(nets, have, want):
    tape = Tape("reshape")
    x = tape.input("x", Type(dtype="f32", dims=have), "data")
    tape.output("y", x.reshape(want), "output")
    check(tape.graph())
    for sizes in ({"b": 4, "t": 5}, {"b": 0, "t": 5}):
        array = np.arange(np.prod([sizes.get(d, d) for d in have], dtype=int), dtype=np.float32).reshape(
            [sizes.get(d, d) for d in have]
        )
        feeds: dict[str, np.ndarray] = {"x": array}
        got = nets.start(tape.graph()).run(feeds)["y"]
        np.testing.assert_array_equal(got, judged(tape.graph(), feeds, Options())["y"])


def test_what_is_handed_back_keeps_its_name(nets):
    tape = Tape("names")
    x = tape.input("x", Type(dtype="f32", dims=(2,)), "data")
    y = x + 1
    tape.output("x.next", x, "state")
    tape.output("first", y, "output")
    tape.output("second", y, "output")
    tape.output("number", tape.literal(3.0), "output")
    tape.output(y.name, x * 2, "output")  # the name of an operation, given to another value
    model = check(tape.graph())
    assert [o.name for o in model.graph.output] == ["x.next", "first", "second", "number", y.name]
    made = nets.start(tape.graph()).run({"x": np.array([1, 2], np.float32)})
    assert [v.tolist() for v in made.values()] == [[1, 2], [2, 3], [2, 3], 3, [2, 4]]


def test_nodes_are_named_after_the_line_that_they_came_from(nets):
    model = lower(nets.train())
    spoken = [node.name for node in model.graph.node if node.name.startswith("net.nn:")]
    assert all(re.fullmatch(r"net\.nn:\d+( [\w.]+)? \w+\.\w+#\d+", name) for name in spoken)
    assert {name.split()[0] for name in spoken} == {"net.nn:3", "net.nn:4", "net.nn:9"}


def test_constants_are_kept_once_and_only_where_they_are_read(nets):
    model = lower(nets.train())
    read = {name for node in model.graph.node for name in node.input}
    names = [constant.name for constant in model.graph.initializer]
    assert set(names) <= read
    contents = [(c.data_type, tuple(c.dims), c.raw_data) for c in model.graph.initializer]
    assert len(set(contents)) == len(contents)


def test_an_operation_without_a_spelling_is_named(nets, monkeypatch):
    monkeypatch.delitem(rules._rules, "tanh")
    tape = Tape("net")
    x = tape.input("x", Type(dtype="f32", dims=(2,)), "data")
    with tape.at(At(file="net.nn", line=8, part="Net.y")):
        tape.output("y", tape.add("tanh", x), "output")
    with pytest.raises(ProblemError, match="X001 the ONNX backend cannot write the operation `tanh`"):
        lower(tape.graph())


SCRIPT = """
import hashlib, sys
sys.path[:0] = {paths!r}
from dotnn.testing import cases
from dotnn_onnx.lower import lower, serialize
print(hashlib.sha256(b"".join(serialize(lower(case.graph)) for case in cases(each=2))).hexdigest())
"""


def test_the_same_bytes_under_two_hash_seeds():
    paths = [path for path in sys.path if path.rstrip("/").endswith(("compiler", "grammar", "backends"))]
    script = SCRIPT.format(paths=paths)
    digests = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        made = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        digests.add(made.stdout)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == len(hashlib.sha256().hexdigest())


def test_the_same_graph_gives_the_same_bytes(nets):
    assert serialize(lower(nets.train())) == serialize(lower(nets.train()))
