"""What each part of a spec's text stands for: found by building the net once, with somebody watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from dotnn.build import Builder
from dotnn.data import Form, SourceTable
from dotnn.elaborate.evaluate import WATCH
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.values import Bound, Size, Tensor
from dotnn.inputs.augment import Augmented
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import no_fit
from dotnn.overrides import settled
from dotnn.plan import choose
from dotnn.program import Figure, Program, RawColumn, Tokens
from dotnn.read.data import GENERATE, TABLE
from dotnn.read.draw import DRAW
from dotnn.read.text import read_text
from dotnn.spec import Call, ColumnOf, Data, Definition, Name, Part, Spec, Stage, Train
from dotnn.tape import Tape
from dotnn.update import slots
from dotnn.updates.turns import Turn, still, turns_of
from dotnn_grammar.source import Source


@dataclass(frozen=True)
class Fact:
    """One value that a part of the text stood for, and where."""

    frame: Frame
    turns: str
    value: Any
    training: bool


@dataclass(frozen=True)
class Altered:
    """The columns as training sees them, where `augment` lines alter some."""

    columns: Augmented


@dataclass
class Trace:
    """Everything that was seen."""

    spec: Spec
    train: Train
    data: Data
    program: Program
    facts: dict[int, list[Fact]] = field(default_factory=dict)
    """By the identity of the part."""
    frames: dict[int, dict[str, Frame]] = field(default_factory=dict)
    """By the identity of a definition: of each path where it was built a frame."""
    settings: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By the identity of a definition and the path: the settings that it had there."""
    columns: tuple[str, ...] = ()
    """Those of the data block that are read."""
    weights: tuple[str, ...] = ()
    """The paths of all, those too that are held."""
    stored: frozenset[str] = frozenset()
    """The columns that lie in the files as they are."""
    results: tuple[str, ...] = ()
    """What the net's results are called."""
    builder: Any = None
    drawn: tuple[str, ...] = ()
    """The places that draw random numbers while training."""
    outside: tuple[str, ...] = ()
    """The places that draw where what is measured is measured outside of training."""
    remembers: bool = False
    """Whether there is memory that is not learned by gradient."""
    altered: Altered | None = None
    altering: tuple[str, ...] = ()
    """The columns that altered ones are made of, as they lie in the files."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Its objectives, in the order in which they take turns; one without a name where there are no steps."""
        return turns_of(self.train)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Those that are measured with every batch."""
        return tuple(figure for figure in self.program.figures if figure.apart is None)

    _watched: dict[int, Part] = field(default_factory=dict)
    """Keeps what was seen alive, so that an identity stays its own."""

    def of(self, part: Part) -> list[Fact]:
        return self.facts.get(id(part), [])

    def values(self, part: Part) -> list[Any]:
        return [fact.value for fact in self.of(part)]

    def bound(self, part: Part) -> list[Fact]:
        """The instances that a part of the text made."""
        return [f for f in self.of(part) if isinstance(f.value, Bound) and f.value.instance is not None]

    def paths(self, definition: Definition) -> list[str]:
        return list(self.frames.get(id(definition), {}))

    def passed(self, definition: Definition) -> set[str]:
        """The inputs of a function that some place gives it; all of them where it is handed on as a value."""
        inputs = [p.name for p in definition.inputs]
        given: set[str] = set()
        called: set[int] = set()
        names: dict[int, str] = {}
        for part in self._watched.values():
            written, flow = (part.call, 1) if isinstance(part, Stage) else (part, 0)
            if isinstance(part, Name) and definition.name == part.name:
                names[id(part)] = part.name
            elif isinstance(part, Stage) and isinstance(written, Name):
                called.add(id(written))
                given |= set(inputs[:1]) if written.name == definition.name else set()
            if isinstance(written, Call) and isinstance(written.function, Name):
                called.add(id(written.function))
                if written.function.name == definition.name:
                    given |= {a.name for a in written.arguments if a.name}
                    given |= set(inputs[: flow + sum(not a.name for a in written.arguments)])
        return given if set(names) <= called else set(inputs)

    def watch(self, frame: Frame, part: Part, value: Any) -> None:
        self._watched[id(part)] = part
        self.facts.setdefault(id(part), []).append(Fact(frame, frame.turns, value, frame.machine.training))
        # Defaults are worked out in a frame without an instance, before there is one.
        if frame.known is not None and (frame.instance is not None or frame.known.definition.word == "function"):
            path = frame.instance.path if frame.instance else frame.path
            seen = self.frames.setdefault(id(frame.known.definition), {})
            if path not in seen or not seen[path].dims:  # one for a function's defaults knows no dims yet
                seen[path] = frame
        if isinstance(value, Bound) and value.instance is not None:
            self.settings.setdefault(id(value.known.definition), {})[value.instance.path] = dict(value.settings)


class _Table:
    """Answers for a table that is not here, by what the program knows of its columns."""

    def __init__(self, inputs: tuple[RawColumn, ...], bare: bool) -> None:
        self.inputs = inputs
        single = (r for r in inputs if bare and len(r.columns) == 1)
        self.forms = {r.columns[0]: Form("uint8" if r.dtype == "u8" else "float32", r.dims) for r in single}
        self.arrays = self.forms

    def find(self, first: str, last: str | None) -> RawColumn:
        fits = [r for r in self.inputs if r.columns[0] == first and (last is None or r.columns[-1] == last)]
        wide = {r.name: bool(r.dims[0 if r.steps is None else 1 :]) for r in fits}
        return next(r for r in fits if wide[r.name] == (last is not None) or first in self.arrays or r.tokens)

    def resolve(self, written: ColumnOf) -> tuple[str, ...]:
        return self.find(written.first, written.last).columns


class _Composed:
    """Answers for composed rows, by what the program knows of their columns."""

    def __init__(self, inputs: tuple[RawColumn, ...]) -> None:
        self.inputs = {raw.name: raw for raw in inputs}

    def raw(self, name: str, number: int) -> RawColumn:
        return self.inputs[name]

    def labels(self, name: str, number: int) -> tuple[None, ...]:
        return (None,) * len(self.inputs[name].dims)


class _Block(DataBlock):
    """A data block whose table is not here."""

    def __init__(self, spec: Spec, data: Data, program: Program) -> None:
        self.inputs = program.inputs
        bare = any(line.reader not in (TABLE, GENERATE, DRAW) for line in data.sources)
        self.table = cast(SourceTable, _Table(program.inputs, bare))  # in the place of the one that would be opened
        super().__init__(data, Path(), spec, program.params)
        if any(line.base is not None for line in self.data.sources):
            self.generator = _Composed(program.inputs)  # in the place of the one that would read the other block's rows

    def tokens(self, name: str, span: Any, word: str, settings: Any) -> Tokens:
        return next(r.tokens for r in self.inputs if r.tokens and r.columns == (name,))

    def classes(self, name: str, span: Any) -> tuple[str, ...]:
        return next(r.classes for r in self.inputs if r.classes and r.columns == (name,))


@contextmanager
def watching(watch: Callable[[Frame, Part, Any], None]) -> Iterator[None]:
    token = WATCH.set(watch)
    try:
        yield
    finally:
        WATCH.reset(token)


def trace(program: Program, source: str) -> Trace:
    """The program's spec, built again while watched. Raises ``ProblemError``."""
    spec = settled(read_text(Source(name=program.spec, text=source)), program.settings).spec
    train = choose(spec.trains, program.name, "train block", None, spec.file)
    data = choose(spec.data, train.data, "data block", train, spec.file)
    block = _Block(spec, data, program)
    found = Trace(spec, train, block.data, program)
    found.builder = builder = Builder(spec, train, block, dict(program.params), no_fit)
    with np.errstate(all="ignore"), watching(found.watch):
        init = builder.init()
        found.remembers = any(not cell.learned for cell in init.machine.cells.values())
        paths = set(init.machine.weights)
        slots(init.machine, [(turn, paths - still(turn, paths) if turn.name else paths) for turn in builder.turns])
        evaluation = builder.evaluation()
    found.weights = tuple(init.machine.weights)
    firsts = tuple(f"{path}" for path in found.weights)
    found.drawn = tuple(path for path in init.machine.uses if not path.startswith(firsts))
    found.outside = tuple(evaluation.machine.uses)
    made = {*init.columns.made, *evaluation.columns.made}
    found.stored = frozenset(
        name
        for columns in (init.columns, evaluation.columns)
        for name, tensor in columns.made.items()
        if name in columns.raws and tensor.value.name == name
    )
    found.columns = tuple(name for name in block.columns if name in made)
    found.results = tuple(evaluation.outputs)
    if block.data.augments:
        _alter(found)
    return found


def _alter(found: Trace) -> None:
    """The columns once more, as training sees them."""
    builder, block = found.builder, found.builder.block
    machine = Machine(Tape("train"), "train", builder.library, {**block.constants, **builder.params})
    columns = Augmented(machine, block, no_fit)
    with np.errstate(all="ignore"), watching(found.watch):
        for name in found.columns:
            columns[name]
    found.altered = Altered(columns)
    found.altering = tuple(name for name in block.columns if name in columns.made)
    found.stored |= {name for name in found.altering if columns.made[name].value.name == name}


# ---- what values have in common


def is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) and not is_clock(value)


def is_clock(value: Any) -> bool:
    """A single number in double precision, computed from `step`: a plain number of Python."""
    return isinstance(value, Tensor) and value.value.dtype == "f64" and value.rank == 0


def is_number(value: Any) -> bool:
    return is_clock(value) or isinstance(value, bool | int | float | Size)
