"""What is fitted on data: computed over the training split, kept in the graphs as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dotnn.data import Dataset
from dotnn.graph import Graph, multiply
from dotnn.inputs.sums import ExactSums
from dotnn.plugins import Options, backend

ROWS = 4096
"""Rows that are computed at once."""

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and spread of each number of a column."""


class Fit(Protocol):
    """What is fitted on the training split.

    ``graph`` has the output `x`, computed row by row; ``name`` says whose it is.
    """

    def spread(self, name: str, graph: Graph) -> Statistics:
        """Mean and spread of `x` over the rows."""

    def counts(self, name: str, graph: Graph, classes: int) -> tuple[int, ...]:
        """How many rows have each of the whole numbers 0 to classes - 1."""

    def range(self, name: str, graph: Graph) -> tuple[float, float]:
        """The least and the greatest number of `x`."""

    def values(self, name: str, graph: Graph) -> tuple[float, ...]:
        """`x` of every row, one number each."""


class FittedOn:
    """Fitted on the training rows of a dataset. Satisfies ``Fit``.

    The sums are exact before they are rounded once, so that they do not depend on the order of the rows, nor on the
    processor.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def spread(self, name: str, graph: Graph) -> Statistics:
        if self._is_large(graph):
            return self._spread_in_passes(graph)
        table = self._values(graph).astype(np.float64)
        table = table.reshape(len(table), -1)
        count = len(table)
        means = [math.fsum(column) / count for column in table.T]
        spreads = [
            math.sqrt(math.fsum((column - mean) ** 2) / count) for column, mean in zip(table.T, means, strict=True)
        ]
        return tuple(_single(m) for m in means), tuple(_single(s) for s in spreads)

    def counts(self, name: str, graph: Graph, classes: int) -> tuple[int, ...]:
        found = np.zeros(classes, np.int64)
        for block in self._blocks(graph):
            found += np.bincount(block.astype(np.int64).reshape(-1), minlength=classes)[:classes]
        return tuple(int(count) for count in found)

    def range(self, name: str, graph: Graph) -> tuple[float, float]:
        ends = [(float(block.min()), float(block.max())) for block in self._blocks(graph) if block.size]
        return min(least for least, _ in ends), max(most for _, most in ends)

    def values(self, name: str, graph: Graph) -> tuple[float, ...]:
        return tuple(self._values(graph).reshape(-1).tolist())

    def _is_large(self, graph: Graph) -> bool:
        rows = self._dataset.splits.get("train") or next(iter(self._dataset.splits.values()))
        return self._dataset.steps is None and any(isinstance(rows.arrays[i.name], np.memmap) for i in graph.inputs)

    def _spread_in_passes(self, graph: Graph) -> Statistics:
        """The same numbers, with no more than a block of rows in memory."""
        size = prod(next(self._blocks(graph)).shape[1:])
        first, second, count = ExactSums(size), ExactSums(size), 0
        for block in self._blocks(graph):
            first.add(block.astype(np.float64).reshape(len(block), -1))
            count += len(block)
        means = [total / count for total in first.totals()]
        for block in self._blocks(graph):
            second.add((block.astype(np.float64).reshape(len(block), -1) - means) ** 2)
        spreads = [math.sqrt(total / count) for total in second.totals()]
        return tuple(_single(m) for m in means), tuple(_single(s) for s in spreads)

    def _values(self, graph: Graph) -> npt.NDArray[Any]:
        return np.concatenate(list(self._blocks(graph)))

    def _blocks(self, graph: Graph) -> Iterator[npt.NDArray[Any]]:
        """`x` of the training rows, some rows at a time."""
        rows = self._dataset.splits.get("train") or next(iter(self._dataset.splits.values()))
        reference = backend("reference")
        options = Options(float64=True)
        executor = reference.start(reference.lower(graph, options), options)
        if self._dataset.steps is not None:
            each = self._dataset.steps.values(graph, lambda feeds: executor.run(feeds)["x"])
            if each is not None:
                yield each
                return
        for start in range(0, rows.count, ROWS):
            feeds = {i.name: rows.arrays[i.name][start : start + ROWS] for i in graph.inputs}
            yield executor.run(feeds)["x"]


def fitted_on(dataset: Dataset) -> Remembered:
    """What is fitted on the training rows of a dataset, each thing once."""
    return Remembered(FittedOn(dataset))


class Remembered:
    """Keeps what another has fitted, by name: all graphs of a net share it, on whatever rows. Satisfies ``Fit``."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.spreads: dict[str, Statistics] = {}
        self.counted: dict[str, tuple[int, ...]] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.valued: dict[str, tuple[float, ...]] = {}

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

    def values(self, name: str, graph: Graph) -> tuple[float, ...]:
        if name not in self.valued:
            self.valued[name] = self.fit.values(name, graph)
        return self.valued[name]


def _single(number: float) -> float:
    return float(np.float32(number))


class NoFit:
    """Stands in for what is fitted on data where only types matter: mean 0, spread 1, as many of each class."""

    def spread(self, name: str, graph: Graph) -> Statistics:
        size = multiply(graph.types()[graph.output("x").value].dims[1:])
        assert isinstance(size, int)
        return (0.0,) * size, (1.0,) * size

    def counts(self, name: str, graph: Graph, classes: int) -> tuple[int, ...]:
        return (1,) * classes

    def range(self, name: str, graph: Graph) -> tuple[float, float]:
        return 1.0, 1.0

    def values(self, name: str, graph: Graph) -> tuple[float, ...]:
        return (1.0,)


no_fit = NoFit()
