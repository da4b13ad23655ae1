"""Texts of unequal length: rows of like length make a batch, and each batch is as long as its rows.

A text is filled up to the next of few sizes (8, 12, 16, 24, 32, 48, …; the longest text of training is the last),
whatever else is in its batch: what the net makes of a row never depends on the rows beside it. In an epoch the rows
come in the order that order.onnx gives. Each is laid with those of its sizes; when there are as many as a batch holds,
they are the next batch. What is left at the end makes short batches, the shortest texts first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.arrays import Array
from dotnn.data.batches import batches
from dotnn.data.load import Rows
from dotnn.data.steps import picked
from dotnn.data.tokens import PAD
from dotnn.program import Plan, RawColumn

Batch = tuple[int, dict[str, Array]]
"""How many rows, and the columns."""

LEAST = 8
"""The smallest size."""


def rounded(lengths: Array) -> Array:
    """The next size, of 8, 12, 16, 24, 32, 48, …: a power of two, or one and a half of it."""
    most = int(lengths.max(initial=1))
    sizes = [LEAST]
    while sizes[-1] < most:
        sizes.append(sizes[-1] * 3 // 2 if len(sizes) % 2 else sizes[-1] * 4 // 3)
    found: Array = np.asarray(sizes, np.int64)[np.searchsorted(sizes, lengths)]
    return found


def length_of(array: Array) -> Array:
    """How many places of each row hold something, i64[rows]."""
    filled = array != PAD
    return np.where(filled.any(axis=1), array.shape[1] - np.argmax(filled[:, ::-1], axis=1), 0)


@dataclass(frozen=True)
class Sizes:
    """How long the texts of each row are in a batch: ``each[rows, symbols]``."""

    symbols: tuple[str, ...]
    each: Array
    names: Mapping[str, int]
    """By raw input: which of the symbols is the size of its second dim."""

    @classmethod
    def of(cls, raws: Sequence[RawColumn], arrays: Mapping[str, Array]) -> Sizes | None:
        """None where no text is of open length."""
        open_ones = [raw for raw in raws if raw.places is not None and raw.name in arrays]
        if not open_ones:
            return None
        symbols = tuple(sorted({str(raw.places) for raw in open_ones}))
        columns = []
        for symbol in symbols:
            sharing = [raw for raw in open_ones if raw.places == symbol]
            longest = arrays[sharing[0].name].shape[1]
            # Of the text itself, though it is shifted here: all that look at it have one size.
            lengths = np.max([length_of(arrays[raw.name]) + raw.later for raw in sharing], axis=0)
            columns.append(np.minimum(rounded(np.clip(lengths, 1, longest)), longest))
        names = {raw.name: symbols.index(str(raw.places)) for raw in open_ones}
        return cls(symbols, np.stack(columns, axis=1).astype(np.int64), names)

    def cut(self, arrays: Mapping[str, Array], places: Any, row: int) -> dict[str, Array]:
        """These rows, which have the sizes of ``row``."""
        sizes = self.each[row]
        return {
            name: picked(array[:, : sizes[self.names[name]]] if name in self.names else array, places)
            for name, array in arrays.items()
        }

    def groups(self) -> Iterator[Array]:
        """The rows of each combination of sizes, the shortest first; rising within each."""
        _, group = np.unique(self.each, axis=0, return_inverse=True)
        group = group.reshape(-1)
        for number in range(int(group.max(initial=-1)) + 1):
            yield np.flatnonzero(group == number)


def room(plan: Plan, sizes: Array) -> Array:
    """How many rows of each of these sizes (``[…, symbols]``) a batch holds."""
    if plan.tokens is None:
        return np.full(sizes.shape[:-1], plan.batch, np.int64)
    rooms: Array = np.maximum(plan.tokens // sizes.max(axis=-1), 1)
    return rooms


def size_columns(raws: Sequence[RawColumn]) -> dict[str, int]:
    """By raw input of open length: in which column of ``table_of`` its size stands."""
    symbols = sorted({raw.places for raw in raws if raw.places is not None})
    return {raw.name: 1 + symbols.index(raw.places) for raw in raws if raw.places is not None}


def table_of(plan: Plan, raws: Sequence[RawColumn], arrays: Mapping[str, Array]) -> Array | None:
    """For each row how many rows like it make a batch, and its sizes: what a host needs to batch by length."""
    sizes = Sizes.of(raws, arrays) if plan.by_length else None
    return None if sizes is None else np.column_stack([room(plan, sizes.each), sizes.each])


class Batcher:
    """The batches of an epoch. Made once for a part."""

    def __init__(self, plan: Plan, raws: Sequence[RawColumn], rows: Rows) -> None:
        self.plan, self.rows = plan, rows
        self.sizes = Sizes.of(raws, rows.arrays) if plan.by_length else None
        self.count = -(-rows.count // plan.batch)
        """How many batches an epoch has."""
        if self.sizes is not None:
            self.count = sum(-(-len(group) // int(self._room(group[0]))) for group in self.sizes.groups())

    def _room(self, row: int) -> Any:
        assert self.sizes is not None
        return room(self.plan, self.sizes.each[row])

    def __call__(self, order: npt.NDArray[np.int64], done: int = 0) -> Iterator[Batch]:
        """The batches of the rows in this order, but for the first ``done``."""
        if self.sizes is None:
            size = self.plan.batch
            for batch in batches(self.rows, order[size * done :], size):
                yield len(next(iter(batch.values()))) if batch else size, batch
            return
        for places in self.places(order)[done:]:
            yield len(places), self.sizes.cut(self.rows.arrays, places, places[0])

    def places(self, order: npt.NDArray[np.int64]) -> list[Array]:
        """Which rows make each batch."""
        assert self.sizes is not None
        kinds = [tuple(sizes) for sizes in self.sizes.each.tolist()]
        rooms = room(self.plan, self.sizes.each).tolist()
        waiting: dict[tuple[int, ...], list[int]] = {}
        full: list[list[int]] = []
        for row in order.tolist():
            together = waiting.setdefault(kinds[row], [])
            together.append(row)
            if len(together) == rooms[row]:
                full.append(waiting.pop(kinds[row]))
        return [np.array(rows, np.int64) for rows in [*full, *(waiting[kind] for kind in sorted(waiting))]]


def parts_of(
    raws: Sequence[RawColumn], arrays: Mapping[str, Array], size: int
) -> Iterator[tuple[Any, dict[str, Array]]]:
    """All rows for an evaluation, so many at once: which they are, and their columns.

    As they stand; where lengths are open, those of one size together.
    """
    sizes = Sizes.of(raws, arrays)
    count = max((len(array) for array in arrays.values()), default=0)
    if sizes is None:
        for first in range(0, count, size):
            places = slice(first, min(first + size, count))
            yield places, {name: picked(array, places) for name, array in arrays.items()}
        return
    for group in sizes.groups():
        for first in range(0, len(group), size):
            rows = group[first : first + size]
            yield rows, sizes.cut(arrays, rows, int(rows[0]))


def in_order(
    raws: Sequence[RawColumn],
    arrays: Mapping[str, Array],
    size: int,
    run: Callable[[dict[str, Array]], Mapping[str, Array]],
) -> Iterator[tuple[int, dict[str, Array], Mapping[str, Array]]]:
    """What ``run`` makes of all rows, in their order: the first row of each part, its columns, and what was made of it.

    Rows of unequal length come one by one, since what is made of them has unequal lengths too.
    """
    waiting: dict[int, tuple[dict[str, Array], Mapping[str, Array]]] = {}
    for places, part in parts_of(raws, arrays, size):
        made = run(part)
        if isinstance(places, slice):
            yield places.start, part, made
            continue
        for at, row in enumerate(places.tolist()):
            one = slice(at, at + 1)
            waiting[row] = ({n: a[one] for n, a in part.items()}, {n: a[one] for n, a in made.items()})
    for row in sorted(waiting):
        yield row, *waiting[row]
