"""Small inputs for what reads and writes at places that numbers name, and for what puts in order."""

from __future__ import annotations

from dotnn.operation import Operation
from dotnn.recipes.draw import WHOLE, Draw, draws, fixed_axis
from dotnn.tape import Value


@draws("gather")
def _rows_of_a_table(draw: Draw, op: Operation) -> Value:
    rows = draw.size()
    table = draw.real((rows, *draw.dims(0, 2, named=False)))
    return op(table, draw.integer(draw.dims(0, 2), 0, rows - 1))


@draws("scatter")
def _rows_added_up(draw: Draw, op: Operation) -> Value:
    rows, places = draw.size(), draw.dims(0, 2)
    index = draw.integer(places, 0, rows - 1)
    return op(index, draw.real((*places, *draw.dims(0, 2, named=False))), rows=rows)


@draws("pick")
def _one_of_each_row(draw: Draw, op: Operation) -> Value:
    rows, width = draw.dims(0, 3), draw.size()
    return op(draw.real((*rows, width)), draw.integer(rows, 0, width - 1))


@draws("place")
def _one_in_each_row(draw: Draw, op: Operation) -> Value:
    rows, width = draw.dims(0, 3), draw.size()
    return op(draw.real(rows), draw.integer(rows, 0, width - 1), size=width)


def _sorted(draw: Draw, op: Operation, x: Value) -> Value:
    axis = draw.whole(0, x.type.rank - 1)
    here = x.dims[axis]
    size = draw.whole(1, here) if isinstance(here, int) else here
    return op(x, axis=axis, size=size, falling=draw.chance())


@draws("argsort")
def _order_of_reals(draw: Draw, op: Operation) -> Value:
    return _sorted(draw, op, draw.real(draw.dims(1)))


@draws("argsort", smooth=False)
def _order_of_equals(draw: Draw, op: Operation) -> Value:
    whole = draw.integer(draw.dims(1), -1, 1, draw.among(WHOLE))
    return _sorted(draw, op, whole if draw.chance() else whole.cast("f32"))


@draws("take")
def _several_of_each_row(draw: Draw, op: Operation) -> Value:
    dims, axis, here = fixed_axis(draw)
    index = draw.integer((*dims[:axis], draw.size(), *dims[axis + 1 :]), 0, here - 1)
    return op(draw.real(dims), index, axis=axis)


@draws("overwrite")
def _one_place_of_many(draw: Draw, op: Operation) -> Value:
    dims, axis, here = fixed_axis(draw)
    x, row = draw.real(dims), draw.real((*dims[:axis], 1, *dims[axis + 1 :]))
    return op(x, row, draw.integer((), 0, here - 1, draw.among(WHOLE)), axis=axis)


@draws("put")
def _several_in_each_row(draw: Draw, op: Operation) -> Value:
    dims, axis, _ = fixed_axis(draw)
    size = draw.size()
    return op(draw.real(dims), draw.integer(dims, 0, size - 1), axis=axis, size=size)
