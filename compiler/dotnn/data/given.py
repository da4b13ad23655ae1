"""Rows that a person gives to a trained net: a table without labels, or the values of one row."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from dotnn.arrays import Array
from dotnn.data import given_windows
from dotnn.data.columns import NumberReader, by_name, dims_text
from dotnn.data.idx import IdxFile, IdxTable, starts_as_idx
from dotnn.data.load import advise
from dotnn.data.npz import NpzTable, stored
from dotnn.data.paths import ARROWS, TEXTS, TableFile, check_suffix, show
from dotnn.data.source import FileTable, GivenArrays, Supply
from dotnn.data.tables import Rows as Block
from dotnn.program import RawColumn
from dotnn_grammar.problems import Problem


class MissingColumns(Problem):
    code = "D038"
    title = "`{file}` has no column {names}"
    help = "{advice}"
    file: str
    names: str
    advice: str


class OtherCount(Problem):
    code = "D039"
    title = "the net needs {needed}, and {found} given"
    help = "in this order: {names}"
    needed: str
    found: str
    names: str


class UnknownValue(Problem):
    code = "D040"
    title = "`{name}` is no input of the net"
    help = "{advice}"
    name: str
    advice: str


class ValueTwice(Problem):
    code = "D041"
    title = "`{name}` is given twice"
    help = "give each input once"
    name: str


class MixedValues(Problem):
    code = "D042"
    title = "`{value}` has no name, though other values have one"
    help = "give all values with their names ({name}=…), or all without, in order"
    value: str
    name: str


class MissingValues(Problem):
    code = "D043"
    title = "no value is given for {names}"
    help = "give one value for each input, as in {name}=…"
    names: str
    name: str


class NeedsFile(Problem):
    code = "D062"
    title = "the net's input `{name}` is {what}, too much to be typed"
    help = "give a file of the kind that it learned from: a picture, a NumPy file (.npz, .npy), or an IDX file"
    name: str
    what: str


def read_rows(file: Path, raws: Sequence[RawColumn], every: int | None = None) -> dict[str, Array]:
    """The rows of a user's table as the net's inputs, ``dtype[rows, *dims]`` each; other columns are let be.

    Of a net that looks at windows: the last window, or one every so many rows.

    Raises D010 to D030 and D038.
    """
    inputs = [raw for raw in raws if raw.role == "data"]
    if given_windows.reads_text(inputs):
        return given_windows.text_window(given_windows.text_of(file), inputs)
    table = supply_of(file)
    header = table.header()
    missing = list(dict.fromkeys(name for raw in inputs for name in raw.columns if name not in header))
    if missing:
        advice = advise(missing[0], header)
        raise MissingColumns(file=table.file.shown, names=_listed(missing), advice=advice).error()
    if given_windows.looks_at_windows(inputs):
        return given_windows.rows_of(table, inputs, every)
    places = by_name(inputs, header)
    readers = [NumberReader(raw, places[raw.name], None) for raw in inputs]
    for rows in table.blocks(header, wanted=tuple(dict.fromkeys(name for raw in inputs for name in raw.columns))):
        for reader in readers:
            reader.take(rows)
    return {reader.raw.name: reader.finish() for reader in readers}


def supply_of(file: Path) -> Supply:
    """A file of the user's, by the end of its name; one without a known end may be an IDX file."""
    found = TableFile(path=file, shown=show(str(file), 200), guarded=False)
    if file.name.lower().endswith((".npz", ".npy")):
        return GivenArrays("npz", NpzTable(stored(found)), None)
    if found.suffix not in (*TEXTS, *ARROWS) and starts_as_idx(found):
        return GivenArrays("idx", IdxTable([IdxFile(found)]), None)
    return FileTable(check_suffix(found))


def read_values(values: Sequence[str], raws: Sequence[RawColumn]) -> dict[str, Array]:
    """One row: `5.1 3.5 1.4 0.2` in the order of the inputs, or `width=0.2 …` by the names of the columns.

    Raises D023 to D029 and D039 to D043.
    """
    inputs = [raw for raw in raws if raw.role == "data"]
    if given_windows.looks_at_windows(inputs):
        return given_windows.values_of(values, inputs)
    names = list(dict.fromkeys(name for raw in inputs for name in raw.columns))
    for raw in inputs:
        if prod(raw.dims) != len(raw.columns) and raw.tokens is None:
            raise NeedsFile(name=show(raw.columns[0]), what=dims_text(raw.dims)).error()
    named = [value.partition("=")[0].strip() in names for value in values if "=" in value]
    # A sentence may hold the sign as well.
    is_text = any(raw.tokens is not None for raw in inputs)
    row = _named(values, names) if named and (any(named) or not is_text) else _in_order(values, names)
    block = Block(TableFile(path=Path("values"), shown="values", guarded=False), [row], [1])
    places = by_name(inputs, names)
    found = {}
    for raw in inputs:
        reader = NumberReader(raw, places[raw.name], None)
        reader.take(block)
        found[raw.name] = np.ascontiguousarray(reader.finish())
    return found


def _in_order(values: Sequence[str], names: Sequence[str]) -> list[str]:
    if len(values) == len(names):
        return list(values)
    found = f"{len(values) or 'none'} {'are' if len(values) > 1 else 'is'}"
    needed = f"{len(names)} value{'' if len(names) == 1 else 's'}"
    raise OtherCount(needed=needed, found=found, names=_listed(names)).error()


def _named(values: Sequence[str], names: Sequence[str]) -> list[str]:
    given: dict[str, str] = {}
    for value in values:
        name, mark, text = value.partition("=")
        name = name.strip()
        if not mark:
            raise MixedValues(value=show(value), name=show(names[0])).error()
        if name not in names:
            raise UnknownValue(name=show(name), advice=advise(name, names)).error()
        if name in given:
            raise ValueTwice(name=show(name)).error()
        given[name] = text
    missing = [name for name in names if name not in given]
    if missing:
        raise MissingValues(names=_listed(missing), name=show(missing[0])).error()
    return [given[name] for name in names]


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(f"`{show(name)}`" for name in names[:5])
    return some + (f" and {len(names) - 5} more" if len(names) > 5 else "")
