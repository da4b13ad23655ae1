"""Steps: what is done over and over, taken apart into what waits for the step before and what does not.

A step is written on a tape of its own. Of its operations

    those that depend on no step are done once, before;
    those that depend on a step's slices alone are done for all steps at once, before: `x[t] @ W` is one product;
    those that lead from what is carried in to what is carried on are the loop: a `scan`, or written out, if short;
    those that depend on what is carried and lead to nothing that is carried on are done for all steps at once, after.

So is a gradient: its loop is the short way from a step to the one before, and what each step adds to the gradient of a
weight is one product over all steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dotnn.differentiate import flowing
from dotnn.graph import Attribute, Dim, Graph, Node, Type, multiply
from dotnn.ops.along import Every, at_all_steps, can
from dotnn.ops.ease import Eased
from dotnn.ops.scan import Result
from dotnn.tape import Tape, Value

UNROLLED = 4
"""Up to so many steps are written out: see tests/benchmarks/README.md."""

SOURCES = ("literal", "size", "iota", "array")
"""Made out of nothing: written again where they are needed."""


@dataclass
class Carried:
    """What is carried from step to step: a value of the body, its start outside, its next value in the body."""

    value: Value
    start: Value
    next: Value | None = None


class Steps:
    """The steps of one scan: first the body is written on ``tape``, then its results are asked for."""

    def __init__(self, outer: Tape, length: Dim, back: bool, most: int | None = None) -> None:
        """most: up to how many steps are written out; ``UNROLLED`` without it."""
        self.outer = outer
        self.length = length
        self.back = back
        self.most = UNROLLED if most is None else most
        self.tape = Tape("step")
        self.carried: list[Carried] = []
        self._sources: dict[str, Value] = {}
        """By the name of an input of the body: the sequence that it is a slice of, or the value that it is."""
        self._inside: dict[tuple[str, str], Value] = {}
        self._sums: list[tuple[str, int]] = []
        self._eased: dict[str, Value] = {}
        self._core: _Core | None = None

    # ---- writing the body

    def carry(self, start: Value) -> Value:
        """The value that the step before carries to this one."""
        value = self.tape.input(f"carried.{len(self.carried)}", start.type, "data")
        self.carried.append(Carried(value, start))
        return value

    def slice(self, sequence: Value) -> Value:
        """Of dims [steps, …]: the part of this step."""
        return self._input("slice", sequence, Type(dtype=sequence.dtype, dims=sequence.dims[1:]))

    def given(self, value: Value) -> Value:
        """A value of the outside, the same in every step."""
        maker = self.outer.node(value)
        if maker is not None and maker.op in SOURCES:
            return self.tape.add(maker.op, **maker.attributes)
        return self._input("given", value, value.type)

    def _input(self, kind: str, source: Value, type: Type) -> Value:
        key = (kind, source.name)
        if key not in self._inside:
            number = sum(k == kind for k, _ in self._inside)
            self._inside[key] = self.tape.input(f"{kind}.{number}", type, "data")
            self._sources[self._inside[key].name] = source
        return self._inside[key]

    def add_up(self, value: Value) -> None:
        """Announces that the sum of a value over all steps will be asked for."""
        node = self.tape.node(value)
        if node is not None and not can(node.op, [True] * len(node.inputs)):
            added = self.carry(self.outer.fill(0, value.type))
            self.carried[-1].next = added + value
            self._sums.append((value.name, len(self.carried) - 1))

    # ---- asking for results

    @property
    def core(self) -> _Core:
        if self._core is None:
            eased = Eased(self.tape, [carried.value.name for carried in self.carried])
            self._eased = eased.known
            self.tape = eased.tape
            self.carried = [
                Carried(eased.known[one.value.name], one.start, eased.known[(one.next or one.value).name])
                for one in self.carried
            ]
            self._core = _Core(self)
        return self._core

    def sequence(self, value: Value) -> Value:
        """What the value, of the body as it was written, is in all steps: dims [steps, …]."""
        core = self.core
        return core.outside(self._eased[value.name].name).repeated(self.length)  # what it is called by now

    def final(self, number: int) -> Value:
        """What the last step carries on; the start, where there is no step."""
        return self.core.final(number)

    def total(self, value: Value) -> Value:
        """The sum of the value over all steps. It was announced with ``add_up``."""
        for name, number in self._sums:
            if name == value.name:
                return self.final(number)
        core = self.core
        return self._total(core.steps._eased[value.name])

    def _total(self, value: Value) -> Value:
        node = self.tape.node(value)
        inputs = [self.tape.values[name] for name in node.inputs] if node is not None else []
        whole = all(x.dims == value.dims for x in inputs)
        match node.op if node is not None else "":
            case "add" if whole:
                return self._total(inputs[0]) + self._total(inputs[1])
            case "sub" if whole:
                return self._total(inputs[0]) - self._total(inputs[1])
            case "neg":
                return -self._total(inputs[0])
            case "transpose" | "reshape":
                assert node is not None
                return self.outer.add(node.op, self._total(inputs[0]), **node.attributes)
            case "matmul" if inputs[0].type.rank == inputs[1].type.rank == 2:
                return self._product(*inputs)
            case "sum":
                assert node is not None
                axes: Any = node.attributes["axes"]
                made = self._every(inputs[0]).sum((0, *(axis + 1 for axis in axes)))
                return made.reshape(value.dims)
        return self._every(value).sum((0,))

    def _every(self, value: Value) -> Value:
        return self.core.outside(value.name).repeated(self.length)

    def _product(self, a: Value, b: Value) -> Value:
        """The sum over all steps of a @ b: one product, in which the steps are more of what is summed."""
        flipped = self.tape.node(a)
        right = self._every(b)
        rows = multiply(right.dims[:2])
        right = right.reshape((rows, right.dims[2]))
        if flipped is not None and flipped.op == "transpose":
            left = self._every(self.tape.values[flipped.inputs[0]])
            return left.reshape((rows, left.dims[2])).T @ right
        left = self._every(a).transpose((1, 0, 2))
        return left.reshape((left.dims[0], rows)) @ right


class _Core:
    """The loop of the steps, and what is done around it. Values are called by their names in the body."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.outer = steps.outer
        self.nodes = {node.name: node for node in steps.tape.nodes}
        self.kinds = self._sorted_out()
        self._outside: dict[str, Every] = {}
        self._unrolled: dict[str, list[Value]] = {}
        self._built = self._build()

    # ---- what waits for what

    def _sorted_out(self) -> dict[str, str]:
        """fixed: one for all steps; timed: of a step alone; loop; late: of the loop, and not needed by it."""
        kinds = {fed.name: fed.name.partition(".")[0] for fed in self.steps.tape.inputs}
        kinds = {name: {"carried": "loop", "slice": "timed", "given": "fixed"}[kind] for name, kind in kinds.items()}
        able: set[str] = set()
        for node in self.nodes.values():
            found = [kinds[name] for name in node.inputs]
            if can(node.op, [kind != "fixed" for kind in found]):
                able.add(node.name)
            if all(kind == "fixed" for kind in found):
                kinds[node.name] = "fixed"
            else:
                kinds[node.name] = "timed" if "loop" not in found and node.name in able else "loop"
        wanted = {carried.next.name for carried in self.steps.carried if carried.next is not None}
        wanted |= {name for name in self.nodes if kinds[name] == "loop" and name not in able}
        for node in reversed(list(self.nodes.values())):
            if kinds[node.name] != "loop":
                continue
            if node.name in wanted:
                wanted.update(node.inputs)
            else:
                kinds[node.name] = "late"
        return kinds

    # ---- around the loop

    def outside(self, name: str) -> Every:
        """The value on the tape outside: one for all steps, or one for each."""
        for node in self._behind(name):
            inputs = [self._outside[x] for x in node.inputs]
            with self.outer.at(node.at):
                if self.kinds[node.name] == "fixed":
                    made = Every(self.outer.add(node.op, *(x.value for x in inputs), **node.attributes), False)
                else:
                    made = Every(
                        at_all_steps(self.outer, node.op, inputs, node.attributes, self.steps.length), timed=True
                    )
            self._outside[node.name] = made
        return self._outside[name]

    def _behind(self, name: str) -> list[Node]:
        """The operations around the loop that lead to a value and are not done yet, in order; sets where they start."""
        needed: set[str] = set()
        todo = [name]
        while todo:
            one = todo.pop()
            if one in self._outside or one in needed:
                continue
            if one in self.steps._sources:
                self._outside[one] = Every(self.steps._sources[one], one.startswith("slice."))
            elif self.kinds[one] == "loop":
                self._outside[one] = Every(self._result(one), timed=True)
            else:
                needed.add(one)
                todo.extend(self.nodes[one].inputs)
        return [node for node in self.nodes.values() if node.name in needed]

    # ---- the loop

    def _build(self) -> _Built:
        """The loop as a graph, and what it takes from outside."""
        steps, tape = self.steps, Tape("step")
        starts = [carried.start for carried in steps.carried]
        inside: dict[str, Value] = {}
        for carried in steps.carried:
            inside[carried.value.name] = tape.input(carried.value.name, carried.value.type, "data")
        loop = [node for node in self.nodes.values() if self.kinds[node.name] == "loop"]
        nexts = [carried.next or carried.value for carried in steps.carried]
        entering = dict.fromkeys(
            name
            for name in (*(x for node in loop for x in node.inputs), *(value.name for value in nexts))
            if self.kinds[name] != "loop"
        )
        sources = [name for name in entering if self._made_of_nothing(name)]
        timed = [name for name in entering if self.kinds[name] == "timed"]
        fixed = [name for name in entering if self.kinds[name] == "fixed" and name not in sources]
        for word, names in (("slice", timed), ("given", fixed)):
            for number, name in enumerate(names):
                inside[name] = tape.input(f"{word}.{number}", steps.tape.values[name].type, "data")
        for name in sources:
            inside[name] = tape.add(self.nodes[name].op, **self.nodes[name].attributes)
        for node in loop:
            with tape.at(node.at):
                inside[node.name] = tape.add(node.op, *(inside[x] for x in node.inputs), **node.attributes)
        for number, value in enumerate(nexts):
            tape.output(f"next.{number}", inside[value.name], "output")
        sequences = [self.outside(name).value for name in timed]
        values = [self.outside(name).value for name in fixed]
        return _Built(tape.graph(), starts, sequences, values, {name: v.name for name, v in inside.items()})

    def _made_of_nothing(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].op in SOURCES

    def _result(self, name: str) -> Value:
        """Of all steps, a value of the loop."""
        result = self._built.names[name]
        if self._short:
            parts = self._written_out[result]
            parts = [part.reshape((1, *part.dims)) for part in parts]
            return self.outer.add("concat", *parts, axis=0)
        return self._run(result, final=False)

    def final(self, number: int) -> Value:
        if self._short:
            return self._written_out[f"next.{number}"][0 if self.steps.back else -1]
        return self._run(f"carried.{number}", final=True)

    def _run(self, result: str, final: bool) -> Value:
        built, steps = self._built, self.steps
        return self.outer.add(
            "scan",
            *built.starts,
            *built.sequences,
            *built.given,
            back=steps.back,
            body=built.body,
            carried=len(built.starts),
            dim=steps.length,
            final=final,
            result=result,
            scanned=len(built.sequences),
        )

    @property
    def _short(self) -> bool:
        return isinstance(self.steps.length, int) and 0 < self.steps.length <= self.steps.most

    @property
    def _written_out(self) -> dict[str, list[Value]]:
        """The values of the loop's graph, and its `next.0`, …, of each step, in the order of the steps' places."""
        if not self._unrolled:
            self._unrolled = unrolled(self.outer, self._built, int(self.steps.length), self.steps.back)
        return self._unrolled


