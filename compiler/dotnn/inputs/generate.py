"""Generated rows: the columns of `source generate N` as a graph of their own, from which the host draws them.

    source generate 20_000
    reach  = uniform(0.3, 2.7)
    angle  = uniform(-pi, pi)
    target = [reach * cos(angle), reach * sin(angle)]

A draw is one a row. What it is depends on the block's seed, on the column and on the row's number, and on nothing else:
more rows, another column, another order of the lines, another split change no number. With row r for the step,

    number j of use n of column c = random(derive_key(seed), r, use = "c#n")[j]        (ops/random.py)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.data import Dataset
from dotnn.data.generate import SAMPLE, Drawer, Drawn, drawn_rows, stratum
from dotnn.data.load import CannotStratify
from dotnn.elaborate import types
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.calls import shaped
from dotnn.elaborate.evaluate import block as statements
from dotnn.elaborate.evaluate import evaluate, notice
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import refuse_size
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import NotThatKind, TooManyNumbers
from dotnn.elaborate.values import Bound, Label, Shape, Tensor, kind
from dotnn.graph import Type
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import BATCH, SIZES, Columns
from dotnn.inputs.fit import no_fit
from dotnn.inputs.lineage import wording_of
from dotnn.program import RawColumn
from dotnn.simplify import only
from dotnn.spec import Assign, Column, Expression, Index, Name, SourceLine, Target, TypeText
from dotnn.tape import Tape
from dotnn.words import names_in
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span


class NotAForm(Problem):
    code = "B113"
    title = "a generated column cannot be read as `{word}`"
    label = "it is made of numbers"
    help = "{way}"
    word: str
    way: str


class DrawnColumns(Columns):
    """The columns of a block as they are drawn, on a tape of their own."""

    drawing = True

    def __init__(self, block: DataBlock) -> None:
        definitions = block.spec.definitions if block.spec else ()
        file = block.spec.file if block.spec else ""
        folder = f"{file.rpartition('/')[0]}/" if "/" in file else ""
        machine = Machine(Tape("generate"), "predict", Library(definitions), dict(block.params), folder)
        key = machine.tape.input("key", Type(dtype="u64"), "seed")
        machine.noise = (key, machine.tape.literal(0, "i64"))
        machine.rows = machine.tape.input("row", Type(dtype="i64", dims=(BATCH,)), "data")
        super().__init__(machine, block, no_fit)
        self.real: dict[str, tuple[Tensor, int | None]] = {}
        """By the wording of a column: the numbers that it must find whole, and below what."""

    def frame(self, column: Column, number: int) -> Frame:
        frame = super().frame(column, number)
        frame.draw = one_a_row
        return frame

    def _formed(self, frame: Frame, column: Column, made: Tensor) -> Tensor:
        made = super()._formed(frame, column, made)
        form = column.type
        word = form.word if form else None
        if form is None or word is None:
            return made
        if word == "class":
            way = "a class is a text of a table; count its kinds: `as int < 3`"
            self.machine.fail(NotAForm, form, USER, word=word, way=way)
        size = SIZES.get(word)
        written = self._bound(form)
        bound = min(b for b in (size, written) if b is not None) if size or written else None
        have = 2 if made.value.dtype == "bool" else made.bound
        whole = tensor(self.machine.tape, made, types.WORDS[word])
        if made.value.type.is_float or (bound is not None and (have is None or have > bound)):
            self.real[frame.left] = (made, bound)
        return Tensor(whole.value, whole.labels, None if word == "bool" else bound)

    def _bound(self, form: TypeText) -> int | None:
        if form.bound is None:
            return None
        size = types.size_of(Frame(self.machine, USER, ""), form.bound, "the bound of a type")
        return size if isinstance(size, int) else None


def one_a_row(frame: Frame, value: Any, expression: Expression) -> Any:
    """A distribution that was given no shape is drawn once for each row."""
    if not isinstance(value, Bound) or value.known.definition.word != "function":
        return value
    if "shape" not in (p.name for p in value.known.definition.inputs):
        return value
    return notice(frame, expression, shaped(frame, value, Shape((BATCH,), (BATCH,)), expression))


def equation(frame: Frame, column: Column, columns: Columns) -> Any:
    """`spot[y, x] = exp(-((x - cx)^2 + …)) for y in 0..32, x in 0..32`: for each row by itself.

    The rows are one more dim of everything that has them: `cx` means `cx[b]`, and `spot[y, x]` means `spot[b, y, x]`.
    """
    indices = column.indices or ()
    sight, local = frame.columns, {*indices, *(binder.name for binder in column.binders)}
    mentioned = [n for n in names_in(column.value) if n in columns and n not in local]
    value = _by_row(column.value, {*mentioned}) if mentioned else column.value
    target = Target(span=column.span, name=column.name, indices=((BATCH,) if mentioned else ()) + indices)
    for name in mentioned:
        frame.names[name] = sight[name]
    assign = Assign(span=column.span, targets=(target,), values=(value,), binders=column.binders)
    statements(frame, (assign,))
    return frame.names.pop(column.name)


def _by_row(part: Any, names: set[str]) -> Any:
    """The expression with the row written before the subscripts of these names."""
    if isinstance(part, Name) and part.name in names:
        return Index(span=part.span, value=part, items=(Name(span=part.span, name=BATCH),))
    if isinstance(part, Index) and isinstance(part.value, Name) and part.value.name in names:
        items = tuple(_by_row(item, names) for item in part.items)
        return part.model_copy(update={"items": (Name(span=part.span, name=BATCH), *items)})
    if isinstance(part, tuple):
        return tuple(_by_row(each, names) for each in part)
    if not hasattr(type(part), "model_fields"):
        return part
    fields = {name: getattr(part, name) for name in type(part).model_fields}
    return part.model_copy(update={name: _by_row(value, names) for name, value in fields.items()})


class Generator:
    """Draws the rows of a block. One for each block; its graph is made once."""

    def __init__(self, block: DataBlock) -> None:
        self.block = block
        self.columns = DrawnColumns(block)

    # ---- what is drawn

    def labels(self, name: str, number: int) -> tuple[Label, ...]:
        return self.columns.at(name, number).labels[1:]

    def raw(self, name: str, number: int) -> RawColumn:
        """The input that a host feeds for this column."""
        made = self.columns.at(name, number)
        dims = tuple(int(d) for d in made.dims[1:])
        return RawColumn(name=name, columns=_titles(name, dims), dtype=made.value.dtype, dims=dims, bound=made.bound)

    # ---- rows

    def count(self, line: SourceLine) -> int:
        """How many rows the line asks for. Raises ``ProblemError``."""
        assert line.count is not None
        frame = Frame(self.columns.machine, USER, "")
        value = evaluate(frame, line.count)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            found = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
            way = "say how many rows to make: source generate 20_000"
            frame.fail(NotThatKind, line.count, wanted="a number of rows above 0", found=found, way=way)
        refuse_size(frame, line.count, value, "the number of rows")
        return value

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Rows of `source` and of `test`."""
        both = {"source": 0, "test": 0}
        for line in self.block.data.sources:
            both[line.role] += self.count(line)
        return both["source"], both["test"]

    def load(self, raws: Sequence[RawColumn], spans: Mapping[str, Span]) -> Dataset:
        """Every row. Raises ``ProblemError``."""
        self._room(raws)
        return drawn_rows(self.block.lineage.root, self.drawer(raws, spans), self.counts, self._groups)

    def sample(self, raws: Sequence[RawColumn], spans: Mapping[str, Span]) -> None:
        """Draws the first rows, looks at them and lets them go."""
        self._room(raws)
        self.drawer(raws, spans).draw(0, min(sum(self.counts), SAMPLE))

    def _room(self, raws: Sequence[RawColumn]) -> None:
        """Refuses more numbers than any machine holds, before the first is drawn."""
        size, most = sum(math.prod(raw.dims) for raw in raws) * sum(self.counts), limits().numbers
        if size > most:
            taken = f", which take {4 * size // 10**9:,} GB" if size > 10**9 else ""
            what, line = f"numbers in these rows{taken}", self.block.data.sources[0]
            facts = {"what": what, "count": f"{size:,}", "limit": f"{most:,}"}
            self.columns.machine.fail(TooManyNumbers, line, USER, **facts)

    def drawer(self, raws: Sequence[RawColumn], spans: Mapping[str, Span]) -> Drawer:
        """What draws these columns."""
        values: dict[str, str] = {}
        columns: list[Drawn] = []
        for raw in raws:
            number = self._fed(raw.name)
            made = self.columns.at(raw.name, number)
            wording = wording_of(raw.name, number)
            real, bound = self.columns.real.get(wording, (made, None))
            values[raw.name] = real.value.name
            columns.append(Drawn(raw, spans.get(raw.name), wording in self.columns.real, bound))
        whole = self.columns.machine.tape.graph()
        graph = only(whole, values).model_copy(update={"inputs": whole.inputs})  # `row` says how many there are
        return Drawer(graph, tuple(columns), self.block.data.seed)

    def _fed(self, name: str) -> int:
        """The wording of a column that is fed: the last that nothing fitted is part of."""
        lineage = self.block.lineage
        numbers = range(len(lineage.wordings[name]) - 1, -1, -1)
        return next(n for n in numbers if not lineage.fitted(name, n))

    def _groups(self, count: int) -> npt.NDArray[Any] | None:
        """By what the split evens out: a column of the block that the rows come from, so that the split stays."""
        root = self.block.lineage.root
        split = root.split
        if split is None or split.stratify is None:
            return None
        if split.stratify not in self.block.columns:
            why = "no line of this data makes a column of that name"
            raise CannotStratify(span=split.span, name=split.stratify, why=why).error()
        own = (
            self if root.name == self.block.data.name else Generator(DataBlock(root, self.block.folder, *self._rest()))
        )
        raw = own.raw(split.stratify, 0)
        drawer = own.drawer([raw], {})
        return np.asarray(stratum(split, drawer.draw(0, count)[raw.name]))

    def _rest(self) -> tuple[Any, Any]:
        return self.block.spec, self.block.params


def _titles(name: str, dims: tuple[int, ...]) -> tuple[str, ...]:
    """What the numbers of a column are called in a table: `target[0]`, `target[1]`."""
    if not dims or math.prod(dims) > limits().columns:
        return (name,)
    return tuple(f"{name}[{','.join(str(i) for i in place)}]" for place in np.ndindex(*dims))
