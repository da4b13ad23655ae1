"""A `try:` line above a function or a layer, made into graphs: what it computes, and its gradients, in each phase.

What is tried is a net of one line, `net Tried(GIVEN) { return EXPRESSION }`. Its result is multiplied by drawn numbers
(`mix`) and summed; the gradients are that sum's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any, Literal

import numpy as np

from dotnn.arrays import Array
from dotnn.differentiate import gradients
from dotnn.elaborate.calls import run
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine, PhaseName
from dotnn.elaborate.values import Known, Tensor
from dotnn.graph import Dim, Dtype, Graph, Type, measure
from dotnn.read import read_definitions
from dotnn.simplify import simplify
from dotnn.spec import Definition, Name, Number, Parameter
from dotnn.squares import derive_key, uniform16, uniform24
from dotnn.tape import Tape
from dotnn.testing.lines import Try, items
from dotnn.testing.numbers import Start, reference
from dotnn.testing.report import FailedError
from dotnn_grammar.source import Source

Made = dict[str, Array]
"""What a try gives, by what it is: `result`, `gradient x`, `state mean`; the turn stands before it."""

SEED, STEP = 3, 7
"""Of what is random in a definition; the step before the first that is tried."""
SIZES = (6, 5, 7, 4, 3)
"""For sizes that stay open, in the order in which they are met."""
STEPS = 3
"""That a definition with state is tried for."""
FAR = 1e4
"""As far out as results must still be right."""
LEVEL = {"equal": 0.5, "zero": 0.0}
"""And one number everywhere."""

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_RANGE = re.compile(rf"\s+in\s+({_NUMBER})\s*\.\.\s*({_NUMBER})$")
_DTYPES: dict[str, Dtype] = {"int": "i64", "bool": "bool"}


@dataclass(frozen=True)
class Fed:
    """One input of a try: a type, and what is drawn for it."""

    name: str
    type: Type
    below: int | None = None
    """Whole numbers are drawn below this."""
    range: tuple[float, float] | None = None
    """Real numbers are drawn evenly from it; without one they are normal."""

    def draw(self, label: str, sizes: Mapping[str, int]) -> Array:
        """The same numbers for the same label. Real ones are such as single precision has."""
        random = Random(f"{self.name} {label}")
        shape = [measure(d, sizes) for d in self.type.dims]
        numbers = [self._one(random) for _ in range(int(np.prod(shape)))]
        if self.type.is_float:
            return np.array(numbers, np.float32).astype(np.float64).reshape(shape)
        return np.array(numbers, bool if self.type.dtype == "bool" else np.int64).reshape(shape)

    def _one(self, random: Random) -> float:
        if self.type.dtype == "bool":
            return random.random() < 0.5
        if self.below is not None:
            return random.randrange(self.below)
        return random.gauss(0, 1) if self.range is None else random.uniform(*self.range)


@dataclass(frozen=True)
class Turn:
    """One run of what is tried."""

    label: str
    phase: Literal["train", "eval"]
    feeds: dict[str, Array]
    step: int = STEP


@dataclass(frozen=True)
class Graphs:
    """What is tried, in one phase."""

    graph: Graph
    """Outputs `result` (or `result[0]`, …), `gradient NAME`, `NAME.next`."""
    simple: Graph
    """The same, simplified."""
    weights: tuple[str, ...]
    states: tuple[str, ...]
    results: tuple[Type, ...]


@dataclass(frozen=True)
class Tensors:
    """A try of a function or a layer."""

    tried: Try
    fed: tuple[Fed, ...]
    net: Definition
    own: tuple[Definition, ...] = ()
    """Definitions that are not the library's."""
    how: str = ""
    """Which extreme it is; empty for numbers as they come."""

    @classmethod
    def of(cls, tried: Try, own: Sequence[Definition] = ()) -> Tensors:
        """Raises ``FailedError`` where the line has no meaning, ``ProblemError`` where its text has none."""
        given = [_RANGE.sub("", item) for item in items(tried.given)]
        text = f"net Tried({', '.join(given)}) {{ return {tried.expression} }}"
        net = read_definitions(Source(name="try", text=text))[0]
        fed = tuple(_fed(p, item) for p, item in zip(net.inputs, items(tried.given), strict=True))
        return cls(tried, fed, net, tuple(own))

    # ---- the ways in which it is tried

    def extremes(self) -> Iterator[Tensors]:
        """Far out, all equal, all zero, and a single row: where real numbers come as they come."""
        if not any(fed.type.is_float and fed.range is None for fed in self.fed):
            return
        yield from (replace(self, how=how) for how in ("far", *LEVEL))
        rows = {fed.type.dims[0] for fed in self.fed if fed.type.dims}
        if len(rows) == 1 and isinstance(next(iter(rows)), int):
            single = [
                replace(f, type=f.type.shaped((1, *f.type.dims[1:])) if f.type.dims else f.type) for f in self.fed
            ]
            parameters = tuple(_single(p) if p.type and p.type.dims else p for p in self.net.inputs)
            net = self.net.model_copy(update={"inputs": parameters})
            yield replace(self, how="row", fed=tuple(single), net=net)

    @cached_property
    def sizes(self) -> dict[str, int]:
        open_ = dict.fromkeys(d for fed in self.fed for d in fed.type.dims if isinstance(d, str))
        return dict(zip(open_, SIZES, strict=False))

    @cached_property
    def phases(self) -> dict[str, Graphs]:
        """Both, or training alone where they are the same."""
        train, elsewhere = self._graphs("train"), self._graphs("eval")
        same = train.graph.nodes == elsewhere.graph.nodes and train.graph.outputs == elsewhere.graph.outputs
        return {"train": train} if same else {"train": train, "eval": elsewhere}

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        count = STEPS if self.phases["train"].states else 1
        made = [self._turn("train", f"step {n + 1}" if count > 1 else "", STEP + n) for n in range(count)]
        if "eval" in self.phases:
            made.append(self._turn("eval", "elsewhere", STEP + count))
        return tuple(made)

    def _turn(self, phase: Literal["train", "eval"], label: str, step: int) -> Turn:
        feeds = {fed.name: self._draw(fed, label) for fed in self.fed}
        for i, type in enumerate(self.phases[phase].results):
            feeds[f"mix {i}"] = Fed(f"mix {i}", type.of("f32")).draw(label, self.sizes)
        return Turn(" ".join(word for word in (self.how, label) if word), phase, feeds, step)

    def _draw(self, fed: Fed, label: str) -> Array:
        drawn = fed.draw(label, self.sizes)
        if not fed.type.is_float or fed.range is not None or self.how in ("", "row"):
            return drawn
        if self.how in LEVEL:
            return np.full_like(drawn, LEVEL[self.how])
        far = FAR - np.arange(drawn.size).reshape(drawn.shape)
        return np.where(drawn < 0, -far, far)

    # ---- what it is made of

    @cached_property
    def weights(self) -> dict[str, Array]:
        """A drawn array for each weight, by its path."""
        graphs = self.phases["train"]
        types = {fed.name: fed.type for fed in graphs.graph.inputs}
        return {path: Fed(path, types[path]).draw("", {}) for path in graphs.weights}

    @cached_property
    def states(self) -> dict[str, Array]:
        """What each state is at first, by its path."""
        if not self.phases["train"].states:
            return {}
        machine, _, _ = self._built("init")
        graph = machine.tape.graph()
        given = {f.name: np.asarray(SEED) for f in graph.inputs if f.role == "seed"}
        given |= {f.name: self._draw(f, "") for f in self.fed}
        first = reference(float64=True)(graph).run(given)
        return {path: first[path] for path in self.phases["train"].states}

    def drawn(self, turn: Turn) -> list[Array]:
        """The random numbers of a turn, in the order in which the text draws them, made on the host."""
        return drawn(self.phases[turn.phase].graph, derive_key(SEED), turn.step, self.sizes)

    def short(self, path: str) -> str:
        """The name of a weight or state: the last of its path, more of it where that is not enough."""
        paths = [*self.phases["train"].weights, *self.phases["train"].states]
        words = path.split(".")
        tails = (".".join(words[-n:]) for n in range(1, len(words) + 1))
        return next(t for t in tails if sum(p == t or p.endswith(f".{t}") for p in paths) == 1)

    # ---- running it

    def run(self, start: Start, float64: bool) -> Made:
        """Every turn, one after the other, with the state carried along."""
        made: Made = {}
        state = dict(self.states)
        graphs = {phase: g.graph if float64 else g.simple for phase, g in self.phases.items()}
        runners = {phase: start(graph) for phase, graph in graphs.items()}
        for turn in self.turns:
            feeds = self.feeds(graphs[turn.phase], turn, state, np.float64 if float64 else np.float32)
            results = runners[turn.phase].run(feeds)
            for path in self.states:
                after = results.pop(f"{path}.next", None)
                if after is not None:
                    state[path] = after
                    results[f"state {self.short(path)}"] = after
            made |= {" ".join(filter(None, (turn.label, what))): array for what, array in results.items()}
        return made

    def feeds(self, graph: Graph, turn: Turn, state: Mapping[str, Array], wide: type[np.floating[Any]]) -> Made:
        """What a graph is fed in this turn, real numbers in this precision."""
        known: Made = {**turn.feeds, **self.weights, **state}
        known |= {"key": np.asarray(derive_key(SEED), np.uint64), "step": np.asarray(turn.step)}
        wanted = {fed.name: known[fed.name] for fed in graph.inputs}
        return {name: array.astype(wide) if array.dtype.kind == "f" else array for name, array in wanted.items()}

    def _graphs(self, phase: PhaseName) -> Graphs:
        machine, inputs, results = self._built(phase)
        tape = machine.tape
        number = tape.literal(0)
        for i, result in enumerate(results):
            name = "result" if len(results) == 1 else f"result[{i}]"
            tape.output(name, result.value, "output")
            if result.value.type.is_float:
                number = number + (result.value * tape.input(f"mix {i}", result.value.type, "data")).sum()
        by = {f.name: inputs[f.name].value for f in self.fed if f.type.is_float}
        by |= {f"weight {path}": weight.value for path, weight in machine.weights.items()}
        if any(result.value.type.is_float for result in results):
            for name, flow in zip(by, gradients(number, list(by.values())), strict=True):
                tape.output(f"gradient {name}", flow, "output")
        for path, value in machine.successors.items():
            tape.output(f"{path}.next", value.value, "state")
        states = tuple(path for path, cell in machine.cells.items() if not cell.learned)
        types = tuple(result.value.type for result in results)
        graph = tape.graph()
        return Graphs(graph, simplify(graph), tuple(machine.weights), states, types)

    def _built(self, phase: PhaseName) -> tuple[Machine, dict[str, Tensor], tuple[Tensor, ...]]:
        machine = Machine(Tape("tried"), phase, Library(self.own))
        frame = Frame(machine, USER, "")
        inputs: dict[str, Tensor] = {}
        for fed in self.fed:
            value = machine.tape.input(fed.name, fed.type, "data")
            inputs[fed.name] = Tensor(value, tuple(d if isinstance(d, str) else None for d in fed.type.dims), fed.below)
        frame.dims.update({name: name for name in self.sizes})
        known = Known(self.net, USER)
        instance = machine.instance(self.net.name, self.net, USER)
        given: list[Any] = [(None, tensor, self.net) for tensor in inputs.values()]
        made = run(frame, known, {}, instance, given, self.net)
        results = made if isinstance(made, tuple) else (made,)
        for result in results:
            if not isinstance(result, Tensor):
                raise FailedError(f"`{self.tried.expression}` gives no tensor")
        return machine, inputs, results


