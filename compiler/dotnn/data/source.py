"""Where rows come from: `source WORD "…"`. Our own words (`table`, `idx`, `mail`, …) come in by the hook, as others do.

Whatever the word, a ``Supply`` is what is left: the names of the columns, and rows of texts or of arrays, in blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

import numpy as np

from dotnn import spec
from dotnn.data import arrow, jsonlines
from dotnn.data.arrays import ArrayRows, Column, Form, rows_at_once
from dotnn.data.columns import Block
from dotnn.data.files import FilesTable
from dotnn.data.paths import ARROWS, TableFile, UnknownReader, find_all, find_file, find_files, open_table, show
from dotnn.data.tables import HeaderOnly, Rows, Tell, read_header, read_rows
from dotnn.data.text import TextTable
from dotnn.entries import hook
from dotnn.plugins import DataSource
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Span

API = 1

BLOCK = 8192


class SourceFails(Problem):
    code = "D050"
    title = "`source {word}` gives no rows: {why}"
    label = "rows are asked for here"
    help = "{advice}"
    word: str
    why: str
    advice: str


class SourceBreaks(Problem):
    code = "D051"
    title = "the plugin behind `source {word}` does not work: {why}"
    label = "rows are asked for here"
    help = "tell those who wrote it (`nn plugins` says which package it is); the same rows in a CSV file can be read"
    word: str
    why: str


class Supply(Protocol):
    """Rows that are ready to be read."""

    @property
    def file(self) -> TableFile:
        """Where it lies, or what it is called."""

    def header(self) -> tuple[str, ...]:
        """The names of the columns; reads no further."""

    def forms(self) -> Mapping[str, Form]:
        """What is known of the columns before they are read: nothing, where all are texts."""

    def blocks(
        self,
        header: Sequence[str],
        most: int | None = None,
        wanted: Sequence[str] | None = None,
        mark: Mark | None = None,
        bad: Tell | None = None,
    ) -> Iterator[Block]:
        """All rows (or the first ``most``).

        wanted: the columns that are looked at; others may be left out of arrays. mark: a hash that is told the data,
        the same for the same. bad: hears of rows that cannot be read, and are left out; without it they are an error.
        """


class Mark(Protocol):
    """A hash."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True)
class FileTable:
    """A table in a file, by the end of its name: CSV, TSV, JSON lines, Parquet, Arrow.

    Satisfies ``Supply``, and ``dotnn.plugins.Table``.
    """

    file: TableFile

    @property
    def shown(self) -> str:
        return self.file.shown

    def header(self) -> tuple[str, ...]:
        if self.file.suffix in ARROWS:
            return arrow.read_header(self.file)
        return jsonlines.read_header(self.file) if self._json else read_header(self.file)

    def forms(self) -> Mapping[str, Form]:
        return arrow.read_forms(self.file) if self.file.suffix in ARROWS else {}

    def rows(self) -> Iterator[Sequence[str]]:
        for block in self.blocks(self.header()):
            yield from block.cells

    def blocks(
        self,
        header: Sequence[str],
        most: int | None = None,
        wanted: Sequence[str] | None = None,
        mark: Mark | None = None,
        bad: Tell | None = None,
    ) -> Iterator[Block]:
        if self.file.suffix in ARROWS:
            if mark is not None:
                mark_file(self.file, mark)
            return arrow.read_rows(self.file, header, most, wanted)
        return (jsonlines.read_rows if self._json else read_rows)(self.file, header, most, mark, bad)

    @property
    def _json(self) -> bool:
        return self.file.suffix in (".jsonl", ".ndjson")


def mark_file(file: TableFile, mark: Mark) -> None:
    """Tells the hash the bytes of a file as they lie there."""
    with open_table(file) as raw:
        while part := raw.read(1 << 20):
            mark.update(part)