@dataclass(frozen=True)
class _Built:
    body: Graph
    starts: Sequence[Value]
    sequences: Sequence[Value]
    given: Sequence[Value]
    names: Mapping[str, str]
    """What a value of the step is called in the loop's graph."""


def unrolled(tape: Tape, built: _Built, length: int, back: bool) -> dict[str, list[Value]]:
    """The loop written out on the tape: each of its values in each step."""
    body = built.body
    found: dict[str, dict[int, Value]] = {}
    carried = list(built.starts)
    for step in reversed(range(length)) if back else range(length):
        parts = [one_step(sequence, step) for sequence in built.sequences]
        now = dict(zip((fed.name for fed in body.inputs), (*carried, *parts, *built.given), strict=True))
        for node in body.nodes:
            with tape.at(node.at):
                now[node.name] = tape.add(node.op, *(now[x] for x in node.inputs), **node.attributes)
        nexts = {f"next.{number}": now[body.output(f"next.{number}").value] for number in range(len(carried))}
        carried = list(nexts.values())
        for name, value in {**now, **nexts}.items():
            found.setdefault(name, {})[step] = value
    return {name: [values[step] for step in range(length)] for name, values in found.items()}


def one_step(sequence: Value, step: int) -> Value:
    """Of dims [steps, …]: the part of that step."""
    part = sequence.tape.add("slice", sequence, axis=0, start=step, stop=step + 1)
    return part.reshape(part.dims[1:])


