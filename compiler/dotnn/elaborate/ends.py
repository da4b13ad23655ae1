"""Words for the ends of a sequence."""

from __future__ import annotations

from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.spoken import Spoken, Word, without
from dotnn.elaborate.values import Tensor
from dotnn.operation import MisfitError


def _last(call: Spoken) -> Tensor:
    """`last(h, over = t)`: what is at the last place along a dim; after `scan over t` where it ended."""
    x = tensor(call.tape, call.one())
    axis = _axis(call, x)
    here = x.dims[axis]
    if isinstance(here, int):
        return _at(x, axis, here - 1)
    order = (axis, *(i for i in range(x.rank) if i != axis))
    place = call.tape.size(here, "i64") - 1
    return Tensor(call.tape.add("gather", x.value.transpose(order), place), without(x.labels, (axis,)), x.bound)


def _first(call: Spoken) -> Tensor:
    """`first(h, over = t)`: what is at the first place along a dim; after `scan back over t` where it ended."""
    x = tensor(call.tape, call.one())
    axis = _axis(call, x)
    if isinstance(x.dims[axis], int):
        return _at(x, axis, 0)
    order = (axis, *(i for i in range(x.rank) if i != axis))
    place = call.tape.literal(0, "i64")
    return Tensor(call.tape.add("gather", x.value.transpose(order), place), without(x.labels, (axis,)), x.bound)


def _axis(call: Spoken, x: Tensor) -> int:
    if "over" not in call.settings:
        raise MisfitError(f"`{call.name}` goes to the end of a dim: say which, {call.name}(h, over = t)")
    axis = call.axis(x)
    if x.dims[axis] == 0:
        raise MisfitError("there is no place along this dim: its size is 0")
    return axis


def _at(x: Tensor, axis: int, place: int) -> Tensor:
    cut = x.value.tape.add("slice", x.value, axis=axis, start=place, stop=place + 1)
    dims = (*x.dims[:axis], *x.dims[axis + 1 :])
    return Tensor(cut.reshape(dims), without(x.labels, (axis,)), x.bound)


WORDS: dict[str, Word] = {"last": _last, "first": _first}

SETTINGS: dict[str, tuple[str, ...]] = dict.fromkeys(WORDS, ("over",))