@dataclass(frozen=True)
class Folder:
    """Satisfies ``dotnn.plugins.Place``."""

    line: spec.SourceLine
    folder: Path

    def find(self, pattern: str) -> list[TableFile]:
        """The tables that a name or pattern stands for."""
        return find_files(self.line.model_copy(update={"files": (pattern,)}), self.folder)

    def file(self, name: str) -> TableFile:
        return find_file(name, self.line.span, self.folder)

    def files(self, pattern: str) -> list[TableFile]:
        """The files of any kind that a name or pattern stands for."""
        return find_all(pattern, self.line.span, self.folder)

    def open(self, file: str) -> BinaryIO:
        return open_table(find_file(file, self.line.span, self.folder))

    def fail(self, why: str, advice: str) -> NoReturn:
        raise SourceFails(span=self.line.span, word=self.line.reader, why=why, advice=advice).error()


class TableSource:
    """Satisfies ``dotnn.plugins.DataSource``."""

    name = "table"
    summary = "CSV, TSV and JSON lines, which may be packed (.gz, .xz, .bz2); Parquet and Arrow"

    def tables(self, argument: str, place: Folder) -> Sequence[FileTable]:
        return [FileTable(file) for file in place.find(argument)]


@hook
def dotnn_sources() -> Sequence[Any]:
    from dotnn.data.idx import IdxSource
    from dotnn.data.mail import MailSource
    from dotnn.data.npz import NpzSource
    from dotnn.data.pictures import PictureSource
    from dotnn.data.text import TextSource

    return (TableSource(), IdxSource(), NpzSource(), MailSource(), PictureSource(), TextSource())


class _Stranger:
    """A stranger's table, which is believed nothing."""

    def __init__(self, word: str, table: Any, span: Span | None) -> None:
        self.word, self.table, self.span = word, table, span
        shown = self._guarded(lambda: str(table.shown))
        self.file = TableFile(path=Path(f"{word}:{shown}"), shown=show(shown, 200), span=span)

    def _agree(self, names: Collection[Any]) -> None:
        """Refuses columns without names, and too many of them."""
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise self._broken("its columns have no names").error()
        if len(names) > limits().columns:
            raise self._broken(f"it has more than {limits().columns} columns").error()

    def _guarded(self, act: Any) -> Any:
        return guarded(act, self.word, self.span)

    def _broken(self, why: str) -> SourceBreaks:
        return SourceBreaks(span=self.span, word=self.word, why=why)


class Given(_Stranger):
    """A stranger's table of texts: its columns are counted, its rows too. Satisfies ``Supply``."""

    def header(self) -> tuple[str, ...]:
        names = tuple(self._guarded(lambda: list(self.table.header())))
        self._agree(names)
        if len(set(names)) < len(names):
            raise self._broken("two of its columns have one name").error()
        return names

    def forms(self) -> Mapping[str, Form]:
        return {}

    def blocks(
        self,
        header: Sequence[str],
        most: int | None = None,
        wanted: Sequence[str] | None = None,
        mark: Mark | None = None,
        bad: Tell | None = None,
    ) -> Iterator[Block]:
        if mark is not None:
            mark.update(repr(tuple(header)).encode())
        cells: list[list[str]] = []
        first = count = 1
        for count, row in enumerate(self._rows(header, most), 1):
            cells.append(row)
            if len(cells) == BLOCK:
                yield self._block(cells, first, mark)
                cells, first = [], count + 1
        if cells:
            yield self._block(cells, first, mark)

    def _block(self, cells: list[list[str]], first: int, mark: Mark | None) -> Rows:
        if mark is not None:
            mark.update(repr(cells).encode())
        return Rows(self.file, cells, list(range(first, first + len(cells))))

    def _rows(self, header: Sequence[str], most: int | None) -> Iterator[list[str]]:
        made: Iterable[Sequence[str]] = self._guarded(self.table.rows)
        rows = self._guarded(lambda: iter(made))
        number = 0
        while number != most:
            row = self._guarded(lambda: next(rows, None))
            if row is None:
                break
            number += 1
            if isinstance(row, str) or len(row) != len(header) or not all(isinstance(cell, str) for cell in row):
                raise self._broken(f"row {number} is not one text for each of the {len(header)} columns").error()
            yield list(row)
        if not number:
            raise self._broken("it has no rows").error()


