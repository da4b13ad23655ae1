"""Operations that take numbers from places that other numbers name, and put them there."""

from __future__ import annotations

from dotnn.graph import INTEGERS, Dim, Type
from dotnn.operation import Gradients, MisfitError, Operation, register, shape_text
from dotnn.tape import Value


def _whole(index: Type) -> None:
    if index.dtype not in INTEGERS:
        raise MisfitError(f"a place is a whole number, not {index.dtype}")


def _gather(table: Type, index: Type) -> Type:
    _whole(index)
    if table.rank < 1:
        raise MisfitError("nothing can be looked up in a single number")
    return table.shaped((*index.dims, *table.dims[1:]))


def _gather_gradient(g: Value, y: Value, table: Value, index: Value) -> Gradients:
    return [scatter(index, g, rows=table.dims[0]), None]


def _scatter(index: Type, rows_of: Type, *, rows: Dim) -> Type:
    _whole(index)
    if rows_of.dims[: index.rank] != index.dims:
        raise MisfitError(f"{shape_text(rows_of.dims)} has not a row for each of {shape_text(index.dims)}")
    return rows_of.shaped((rows, *rows_of.dims[index.rank :]))


def _scatter_gradient(g: Value, y: Value, index: Value, rows_of: Value, *, rows: Dim) -> Gradients:
    return [None, gather(g, index)]


def _pick(x: Type, index: Type) -> Type:
    _whole(index)
    if x.rank < 1 or x.dims[:-1] != index.dims:
        raise MisfitError(f"{shape_text(index.dims)} does not name one place in each row of {shape_text(x.dims)}")
    return x.shaped(index.dims)


def _pick_gradient(g: Value, y: Value, x: Value, index: Value) -> Gradients:
    return [place(g, index, size=x.dims[-1]), None]


def _place(x: Type, index: Type, *, size: Dim) -> Type:
    _whole(index)
    if x.dims != index.dims:
        raise MisfitError(f"{shape_text(index.dims)} does not name a place for each of {shape_text(x.dims)}")
    return x.shaped((*x.dims, size))


def _place_gradient(g: Value, y: Value, x: Value, index: Value, *, size: Dim) -> Gradients:
    return [pick(g, index), None]


gather = register(
    Operation(
        "gather", _gather, _gather_gradient, linear=(0,), doc="y[i…, …] = table[index[i…], …]: a row for each index"
    )
)
scatter = register(
    Operation(
        "scatter",
        _scatter,
        _scatter_gradient,
        linear=(1,),
        doc="y[r, …] = the sum of the rows whose index is r; `rows` of them",
    )
)
pick = register(
    Operation("pick", _pick, _pick_gradient, linear=(0,), doc="y[i…] = x[i…, index[i…]]: one number of each row")
)
place = register(
    Operation(
        "place",
        _place,
        _place_gradient,
        linear=(0,),
        doc="y[i…, k] = x[i…] where k is index[i…], else 0; `size` places",
    )
)
