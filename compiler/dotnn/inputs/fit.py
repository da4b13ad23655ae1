"""What is fitted on data: computed over the training split, kept in the graphs as numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.data import Dataset
from dotnn.graph import Graph
from dotnn.inputs.columns import Fit, Statistics
from dotnn.plugins import Options, backend

ROWS = 4096
"""Rows that are computed at once."""


class FittedOn:
    """Fitted on the training rows of a dataset. Satisfies ``Fit``.

    The sums are exact before they are rounded once, so that they do not depend on the order of the rows, nor on the
    processor.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def spread(self, name: str, graph: Graph) -> Statistics:
        table = self._values(graph).astype(np.float64)
        table = table.reshape(len(table), -1)
        count = len(table)
        means = [math.fsum(column) / count for column in table.T]
        spreads = [
            math.sqrt(math.fsum((column - mean) ** 2) / count) for column, mean in zip(table.T, means, strict=True)
        ]
        return tuple(_single(m) for m in means), tuple(_single(s) for s in spreads)

    def counts(self, name: str, graph: Graph, classes: int) -> tuple[int, ...]:
        values = self._values(graph).astype(np.int64)
        return tuple(int(count) for count in np.bincount(values.reshape(-1), minlength=classes)[:classes])

    def range(self, name: str, graph: Graph) -> tuple[float, float]:
        values = self._values(graph)
        return float(values.min()), float(values.max())

    def _values(self, graph: Graph) -> npt.NDArray[Any]:
        rows = self._dataset.splits.get("train") or next(iter(self._dataset.splits.values()))
        reference = backend("reference")
        options = Options(float64=True)
        executor = reference.start(reference.lower(graph, options), options)
        parts = []
        for start in range(0, rows.count, ROWS):
            feeds = {i.name: rows.arrays[i.name][start : start + ROWS] for i in graph.inputs}
            parts.append(executor.run(feeds)["x"])
        return np.concatenate(parts)


def fitted_on(dataset: Dataset) -> Remembered:
    return Remembered(FittedOn(dataset))


class Remembered:
    """Keeps what another has fitted, by name: all graphs of a net share it, on whatever rows. Satisfies ``Fit``."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.spreads: dict[str, Statistics] = {}
        self.counted: dict[str, tuple[int, ...]] = {}
        self.ranges: dict[str, tuple[float, float]] = {}

    def spread(self, name: str, graph: Graph) -> Statistics:
        if name not in self.spreads:
            self.spreads[name] = self.fit.spread(name, graph)
        return self.spreads[name]

    def counts(self, name: str, graph: Graph, classes: int) -> tuple[int, ...]:
        if name not in self.counted:
            self.counted[name] = self.fit.counts(name, graph, classes)
        return self.counted[name]

    def range(self, name: str, graph: Graph) -> tuple[float, float]:
        if name not in self.ranges:
            self.ranges[name] = self.fit.range(name, graph)
        return self.ranges[name]


def _single(number: float) -> float:
    return float(np.float32(number))
