"""`augment` lines: columns that are made anew each time training sees a row, and only then.

    `augment image = image -> mirror(over = w, chance = 50%) -> jitter(2)`

In the train graph such a line is one more wording of its column: on its right the column's name is what it was before,
and whatever else reads the column reads the new one. Every draw is made anew at each step, in the graph, from the
generator's key, so that a run that goes on draws what a straight one would. The graphs that measure and predict know
nothing of it.

A line may also give a name to a draw that others share: `augment turned = chance(50%)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dotnn.data import Rows
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import NotThatKind, UsesItself
from dotnn.elaborate.values import Tensor, kind
from dotnn.graph import Type
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import BATCH, Columns, Sight
from dotnn.inputs.fit import Fit
from dotnn.inputs.generate import one_a_row
from dotnn.inputs.lineage import FITTED
from dotnn.operation import shape_text
from dotnn.spec import Column, Spec
from dotnn.tape import Tape
from dotnn.words import names_in
from dotnn_grammar.problems import Problem, perhaps


class NothingToAugment(Problem):
    code = "B170"
    title = "`{data}` has no column `{name}`, and no other `augment` line reads this one"
    label = "no such column"
    help = "{near}"
    data: str
    name: str
    near: str


class ChangesKind(Problem):
    code = "B171"
    title = "`augment` must leave `{name}` what it is: {before}"
    label = "this makes {after} of it"
    help = "{way}"
    name: str
    before: str
    after: str
    way: str


class FittedAnew(Problem):
    code = "B172"
    title = "`{word}` is fitted on the rows as they are, not on altered ones"
    label = "inside an `augment` line"
    help = "give it a column of its own, `level = {word}(…)`, and alter what it reads"
    word: str


@dataclass(frozen=True)
class AugmentSight(Sight):
    """What an `augment` line sees: its own name is what it was before, every other what it becomes."""

    line: int = 0

    def __contains__(self, name: str) -> bool:
        return super().__contains__(name) or name in self.augmented.lines

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.columns, *self.augmented.lines)))

    def __getitem__(self, name: str) -> Tensor:
        if name == self.name:
            return self.augmented.before(name, self.line)
        return self.augmented.after(name) if name in self.augmented.lines else self.columns[name]

    @property
    def augmented(self) -> Augmented:
        assert isinstance(self.columns, Augmented)
        return self.columns


class Augmented(Columns):
    """The columns of a block as training sees them."""

    def __init__(self, machine: Machine, block: DataBlock, fit: Fit) -> None:
        super().__init__(machine, block, fit)
        self.lines: dict[str, list[Column]] = {}
        """The `augment` lines, by what they alter; a name that is no column's is a draw that others share."""
        for line in block.data.augments:
            self.lines.setdefault(line.name, []).append(line)
        self.altered: dict[tuple[str, int], Tensor] = {}
        self.uses: dict[str, int] = {}
        """What these lines have drawn: kept apart, since no other line of a table's columns may draw."""
        self._check()

    def _check(self) -> None:
        """Refuses a name that is neither a column's nor read by any other line."""
        for name, lines in self.lines.items():
            others = [line for own, lines in self.lines.items() if own != name for line in lines]
            read = {word for line in others for word in names_in(line.value)}
            itself = any(name in names_in(line.value) for line in lines[:1])
            if name not in self and (name not in read or itself):
                near = perhaps(name, self, f"its columns are: {', '.join(self)}")
                raise NothingToAugment(span=lines[0].span, data=self.block.data.name, name=name, near=near).error()

    def __getitem__(self, name: str) -> Tensor:
        return self.after(name) if name in self.lines else super().__getitem__(name)

    def after(self, name: str) -> Tensor:
        """A column, or a shared draw, as its last line makes it."""
        return self._altered(name, len(self.lines[name]) - 1)

    def before(self, name: str, line: int) -> Tensor:
        """What the name stands for in that line."""
        if line > 0:
            return self._altered(name, line - 1)
        if name not in self:
            self.machine.fail(UsesItself, self.lines[name][line], USER, name=name)
        return super().__getitem__(name)

    def _altered(self, name: str, number: int) -> Tensor:
        if (name, number) not in self.altered:
            line = self.lines[name][number]
            mark = (f"augment {name}", number)
            if mark in self.making:
                self.machine.fail(UsesItself, line, USER, name=name)
            self.making.append(mark)
            drawn, self.machine.uses = self.machine.uses, self.uses
            try:
                self.altered[name, number] = self._line(line, number)
            finally:
                self.making.pop()
                self.machine.uses = drawn
        return self.altered[name, number]

    def _line(self, line: Column, number: int) -> Tensor:
        for word in names_in(line.value):
            if word in FITTED:
                raise FittedAnew(span=line.value.span, word=word).error()
        frame = self.frame(line, 0)
        frame.columns = AugmentSight(self, line.name, 0, number)
        frame.left = f"augment {line.name}" + "'" * number
        frame.draw = one_a_row
        made = evaluate(frame, line.value)
        with computing(frame, line):
            if not isinstance(made, Tensor | bool | int | float):
                self.machine.fail(NotThatKind, line.value, USER, wanted="a column", found=kind(made))
            value = self._of_rows(line, made)
        return value if line.name not in self else self._held(line, value, self.before(line.name, number))

    def _held(self, line: Column, made: Tensor, before: Tensor) -> Tensor:
        """The new column in the place of the old one: as large, and of its kind."""
        with computing(self.frame(line, 0), line):
            whole, real = not before.value.type.is_float, made.value.type.is_float
            if made.dims != before.dims or (whole and real):
                now, then = (_kind(t) for t in (made, before))
                way = "keep its sizes: what leaves a picture is cut off, and what comes in is filled"
                way = "say how it becomes whole again: `int(round(…))`" if made.dims == before.dims else way
                raise ChangesKind(span=line.span, name=line.name, before=then, after=now, way=way).error()
            return Tensor(made.value.cast(before.value.dtype), before.labels, before.bound)

    # ---- what reads an altered column

    @cached_property
    def dependent(self) -> frozenset[str]:
        """The columns whose lines lead to an altered one."""
        found = set(self.lines)
        grown = True
        while grown:
            more = {
                name
                for name, wordings in self.block.lineage.wordings.items()
                if name not in found and not found.isdisjoint(w for one in wordings for w in names_in(one.value))
            }
            found |= more
            grown = bool(more)
        return frozenset(found)

    def _feed(self, column: Column, number: int) -> Tensor:
        """A generated column is fed as it was drawn, unless what it is made of is altered here."""
        wordings = self.block.lineage.wordings[column.name]
        others = {word for one in wordings[: number + 1] for word in names_in(one.value)} - {column.name}
        if others.isdisjoint(self.dependent):
            return super()._feed(column, number)
        frame = self.frame(column, number)
        frame.draw = one_a_row
        raw = self.block.drawn(column.name, number)
        self.making.append((column.name, number))
        try:
            made = self._evaluated(frame, column)
        finally:
            self.making.pop()
        with computing(frame, column):
            if not isinstance(made, Tensor | bool | int | float):
                self.machine.fail(NotThatKind, column.value, USER, wanted="a column", found=kind(made))
            value = self._of_rows(column, made)
            formed = self._formed(frame, column, Tensor(value.value.cast(raw.dtype), value.labels, raw.bound))
            return Tensor(formed.value, formed.labels, raw.bound)

    def fitting(self, word: str) -> str:
        """What is fitted, is fitted on the rows as they are, before it is asked for here."""
        if self.making:
            name = next(name for name, _ in reversed(self.making) if name in self.block.columns)
            machine = Machine(Tape("fit"), "eval", self.machine.library, dict(self.machine.params))
            Columns(machine, self.block, self.fit)[name]
        return super().fitting(word)


