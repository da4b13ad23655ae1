"""The columns of a `data` block: what a host feeds, and how the graph makes of it what the spec names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dotnn.data import (
    Form,
)
from dotnn.elaborate import types
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import Misfit, NotThatKind, NotYet, OutOfPlace, UsesItself
from dotnn.elaborate.values import Native, Tensor, kind
from dotnn.graph import Dtype, Type, multiply, names_in
from dotnn.inputs import windows
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import Fit
from dotnn.inputs.lineage import wording_of
from dotnn.inputs.mixing import mixes_rows
from dotnn.operation import shape_text
from dotnn.program import RawColumn, Setting
from dotnn.read.data import FORMS
from dotnn.simplify import only
from dotnn.spec import Call, Column, ColumnOf, Name, Shifted, TypeText
from dotnn.write import write_type
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span

BATCH = "b"
"""The name of the batch's size."""

SIZES = {"bool": 2, "u8": 256}
"""How many values the numbers of a form can have."""


class NeedsBareColumn(Problem):
    code = "B030"
    title = "`as {form}` goes with a column as it is"
    label = "this computes with it"
    help = "write `{name} = column NAME as {form}`, and compute with `{name}` elsewhere"
    form: str
    name: str


@dataclass(frozen=True)
class Sight:
    """What the line of one wording of a column sees: its own name is the wording before, every other the last one."""

    columns: Columns
    name: str
    number: int

    @property
    def raw(self) -> Callable[[ColumnOf], Tensor] | None:
        return self.columns.raw

    def __contains__(self, name: str) -> bool:
        return name in self.columns or name in self.columns.block.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def shifted(self, frame: Frame, written: Shifted) -> Any:
        return windows.shifted(self.columns, frame, written)

    def ahead(self, frame: Frame, written: Call) -> Any:
        return windows.ahead(self.columns, frame, written)

    def arrays(self) -> tuple[str, ...]:
        """What the files have that may be named as it is."""
        return tuple(self.columns.block.arrays)

    def __getitem__(self, name: str) -> Tensor:
        if name in self.columns.block.arrays and (name == self.name or name not in self.columns):
            return self.columns.array(name)
        return self.columns.at(name, self.number - 1) if name == self.name else self.columns[name]


