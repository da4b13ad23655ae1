"""Small inputs for matrix products, and for what moves numbers."""

from __future__ import annotations

from dotnn.graph import Dim, multiply
from dotnn.operation import Operation
from dotnn.recipes.draw import Draw, draws, fixed_axis
from dotnn.tape import Value


@draws("matmul")
def _matrices(draw: Draw, op: Operation) -> Value:
    outer = draw.dims(0, 2, named=False)
    rows, inner, columns = draw.dims(3, 3)
    left = (*draw.part(outer), rows, inner)
    return op(draw.real(left), draw.real((*draw.part(outer), inner, columns)))


@draws("matmul")
def _rows_by_one_matrix(draw: Draw, op: Operation) -> Value:
    rows = draw.dims(2, 4)
    return op(draw.real(rows), draw.real((rows[-1], draw.size())))


def _anything(draw: Draw, dims: tuple[Dim, ...]) -> Value:
    """Mostly reals: operations that move numbers take all."""
    kind = draw.whole(0, 5)
    return draw.integer(dims, -3, 3) if kind == 0 else draw.truth(dims) if kind == 1 else draw.real(dims)


@draws("reshape")
def _other_dims(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    folds: list[tuple[Dim, ...]] = [dims, (multiply(dims),), (1, *dims), (*dims, 1), tuple(d for d in dims if d != 1)]
    folds += [(*dims[:i], multiply(dims[i : i + 2]), *dims[i + 2 :]) for i in range(len(dims) - 1)]
    return op(_anything(draw, dims), dims=draw.among(folds))


@draws("transpose")
def _other_order(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    left = list(range(len(dims)))
    order = tuple(left.pop(draw.whole(0, len(left) - 1)) for _ in dims)
    return op(_anything(draw, dims), order=order)


@draws("expand")
def _repeated(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    x = draw.real(draw.part(dims))
    if "b" in dims:
        draw.real(("b",))  # something must say what b is
    return op(x, dims=dims)


@draws("slice")
def _some_of_a_dim(draw: Draw, op: Operation) -> Value:
    dims, axis, here = fixed_axis(draw)
    start = draw.whole(0, here - 1)
    return op(_anything(draw, dims), axis=axis, start=start, stop=draw.whole(start + 1, here))


@draws("pad")
def _zeros_beside(draw: Draw, op: Operation) -> Value:
    dims, axis, _ = fixed_axis(draw)
    return op(draw.real(dims), axis=axis, before=draw.whole(0, 2), after=draw.whole(0, 2))


@draws("concat")
def _one_after_the_other(draw: Draw, op: Operation) -> Value:
    dims, axis, _ = fixed_axis(draw)
    parts = [(*dims[:axis], draw.size(), *dims[axis + 1 :]) for _ in range(draw.whole(1, 4))]
    return op(*(draw.real(part) for part in parts), axis=axis)
