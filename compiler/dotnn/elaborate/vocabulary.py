"""The operations by the names that the language has for them, and how their arguments are read.

Each word is one short function from a call to a value. Numbers known now stay numbers where the result is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dotnn.elaborate import convolve, ends, ordering, rearrange, slope, within
from dotnn.elaborate.arithmetic import elementwise, joint, real, tensor
from dotnn.elaborate.spoken import Spoken, Word, places, shape_of, without
from dotnn.elaborate.values import Shape, Size, Tensor, plain
from dotnn.graph import multiply
from dotnn.operation import MisfitError, attributes_of, lookup


def _each(call: Spoken) -> Any:
    """An operation on each real number."""
    x = call.one()
    if isinstance(x, int | float) and call.name in _EXACT:
        return _EXACT[call.name](x)
    x = real(call.tape, x)
    return Tensor(call.tape.add(call.name, x.value), x.labels)


def _root(x: float) -> float:
    if x < 0:
        raise MisfitError(f"{x} has no square root among the reals")
    return math.sqrt(x)


_EXACT: dict[str, Callable[[Any], Any]] = {
    "sqrt": _root,
    "abs": abs,
    "floor": lambda x: float(math.floor(x)),
    "round": lambda x: float(round(x)),
    "sign": lambda x: float((x > 0) - (x < 0)),
}


def _fold_numbers(call: Spoken) -> Any:
    """`sum`, `mean`: over all dims, or over those that `over` names; `keep = yes` leaves these in, with size 1."""
    x = call.one()
    made = real(call.tape, x) if call.name == "mean" else tensor(call.tape, x, joint(x, at_least="i64"))
    axes, keep = call.axes(made, range(made.rank)), call.settings.get("keep", False)
    if not isinstance(keep, bool):
        raise MisfitError("`keep = yes` leaves the dims in that are folded, with size 1; it is yes or no")
    if not axes:
        return made
    left = tuple(None if i in axes else label for i, label in enumerate(made.labels))
    labels = left if keep else without(made.labels, axes)
    return Tensor(call.tape.add(call.name, made.value, axes=axes, keep=keep), labels)


def _extreme(call: Spoken) -> Any:
    """`max(x)`, `max(x, over = t)`: the greatest; `max(a, b)`: the greater of each two."""
    if len(call.arguments) == 2:
        a, b = call.arguments
        if call.settings:
            raise MisfitError(f"`{call.name}(a, b)` takes the two number by number, and `over` goes with one tensor")
        if isinstance(a, int | float) and isinstance(b, int | float):
            return max(a, b) if call.name == "max" else min(a, b)
        dtype = joint(a, b, at_least="i64")
        op = "maximum" if call.name == "max" else "minimum"
        return elementwise(call.tape, op, tensor(call.tape, a, dtype), tensor(call.tape, b, dtype))
    return _fold_numbers(call)


def _argmax(call: Spoken) -> Any:
    x = tensor(call.tape, call.one())
    axis = call.axis(x)
    size = x.dims[axis]
    value = call.tape.add("argmax", x.value, axis=axis)
    return Tensor(value, without(x.labels, (axis,)), size if isinstance(size, int) else None)


def _along(call: Spoken) -> Any:
    """An operation along one dim, which is brought to the end and back."""
    x = real(call.tape, call.one())
    axis = call.axis(x)
    settings: dict[str, Any] = {k: v for k, v in call.settings.items() if k != "over"}
    order = (*(i for i in range(x.rank) if i != axis), axis)
    made = call.tape.add(call.name, x.value.transpose(order), **settings)
    if made.type.rank < x.rank:
        return Tensor(made, without(x.labels, (axis,)))
    return Tensor(made.transpose(order.index(i) for i in range(x.rank)), x.labels)


def _normalise(call: Spoken) -> Any:
    eps = call.settings.get("eps", 1e-5)
    if not isinstance(eps, int | float):
        raise MisfitError("`eps` is a number")
    return _along(Spoken(call.tape, call.name, call.arguments, {**call.settings, "eps": float(eps)}))


def _pick(call: Spoken) -> Any:
    x, index = call.two()
    x, index = real(call.tape, x), places(call.tape, index)
    if isinstance(x.dims[-1], int) and index.bound is not None and index.bound > x.dims[-1]:
        raise MisfitError(
            f"places up to {index.bound - 1} are asked for, and there are {x.dims[-1]} (0 to {x.dims[-1] - 1})"
        )
    return Tensor(call.tape.add("pick", x.value, index.value), index.labels)


def _stop(call: Spoken) -> Any:
    x = call.one()
    return Tensor(call.tape.add("stop", x.value), x.labels) if isinstance(x, Tensor) else x


def _random(call: Spoken) -> Any:
    """`random(shape)`: even numbers in [0, 1), 24 bits each; `bits = 16` is quicker."""
    shape = shape_of(call.one())
    bits = call.settings.get("bits", 24)
    assert call.noise is not None
    return Tensor(call.noise(shape.dims, bits), shape.labels)


def _fill(call: Spoken) -> Any:
    """`fill(0, shape)`: one number everywhere."""
    number, shape = call.two()
    shape = shape_of(shape)
    made = real(call.tape, number)
    return Tensor(made.value.expand(shape.dims), shape.labels)


def _whole(call: Spoken) -> Any:
    """`int(x)`: whole numbers; reals are cut towards zero, yes is 1."""
    x = call.one()
    if isinstance(x, int | float):
        return int(x)
    if isinstance(x, Size):
        return x
    bound = 2 if isinstance(x, Tensor) and x.value.dtype == "bool" else None
    made = tensor(call.tape, x)
    return Tensor(made.value.cast("i64"), made.labels, bound or made.bound)


def _real(call: Spoken) -> Any:
    """`real(x)`: real numbers; yes is 1."""
    x = call.one()
    return float(x) if isinstance(x, int | float) else real(call.tape, x)


def _bool(call: Spoken) -> Any:
    """`bool(x)`: yes where x is not 0."""
    x = call.one()
    if isinstance(x, int | float):
        return x != 0
    made = tensor(call.tape, x)
    return Tensor(made.value.cast("bool"), made.labels)


def _rank(call: Spoken) -> Any:
    """`rank(x)`: how many dims x has."""
    x = call.one()
    return x.rank if isinstance(x, Tensor) else 0


def _shape(call: Spoken) -> Any:
    """`shape(x)`: its dims, as an initialiser gets them."""
    x = call.one()
    return Shape(x.dims, x.labels) if isinstance(x, Tensor) else Shape((), ())


def _size(call: Spoken) -> Any:
    """`size(x)`: how many numbers it holds; `size(x, over = -1)`: how many stand along these dims."""
    x = tensor(call.tape, call.one())
    made = multiply(x.dims[axis] for axis in call.axes(x, range(x.rank)))
    return made if isinstance(made, int) else Size(made)


def _generic(call: Spoken) -> Any:
    """An operation that has no word of its own here (a plugin's): tensors in order, attributes by name."""
    first = tensor(call.tape, call.arguments[0]) if call.arguments else None
    values = [tensor(call.tape, a) for a in call.arguments]
    made = call.tape.add(call.name, *(v.value for v in values), **call.settings)
    return Tensor(made, first.labels) if first and first.dims == made.dims else plain(made)


PRIMITIVES: dict[str, Word] = {
    **dict.fromkeys(
        ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "sign", "floor", "round", "erf"), _each
    ),
    "sum": _fold_numbers,
    "mean": _fold_numbers,
    "max": _extreme,
    "min": _extreme,
    "argmax": _argmax,
    "softmax": _along,
    "log_softmax": _along,
    "logsumexp": _along,
    "normalise": _normalise,
    "pick": _pick,
    "stop": _stop,
    "int": _whole,
    "real": _real,
    "bool": _bool,
    "random": _random,
    "fill": _fill,
    **rearrange.WORDS,
    **ordering.WORDS,
    **slope.WORDS,
    **convolve.WORDS,
    **ends.WORDS,
    **within.WORDS,
    "rank": _rank,
    "shape": _shape,
    "size": _size,
}

SETTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("argmax", "softmax", "log_softmax", "logsumexp", "size"), ("over",)),
    **dict.fromkeys(("sum", "mean", "max", "min"), ("over", "keep")),
    "normalise": ("over", "eps"),
    "random": ("bits",),
    **rearrange.SETTINGS,
    **ordering.SETTINGS,
    **convolve.SETTINGS,
    **ends.SETTINGS,
}


def settings_of(name: str) -> tuple[str, ...]:
    """The settings that a call of this operation may name: of a plugin's, the attributes of its type rule."""
    return SETTINGS.get(name, ()) if name in PRIMITIVES else attributes_of(lookup(name).infer)


def speak(call: Spoken) -> Any:
    """The value of a call. Raises MisfitError."""
    return PRIMITIVES.get(call.name, _generic)(call)
