"""The columns of a `data` block: what a host feeds, and how the graph makes of it what the spec names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from dotnn.data import SourceTable, find_classes, open_source
from dotnn.elaborate import types
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import NotThatKind, NotYet, UsesItself
from dotnn.elaborate.values import Native, Tensor, kind, plain
from dotnn.graph import Graph, Type, multiply
from dotnn.operation import MisfitError
from dotnn.program import RawColumn
from dotnn.simplify import only
from dotnn.spec import Column, ColumnOf, Data
from dotnn.write import write_type
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span

BATCH = "b"
"""The name of the batch's size."""

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and spread of each number of a column."""

Fit = Callable[[Graph], Statistics]
"""Computes the output `x` of a graph over the training split, and gives its mean and spread over the rows."""


class NeedsBareColumn(Problem):
    code = "B030"
    title = "`as {form}` goes with a column as it is"
    label = "this computes with it"
    help = "write `{name} = column NAME as {form}`, and compute with `{name}` elsewhere"
    form: str
    name: str


class DataBlock:
    """One `data` block: its table and what is known of it without reading all of it."""

    def __init__(self, data: Data, folder: Path) -> None:
        self.data = data
        self.folder = folder
        self.table: SourceTable = open_source(data, folder)
        self.columns = {column.name: column for column in data.columns}
        self._classes: dict[tuple[str, Span], tuple[str, ...]] = {}

    def classes(self, name: str, span: Span) -> tuple[str, ...]:
        """The texts of an `as class` column, in order."""
        if (name, span) not in self._classes:
            self._classes[name, span] = find_classes(self.data, name, span, self.folder)
        return self._classes[name, span]


class Columns:
    """The columns of a block as tensors of one graph, made when they are first asked for."""

    def __init__(self, machine: Machine, block: DataBlock, fit: Fit) -> None:
        self.machine = machine
        self.block = block
        self.fit = fit
        self.raws: dict[str, RawColumn] = {}
        self.spans: dict[str, Span] = {}
        self.made: dict[str, Tensor] = {}
        self._raw: Callable[[ColumnOf], Tensor] | None = None
        self._making: list[str] = []

    @property
    def raw(self) -> Callable[[ColumnOf], Tensor] | None:
        """Inside a column's own line: what `column NAME` gives."""
        return self._raw

    def __contains__(self, name: str) -> bool:
        return name in self.block.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.block.columns)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.made:
            self.made[name] = self._make(self.block.columns[name])
        return self.made[name]

    def _make(self, column: Column) -> Tensor:
        frame = Frame(self.machine, USER, "", columns=self, left=column.name, in_data=True)
        frame.dims[BATCH] = BATCH
        if column.name in self._making:
            self.machine.fail(UsesItself, column, USER, name=column.name)
        frame.names["standardise"] = Native("standardise", self._standardise)
        before = self._raw
        seen: list[ColumnOf] = []

        def raw(written: ColumnOf) -> Tensor:
            seen.append(written)
            return self._input(column, written, len(seen))

        self._raw = raw
        drawn = dict(self.machine.uses)
        self._making.append(column.name)
        try:
            made = evaluate(frame, column.value)
        finally:
            self._raw = before
            self._making.pop()
        if self.machine.uses != drawn:
            way = "draw in a layer, under `when training`: the table stays as it is"
            self.machine.fail(NotYet, column, USER, what="a column that is drawn at random", way=way)
        with computing(frame, column):
            if not isinstance(made, Tensor | int | float):
                found = kind(made)
                way = f"give it what it works on: {found}(columns a to b)" if isinstance(made, Native) else ""
                self.machine.fail(NotThatKind, column.value, USER, wanted="a column", found=found, way=way)
            if not isinstance(made, Tensor):
                made = plain(tensor(self.machine.tape, made).value.expand((BATCH,)))
            return self._formed(frame, column, made)

    def _input(self, column: Column, written: ColumnOf, count: int) -> Tensor:
        """The graph's input for one mention of raw columns."""
        names = self.block.table.resolve(written)
        form = column.type
        word = form.word if form else None
        bare = column.value is written or column.value == written
        if word in ("class", "int") and not bare:
            text = "class" if word == "class" else "int"
            raise NeedsBareColumn(span=column.value.span, form=text, name=column.name).error()
        name = column.name if count == 1 else f"{column.name}.{written.first}"
        dims = () if written.last is None else (len(names),)
        classes = self.block.classes(names[0], written.span) if word == "class" else None
        bound = len(classes) if classes else None
        if form is not None and form.bound is not None:
            frame = Frame(self.machine, USER, "")
            size = types.size_of(frame, form.bound, "the bound of a type")
            bound = size if isinstance(size, int) else None
        whole = word in ("class", "int")
        self.raws[name] = RawColumn(
            name=name, columns=names, dtype="i64" if whole else "f32", dims=dims, classes=classes, bound=bound
        )
        self.spans[name] = column.span
        with self.machine.tape.at(self.machine.place(column.span, USER, name)):
            value = self.machine.tape.input(name, Type(dtype="i64" if whole else "f32", dims=(BATCH, *dims)), "data")
        return Tensor(value, (BATCH, *(None for _ in dims)), bound)

    def _formed(self, frame: Frame, column: Column, made: Tensor) -> Tensor:
        """The column under the dims that `as [8, 8]` gives it."""
        form = column.type
        if form is None or form.dims is None:
            return made
        dims, labels = types.dims_of(frame, form)
        if multiply(dims) != multiply(made.dims[1:]):
            have, want = multiply(made.dims[1:]), multiply(dims)
            raise MisfitError(f"`{column.name}` has {have} numbers a row, and {write_type(form)} holds {want}")
        return Tensor(made.value.reshape((made.dims[0], *dims)), (made.labels[0], *labels), made.bound)

    def _standardise(self, x: Tensor) -> Tensor:
        """(x - mean) / spread, both of the training split, for each number of a row."""
        tape = self.machine.tape
        graph = only(tape.graph(), {"x": tensor(tape, x, "f32").value.name})
        means, spreads = self.fit(graph)
        dims = x.dims[1:]
        mean = tape.add("array", values=means, dims=dims, dtype="f32")
        spread = tape.add("array", values=tuple(s or 1.0 for s in spreads), dims=dims, dtype="f32")
        return Tensor((x.value.cast("f32") - mean) / spread, x.labels)


def no_fit(graph: Graph) -> Statistics:
    """Stands in for what is fitted on data where only types matter: mean 0, spread 1."""
    dims = graph.types()[graph.output("x").value].dims[1:]
    size = multiply(dims)
    assert isinstance(size, int)
    return (0.0,) * size, (1.0,) * size
