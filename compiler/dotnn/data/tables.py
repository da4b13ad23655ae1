"""Tables as they lie on the disk: bytes, lines and cells; nothing is a number yet.

CSV and TSV in UTF-8 (with or without a byte order mark; lines end in LF, CRLF or CR; fields may be quoted), plain or
packed with gzip. The first line names the columns. Each row knows the line on which it starts.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from dotnn.data.paths import TableFile, open_table, show
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

SMALL = 1 << 20
"""Up to here a file may unpack whatever its ratio: small tables of equal rows pack well, and do no harm."""
HEADER = 1 << 22
"""How many bytes are looked at for the names of the columns."""
BLOCK = 4096
"""Rows that are turned into numbers together."""

Row = list[str]


class DamagedArchive(Problem):
    code = "D013"
    title = "`{file}` cannot be unpacked: {reason}"
    label = "this file"
    help = "pack the table again with gzip, or fetch it again"
    file: str
    reason: str


class TooLargeUnpacked(Problem):
    code = "D014"
    title = "`{file}` unpacks to more than {ratio} times its size"
    label = "this file"
    help = (
        "tables pack to a tenth or so: this looks like a trap; if it is not, unpack it (`--limit ratio=N` allows more)"
    )
    file: str
    ratio: int


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

    def place(self, row: int) -> str:
        return f"{self.file.shown}:{self.lines[row]}"


def read_header(file: TableFile) -> tuple[str, ...]:
    """The names of the columns, without reading further. Raises D011 to D022 but for what stands in the rows."""
    with open_table(file) as raw:
        head = b""
        for block in _unpack(file, raw):
            head += block
            # A first line in quotes may hold line ends itself; some more lines than one are enough to see that.
            if len(head) >= HEADER or head.count(b"\n") > 64:
                break
    if not head:
        raise EmptyTable(span=file.span, file=file.shown).error()
    _refuse_other_encoding(file, head)
    text = head.decode("utf-8-sig", errors="replace")
    for row, line in _records(file, io.StringIO(text, newline="")):
        if any("\ufffd" in name for name in row):
            # Only now is it worth finding out whether the file itself writes this character.
            _decode(file, head[: head.rfind(b"\n") + 1] or head)
        return _names(file, row, line)
    raise EmptyTable(span=file.span, file=file.shown).error()


def read_rows(file: TableFile, header: Sequence[str], most: int | None = None) -> Iterator[Rows]:
    """All rows of the file, in blocks (or the first ``most``). The header must be the one given."""
    yield from _rows(file, header, _content(file), most)


def read_and_mark(file: TableFile, header: Sequence[str]) -> tuple[Iterator[Rows], bytes]:
    """All rows of the file, and the SHA-256 of its unpacked bytes."""
    content = _content(file)
    return _rows(file, header, content, None), hashlib.sha256(content).digest()


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


def _content(file: TableFile) -> bytes:
    with open_table(file) as raw:
        return b"".join(_unpack(file, raw))


def _rows(file: TableFile, header: Sequence[str], content: bytes, most: int | None) -> Iterator[Rows]:
    if not content:
        raise EmptyTable(span=file.span, file=file.shown).error()
    _refuse_other_encoding(file, content)
    _decode(file, content)
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    width = len(header)
    count = 0
    cells: list[Row] = []
    lines: list[int] = []
    blank: int | None = None
    records = _records(file, text)
    next(records, None)
    for row, line in records:
        if len(row) != width or blank is not None:
            if not row:
                blank = blank or line
                continue
            # Blank lines are let pass at the end of a file alone: elsewhere one may be a row that was lost.
            _refuse_ragged(file, header, [] if blank is not None else row, blank or line)
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


def _records(file: TableFile, text: io.TextIOBase) -> Iterator[tuple[Row, int]]:
    reader = csv.reader(text, delimiter=file.delimiter, strict=True)
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


def _refuse_ragged(file: TableFile, header: Sequence[str], row: Row, line: int) -> None:
    width = len(header)
    if not row:
        advice = "remove the empty line, or write the row that is missing"
    elif len(row) < width:
        advice = f"`{show(header[len(row)])}` is the first column without a cell"
    else:
        advice = f"`{show(row[width])}` is the first cell without a column; text that holds a comma goes in quotes"
        if file.delimiter == "\t":
            advice = f"`{show(row[width])}` is the first cell without a column"
    raise RaggedRow(
        span=file.span,
        place=f"{file.shown}:{line}",
        found=_count(len(row), "cell"),
        expected=_count(width, "column"),
        advice=advice,
    ).error()


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _refuse_other_encoding(file: TableFile, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise WrongEncoding(span=file.span, place=f"`{file.shown}`", reason="it begins as UTF-16 does").error()
    if not file.packed and head.startswith(b"\x1f\x8b"):
        reason = "it is packed with gzip; name it .gz"
        raise WrongEncoding(span=file.span, place=f"`{file.shown}`", reason=reason).error()
    at = head.find(b"\0")
    if at >= 0:
        raise WrongEncoding(span=file.span, place=_place(file, head, at), reason="it holds a zero byte").error()


def _decode(file: TableFile, content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte 0x{content[error.start]:02x} cannot stand there"
        raise WrongEncoding(span=file.span, place=_place(file, content, error.start), reason=reason).error() from None


def _place(file: TableFile, content: bytes, at: int) -> str:
    line = content[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    return f"{file.shown}:{line}"


def _unpack(file: TableFile, raw: BinaryIO) -> Iterator[bytes]:
    """The bytes of the table in blocks, counted before they are kept."""
    try:
        if not file.packed:
            while block := raw.read(1 << 20):
                yield block
            return
        yield from _gunzip(file, raw)
    except OSError as error:
        reason = (error.strerror or "the system gives no reason").lower()
        raise DamagedArchive(span=file.span, file=file.shown, reason=reason).error() from None


def _gunzip(file: TableFile, raw: BinaryIO) -> Iterator[bytes]:
    taken = made = 0
    ratio = limits().ratio
    engine = zlib.decompressobj(wbits=31)
    fresh = True
    try:
        while block := raw.read(1 << 16):
            taken += len(block)
            while block:
                # Zeros after the last member are padding, as gzip itself reads it.
                if fresh and made and not (block := block.lstrip(b"\0")):
                    break
                fresh = False
                out = engine.decompress(block, 1 << 20)
                made += len(out)
                if made > max(SMALL, ratio * taken):
                    raise TooLargeUnpacked(span=file.span, file=file.shown, ratio=ratio).error()
                yield out
                block = engine.unconsumed_tail
                if engine.eof:
                    # A gzip file may hold several members, one after the other.
                    block = engine.unused_data
                    engine, fresh = zlib.decompressobj(wbits=31), True
    except zlib.error:
        reason = "its contents are damaged" if made else "it is not a gzip file"
        raise DamagedArchive(span=file.span, file=file.shown, reason=reason).error() from None
    if not fresh:
        raise DamagedArchive(span=file.span, file=file.shown, reason="its end is missing").error()
