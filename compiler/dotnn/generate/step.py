"""Step: the graphs `start` and `next`, derived from the predict graph of any net that looks at no later token.

The tokens i64[b, t] have an axis of places. Backwards from the answer at the place that was written last, each
operation says what it needs of its inputs: the same place only, or all of them. What is needed at one place is
computed for that place. What is needed at all of them (keys and values that every place looks at) is kept: a tensor
with t places, into which the new one is written. So every step does the same work, however long the text is by now.

    start: tokens i64[b, t], position i64[], the other inputs, weights
        -> the answer at `position`, `cache.N.next`, `read.N`
    next:  token i64[b], position i64[], `cache.N`, `read.N`, weights
        -> the answer at `position`, `cache.N.next`

What a scan carries from step to step (the states of a recurrent net) is kept as it is: `carry.N`, `carry.N.next`.

`read.N` is what depends on the other inputs alone, as an encoder's reading of a sentence: it is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dotnn.generate.axes import Axis, single
from dotnn.generate.needs import Needs, needs_of
from dotnn.generate.problems import LooksAhead
from dotnn.generate.reach import Told, told
from dotnn.graph import Graph, Node, Type
from dotnn.inputs.columns import BATCH
from dotnn.ops.scan import together
from dotnn.simplify import simplify
from dotnn.tape import Tape, Value

POSITION = "position"
CACHE, READ, CARRY = "cache", "read", "carry"
MOVES = ("expand", "stop")
"""Operations whose result is kept by keeping what they are made of."""


@dataclass(frozen=True)
class Demand:
    """The place ``position + offset`` along an axis of a value."""

    axis: Axis
    offset: int = 0


Kind = Literal["copy", "kept", "read"]
Carried = tuple[object, ...]
"""The scans that are run as one (``ops/scan.py``)."""


@dataclass
class Wanted:
    """What is needed of one value: all of it, and how that is had; and single places."""

    whole: bool = False
    kind: Kind = "copy"
    places: dict[Demand, Needs | None] = field(default_factory=dict)
    """With what each needs of the inputs; None: it is taken out of the whole."""


@dataclass(frozen=True)
class Steps:
    """The two graphs, and how many places the window has."""

    start: Graph
    next: Graph
    length: int


def steps(graph: Graph, column: str, output: str) -> Steps:
    """Derives both. ``graph``: predict; ``column``: its input with the tokens, i64[b, t]; ``output``: f32[b, t, …].

    Raises ``ProblemError`` (W001) where the answer at a place looks at tokens after it.
    """
    length = graph.types()[column].dims[1]
    assert isinstance(length, int)
    found = told(graph, column)
    _refuse_ahead(graph, found, output)
    axes = {name: one.axis for name, one in found.items() if one.axis is not None}
    first = {name: axis == Axis(0, length) for name, axis in axes.items()}
    plan = _Plan(graph, column, output, axes, first)
    if plan.kept and not _holds(graph, column, output, plan.kept):
        plan = _Plan(graph, column, output, {column: Axis(1, length)}, first)
    return Steps(simplify(plan.start()), simplify(plan.next()), length)


def _holds(graph: Graph, column: str, output: str, kept: Mapping[str, Axis]) -> bool:
    """Whether the answer is right though each kept place is not known before its own step."""
    return not told(graph, column, kept)[graph.output(output).value].ahead


def _refuse_ahead(graph: Graph, found: Mapping[str, Told], output: str) -> None:
    answer = graph.output(output).value
    if not found[answer].ahead:
        return
    behind = {answer}
    for node in reversed(graph.nodes):
        if node.name in behind:
            behind.update(node.inputs)
    mixing = (n for n in graph.nodes if n.name in behind and found[n.name].mixed)
    first = next(mixing, next(n for n in graph.nodes if n.name == answer))
    types = graph.types()
    span = first.at.span if first.at is not None else None
    if any(found[name].axis is not None for name in first.inputs):
        what = "here a place reads all others, those after it too"
        way = "`causal = yes`, where the layer has it; in your own hide what comes later: `later[i, j] = j > i`"
    else:
        what = f"what `{first.op}` makes of {types[first.inputs[0]]} cannot be followed place by place"
        way = "let each place read those before it alone, by operations that keep the places apart"
    raise LooksAhead(span=span, output=output, what=what, way=way).error()


class _Plan:
    """What of each value is needed for the next token.

    axes: of the values that may be kept, the axis of places; first: the values whose first dim is an axis of places.
    """

    def __init__(
        self, graph: Graph, column: str, output: str, axes: Mapping[str, Axis], first: Mapping[str, bool]
    ) -> None:
        self.graph = graph
        self.first = first
        self.carried: dict[Carried, Node] = {}
        """The scans of which a step is made, each once."""
        self.column = column
        self.output = output
        self.axes = axes
        self.types = graph.types()
        self.length = self.types[column].dims[1]
        others = {fed.name for fed in graph.inputs if fed.role != "state" and fed.name != column}
        self.on_tokens = _depending(graph, {column})
        self.on_others = _depending(graph, others)
        self.answer = graph.output(output).value
        assert isinstance(self.length, int)
        self.place = Demand(Axis(1, self.length))
        self.wanted = self._walked()
        self.kept = {name: axes[name] for name, wanted in self.wanted.items() if wanted.whole and wanted.kind == "kept"}
        self.caches = {name: f"{CACHE}.{number}" for number, name in enumerate(self.kept)}
        self.carries = {
            (key, number): f"{CARRY}.{n}"
            for n, (key, number) in enumerate((k, i) for k, node in self.carried.items() for i in range(carries(node)))
        }
        reads = [name for name, wanted in self.wanted.items() if wanted.whole and wanted.kind == "read"]
        self.reads = {name: f"{READ}.{number}" for number, name in enumerate(reads)}

    def _walked(self) -> dict[str, Wanted]:
        """Backwards from the answer, through every operation."""
        wanted = {name: Wanted() for name in self.types}
        wanted[self.answer].places[self.place] = None
        for node in reversed(self.graph.nodes):
            here = wanted[node.name]
            if here.whole or here.places:
                self._asks(node, here, wanted)
        own = wanted[self.column]
        if own.whole or any(demand != self.place for demand in own.places):
            own.whole, own.kind = True, "kept"
        for fed in self.graph.inputs:
            if fed.name != self.column and wanted[fed.name].places:
                wanted[fed.name].whole = True
        return wanted

    def _asks(self, node: Node, here: Wanted, wanted: dict[str, Wanted]) -> None:
        """What one operation needs of its inputs."""
        types = [self.types[name] for name in node.inputs]
        for demand in list(here.places):
            here.places[demand] = self._needs(node, types, demand)
            here.whole = here.whole or here.places[demand] is None
        if here.whole:
            here.kind = self._kind(node, types)
        if here.whole and here.kind == "kept":
            demand = Demand(self.axes[node.name])
            here.places[demand] = self._needs(node, types, demand)
        if here.whole and here.kind == "copy":
            for name in node.inputs:
                wanted[name].whole = True
        for demand, needs in here.places.items():
            if node.op == "scan" and needs is not None:
                self.carried.setdefault(together(node), node)
            for number, (name, need) in enumerate(zip(node.inputs, needs or (), strict=bool(needs))):
                if node.op == "scan" and number < carries(node):
                    continue  # what the step before carried on is kept
                if need is None:
                    wanted[name].whole = True
                else:
                    wanted[name].places.setdefault(Demand(need, demand.offset + _offset(node, demand.axis)), None)

    def _needs(self, node: Node, types: Sequence[Type], demand: Demand) -> Needs | None:
        needs = needs_of(node, types, demand.axis)
        if needs is None or node.op != "scan":
            return needs
        # A step can be made by itself where its slices are known by then, and what is carried has a row for each text.
        slices = [name for name, need in zip(node.inputs, needs, strict=True) if need is not None]
        known = all(name not in self.on_tokens or self.first.get(name) for name in slices)
        rows = all(type.dims[:1] == (BATCH,) for type in types[: carries(node)])
        return needs if known and rows and not demand.offset else None

    def _kind(self, node: Node, types: Sequence[Type]) -> Kind:
        if node.name not in self.on_tokens:
            return "read" if node.name in self.on_others and node.type.dims[:1] == (BATCH,) else "copy"
        axis = self.axes.get(node.name)
        if axis is None or not axis.alone or axis.dim == 0 or node.type.dims[0] != BATCH or node.op in MOVES:
            return "copy"
        return "copy" if self._needs(node, types, Demand(axis)) is None else "kept"

    # ---- the graphs

    def next(self) -> Graph:
        """The answer for one token more."""
        tape = Tape("next")
        token = tape.input(self.column, Type(dtype=self.types[self.column].dtype, dims=(BATCH,)), "data")
        writer = _Writer(self, tape)
        for name, cache in self.caches.items():
            writer.caches[name] = tape.input(cache, self.types[name], "cache")
        for name, read in self.reads.items():
            writer.whole[name] = tape.input(read, self.types[name], "cache")
        for (key, number), carry in self.carries.items():
            type = self.types[self.carried[key].inputs[number]]
            writer.carried[key, number] = tape.input(carry, type, "cache")
        writer.inputs()
        writer.places[self.column, self.place] = token.reshape((BATCH, 1))
        if self.column in self.kept:
            writer.keep(self.column, self.place)
        for node in self.graph.nodes:
            with tape.at(node.at):
                writer.write(node, self.wanted[node.name])
        tape.output(self.output, writer.answer(), "output")
        for name, cache in self.caches.items():
            tape.output(f"{cache}.next", writer.whole[name], "cache")
        for at, carry in self.carries.items():
            tape.output(f"{carry}.next", writer.following[at], "cache")
        return tape.graph()

    def start(self) -> Graph:
        """The answer at the end of a beginning, and all that is kept of it."""
        tape = Tape("start")
        tokens = tape.input(self.column, self.types[self.column], "data")
        writer = _Writer(self, tape)
        writer.whole[self.column] = tokens
        writer.inputs()
        for node in self.graph.nodes:
            with tape.at(node.at):
                inputs = [writer.whole[name] for name in node.inputs]
                writer.whole[node.name] = tape.add(node.op, *inputs, **node.attributes)
        tape.output(self.output, writer.answer(), "output")
        for name, cache in self.caches.items():
            tape.output(f"{cache}.next", writer.begun(name, self.kept[name]), "cache")
        for name, read in self.reads.items():
            tape.output(read, writer.whole[name], "cache")
        for (key, number), carry in self.carries.items():
            tape.output(f"{carry}.next", writer.carried_on(self.carried[key], number), "cache")
        return tape.graph()


class _Writer:
    """A graph being written: what there is of each value of the predict graph."""

    def __init__(self, plan: _Plan, tape: Tape) -> None:
        self.plan = plan
        self.tape = tape
        self.position = tape.input(POSITION, Type(dtype="i64"), "position")
        self.whole: dict[str, Value] = {}
        self.places: dict[tuple[str, Demand], Value] = {}
        self.caches: dict[str, Value] = {}
        self.carried: dict[tuple[Carried, int], Value] = {}
        """What each scan carries into the step of this place, and out of it."""
        self.following: dict[tuple[Carried, int], Value] = {}
        self._steps: dict[Carried, dict[str, Value]] = {}

    def inputs(self) -> None:
        """The other inputs, as they are."""
        for fed in self.plan.graph.inputs:
            if fed.name != self.plan.column:
                with self.tape.at(fed.at):
                    self.whole[fed.name] = self.tape.input(fed.name, fed.type, fed.role, fed.learned)

    def answer(self) -> Value:
        """The answer at the one place, without the dim of places."""
        plan = self.plan
        made = self.places.get((plan.answer, plan.place))
        if made is None:
            made = self.taken(self.whole[plan.answer], plan.place)
        return made.reshape((made.dims[0], *made.dims[2:]))

    def write(self, node: Node, wanted: Wanted) -> None:
        """One operation, for what is needed of it."""
        if wanted.whole and wanted.kind == "copy":
            self.whole[node.name] = self.tape.add(node.op, *(self.whole[x] for x in node.inputs), **node.attributes)
        for demand, needs in wanted.places.items():
            if needs is not None:
                self.places[node.name, demand] = self._one(node, demand, needs)
        if wanted.whole and wanted.kind == "kept":
            self.keep(node.name, Demand(self.plan.axes[node.name]))
        for demand, needs in wanted.places.items():
            if needs is None:
                self.places[node.name, demand] = self.taken(self.whole[node.name], demand)

    def _one(self, node: Node, demand: Demand, needs: Needs) -> Value:
        """The operation at one place."""
        if node.op == "iota":
            return self._at(demand.offset)
        if node.op == "scan":
            return self._step(node, demand, needs)
        if node.op == "convolve":
            return self._window(node, demand)
        moved = demand.offset + _offset(node, demand.axis)
        inputs = [self._given(name, need, moved) for name, need in zip(node.inputs, needs, strict=True)]
        if node.op == "slice" and node.attributes["axis"] == demand.axis.dim:
            return inputs[0]
        attributes = dict(node.attributes)
        if "dims" in attributes:
            attributes["dims"] = single(node.type.dims, demand.axis)
        return self.tape.add(node.op, *inputs, **attributes)

    def _window(self, node: Node, demand: Demand) -> Value:
        """A convolution at one place: of the places that its window sees there, those outside being 0."""
        x, kernel = (self.whole[name] for name in node.inputs)
        dim, tape, how = demand.axis.dim, self.tape, dict[str, Any](node.attributes)
        size, count = kernel.dims[dim], x.dims[dim]
        assert isinstance(count, int)
        spread, before = (_changed(how, name, dim - 2, alone) for name, alone in (("dilation", 1), ("before", 0)))
        _changed(how, "after", dim - 2, 0)
        seen = tape.add("iota", dim=size) * spread + self._at(demand.offset - before)
        near = tape.add("minimum", tape.add("maximum", seen, tape.literal(0, "i64")), tape.literal(count - 1, "i64"))
        along = tuple(size if i == dim else 1 for i in range(x.type.rank))
        every = near.reshape(along).expand((*x.dims[:dim], size, *x.dims[dim + 1 :]))
        found = tape.add("take", x, every, axis=dim) * tape.add("eq", near, seen).cast(x.dtype).reshape(along)
        return tape.add("convolve", found, kernel, **how)

    def _step(self, node: Node, demand: Demand, needs: Needs) -> Value:
        """One step of a scan."""
        key = together(node)
        if key not in self._steps:
            body, count = node.attributes["body"], carries(node)
            assert isinstance(body, Graph)
            made: dict[str, Value] = {}
            for number, (fed, name, need) in enumerate(zip(body.inputs, node.inputs, needs, strict=True)):
                if number < count:
                    made[fed.name] = self.carried[key, number]
                else:
                    made[fed.name] = self._given(name, need, demand.offset).reshape(fed.type.dims)
            for each in body.nodes:
                with self.tape.at(each.at):
                    made[each.name] = self.tape.add(each.op, *(made[x] for x in each.inputs), **each.attributes)
            for number in range(count):
                self.following[key, number] = made[body.output(f"next.{number}").value]
            self._steps[key] = made
        return self._steps[key][str(node.attributes["result"])].reshape(single(node.type.dims, demand.axis))

    def carried_on(self, node: Node, number: int) -> Value:
        """What a scan carries out of the step at this place, where all steps are computed."""
        body = node.attributes["body"]
        assert isinstance(body, Graph)
        result = body.output(f"next.{number}").value
        attributes = {**node.attributes, "result": result, "final": False}
        every = self.tape.add("scan", *(self.whole[name] for name in node.inputs), **attributes)
        return self.tape.add("gather", every, self._at(0)).reshape(every.dims[1:])

    def _given(self, name: str, need: Axis | None, offset: int) -> Value:
        if need is None:
            return self.whole[name]
        demand = Demand(need, offset)
        if (name, demand) not in self.places:  # an input
            self.places[name, demand] = self.taken(self.whole[name], demand)
        return self.places[name, demand]

    def _at(self, offset: int) -> Value:
        """The number of the place, i64[1]."""
        return (self.position + offset if offset else self.position).reshape((1,))

    def taken(self, value: Value, demand: Demand) -> Value:
        """One place of a whole value."""
        axis, dims = demand.axis, value.dims
        place = self._at(demand.offset)
        if axis.alone and axis.dim == 0:
            return self.tape.add("gather", value, place)
        split = (*dims[: axis.dim], axis.outer, axis.size, axis.inner, *dims[axis.dim + 1 :])
        front = axis.dim + 1
        order = (front, *(i for i in range(len(split)) if i != front))
        found = self.tape.add("gather", value.reshape(split).transpose(order), place)
        return found.reshape(single(dims, axis))

    def keep(self, name: str, demand: Demand) -> None:
        """Writes the new place into what is kept."""
        cache, row = self.caches[name], self.places[name, demand]
        self.whole[name] = self.tape.add("overwrite", cache, row, self.position, axis=demand.axis.dim)

    def begun(self, name: str, axis: Axis) -> Value:
        """All places up to this one; the others are 0."""
        value = self.whole[name]
        marks = self.tape.add("le", self.tape.add("iota", dim=axis.size), self.position)
        written = marks.reshape(tuple(axis.size if i == axis.dim else 1 for i in range(value.type.rank)))
        return self.tape.add("and", value, written) if value.dtype == "bool" else value * written.cast(value.dtype)


def carries(node: Node) -> int:
    """How many values a scan carries from step to step."""
    count = node.attributes["carried"]
    assert isinstance(count, int)
    return count


def _offset(node: Node, axis: Axis) -> int:
    start = node.attributes.get("start") if node.op == "slice" and node.attributes["axis"] == axis.dim else 0
    assert isinstance(start, int)
    return start


def _changed(attributes: dict[str, Any], name: str, place: int, number: int) -> int:
    """Puts a number there in the attribute. Returns the one that was there."""
    each = attributes[name]
    attributes[name] = (*each[:place], number, *each[place + 1 :])
    return int(each[place])


def _depending(graph: Graph, names: set[str]) -> set[str]:
    found = set(names)
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found
