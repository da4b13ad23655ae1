"""The figures of many batches as one: what a graph gives for each is taken together, and divided once at the end.

A figure is `NAME.total` over `NAME.count`, or has totals of its own (``Figure.totals``) of which the graph `figures`
makes it; a total may be the rows themselves, put one after another. Either way the figure is that of all rows at once,
whatever the size of a batch, the short last one included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.feeds import NUMPY
from dotnn.graph import Graph, Type, measure
from dotnn.inputs.columns import BATCH
from dotnn.plugins import Arrays, Executor, Options, backend
from dotnn.program import Figure, Program
from dotnn.simplify import only
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

Table = tuple["float | Table", ...]
"""Numbers in a row, or rows of them."""

Reading = float | Table
"""What a figure says: a number, or a table of them."""

FOLDS: dict[str, Callable[[Any, Any], Any]] = {"sum": np.add, "max": np.fmax, "min": np.fmin}
"""How the totals of two batches become one. The greatest of a number and nothing (nan) is the number."""


class TooManyRows(Problem):
    code = "T046"
    title = "`{name}` needs the {rows} rows of `{split}` all at once: {needs}, and {limit} are allowed"
    help = "allow more of it: --limit gathered={bytes}; or measure on fewer rows"
    name: str
    rows: str
    split: str
    needs: str
    limit: str
    bytes: str


class Tally:
    """Adds up the batches of one split.

    ``graph``: the one whose outputs are added up (eval, or train, which may give fewer of the figures).
    """

    def __init__(self, program: Program, graph: Graph) -> None:
        there = {output.name for output in graph.outputs}
        self._program = program
        self._shares = [f.name for f in program.figures if f"{f.name}.total" in there]
        self._parted = [f for f in program.figures if f.totals and all(t.name in there for t in f.totals)]
        types = {o.name: graph.types()[o.value] for o in graph.outputs}
        rank = {name: type.rank for name, type in types.items()}
        totals = [t for f in self._parted for t in f.totals]
        self._rows = {t.name: NUMPY[types[t.name].dtype] for t in totals if t.fold == "rows"}
        # Single numbers are added as Python's own: a step must not wait for this.
        self._sums = [t.name for t in totals if t.fold == "sum" and not rank[t.name]]
        self._folds = [(t.name, FOLDS[t.fold]) for t in totals if t.fold in FOLDS and t.name not in self._sums]
        self._pairs = [(name, f"{name}.total", f"{name}.count") for name in self._shares]
        known = {*self._shares, *(f.name for f in self._parted)}
        self.names = [f.name for f in program.figures if f.name in known]
        self._finisher: Executor | None = None
        self.begin()

    def begin(self) -> None:
        """Forgets everything that was added."""
        self._totals = dict.fromkeys(self._shares, 0.0)
        self._counts = dict.fromkeys(self._shares, 0.0)
        self._added = dict.fromkeys(self._sums, 0.0)
        self._parts: dict[str, Array] = {}
        self._gathered: dict[str, list[Array]] = {name: [] for name in self._rows}
        self._any = False

    def add(self, out: Arrays) -> None:
        """One more batch: the outputs of the graph."""
        for name, total, count in self._pairs:
            self._totals[name] += float(out[total])
            self._counts[name] += float(out[count])
        added = self._added
        for name in self._sums:
            added[name] += float(out[name])
        for name, fold in self._folds:
            # A copy: what a training step gives is valid until the next one.
            mine = np.array(out[name], np.float64)
            self._parts[name] = fold(self._parts[name], mine) if name in self._parts else mine
        for name, dtype in self._rows.items():
            self._gathered[name].append(np.array(out[name], dtype))
        self._any = True

    def state(self) -> dict[str, Array]:
        """What was added so far, for a checkpoint in the middle of an epoch: f64 by the names of the outputs."""
        held: dict[str, Array] = {}
        for name, total, count in self._pairs:
            held |= {total: np.array(self._totals[name]), count: np.array(self._counts[name])}
        return held | self._whole()

    def _whole(self) -> dict[str, Array]:
        for name, parts in self._gathered.items():
            self._gathered[name] = [np.concatenate(parts)] if len(parts) > 1 else parts
        rows = {name: parts[0] for name, parts in self._gathered.items() if parts}
        return {name: np.array(value) for name, value in self._added.items()} | self._parts | rows

    def load(self, state: Arrays) -> None:
        """Goes on from there, with the same bits."""
        self.begin()
        for name, total, count in self._pairs:
            self._totals[name], self._counts[name] = float(state[total]), float(state[count])
        self._added |= {name: float(state[name]) for name in self._sums}
        self._parts = {name: np.array(state[name]) for name, _ in self._folds if name in state}
        self._gathered = {name: [np.array(state[name])] if name in state else [] for name in self._rows}
        self._any = len(self._parts) == len(self._folds) and all(self._gathered.values())

    def figures(self) -> dict[str, Reading]:
        """Each figure of everything that was added; NaN where nothing was, or where it divides by nothing."""
        made: dict[str, Reading] = {name: _over(self._totals[name], self._counts[name]) for name in self._shares}
        made |= {f.name: _nothing(f.dims) for f in self._parted}
        if self._parted and self._any:
            made |= {name: _reading(value) for name, value in self._finish().run(self._whole()).items()}
        return {name: made[name] for name in self.names}

    def _finish(self) -> Executor:
        if self._finisher is None:
            whole = self._program.graphs["figures"]
            graph = only(whole, {f.name: whole.output(f.name).value for f in self._parted})
            reference, options = backend("reference"), Options()
            self._finisher = reference.start(reference.lower(graph, options), options)
        return self._finisher


def number_of(reading: Reading | None) -> float:
    """The number that a figure is; NaN for a table, or for nothing."""
    return float(reading) if isinstance(reading, int | float) else math.nan


def read_reading(value: Any) -> Reading:
    """A figure from JSON, which has null for what is no number."""
    return tuple(read_reading(each) for each in value) if isinstance(value, list) else number_of(value)


def sizes_of(reading: Reading) -> tuple[int, ...]:
    """The sizes of a table; () for a number."""
    return (len(reading), *sizes_of(reading[0])) if isinstance(reading, tuple) and reading else ()


def gathering(program: Program) -> tuple[Figure, ...]:
    """The figures for which all rows of a split must be there at once."""
    return tuple(f for f in program.figures if any(t.fold == "rows" for t in f.totals))


def refuse_gathering(program: Program, rows: Mapping[str, int]) -> None:
    """Raises ``ProblemError`` where a split has too many rows for a figure that needs them all at once."""
    most = limits().gathered
    for figure in gathering(program):
        graph = only(program.graphs["figures"], {figure.name: program.graphs["figures"].output(figure.name).value})
        types = list(graph.types().values())
        for split, count in rows.items():
            needed = sum(_bytes(type, count) for type in types)
            if needed > most:
                raise TooManyRows(
                    name=figure.name,
                    rows=f"{count:,}",
                    split=split,
                    needs=_size(needed),
                    limit=_size(most),
                    bytes=f"{needed}",
                ).error()


def _bytes(type: Type, rows: int) -> int:
    return math.prod(measure(dim, {BATCH: rows}) for dim in type.dims) * np.dtype(NUMPY[type.dtype]).itemsize


def _size(count: int) -> str:
    unit, name = (1e9, "GB") if count >= 1e8 else (1e6, "MB") if count >= 1e5 else (1e3, "kB")
    return f"{count / unit:,.1f} {name}"


def _reading(value: Any) -> Reading:
    array = np.asarray(value, np.float64)
    return tuple(_reading(each) for each in array) if array.ndim else float(array)


def _nothing(dims: tuple[int, ...]) -> Reading:
    return _reading(np.full(dims, math.nan))


def _over(total: float, count: float) -> float:
    return total / count if count else math.nan
