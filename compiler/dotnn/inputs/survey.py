"""A look at the rows of a data block, as a net would get them: how many, what is in each column, what is doubtful."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.data import Dataset, Rows
from dotnn.data.steps import Cut
from dotnn.data.tokens import decoded
from dotnn.elaborate.library import Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.values import Tensor
from dotnn.inputs.augment import numbered, once_altered
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import Columns
from dotnn.inputs.fit import Fit, fitted_on, no_fit
from dotnn.job import Text
from dotnn.plan import choose, params_of
from dotnn.plugins import Arrays, Options, backend
from dotnn.program import RawColumn
from dotnn.simplify import only
from dotnn.spec import Data, Spec
from dotnn.tape import Tape
from dotnn.write import write_expression, write_type

ROWS = 4096
"""Rows that are computed at once."""
FEW = 20
"""Up to so many values of a column are counted one by one."""


@dataclass(frozen=True)
class ColumnSurvey:
    """One column of the spec."""

    name: str
    type: str
    """As a signature would say it: `[b, 8, 8]`, `int[b] < 10`."""
    text: str
    """What the spec says that it is."""
    least: float | None
    mean: float | None
    most: float | None
    """None where the numbers stand for texts or their pieces."""
    classes: Mapping[str, int] | None = None
    """How many rows have each class, or each of few whole numbers."""


@dataclass(frozen=True)
class Survey:
    """What `nn data show` tells of a block."""

    data: str
    doc: str
    parts: Mapping[str, int]
    """Rows by part, after bad ones are left out."""
    folds: int | None
    columns: tuple[ColumnSurvey, ...]
    bad: int
    """Rows that do not fit what the spec says of the columns."""
    first_bad: tuple[str, ...]
    missing: Mapping[str, int]
    """By column of the table: rows without a value there."""
    bad_end: bool
    """Whether the spec lets bad rows end everything."""
    compared: tuple[str, ...]
    """The columns by which rows count as the same: those that a net reads, or all."""
    repeated: int
    """Rows that stand there more than once, but for the first of each."""
    shared: Mapping[str, int]
    """By part: rows of it that are also rows of the first part."""
    rows: tuple[Mapping[str, Any], ...] = field(default=())
    """The first few of the first part."""
    windows: int = 0
    """How many steps a row holds, where rows are windows of a text or a series."""
    augmented: bool = False
    """Whether these rows are as training meets them once, altered by the block's `augment` lines."""


def survey(
    path: Path, name: str | None, settings: Mapping[str, str] = {}, few: int = 3, augmented: bool = False
) -> Survey:
    """The data block of that name, or the first, with all its rows read. Raises ``ProblemError``.

    augmented: whether the rows that are shown are altered as for training.
    """
    text = Text.read(path)
    with text.placed():
        spec, params = text.spec, params_of(text.spec, settings)
        data = choose(spec.data, name, "data block", None, spec.file)
        # Bad rows are counted here, whatever the spec does with them.
        lenient = spec.model_copy(
            update={"data": tuple(block.model_copy(update={"bad_rows": "skip"}) for block in spec.data)}
        )
        block = DataBlock(choose(lenient.data, data.name, "data block", None, spec.file), text.folder, lenient, params)
        return _surveyed(spec, block, params, few, augmented and bool(block.data.augments))


def sampled(spec: Spec, block: DataBlock, params: Mapping[str, Any]) -> None:
    """Makes every column of a block that no net learns from, of its first rows. Raises ``ProblemError``."""
    block.quick = True
    made = _columns(spec, block, params, no_fit)
    for name in block.columns:
        made[name]
    block.sample(dict(made.raws), made.spans)
    altered = once_altered(spec, block, params, no_fit)
    for name in block.columns:
        altered[name]


def _surveyed(spec: Spec, block: DataBlock, params: Mapping[str, Any], few: int, augmented: bool) -> Survey:
    first = _columns(spec, block, params, no_fit)
    for name in block.columns:
        first[name]
    raws = dict(first.raws)
    dataset = block.load(raws, first.spans)
    columns = _columns(spec, block, params, fitted_on(dataset))
    made = {name: columns[name] for name in block.columns}
    few_of = {part: _apart(rows, block.cut) for part, rows in dataset.splits.items()}
    computed = {part: _computed(columns, made, rows) for part, rows in few_of.items()}
    net = _read_by_a_net(spec, block.data) or set(made)
    compared = tuple(name for name in raws if name.split(".")[0] in net) or tuple(raws)
    marks = {part: list(_marks(rows, compared)) for part, rows in few_of.items()}
    skipped = dataset.skipped
    shown = computed
    if augmented:
        columns = once_altered(spec, block, params, columns.fit)
        new = {name: columns[name] for name in block.columns}
        part, rows = next(iter(dataset.splits.items()))
        shown = {part: _computed(columns, new, numbered(rows, few))}
    return Survey(
        data=block.data.name,
        doc=block.data.doc,
        parts={part: rows.count for part, rows in dataset.splits.items()},
        folds=block.data.split.folds if block.data.split else None,
        columns=tuple(_column(block, raws, name, tensor, computed) for name, tensor in made.items()),
        bad=skipped.count if skipped else 0,
        first_bad=skipped.first if skipped else (),
        missing=dict(skipped.missing) if skipped else {},
        bad_end=_root_of(spec, block).bad_rows == "error",
        compared=tuple(dict.fromkeys(name.split(".")[0] for name in compared)),
        repeated=sum(len(m) for m in marks.values()) - len({mark for m in marks.values() for mark in m}),
        shared=_shared(marks),
        rows=tuple(_rows(raws, made, shown, dataset, few)),
        augmented=augmented,
        windows=block.cut.size if block.cut is not None else 0,
    )


