"""JSON lines: one object a line, whose keys name the columns. The first row says which there are."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from dotnn.data.columns import Nested
from dotnn.data.paths import TableFile, show
from dotnn.data.tables import (
    BLOCK,
    EmptyTable,
    LongCell,
    Row,
    Rows,
    Tell,
    lines_of,
    names_of,
    opened,
    report,
)
from dotnn.data.unpack import content
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem


class NotAnObject(Problem):
    code = "D052"
    title = "{place} is no JSON object: {reason}"
    label = "this table"
    help = "each line holds one row: an object whose keys are the columns"
    place: str
    reason: str


class NewKey(Problem):
    code = "D053"
    title = "{place} has the key `{key}`, which the first row has not"
    label = "this table"
    help = "give the first row every key, with null where there is no value"
    place: str
    key: str


class _BadLineError(Exception):
    """The text says why."""


def read_header(file: TableFile) -> tuple[str, ...]:
    """The keys of the first row. Raises D011 to D019, D045, D052."""
    with closing(opened(file)) as text:
        for number, line in enumerate(lines_of(file, text), 1):
            if line.strip():
                return names_of(file, list(_object(file, line, number)), number)
    raise EmptyTable(span=file.span, file=file.shown).error()


def read_rows(
    file: TableFile, header: Sequence[str], most: int | None = None, mark: Any = None, bad: Tell | None = None
) -> Iterator[Rows]:
    """All rows in blocks, a text for each key of the header, empty where there is none; as ``tables.read_rows``."""
    if most is None and file.packing:
        for _ in content(file):
            pass
    with closing(opened(file, mark)) as text:
        yield from _rows(file, header, text, most, bad)


def _rows(
    file: TableFile, header: Sequence[str], text: io.TextIOBase, most: int | None, bad: Tell | None
) -> Iterator[Rows]:
    places = {name: at for at, name in enumerate(header)}
    cells: list[Row] = []
    lines: list[int] = []
    count = 0
    blank: int | None = None
    for number, line in enumerate(lines_of(file, text), 1):
        if not line.strip():
            blank = blank or number
            continue
        if blank is not None:
            reason = "it is empty"
            report(NotAnObject(span=file.span, place=f"{file.shown}:{blank}", reason=reason), bad)
            blank = None
        row = _row(file, line, number, places, bad)
        if row is None:
            continue
        cells.append(row)
        lines.append(number)
        count += 1
        if count == most:
            break
        if len(cells) == BLOCK:
            yield Rows(file, cells, lines)
            cells, lines = [], []
    if not count:
        raise EmptyTable(span=file.span, file=file.shown, what="has no row that can be read").error()
    if cells:
        yield Rows(file, cells, lines)


def _row(file: TableFile, line: str, number: int, places: dict[str, int], bad: Tell | None) -> Row | None:
    place = f"{file.shown}:{number}"
    try:
        found = _parsed(line)
    except _BadLineError as wrong:
        report(NotAnObject(span=file.span, place=place, reason=str(wrong)), bad)
        return None
    row = [""] * len(places)
    for key, value in found.items():
        at = places.get(key.strip())
        if at is None:
            report(NewKey(span=file.span, place=place, key=show(key)), bad)
            return None
        row[at] = _cell(value)
        if len(row[at]) > limits().cell:
            raise LongCell(span=file.span, place=place, most=limits().cell).error()
    return row


def _object(file: TableFile, line: str, number: int) -> dict[str, Any]:
    try:
        return _parsed(line)
    except _BadLineError as wrong:
        raise NotAnObject(span=file.span, place=f"{file.shown}:{number}", reason=str(wrong)).error() from None


def _parsed(line: str) -> dict[str, Any]:
    """The object of a line, its numbers as they are written."""
    try:
        found = json.loads(line, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_once)
    except RecursionError:
        raise _BadLineError("it is nested too deep") from None
    except json.JSONDecodeError as wrong:
        raise _BadLineError(f"{wrong.msg.lower()} at character {wrong.pos + 1}") from None
    if not isinstance(found, dict):
        raise _BadLineError(f"it is {_kind(found)}")
    if any("\ud800" <= c <= "\udfff" for key in found for c in key):
        raise _BadLineError("a key is half of a character")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _BadLineError(f"it has the key `{show(twice)}` twice")
    return found


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "a single value"


def _cell(value: Any) -> str:
    """A value as a CSV file would have it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return Nested("an object" if isinstance(value, dict) else f"a list of {len(value)}")
    return str(value).encode("utf-8", "replace").decode("utf-8")
