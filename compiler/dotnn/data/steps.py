"""Windows of a long text or of a table in order of time: views of one array of steps, none of which is copied.

steps     0 1 2 3 4 5 6 7 8 9
window 4 by 2, `next = token shifted by 1`
token     0 1 2 3 | 2 3 4 5 | 4 5 6 7
next      1 2 3 4 | 3 4 5 6 | 5 6 7 8
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.graph import Graph
from dotnn.program import RawColumn

ROWS = 4096
"""Windows that are computed at once."""


@dataclass(frozen=True)
class Cut:
    """How a stream of steps is cut: windows of ``size``, one every ``by`` steps."""

    size: int
    by: int
    horizon: int = 1
    """How many steps `ahead(x)` is."""
    before: int = 0
    """So many steps before the first of a window are looked at too."""
    after: int = 0
    """And so many after its last."""
    back: int = 0
    """How far a window may begin before its part: all that it is asked for still lies in the part."""

    @property
    def span(self) -> int:
        """How many steps a window needs, with what comes before and after it."""
        return self.before + self.size + self.after


@dataclass(frozen=True)
class Passage:
    """Steps that follow each other, from ``start`` to before ``stop``; they may look back as far as ``root``."""

    start: int
    stop: int
    root: int = 0

    def windows(self, cut: Cut, holes: Array | None = None) -> Array:
        """Where the windows of this passage begin, i64, rising. holes: steps that must not be in a window."""
        first = max(self.start - cut.back, self.root + cut.before)
        found = np.arange(first, self.stop - cut.size - cut.after + 1, cut.by, dtype=np.int64)
        if holes is None or not len(found):
            return found
        passed = np.concatenate([[0], np.cumsum(holes)])
        whole: Array = found[passed[found + cut.size + cut.after] == passed[found - cut.before]]
        return whole


def view(steps: Array, starts: Array, later: int, count: int) -> Array:
    """For each window ``count`` steps from ``later`` after its start: ``[windows, count, *dims]``.

    A view that cannot be written to, where the windows begin at equal distances; else a copy.
    """
    if not len(starts):
        return np.empty((0, count, *steps.shape[1:]), steps.dtype)
    every = np.moveaxis(np.lib.stride_tricks.sliding_window_view(steps, count, axis=0), -1, 1)
    first, last = int(starts[0]) + later, int(starts[-1]) + later
    by = int(starts[1] - starts[0]) if len(starts) > 1 else 1
    if len(starts) < 3 or bool((np.diff(starts) == by).all()):
        seen: Array = every[first : last + 1 : by]
        return seen
    return np.ascontiguousarray(every[starts + later])


def picked(array: Array, places: Any) -> Array:
    """Some rows of an array, C-contiguous: of a view nothing else is copied."""
    return np.ascontiguousarray(array[places])


Run = Callable[[Mapping[str, Array]], Array]


@dataclass(frozen=True)
class Steps:
    """The steps of the training part, each once: what is fitted on data is fitted on these, and not on windows that
    overlap."""

    arrays: Mapping[str, Array]
    """By raw input: the stream that it looks at, one entry a step."""
    raws: Mapping[str, RawColumn]
    passages: tuple[Passage, ...]

    def values(self, graph: Graph, run: Run) -> Array | None:
        """What ``graph`` gives as `x` for each step, ``[steps, *dims]``; None where it gives no number for each."""
        names = [fed.name for fed in graph.inputs]
        counts = {self.raws[name].steps for name in names}
        dims = graph.types()[graph.output("x").value].dims
        if len(counts) != 1 or len(dims) < 2 or dims[1] not in counts:
            return None
        length = int(dims[1])
        parts = []
        for feeds, dropped in self._covered(names, length):
            made = run(feeds)
            parts.append(made.reshape(-1, *made.shape[2:])[dropped:])
        return np.concatenate(parts)

    def _covered(self, names: Sequence[str], length: int) -> Iterator[tuple[dict[str, Array], int]]:
        """Windows side by side in which every step occurs, and how many of the first steps have occurred before."""
        laters = [self.raws[name].later for name in names]
        low, high = min(laters), max(laters)
        for passage in self.passages:
            start, count = passage.start - low, passage.stop - passage.start - (high - low)
            if count < length:
                continue
            whole = np.arange(start, start + count - length + 1, length, dtype=np.int64)
            for first in range(0, len(whole), ROWS):
                yield self._fed(names, whole[first : first + ROWS], length), 0
            rest = count % length
            if rest:
                yield self._fed(names, np.array([start + count - length]), length), length - rest

    def _fed(self, names: Iterable[str], starts: Array, length: int) -> dict[str, Array]:
        return {name: picked(view(self.arrays[name], starts, self.raws[name].later, length), ...) for name in names}