def _apart(rows: Rows, cut: Cut | None) -> Rows:
    """Of windows that overlap those that stand side by side: each step once is enough to look at."""
    every = 1 if cut is None else max(cut.size // cut.by, 1)
    return rows if every == 1 else Rows(-(-rows.count // every), {n: a[::every] for n, a in rows.arrays.items()})


def _columns(spec: Spec, block: DataBlock, params: Mapping[str, Any], fit: Fit) -> Columns:
    machine = Machine(Tape("data"), "eval", Library(spec.definitions), dict(params), "")
    return Columns(machine, block, fit)


def _root_of(spec: Spec, block: DataBlock) -> Data:
    return next(data for data in spec.data if data.name == block.lineage.root.name)


def _read_by_a_net(spec: Spec, data: Data) -> set[str]:
    """The columns that go into a net which learns from this data."""
    nets = {train.name for train in spec.trains if train.data == data.name}
    inputs = [d.inputs for d in spec.definitions if d.word == "net" and d.name in nets]
    return {parameter.name for several in inputs for parameter in several}


def _computed(columns: Columns, made: Mapping[str, Tensor], rows: Rows) -> Arrays:
    """Every column of these rows as numbers, by the reference backend."""
    graph = only(columns.machine.tape.graph(), {name: tensor.value.name for name, tensor in made.items()})
    runner, options = backend("reference"), Options()
    executor = runner.start(runner.lower(graph, options), options)
    parts: list[Arrays] = []
    for start in range(0, rows.count, ROWS):
        feeds = {fed.name: rows.arrays[fed.name][start : start + ROWS] for fed in graph.inputs}
        parts.append(executor.run(feeds))
    return {name: np.concatenate([part[name] for part in parts]) for name in made}


def _column(
    block: DataBlock, raws: Mapping[str, RawColumn], name: str, tensor: Tensor, computed: Mapping[str, Arrays]
) -> ColumnSurvey:
    column = block.columns[name]
    whole = np.concatenate([arrays[name] for arrays in computed.values()])
    raw = raws.get(name)
    texts = raw.classes if raw is not None else None
    worded = texts is not None or (raw is not None and raw.tokens is not None)
    is_class = texts is not None or (not whole.shape[1:] and whole.dtype.kind in "bui")
    return ColumnSurvey(
        name=name,
        type=_type(tensor),
        text=write_expression(column.value) + (f" as {write_type(column.type)}" if column.type else ""),
        least=None if worded else float(whole.min()),
        mean=None if worded else float(whole.mean(dtype=np.float64)),
        most=None if worded else float(whole.max()),
        classes=_counts(whole, texts, tensor.bound) if is_class else None,
    )


def _type(tensor: Tensor) -> str:
    word = {"i64": "int", "bool": "bool", "u8": "u8"}.get(tensor.value.dtype, "")
    bound = f" < {tensor.bound}" if tensor.bound is not None else ""
    return f"{word}[{', '.join(map(str, tensor.dims))}]{bound}"


def _counts(values: npt.NDArray[Any], texts: Sequence[str] | None, bound: int | None) -> dict[str, int] | None:
    found = Counter(values.tolist())
    if texts is not None:
        return {text: found.get(number, 0) for number, text in enumerate(texts)}
    wanted = range(bound) if bound is not None and bound <= FEW else sorted(found)
    return {str(value): found.get(value, 0) for value in wanted} if len(wanted) <= FEW else None


def _marks(rows: Rows, names: Sequence[str]) -> Iterator[bytes]:
    """For each row sixteen bytes that are the same for the same numbers."""
    for row in range(rows.count):
        mark = hashlib.blake2b(digest_size=16)
        for name in names:
            mark.update(np.ascontiguousarray(rows.arrays[name][row]).tobytes())
        yield mark.digest()


def _shared(marks: Mapping[str, Sequence[bytes]]) -> dict[str, int]:
    first, *others = marks
    known = set(marks[first])
    return {part: sum(mark in known for mark in marks[part]) for part in others}


def _rows(
    raws: Mapping[str, RawColumn],
    made: Mapping[str, Tensor],
    computed: Mapping[str, Arrays],
    dataset: Dataset,
    few: int,
) -> Iterator[dict[str, Any]]:
    part = next(iter(dataset.splits))
    for row in range(min(few, len(next(iter(computed[part].values()))))):
        yield {name: _value(raws.get(name), computed[part][name][row]) for name in made}


def _value(raw: RawColumn | None, value: npt.NDArray[Any]) -> Any:
    if raw is not None and raw.tokens is not None and value.shape == raw.dims:
        return decoded(raw.tokens, value.tolist()).replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")
    if raw is not None and raw.classes is not None and not value.shape:
        return raw.classes[int(value)]
    return value.tolist()