class Columns:
    """The columns of a block as tensors of one graph, made when they are first asked for."""

    drawing = False
    """Whether rows are generated here."""

    def __init__(self, machine: Machine, block: DataBlock, fit: Fit) -> None:
        self.machine = machine
        self.block = block
        self.fit = fit
        self.raws: dict[str, RawColumn] = {}
        self.spans: dict[str, Span] = {}
        self.made: dict[str, Tensor] = {}
        """By name; an older wording has a `'` for each that replaced it before the last."""
        self.view = windows.View()
        """From where in the stream the line under way looks at it."""
        self.making: list[tuple[str, int]] = []
        """The lines under way, outermost first."""
        self.fitted: dict[str, int] = {}
        """By word and line: how many numbers were fitted."""
        self._raw: Callable[[ColumnOf], Tensor] | None = None

    @property
    def raw(self) -> Callable[[ColumnOf], Tensor] | None:
        """Inside a column's own line: what `column NAME` gives."""
        return self._raw

    def __contains__(self, name: str) -> bool:
        return name in self.block.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.block.columns)

    def __getitem__(self, name: str) -> Tensor:
        return self.at(name, len(self.block.lineage.wordings[name]) - 1)

    def array(self, name: str) -> Tensor:
        """An array of the source, which a column's line names as it is: `pixels / 255`."""
        name_of, number = self.making[-1]
        assert self._raw is not None
        return self._raw(ColumnOf(span=self.block.lineage.wordings[name_of][number].span, first=name))

    def at(self, name: str, number: int) -> Tensor:
        """One wording of a column, counted from the oldest."""
        wordings = self.block.lineage.wordings[name]
        column = wordings[max(number, 0)]
        if number < 0 or (name, number) in self.making:
            self.machine.fail(UsesItself, column, USER, name=name)
        key = (name if number == len(wordings) - 1 else f"{name}@{number}") + self.view.mark
        if key not in self.made:
            windows.fit_first(self, name, number)
            feeds = self.block.generated and not self.drawing and not self.block.lineage.fitted(name, number)
            self.made[key] = self._feed(column, number) if feeds else self._make(column, number)
        return self.made[key]

    def _feed(self, column: Column, number: int) -> Tensor:
        """A generated column: a host feeds it as it was drawn."""
        raw = self.block.drawn(column.name, number)
        self.raws[raw.name], self.spans[raw.name] = raw, column.span
        with self.machine.tape.at(self.machine.place(column.span, USER, raw.name)):
            value = self.machine.tape.input(raw.name, Type(dtype=raw.dtype, dims=(BATCH, *raw.dims)), "data")
        labels = self.block.generator.labels(column.name, number)
        return Tensor(value, (BATCH, *labels), raw.bound)

    def frame(self, column: Column, number: int) -> Frame:
        """Where the line of a wording is worked out. Each wording draws its own numbers."""
        left = wording_of(column.name, number)
        frame = Frame(self.machine, USER, "", columns=Sight(self, column.name, number), left=left, in_data=True)
        frame.dims[BATCH] = BATCH
        frame.names["standardise"] = Native("standardise", self._standardise)
        frame.names["balanced"] = self.balanced
        return frame

    @property
    def balanced(self) -> Native:
        """`balanced(label)`: a weight for each row."""
        from dotnn.inputs.weigh import balance

        return balance(self)

    def _make(self, column: Column, number: int) -> Tensor:
        frame = self.frame(column, number)
        before = self._raw
        seen: list[ColumnOf] = []

        def raw(written: ColumnOf) -> Tensor:
            seen.append(written)
            return self._input(column, written, len(seen))

        self._raw = raw
        drawn, since = dict(self.machine.uses), len(self.machine.tape.nodes)
        self.making.append((column.name, number))
        try:
            made = self._evaluated(frame, column)
        finally:
            self._raw = before
            self.making.pop()
        if mixes_rows(self.machine.tape, since):
            why = "a column is made row by row, and this one looks at other rows too"
            way = "`standardise(x)` takes the mean and spread of all training rows; else compute it in the net"
            self.machine.fail(Misfit, column.value, USER, why=why, way=way)
        if self.machine.uses != drawn and not self.drawing:
            way = "draw in a layer, under `when training`: the table stays as it is"
            if self.block.generated:
                way = "give the draw a line of its own, and compute with its name here"
            self.machine.fail(NotYet, column, USER, what="a column that is drawn at random", way=way)
        with computing(frame, column):
            if not isinstance(made, Tensor | int | float):
                found = kind(made)
                way = f"give it what it works on: {found}(columns a to b)" if isinstance(made, Native) else ""
                self.machine.fail(NotThatKind, column.value, USER, wanted="a column", found=found, way=way)
            return self._formed(frame, column, self._of_rows(column, made))

    def _evaluated(self, frame: Frame, column: Column) -> Any:
        if self.block.running and (cut := windows.running(self, column)) is not None:
            return cut
        if column.indices is None and not column.binders:
            return evaluate(frame, column.value)
        if not self.block.generated:
            way = "an equation makes columns of generated rows (`source generate N`); of a table, compute in the net"
            self.machine.fail(NotYet, column, USER, what="a column of a table made by an equation", way=way)
        from dotnn.inputs.generate import equation

        return equation(frame, column, self)

    def _of_rows(self, column: Column, made: Any) -> Tensor:
        """What has no rows of its own is the same in every row."""
        value = tensor(self.machine.tape, made)
        if any(BATCH in names_in(dim) for dim in value.dims[1:]):
            why = f"each row would meet every other one: this has the dims {shape_text(value.dims)}"
            way = "give both sides as many dims for each row: normal(0, 1)[1, 8] beside a column of [1, 8]"
            self.machine.fail(Misfit, column.value, USER, why=why, way=way)
        if value.dims[:1] == (BATCH,):
            return value
        return Tensor(value.value.expand((BATCH, *value.dims)), (BATCH, *value.labels), value.bound)

    def _input(self, column: Column, written: ColumnOf, count: int) -> Tensor:
        """The graph's input for one mention of raw columns."""
        if self.block.generated:
            way = "the rows are generated, no table is read: draw it, as in `x = uniform(0, 1)`"
            self.machine.fail(OutOfPlace, written, USER, what=f"`column {written.first}`", way=way)
        names = self.block.table.resolve(written)
        form = column.type
        word = form.word if form else None
        if self.block.running:
            if form is None or word is None or word in FORMS:
                windows.not_cut(column)
            return windows.cut_text(self, column, form)
        is_bare = column.value == written or (isinstance(column.value, Name) and column.value.name == written.first)
        if word in ("class", "int") and not is_bare:
            raise NeedsBareColumn(span=column.value.span, form=str(word), name=column.name).error()
        name = column.name
        if count > 1 or name in self.raws:
            name = f"{column.name}.{written.first}"
        given = self.block.table.forms.get(names[0], Form("text"))
        dims = given.dims if written.last is None else (len(names),)
        classes = self.block.classes(names[0], written.span) if word == "class" else None
        bound = len(classes) if classes else None
        if form is not None and form.bound is not None:
            frame = Frame(self.machine, USER, "")
            size = types.size_of(frame, form.bound, "the bound of a type")
            bound = size if isinstance(size, int) else None
        tokens, is_open = None, False
        if form is not None and word is not None and word not in FORMS:
            if not is_bare:
                raise NeedsBareColumn(span=column.value.span, form=word, name=column.name).error()
            tokens = self.block.tokens(names[0], written.span, word, self.settings(form))
            dims, bound = (tokens.length,), len(tokens.pieces)
            is_open = self.block.by_length and not any(argument.name == "length" for argument in form.arguments)
        whole = word in ("class", "int") or tokens is not None
        few = SIZES.get(str(word)) if is_bare else None
        if few is not None:
            bound = few if bound is None else min(bound, few)
        # Pictures stay bytes until the graph has them: a quarter of the room, and of what a device is sent.
        dtype: Dtype = "i64" if whole else "u8" if given.dims and given.dtype == "uint8" else "f32"
        dtype = types.WORDS[str(word)] if few is not None else dtype
        raw = RawColumn(name=name, columns=names, dtype=dtype, dims=dims, classes=classes, bound=bound)
        if tokens is not None:
            raw = raw.model_copy(update={"tokens": tokens, "places": f"{column.name}_length" if is_open else None})
        kinds = {line.reader for line in self.block.data.sources}
        if kinds and kinds <= {"mail", "images"}:
            raw = raw.model_copy(update={"reader": kinds.pop()})
        return self.fed(column, raw, written.first, as_bytes=few is not None)

    def fed(self, column: Column, raw: RawColumn, first: str, as_bytes: bool = False) -> Tensor:
        """The graph's input for a raw column; ``first``: what the table calls it."""
        raw, tape = windows.placed(self, raw, first, column.span), self.machine.tape
        known, dtype, bound = self.raws.get(raw.name) == raw, raw.dtype, raw.bound
        self.raws[raw.name], self.spans[raw.name] = raw, column.span
        if raw.classes is not None or raw.tokens is not None:
            self.machine.texts[raw.name] = raw.classes or (raw.tokens.pieces if raw.tokens else ())
        with tape.at(self.machine.place(column.span, USER, raw.name)):
            there = known and (self.block.cut is not None or raw.later)
            type = Type(dtype=dtype, dims=(BATCH, *((raw.places,) if raw.places else raw.dims)))
            self.machine.longest |= {raw.places: raw.dims[0]} if raw.places else {}
            value = tape.values[raw.name] if there else tape.input(raw.name, type, "data")
            value = value.cast("f32") if dtype == "u8" and not as_bytes else value
        return Tensor(value, (BATCH, *(None for _ in raw.dims)), None if dtype == "bool" else bound)

    def settings(self, form: TypeText) -> dict[str, Setting]:
        """What a tokenizer is told: `vocab = 4_000`."""
        frame = Frame(self.machine, USER, "")
        given: dict[str, Setting] = {}
        for argument in form.arguments:
            value = evaluate(frame, argument.value)
            if argument.name is None or not isinstance(value, bool | int | float | str):
                way = f"write it with its name, as in {form.word}(vocab = 4_000, length = 32)"
                wanted = "a setting that is known before the net runs"
                self.machine.fail(NotThatKind, argument, USER, wanted=wanted, found=kind(value), way=way)
            given[argument.name] = value
        return given

    def _formed(self, frame: Frame, column: Column, made: Tensor) -> Tensor:
        """The column under the dims that `as [8, 8]` gives it."""
        form = column.type
        if form is not None and form.word in SIZES and not self.drawing and made.value.dtype != types.WORDS[form.word]:
            raise NeedsBareColumn(span=column.value.span, form=form.word, name=column.name).error()
        if form is None or form.dims is None:
            return made
        dims, labels = types.dims_of(frame, form)
        have, want = multiply(made.dims[1:]), multiply(dims)
        if have != want:
            why = f"`{column.name}` has {have} numbers a row, and {write_type(form)} holds {want}"
            way = f"give it dims that hold {have}, or {want} numbers a row"
            self.machine.fail(Misfit, column, USER, why=why, way=way)
        return Tensor(made.value.reshape((made.dims[0], *dims)), (made.labels[0], *labels), made.bound)

    def fitting(self, word: str) -> str:
        """Whose number is being fitted: `standardise:x#0`, the first in the column `x`."""
        here = self.making[-1] if self.making else ("", 0)
        path = f"{word}:{here[0]}" + "'" * here[1]
        count = self.fitted[path] = self.fitted.get(path, -1) + 1
        return f"{path}#{count}"

    def _standardise(self, x: Tensor) -> Tensor:
        """(x - mean) / spread, both of the training split, for each number of a row."""
        tape = self.machine.tape
        graph = only(tape.graph(), {"x": tensor(tape, x, "f32").value.name})
        means, spreads = self.fit.spread(self.fitting("standardise"), graph)
        dims = x.dims[2 if windows.per_step(self, x) else 1 :]
        mean = tape.add("array", values=means, dims=dims, dtype="f32")
        spread = tape.add("array", values=tuple(s or 1.0 for s in spreads), dims=dims, dtype="f32")
        return Tensor((x.value.cast("f32") - mean) / spread, x.labels)
