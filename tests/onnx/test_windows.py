"""Convolution and pooling as ONNX: every way in which they are written comes to the reference's numbers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from tests.onnx.test_lower import check, close, judged, ops

from dotnn.graph import Graph, Type, measure
from dotnn.operation import lookup, operations
from dotnn.plugins import Options
from dotnn.tape import Tape
from dotnn.testing import cases_of
from dotnn_onnx.lower import lower

WINDOWS = [o.name for o in operations() if o.name.startswith(("convolve", "window_"))]


def graph_of(op: str, inputs: list[Type], **how: Any) -> Graph:
    tape = Tape(op)
    values = [tape.input(f"x{i}", type, "data") for i, type in enumerate(inputs)]
    tape.output("y", tape.add(op, *values, **how), "output")
    return tape.graph()


def of(*dims: int | str, dtype: Any = "f32") -> Type:
    return Type(dtype=dtype, dims=dims)


def drawn(graph: Graph, batch: int = 3) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    shapes = {fed.name: [measure(d, {"b": batch}) for d in fed.type.dims] for fed in graph.inputs}
    kinds = {fed.name: np.float64 if fed.type.dtype == "f64" else np.float32 for fed in graph.inputs}
    return {name: generator.normal(size=shape).astype(kinds[name]) for name, shape in shapes.items()}


def same(nets, graph: Graph, targets=("portable", "cpu", "cuda"), threads=(1,), batch: int = 3) -> None:
    """On each target and number of threads the numbers of the reference, as near as sums in single precision are."""
    feeds = drawn(graph, batch)
    want = judged(graph, feeds, Options(float64=True))["y"]
    for target, count in product(targets, threads):
        got = nets.start(graph, Options(target=target, threads=count)).run(feeds)["y"]
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=0, atol=3e-6 * max(1.0, np.abs(want).max()))


def trio(x: Type, w: Type, **how: Any) -> list[Graph]:
    """A convolution and both of its gradients."""
    y = lookup("convolve").infer(x, w, **how)
    return [
        graph_of("convolve", [x, w], **how),
        graph_of("convolve_back", [y, w], **how, places=x.dims[2:]),
        graph_of("convolve_weight", [x, y], **how, kernel=w.dims[2:]),
    ]


def moves(dims: int, stride=1, dilation=1, before=0, after=0, groups: int | None = 1) -> dict[str, Any]:
    how = {"stride": stride, "dilation": dilation, "before": before, "after": after}
    made: dict[str, Any] = {k: (v,) * dims if isinstance(v, int) else v for k, v in how.items()}
    return made if groups is None else {**made, "groups": groups}


@pytest.mark.parametrize("channels", [(1, 6), (4, 3), (16, 32), (32, 16)], ids=str)
@pytest.mark.parametrize("kernel", [(3, 3), (1, 3), (2, 3), (1, 1)], ids=str)
def test_two_dims_in_every_way(nets, channels, kernel):
    """Few channels and many, those that fill a block and those that do not, odd sizes."""
    inner, outer = channels
    for stride, dilation in product(((1, 1), (2, 1)), ((1, 1), (2, 1))):
        for before, after in (((1, 1), (1, 1)), ((0, 0), (0, 0)), ((2, 3), (1, 2))):
            how = moves(2, stride, dilation, before, after)
            for graph in trio(of("b", inner, 7, 5), of(outer, inner, *kernel), **how):
                same(nets, graph)


@pytest.mark.parametrize("channels", [(1, 16), (3, 32), (6, 16), (16, 32), (40, 16)], ids=str)
@pytest.mark.parametrize("batch", [0, 1, 16, 48])
def test_rows_in_whole_blocks_and_not(nets, channels, batch):
    """On the processor's own target the gradient by the kernel goes by blocks of rows where these come out even."""
    inner, outer = channels
    kernels = (((3, 3), 1), ((3, 3), 2), ((1, 2), (2, 1)), ((2, 1), 3), ((4, 3), (3, 2)))
    for (kernel, stride), (before, after) in product(kernels, ((1, 1), (0, 0), ((0, 2), (3, 1)))):
        how = moves(2, stride, 1, before, after)
        graph = trio(of("b", inner, 7, 6), of(outer, inner, *kernel), **how)[2]
        assert ops(lower(graph, "cpu")).count("If") == 1
        same(nets, graph, targets=("cpu",), batch=batch)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_number_of_dims_with_groups(nets, dims, groups, stride):
    for dilation, beside in ((1, 1), (2, 2)):
        how = moves(dims, stride, dilation, beside, beside, groups)
        x, w = of("b", 8, *(7, 5, 6)[:dims]), of(8, 8 // groups, *(3, 3, 2)[:dims])
        for graph in trio(x, w, **how):
            same(nets, graph, targets=("portable",))


@pytest.mark.parametrize("op", WINDOWS)
def test_double_precision(nets, op):
    """Where no build convolves in f64, products of matrices do."""
    for case in cases_of(op, each=16):
        graph = Graph.model_validate_json(case.graph.model_dump_json().replace('"f32"', '"f64"'))
        feeds = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in case.feeds.items()}
        check(graph)
        want = judged(graph, feeds, Options(float64=True))["y"]
        np.testing.assert_allclose(nets.start(graph).run(feeds)["y"], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("op", WINDOWS)
@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_on_the_devices_own_targets(nets, op, target):
    for case in cases_of(op, each=8):
        got = nets.start(case.graph, Options(target=target, threads=1)).run(case.feeds)["y"]
        close(got, judged(case.graph, case.feeds, Options())["y"])


def test_the_same_numbers_at_any_number_of_threads(nets):
    graphs = trio(of("b", 16, 12, 12), of(16, 16, 3, 3), **moves(2, before=1, after=1))
    pool = {**moves(2, 2, 1, 1, 1, None), "size": (3, 3)}
    x = of("b", 4, 9, 9)
    graphs.append(graph_of("window_put", [lookup("window_max").infer(x, **pool), x], **pool))
    for graph, batch in product(graphs, (9, 16)):
        same(nets, graph, targets=("portable", "cpu"), threads=(1, 2, 4), batch=batch)


def test_a_kernel_with_many_places_is_no_long_file(nets):
    x, w = of("b", 2, 16, 15), of(2, 2, 12, 13)
    graph = trio(x, w, **moves(2, before=2, after=3))[2]
    assert len(check(graph).graph.node) < 60
    same(nets, graph)
    x, w = of("b", 4, 300), of(4, 2, 200)
    graph = trio(x, w, **moves(1, 3, 1, 5, 4, 2))[2]
    assert len(check(graph).graph.node) < 60
    same(nets, graph)


@pytest.mark.parametrize(("batch", "far"), [(1, 0), (3, 0), (3, 300), (40, 0)])
def test_mean_and_variance_of_channels(nets, batch, far):
    """Far from 0 too: the mean is taken away before anything is squared."""
    for dims, keep in product(((3, 5, 4), (2, 1), (1, 6, 2, 3)), (True, False)):
        tape = Tape("moments")
        x = tape.input("x0", of("b", *dims), "data") + tape.literal(float(far))
        axes = (0, *range(2, x.type.rank))
        for name in ("mean", "variance"):
            tape.output(name, tape.add(name, x, axes=axes, keep=keep), "output")
        graph = tape.graph()
        feeds = drawn(graph, batch)
        want = judged(graph, feeds, Options(float64=True))
        for target in ("portable", "cpu"):
            got = nets.start(graph, Options(target=target, threads=1)).run(feeds)
            for name in want:
                np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6 + 1e-4 * bool(far))


