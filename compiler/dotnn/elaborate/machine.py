"""The machine that a net is built on: a tape, a phase, what owns weights, and the way back to the user's line."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from dotnn.elaborate.library import STD, Library
from dotnn.elaborate.problems import NoNumbers, TooManyCalls, TooManyDims, TooManyLayers, TooManyNumbers
from dotnn.elaborate.values import Instance, Known, Shape, Tensor
from dotnn.graph import At, Dim, Type
from dotnn.operation import shape_text
from dotnn.spec import Cell as State
from dotnn.spec import Definition, Part, Weight
from dotnn.tape import Tape, Value
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Note, Problem
from dotnn_grammar.source import Span

PhaseName = Literal["train", "eval", "predict", "init"]

ELSEWHERE = {
    "standardise": "it belongs into `data`, whose training rows it is fitted on: x = standardise(columns a to b)",
    "reshape": "`unfold([h = 8, w = 8])` makes several dims of one, `fold([h, w])` one of several",
    "detach": "`stop(x)` keeps the gradient from passing",
    "loss": "only a metric and a claim see the loss: give its expression a name on a line above, and use that here",
    "ahead": "what follows a window is a column of its own: coming = ahead(x), in the `data` block",
}


AVERAGE = ":average"
"""After the path of a weight: the state that is its moving average."""


@dataclass(frozen=True)
class Call:
    """One call on the way to what is being built: where it is written, in whose text, and what it calls."""

    span: Span
    scope: str
    known: Known | None


@dataclass(frozen=True)
class Cell:
    """A weight or state: its sizes, and where it is written."""

    dims: tuple[Dim, ...]
    learned: bool
    span: Span
    """In the user's text."""


