"""Rows by the batch: whole stretches of an epoch are gathered at once, and a batch is a view of such a stretch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dotnn.arrays import Array
from dotnn.data.load import Rows
from dotnn.data.steps import picked

STRETCH = 1 << 24
"""About how many bytes are gathered at once."""


def batches(rows: Rows, order: npt.NDArray[np.int64] | None, size: int) -> Iterator[dict[str, Array]]:
    """Batches of ``size`` rows in this order (of the table where it is None); the last one may be shorter.

    Arrays are C-contiguous views: to be read, and not to be written to.
    """
    count = rows.count if order is None else len(order)
    names = list(rows.arrays)
    stretch = _stretch(rows, size)
    for start in range(0, count, stretch):
        stop = min(start + stretch, count)
        if order is None:
            parts = [array[start:stop] for array in rows.arrays.values()]
        else:
            parts = [_taken(array, order[start:stop]) for array in rows.arrays.values()]
        for at in range(0, stop - start, size):
            yield {name: part[at : at + size] for name, part in zip(names, parts, strict=True)}


def _taken(array: Array, places: npt.NDArray[np.int64]) -> Array:
    """These rows. Of windows, which are views, `take` would copy all of them first."""
    return array.take(places, axis=0) if array.flags.c_contiguous else picked(array, places)


def _stretch(rows: Rows, size: int) -> int:
    """How many rows to gather at once: a whole number of batches."""
    a_row = sum(array.nbytes for array in rows.arrays.values()) // max(rows.count, 1)
    return size * max(1, STRETCH // max(1, a_row * size))
