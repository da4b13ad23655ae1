"""Composed rows: each made of several rows of another block, drawn for it.

    data postcodes {
      source draw 20_000 of 5 from digits
      strip[y, place, x] = image[place, y, x]  for …
    }

Every column of `digits` is there with one more dim, the first after the row's own: `image` is [b, 5, 8, 8], `label` is
int[b, 5]. What else is drawn in the block is drawn as in `source generate`. The parts keep apart: a row of `train` is
made of training rows of `digits`, a row of `test` of its test rows. With n rows in a part, row r has at place k

    row floor(n * random(derive_key(seed), r, use = "draw#0")[k]) of that part             (ops/random.py)

so that more rows, other lines or another order of them change no draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.data import Dataset
from dotnn.data.generate import Drawer, drawn_rows
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import refuse_size
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import Tensor, kind
from dotnn.graph import Type
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import BATCH, Columns
from dotnn.inputs.fit import fitted_on, no_fit
from dotnn.inputs.generate import DrawnColumns, Generator
from dotnn.plugins import Arrays, Options, backend
from dotnn.program import RawColumn
from dotnn.simplify import only
from dotnn.spec import Column, ColumnOf, Data, SourceLine, Split
from dotnn.squares import derive_key, uniform24
from dotnn.tape import Tape
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Span

USE = "draw#0"
FED = "drawn "
"""How the inputs of the graph begin that hold rows of the other block."""
ROWS = 4096
"""Rows of the other block that are computed at once."""


class NoSuchPart(Problem):
    code = "D170"
    title = "`{base}` has no part `{part}` that its rows could be drawn from"
    label = "a part of composed rows is made of the same part of the other block"
    help = "{way}"
    base: str
    part: str
    way: str


class CannotStratify(Problem):
    code = "D171"
    title = "composed rows cannot be split by one of their columns"
    label = "which rows a row is made of follows from the part that it is in"
    help = "leave `stratify` away: the rows of `{base}` are split already"
    base: str


class NoSuchDrawn(Problem):
    code = "D172"
    title = "`{base}` has no column `{name}`"
    label = "rows are drawn from `{base}`"
    help = "{near}"
    base: str
    name: str
    near: str


@dataclass(frozen=True)
class ComposedDrawer(Drawer):
    """Draws with rows of the other block at hand. ``values``: of each part, every column of it that is asked for."""

    values: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    part_of: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """By row: the number of its part, -1 for a row that is in none."""
    each: int = 1

    def fed(self, rows: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """The drawn rows of the other block, ``[rows, each, …]``."""
        chance = uniform24(derive_key(self.seed), rows, (len(rows), self.each), USE).astype(np.float64)
        found: dict[str, npt.NDArray[Any]] = {}
        for number, columns in enumerate(self.values.values()):
            mine = self.part_of[rows] == number
            for name, array in columns.items():
                whole = found.setdefault(FED + name, np.zeros((len(rows), self.each, *array.shape[1:]), array.dtype))
                whole[mine] = array[np.floor(chance[mine] * len(array)).astype(np.int64)]
        return found


class ComposedColumns(DrawnColumns):
    """The columns of a composed block as they are drawn."""

    def __init__(self, block: DataBlock, base: DataBlock, each: int) -> None:
        super().__init__(block)
        self.base = base
        self.each = each
        machine = Machine(
            Tape("base"), "eval", Library(block.spec.definitions if block.spec else ()), dict(block.params)
        )
        self.original = Columns(machine, base, no_fit)
        """The other block's columns: their types are asked for here."""

    def _input(self, column: Column, written: ColumnOf, count: int) -> Tensor:
        name = written.first
        if name not in self.original or written.last is not None:
            near = perhaps(name, self.original, f"its columns are: {', '.join(self.original)}")
            raise NoSuchDrawn(span=written.span, base=self.base.data.name, name=name, near=near).error()
        one = self.original[name]
        dims, fed = (BATCH, self.each, *one.dims[1:]), FED + name
        tape = self.machine.tape
        value = tape.values.get(fed) or tape.input(fed, Type(dtype=one.value.dtype, dims=dims), "data")
        return Tensor(value, (BATCH, None, *one.labels[1:]), one.bound)


