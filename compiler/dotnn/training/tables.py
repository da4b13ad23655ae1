"""Figures that are more than one number, for people: a line of numbers, or a table with the names of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dotnn.program import Program
from dotnn.training.display import shown
from dotnn.training.figures import Reading, Table, sizes_of

WIDEST = 24
"""Columns of a table that are shown; a larger one is in the log."""


def tables(program: Program, figures: Mapping[str, Reading], split: str) -> list[str]:
    """Each figure of a split that is a table, under a heading of its own."""
    texts = {figure.name: figure.text for figure in program.figures}
    lines: list[str] = []
    for name, reading in figures.items():
        if isinstance(reading, tuple):
            lines += ["", f"{name} on {split}: {texts.get(name, name)}", *drawn(reading, program)]
    return lines


def drawn(table: Table, program: Program | None = None) -> list[str]:
    """A table as lines: the first index goes down, the second to the right."""
    sizes = sizes_of(table)
    if len(sizes) > 2 or not sizes or sizes[-1] > WIDEST:
        return [f"  {shown(table)}, too large to be shown here: see the log, or --format json"]
    rows = table if len(sizes) == 2 else (table,)
    heads = names_of(program, sizes[-1])
    sides = names_of(program, sizes[0]) if len(sizes) == 2 else [""]
    cells = [[_cell(each) for each in row] if isinstance(row, tuple) else [] for row in rows]
    width = max(len(text) for text in (*heads, *(cell for line in cells for cell in line)))
    side = max(len(text) for text in sides)
    lines = [(" " * side, heads), *zip(sides, cells, strict=True)]
    return ["  " + f"{first:<{side}}" + "".join(f"  {cell:>{width}}" for cell in line) for first, line in lines]


def names_of(program: Program | None, size: int) -> Sequence[str]:
    """What the places of a dim are called: by the classes of a column that has as many, else by their numbers."""
    columns = program.inputs if program is not None else ()
    classes = next((c.classes for c in columns if c.classes is not None and len(c.classes) == size), None)
    return [_printable(name) for name in classes] if classes is not None else [str(i) for i in range(size)]


def _cell(value: Reading) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return shown(value)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)[:20]
