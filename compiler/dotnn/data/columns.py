"""Cells become numbers: each raw input of a program is one array, and a cell that does not fit is shown with its line.

The quick way converts a block of rows at once; only where that fails are the cells looked at one by one, to say which.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

import numpy as np

from dotnn.arrays import Array
from dotnn.data.arrays import ArrayRows, Column
from dotnn.data.paths import show
from dotnn.data.spill import Spill
from dotnn.data.tables import Rows
from dotnn.data.tokens import PAD, encoder, moved, row_of
from dotnn.feeds import NUMPY
from dotnn.program import RawColumn
from dotnn_grammar.problems import Problem, ProblemError, perhaps
from dotnn_grammar.source import Span


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


class NestedValue(Problem):
    code = "D048"
    title = "{place}: the column `{column}` holds more than one value: {cell}"
    label = "one number or text is needed here"
    help = "write the values that are inside as columns of their own"
    place: str
    column: str
    cell: str


class OtherDims(Problem):
    code = "D049"
    title = "`{column}` of {file} holds {found} in each row, and {needed} is needed"
    label = "this column"
    help = "look whether this is the array that is meant; an array with dims of its own is a column by itself"
    column: str
    file: str
    found: str
    needed: str


class Nested(str):
    """A list or an object of a JSON table, as a short text: nothing reads it, and what wants to is told so."""


MISSING = frozenset({"", "na", "n/a", "null", "none", "?", "-", "--"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LARGEST_WHOLE = 2**63 - 1
TRUTHS = {"yes": "1", "no": "0", "true": "1", "false": "0"}
"""What may stand for 1 and 0 in a column that is read `as bool`."""
_MOST = {
    "f16": float(np.finfo(np.float16).max),
    "f32": float(np.finfo(np.float32).max),
    "f64": float(np.finfo(np.float64).max),
}


Block = Rows | ArrayRows


class Reader(Protocol):
    """Takes what it wants of one block of rows after the other."""

    @property
    def names(self) -> Sequence[str]:
        """The columns that it wants."""

    def take(self, rows: Block, bad: Bad | None = None) -> None:
        """Raises ``ProblemError`` at a row that does not fit; with ``bad`` it is noted there, and the rest is taken."""


class Bad:
    """The rows that do not fit, where the spec says to leave them out: by number, with what is wrong with the first
    value of each."""

    def __init__(self) -> None:
        self.rows: dict[int, Problem] = {}
        self.lost: list[Problem] = []
        """Of those that could not be read at all, and so have no number."""
        self.missing: Counter[str] = Counter()
        """By column: how many rows have no value there, as far as it was looked at."""

    def note(self, row: int, problem: Problem) -> None:
        self.rows.setdefault(row, problem)
        if isinstance(problem, EmptyCell):
            self.missing[problem.column] += 1

    def tell(self, problem: Problem) -> None:
        self.lost.append(problem)


class Cells(NamedTuple):
    """Texts of some rows, row by row, a text for each of these columns."""

    rows: Block
    cells: list[str]
    columns: Sequence[str]

    def where(self, at: int) -> tuple[str, str]:
        """Place and column of one of them."""
        row, column = divmod(at, len(self.columns))
        return self.rows.place(row), show(self.columns[column])


class NumberReader:
    """One raw input as numbers: ``finish() -> dtype[rows, *dims]``."""

    def __init__(self, raw: RawColumn, places: Sequence[int], span: Span | None) -> None:
        self.raw = raw
        self.span = span
        self._cells = _picker(places)
        self._blocks: list[Array] = []
        self._count = 0
        self._most = _MOST.get(raw.dtype, float(_LARGEST_WHOLE))
        self._encode = encoder(raw.tokens, span) if raw.tokens is not None else None
        self.spill: Spill | None = None
        """What keeps the numbers where there are too many for memory."""
        self.cut = 0
        """How many texts had more pieces than there is room for."""

    @property
    def names(self) -> Sequence[str]:
        return self.raw.columns

    def take(self, rows: Block, bad: Bad | None = None) -> None:
        self._blocks.extend(self._taken(rows, bad))
        if self.spill is not None:
            self._blocks = self.spill.kept(self, self._blocks)
        self._count += len(rows)

    def _taken(self, rows: Block, bad: Bad | None, first: int = 0) -> Iterator[Array]:
        """The numbers of these rows, with zeros in the place of a row that is bad."""
        try:
            made = self._block(rows)
        except ProblemError as wrong:
            if bad is None:
                raise
            if len(rows) == 1:
                bad.note(self._count + first, wrong.problems[0])
                yield np.zeros(math.prod(self.raw.dims), NUMPY[self.raw.dtype])
                return
            half = len(rows) // 2
            yield from self._taken(rows.part(0, half), bad, first)
            yield from self._taken(rows.part(half, len(rows)), bad, first + half)
            return
        yield made

    def finish(self) -> Array:
        whole = (self.spill or Spill()).whole(self, self._blocks, NUMPY[self.raw.dtype])
        return whole.reshape(-1, *self.raw.dims)

    def _block(self, rows: Block) -> Array:
        """The numbers of these rows, one after the other."""
        if isinstance(rows, Rows):
            return self._converted(Cells(rows, list(self._cells(rows.cells)), self.raw.columns))
        made = [self._column(rows, name, rows.columns[name]) for name in self.raw.columns]
        return (made[0] if len(made) == 1 else np.stack(made, axis=1)).reshape(-1)

    def _column(self, rows: ArrayRows, name: str, column: Column) -> Array:
        if isinstance(column, list):
            return self._converted(Cells(rows, column, (name,)))
        wanted = self.raw.dims if len(self.raw.columns) == 1 and self.raw.tokens is None else ()
        if column.shape[1:] != wanted:
            found, needed = dims_text(column.shape[1:]), dims_text(wanted)
            raise OtherDims(span=self.span, file=rows.file.shown, column=show(name), found=found, needed=needed).error()
        if self.raw.classes is not None:
            return self._classes(Cells(rows, [written(value) for value in column.tolist()], (name,)))
        if self._encode is not None:
            return self._tokens(Cells(rows, [written(value) for value in column.tolist()], (name,)))
        if self.raw.dtype.startswith("f"):
            with np.errstate(over="ignore", under="ignore"):
                made = column.astype(NUMPY[self.raw.dtype])
            self._require(rows, name, column, np.isfinite(made), self._beyond)
            return made
        if column.dtype.kind == "f":
            self._require(rows, name, column, np.isfinite(column), self._beyond)
            self._require(rows, name, column, np.abs(column) < float(_LARGEST_WHOLE), self._beyond)
            self._require(rows, name, column, column == np.floor(column), partial(self._problem, NotWhole))
        if self.raw.bound is not None:
            fits = (column >= 0) & (column < self.raw.bound)
            self._require(rows, name, column, fits, partial(self._out_of_bounds, bound=self.raw.bound))
        if column.dtype == np.uint64:
            self._require(rows, name, column, column <= _LARGEST_WHOLE, self._beyond)
        return column.astype(NUMPY[self.raw.dtype])

    def _require(
        self, rows: ArrayRows, name: str, column: Array, fits: Array, problem: Callable[[Cells, int], Problem]
    ) -> None:
        """Raises the problem of the first number that does not fit."""
        if fits.all():
            return
        at = int(np.argmin(fits.reshape(-1)))
        row = at // max(1, math.prod(column.shape[1:]))
        cell = written(column.reshape(-1)[at].item())
        raise problem(Cells(rows.part(row, row + 1), [cell], (name,)), 0).error()

    def _converted(self, cells: Cells) -> Array:
        if self.raw.classes is not None:
            return self._classes(cells)
        if self._encode is not None:
            return self._tokens(cells)
        if self.raw.dtype == "bool":
            cells = Cells(cells.rows, [TRUTHS.get(cell.strip().lower(), cell) for cell in cells.cells], cells.columns)
        return self._reals(cells) if self.raw.dtype.startswith("f") else self._wholes(cells)

    def _reals(self, cells: Cells) -> Array:
        texts = cells.cells
        values = _quickly(texts, float, np.float64)
        if values is None:
            values = np.fromiter((self._real(cells, i) for i in range(len(texts))), np.float64, len(texts))
        with np.errstate(over="ignore", under="ignore"):
            small = values.astype(NUMPY[self.raw.dtype])
        fits = np.isfinite(small)
        if not fits.all():
            raise self._beyond(cells, int(np.argmin(fits))).error()
        return small

    def _wholes(self, cells: Cells) -> Array:
        texts = cells.cells
        values = _quickly(texts, int, np.int64)
        if values is None:
            values = np.fromiter((self._whole(cells, i) for i in range(len(texts))), np.int64, len(texts))
        if self.raw.bound is not None:
            fits = (values >= 0) & (values < self.raw.bound)
            if not fits.all():
                raise self._out_of_bounds(cells, int(np.argmin(fits)), self.raw.bound).error()
        return values.astype(NUMPY[self.raw.dtype])

    def _classes(self, cells: Cells) -> Array:
        numbers = {text: i for i, text in enumerate(self.raw.classes or ())}
        found = [numbers.get(cell.strip(), -1) for cell in cells.cells]
        values = np.array(found, NUMPY[self.raw.dtype])
        if len(found) and values.min() < 0:
            at = found.index(-1)
            refuse_no_text(cells, at, self.span)
            known = self.raw.classes or ()
            listed = ", ".join(f"`{show(text)}`" for text in known[:8]) + (" and more" if len(known) > 8 else "")
            advice = perhaps(cells.cells[at].strip(), [show(text) for text in known], f"the classes are {listed}")
            raise self._problem(UnseenClass, cells, at, advice=advice).error()
        return values

    def _tokens(self, cells: Cells) -> Array:
        """The pieces of each text, filled up with `pad` or cut to the column's length."""
        assert self._encode is not None
        assert self.raw.tokens is not None
        length = math.prod(self.raw.dims)
        made = np.full((len(cells.cells), length), PAD, NUMPY[self.raw.dtype])
        cut = 0
        for at, text in enumerate(cells.cells):
            if not text.strip() or isinstance(text, Nested):
                refuse_no_text(cells, at, self.span)
            whole = row_of(self.raw.tokens, self._encode(text.strip()))
            cut += len(whole) > length and not self.raw.later
            numbers = moved(whole, self.raw.later)
            made[at, : len(numbers)] = numbers[:length]
        self.cut += cut
        return made.reshape(-1)

    def _real(self, cells: Cells, at: int) -> float:
        refuse_nested(cells, at, self.span)
        cell = cells.cells[at].strip()
        if _NUMBER.fullmatch(cell):
            value = float(cell)
            if abs(value) > self._most:
                raise self._beyond(cells, at).error()
            return value
        if cell.lower() in MISSING:
            raise _empty(cells, at, self.span).error()
        if _odd(cell):
            raise self._problem(NotFinite, cells, at).error()
        advice = "write it in digits, as in 12.5 or 1e-3"
        if re.fullmatch(r"[+-]?\d+,\d+", cell):
            advice = f"write a decimal point: {cell.replace(',', '.')}"
        elif not any(c.isdigit() for c in cell):
            advice = "a column of texts becomes classes with `as class`; a column of numbers holds digits alone"
        raise self._problem(NotANumber, cells, at, advice=advice).error()

    def _whole(self, cells: Cells, at: int) -> int:
        cell = cells.cells[at].strip()
        if re.fullmatch(r"[+-]?\d+", cell, re.ASCII) and len(cell) <= 4000:
            value: int | float = int(cell)
        else:
            value = self._real(cells, at)
        if abs(value) > _LARGEST_WHOLE:
            raise self._beyond(cells, at).error()
        if value != int(value):
            raise self._problem(NotWhole, cells, at).error()
        if self.raw.bound is not None and not 0 <= value < self.raw.bound:
            raise self._out_of_bounds(cells, at, self.raw.bound).error()
        return int(value)

    def _beyond(self, cells: Cells, at: int) -> Problem:
        """What to say of a number that has no place: written out but too large, or `nan` and its like."""
        if _NUMBER.fullmatch(cells.cells[at].strip()):
            return self._problem(TooLarge, cells, at, most=f"{self._most:.2g}")
        return self._problem(NotFinite, cells, at)

    def _out_of_bounds(self, cells: Cells, at: int, bound: int) -> Problem:
        allowed = f"0 to {bound - 1}" if bound > 1 else "0"
        return self._problem(OutOfBounds, cells, at, allowed=allowed, bound=bound)

    def _problem(self, problem: type[Problem], cells: Cells, at: int, **facts: Any) -> Problem:
        place, column = cells.where(at)
        facts |= {"place": place, "column": column, "cell": show(cells.cells[at].strip())}
        return problem(span=self.span, **facts)


def refuse_no_text(cells: Cells, at: int, span: Span | None) -> None:
    """Raises D025 or D048 where there is nothing to read."""
    refuse_nested(cells, at, span)
    if not cells.cells[at].strip():
        raise _empty(cells, at, span).error()


def refuse_nested(cells: Cells, at: int, span: Span | None) -> None:
    """Raises ``ProblemError`` where a cell is a list or an object of JSON."""
    if isinstance(cells.cells[at], Nested):
        place, column = cells.where(at)
        raise NestedValue(span=span, place=place, column=column, cell=show(cells.cells[at])).error()


def _empty(cells: Cells, at: int, span: Span | None) -> Problem:
    place, column = cells.where(at)
    cell = show(cells.cells[at].strip())
    found = f"`{cell}` stands for nothing here; " if cell else ""
    return EmptyCell(span=span, place=place, column=column, found=found)


def dims_text(dims: Sequence[int]) -> str:
    """The dims of a row, for people: `an array 8x8`, `one value`."""
    return f"an array {'x'.join(map(str, dims))}" if dims else "one value"


def written(value: object) -> str:
    """A value of an array as a table would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


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
