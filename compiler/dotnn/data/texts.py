"""The texts of a column, as they are: for classes, and for what a tokenizer is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn.data.columns import Bad, Block, Cells, Nested, refuse_no_text, written
from dotnn.data.tables import Rows
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Span


class TextReader:
    """The texts of one column, stripped; an empty one is refused.

    most: how many characters of them are kept; where there are more, none are (``over``).
    """

    def __init__(self, column: str, place: int, span: Span | None, most: int | None = None) -> None:
        self.column = column
        self.span = span
        self.texts: list[str] = []
        self.count = 0
        self.over = False
        self._room = most
        self._place = place
        self._known: dict[str, str] = {}

    @property
    def names(self) -> Sequence[str]:
        return (self.column,)

    def take(self, rows: Block, bad: Bad | None = None) -> None:
        cells = self._texts(rows)
        for number, cell in enumerate(cells.cells):
            text = cell.strip()
            if not text or isinstance(cell, Nested):
                try:
                    refuse_no_text(cells, number, self.span)
                except ProblemError as wrong:
                    if bad is None:
                        raise
                    bad.note(self.count, wrong.problems[0])
                    text = ""
            self.count += 1
            if self.over:
                continue
            if self._room is not None and text not in self._known:
                self._room -= len(text)
                self.over = self._room < 0
            # The same few texts come again and again: kept once.
            self.texts.append(self._known.setdefault(text, text))
        if self.over:
            self.texts, self._known = [], {}

    def _texts(self, rows: Block) -> Cells:
        if isinstance(rows, Rows):
            return Cells(rows, [row[self._place] for row in rows.cells], (self.column,))
        column = rows.columns[self.column]
        texts = column if isinstance(column, list) else [written(value) for value in column.tolist()]
        return Cells(rows, texts, (self.column,))
