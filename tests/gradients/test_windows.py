"""Convolution and pooling beside PyTorch's autograd in double precision: every combination, first and second order."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from dotnn.differentiate import gradients
from dotnn.graph import Type
from dotnn.operation import lookup
from dotnn.tape import Tape
from dotnn_reference.evaluate import evaluate

torch = pytest.importorskip("torch")
F = torch.nn.functional
CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
GREATEST = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
SIDES = {"none": (0, 0), "even": (1, 1), "uneven": (2, 1)}


def first_and_second(op: str, arrays: list[np.ndarray[Any, Any]], **how: Any) -> list[np.ndarray[Any, Any]]:
    """The result y, the gradient of sum(y^3) by each input, and that of the sum of the squares of these."""
    tape = Tape(op)
    inputs = [tape.input(f"x{i}", Type(dtype="f32", dims=a.shape), "data") for i, a in enumerate(arrays)]
    y = tape.add(op, *inputs, **how)
    flows = gradients((y * y * y).sum(), inputs)
    again = gradients(sum(((f * f).sum() for f in flows[1:]), (flows[0] * flows[0]).sum()), inputs)
    for number, value in enumerate((y, *flows, *again)):
        tape.output(f"y{number}", value, "output")
    found = evaluate(tape.graph(), {f"x{i}": a for i, a in enumerate(arrays)}, float64=True)
    return [found[f"y{i}"] for i in range(1 + 2 * len(inputs))]


def by_torch(run: Any, arrays: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = run(*inputs)
    flows = torch.autograd.grad((y**3).sum(), inputs, create_graph=True)
    again = torch.autograd.grad(sum((f**2).sum() for f in flows), inputs)
    return [t.detach().numpy() for t in (y, *flows, *again)]


def padded(x: Any, before: int, after: int, dims: int, value: float = 0.0) -> Any:
    return F.pad(x, [before, after] * dims, value=value)


def agree(op: str, arrays: list[np.ndarray[Any, Any]], run: Any, **how: Any) -> None:
    for mine, theirs in zip(first_and_second(op, arrays, **how), by_torch(run, arrays), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(theirs).max(initial=0)))


def settings(dims: int, stride: int, dilation: int, sides: str) -> dict[str, Any]:
    before, after = SIDES[sides]
    named = {"stride": stride, "dilation": dilation, "before": before, "after": after}
    return {name: (value,) * dims for name, value in named.items()}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolution(dims, groups, sides):
    generator = np.random.default_rng(0)
    before, after = SIDES[sides]
    for stride, dilation in product((1, 2, 3), (1, 2)):
        x = generator.normal(size=(2, 2, *(7, 5, 4)[:dims]))
        w = generator.normal(size=(2 * groups, 2 // groups, *(3, 2, 2)[:dims]))

        def run(x, w, stride=stride, dilation=dilation):
            wide = padded(x, before, after, dims)
            return CONVOLVE[dims - 1](wide, w, stride=stride, dilation=dilation, groups=groups)

        agree("convolve", [x, w], run, **settings(dims, stride, dilation, sides), groups=groups)


@pytest.mark.parametrize("sides", ["none", "even"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_transposed_convolution(dims, groups, sides):
    generator = np.random.default_rng(1)
    for stride, dilation in product((1, 2, 3), (1, 2)):
        g = generator.normal(size=(1, 2 * groups, *(4, 3, 3)[:dims]))
        w = generator.normal(size=(2 * groups, 2 // groups, *(3, 2, 2)[:dims]))
        more, beside = stride - 1, SIDES[sides][0]

        def run(g, w, stride=stride, dilation=dilation, more=more, beside=beside):
            transposed = TRANSPOSED[dims - 1]
            return transposed(g, w, None, stride, beside, more, groups, dilation)

        places = tuple(run(torch.tensor(g), torch.tensor(w)).shape[2:])
        agree("convolve_back", [g, w], run, **settings(dims, stride, dilation, sides), groups=groups, places=places)


@pytest.mark.parametrize("sides", ["none", "even"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pools(dims, sides):
    generator = np.random.default_rng(2)
    beside = SIDES[sides][0]
    for stride, dilation in product((1, 2, 3), (1, 2)):
        x = generator.normal(size=(2, 2, *(7, 5, 4)[:dims]))
        how = {**settings(dims, stride, dilation, sides), "size": (2, 3, 2)[:dims]}

        def greatest(x, stride=stride, dilation=dilation, size=how["size"]):
            return GREATEST[dims - 1](padded(x, beside, beside, dims, -torch.inf), size, stride, 0, dilation)

        def total(x, stride=stride, dilation=dilation, size=how["size"]):
            ones = torch.ones((2, 1, *size), dtype=x.dtype)
            return CONVOLVE[dims - 1](padded(x, beside, beside, dims), ones, None, stride, 0, dilation, 2)

        agree("window_max", [x], greatest, **how)
        agree("window_sum", [x], total, **how)


def test_of_equals_the_first_has_the_gradient_as_in_torch():
    x = np.random.default_rng(3).integers(0, 2, (2, 3, 6, 6)).astype(np.float64)
    for stride in (1, 2):
        how = {**settings(2, stride, 1, "even"), "size": (2, 2)}
        agree("window_max", [x], lambda x, s=stride: F.max_pool2d(x, 2, s, padding=1), **how)


def test_a_convolution_counts_its_work():
    """Two for each number that is multiplied and added, for one row."""
    x, w = Type(dtype="f32", dims=("b", 3, 8, 8)), Type(dtype="f32", dims=(5, 3, 3, 3))
    how = {**settings(2, 1, 1, "even"), "groups": 1}
    op = lookup("convolve")
    y = op.infer(x, w, **how)
    assert op.work(y, x, w) == 2 * 5 * 64 * 27
    assert lookup("convolve_back").work(x, y, w) == lookup("convolve_weight").work(w, x, y) == 2 * 5 * 64 * 27