class GivenArrays(_Stranger):
    """A stranger's table of arrays, looked at as it comes in. Satisfies ``Supply``."""

    def header(self) -> tuple[str, ...]:
        return tuple(self.forms())

    def forms(self) -> Mapping[str, Form]:
        columns = self._guarded(lambda: dict(self.table.columns()))
        self._agree(columns)
        made = {name: Form(str(dtype), tuple(int(d) for d in dims)) for name, (dtype, dims) in columns.items()}
        for form in made.values():
            if len(form.dims) >= limits().rank or prod(form.dims) > limits().numbers:
                raise self._broken("one of its arrays has more numbers than fit").error()
        return made

    def blocks(
        self,
        header: Sequence[str],
        most: int | None = None,
        wanted: Sequence[str] | None = None,
        mark: Mark | None = None,
        bad: Tell | None = None,
    ) -> Iterator[Block]:
        forms = self.forms()
        names = list(header if wanted is None else dict.fromkeys(wanted))
        size = rows_at_once([forms[name] for name in names])
        size = min(size, most) if most else size
        if mark is not None:
            mark.update(repr([(name, forms[name]) for name in names]).encode())
        found = self._guarded(lambda: iter(self.table.arrays(names, size)))
        count = 0
        while most is None or count < most:
            arrays = self._guarded(lambda: next(found, None))
            if arrays is None:
                break
            block = self._block(dict(zip(names, arrays, strict=False)), forms, names, count + 1)
            if mark is not None:
                for column in block.columns.values():
                    mark.update(repr(column).encode() if isinstance(column, list) else column.tobytes())
            left = len(block) if most is None else min(len(block), most - count)
            yield block.part(0, left)
            count += len(block)
        if not count:
            raise HeaderOnly(span=self.span, file=self.file.shown).error()

    def _block(
        self, arrays: Mapping[str, Any], forms: Mapping[str, Form], names: Sequence[str], first: int
    ) -> ArrayRows:
        columns: dict[str, Column] = {}
        for name in names:
            array = arrays.get(name)
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "buifU" or not array.ndim:
                raise self._broken(f"`{show(name)}` does not come as an array of numbers or texts").error()
            if array.shape[1:] != forms[name].dims or len(array) != len(arrays[names[0]]):
                raise self._broken(f"`{show(name)}` comes with other dims than it said").error()
            columns[name] = array.tolist() if array.dtype.kind == "U" else array
        return ArrayRows(self.file, columns, first)


def guarded(act: Any, word: str, span: Span | None) -> Any:
    """What a stranger's code gives; whatever goes wrong in it becomes a problem with a place."""
    try:
        return act()
    except ProblemError:
        raise
    except (Exception, SystemExit) as wrong:
        from dotnn.plugins.registry import reason

        raise SourceBreaks(span=span, word=word, why=reason(wrong)).error() from None


def supplies(line: spec.SourceLine, folder: Path, source: DataSource | None = None) -> list[Supply]:
    """What a `source` or `test` line stands for, in its order. Raises D001 to D022, D050 to D055.

    source: who reads, where it is not who brings the line's word.
    """
    from dotnn import plugins

    source = source or plugins.source(line.reader)
    if source is None:
        raise UnknownReader(span=line.span, reader=line.reader).error()
    place = Folder(line, folder)
    tables: list[Any] = []
    if isinstance(source, plugins.Joining):
        tables = guarded(lambda: list(source.join(line.files, place)), line.reader, line.span)
    else:
        for argument in line.files:
            tables += guarded(lambda argument=argument: list(source.tables(argument, place)), line.reader, line.span)
    return [_supply(table, line) for table in tables]


def _supply(table: Any, line: spec.SourceLine) -> Supply:
    if isinstance(table, FileTable | FilesTable | TextTable):
        return table
    if hasattr(table, "arrays"):
        return GivenArrays(line.reader, table, line.span)
    return Given(line.reader, table, line.span)
