"""Words that put numbers in order, add them up as they come, and say how they are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dotnn.elaborate.arithmetic import joint, real, tensor
from dotnn.elaborate.spoken import Spoken, Word, places, without
from dotnn.elaborate.values import Tensor
from dotnn.graph import Dim
from dotnn.operation import MisfitError


def _truth(call: Spoken, name: str) -> bool:
    found = call.settings.get(name, False)
    if not isinstance(found, bool):
        raise MisfitError(f"`{name}` is yes or no")
    return found


def _numbers(call: Spoken, value: Any) -> Tensor:
    return tensor(call.tape, value, joint(value, at_least="i64"))


def _places(call: Spoken, x: Tensor, axis: int, size: Dim, falling: bool) -> Tensor:
    here = x.dims[axis]
    made = call.tape.add("argsort", x.value, axis=axis, size=size, falling=falling)
    return Tensor(made, x.labels, here if isinstance(here, int) else None)


def _argsort(call: Spoken) -> Tensor:
    """`argsort(x)`: the places of the numbers of the last dim in rising order, the first of equals first."""
    x = _numbers(call, call.one())
    axis = call.axis(x)
    return _places(call, x, axis, x.dims[axis], _truth(call, "falling"))


def _sort(call: Spoken) -> Tensor:
    """`sort(x)`: the numbers of the last dim in rising order; `falling = yes` for the other."""
    x = _numbers(call, call.one())
    order = _argsort(call)
    return Tensor(call.tape.add("take", x.value, order.value, axis=call.axis(x)), x.labels, x.bound)


def _top(call: Spoken) -> tuple[Tensor, Tensor]:
    """`values, places = top(x, 5)`: the greatest numbers of the last dim, the greatest first, and where they stand."""
    value, count = call.two()
    x = _numbers(call, value)
    axis = call.axis(x)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise MisfitError("`top` takes a tensor and how many of its greatest numbers are wanted: top(x, 5)")
    order = _places(call, x, axis, count, falling=True)
    return Tensor(call.tape.add("take", x.value, order.value, axis=axis), x.labels, x.bound), order


def _take(call: Spoken) -> Tensor:
    """`take(x, places)`: of each row (the last dim) the numbers at these places, in their order."""
    value, index = call.two()
    x, index = tensor(call.tape, value), places(call.tape, index)
    axis = call.axis(x)
    here = x.dims[axis]
    if isinstance(here, int) and index.bound is not None and index.bound > here:
        raise MisfitError(f"places up to {index.bound - 1} are asked for, and there are {here} (0 to {here - 1})")
    made = call.tape.add("take", x.value, index.value, axis=axis)
    others = (*x.labels[:axis], *x.labels[axis + 1 :])
    label = index.labels[axis] if index.labels[axis] not in others else None
    labels = (*x.labels[:axis], label, *x.labels[axis + 1 :])
    return Tensor(made, labels, x.bound)


def _cumulate(call: Spoken) -> Tensor:
    """`cumulate(x)`: each number with all before it in the last dim added up; `back = yes` adds those after it."""
    x = _numbers(call, call.one())
    made = call.tape.add("cumulate", x.value, axis=call.axis(x), back=_truth(call, "back"))
    return Tensor(made, x.labels)


def _variance(call: Spoken) -> Tensor:
    """`variance(x)`: the mean of (x - mean)^2 over all dims, or over those that `over` names."""
    x = real(call.tape, call.one())
    return _spread(call, x, call.axes(x, range(x.rank)))


def _spread(call: Spoken, x: Tensor, axes: Sequence[int]) -> Tensor:
    if not axes:
        return Tensor(call.tape.literal(0.0, x.value.dtype).expand(x.dims), x.labels)
    return Tensor(call.tape.add("variance", x.value, axes=tuple(axes), keep=False), without(x.labels, axes))


def _moments(call: Spoken) -> tuple[Tensor, Tensor]:
    """`m, v = moments(x, keep = c)`: mean and variance over all other dims; or over those that `over` names."""
    x = real(call.tape, call.one())
    if "keep" in call.settings:
        if "over" in call.settings:
            raise MisfitError("`moments` is given either the dims that stay (keep) or those that it works over (over)")
        kept = Spoken(call.tape, call.name, call.arguments, {"over": call.settings["keep"]}).axes(x, ())
        axes = tuple(i for i in range(x.rank) if i not in kept)
    else:
        axes = call.axes(x, range(x.rank))
    middle = Tensor(x.value.mean(axes), without(x.labels, axes))
    return middle, _spread(call, x, axes)


WORDS: dict[str, Word] = {
    "sort": _sort,
    "argsort": _argsort,
    "top": _top,
    "take": _take,
    "cumulate": _cumulate,
    "variance": _variance,
    "moments": _moments,
}

SETTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("top", "take", "variance"), ("over",)),
    **dict.fromkeys(("sort", "argsort"), ("over", "falling")),
    "cumulate": ("over", "back"),
    "moments": ("over", "keep"),
}
