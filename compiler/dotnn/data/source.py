"""Where rows come from: `source WORD "…"`. Our own word is `table`; it comes in by the hook, as others do.

Whatever the word, a ``Supply`` is what is left: a first line, and rows of text in blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

from dotnn import spec
from dotnn.data.paths import TableFile, UnknownReader, find_file, find_files, open_table, show
from dotnn.data.tables import Rows, read_and_mark, read_header, read_rows
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

    def blocks(self, header: Sequence[str], most: int | None = None) -> Iterator[Rows]:
        """All rows (or the first ``most``), each with a cell for each column."""

    def marked(self, header: Sequence[str]) -> tuple[Iterator[Rows], bytes]:
        """All rows, and 32 bytes that are the same for the same data."""


@dataclass(frozen=True)
class FileTable:
    """A CSV or TSV file. Satisfies ``Supply``, and ``dotnn.plugins.Table``."""

    file: TableFile

    @property
    def shown(self) -> str:
        return self.file.shown

    def header(self) -> tuple[str, ...]:
        return read_header(self.file)

    def rows(self) -> Iterator[Sequence[str]]:
        for block in self.blocks(self.header()):
            yield from block.cells

    def blocks(self, header: Sequence[str], most: int | None = None) -> Iterator[Rows]:
        return read_rows(self.file, header, most)

    def marked(self, header: Sequence[str]) -> tuple[Iterator[Rows], bytes]:
        return read_and_mark(self.file, header)


@dataclass(frozen=True)
class Folder:
    """Satisfies ``dotnn.plugins.Place``."""

    line: spec.SourceLine
    folder: Path

    def find(self, pattern: str) -> list[TableFile]:
        """The tables that a name or pattern stands for."""
        return find_files(self.line.model_copy(update={"files": (pattern,)}), self.folder)

    def open(self, file: str) -> BinaryIO:
        return open_table(find_file(file, self.line.span, self.folder))

    def fail(self, why: str, advice: str) -> NoReturn:
        raise SourceFails(span=self.line.span, word=self.line.reader, why=why, advice=advice).error()


class TableSource:
    """Satisfies ``dotnn.plugins.DataSource``."""

    name = "table"
    summary = "CSV and TSV files, which may be packed (.gz)"

    def tables(self, argument: str, place: Folder) -> Sequence[FileTable]:
        return [FileTable(file) for file in place.find(argument)]


@hook
def dotnn_sources() -> Sequence[Any]:
    return (TableSource(),)


class Given:
    """A stranger's table, which is believed nothing: its columns are counted, its rows too. Satisfies ``Supply``."""

    def __init__(self, word: str, table: Any, span: Span) -> None:
        self.word, self.table, self.span = word, table, span
        shown = self._guarded(lambda: str(table.shown))
        self.file = TableFile(path=Path(f"{word}:{shown}"), shown=show(shown, 200), span=span)

    def header(self) -> tuple[str, ...]:
        names = tuple(self._guarded(lambda: list(self.table.header())))
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise self._broken("its columns have no names").error()
        if len(set(names)) < len(names):
            raise self._broken("two of its columns have one name").error()
        if len(names) > limits().columns:
            raise self._broken(f"it has more than {limits().columns} columns").error()
        return names

    def blocks(self, header: Sequence[str], most: int | None = None) -> Iterator[Rows]:
        cells: list[list[str]] = []
        first = count = 1
        for count, row in enumerate(self._rows(header, most), 1):
            cells.append(row)
            if len(cells) == BLOCK:
                yield Rows(self.file, cells, list(range(first, count + 1)))
                cells, first = [], count + 1
        if cells:
            yield Rows(self.file, cells, list(range(first, count + 1)))

    def marked(self, header: Sequence[str]) -> tuple[Iterator[Rows], bytes]:
        blocks = list(self.blocks(header))
        mark = hashlib.sha256(repr(tuple(header)).encode())
        for block in blocks:
            mark.update(repr(block.cells).encode())
        return iter(blocks), mark.digest()

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

    def _guarded(self, act: Any) -> Any:
        return guarded(act, self.word, self.span)

    def _broken(self, why: str) -> SourceBreaks:
        return SourceBreaks(span=self.span, word=self.word, why=why)


def guarded(act: Any, word: str, span: Span) -> Any:
    """What a stranger's code gives; whatever goes wrong in it becomes a problem with a place."""
    try:
        return act()
    except ProblemError:
        raise
    except (Exception, SystemExit) as wrong:
        from dotnn.plugins.registry import reason

        raise SourceBreaks(span=span, word=word, why=reason(wrong)).error() from None


def supplies(line: spec.SourceLine, folder: Path, source: DataSource | None = None) -> list[Supply]:
    """What a `source` or `test` line stands for, in its order. Raises D001 to D022, D050 and D051.

    source: who reads, where it is not who brings the line's word.
    """
    from dotnn import plugins

    source = source or plugins.source(line.reader)
    if source is None:
        raise UnknownReader(span=line.span, reader=line.reader).error()
    place = Folder(line, folder)
    found: list[Supply] = []
    for argument in line.files:
        tables = guarded(lambda argument=argument: list(source.tables(argument, place)), line.reader, line.span)
        for table in tables:
            found.append(table if isinstance(table, FileTable) else Given(line.reader, table, line.span))
    return found