@dataclass
class Machine:
    """What is shared by everything that is built into one graph."""

    tape: Tape
    phase: PhaseName
    library: Library
    params: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    """How the files' names begin; left out of the graph, so that it is the same wherever the spec lies."""
    instances: dict[str, Instance] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    """What is learned, by path, in the order in which the net names it."""
    successors: dict[str, Tensor] = field(default_factory=dict)
    """By the path of a state: the value that it has after this step."""
    longest: dict[str, int] = field(default_factory=dict)
    """By the name of a size that each batch decides: the most that it can be."""
    calls: list[Call] = field(default_factory=list)
    counter: str = "step"
    """The state that counts the updates."""
    turn: str = ""
    """In a step of a train block: its name. What it draws is its own."""
    averaged: Container[str] = ()
    """Weights in whose place their moving average is read, outside of training."""
    batches: str = "step"
    """The state that counts the batches, each of which draws its own random numbers: not the updates, where several
    make one."""
    noise: tuple[Value, Value] | None = None
    """Key and step of the generator, once something random is used."""
    rows: Value | None = None
    """Where rows are generated: their numbers, i64[b], by which each is drawn by itself."""
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By the input of a column of texts: what its numbers stand for."""
    uses: dict[str, int] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)
    """Every weight and state, by path."""
    scans: list[Any] = field(default_factory=list)
    """The scans whose bodies are being built, outermost first."""
    scanned: int = 0
    """How many scans there were."""
    turns: int = 1
    """How often the line being built is written out by the repeats around it."""
    elsewhere: dict[str, str] = field(default_factory=lambda: dict(ELSEWHERE))
    """Where a word belongs that means nothing here."""
    lines: int = 0
    """Lines built so far."""
    numbers: int = 0
    """In the weights and states so far."""
    named: dict[str, Tensor] = field(default_factory=dict)
    """Every tensor with a name, by its path; where a name stood for several, the last."""
    forecast: Callable[[Definition], int] | None = None
    """Tells how many lines a definition of the user's will take at least."""

    @property
    def training(self) -> bool:
        return self.phase in ("train", "init")

    # ---- places

    def place(self, span: Span, scope: str, path: str) -> At:
        """The user's words that ``span`` belongs to."""
        mine = self.users_span(span, scope)
        return At(
            file=mine.file.removeprefix(self.folder),
            line=mine.line,
            column=mine.column,
            end_line=mine.end_line,
            end_column=mine.end_column,
            part=path,
        )

    def users_span(self, span: Span, scope: str) -> Span:
        """``span`` itself in the user's text; the innermost call of the user's that led to it in the library's."""
        if scope != STD or not span.file.startswith(f"{STD}/"):
            return span
        return next((call.span for call in reversed(self.calls) if call.scope != STD), span)

    def fail(self, problem: type[Problem], part: Part | Span, scope: str, **facts: Any) -> NoReturn:
        """Raises the problem at the user's line, with a note where the library's text is the place."""
        span = part.span if isinstance(part, Part) else part
        mine = self.users_span(span, scope)
        notes = [] if mine is span else [Note(span=span, text="in the standard library, which is used here")]
        raise problem(span=mine, notes=(*facts.pop("notes", ()), *notes), **facts).error()

    @contextmanager
    def calling(self, call: Call) -> Iterator[None]:
        deepest = limits().calls
        if len(self.calls) >= deepest:
            self.fail(
                TooManyCalls,
                call.span,
                call.scope,
                what="definitions inside definitions",
                count=str(deepest + 1),
                limit=str(deepest),
            )
        self.calls.append(call)
        try:
            yield
        finally:
            self.calls.pop()

    def within(self, known: Known) -> bool:
        """Whether this definition is being built already."""
        return any(c.known and (c.known.name, c.known.scope) == (known.name, known.scope) for c in self.calls)

    def remember(self, path: str, value: Any) -> None:
        """Keeps a tensor of this graph by its path, for whoever asks for it later."""
        if isinstance(value, Tensor) and value.value.tape is self.tape:
            self.named[path] = value

    # ---- what owns weights

    def instance(self, path: str, part: Part, scope: str) -> Instance:
        if path not in self.instances:
            most = limits().layers
            if len(self.instances) >= most:
                count = f"{len(self.instances) + 1:,}"
                self.fail(TooManyLayers, part, scope, what="layers", count=count, limit=f"{most:,}")
            self.instances[path] = Instance(path)
        return self.instances[path]

    def cell(self, path: str, shape: Shape, written: Weight | State, scope: str, start: Callable[[], Value]) -> Tensor:
        """A weight or state: an input of the graph, or in the phase `init` its first value, which ``start`` gives."""
        dims, learned = shape.dims, isinstance(written, Weight)
        self._room(path, dims, written, scope)
        self.cells[path] = Cell(dims, learned, self.users_span(written.span, scope))
        if self.phase == "init":
            scans, self.scans = self.scans, []  # one for all steps
            value = start().cast("f32").expand(dims)
            self.scans = scans
            self.tape.output(path, value, "state")
        else:
            name = path + AVERAGE if not self.training and path in self.averaged else path
            value = self.tape.input(name, Type(dtype="f32", dims=dims), "state", learned=learned)
        made = Tensor(value, shape.labels)
        if learned:
            self.weights[path] = made
        return made

    def _room(self, path: str, dims: tuple[Dim, ...], part: Part, scope: str) -> None:
        rank = limits().rank
        if len(dims) > rank:
            self.fail(TooManyDims, part, scope, what=f"dims of `{path}`", count=str(len(dims)), limit=str(rank))
        size = math.prod(int(d) for d in dims)
        if size == 0:
            self.fail(NoNumbers, part, scope, name=path, dims=shape_text(dims))
        self.numbers += size
        most = limits().numbers
        if self.numbers > most:
            size_text = f"{4 * self.numbers / 1e9:,.0f} GB, with `{path}` of {shape_text(dims)}"
            what = f"numbers in weights and states ({size_text})"
            self.fail(TooManyNumbers, part, scope, what=what, count=f"{self.numbers:,}", limit=f"{most:,}")

    def random(self, dims: tuple[Dim, ...], path: str, bits: int) -> Value:
        """Uniform numbers in [0, 1) that no other place draws."""
        noise = self._generator()
        if self.rows is not None and dims[:1] == self.rows.dims:
            noise = (noise[0], self.rows)
        number = self.uses[path] = self.uses.get(path, -1) + 1
        use = f"{path}#{number}" if not self.turn or self.phase == "init" else f"{self.turn}:{path}#{number}"
        dims = (*(site.length for site in self.scans), *dims)  # each step of a scan has its own
        drawn = self.tape.add("random", *noise, dims=dims, use=use, bits=bits)
        for site in self.scans:
            drawn = site.part(drawn, 0)
        return drawn

    def _generator(self) -> tuple[Value, Value]:
        if self.noise is None:
            if self.phase == "init":
                seed = self.tape.input("seed", Type(dtype="i64"), "seed")
                self.noise = (self.tape.add("derive_key", seed), self.tape.literal(0, "i64"))
            else:
                key = self.tape.input("key", Type(dtype="u64"), "state")
                self.noise = (key, self.clock(self.batches))
        return self.noise

    def give_key(self) -> None:
        """In the phase `init`: the generator's key is a state."""
        self.tape.output("key", self._generator()[0], "state")

    def clock(self, counter: str | None = None) -> Value:
        """How many steps have been made: an input of the train graph."""
        counter = counter or self.counter
        return self.tape.values.get(counter) or self.tape.input(counter, Type(dtype="i64"), "state")
