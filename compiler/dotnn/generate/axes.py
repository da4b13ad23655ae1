"""Axes: where one size stands among the dims of a value, and where it goes when these are merged, split or moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dotnn.graph import Dim, Type, divide, multiply


@dataclass(frozen=True)
class Axis:
    """A size within a dim: ``dims[dim] == outer * size * inner``, in this order."""

    dim: int
    size: int
    outer: Dim = 1
    inner: Dim = 1

    @property
    def alone(self) -> bool:
        """Whether it is the whole dim."""
        return self.outer == self.inner == 1

    def at(self, dim: int) -> Axis:
        return replace(self, dim=dim)


def reshaped(axis: Axis, before: Sequence[Dim], after: Sequence[Dim]) -> Axis | None:
    """The same numbers' axis under other dims; None where it is torn apart.

    In rows, an axis stands where so many numbers come after it; it is whole in the dim that spans them all.
    """
    behind = multiply([axis.inner, *before[axis.dim + 1 :]])
    for dim in reversed(range(len(after))):
        inner = divide(behind, multiply(after[dim + 1 :]))
        outer = None if inner is None else divide(after[dim], multiply([axis.size, inner]))
        if inner is not None and outer is not None:
            return Axis(dim, axis.size, outer, inner)
    return None


def single(dims: Sequence[Dim], axis: Axis) -> tuple[Dim, ...]:
    """The dims, where one place of the axis is left."""
    return tuple(multiply([axis.outer, axis.inner]) if i == axis.dim else d for i, d in enumerate(dims))


def beside(axis: Axis, type: Type, inside: Type) -> Axis | None:
    """The axis of a result in a value that was aligned with it from the last dim; None where that is repeated."""
    dim = axis.dim - (inside.rank - type.rank)
    return axis.at(dim) if dim >= 0 and type.dims[dim] == inside.dims[axis.dim] else None
