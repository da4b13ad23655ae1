"""A call of an operation by the name that the language has for it: its arguments, and what its words share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.values import Label, Shape, Size, Tensor
from dotnn.graph import Dim
from dotnn.operation import MisfitError, shape_text
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
            given = f"{len(self.arguments)} are" if len(self.arguments) > 1 else "one is"
            raise MisfitError(f"`{self.name}` takes two tensors, and {given} given")
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
"""One call to its value. Raises MisfitError."""


def without(labels: tuple[Label, ...], axes: Sequence[int]) -> tuple[Label, ...]:
    """The labels that are left where these dims go."""
    return tuple(label for i, label in enumerate(labels) if i not in axes)


def places(tape: Tape, value: Any) -> Tensor:
    """A value as places, counted from 0. Raises MisfitError."""
    made = tensor(tape, value)
    if made.value.type.is_float:
        raise MisfitError("a place is a whole number, and this is real")
    return tensor(tape, made, "i64")


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
