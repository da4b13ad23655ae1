"""A file of the language and places in it."""

from __future__ import annotations

from functools import cached_property

from pydantic import BaseModel, ConfigDict


class Span(BaseModel):
    """A stretch of one file: from (line, column) up to but without (end_line, end_column), all counted from 1."""

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The stretch from the start of this one to the end of ``other`` (in the same file)."""
        return Span(
            file=self.file,
            line=self.line,
            column=self.column,
            end_line=other.end_line,
            end_column=other.end_column,
        )

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Source(BaseModel):
    """The text of a file and the name under which messages mention it."""

    model_config = ConfigDict(frozen=True)

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def line(self, number: int) -> str:
        """The text of line ``number`` (from 1), empty past the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""