# ---- the gradient


def back_through(
    flows: Mapping[Result, Value], inputs: Sequence[Value], wanted: Sequence[bool], attributes: Mapping[str, Attribute]
) -> list[Value | None]:
    """What flows back to each input of a scan: a scan the other way, over what each step of the first one made."""
    body, back = attributes["body"], bool(attributes["back"])
    count, scanned, length = attributes["carried"], attributes["scanned"], attributes["dim"]
    assert isinstance(body, Graph)
    assert isinstance(count, int)
    assert isinstance(scanned, int)
    assert isinstance(length, int | str)
    outer = inputs[0].tape if inputs else next(iter(flows.values())).tape
    steps = Steps(outer, length, not back)
    seen = Tape.of(body)
    seen.outputs = []
    fed = [seen.values[one.name] for one in body.inputs]
    floats = [number for number in range(count) if fed[number].type.is_float]

    arriving: dict[str, Value] = {}  # on the tape of the body: what flows in, and where
    entering: dict[str, Value] = {}  # from there to the tape of the steps

    def arrive(at: str, name: str, value: Value) -> None:
        flow = seen.input(name, value.type, "data")
        entering[name] = value
        arriving[at] = arriving[at] + flow if at in arriving else flow

    for number in floats:
        start = flows.get((fed[number].name, True))
        value = steps.carry(outer.fill(0, fed[number].type) if start is None else start)
        arrive(body.output(f"next.{number}").value, f"flow.{number}", value)
    for number, ((result, final), flow) in enumerate(flows.items()):
        if not final:
            arrive(result, f"arriving.{number}", steps.slice(flow))

    asked = [n for n, one in enumerate(fed) if one.type.is_float and (n in floats or wanted[n])]
    made = dict(zip(asked, flowing(arriving, seen, [fed[n] for n in asked]), strict=True))
    moved = _Moved(steps, seen, body, inputs, attributes, entering)
    for position, number in enumerate(floats):
        back_to = made[number]
        one = steps.carried[position]
        one.next = steps.tape.fill(0, one.value.type) if back_to is None else moved.value(back_to)
    inner = {n: moved.value(flow) for n, flow in made.items() if flow is not None and n >= count}
    for n, value in inner.items():
        if n >= count + scanned:
            steps.add_up(value)

    found: list[Value | None] = [None] * len(inputs)
    for position, number in enumerate(floats):
        found[number] = steps.final(position) if wanted[number] else None
    for n, value in inner.items():
        found[n] = steps.sequence(value) if n < count + scanned else steps.total(value)
    return found


