"""What is seen of a text in one value: how far each place of it looks, and which numbers are fixed by the spec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.generate.axes import Axis
from dotnn.graph import Dim, Node, Type

LARGEST = 2**26
"""Numbers that one value may have here."""
HIDDEN = -1e4
"""What is lowered to this before a softmax has a share of 0: e^-10000 is 0 in every precision."""
UNKNOWN = math.nan


@dataclass(frozen=True)
class Fixed:
    """Numbers that the spec fixes, whole; a size that is known only later counts as 1."""

    numbers: Array


@dataclass(frozen=True)
class Reach:
    """What else there is: ``last`` is the last token that is looked at (-1: none), for each place along ``axes``.

    ``known``: the number there, where it is the same for all else; minus infinity also where it is lowered so far
    that a softmax does not see it.
    """

    axes: tuple[Axis, ...]
    last: Array
    known: Array

    @property
    def furthest(self) -> int:
        return int(self.last.max(initial=-1))


Seen = Fixed | Reach


def nothing(last: int = -1) -> Reach:
    return Reach((), np.array(last, np.int32), np.array(UNKNOWN))


@dataclass(frozen=True)
class Place:
    """One operation with what is known of its inputs."""

    node: Node
    inputs: Sequence[Seen]
    types: Sequence[Type]
    length: int

    def attribute(self, name: str) -> Any:
        return self.node.attributes[name]

    def fixed(self) -> list[Array] | None:
        """The inputs' numbers, where all of them are fixed and there is room for the result."""
        if measured(self.node.type.dims) > LARGEST:
            return None
        arrays = [x.numbers for x in self.inputs if isinstance(x, Fixed)]
        return arrays if len(arrays) == len(self.inputs) else None

    def followed(self, number: int = 0) -> Reach:
        """An input, its numbers along the dims that may be places of the text."""
        seen = self.inputs[number]
        return seen if isinstance(seen, Reach) else along(seen.numbers, own_axes(seen.numbers, self.length))


def measured(dims: Sequence[Dim]) -> int:
    return math.prod(d if isinstance(d, int) else 1 for d in dims)


def own_axes(numbers: Array, length: int) -> tuple[Axis, ...]:
    """The dims of fixed numbers that are as long as the text."""
    found = tuple(Axis(dim, size) for dim, size in enumerate(numbers.shape) if size == length and size > 1)
    return found if length ** len(found) <= LARGEST else ()


def along(numbers: Array, axes: Sequence[Axis]) -> Reach:
    """Fixed numbers as what is known along these axes: where they differ in anything else, nothing is."""
    values = numbers.astype(np.float64)
    split: list[int] = []
    kept: list[int] = []
    for dim, size in enumerate(values.shape):
        here = next((a for a in axes if a.dim == dim), None)
        if here is None:
            split.append(size)
        else:
            outer = measured([here.outer])
            kept.append(len(split) + 1)
            split += [outer, here.size, size // (outer * here.size)]
    values = values.reshape(split)
    rest = tuple(i for i in range(len(split)) if i not in kept)
    low, high = values.min(axis=rest), values.max(axis=rest)
    shape = tuple(axis.size for axis in axes)
    order = sorted(range(len(axes)), key=lambda i: axes[i].dim)
    known = np.where(low == high, low, UNKNOWN).transpose([order.index(i) for i in range(len(axes))])
    return Reach(tuple(axes), np.full(shape, -1, np.int32), known.reshape(shape))


# ---- aligning and folding


def shifted(axes: Iterable[Axis], by: int) -> tuple[Axis, ...]:
    return tuple(axis.at(axis.dim + by) for axis in axes)


def together(place: Place, ranks: Sequence[int], rank: int) -> tuple[tuple[Axis, ...], list[Array], list[Array]]:
    """The inputs under the axes that any of them has, aligned from the last dim: axes, lasts, knowns."""
    axes: list[Axis] = []
    for seen, own in zip(place.inputs, ranks, strict=True):
        if isinstance(seen, Reach):
            axes += [a for a in shifted(seen.axes, rank - own) if a not in axes]
    for seen, own in zip(place.inputs, ranks, strict=True):
        if isinstance(seen, Fixed):
            more = shifted(own_axes(seen.numbers, place.length), rank - own)
            axes += [a for a in more if all(a.dim != other.dim for other in axes)]
    if len({a.dim for a in axes}) < len(axes) or math.prod(a.size for a in axes) > LARGEST:
        axes = []  # one dim holds two axes: it is not followed any further
    lasts, knowns = [], []
    for seen, own in zip(place.inputs, ranks, strict=True):
        wanted = [a.at(a.dim - (rank - own)) for a in axes]
        last, known = under(seen, wanted)
        lasts.append(last)
        knowns.append(known)
    return tuple(axes), lasts, knowns


def under(seen: Seen, axes: Sequence[Axis]) -> tuple[Array, Array]:
    """The last tokens and the numbers, each with a dim for each of these axes (1 where it is the same along it)."""
    if isinstance(seen, Fixed):
        there = [a for a in axes if a.dim >= 0 and seen.numbers.shape[a.dim] > 1]
        seen = along(seen.numbers, there)
    lost = tuple(i for i, a in enumerate(seen.axes) if a not in axes)
    last = seen.last.max(axis=lost) if lost else seen.last
    known = np.full(last.shape, UNKNOWN) if lost else seen.known
    kept = [a for a in seen.axes if a in axes]
    order = [kept.index(a) for a in axes if a in kept]
    shape = [a.size if a in kept else 1 for a in axes]
    return last.transpose(order).reshape(shape), known.transpose(order).reshape(shape)


def folded(seen: Reach, dims: Iterable[int], last: Array | None = None) -> Reach:
    """Without the axes in these dims; the others keep their numbers."""
    gone = tuple(i for i, a in enumerate(seen.axes) if a.dim in set(dims))
    if not gone:
        return Reach(seen.axes, seen.last, np.full(seen.last.shape, UNKNOWN))
    folded = (seen.last if last is None else last).max(axis=gone)
    axes = tuple(a for i, a in enumerate(seen.axes) if i not in gone)
    return Reach(axes, folded, np.full(folded.shape, UNKNOWN))
