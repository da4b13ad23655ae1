"""Metrics that are measured by themselves: where they need texts, the net first writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.data import Dataset, Rows
from dotnn.data.tokens import PAD
from dotnn.generate.search import likeliest
from dotnn.generate.writer import Writer
from dotnn.plugins import Arrays, Backend, Executor, Options, Session
from dotnn.program import Apart, Figure, Program, Written
from dotnn.training.figures import Reading, Tally
from dotnn.training.measure import Flag, columns, evaluation_batch

TEXTS = 64
"""Texts that are written side by side."""


class ApartFigures:
    """Measures them on the rows of a split. Everything is made ready when it is first needed."""

    def __init__(self, program: Program, backend: Backend, options: Options, state: Arrays | None = None) -> None:
        """state: the weights, where no session has them. Raises ``ProblemError`` when it measures."""
        self.program = program
        self.figures = tuple(figure for figure in program.figures if figure.apart is not None)
        self._backend, self._options, self._state = backend, options, state
        self._executors: dict[str, Executor] = {}
        self._writer: Writer | None = None

    def of(self, split: str) -> tuple[Figure, ...]:
        """Those that a split has: on the part that they name, and on what is kept for the exam."""
        return tuple(
            f for f in self.figures if f.apart is not None and (split == "test" or f.apart.on in (None, split))
        )

    def add(
        self, splits: dict[str, Any], dataset: Dataset, session: Session | None, epoch: int | None, flag: Flag
    ) -> bool:
        """Adds to the figures of each split those that are due at the end of this epoch (from 1), NaN in the place of
        the others; None: at the end of all, where everything is due. False where the flag was raised meanwhile."""
        for split, figures in list(splits.items()):
            here = self.of(split)
            due = tuple(f for f in here if f.apart is not None and (epoch is None or epoch % f.apart.every == 0))
            found = self.measure(due, dataset.splits[split], session, lambda: epoch is not None and flag.raised != 0)
            if found is None:
                return False
            if here:
                splits[split] = {**figures, **{f.name: found.get(f.name, math.nan) for f in here}}
        return True

    def measure(
        self,
        figures: tuple[Figure, ...],
        rows: Rows,
        session: Session | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> dict[str, Reading] | None:
        """The figures of these rows; None where it was given up meanwhile."""
        found: dict[str, Reading] = {}
        for figure in figures:
            assert figure.apart is not None
            reading = self._measured(figure, figure.apart, rows, session, given_up)
            if reading is None:
                return None
            found[figure.name] = reading
        return found

    def _measured(
        self, figure: Figure, apart: Apart, rows: Rows, session: Session | None, given_up: Callable[[], bool]
    ) -> Reading | None:
        graph = self.program.graphs[apart.graph]
        tally = Tally(self.program, graph)
        wanted = columns(graph)
        weights = {f.name: self._state[f.name] for f in graph.inputs if self._state and f.name in self._state}
        size = evaluation_batch(graph, self.program.plan.batch)
        for first in range(0, rows.count, TEXTS if apart.texts else size):
            if given_up():
                return None
            part = slice(first, first + (TEXTS if apart.texts else size))
            feeds: dict[str, Array] = {name: np.ascontiguousarray(rows.arrays[name][part]) for name in wanted}
            for text in apart.texts:
                feeds[text.input] = self._texts(text, rows, part, session)
            tally.add(self._executor(apart.graph).run({**weights, **feeds}, session))
        return tally.figures()[figure.name]

    def _texts(self, text: Written, rows: Rows, part: slice, session: Session | None) -> Array:
        """What the net writes for these rows, i64[b, t]: with what ends a text, filled up with `pad`."""
        if self._writer is None or self._writer.session is not session:
            self._writer = Writer(self.program, self._backend, self._options, self._state, session)
        plan = self._writer.plan
        given = {name: np.ascontiguousarray(rows.arrays[name][part]) for name in text.reads}
        count = len(next(iter(given.values())))
        begin = np.full((count, 1), plan.begins or PAD, np.int64)
        most = min(text.length or plan.length, plan.length)
        found = likeliest(self._writer, begin, text.beam, most, given)
        made = np.full((count, plan.length), PAD, np.int64)
        for row, texts in enumerate(found):
            tokens = texts[0].tokens if texts else []
            whole = [*tokens, *([plan.ends] if texts and texts[0].ended and plan.ends is not None else [])]
            made[row, : len(whole)] = whole[: plan.length]
        return made

    def _executor(self, name: str) -> Executor:
        if name not in self._executors:
            graph = self.program.graphs[name]
            self._executors[name] = self._backend.start(self._backend.lower(graph, self._options), self._options)
        return self._executors[name]
