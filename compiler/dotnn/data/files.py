"""Many files as one table: each file is a row, what is in it its columns (`source mail`, `source images`).

`folder` is the name of the folder that a file lies in, which often says what it is; `file` is its own name.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from dotnn.data.arrays import ArrayRows, Column, Form, rows_at_once
from dotnn.data.paths import CannotRead, TableFile, open_table
from dotnn.data.tables import report
from dotnn_grammar.problems import Problem, ProblemError

FOLDER, NAME = "folder", "file"
KEPT = 1 << 26
"""Bytes of what was read that are kept, for the next time that the same files are looked at."""


class NoFolder(Problem):
    code = "D071"
    title = "`{file}` lies in no folder of the spec's"
    label = "`folder` would be its answer"
    help = 'put the files into folders that say what they are: "data/spam/one.eml", "data/ham/two.eml"'
    file: str


class FileTooLarge(Problem):
    code = "D072"
    title = "`{file}` has {size:,} bytes: more than any {kind} here"
    label = "read as one {kind}"
    help = "look whether this is the file that is meant; {most:,} bytes are the most"
    file: str
    size: int
    kind: str
    most: int


@dataclass(frozen=True)
class FileRows(ArrayRows):
    """Some rows, each of a file of its own."""

    names: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        return self.names[row]

    def part(self, start: int, stop: int) -> FileRows:
        cut = {name: column[start:stop] for name, column in self.columns.items()}
        return FileRows(self.file, cut, self.first + start, self.names[start:stop])


Read = Callable[[TableFile, bytes], Mapping[str, Any]]


class FilesTable:
    """Files that one `source` line names. Satisfies ``dotnn.data.source.Supply``.

    read: what gives the columns of one file from its bytes, texts or arrays. Raises ``ProblemError`` for a file that
    is not what it should be. marked: what else decides what is read, for the hash of the data.
    """

    bare = True

    def __init__(
        self,
        kind: str,
        files: Sequence[TableFile],
        shown: str,
        forms: Mapping[str, Form],
        read: Read,
        most: int,
        marked: str = "",
    ) -> None:
        self.kind, self.files, self.read, self.most, self.marked = kind, tuple(files), read, most, marked
        self.file = TableFile(path=files[0].path, shown=shown, span=files[0].span)
        self._forms = {**forms, FOLDER: Form("text"), NAME: Form("text")}

    def header(self) -> tuple[str, ...]:
        return tuple(self._forms)

    def forms(self) -> Mapping[str, Form]:
        return self._forms

    def blocks(
        self,
        header: Sequence[str],
        most: int | None = None,
        wanted: Sequence[str] | None = None,
        mark: Any = None,
        bad: Callable[[Problem], None] | None = None,
    ) -> Iterator[FileRows]:
        names = list(header if wanted is None else dict.fromkeys(wanted))
        size = min(rows_at_once([self._forms[name] for name in names]), 256)
        contents = set(names) - {FOLDER, NAME}
        if mark is not None:
            mark.update(repr((self.kind, self.marked)).encode())
        rows: list[Mapping[str, Any]] = []
        files: list[TableFile] = []
        count = first = 0
        for file in self.files:
            if count == most:
                break
            try:
                rows.append(self._row(file, names, bool(contents), mark))
            except ProblemError as wrong:
                report(wrong.problems[0], bad)
                continue
            files.append(file)
            count += 1
            if len(rows) == size:
                yield self._block(rows, files, names, first)
                rows, files, first = [], [], count
        if rows:
            yield self._block(rows, files, names, first)

    def _row(self, file: TableFile, names: Sequence[str], reads: bool, mark: Any) -> Mapping[str, Any]:
        found: Mapping[str, Any] = {}
        if reads or mark is not None:
            found, digest = self._contents(file)
            if mark is not None:
                mark.update(file.shown.encode() + b"\0" + digest)
        above = PurePosixPath(file.shown).parent.name
        if FOLDER in names and not above:
            raise NoFolder(span=file.span, file=file.shown).error()
        return {**found, FOLDER: above, NAME: PurePosixPath(file.shown).name}

    def _contents(self, file: TableFile) -> tuple[Mapping[str, Any], bytes]:
        """The columns of one file and the hash of its bytes; remembered as long as there is room."""
        try:
            facts = file.path.stat()
        except OSError as wrong:
            raise CannotRead(span=file.span, file=file.shown, reason=reason_of(wrong)).error() from None
        key = (self.kind, self.marked, str(file.path.absolute()), facts.st_mtime_ns, facts.st_size, facts.st_ino)
        kept = _kept.get(key)
        if kept is None:
            raw = whole(file, self.kind, self.most)
            kept = self.read(file, raw), hashlib.sha256(raw).digest()
            _kept.keep(key, kept)
        return kept

    def _block(
        self, rows: Sequence[Mapping[str, Any]], files: Sequence[TableFile], names: Sequence[str], first: int
    ) -> FileRows:
        columns: dict[str, Column] = {}
        for name in names:
            values = [row[name] for row in rows]
            columns[name] = np.stack(values) if isinstance(values[0], np.ndarray) else values
        return FileRows(self.file, columns, first + 1, tuple(file.shown for file in files))


def whole(file: TableFile, kind: str, most: int) -> bytes:
    """All bytes of a file, where they are not too many. Raises D011, D072."""
    with open_table(file) as raw:
        try:
            size = raw.seek(0, 2)
            raw.seek(0)
            if size > most:
                raise FileTooLarge(span=file.span, file=file.shown, size=size, kind=kind, most=most).error()
            return raw.read(most)
        except OSError as wrong:
            raise CannotRead(span=file.span, file=file.shown, reason=reason_of(wrong)).error() from None


def reason_of(wrong: OSError) -> str:
    """What the system says, in lower case, to stand within a sentence."""
    return (wrong.strerror or "the system gives no reason").lower()


class _Kept:
    """What was read lately; the oldest goes when there is no more room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.found: OrderedDict[Any, tuple[Mapping[str, Any], bytes]] = OrderedDict()

    def get(self, key: Any) -> tuple[Mapping[str, Any], bytes] | None:
        return self.found.get(key)

    def keep(self, key: Any, made: tuple[Mapping[str, Any], bytes]) -> None:
        self.found[key] = made
        self.room -= _size(made[0])
        while self.room < 0 and self.found:
            _, gone = self.found.popitem(last=False)
            self.room += _size(gone[0])


def _size(row: Mapping[str, Any]) -> int:
    return sum(v.nbytes if isinstance(v, np.ndarray) else 100 + 2 * len(v) for v in row.values())


_kept = _Kept(KEPT)
