"""The tables of a `data` block: opened, checked, split, and given to a program as arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dotnn import spec
from dotnn.arrays import Array
from dotnn.data.arrays import Form
from dotnn.data.columns import Bad, NumberReader, Reader, by_name, dims_text
from dotnn.data.passes import Passes
from dotnn.data.paths import refuse_twice, show
from dotnn.data.skipped import Skipped, cut_note, without
from dotnn.data.source import GivenArrays, Supply, supplies
from dotnn.data.spill import Spill, gathered
from dotnn.data.split import split_rows
from dotnn.data.steps import Steps
from dotnn.data.tables import OtherHeader, compare_headers
from dotnn.data.texts import TextReader
from dotnn.program import RawColumn
from dotnn.words import parts_in
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem, many, perhaps
from dotnn_grammar.source import Span


class UnknownColumn(Problem):
    code = "D030"
    title = "the table has no column `{name}`"
    label = "named here"
    help = "{advice}"
    name: str
    advice: str


class BackwardRange(Problem):
    code = "D031"
    title = "`{first}` stands after `{last}` in the table"
    label = "a range goes from left to right"
    help = "write columns {last} to {first}"
    first: str
    last: str


class OneClass(Problem):
    code = "D032"
    title = "every training row has `{value}` in the column `{column}`"
    label = "there is only one answer to learn"
    help = "{advice}"
    value: str
    column: str
    advice: str


class TooMuch(Problem):
    code = "D033"
    title = "the parts of the split make {total} %"
    label = "together more than there is"
    help = "lower the shares until they make 100 % or less"
    total: str


class EmptyPart(Problem):
    code = "D034"
    title = "the part `{part}` would have no row"
    label = "its share of {rows} is too small"
    help = "give it a larger share, or leave it out"
    part: str
    rows: str


class CannotStratify(Problem):
    code = "D035"
    title = "the split cannot be stratified by `{name}`"
    label = "{why}"
    help = "stratify by a column of classes or whole numbers, as in: label = column digit as int < 10"
    name: str
    why: str


class TestTwice(Problem):
    code = "D036"
    title = "there are two parts named `test`"
    label = "the split makes one, and a line `test table` another"
    help = "leave one of them out"


class NoSource(Problem):
    code = "D037"
    title = "the data `{name}` has no source"
    label = "it learns from nothing"
    help = 'add a line such as: source table "data/rows.csv"'
    name: str


@dataclass(frozen=True)
class Rows:
    """The rows of one part, in the order of the table: ``arrays[raw input] = dtype[count, *dims]``."""

    count: int
    arrays: dict[str, Array]


@dataclass(frozen=True)
class Dataset:
    """What a program learns from and is examined on."""

    splits: dict[str, Rows]
    """By name, in the order of the spec: train first where the spec has it first; `train` alone without a split."""
    fingerprint: str
    """SHA-256 (hexadecimal) over the unpacked bytes of the tables, in order: equal for equal data."""
    skipped: Skipped | None = None
    cut: Mapping[str, int] = field(default_factory=dict)
    """By column: how many texts were longer than the column is, and so were cut."""
    steps: Steps | None = None
    """Of windows: the steps of the training part, each once."""

    def notes(self) -> tuple[str, ...]:
        """What the person should know of how it was read."""
        left_out = (f"note: {self.skipped}",) if self.skipped else ()
        return (*left_out, *(f"note: {cut_note(name, count)}" for name, count in self.cut.items() if count))


@dataclass(frozen=True)
class SourceTable:
    """The tables of a data block, opened as far as their first lines."""

    files: tuple[Supply, ...]
    tests: tuple[Supply, ...]
    header: tuple[str, ...]
    span: Span = field(repr=False)
    forms: Mapping[str, Form] = field(default_factory=dict)
    """What is known of the columns before they are read: those of arrays have dims."""
    bare: bool = False
    """Whether a line may name a column without the word `column`."""

    def resolve(self, column: spec.ColumnOf) -> tuple[str, ...]:
        """The names that a `column` or `columns … to …` stands for, both ends included. Raises D030 and D031."""
        first = self._place(column.first, column.span)
        if column.last is None:
            return (self.header[first],)
        last = self._place(column.last, column.span)
        if last < first:
            raise BackwardRange(span=column.span, first=show(column.first), last=show(column.last)).error()
        return self.header[first : last + 1]

    @property
    def arrays(self) -> Mapping[str, Form]:
        """Columns that are arrays, of a source that has nothing else."""
        return self.forms if self.bare else {}

    def require(self, names: Sequence[str], span: Span | None) -> None:
        for name in names:
            self._place(name, span)

    def _place(self, name: str, span: Span | None) -> int:
        if name in self.header:
            return self.header.index(name)
        raise UnknownColumn(span=span, name=show(name), advice=advise(name, self.header)).error()


def advise(name: str, header: Sequence[str]) -> str:
    """Near names of columns, or the first few there are."""
    listed = ", ".join(f"`{show(other)}`" for other in header[:8]) + (" and more" if len(header) > 8 else "")
    return perhaps(show(name), [show(other) for other in header], f"its columns are {listed}")


def open_source(data: spec.Data, folder: Path) -> SourceTable:
    """The tables that the data block names, below ``folder``; reads their first lines alone. Raises D001 to D022."""
    files = [f for line in data.sources if line.role == "source" for f in supplies(line, folder)]
    tests = [f for line in data.sources if line.role == "test" for f in supplies(line, folder)]
    if not files:
        raise NoSource(span=data.span, name=data.name).error()
    refuse_twice([file for f in (*files, *tests) for file in getattr(f, "files", (f.file,))])
    header, forms = files[0].header(), files[0].forms()
    for file in (*files[1:], *tests):
        compare_headers(files[0].file, header, file.file, file.header())
        _compare_forms(files[0], forms, file)
    return SourceTable(
        files=tuple(files),
        tests=tuple(tests),
        header=header,
        span=data.span,
        forms=forms,
        bare=isinstance(files[0], GivenArrays) or getattr(files[0], "bare", False),
    )


def _compare_forms(first: Supply, forms: Mapping[str, Form], other: Supply) -> None:
    """Raises D021 where an array has other dims in another file."""
    for name, form in other.forms().items():
        if form.dims != forms[name].dims:
            there, here = dims_text(form.dims), dims_text(forms[name].dims)
            difference = f"`{show(name)}` holds {there} in each row of it, and {here} before"
            raise OtherHeader(
                span=other.file.span, file=other.file.shown, first=first.file.shown, difference=difference
            ).error()


def load(
    data: spec.Data,
    raws: Sequence[RawColumn],
    spans: Mapping[str, Span],
    folder: Path,
    stratify: str | None = None,
) -> Dataset:
    """Every row of the tables as arrays, by part.

    ``spans`` says where the spec names each raw input, ``stratify`` by which raw input the split evens out (without
    it, the column that the split line names is read by itself). Raises D001 to D037.
    """
    table = open_source(data, folder)
    _check_split(data)
    readers = _readers(table, raws, spans)
    spill = Spill()
    for column in readers.values():
        column.spill = spill
    grouping = _grouping(data, table, readers, stratify)
    all_readers: list[Reader] = list(readers.values())
    if grouping is not None and grouping not in all_readers:
        all_readers.append(grouping)
    marks = hashlib.sha256()
    bad = Bad() if data.bad_rows == "skip" else None
    counts = {"source": 0, "test": 0}
    for role, files in (("source", table.files), ("test", table.tests)):
        for file in files:
            mark = hashlib.sha256()
            for rows in file.blocks(table.header, None, _wanted(all_readers), mark, bad.tell if bad else None):
                counts[role] += len(rows)
                for reader in all_readers:
                    reader.take(rows, bad)
            marks.update(role.encode() + mark.digest())
    arrays = {name: reader.finish() for name, reader in readers.items()}
    groups = _groups(data, grouping, arrays, counts["source"])
    places = _places(data, counts["source"], counts["test"], groups)
    total = sum(counts.values())
    skipped = None
    if bad is not None:
        places, skipped = without(places, bad, total, data)
    splits = {name: _pick(arrays, rows, total) for name, rows in places.items()}
    for raw in raws:
        _refuse_one_answer(raw, splits, spans)
    cut = {name: reader.cut for name, reader in readers.items()}
    return Dataset(splits=splits, fingerprint=marks.hexdigest(), skipped=skipped, cut=cut)


def _wanted(readers: Sequence[Reader]) -> tuple[str, ...]:
    """The columns that somebody reads."""
    return tuple(dict.fromkeys(name for reader in readers for name in reader.names))


def find_classes(
    data: spec.Data, column_name: str, span: Span, folder: Path, most: int | None = None
) -> tuple[tuple[str, ...], bool]:
    """The texts of a column that occur in the training rows, sorted: what `as class` counts by; whether all were read.

    most: look at so many rows of each file at most; where there are more, the texts are those of these rows.
    Raises D001 to D037.
    """
    found, whole = training_texts(data, column_name, span, folder, most)
    classes = tuple(sorted(set(found)))
    if whole and len(classes) == 1:
        advice = "a class needs another to be told from: look whether this is the column that is meant"
        raise OneClass(span=span, value=show(classes[0]), column=show(column_name), advice=advice).error()
    return classes, whole


def training_texts(
    data: spec.Data, column_name: str, span: Span, folder: Path, most: int | None = None
) -> tuple[list[str] | Passes, bool]:
    """The texts of a column in the training rows, one a row; and whether all rows were read: where a file has more than
    ``most``, the texts are those of the first rows of each. Raises D001 to D037.
    """
    table = open_source(data, folder)
    table.require([column_name], span)
    _check_split(data)
    grouping = _grouping(data, table, {}, None)
    same = isinstance(grouping, TextReader) and grouping.column == column_name
    held = None if same or most is not None else limits().held
    texts = TextReader(column_name, table.header.index(column_name), span, held)
    readers: list[Reader] = [texts] if grouping is None or same else [texts, grouping]
    bad = Bad() if data.bad_rows == "skip" else None
    count = 0
    whole = True
    for file in table.files:
        seen = 0
        limit = None if most is None else most + 1
        for rows in file.blocks(table.header, limit, _wanted(readers), None, bad.tell if bad else None):
            seen += len(rows)
            for reader in readers:
                reader.take(rows, bad)
        count += seen
        whole = whole and (most is None or seen <= most)
    if not whole:
        return [text for text in texts.texts if text], False
    groups = _groups(data, texts if same else grouping, {}, count)
    places = _places(data, count, None, groups)
    training = places.get("train", next(iter(places.values())))
    if texts.over:
        return Passes(table, column_name, span, training, bad is not None), True
    return [texts.texts[row] for row in training.tolist() if texts.texts[row]], True


def check_sample(
    data: spec.Data,
    raws: Sequence[RawColumn],
    spans: Mapping[str, Span],
    folder: Path,
    rows: int = 200,
    bad: Bad | None = None,
) -> int:
    """Looks at the first ``rows`` rows of each table as ``load`` would; returns how many. Raises D001 to D036.

    bad: hears of the rows that would be left out, where the spec says so.
    """
    table = open_source(data, folder)
    _check_split(data)
    readers = _readers(table, raws, spans)
    all_readers = list(readers.values())
    bad = bad or Bad() if data.bad_rows == "skip" else None
    seen = 0
    for file in (*table.files, *table.tests):
        for block in file.blocks(table.header, rows, _wanted(all_readers), None, bad.tell if bad else None):
            seen += len(block)
            for reader in all_readers:
                reader.take(block, bad)
    return seen


def _readers(table: SourceTable, raws: Sequence[RawColumn], spans: Mapping[str, Span]) -> dict[str, NumberReader]:
    for raw in raws:
        table.require(raw.columns, spans.get(raw.name))
    places = by_name(raws, table.header)
    return {raw.name: NumberReader(raw, places[raw.name], spans.get(raw.name)) for raw in raws}


def _check_split(data: spec.Data) -> None:
    if data.split is None:
        return
    total = sum(round(share.share * 1_000_000) for share in data.split.shares)
    if total > 1_000_000:
        raise TooMuch(span=data.split.span, total=f"{total / 10_000:g}").error()
    if any(line.role == "test" for line in data.sources) and any(s.name == "test" for s in data.split.shares):
        raise TestTwice(span=data.split.span).error()


def _grouping(
    data: spec.Data, table: SourceTable, readers: Mapping[str, NumberReader], stratify: str | None
) -> TextReader | NumberReader | None:
    """What to stratify by: a raw input that is read anyway, or else the column that the split line names."""
    if data.split is None:
        return None
    if stratify is not None:
        reader = readers[stratify]
        if reader.raw.dims or (reader.raw.classes is None and reader.raw.dtype.startswith("f")):
            raise _cannot(data.split, "this is no column of classes or whole numbers").error()
        return reader
    if data.split.stratify is None:
        return None
    column = next((c for c in data.columns if c.name == data.split.stratify), None)
    if column is None:
        raise _cannot(data.split, "no line of this data makes a column of that name").error()
    named = next((p for p in parts_in(column.value) if isinstance(p, spec.ColumnOf)), None)
    if isinstance(column.value, spec.Name) and column.value.name in table.arrays:
        named = spec.ColumnOf(span=column.span, first=column.value.name)
    word = column.type.word if column.type else None
    if named is None or named.last is not None or word not in ("class", "int"):
        raise _cannot(data.split, "this is no column of classes or whole numbers").error()
    table.resolve(named)
    place = table.header.index(named.first)
    if word == "class":
        return TextReader(named.first, place, column.span)
    return NumberReader(RawColumn(name=column.name, columns=(named.first,), dtype="i64"), [place], column.span)


def _cannot(split: spec.Split, why: str) -> Problem:
    return CannotStratify(span=split.span, name=split.stratify or "", why=why)


def _groups(
    data: spec.Data, grouping: TextReader | NumberReader | None, arrays: Mapping[str, Array], count: int
) -> Array | None:
    if grouping is None:
        return None
    if isinstance(grouping, TextReader):
        names = {text: i for i, text in enumerate(sorted(set(grouping.texts)))}
        return np.array([names[text] for text in grouping.texts[:count]], np.int64)
    found = arrays.get(grouping.raw.name)
    return (grouping.finish() if found is None else found)[:count]


def _places(data: spec.Data, count: int, tests: int | None, groups: Array | None) -> dict[str, Array]:
    """The rows of each part: of the sources by the split, then those of `test table`, which are counted after them."""
    if data.split is None:
        places: dict[str, Array] = {"train": np.arange(count)}
    else:
        places = _dealt(data.split, count, data.seed, groups)
        for share in data.split.shares:
            if not len(places[share.name]):
                raise EmptyPart(span=share.span, part=share.name, rows=many(count, "row")).error()
    if tests:
        places["test"] = np.arange(count, count + tests)
    return places


def _dealt(split: spec.Split, count: int, seed: int, groups: Array | None) -> dict[str, Array]:
    """The rows of each part; of folds one is `val`, and the others together are `train`."""
    shares = {share.name: share.share for share in split.shares}
    if split.folds is None:
        return dict(split_rows(count, shares, seed, groups, split.in_order))
    folds = [f"fold {number}" for number in range(1, split.folds + 1)]
    rest = {name: share for name, share in shares.items() if name not in ("train", "val")}
    found = split_rows(count, {**dict.fromkeys(folds, shares["val"]), **rest}, seed, groups, split.in_order)
    others = [found[name] for name in folds if name != folds[split.fold - 1]]
    return {
        "train": np.sort(np.concatenate(others)),
        "val": found[folds[split.fold - 1]],
        **{name: found[name] for name in rest},
    }


def _pick(arrays: Mapping[str, Array], rows: Array, count: int) -> Rows:
    whole = len(rows) == count
    return Rows(count=len(rows), arrays={n: a if whole else gathered(a, rows) for n, a in arrays.items()})


def _refuse_one_answer(raw: RawColumn, splits: Mapping[str, Rows], spans: Mapping[str, Span]) -> None:
    if raw.role != "label" or raw.dims or not raw.dtype.startswith(("i", "u")):
        return
    training = splits.get("train", next(iter(splits.values())))
    values = training.arrays[raw.name]
    if training.count < 2 or values.min() != values.max():
        return
    value = raw.classes[int(values[0])] if raw.classes else str(values[0])
    advice = "look whether the table is whole, and whether this is the column that is meant"
    raise OneClass(span=spans.get(raw.name), value=show(value), column=show(raw.columns[0]), advice=advice).error()