def _kind(value: Tensor) -> str:
    word = {"i64": "int", "bool": "bool", "u8": "u8"}.get(value.value.dtype, "")
    return f"{word}{shape_text(value.dims)}"


def columns_of(machine: Machine, block: DataBlock, fit: Fit) -> Columns:
    """The columns of a block in one phase: altered while training, where the block says how."""
    altered = bool(block.data.augments) and machine.phase == "train"
    return Augmented(machine, block, fit) if altered else Columns(machine, block, fit)


ROW = "row.number"
"""Where altered rows are shown: each row's number, by which it draws."""


def once_altered(spec: Spec, block: DataBlock, params: Mapping[str, Any], fit: Fit) -> Columns:
    """The columns as training may meet them, to be looked at: each row draws by its number."""
    machine = Machine(Tape("data"), "train", Library(spec.definitions), dict(params), "")
    machine.noise = (machine.tape.add("derive_key", machine.tape.literal(0, "i64")), machine.tape.literal(0, "i64"))
    machine.rows = machine.tape.input(ROW, Type(dtype="i64", dims=(BATCH,)), "data")
    return columns_of(machine, block, fit)


def numbered(rows: Rows, most: int) -> Rows:
    """The first of these rows, with their numbers."""
    count = min(most, rows.count)
    arrays = {name: array[:count] for name, array in rows.arrays.items()}
    return Rows(count, arrays | {ROW: np.arange(count, dtype=np.int64)})
