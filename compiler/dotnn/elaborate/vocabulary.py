"""The operations by the names that the language has for them, and how their arguments are read.

Each word is one short function from a call to a value. Numbers known now stay numbers where the result is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dotnn.elaborate.arithmetic import elementwise, joint, real, tensor
from dotnn.elaborate.values import Label, Shape, Size, Tensor, plain
from dotnn.graph import Dim, multiply
from dotnn.operation import MisfitError, attributes_of, lookup, shape_text
from dotnn.tape import Tape, Value


class Noise(Protocol):
    def __call__(self, dims: tuple[Dim, ...], bits: int) -> Value: ...


@dataclass(frozen=True)
class Spoken:
    """One call of an operation: its arguments in order, its settings by name."""

    tape: Tape
    name: str
    arguments: Sequence[Any]
    settings: dict[str, Any] = field(default_factory=dict)
    noise: Noise | None = None

    def one(self) -> Any:
        if len(self.arguments) != 1:
            raise MisfitError(f"`{self.name}` takes one tensor, and {len(self.arguments)} are given")
        return self.arguments[0]

    def two(self) -> tuple[Any, Any]:
        if len(self.arguments) != 2:
            raise MisfitError(f"`{self.name}` takes two tensors, and {len(self.arguments)} are given")
        return self.arguments[0], self.arguments[1]

    def axes(self, x: Tensor, default: Sequence[int]) -> tuple[int, ...]:
        """The dims that `over` names, counted from the first."""
        over = self.settings.get("over")
        chosen = default if over is None else over if isinstance(over, tuple) else (over,)
        for axis in chosen:
            if not isinstance(axis, int) or not -x.rank <= axis < x.rank:
                raise MisfitError(f"`over = {axis}` names no dim of {shape_text(x.dims)}: the last one is -1")
        axes = sorted(axis % x.rank for axis in chosen)
        if len(set(axes)) < len(axes):
            raise MisfitError("`over` names one dim twice")
        return tuple(axes)

    def axis(self, x: Tensor) -> int:
        """The one dim that `over` names, the last without it."""
        if x.rank == 0:
            raise MisfitError(f"`{self.name}` works along a dim, and a single number has none")
        axes = self.axes(x, (-1,))
        if len(axes) != 1:
            raise MisfitError(f"`{self.name}` works along one dim")
        return axes[0]


Word = Callable[[Spoken], Any]


def _without(labels: tuple[Label, ...], axes: Sequence[int]) -> tuple[Label, ...]:
    return tuple(label for i, label in enumerate(labels) if i not in axes)


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
    "sign": lambda x: float((x > 0) - (x < 0)),
}


def _fold_numbers(call: Spoken) -> Any:
    """`sum`, `mean`: over all dims, or over those that `over` names."""
    x = call.one()
    made = real(call.tape, x) if call.name == "mean" else tensor(call.tape, x, joint(x, at_least="i64"))
    axes = call.axes(made, range(made.rank))
    if not axes:
        return made
    return Tensor(call.tape.add(call.name, made.value, axes=axes, keep=False), _without(made.labels, axes))


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
    return Tensor(value, _without(x.labels, (axis,)), size if isinstance(size, int) else None)


def _along(call: Spoken) -> Any:
    """An operation along one dim, which is brought to the end and back."""
    x = real(call.tape, call.one())
    axis = call.axis(x)
    settings: dict[str, Any] = {k: v for k, v in call.settings.items() if k != "over"}
    order = (*(i for i in range(x.rank) if i != axis), axis)
    made = call.tape.add(call.name, x.value.transpose(order), **settings)
    if made.type.rank < x.rank:
        return Tensor(made, _without(x.labels, (axis,)))
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


def places(tape: Tape, value: Any) -> Tensor:
    """A value as places, counted from 0. Raises MisfitError."""
    made = tensor(tape, value)
    if made.value.type.is_float:
        raise MisfitError("a place is a whole number, and this is real")
    return tensor(tape, made, "i64")


def _stop(call: Spoken) -> Any:
    x = call.one()
    return Tensor(call.tape.add("stop", x.value), x.labels) if isinstance(x, Tensor) else x


def _fold(call: Spoken) -> Any:
    """`fold(x, [a, b])`: the last dims merged into one."""
    x, merged = call.two()
    if not isinstance(x, Tensor) or not isinstance(merged, Shape):
        raise MisfitError("`fold` takes a tensor and a list of its last dims: fold(x, [h, w])")
    keep = x.rank - len(merged.dims)
    if keep < 0 or x.dims[keep:] != merged.dims:
        raise MisfitError(f"the last dims of {shape_text(x.dims)} are not {shape_text(merged.dims)}")
    return Tensor(x.value.reshape((*x.dims[:keep], multiply(merged.dims))), (*x.labels[:keep], None))


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


def shape_of(value: Any) -> Shape:
    """A value as a shape. Raises MisfitError."""
    match value:
        case Shape():
            return value
        case bool():
            pass
        case int():
            return Shape((value,), (None,))
        case Size(dim):
            return Shape((dim,), (None,))
    raise MisfitError("a shape is needed here, such as [b, 10]")


def _generic(call: Spoken) -> Any:
    """An operation that has no word of its own here (a plugin's): tensors in order, attributes by name."""
    first = tensor(call.tape, call.arguments[0]) if call.arguments else None
    values = [tensor(call.tape, a) for a in call.arguments]
    made = call.tape.add(call.name, *(v.value for v in values), **call.settings)
    return Tensor(made, first.labels) if first and first.dims == made.dims else plain(made)


PRIMITIVES: dict[str, Word] = {
    **dict.fromkeys(("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "sign", "floor"), _each),
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
    "fold": _fold,
    "random": _random,
    "fill": _fill,
}

SETTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("sum", "mean", "max", "min", "argmax", "softmax", "log_softmax", "logsumexp"), ("over",)),
    "normalise": ("over", "eps"),
    "random": ("bits",),
}


def settings_of(name: str) -> tuple[str, ...]:
    """The settings that a call of this operation may name: of a plugin's, the attributes of its type rule."""
    return SETTINGS.get(name, ()) if name in PRIMITIVES else attributes_of(lookup(name).infer)


def speak(call: Spoken) -> Any:
    """The value of a call. Raises MisfitError."""
    return PRIMITIVES.get(call.name, _generic)(call)