def test_a_bias_is_added_on_the_way(nets):
    tape = Tape("bias")
    x, w, c = (tape.input(n, t, "data") for n, t in zip("xwc", (of("b", 3, 6, 5), of(4, 3, 3, 3), of(4)), strict=True))
    y = tape.add("convolve", x, w, **moves(2, before=1, after=1)) + c.reshape((4, 1, 1))
    tape.output("y", tape.add("maximum", y, tape.literal(0.0)), "output")
    assert ops(check(tape.graph())) == ["Conv", "Relu"]
    same(nets, tape.graph())


def test_what_is_uneven_beside_a_picture_is_put_there_first_for_cuda(nets):
    """Its convolutions take as many zeros before as after, or fall back to the processor."""
    graph = trio(of("b", 3, 6, 5), of(4, 3, 2, 2), **moves(2, before=0, after=1))[0]
    uneven = [
        a for n in lower(graph, "cuda").graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "pads"
    ]
    assert [list(a.ints) for a in uneven] == [[0, 0, 0, 0]]
    assert "Pad" in ops(lower(graph, "cuda"))
    assert "Pad" not in ops(lower(graph, "cpu"))


def test_a_portable_file_has_plain_operators_only():
    wide = trio(of("b", 16, 7, 5), of(32, 16, 3, 3), **moves(2, before=1, after=1))
    for graph in wide:
        assert {node.domain for node in check(graph).graph.node} == {""}
    assert {node.domain for node in lower(wide[0], "cpu").graph.node} > {""}


@pytest.mark.parametrize("numbers", [[1.0], [-1.0], [0.0], [2.0, 1.0], [0.0, -1.0]])
def test_of_equals_the_first_gets_what_flows_back(nets, numbers):
    """As PyTorch has it; side by side and overlapping are two ways of writing it."""
    x = np.resize(np.array(numbers, np.float32), (1, 1, 4, 4))
    for stride in (2, 1):
        how = {**moves(2, stride, groups=None), "size": (2, 2)}
        type = of("b", 1, 4, 4)
        y = lookup("window_max").infer(type, **how)
        graph = graph_of("window_put", [y, type], **how)
        g = np.arange(1, 1 + (4 // stride - stride % 2) ** 2, dtype=np.float32).reshape(1, 1, *y.dims[2:])
        feeds = {"x0": g, "x1": x}
        np.testing.assert_array_equal(nets.start(graph).run(feeds)["y"], judged(graph, feeds, Options())["y"])
