"""What is fitted on data: computed over the training split, kept in the graphs as numbers."""

from __future__ import annotations

import math

import numpy as np

from dotnn.columns import Fit, Statistics
from dotnn.data import Dataset
from dotnn.graph import Graph
from dotnn.plugins import Options, backend

ROWS = 4096
"""Rows that are computed at once."""


def fitted_on(dataset: Dataset) -> Fit:
    """Mean and spread of a column over the training rows.

    The sums are exact before they are rounded once, so that they do not depend on the order of the rows, nor on the
    processor.
    """

    def fit(graph: Graph) -> Statistics:
        rows = dataset.splits.get("train") or next(iter(dataset.splits.values()))
        reference = backend("reference")
        options = Options(float64=True)
        executor = reference.start(reference.lower(graph, options), options)
        parts = []
        for start in range(0, rows.count, ROWS):
            feeds = {i.name: rows.arrays[i.name][start : start + ROWS] for i in graph.inputs}
            made = executor.run(feeds)["x"].astype(np.float64)
            parts.append(made.reshape(len(made), -1))
        table = np.concatenate(parts)
        means = [math.fsum(column) / rows.count for column in table.T]
        spreads = [
            math.sqrt(math.fsum((column - mean) ** 2) / rows.count) for column, mean in zip(table.T, means, strict=True)
        ]
        return tuple(_single(m) for m in means), tuple(_single(s) for s in spreads)

    return fit


def _single(number: float) -> float:
    return float(np.float32(number))
