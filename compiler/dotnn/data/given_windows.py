"""What a person gives to a net that looks at windows: the beginning of a text, or the latest rows of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.data.columns import NumberReader
from dotnn.data.load import Rows
from dotnn.data.paths import TableFile, show
from dotnn.data.source import Supply
from dotnn.data.tables import Rows as Block
from dotnn.data.text import TextTable
from dotnn.data.tokens import PAD, decoded
from dotnn.data.windows import encoded, last_window, stepwise, windows_of
from dotnn.program import Program, RawColumn
from dotnn_grammar.problems import Problem


class NothingWritten(Problem):
    code = "D193"
    title = "there is no text to go on from"
    help = "give the beginning of a text in quotes, or a file with one"


class ManyColumns(Problem):
    code = "D194"
    title = "a step has {count} columns, and only numbers of one could be typed one after the other"
    help = "give a table with the columns {names}; its last rows are looked at"
    count: int
    names: str


def looks_at_windows(raws: Sequence[RawColumn]) -> bool:
    """Whether a net is given windows, of a text or of a series."""
    return any(raw.steps is not None for raw in raws)


def reads_text(raws: Sequence[RawColumn]) -> bool:
    """Whether the windows are of one running text."""
    return any(raw.steps is not None and raw.tokens is not None and len(raw.dims) == 1 for raw in raws)


def rows_of(table: Supply, inputs: Sequence[RawColumn], every: int | None = None) -> dict[str, Array]:
    """The last window of a table; or all, one every so many rows. Raises D023 to D030, D195."""
    made = last_window(table, inputs, every)
    return {name: np.ascontiguousarray(array) for name, array in made.arrays.items()}


def text_of(file: Path) -> str:
    """A file of plain text. Raises D011 to D014, D190, D191."""
    table = TextTable(TableFile(path=file, shown=show(str(file), 200), guarded=False))
    return "".join(row[0] for row in table.rows())


def whole_text(text: str, raws: Sequence[RawColumn], shown: str, every: int) -> Rows:
    """Every window of a text, one every so many pieces. Raises D192."""
    return windows_of(_pieces(text, raws), raws, f"`{shown}`", "piece", every)


def text_window(text: str, inputs: Sequence[RawColumn]) -> dict[str, Array]:
    """The end of a text as one window; a shorter one is filled up with `pad` at its end. Raises D193."""
    if not text:
        raise NothingWritten().error()
    made = {}
    for raw, numbers in zip(inputs, _pieces(text, inputs).values(), strict=True):
        size = raw.steps or len(numbers)
        window = np.full((1, size), PAD, np.int64)
        last = numbers[-size:]
        window[0, : len(last)] = last
        made[raw.name] = window
    return made


def _pieces(text: str, raws: Sequence[RawColumn]) -> dict[str, Array]:
    return {raw.name: encoded(raw.tokens, [text]) for raw in raws if raw.tokens is not None}


def values_of(values: Sequence[str], inputs: Sequence[RawColumn]) -> dict[str, Array]:
    """A text; or the numbers of one column, the earliest first, of which the last ones are looked at.

    Raises D023 to D029, D193 to D195.
    """
    if reads_text(inputs):
        return text_window(" ".join(values), inputs)
    columns = list(dict.fromkeys(name for raw in inputs for name in raw.columns))
    if len(columns) > 1:
        names = ", ".join(f"`{show(name)}`" for name in columns[:5]) + (" …" if len(columns) > 5 else "")
        raise ManyColumns(count=len(columns), names=names).error()
    file = TableFile(path=Path("values"), shown="what was typed", guarded=False)
    block = Block(file, [[value] for value in values], list(range(1, len(values) + 1)))
    steps: dict[str, Array] = {}
    for raw in inputs:
        reader = NumberReader(stepwise(raw), [0], None)
        reader.take(block)
        steps[raw.name] = reader.finish()
    made = windows_of(steps, inputs, "what was typed", "number")
    return {name: np.ascontiguousarray(array) for name, array in made.arrays.items()}


def spoken(
    program: Program, given: Mapping[str, Array], row: int, value: Array, shares: Array | None
) -> dict[str, Any] | None:
    """An answer that is pieces of a text, as the text: all of it, or what comes next where that is what was learned.

    None where the answer is no text. With the probability of the piece that comes next.
    """
    named = program.answer.column if program.answer is not None else None
    raw = next((raw for raw in program.inputs if raw.name == named), None)
    if raw is None or raw.tokens is None or value.ndim != 1 or value.dtype.kind not in "iu":
        return None
    source = next((r for r in program.inputs if r.role == "data" and r.tokens == raw.tokens and r.name in given), None)
    filled = len(value)
    if source is not None and given[source.name].shape[1:] == value.shape:
        filled = int((given[source.name][row] != PAD).sum())
    if raw.steps is None or raw.later < 1 or not filled:
        return {"answer": decoded(raw.tokens, value[:filled].tolist())}
    said: dict[str, Any] = {"answer": decoded(raw.tokens, value[filled - 1 : filled].tolist())}
    if shares is not None and shares.ndim == 2:
        said["probability"] = float(shares[filled - 1][int(value[filled - 1])])
    return said
