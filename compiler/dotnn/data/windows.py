"""Running text and tables in order of time, read and cut into windows.

The parts follow each other (`split train 90%, val 5%, test 5% in order`). Of a text the characters are dealt, and each
part is cut into pieces by itself, with the vocabulary of the training part: no window lies in two parts. Of a table the
rows are dealt. A window of a later part may begin before it, since what lies before is known when it is asked; all that
it is asked for lies in its part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotnn import spec
from dotnn.arrays import Array
from dotnn.data.columns import Bad, NumberReader, by_name
from dotnn.data.load import (
    Dataset,
    EmptyPart,
    Rows,
    _check_split,
    _refuse_one_answer,
    _wanted,
    check_sample,
    open_source,
)
from dotnn.data.skipped import Skipped
from dotnn.data.source import Supply
from dotnn.data.split import apportion, exact_shares
from dotnn.data.steps import Cut, Passage, Steps, view
from dotnn.data.tokens import encoder
from dotnn.program import RawColumn, Tokens
from dotnn_grammar.problems import Problem, many
from dotnn_grammar.source import Span

Bounds = tuple[int, int]

FIRST_ROWS = 200
"""Rows of each file that a check looks at."""


class TooShort(Problem):
    code = "D192"
    title = "no window fits into `{part}`: it has {count}, and a window needs {needed}"
    label = "{why}"
    help = "make the window smaller, give the part a larger share, or bring more data"
    part: str
    count: str
    needed: str
    why: str


class TooFewGiven(Problem):
    code = "D195"
    title = "{given} has {count}, and the net needs {needed} at least"
    help = "add what came before: {needed} in their order make one window"
    given: str
    count: str
    needed: str


# ---- parts


def bounds_of(split: spec.Split | None, count: int) -> dict[str, list[Bounds]]:
    """Which steps each part has, in one or several passages."""
    if split is None:
        return {"train": [(0, count)]}
    shares = {share.name: share.share for share in split.shares}
    names = list(shares)
    if split.folds is not None:
        names = [*(f"fold {number}" for number in range(1, split.folds + 1)), *(n for n in names if n == "test")]
        shares = {name: shares.get(name, shares["val"]) for name in names}
    given = apportion([count], exact_shares(shares.values()))[0]
    ends = np.cumsum([0, *given]).tolist()
    found = {name: (ends[at], ends[at + 1]) for at, name in enumerate(names)}
    if split.folds is None:
        return {name: [bounds] for name, bounds in found.items()}
    chosen = f"fold {split.fold}"
    others = _joined(found[name] for name in names if name not in (chosen, "test"))
    rest = {"test": [found["test"]]} if "test" in found else {}
    return {"train": others, "val": [found[chosen]], **rest}


def _joined(parts: Iterable[Bounds]) -> list[Bounds]:
    """Stretches of which one begins where the other ends are one."""
    made: list[Bounds] = []
    for start, stop in parts:
        if made and made[-1][1] == start:
            made[-1] = (made[-1][0], stop)
        else:
            made.append((start, stop))
    return made


@dataclass(frozen=True)
class Part:
    """One part: the stream that each raw input looks at, and the passages of it that belong to the part."""

    arrays: Mapping[str, Array]
    passages: tuple[Passage, ...]
    holes: Array | None = None

    def rows(self, raws: Sequence[RawColumn], cut: Cut) -> Rows:
        """Its windows."""
        starts = np.concatenate([passage.windows(cut, self.holes) for passage in self.passages])
        made = {raw.name: view(self.arrays[raw.name], starts, raw.later, raw.steps or 1) for raw in raws}
        return Rows(len(starts), made)


def _parted(
    data: spec.Data,
    parts: Mapping[str, Part],
    raws: Sequence[RawColumn],
    spans: Mapping[str, Span],
    cut: Cut,
    what: str,
    fingerprint: str,
    skipped: Skipped | None = None,
) -> Dataset:
    splits: dict[str, Rows] = {}
    for name, part in parts.items():
        splits[name] = part.rows(raws, cut)
        if not splits[name].count:
            has = max(passage.stop - passage.start for passage in part.passages)
            where, needed, why = _where(data, name), f"{cut.span:,}", explained(cut, what)
            raise TooShort(span=where, part=name, count=many(has, what), needed=needed, why=why).error()
    for raw in raws:
        _refuse_one_answer(raw, splits, spans)
    train = parts.get("train", next(iter(parts.values())))
    steps = Steps(train.arrays, {raw.name: raw for raw in raws}, train.passages)
    return Dataset(splits=splits, fingerprint=fingerprint, skipped=skipped, steps=steps)


def _where(data: spec.Data, part: str) -> Span:
    shares = data.split.shares if data.split else ()
    return next(
        (share.span for share in shares if share.name == part), data.windows.span if data.windows else data.span
    )


def explained(cut: Cut, what: str) -> str:
    """Of what the steps of a window are made."""
    apart = [many(cut.size, what)]
    apart += [f"{cut.before:,} before"] if cut.before else []
    apart += [f"{cut.after:,} after"] if cut.after else []
    return ", ".join(apart)


# ---- tables in order of time


def load_series(
    data: spec.Data, raws: Sequence[RawColumn], spans: Mapping[str, Span], folder: Path, cut: Cut
) -> Dataset:
    """Every window of a table. Raises D001 to D036, D192."""
    _check_split(data)
    bad = Bad() if data.bad_rows == "skip" else None
    arrays, counts, fingerprint = _steps(data, raws, spans, folder, bad)
    total = sum(counts)
    holes = None
    skipped = None
    if bad is not None and bad.rows:
        holes = np.zeros(total, bool)
        holes[list(bad.rows)] = True
        first = tuple(bad.rows[row].title_text for row in sorted(bad.rows)[:3])
        skipped = Skipped(len(bad.rows), total, first, dict(bad.missing))
    parts: dict[str, Part] = {}
    for name, bounds in bounds_of(data.split, counts[0]).items():
        # Training alone looks at nothing but its own: with folds, what lies before may be an exam.
        own = name == "train"
        passages = tuple(Passage(start, stop, start if own else 0) for start, stop in bounds)
        parts[name] = Part(arrays, passages, holes)
    if counts[1]:
        parts["test"] = Part(arrays, (Passage(counts[0], total, counts[0]),), holes)
    return _parted(data, parts, raws, spans, cut, "row", fingerprint, skipped)


def check_series(
    data: spec.Data, raws: Sequence[RawColumn], spans: Mapping[str, Span], folder: Path, cut: Cut, bad: Bad
) -> int:
    """Looks at the first rows as ``load_series`` would, of a short table at all of it; returns how many rows.

    bad: hears of the rows that would be left out, where the spec says so. Raises D001 to D036, D192.
    """
    each = [stepwise(raw) if raw.steps is not None else raw for raw in raws]
    seen = check_sample(data, each, spans, folder, FIRST_ROWS, bad)
    if seen < FIRST_ROWS:
        load_series(data, raws, spans, folder, cut)
    return seen


def stepwise(raw: RawColumn) -> RawColumn:
    """What is read of a raw input for one step."""
    return raw.model_copy(update={"dims": raw.dims[1:], "steps": None, "later": 0})


def _steps(
    data: spec.Data, raws: Sequence[RawColumn], spans: Mapping[str, Span], folder: Path, bad: Bad | None
) -> tuple[dict[str, Array], tuple[int, int], str]:
    """The rows as they follow each other, by raw input; how many there are of `source` and of `test`; a hash of them.
    Inputs that differ in their place alone look at one array.
    """
    table = open_source(data, folder)
    readers: dict[Any, NumberReader] = {}
    for raw in raws:
        table.require(raw.columns, spans.get(raw.name))
        each = stepwise(raw)
        places = by_name([each], table.header)[raw.name]
        readers.setdefault(_same(raw), NumberReader(each, places, spans.get(raw.name)))
    marks = hashlib.sha256()
    counts = {"source": 0, "test": 0}
    for role, files in (("source", table.files), ("test", table.tests)):
        for file in files:
            mark = hashlib.sha256()
            # A row that cannot be read at all would be a hole that nobody sees: it ends everything, also where bad
            # rows are left out.
            for rows in file.blocks(table.header, None, _wanted(list(readers.values())), mark):
                counts[role] += len(rows)
                for reader in readers.values():
                    reader.take(rows, bad)
            marks.update(role.encode() + mark.digest())
    made = {same: reader.finish() for same, reader in readers.items()}
    return {raw.name: made[_same(raw)] for raw in raws}, (counts["source"], counts["test"]), marks.hexdigest()


def _same(raw: RawColumn) -> tuple[Any, ...]:
    return (raw.columns, raw.dtype, raw.dims[1:], raw.classes, raw.bound)


def last_window(table: Supply, raws: Sequence[RawColumn], every: int | None = None) -> Rows:
    """The last window of a table that somebody gives; or all of them, one every so many rows.

    Only what the net reads is there: a window ends with the last row, where nothing later is asked for.
    """
    header = table.header()
    readers = [NumberReader(stepwise(raw), by_name([raw], header)[raw.name], None) for raw in raws]
    for rows in table.blocks(header, wanted=tuple(dict.fromkeys(name for raw in raws for name in raw.columns))):
        for reader in readers:
            reader.take(rows)
    return windows_of(
        {reader.raw.name: reader.finish() for reader in readers}, raws, f"`{table.file.shown}`", "row", every
    )


def windows_of(
    arrays: Mapping[str, Array], raws: Sequence[RawColumn], given: str, what: str, every: int | None = None
) -> Rows:
    """Windows of streams that are there; the last alone, where nothing is said of ``every``.

    given: what the streams are called, ``what`` one step of them. Raises D195.
    """
    count = min((len(array) for array in arrays.values()), default=0)
    before = max(0, -min(raw.later for raw in raws))
    behind = max(raw.later + (raw.steps or 1) for raw in raws)
    starts = np.arange(before, count - behind + 1, every or 1)
    if not len(starts):
        needed = many(before + behind, what)
        raise TooFewGiven(given=given, count=many(count, what), needed=needed).error()
    starts = starts if every else starts[-1:]
    return Rows(len(starts), {raw.name: view(arrays[raw.name], starts, raw.later, raw.steps or 1) for raw in raws})


# ---- running text


@dataclass(frozen=True)
class RunningText:
    """One long text in chunks, as its source gives it."""

    chunks: tuple[str, ...]

    def __len__(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)

    def part(self, start: int, stop: int) -> Iterator[str]:
        """The characters from ``start`` to before ``stop``, in chunks."""
        at = 0
        for chunk in self.chunks:
            if at >= stop:
                return
            piece = chunk[max(start - at, 0) : stop - at] if at + len(chunk) > start else ""
            at += len(chunk)
            if piece:
                yield piece


@dataclass(frozen=True)
class Book:
    """The text of a data block, dealt into its parts: each a list of passages."""

    parts: Mapping[str, Sequence[tuple[str, ...]]]
    fingerprint: str
    is_whole: bool = True
    """Whether all of it was read."""

    @property
    def training(self) -> Iterator[str]:
        """What the vocabulary is made of."""
        part = self.parts.get("train", next(iter(self.parts.values())))
        return (chunk for passage in part for chunk in passage)


def read_book(data: spec.Data, folder: Path, most: int | None = None) -> Book:
    """Reads the text; of files with more than ``most`` chunks their beginning, which counts as training.

    Raises D001 to D022, D190 and D191.
    """
    _check_split(data)
    table = open_source(data, folder)
    marks = hashlib.sha256()
    found: dict[str, list[str]] = {"source": [], "test": []}
    is_whole = True
    limit = None if most is None else most + 1
    for role, files in (("source", table.files), ("test", table.tests)):
        for file in files:
            mark = hashlib.sha256()
            chunks = [row[0] for rows in file.blocks(table.header, limit, None, mark) for row in rows.cells]
            is_whole = is_whole and (most is None or len(chunks) <= most)
            found[role] += chunks
            marks.update(role.encode() + mark.digest())
    text = RunningText(tuple(found["source"]))
    if not is_whole:
        return Book({"train": [text.chunks]}, marks.hexdigest(), is_whole)
    parts: dict[str, list[tuple[str, ...]]] = {}
    for name, bounds in bounds_of(data.split, len(text)).items():
        parts[name] = [tuple(text.part(start, stop)) for start, stop in bounds]
        if not any(parts[name]):
            where = next((s.span for s in data.split.shares if s.name == name), data.span) if data.split else data.span
            raise EmptyPart(span=where, part=name, rows=many(len(text), "character")).error()
    if found["test"]:
        parts["test"] = [tuple(found["test"])]
    return Book(parts, marks.hexdigest())


def encoded(tokens: Tokens, chunks: Iterable[str], span: Span | None = None) -> Array:
    """The numbers of a text's pieces, i64. Raises ``ProblemError``."""
    encode = encoder(tokens, span)
    made = [np.array(encode(chunk), np.int64) for chunk in chunks]
    return np.concatenate(made) if made else np.empty(0, np.int64)


def load_text(data: spec.Data, book: Book, raws: Sequence[RawColumn], spans: Mapping[str, Span], cut: Cut) -> Dataset:
    """Every window of a text. Raises D066, D192."""
    tokens = next(raw.tokens for raw in raws if raw.tokens is not None)
    span = spans.get(raws[0].name)
    parts: dict[str, Part] = {}
    for name, passages in book.parts.items():
        pieces = [encoded(tokens, chunks, span) for chunks in passages]
        ends = np.cumsum([0, *(len(each) for each in pieces)]).tolist()
        whole = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        bounds = tuple(Passage(ends[n], ends[n + 1], ends[n]) for n in range(len(pieces)))
        parts[name] = Part({raw.name: whole for raw in raws}, bounds)
    return _parted(data, parts, raws, spans, cut, "piece", book.fingerprint)
