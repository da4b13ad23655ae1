"""Rows that are computed instead of read: a graph from row numbers to columns, run in blocks of bounded memory.

It is run by the reference: each operation in double precision, rounded once to the type that the graph gives it. So the
numbers are those of the graph's own meaning, on every machine and at any size of the blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from dotnn import spec
from dotnn.arrays import Array
from dotnn.data.load import CannotStratify, Dataset, _check_split, _pick, _places, _refuse_one_answer
from dotnn.data.spill import room
from dotnn.graph import Graph
from dotnn.operation import elements
from dotnn.plugins import Options, backend
from dotnn.program import RawColumn
from dotnn.squares import derive_key
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span

BLOCK = 2**22
"""About how many numbers are computed at once, those in between counted."""
SAMPLE = 200
"""Rows that are looked at where nothing is learned yet."""


class OddNumber(Problem):
    code = "D070"
    title = "row {row} of the generated column `{column}` is {number}, which is {what}"
    label = "made here"
    help = "{way}"
    row: str
    column: str
    number: str
    what: str
    way: str


@dataclass(frozen=True)
class Drawn:
    """One column of a generating graph: ``raw``, as a host feeds it.

    ``whole``: the graph gives real numbers for it that must be whole ones (`as int`), from 0 up to but without
    ``raw.bound`` where there is one.
    """

    raw: RawColumn
    span: Span | None
    whole: bool = False
    bound: int | None = None


@dataclass(frozen=True)
class Drawer:
    """A generating graph, ready to run: inputs `key` and `row`, an output for each column."""

    graph: Graph
    columns: tuple[Drawn, ...]
    seed: int

    def draw(self, start: int, stop: int) -> dict[str, Array]:
        """The columns of these rows, ``dtype[rows, *dims]`` each. Raises D070."""
        total = sum((stop - start) * prod(c.raw.dims) * np.dtype(_dtype(c.raw)).itemsize for c in self.columns)
        found: dict[str, Array] = {
            c.raw.name: room((stop - start, *c.raw.dims), _dtype(c.raw), total) for c in self.columns
        }
        for first, block in self.blocks(start, stop):
            for column in self.columns:
                part = block[column.raw.name]
                _check(column, part, first)
                found[column.raw.name][first - start : first - start + len(part)] = part
        return found

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, dict[str, Array]]]:
        """The first row's number and the columns of each block."""
        reference, options = backend("reference"), Options()
        executor = reference.start(reference.lower(self.graph, options), options)
        size = max(1, BLOCK // max(sum(elements(node.type) for node in self.graph.nodes), 1))
        given: dict[str, Array] = {"key": np.array(derive_key(self.seed), np.uint64)}
        for first in range(start, stop, size):
            count = min(size, stop - first)
            given["row"] = np.arange(first, first + count)
            given |= self.fed(given["row"])
            made = executor.run(given)
            yield first, {n: np.broadcast_to(a, (count, *a.shape[1:])) for n, a in made.items()}

    def fed(self, rows: Array) -> dict[str, Array]:
        """What else the graph is fed for rows of these numbers."""
        return {}


def _dtype(raw: RawColumn) -> npt.DTypeLike:
    from dotnn.feeds import NUMPY

    return NUMPY[raw.dtype]


def _check(column: Drawn, block: Array, first: int) -> None:
    """Refuses what is no number, no whole number where one was promised, or out of its bounds."""
    if block.dtype.kind == "f":
        _refuse(column, block, first, ~np.isfinite(block), "no finite number", _FINITE)
    if not column.whole:
        return
    if block.dtype.kind == "f":
        _refuse(column, block, first, block != np.floor(block), "not whole", "round it: floor(…) as int")
    if column.bound is not None:
        bad = (block < 0) | (block >= column.bound)
        allowed = f"outside 0 to {column.bound - 1}"
        _refuse(column, block, first, bad, allowed, "`int < n` counts from 0 and stops before n: change one of the two")


_FINITE = "look for a division by zero, a logarithm or root of what may be negative, or a power that is too high"


def _refuse(column: Drawn, block: Array, first: int, bad: Array, what: str, way: str) -> None:
    if not bad.any():
        return
    place = np.unravel_index(int(np.argmax(bad)), bad.shape)
    number, row = f"{block[place]:.6g}", f"{first + int(place[0]) + 1:,}"
    raise OddNumber(span=column.span, row=row, column=column.raw.name, number=number, what=what, way=way).error()


def drawn_rows(
    data: spec.Data,
    drawer: Drawer,
    counts: tuple[int, int],
    groups: Callable[[int], Array | None],
) -> Dataset:
    """Every row, by part. counts: rows of `source` and of `test`; groups: what the split is stratified by.

    Raises D032 to D036 and D070.
    """
    count, tests = counts
    _check_split(data)
    arrays = drawer.draw(0, count + tests)
    places = _places(data, count, tests, groups(count))
    splits = {name: _pick(arrays, rows, count + tests) for name, rows in places.items()}
    spans = {c.raw.name: c.span for c in drawer.columns if c.span is not None}
    for column in drawer.columns:
        _refuse_one_answer(column.raw, splits, spans)
    marks = hashlib.sha256(f"{count} {tests}".encode())
    for name, array in sorted(arrays.items()):
        marks.update(name.encode() + str(array.dtype).encode())
        marks.update(np.ascontiguousarray(array).view(np.uint8).data)
    return Dataset(splits=splits, fingerprint=marks.hexdigest())


def stratum(split: spec.Split, array: Array) -> Array:
    """The groups of rows. Raises D035."""
    if array.ndim != 1 or array.dtype.kind == "f":
        why = "this is no column of classes or whole numbers"
        raise CannotStratify(span=split.span, name=split.stratify or "", why=why).error()
    return array
