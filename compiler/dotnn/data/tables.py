"""Tables as they lie on the disk: bytes, lines and cells; nothing is a number yet.

CSV and TSV in UTF-8 (with or without a byte order mark; lines end in LF, CRLF or CR; fields may be quoted), plain or
packed (gzip, xz, bzip2). The first line names the columns. Each row knows the line on which it starts.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NoReturn

from dotnn.data.paths import TableFile, show
from dotnn.data.unpack import PACKED, content, packing_of
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

LINE = 1 << 26
"""Characters of one line of a table: 64 Mi."""
BLOCK = 4096
"""Rows that are turned into numbers together."""

Row = list[str]


class TooManyColumns(Problem):
    code = "D045"
    title = "`{file}` has more than {most:,} columns"
    label = "this table"
    help = "look whether its lines end where they should (`--limit columns=N` allows more)"
    file: str
    most: int


class LongCell(Problem):
    code = "D046"
    title = "a cell of the row at {place} is longer than {most:,} characters"
    label = "this table"
    help = "look for a quotation mark that is opened and never closed (`--limit cell=N` allows more)"
    place: str
    most: int


class LongLine(Problem):
    code = "D047"
    title = "the row at {place} is longer than {most:,} characters"
    label = "this table"
    help = "look whether its lines end where they should"
    place: str
    most: int


class WrongEncoding(Problem):
    code = "D015"
    title = "{place} is not UTF-8 text: {reason}"
    label = "this table"
    help = "save the table as CSV in UTF-8"
    place: str
    reason: str


class BrokenQuotes(Problem):
    code = "D016"
    title = "the row at {place} cannot be read: {reason}"
    label = "this table"
    help = "look for a quotation mark that is opened and never closed; inside quotes, write each mark twice"
    place: str
    reason: str


class EmptyTable(Problem):
    code = "D017"
    title = "`{file}` {what}"
    label = "this table"
    help = "its first line should name the columns, and each line after it be a row"
    file: str
    what: str = "is empty"


class HeaderOnly(Problem):
    code = "D018"
    title = "`{file}` names its columns and has no row"
    label = "this table"
    help = "there is nothing to learn from yet: add rows below the first line"
    file: str


class DuplicateColumn(Problem):
    code = "D019"
    title = "{place} names the column `{name}` twice"
    label = "this table"
    help = "give each column a name of its own in the first line of the table"
    place: str
    name: str


class RaggedRow(Problem):
    code = "D020"
    title = "the row at {place} has {found}, but the first line names {expected}"
    label = "this table"
    help = "{advice}"
    place: str
    found: str
    expected: str
    advice: str


class OtherHeader(Problem):
    code = "D021"
    title = "`{file}` has other columns than `{first}`"
    label = "these files are read as one table"
    help = "{difference}; give both the same first line"
    file: str
    first: str
    difference: str


class WrongSeparator(Problem):
    code = "D022"
    title = "the cells of `{file}` seem to be separated by {found}, not by {expected}"
    label = "this table"
    help = "{advice}"
    file: str
    found: str
    expected: str
    advice: str


@dataclass(frozen=True)
class Rows:
    """Some rows of one file: their cells, and the line (from 1) on which each starts."""

    file: TableFile
    cells: list[Row]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.cells)

    def place(self, row: int) -> str:
        return f"{self.file.shown}:{self.lines[row]}"

    def part(self, start: int, stop: int) -> Rows:
        return Rows(self.file, self.cells[start:stop], self.lines[start:stop])


Tell = Callable[[Problem], None]
"""Hears of a row that cannot be read and is left out."""


def read_header(file: TableFile) -> tuple[str, ...]:
    """The names of the columns, without reading further. Raises D011 to D022 but for what stands in the rows."""
    with closing(opened(file)) as text:
        for row, line in _records(file, text):
            return _names(file, row, line)
    raise EmptyTable(span=file.span, file=file.shown).error()


def read_rows(
    file: TableFile, header: Sequence[str], most: int | None = None, mark: Any = None, bad: Tell | None = None
) -> Iterator[Rows]:
    """All rows of the file, in blocks (or the first ``most``). The header must be the one given.

    mark: a hash that is told the unpacked bytes. bad: hears of rows of another width, which are left out then; where
    it is None they are an error.
    """
    if most is None and file.packing:
        for _ in content(file):  # counted, and found whole, before a row of it is kept
            pass
    with closing(opened(file, mark)) as text:
        yield from _rows(file, header, text, most, bad)


def compare_headers(first: TableFile, header: Sequence[str], file: TableFile, other: Sequence[str]) -> None:
    """Raises D021 unless both name the same columns in the same order."""
    if list(header) == list(other):
        return
    missing = [name for name in header if name not in other]
    extra = [name for name in other if name not in header]
    if missing:
        difference = f"`{show(missing[0])}` is missing" + (f", with {len(missing) - 1} more" if missing[1:] else "")
    elif extra:
        difference = f"`{show(extra[0])}` is new" + (f", with {len(extra) - 1} more" if extra[1:] else "")
    else:
        difference = "the same names stand in another order"
    raise OtherHeader(span=file.span, file=file.shown, first=first.shown, difference=difference).error()


def _rows(
    file: TableFile, header: Sequence[str], text: io.TextIOBase, most: int | None, bad: Tell | None
) -> Iterator[Rows]:
    width = len(header)
    count = 0
    cells: list[Row] = []
    lines: list[int] = []
    blank: int | None = None
    records = _records(file, text)
    if next(records, None) is None:
        raise EmptyTable(span=file.span, file=file.shown).error()
    for row, line in records:
        if len(row) != width or blank is not None:
            if not row:
                blank = blank or line
                continue
            # Blank lines are let pass at the end of a file alone: elsewhere one may be a row that was lost.
            if blank is not None:
                report(_ragged(file, header, [], blank), bad)
                blank = None
            if len(row) != width:
                report(_ragged(file, header, row, line), bad)
                continue
        cells.append(row)
        lines.append(line)
        count += 1
        if count == most:
            break
        if len(cells) == BLOCK:
            yield Rows(file, cells, lines)
            cells, lines = [], []
    if not count:
        raise HeaderOnly(span=file.span, file=file.shown).error()
    if cells:
        yield Rows(file, cells, lines)


def report(problem: Problem, bad: Tell | None) -> None:
    """Raises the problem, where nobody is there to hear of it."""
    if bad is None:
        raise problem.error()
    bad(problem)


def opened(file: TableFile, mark: Any = None) -> io.TextIOWrapper:
    """The text of a table, to be read line by line. Raises D011 to D015 while it is read."""
    return io.TextIOWrapper(io.BufferedReader(_Bytes(file, mark), 1 << 18), encoding="utf-8-sig", newline="")


def bytes_of(file: TableFile, mark: Any = None) -> io.RawIOBase:
    """The unpacked bytes of a file, found to be UTF-8 as they are read. Raises D011 to D015 then."""
    return _Bytes(file, mark)


def lines_of(file: TableFile, text: io.TextIOBase) -> Iterator[str]:
    """The lines with their ends, none of them without measure."""
    number = 1
    while line := text.readline(LINE):
        if len(line) == LINE:
            raise LongLine(span=file.span, place=f"{file.shown}:{number}", most=LINE).error()
        yield line
        number += 1


class _Bytes(io.RawIOBase):
    """The unpacked bytes of a table as Python reads files, each looked at as it passes: UTF-8, without zeros."""

    def __init__(self, file: TableFile, mark: Any = None) -> None:
        self.file, self.mark = file, mark
        self.blocks = content(file)
        self.left = memoryview(b"")
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.line, self.first, self.carried = 1, True, False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.blocks.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        if not self.left:
            self.left = memoryview(self._next())
        count = min(len(buffer), len(self.left))
        buffer[:count] = self.left[:count]
        self.left = self.left[count:]
        return count

    def _next(self) -> bytes:
        block = next(self.blocks, b"")
        if self.first:
            _refuse_other_encoding(self.file, block)
        self.first = False
        at = block.find(b"\0")
        if at >= 0:
            self._refuse(block, at, "it holds a zero byte")
        waiting = len(self.decoder.getstate()[0])
        try:
            self.decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            at = error.start
            self._refuse(block, at - waiting, f"byte 0x{error.object[at]:02x} cannot stand there")
        if self.mark is not None:
            self.mark.update(block)
        self.line += self._ends(block)
        self.carried = block.endswith(b"\r")
        return block

    def _ends(self, block: bytes) -> int:
        """How many lines end in it; CR and LF are one end, also where a block ends between them."""
        pairs = block.count(b"\r\n") + (self.carried and block.startswith(b"\n"))
        return block.count(b"\n") + block.count(b"\r") - pairs

    def _refuse(self, block: bytes, at: int, reason: str) -> NoReturn:
        place = f"{self.file.shown}:{self.line + self._ends(block[: max(at, 0)])}"
        raise WrongEncoding(span=self.file.span, place=place, reason=reason).error()


def _records(file: TableFile, text: io.TextIOBase) -> Iterator[tuple[Row, int]]:
    reader = csv.reader(lines_of(file, text), delimiter=file.delimiter, strict=True)
    most = limits().cell
    csv.field_size_limit(min(most, 2**31 - 1))  # of this process: nothing else in it reads CSV
    line = 1
    try:
        for row in reader:
            yield row, line
            line = reader.line_num + 1
    except csv.Error as error:
        if "field larger" in str(error):
            raise LongCell(span=file.span, place=f"{file.shown}:{line}", most=most).error() from None
        reason = "a quoted cell has no end" if "unexpected end" in str(error) else _plain(str(error))
        raise BrokenQuotes(span=file.span, place=f"{file.shown}:{line}", reason=reason).error() from None


def _plain(reason: str) -> str:
    if "expected after" in reason:
        return "a quoted cell is followed by more text"
    return "its quotation marks do not pair"


def _names(file: TableFile, row: Row, line: int) -> tuple[str, ...]:
    if len(row) > limits().columns:
        raise TooManyColumns(span=file.span, file=file.shown, most=limits().columns).error()
    names = tuple(name.strip() for name in row)
    if not any(names):
        raise EmptyTable(span=file.span, file=file.shown, what="has an empty first line").error()
    if len(names) == 1:
        _refuse_separator(file, names[0])
    return names_of(file, names, line)


def names_of(file: TableFile, row: Sequence[str], line: int) -> tuple[str, ...]:
    """The names of the columns, which must differ. Raises D017, D019, D045."""
    if len(row) > limits().columns:
        raise TooManyColumns(span=file.span, file=file.shown, most=limits().columns).error()
    names = tuple(name.strip() for name in row)
    if not any(names):
        raise EmptyTable(span=file.span, file=file.shown, what="names no columns").error()
    seen: set[str] = set()
    for name in names:
        if name in seen:
            place = f"{file.shown}:{line}"
            raise DuplicateColumn(span=file.span, place=place, name=show(name) or "(no name)").error()
        seen.add(name)
    return names


def _refuse_separator(file: TableFile, only: str) -> None:
    known = {",": "commas", "\t": "tabs", ";": "semicolons"}
    expected = known[file.delimiter]
    for mark, found in known.items():
        if mark != file.delimiter and mark in only:
            advice = {
                ",": "name the file .csv",
                "\t": "name the file .tsv",
                ";": f"save the table once more, with {expected} between the cells",
            }[mark]
            raise WrongSeparator(span=file.span, file=file.shown, found=found, expected=expected, advice=advice).error()


def _ragged(file: TableFile, header: Sequence[str], row: Row, line: int) -> Problem:
    width = len(header)
    if not row:
        advice = "remove the empty line, or write the row that is missing"
    elif len(row) < width:
        advice = f"`{show(header[len(row)])}` is the first column without a cell"
    else:
        advice = f"`{show(row[width])}` is the first cell without a column; text that holds a comma goes in quotes"
        if file.delimiter == "\t":
            advice = f"`{show(row[width])}` is the first cell without a column"
    return RaggedRow(
        span=file.span,
        place=f"{file.shown}:{line}",
        found=_count(len(row), "cell"),
        expected=_count(width, "column"),
        advice=advice,
    )


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _refuse_other_encoding(file: TableFile, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise WrongEncoding(span=file.span, place=f"`{file.shown}`", reason="it begins as UTF-16 does").error()
    packing = packing_of(head)
    if packing:
        reason = f"it is packed with {PACKED[packing]}; name it {packing}"
        raise WrongEncoding(span=file.span, place=f"`{file.shown}`", reason=reason).error()
