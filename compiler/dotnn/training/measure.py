"""What a run measures: the train figures of an epoch while it goes on, and the exact figures of a whole split."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from dotnn.data import Rows
from dotnn.data.lengths import parts_of
from dotnn.graph import Graph, Type, measure, names_in
from dotnn.operation import elements
from dotnn.plugins import Arrays, Executor, Interruptible, Session
from dotnn.program import Program, RawColumn
from dotnn.training.figures import Reading, Tally, refuse_gathering

EVALUATED = 2**26
"""Numbers that one batch of an evaluation may compute."""


class Flag:
    """Raised from outside (a signal) to end training after the step under way."""

    __slots__ = ("busy", "raised")

    def __init__(self) -> None:
        self.raised = 0
        self.busy: object = None
        """What runs right now, and may be asked to give up."""

    def up(self) -> bool:
        return self.raised != 0

    def give_up(self) -> None:
        """Asks what runs right now to end without a result."""
        busy = self.busy
        if isinstance(busy, Interruptible):
            busy.interrupt()


class Running:
    """The train figures of an epoch while it goes on, each step by its rows, or by its places or weights."""

    def __init__(self, program: Program, graph: Graph) -> None:
        there = {output.name for output in graph.outputs}
        self.tally = Tally(program, graph)
        self.means = [f.name for f in program.figures if f.name in there and f.name not in self.tally.names]
        self.names = [f.name for f in program.figures if f.name in self.means or f.name in self.tally.names]
        self.begin()

    def begin(self) -> None:
        self.rows = 0
        self.totals = dict.fromkeys(self.means, 0.0)
        self.tally.begin()

    def add(self, out: Arrays, rows: int) -> None:
        self.rows += rows
        totals = self.totals
        for name in self.means:
            totals[name] += float(out[name]) * rows
        self.tally.add(out)

    def figures(self) -> dict[str, Reading]:
        found = self.tally.figures() | {name: _over(total, self.rows) for name, total in self.totals.items()}
        return {name: found[name] for name in self.names}


class Evaluator:
    """The exact figures of a whole split: totals over counts, so that the batch size does not matter."""

    def __init__(self, program: Program, executor: Executor, graph: Graph) -> None:
        self.program = program
        self.executor = executor
        self.columns = columns(graph)
        self.tally = Tally(program, graph)
        self.batch = evaluation_batch(graph, program.plan.batch, program.inputs)

    def __call__(
        self, rows: Rows, session: Session | None, until: float | None = None, flag: Flag | None = None
    ) -> dict[str, Reading] | None:
        """None where ``until`` (by ``perf_counter``) has come, or the flag was raised, before the split was through."""
        refuse_gathering(self.program, {"data": rows.count})
        self.tally.begin()
        arrays = {name: rows.arrays[name] for name in self.columns}
        for _, feeds in parts_of(self.program.inputs, arrays, self.batch):
            if (until is not None and perf_counter() >= until) or (flag is not None and flag.raised):
                return None
            self.tally.add(self.executor.run(feeds, session))
        return self.tally.figures()


def columns(graph: Graph) -> list[str]:
    """The inputs of a graph that come from the data."""
    return [fed.name for fed in graph.inputs if fed.role in ("data", "label", "weight")]


def evaluation_batch(graph: Graph, batch: int, inputs: Sequence[RawColumn] = ()) -> int:
    """How many rows are evaluated at once: a few thousand, fewer where each row takes many numbers.

    inputs: the columns, where some have sizes that a batch decides.
    """
    longest = {raw.places: raw.dims[0] for raw in inputs if raw.places is not None}
    each = sum(_elements(node.type, longest) if longest else elements(node.type) for node in graph.nodes)
    return max(batch, min(4096, EVALUATED // max(each, 1)))


def _elements(type: Type, longest: Mapping[str, int]) -> int:
    """As ``elements``, with these sizes."""
    return math.prod(measure(dim, {name: longest.get(name, 1) for name in names_in(dim)}) for dim in type.dims)


def _over(total: float, count: float) -> float:
    return total / count if count else math.nan


def relative_change(before: Mapping[str, np.ndarray[Any, Any]], after: Mapping[str, np.ndarray[Any, Any]]) -> float:
    """The length of a step over the length of the weights, all weights taken as one vector; NaN where they are 0."""
    moved = sum(_square(after[name].astype(np.float64) - old) for name, old in before.items())
    length = sum(_square(old.astype(np.float64)) for old in before.values())
    return math.sqrt(moved / length) if length and math.isfinite(moved) and math.isfinite(length) else math.nan


def _square(array: np.ndarray[Any, Any]) -> float:
    flat = array.ravel()
    return float(flat @ flat)


def resident() -> int | None:
    """Bytes of memory that this process occupies; the most that it ever did where the system tells no more."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