def drawn(graph: Graph, key: int, step: int, sizes: Mapping[str, int]) -> list[Array]:
    """What the random operations of a graph give, made on the host, in their order."""
    found = []
    for node in graph.nodes:
        if node.op == "random":
            shape = tuple(measure(d, sizes) for d in node.type.dims)
            draw = uniform16 if node.attributes["bits"] == 16 else uniform24
            found.append(draw(key, step, shape, str(node.attributes["use"])).astype(np.float64))
    return found


def _fed(parameter: Parameter, item: str) -> Fed:
    if parameter.type is None or parameter.type.dims is None:
        raise FailedError(f"`{item}` needs its sizes: `{parameter.name}: [4, 8]`")
    dims: list[Dim] = []
    for dim in parameter.type.dims:
        match getattr(dim, "size", None):
            case Number(value=int() as number):
                dims.append(number)
            case Name(name=name):
                dims.append(name)
            case _:
                raise FailedError(f"the sizes of `{item}` are numbers, or names for those that stay open")
    below = parameter.type.bound
    if below is not None and not isinstance(below, Number):
        raise FailedError(f"the bound of `{item}` is a number")
    if parameter.type.word == "int" and below is None:
        raise FailedError(f"`{item}` needs a bound below which to draw: `{parameter.name}: int[8] < 5`")
    limits = _RANGE.search(item)
    return Fed(
        parameter.name,
        Type(dtype=_DTYPES.get(str(parameter.type.word), "f32"), dims=tuple(dims)),
        int(below.value) if below is not None else None,
        (float(limits[1]), float(limits[2])) if limits else None,
    )


def _single(parameter: Parameter) -> Parameter:
    """The parameter with one row."""
    assert parameter.type is not None
    assert parameter.type.dims is not None
    first, *others = parameter.type.dims
    one = first.model_copy(update={"size": Number(span=first.span, value=1)})
    return parameter.model_copy(update={"type": parameter.type.model_copy(update={"dims": (one, *others)})})
