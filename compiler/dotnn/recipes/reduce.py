"""Small inputs for what folds dims, and for what goes along the last one."""

from __future__ import annotations

from dotnn.graph import Dim
from dotnn.operation import Operation
from dotnn.recipes.draw import WHOLE, Draw, draws
from dotnn.tape import Value


def _axes(draw: Draw, dims: tuple[Dim, ...]) -> tuple[int, ...]:
    chosen = tuple(i for i in range(len(dims)) if draw.chance())
    return chosen or (draw.whole(0, len(dims) - 1),)


@draws("sum", "mean", "max", "min")
def _folded_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axes=_axes(draw, dims), keep=draw.chance())


@draws("sum", "max", "min")
def _folded_whole_numbers(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.integer(dims, -3, 3), axes=_axes(draw, dims), keep=draw.chance())


@draws("max", "min", smooth=False)
def _folded_ties(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.integer(dims, -1, 1).cast("f32"), axes=_axes(draw, dims), keep=draw.chance())


@draws("argmax")
def _greatest_of_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axis=draw.whole(0, len(dims) - 1))


@draws("argmax", smooth=False)
def _greatest_of_equals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.integer(dims, -1, 1).cast("f32"), axis=draw.whole(0, len(dims) - 1))


@draws("variance")
def _spread(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axes=_axes(draw, dims), keep=draw.chance())


@draws("cumulate")
def _added_up(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axis=draw.whole(0, len(dims) - 1), back=draw.chance())


@draws("cumulate")
def _whole_numbers_added_up(draw: Draw, op: Operation) -> Value:
    dims, dtype = draw.dims(1), draw.among(WHOLE)
    return op(draw.integer(dims, -3, 3, dtype), axis=draw.whole(0, len(dims) - 1), back=draw.chance())


@draws("softmax", "log_softmax", "logsumexp")
def _shares(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims(1)))


@draws("normalise", "precision")
def _centred(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims(1)), eps=draw.among((1e-1, 1e-2)))
