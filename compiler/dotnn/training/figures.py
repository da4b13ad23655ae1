"""The figures of many batches as one: what a graph gives for each is taken together, and divided once at the end.

A figure is `NAME.total` over `NAME.count`, or has totals of its own (``Figure.totals``) of which the graph `figures`
makes it. Either way it is that of all rows at once, whatever the size of a batch, the short last one included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dotnn.graph import Graph
from dotnn.plugins import Arrays, Executor, Options, backend
from dotnn.program import Program
from dotnn.simplify import only

Array = np.ndarray[Any, Any]

FOLDS: dict[str, Callable[[Any, Any], Any]] = {"sum": np.add, "max": np.fmax, "min": np.fmin}
"""How the totals of two batches become one. The greatest of a number and nothing (nan) is the number."""


class Tally:
    """Adds up the batches of one split.

    ``graph``: the one whose outputs are added up (eval, or train, which may give fewer of the figures).
    """

    def __init__(self, program: Program, graph: Graph) -> None:
        there = {output.name for output in graph.outputs}
        self._program = program
        self._shares = [f.name for f in program.figures if f"{f.name}.total" in there]
        self._parted = [f for f in program.figures if f.totals and all(t.name in there for t in f.totals)]
        rank = {o.name: graph.types()[o.value].rank for o in graph.outputs}
        totals = [t for f in self._parted for t in f.totals]
        # Single numbers are added as Python's own: a step must not wait for this.
        self._sums = [t.name for t in totals if t.fold == "sum" and not rank[t.name]]
        self._folds = [(t.name, FOLDS[t.fold]) for t in totals if t.name not in self._sums]
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
        self._any = True

    def state(self) -> dict[str, Array]:
        """What was added so far, for a checkpoint in the middle of an epoch: f64 by the names of the outputs."""
        held: dict[str, Array] = {}
        for name, total, count in self._pairs:
            held |= {total: np.array(self._totals[name]), count: np.array(self._counts[name])}
        return held | self._whole()

    def _whole(self) -> dict[str, Array]:
        return {name: np.array(value) for name, value in self._added.items()} | self._parts

    def load(self, state: Arrays) -> None:
        """Goes on from there, with the same bits."""
        self.begin()
        for name, total, count in self._pairs:
            self._totals[name], self._counts[name] = float(state[total]), float(state[count])
        self._added |= {name: float(state[name]) for name in self._sums}
        self._parts = {name: np.array(state[name]) for name, _ in self._folds if name in state}
        self._any = len(self._parts) == len(self._folds)

    def figures(self) -> dict[str, float]:
        """Each figure of everything that was added; NaN where nothing was, or where it divides by nothing."""
        made = {name: _over(self._totals[name], self._counts[name]) for name in self._shares}
        made |= dict.fromkeys((f.name for f in self._parted), math.nan)
        if self._parted and self._any:
            made |= self._finished()
        return {name: made[name] for name in self.names}

    def _finished(self) -> dict[str, float]:
        return {name: float(value) for name, value in self._finish().run(self._whole()).items()}

    def _finish(self) -> Executor:
        if self._finisher is None:
            whole = self._program.graphs["figures"]
            graph = only(whole, {f.name: whole.output(f.name).value for f in self._parted})
            reference, options = backend("reference"), Options()
            self._finisher = reference.start(reference.lower(graph, options), options)
        return self._finisher


def _over(total: float, count: float) -> float:
    return total / count if count else math.nan
