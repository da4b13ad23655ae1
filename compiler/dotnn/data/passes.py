"""Texts of a column that are more than memory holds: read again from the files each time that they are gone through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dotnn.data.columns import Bad
from dotnn.data.texts import TextReader

if TYPE_CHECKING:
    from dotnn.data.load import SourceTable
    from dotnn_grammar.source import Span


class Passes:
    """The texts of the training rows, in order, one pass over the files for each time."""

    def __init__(
        self, table: SourceTable, column: str, span: Span | None, training: npt.NDArray[np.int64], lenient: bool
    ) -> None:
        self.table, self.column, self.span, self.training, self.lenient = table, column, span, training, lenient

    def __len__(self) -> int:
        return len(self.training)

    def __iter__(self) -> Iterator[str]:
        place = self.table.header.index(self.column)
        bad = Bad() if self.lenient else None
        first = at = 0
        for file in self.table.files:
            for rows in file.blocks(self.table.header, None, (self.column,), None, bad.tell if bad else None):
                reader = TextReader(self.column, place, self.span)
                reader.take(rows, bad)
                stop = at + int(np.searchsorted(self.training[at:], first + len(rows)))
                yield from (text for row in self.training[at:stop].tolist() if (text := reader.texts[row - first]))
                first, at = first + len(rows), stop