class _Moved:
    """The gradient of a body, from the tape where it was found to that of the steps back.

    What the body made in its steps is not made again: it is read from the first scan, step by step.
    """

    def __init__(
        self,
        steps: Steps,
        seen: Tape,
        body: Graph,
        inputs: Sequence[Value],
        attributes: Mapping[str, Attribute],
        known: dict[str, Value],
    ) -> None:
        self.steps, self.seen, self.body, self.inputs, self.attributes = steps, seen, body, inputs, attributes
        self.known = known
        self.places = {one.name: number for number, one in enumerate(body.inputs)}
        self.first = {node.name for node in body.nodes}

    def value(self, value: Value) -> Value:
        for node in _needed(self.seen, value.name, self.known, self._kept):
            with self.steps.tape.at(node.at):
                inputs = [self.known[name] for name in node.inputs]
                self.known[node.name] = self.steps.tape.add(node.op, *inputs, **node.attributes)
        return self.known[value.name]

    def _kept(self, name: str) -> bool:
        """Fills in what the first scan has of a value; False for an operation that is to be done here."""
        node = self.seen.node(self.seen.values[name])
        if node is not None and (name not in self.first or node.op in SOURCES):
            return False
        count, scanned = self.attributes["carried"], self.attributes["scanned"]
        assert isinstance(count, int)
        assert isinstance(scanned, int)
        place = self.places.get(name, -1)
        if place >= count + scanned:
            self.known[name] = self.steps.given(self.inputs[place])
        elif place >= count:
            self.known[name] = self.steps.slice(self.inputs[place])
        else:
            facts = {**self.attributes, "result": name, "final": False}
            self.known[name] = self.steps.slice(self.steps.outer.add("scan", *self.inputs, **facts))
        return True


def _needed(tape: Tape, name: str, known: Mapping[str, Value], kept: Any) -> Iterable[Node]:
    """The operations that lead to a value and are not done yet, in order."""
    needed: set[str] = set()
    todo = [name]
    while todo:
        one = todo.pop()
        if one in known or one in needed or kept(one):
            continue
        needed.add(one)
        node = tape.node(tape.values[one])
        assert node is not None
        todo.extend(node.inputs)
    return [node for node in tape.nodes if node.name in needed]