class Composer(Generator):
    """Makes the rows of a composed block."""

    columns: ComposedColumns

    def __init__(self, block: DataBlock) -> None:
        self.block = block
        self.line = next(line for line in block.data.sources if line.base is not None)
        self.base = DataBlock(self._data(str(self.line.base)), block.folder, block.spec, block.params)
        self.base.quick = block.quick
        self.scratch = Machine(
            Tape("scratch"), "predict", Library(block.spec.definitions if block.spec else ()), dict(block.params)
        )
        self.each = self._each(self.line)
        self.columns = ComposedColumns(block, self.base, self.each)

    def _data(self, name: str) -> Data:
        return next(data for data in (self.block.spec.data if self.block.spec else ()) if data.name == name)

    def _each(self, line: SourceLine) -> int:
        assert line.each is not None
        value = evaluate(Frame(self.scratch, USER, ""), line.each)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            found = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
            way = "say how many rows make one: source draw 20_000 of 5 from digits"
            self.scratch.fail(NotThatKind, line.each, USER, wanted="a number of rows above 0", found=found, way=way)
        refuse_size(Frame(self.scratch, USER, ""), line.each, value, "the number of rows")
        return value

    @cached_property
    def split(self) -> Split | None:
        """Its own, else that of the other block."""
        own = self.block.lineage.root.split
        if own is not None and own.stratify is not None:
            raise CannotStratify(span=own.span, base=self.base.data.name).error()
        return self.block.data.split

    def load(self, raws: Sequence[RawColumn], spans: Mapping[str, Span]) -> Dataset:
        """Every row. Raises ``ProblemError``."""
        self._room(raws)
        drawer = self.drawer(raws, spans)
        wanted = [fed.name.removeprefix(FED) for fed in drawer.graph.inputs if fed.name.startswith(FED)]
        loaded, values = self._values(wanted)
        root = self.block.lineage.root.model_copy(update={"split": self.split})
        count, _ = self.counts
        ready = ComposedDrawer(
            drawer.graph, drawer.columns, drawer.seed, values, self._parts(root, count, list(values)), self.each
        )
        made = drawn_rows(root, ready, (count, 0), lambda _: None)
        return replace(made, fingerprint=f"{made.fingerprint[:32]}{loaded.fingerprint[:32]}", skipped=loaded.skipped)

    def sample(self, raws: Sequence[RawColumn], spans: Mapping[str, Span]) -> None:
        """Looks at the first rows of the other block."""
        self._room(raws)
        self.drawer(raws, spans)
        self._parts_known()
        original = self.columns.original
        self.base.sample(original.raws, original.spans)

    def _parts_known(self) -> None:
        """Refuses a part that the other block has not. Raises D170."""
        from dotnn.claims.places import parts_of

        there = parts_of(self.base.data)
        mine = [share.name for share in self.split.shares] if self.split else ["train"]
        for part in mine:
            if part not in there:
                split = self.split
                way = f"give it a share there: the parts of `{self.base.data.name}` are {', '.join(there)}"
                span = split.span if split is not None else self.line.span
                raise NoSuchPart(span=span, base=self.base.data.name, part=part, way=way).error()

    def _parts(self, root: Data, count: int, names: list[str]) -> npt.NDArray[np.int64]:
        from dotnn.data.load import _places

        self._parts_known()
        part_of = np.full(count, -1, np.int64)
        for name, rows in _places(root, count, 0, None).items():
            part_of[rows] = names.index(name)
        return part_of

    def _values(self, wanted: Sequence[str]) -> tuple[Dataset, dict[str, dict[str, npt.NDArray[Any]]]]:
        """The other block's rows, and of each of its parts the columns that are asked for, as its lines make them."""
        machine = Machine(Tape("base"), "eval", self.scratch.library, dict(self.block.params))
        first = Columns(machine, self.base, no_fit)
        for name in wanted:
            first[name]
        loaded = self.base.load(first.raws, first.spans)
        machine = Machine(Tape("base"), "eval", self.scratch.library, dict(self.block.params))
        columns = Columns(machine, self.base, fitted_on(loaded))
        made = {name: columns[name].value.name for name in wanted}
        graph = only(machine.tape.graph(), made)
        runner, options = backend("reference"), Options()
        executor = runner.start(runner.lower(graph, options), options)
        found: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for part, rows in loaded.splits.items():
            pieces: list[Arrays] = []
            for start in range(0, rows.count, ROWS):
                feeds = {fed.name: rows.arrays[fed.name][start : start + ROWS] for fed in graph.inputs}
                pieces.append(executor.run(feeds))
            found[part] = {name: np.concatenate([piece[name] for piece in pieces]) for name in wanted}
        return loaded, found
