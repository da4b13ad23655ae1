"""Rows that are numbers already: columns as arrays, each with its own dims, or as texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.data.paths import TableFile

Column = Array | list[str]


@dataclass(frozen=True)
class Form:
    """What a column holds in each row: ``dtype`` is NumPy's name of it, or `text`."""

    dtype: str
    dims: tuple[int, ...] = ()


@dataclass(frozen=True)
class ArrayRows:
    """Some rows: each column as ``dtype[rows, *dims]``, or as a text for each row (empty where a value is missing).

    first: the number of the first of these rows, from 1.
    """

    file: TableFile
    columns: Mapping[str, Column]
    first: int

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        return f"{self.file.shown}, row {self.first + row:,}"

    def part(self, start: int, stop: int) -> ArrayRows:
        cut = {name: column[start:stop] for name, column in self.columns.items()}
        return ArrayRows(self.file, cut, self.first + start)

    @property
    def cells(self) -> list[list[str]]:
        """Every row as texts, for those who compare rows or print them."""
        return [[_text(column[row]) for column in self.columns.values()] for row in range(len(self))]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value.tolist()) if isinstance(value, np.ndarray | np.generic) else str(value)


def cut(columns: Mapping[str, Column], file: TableFile, size: int, first: int = 1) -> Iterator[ArrayRows]:
    """Whole columns in blocks of ``size`` rows."""
    whole = ArrayRows(file, columns, first)
    for start in range(0, len(whole), size):
        yield whole.part(start, start + size)


def rows_at_once(forms: Sequence[Form], wanted: int = 1 << 22) -> int:
    """How many rows make about so many bytes."""
    a_row = sum(8 * int(np.prod(form.dims, dtype=np.float64)) for form in forms)
    return int(max(1, min(8192, wanted // max(a_row, 1))))
