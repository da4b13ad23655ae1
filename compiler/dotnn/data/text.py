"""`source text "tales.txt"`: files of plain text, one after the other, as one long text.

UTF-8, with or without a byte order mark, plain or packed (gzip, xz, bzip2); lines end in LF, CRLF or CR, and are read
as ending in LF. A file that does not end with a line does so here, so that no word grows together with the next file's.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dotnn.data.arrays import Form
from dotnn.data.paths import TableFile
from dotnn.data.tables import Rows, Tell, WrongEncoding, bytes_of
from dotnn.data.unpack import content
from dotnn_grammar.problems import Problem, ProblemError

TEXT = "text"
"""The only column of such a source: each row is a piece of the text, and all of them together are all of it."""

CHUNK = 1 << 16
"""About how many characters a piece has: it ends where a line does, unless the line is as long again."""


class NotPlainText(Problem):
    code = "D190"
    title = "{place} is not UTF-8 text: {reason}"
    label = "this file"
    help = "save it as plain text in UTF-8; what a word processor writes is no plain text"
    place: str
    reason: str


class NoText(Problem):
    code = "D191"
    title = "there is no text in `{file}`"
    label = "this file"
    help = "look whether it is the file that is meant"
    file: str


@dataclass(frozen=True)
class TextTable:
    """A file of plain text. Satisfies ``Supply``, and ``dotnn.plugins.Table``."""

    file: TableFile

    @property
    def shown(self) -> str:
        return self.file.shown

    def header(self) -> tuple[str, ...]:
        return (TEXT,)

    def forms(self) -> Mapping[str, Form]:
        return {}

    def rows(self) -> Iterator[Sequence[str]]:
        for block in self.blocks(self.header()):
            yield from block.cells

    def blocks(
        self,
        header: Sequence[str],
        most: int | None = None,
        wanted: Sequence[str] | None = None,
        mark: Any = None,
        bad: Tell | None = None,
    ) -> Iterator[Rows]:
        """A piece at a time. Raises D011 to D014, D190 and D191."""
        try:
            yield from self._blocks(most, mark)
        except ProblemError as wrong:
            first = wrong.problems[0]
            if not isinstance(first, WrongEncoding):
                raise
            raise NotPlainText(span=first.span, place=first.place, reason=first.reason).error() from None

    def _blocks(self, most: int | None, mark: Any) -> Iterator[Rows]:
        if most is None and self.file.packing:
            for _ in content(self.file):  # counted, and found whole, before a word of it is kept
                pass
        number, line = 0, 1
        with bytes_of(self.file, mark) as raw:
            text = io.TextIOWrapper(io.BufferedReader(raw, 1 << 18), encoding="utf-8-sig", newline=None)
            ended = True
            while number != most:
                piece = text.read(CHUNK)
                if piece and not piece.endswith("\n"):
                    piece += text.readline(CHUNK)
                if not piece:
                    break
                number, ended = number + 1, piece.endswith("\n")
                yield Rows(self.file, [[piece]], [line])
                line += piece.count("\n")
            if not number and most != 0:
                raise NoText(span=self.file.span, file=self.file.shown).error()
            if not ended and number != most:
                yield Rows(self.file, [["\n"]], [line])


class TextSource:
    """Satisfies ``dotnn.plugins.DataSource``."""

    name = "text"
    summary = "plain text in UTF-8 as one long text, cut by `window`; may be packed (.gz, .xz, .bz2)"

    def tables(self, argument: str, place: Any) -> Sequence[TextTable]:
        return [TextTable(file) for file in place.files(argument)]
