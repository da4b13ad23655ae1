"""Operations that put numbers in order along a dim, and take them from their places in each row or put them there."""

from __future__ import annotations

from dotnn.graph import INTEGERS, Dim, Type
from dotnn.operation import Gradients, MisfitError, Operation, elements, register, shape_text
from dotnn.tape import Value


def _argsort(x: Type, *, axis: int, size: Dim, falling: bool) -> Type:
    if x.dtype == "bool":
        raise MisfitError("this takes numbers, not truth values")
    here = _axis(x, axis)
    if isinstance(size, int) and isinstance(here, int) and not 0 <= size <= here:
        raise MisfitError(f"the first {size} are asked for, and there are {here}")
    return Type(dtype="i64", dims=(*x.dims[:axis], size, *x.dims[axis + 1 :]))


def _axis(x: Type, axis: int) -> Dim:
    if not 0 <= axis < x.rank:
        raise MisfitError(f"there is no dim {axis} in {x}")
    return x.dims[axis]


def _sorting(result: Type, x: Type) -> int:
    return 10 * elements(x)


def _along(x: Type, index: Type, axis: int) -> None:
    if index.dtype not in INTEGERS:
        raise MisfitError(f"a place is a whole number, not {index.dtype}")
    _axis(x, axis)
    if x.rank != index.rank or x.dims[:axis] + x.dims[axis + 1 :] != index.dims[:axis] + index.dims[axis + 1 :]:
        raise MisfitError(f"{shape_text(index.dims)} does not name places along dim {axis} of {shape_text(x.dims)}")


def _take(x: Type, index: Type, *, axis: int) -> Type:
    _along(x, index, axis)
    return x.shaped(index.dims)


def _take_gradient(g: Value, y: Value, x: Value, index: Value, *, axis: int) -> Gradients:
    return [put(g, index, axis=axis, size=x.dims[axis]), None]


def _put(x: Type, index: Type, *, axis: int, size: Dim) -> Type:
    _along(x, index, axis)
    if x.dims != index.dims:
        raise MisfitError(f"{shape_text(index.dims)} does not name a place for each of {shape_text(x.dims)}")
    return x.shaped((*x.dims[:axis], size, *x.dims[axis + 1 :]))


def _put_gradient(g: Value, y: Value, x: Value, index: Value, *, axis: int, size: Dim) -> Gradients:
    return [take(g, index, axis=axis), None]


def _overwrite(x: Type, row: Type, place: Type, *, axis: int) -> Type:
    if place.dtype not in INTEGERS or place.rank:
        raise MisfitError(f"the place is one whole number, not {place}")
    _axis(x, axis)
    if row.dtype != x.dtype or row.dims != (*x.dims[:axis], 1, *x.dims[axis + 1 :]):
        raise MisfitError(f"{row} is not one place along dim {axis} of {x}")
    return x


def _overwrite_gradient(g: Value, y: Value, x: Value, row: Value, place: Value, *, axis: int) -> Gradients:
    nothing = g.tape.literal(0, g.dtype).expand(row.dims)
    here = place.reshape((1,) * g.type.rank).expand(row.dims)
    return [overwrite(g, nothing, place, axis=axis), take(g, here, axis=axis), None]


argsort = register(
    Operation(
        "argsort",
        _argsort,
        None,
        _sorting,
        doc="""the places of the numbers along `axis` in rising order (in falling order with `falling`), the first of
equals first; the first `size` of them""",
    )
)
take = register(
    Operation(
        "take",
        _take,
        _take_gradient,
        linear=(0,),
        doc="y[…, k, …] = x[…, index[…, k, …], …] along `axis`: several numbers of each row, in any order",
    )
)
put = register(
    Operation(
        "put",
        _put,
        _put_gradient,
        linear=(0,),
        doc="y[…, r, …] = the sum of x[…, k, …] over those k where index[…, k, …] is r, along `axis`; `size` places",
    )
)
overwrite = register(
    Operation(
        "overwrite",
        _overwrite,
        _overwrite_gradient,
        linear=(0, 1),
        doc="y is x, but at `place` along `axis` it is the row: one place of many is written",
    )
)
