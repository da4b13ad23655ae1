"""Operations that move numbers and leave them as they are."""

from __future__ import annotations

from dotnn.graph import Dim, Type, multiply
from dotnn.operation import EVERY, Gradients, MisfitError, Operation, broadcast, register, shape_text
from dotnn.tape import Value


def _reshape(x: Type, *, dims: tuple[Dim, ...]) -> Type:
    if multiply(x.dims) != multiply(dims):
        raise MisfitError(f"{shape_text(x.dims)} holds {x.size} numbers, {shape_text(dims)} {multiply(dims)}")
    return x.shaped(dims)


def _reshape_gradient(g: Value, y: Value, x: Value, *, dims: tuple[Dim, ...]) -> Gradients:
    return [g.reshape(x.dims)]


def _transpose(x: Type, *, order: tuple[int, ...]) -> Type:
    if sorted(order) != list(range(x.rank)):
        raise MisfitError(f"{list(order)} is no order of the dims of {x}")
    return x.shaped(x.dims[i] for i in order)


def _transpose_gradient(g: Value, y: Value, x: Value, *, order: tuple[int, ...]) -> Gradients:
    return [g.transpose(order.index(i) for i in range(len(order)))]


def _expand(x: Type, *, dims: tuple[Dim, ...]) -> Type:
    if broadcast(x.dims, dims) != dims:
        raise MisfitError(f"{shape_text(x.dims)} cannot be repeated to {shape_text(dims)}")
    return x.shaped(dims)


def _expand_gradient(g: Value, y: Value, x: Value, *, dims: tuple[Dim, ...]) -> Gradients:
    return [g]  # undone where all broadcasting is undone


def _axis(x: Type, axis: int) -> Dim:
    if not 0 <= axis < x.rank:
        raise MisfitError(f"there is no dim {axis} in {x}")
    return x.dims[axis]


def _slice(x: Type, *, axis: int, start: int, stop: int) -> Type:
    here = _axis(x, axis)
    if not isinstance(here, int):
        way = "places are counted from the first dim; `...` stands for all before those that are named: x[..., 0]"
        raise MisfitError(f"a part of dim {here} cannot be taken: its size is known only when the graph runs", way)
    if not 0 <= start <= stop <= here:
        raise MisfitError(f"{start}..{stop} is not within 0..{here}")
    return x.shaped((*x.dims[:axis], stop - start, *x.dims[axis + 1 :]))


def _slice_gradient(g: Value, y: Value, x: Value, *, axis: int, start: int, stop: int) -> Gradients:
    here = x.dims[axis]
    assert isinstance(here, int)
    return [pad(g, axis=axis, before=start, after=here - stop)]


def _pad(x: Type, *, axis: int, before: int, after: int) -> Type:
    here = _axis(x, axis)
    if not isinstance(here, int):
        raise MisfitError(f"dim {here} cannot be padded: its size is known only when the graph runs")
    if before < 0 or after < 0:
        raise MisfitError(f"{min(before, after)} zeros cannot be put beside {x}")
    return x.shaped((*x.dims[:axis], before + here + after, *x.dims[axis + 1 :]))


def _pad_gradient(g: Value, y: Value, x: Value, *, axis: int, before: int, after: int) -> Gradients:
    here = x.dims[axis]
    assert isinstance(here, int)
    return [cut(g, axis=axis, start=before, stop=before + here)]


def _concat(*parts: Type, axis: int) -> Type:
    if not parts:
        raise MisfitError("there is nothing to join")
    first = parts[0]
    _axis(first, axis)
    length = 0
    for part in parts:
        here = part.dims[axis] if part.rank == first.rank else None
        if not isinstance(here, int):
            raise MisfitError(f"{shape_text(part.dims)} cannot be joined to {shape_text(first.dims)} along dim {axis}")
        if (
            part.dtype != first.dtype
            or part.dims[:axis] + part.dims[axis + 1 :] != first.dims[:axis] + first.dims[axis + 1 :]
        ):
            raise MisfitError(f"{part} and {first} differ in more than the dim along which they are joined")
        length += here
    return first.shaped((*first.dims[:axis], length, *first.dims[axis + 1 :]))


def _concat_gradient(g: Value, y: Value, *parts: Value, axis: int) -> Gradients:
    flows: list[Value] = []
    start = 0
    for part in parts:
        here = part.dims[axis]
        assert isinstance(here, int)
        flows.append(cut(g, axis=axis, start=start, stop=start + here))
        start += here
    return flows


reshape = register(
    Operation("reshape", _reshape, _reshape_gradient, linear=(0,), doc="the same numbers in order, under other dims")
)
transpose = register(
    Operation("transpose", _transpose, _transpose_gradient, linear=(0,), doc="the dims in another `order`")
)
expand = register(Operation("expand", _expand, _expand_gradient, linear=(0,), doc="repeated until it has `dims`"))
cut = register(
    Operation("slice", _slice, _slice_gradient, linear=(0,), doc="from `start` up to but without `stop`, along `axis`")
)
pad = register(
    Operation("pad", _pad, _pad_gradient, linear=(0,), doc="with zeros put `before` and `after` it, along `axis`")
)
concat = register(Operation("concat", _concat, _concat_gradient, linear=EVERY, doc="one after the other, along `axis`"))
