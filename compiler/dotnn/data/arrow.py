"""Parquet and Arrow files, by the extra `data`: read in blocks, only the columns that are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dotnn.data.arrays import ArrayRows, Column, Form
from dotnn.data.columns import Nested
from dotnn.data.paths import TableFile, open_table
from dotnn.data.tables import HeaderOnly, names_of
from dotnn.data.unpack import refuse_ratio
from dotnn_grammar.problems import Problem

BLOCK = 1 << 14


class NeedsExtra(Problem):
    code = "D054"
    title = "`{file}` is read by pyarrow, which is not installed"
    label = "this file"
    help = "install it with: pip install 'dotnn[data]'; or write the rows as CSV"
    file: str


class CannotParse(Problem):
    code = "D055"
    title = "`{file}` cannot be read as {kind}: {reason}"
    label = "this file"
    help = "look whether its name tells what it is, and write it again"
    file: str
    kind: str
    reason: str


def read_header(file: TableFile) -> tuple[str, ...]:
    """The names of the columns. Raises D011, D019, D045, D054, D055."""
    with _opened(file) as table:
        return names_of(file, table.names, 1)


def read_forms(file: TableFile) -> dict[str, Form]:
    """What the columns hold that are numbers."""
    with _opened(file) as table:
        return {n: Form("text" if t is None else t) for n, t in zip(table.names, table.kinds, strict=True)}


def read_rows(
    file: TableFile, header: Sequence[str], most: int | None = None, wanted: Sequence[str] | None = None
) -> Iterator[ArrayRows]:
    """All rows in blocks, or the first ``most``; a column with missing values comes as texts. Raises D011 to D055."""
    names = list(header if wanted is None else dict.fromkeys(wanted))
    count = 0
    with _opened(file) as table:
        at = {name: place for place, name in enumerate(header)}
        # The names in the file may have white space around them, which the header has not.
        own = [table.names[at[name]] for name in names]
        for batch in table.batches(own, min(most, BLOCK) if most else BLOCK):
            with table.spoken():
                batch.validate(full=True)
                columns = {name: _column(batch.column(i)) for i, name in enumerate(names)}
            rows = ArrayRows(file, columns, count + 1)
            length = batch.num_rows
            if most is not None and count + length >= most:
                if most > count:
                    yield rows.part(0, most - count)
                return
            if length:
                yield rows
            count += length
    if not count:
        raise HeaderOnly(span=file.span, file=file.shown).error()


def _column(array: Any) -> Column:
    """A column's values: numbers as an array, all else as texts."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if number and not array.null_count:
        numbers: Column = array.to_numpy(zero_copy_only=False)
        return numbers
    if pa.types.is_nested(kind):
        return ["" if value is None else Nested("…") for value in array.to_pylist()]
    return [_text(value) for value in array.to_pylist()]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


class _Table:
    """What Parquet and Arrow files have in common."""

    def __init__(self, file: TableFile, kind: str, names: Sequence[str], kinds: Sequence[str | None]) -> None:
        self.file, self.kind = file, kind
        self.names, self.kinds = list(names), list(kinds)
        self.batches: Callable[[list[str], int], Iterator[Any]] = lambda names, size: iter(())

    @contextmanager
    def spoken(self) -> Iterator[None]:
        """What pyarrow has to complain of, in words of ours."""
        with _spoken(self.file, self.kind):
            yield


@contextmanager
def _spoken(file: TableFile, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, ValueError, OverflowError) as wrong:
        first = str(wrong).strip().split("\n")[0]
        reason = "it asks for more memory than there is" if isinstance(wrong, MemoryError) else _plain(first)
        raise CannotParse(span=file.span, file=file.shown, kind=kind, reason=reason).error() from None


def _plain(reason: str) -> str:
    known = {"magic bytes": "it does not begin as such a file", "too small": "it is too short", "EOF": "it is cut off"}
    return next((words for sign, words in known.items() if sign in reason), "its contents are damaged")


@contextmanager
def _opened(file: TableFile) -> Iterator[_Table]:
    try:
        importlib.import_module("pyarrow")
    except ImportError:
        raise NeedsExtra(span=file.span, file=file.shown).error() from None
    with open_table(file) as raw:
        size = raw.seek(0, 2)
        raw.seek(0)
        table = _parquet(file, raw, size) if file.suffix == ".parquet" else _arrow(file, raw)
        yield table


def _parquet(file: TableFile, raw: Any, size: int) -> _Table:
    import pyarrow.parquet as pq

    with _spoken(file, "Parquet"):
        opened = pq.ParquetFile(raw)
        about = opened.metadata
        schema = opened.schema_arrow
        groups = [about.row_group(i) for i in range(about.num_row_groups)]
    refuse_ratio(file, sum(group.total_byte_size for group in groups), size)
    # Runs of one value take no room in the file, but do in memory.
    refuse_ratio(file, about.num_rows * len(schema.names), size)
    table = _Table(file, "Parquet", schema.names, [_kind(field.type) for field in schema])

    def batches(names: list[str], rows: int) -> Iterator[Any]:
        with _spoken(file, "Parquet"):
            found = opened.iter_batches(batch_size=rows, columns=names, use_threads=False)
        while True:
            with _spoken(file, "Parquet"):
                batch = next(found, None)
            if batch is None:
                return
            # The order is that of the file, whatever was asked for.
            yield batch.select(names)

    table.batches = batches
    return table


def _arrow(file: TableFile, raw: Any) -> _Table:
    import pyarrow as pa

    with _spoken(file, "Arrow"):
        indexed = raw.read(6) == b"ARROW1"
        raw.seek(0)
        opened = pa.ipc.open_file(raw) if indexed else pa.ipc.open_stream(raw)
        schema = opened.schema
    table = _Table(file, "Arrow", schema.names, [_kind(field.type) for field in schema])

    def batches(names: list[str], rows: int) -> Iterator[Any]:
        count = getattr(opened, "num_record_batches", None)
        number = 0
        while count is None or number < count:
            with _spoken(file, "Arrow"):
                try:
                    batch = opened.get_batch(number) if count is not None else opened.read_next_batch()
                except StopIteration:
                    return
                batch = batch.select(names)
            number += 1
            for start in range(0, max(batch.num_rows, 1), rows):
                yield batch.slice(start, rows)

    table.batches = batches
    return table


def _kind(of: Any) -> str | None:
    """NumPy's name of a type of numbers."""
    import pyarrow as pa

    if pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_boolean(of):
        return str(of.to_pandas_dtype().__name__)
    return None
