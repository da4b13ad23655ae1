"""Cells become numbers: each raw input of a program is one array, and a cell that does not fit is shown with its line.

The quick way converts a block of rows at once; only where that fails are the cells looked at one by one, to say which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dotnn.data.paths import show
from dotnn.data.tables import Rows
from dotnn.program import RawColumn
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Span

Array = npt.NDArray[Any]


class NotANumber(Problem):
    code = "D023"
    title = "{place}: `{cell}` in the column `{column}` is not a number"
    label = "this column holds numbers"
    help = "{advice}"
    place: str
    cell: str
    column: str
    advice: str


class NotFinite(Problem):
    code = "D024"
    title = "{place}: `{cell}` in the column `{column}` is no finite number"
    label = "this column holds numbers"
    help = "write the number that is meant there, or remove the row"
    place: str
    cell: str
    column: str


class EmptyCell(Problem):
    code = "D025"
    title = "{place}: the column `{column}` has no value"
    label = "each row needs one here"
    help = "{found}write the value that is missing, or remove the row"
    place: str
    column: str
    found: str


class NotWhole(Problem):
    code = "D026"
    title = "{place}: `{cell}` in the column `{column}` is not a whole number"
    label = "this column holds whole numbers"
    help = "mend the cell, or leave out `int` where the column holds numbers with a fraction"
    place: str
    cell: str
    column: str


class OutOfBounds(Problem):
    code = "D027"
    title = "{place}: `{cell}` in the column `{column}` is outside {allowed}"
    label = "its values are {allowed}"
    help = "`int < {bound}` counts from 0 and stops before {bound}: mend the cell, or give another bound"
    place: str
    cell: str
    column: str
    allowed: str
    bound: int


class TooLarge(Problem):
    code = "D028"
    title = "{place}: `{cell}` in the column `{column}` is too large"
    label = "this column"
    help = "numbers here go up to about {most}: give the column in a larger unit"
    place: str
    cell: str
    column: str
    most: str


class UnseenClass(Problem):
    code = "D029"
    title = "{place}: `{cell}` in the column `{column}` is no class that training knows"
    label = "its classes are those of the training rows"
    help = "{advice}"
    place: str
    cell: str
    column: str
    advice: str


MISSING = frozenset({"", "na", "n/a", "null", "none", "?", "-", "--"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NUMPY: dict[str, type[np.generic]] = {
    "bool": np.bool_,
    "u8": np.uint8,
    "i32": np.int32,
    "i64": np.int64,
    "u64": np.uint64,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
}
_LARGEST_WHOLE = 2**63 - 1
_MOST = {
    "f16": float(np.finfo(np.float16).max),
    "f32": float(np.finfo(np.float32).max),
    "f64": float(np.finfo(np.float64).max),
}


class Reader(Protocol):
    """Takes the cells of the columns that it wants from one block of rows after the other."""

    def take(self, rows: Rows) -> None: ...


class NumberReader:
    """The cells of one raw input as numbers: ``finish() -> dtype[rows, *dims]``."""

    def __init__(self, raw: RawColumn, places: Sequence[int], span: Span | None) -> None:
        self.raw = raw
        self.span = span
        self._cells = _picker(places)
        self._width = len(places)
        self._blocks: list[Array] = []
        self._most = _MOST.get(raw.dtype, float(_LARGEST_WHOLE))

    def take(self, rows: Rows) -> None:
        cells = list(self._cells(rows.cells))
        if self.raw.classes is not None:
            block = self._classes(rows, cells)
        elif self.raw.dtype.startswith("f"):
            block = self._reals(rows, cells)
        else:
            block = self._wholes(rows, cells)
        self._blocks.append(block)

    def finish(self) -> Array:
        whole = np.concatenate(self._blocks) if self._blocks else np.empty(0, _NUMPY[self.raw.dtype])
        return whole.reshape(-1, *self.raw.dims)

    def _reals(self, rows: Rows, cells: list[str]) -> Array:
        values = _quickly(cells, float, np.float64)
        if values is None:
            values = np.fromiter((self._real(rows, cells, i) for i in range(len(cells))), np.float64, len(cells))
        with np.errstate(over="ignore", under="ignore"):
            small = values.astype(_NUMPY[self.raw.dtype])
        fits = np.isfinite(small)
        if not fits.all():
            raise self._beyond(rows, cells, int(np.argmin(fits)), self._most).error()
        return small

    def _wholes(self, rows: Rows, cells: list[str]) -> Array:
        values = _quickly(cells, int, np.int64)
        if values is None:
            values = np.fromiter((self._whole(rows, cells, i) for i in range(len(cells))), np.int64, len(cells))
        if self.raw.bound is not None:
            fits = (values >= 0) & (values < self.raw.bound)
            if not fits.all():
                raise self._out_of_bounds(rows, cells, int(np.argmin(fits)), self.raw.bound).error()
        return values.astype(_NUMPY[self.raw.dtype])

    def _classes(self, rows: Rows, cells: list[str]) -> Array:
        numbers = {text: i for i, text in enumerate(self.raw.classes or ())}
        found = [numbers.get(cell.strip(), -1) for cell in cells]
        values = np.array(found, _NUMPY[self.raw.dtype])
        if len(found) and values.min() < 0:
            at = found.index(-1)
            if not cells[at].strip():
                raise self._empty(rows, cells, at).error()
            known = self.raw.classes or ()
            listed = ", ".join(f"`{show(text)}`" for text in known[:8]) + (" and more" if len(known) > 8 else "")
            advice = perhaps(cells[at].strip(), [show(text) for text in known], f"the classes are {listed}")
            raise self._problem(UnseenClass, rows, cells, at, advice=advice).error()
        return values

    def _real(self, rows: Rows, cells: list[str], at: int) -> float:
        cell = cells[at].strip()
        if _NUMBER.fullmatch(cell):
            value = float(cell)
            if abs(value) > self._most:
                raise self._beyond(rows, cells, at, self._most).error()
            return value
        if cell.lower() in MISSING:
            raise self._empty(rows, cells, at).error()
        if _odd(cell):
            raise self._problem(NotFinite, rows, cells, at).error()
        advice = "write it in digits, as in 12.5 or 1e-3"
        if re.fullmatch(r"[+-]?\d+,\d+", cell):
            advice = f"write a decimal point: {cell.replace(',', '.')}"
        elif not any(c.isdigit() for c in cell):
            advice = "a column of texts becomes classes with `as class`; a column of numbers holds digits alone"
        raise self._problem(NotANumber, rows, cells, at, advice=advice).error()

    def _whole(self, rows: Rows, cells: list[str], at: int) -> int:
        cell = cells[at].strip()
        if re.fullmatch(r"[+-]?\d+", cell, re.ASCII) and len(cell) <= 4000:
            value: int | float = int(cell)
        else:
            value = self._real(rows, cells, at)
        if abs(value) > _LARGEST_WHOLE:
            raise self._beyond(rows, cells, at, self._most).error()
        if value != int(value):
            raise self._problem(NotWhole, rows, cells, at).error()
        if self.raw.bound is not None and not 0 <= value < self.raw.bound:
            raise self._out_of_bounds(rows, cells, at, self.raw.bound).error()
        return int(value)

    def _beyond(self, rows: Rows, cells: list[str], at: int, most: float) -> Problem:
        """What to say of a number that has no place: written out but too large, or `nan` and its like."""
        if _NUMBER.fullmatch(cells[at].strip()):
            return self._problem(TooLarge, rows, cells, at, most=f"{most:.2g}")
        return self._problem(NotFinite, rows, cells, at)

    def _out_of_bounds(self, rows: Rows, cells: list[str], at: int, bound: int) -> Problem:
        allowed = f"0 to {bound - 1}" if bound > 1 else "0"
        return self._problem(OutOfBounds, rows, cells, at, allowed=allowed, bound=bound)

    def _empty(self, rows: Rows, cells: list[str], at: int) -> Problem:
        cell = show(cells[at].strip())
        row, column = divmod(at, self._width)
        return EmptyCell(
            span=self.span,
            place=rows.place(row),
            column=show(self.raw.columns[column]),
            found=f"`{cell}` stands for nothing here; " if cell else "",
        )

    def _problem(self, problem: type[Problem], rows: Rows, cells: list[str], at: int, **facts: Any) -> Problem:
        row, column = divmod(at, self._width)
        facts |= {"place": rows.place(row), "column": show(self.raw.columns[column]), "cell": show(cells[at].strip())}
        return problem(span=self.span, **facts)


class TextReader:
    """The texts of one column, stripped; an empty one is refused."""

    def __init__(self, column: str, place: int, span: Span | None) -> None:
        self.column = column
        self.span = span
        self.texts: list[str] = []
        self._place = place
        self._known: dict[str, str] = {}

    def take(self, rows: Rows) -> None:
        for number, row in enumerate(rows.cells):
            text = row[self._place].strip()
            if not text:
                place = rows.place(number)
                raise EmptyCell(span=self.span, place=place, column=show(self.column), found="").error()
            # The same few texts come again and again: kept once.
            self.texts.append(self._known.setdefault(text, text))


def _picker(places: Sequence[int]) -> Callable[[list[list[str]]], Iterable[str]]:
    """The cells at these places, row by row."""
    first, count = places[0], len(places)
    if count == 1:
        return lambda rows: [row[first] for row in rows]
    if list(places) == list(range(first, first + count)):
        return lambda rows: chain.from_iterable(row[first : first + count] for row in rows)
    return lambda rows: [row[i] for row in rows for i in places]


def _quickly(cells: list[str], convert: Callable[[str], float], dtype: type[np.generic]) -> Array | None:
    """All cells at once, or None where one of them needs a closer look."""
    joined = "".join(cells)
    # Python reads 1_000 and digits of other scripts; a table that holds them more likely holds a mistake.
    if "_" in joined or not joined.isascii():
        return None
    try:
        return np.fromiter(map(convert, cells), dtype, len(cells))
    except (ValueError, OverflowError):
        return None


def _odd(cell: str) -> bool:
    """Whether this is a spelling of infinity, or of what is no number though it counts as one (`nan`)."""
    try:
        return not math.isfinite(float(cell))
    except ValueError:
        return False


def by_name(raws: Sequence[RawColumn], header: Sequence[str]) -> Mapping[str, list[int]]:
    """The places in the header of each raw input's columns (KeyError for a name that is not there)."""
    places = {name: i for i, name in enumerate(header)}
    return {raw.name: [places[name] for name in raw.columns] for raw in raws}
