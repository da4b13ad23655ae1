"""`scan over t with h = … { … }`: an equation in time.

The body is built once, on the same tape as everything else. A tensor that has t stands for its part at one step, and a
carried name for what the step before gave it: values of their own, which nothing makes. What the body writes of these
is then lifted off the tape and becomes the step of a scan (``dotnn/scans/steps.py``); what it writes of nothing of the
kind, such as a weight, stays where it is, and is one for all steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dotnn.elaborate.arithmetic import elementwise, tensor
from dotnn.elaborate.evaluate import block, computing, evaluate, notice
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import assigned, may_return
from dotnn.elaborate.problems import BoundTwice, NotKnownNow, NotThatKind, OutOfPlace
from dotnn.elaborate.values import Absent, Label, Tensor, kind
from dotnn.graph import Dim, Node, Type
from dotnn.operation import shape_text
from dotnn.scans.steps import Steps
from dotnn.spec import Assign, Carry, Expression, If, Part, Scan, Statement, When
from dotnn.tape import Value
from dotnn.words import names_in
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Span


class NothingToScan(Problem):
    code = "B130"
    title = "nothing here has a dim `{name}` to go along"
    label = "which steps?"
    help = "{near}"
    name: str
    near: str


class CarriesNothing(Problem):
    code = "B131"
    title = "this scan carries nothing from step to step"
    label = "what does a step get from the one before?"
    help = "say what is carried and what the first step finds: scan over {over} with h = zeros[b, 8] {{ … }}"
    over: str


class CarriedChanges(Problem):
    code = "B132"
    title = "`{name}` is carried into a step as {before}, and out of it as {after}"
    label = "its first value"
    help = "{way}"
    name: str
    before: str
    after: str
    way: str


class NeverCarried(Problem):
    code = "B133"
    title = "`{name}` is carried, and no step gives it a next value"
    label = "carried here"
    help = "assign it inside: {name} = …; what stays as it is needs not be carried"
    name: str


class LostInside(Problem):
    code = "B134"
    title = "`{name}` would not remember: it is not carried from step to step"
    label = "this reads `{name}` from before the scan, in every step"
    help = "carry it: scan over {over} with {name} = …; or call what is meant here by another name"
    name: str
    over: str


class StateInScan(Problem):
    code = "B135"
    title = "a state is written once a batch, and a scan runs over its steps"
    label = "written inside a scan"
    help = "carry it from step to step instead: scan over t with {name} = … {{ … }}"
    name: str


class HasNoSteps(Problem):
    code = "B136"
    title = "{what} has no dim `{over}`: it says nothing of one step"
    label = "this is {found}"
    help = "it needs a truth for each step of each row, as in: kept[b, {over}] = token[b, {over}] != pad"
    what: str
    over: str
    found: str


@dataclass(frozen=True)
class Scanned:
    """What somebody who watches is told of a scan."""

    axis: int
    """Along which its steps stand afterwards."""
    scanned: dict[str, int]
    """The names of what it goes along, and where each has the dim."""
    ranks: dict[str, int]
    """How many dims each carried name has in a step."""
    kept: int | None
    """Where what stands after `where` has the dim; None where it is `yes` everywhere."""
    kept_rank: int
    """How many dims that has in a step."""
    draws: bool
    """Whether its steps draw random numbers."""


@dataclass
class Site:
    """A scan whose body is being built."""

    number: int
    length: Dim
    frame: Frame
    parts: dict[str, tuple[Value, int]] = field(default_factory=dict)
    """By the name of a step's part: what it is a part of, and along which dim."""
    made: dict[str, Value] = field(default_factory=dict)

    def part(self, whole: Value, axis: int) -> Value:
        """The part of ``whole`` at one step."""
        known = next((name for name, one in self.parts.items() if one == (whole, axis)), None)
        if known is not None:
            return self.made[known]
        dims = (*whole.dims[:axis], *whole.dims[axis + 1 :])
        value = self.stand_in(Type(dtype=whole.dtype, dims=dims))
        self.parts[value.name] = (whole, axis)
        return value

    def stand_in(self, type: Type) -> Value:
        """A value that nothing on the tape makes."""
        tape = self.frame.machine.tape
        value = Value(tape, f"scan.{self.number}.{len(self.made)}", type)
        tape.values[value.name] = self.made[value.name] = value
        return value


def scan(frame: Frame, written: Scan) -> None:
    """The statement: its carried names are whole sequences afterwards."""
    length, axis = _steps(frame, written)
    _refuse_returns(frame, written)
    machine, tape = frame.machine, frame.machine.tape
    cut, kept, starts = _every(frame, written), _kept(frame, written), _starts(frame, written)
    machine.scanned += 1
    site = Site(machine.scanned, length, frame)
    before, since, named = dict(frame.names), len(tape.nodes), dict(machine.named)
    drawn = sum(machine.uses.values())
    _refuse_lost(frame, written, before)
    with _inside(machine.scans, site):
        for name, value in before.items():
            if _has(value, written.over):
                frame.names[name] = _part(site, value, written.over)
        carried = {name: site.stand_in(start.value.type) for name, start in starts.items()}
        for name, value in carried.items():
            with computing(frame, written):
                value = value if cut is None else _cut(site, value, cut)
            frame.names[name] = Tensor(value, starts[name].labels, starts[name].bound)
        entered = {name: frame.names[name] for name in carried}
        block(frame, written.body)
        mask = None if kept is None else _part(site, kept, written.over)
        nexts = {one.name: _next(frame, one, entered[one.name], mask) for one in written.carries}
    told = Scanned(
        axis=axis,
        scanned={n: v.labels.index(written.over) for n, v in before.items() if _has(v, written.over)},
        ranks={name: start.rank for name, start in starts.items()},
        kept=None if kept is None else kept.labels.index(written.over),
        kept_rank=0 if kept is None else kept.rank - 1,
        draws=sum(machine.uses.values()) > drawn,
    )
    notice(frame, written, told)
    body = tape.lift(since, site.made)
    gone = {*site.made, *(node.name for node in body)}
    machine.named = {path: one for path, one in {**machine.named, **named}.items() if one.value.name not in gone}
    inside = assigned(written.body) - set(before) - set(carried) - set(frame.dims)
    frame.names = before | {name: Absent(name, "", written.over) for name in sorted(inside)}
    with computing(frame, written):
        first = [starts[name].value for name in carried]
        last = [nexts[name].value for name in carried]
        made = _sequences(site, body, first, list(carried.values()), last, written.back)
    for name in site.made:
        del tape.values[name]
    for name, sequence in zip(carried, made, strict=True):
        with computing(frame, written):
            whole = _whole(sequence, nexts[name], starts[name], written.over, axis)
        set_carried(frame, name, whole, written)


def _has(value: Any, over: str) -> bool:
    return isinstance(value, Tensor) and over in value.labels


def set_carried(frame: Frame, name: str, value: Tensor, part: Part) -> None:
    """Binds a carried name to its next value. Raises ``ProblemError`` where a dim has that name."""
    if name in frame.dims:
        frame.fail(BoundTwice, part, name=name, first="dim", second="tensor")
    frame.names[name] = value
    frame.remember(name, value)


@contextmanager
def _inside(scans: list[Any], site: Site) -> Iterator[None]:
    scans.append(site)
    try:
        yield
    finally:
        scans.pop()


# ---- the head


def _steps(frame: Frame, written: Scan) -> tuple[Dim, int]:
    """How many steps there are, and where the scanned tensors have them."""
    over = written.over
    having = [v for v in frame.names.values() if isinstance(v, Tensor) and over in v.labels]
    if not having and over not in frame.dims:
        labels = dict.fromkeys(
            label
            for v in frame.names.values()
            if isinstance(v, Tensor)
            for label in v.labels
            if label and label.isidentifier()
        )
        listed = (
            f"the dims here are: {', '.join(labels)}" if labels else "give the input a dim of that name: x: [b, t, n]"
        )
        frame.fail(NothingToScan, _head(written), name=over, near=perhaps(over, labels, listed))
    if not written.carries:
        frame.fail(CarriesNothing, _head(written), over=over)
    if not having:
        return frame.dims[over], 0
    axis = having[0].labels.index(over)
    return having[0].dims[axis], axis


def _head(written: Scan) -> Part:
    """Its first word."""
    return Part(span=_first_word(written.span))


def _first_word(span: Span) -> Span:
    return span.model_copy(update={"end_line": span.line, "end_column": span.column + len("scan")})


def _refuse_returns(frame: Frame, written: Scan) -> None:
    found = next((s for s in written.body if may_return(s)), None)
    if found is not None:
        way = f"return it below the scan: there it is the whole sequence, and last(h, over = {written.over}) its end"
        frame.fail(OutOfPlace, found, what="`return` inside a scan", way=way)


def _every(frame: Frame, written: Scan) -> int | None:
    """`cut 32`."""
    if written.cut is None:
        return None
    value = evaluate(frame, written.cut)
    if not isinstance(value, int) or isinstance(value, bool):
        way = "write a number, a setting or a param: after so many steps no gradient passes"
        frame.fail(NotKnownNow, written.cut, what="how often the gradient is cut", way=way)
    if value < 1:
        frame.fail(NotThatKind, written.cut, wanted="a number of steps from 1 up", found=kind(value))
    return value


def _kept(frame: Frame, written: Scan) -> Tensor | None:
    """`where kept`: a truth for each step of each row."""
    if written.where is None:
        return None
    value = evaluate(frame, written.where)
    if not isinstance(value, Tensor) or written.over not in value.labels:
        found = f"of the dims {shape_text(value.dims)}" if isinstance(value, Tensor) else kind(value)
        frame.fail(HasNoSteps, written.where, what="what stands after `where`", over=written.over, found=found)
    if value.value.dtype != "bool":
        facts = {"wanted": "yes or no for each step", "found": "a tensor of numbers"}
        frame.fail(NotThatKind, written.where, **facts, way=f"compare: scan over {written.over} where token != pad")
    if _always(value.value):
        return None
    with computing(frame, written.where):
        return tensor(frame.machine.tape, value, "bool")


def _always(value: Value) -> bool:
    """Whether this is `yes` everywhere."""
    wide = value.tape.node(value)
    if wide is None or wide.op != "expand":
        return False
    one = value.tape.node(value.tape.values[wide.inputs[0]])
    return one is not None and one.op == "literal" and one.attributes["value"] is True


def _starts(frame: Frame, written: Scan) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for one in written.carries:
        frame.left = one.name
        value = evaluate(frame, one.start)
        if not isinstance(value, Tensor | int | float):
            way = "as many numbers as a step gives back: zeros[b, 8]"
            frame.fail(NotThatKind, one.start, wanted=f"the first value of `{one.name}`", found=kind(value), way=way)
        with computing(frame, one.start):
            is_typed = isinstance(value, Tensor | bool)
            found[one.name] = tensor(frame.machine.tape, value, None if is_typed else "f32")
        frame.left = ""
    return found


# ---- a step


def _part(site: Site, whole: Tensor, over: str) -> Tensor:
    axis = whole.labels.index(over)
    labels = (*whole.labels[:axis], *whole.labels[axis + 1 :])
    return Tensor(site.part(whole.value, axis), labels, whole.bound)


def _cut(site: Site, value: Value, every: int) -> Value:
    """What is carried; every so many steps without its gradient."""
    if not value.type.is_float:
        return value
    tape = value.tape
    place = tape.add("iota", dim=site.length)
    first = tape.add("eq", tape.add("mod", place, tape.literal(every, "i64")), tape.literal(0, "i64"))
    return tape.add("select", site.part(first, 0), tape.add("stop", value), value)


def _next(frame: Frame, carry: Carry, before: Tensor, kept: Tensor | None) -> Tensor:
    """The next value of a carried name."""
    made = frame.names[carry.name]
    if made is before:
        frame.fail(NeverCarried, carry, name=carry.name)
    tape = frame.machine.tape
    if not isinstance(made, Tensor | int | float):
        frame.fail(NotThatKind, carry, wanted=f"a tensor for `{carry.name}`", found=kind(made))
    with computing(frame, carry):
        made = tensor(tape, made, before.value.dtype if not isinstance(made, Tensor) else None)
        if made.value.dtype != before.value.dtype and before.value.type.is_float:
            made = tensor(tape, made, before.value.dtype)
        if made.rank < before.rank:
            made = Tensor(made.value.expand(before.dims), before.labels, made.bound)
        if made.value.type != before.value.type:
            _refuse_change(frame, carry, before, made)
        if kept is not None:
            chosen = elementwise(tape, "select", _beside(kept, made), made, before)
            made = Tensor(chosen.value, made.labels, made.bound)
            if made.value.type != before.value.type:
                _refuse_change(frame, carry, before, made)
    return made


def _beside(kept: Tensor, value: Tensor) -> Tensor:
    """One truth for each row beside what is carried: by its labels, else row by row from the first dim."""
    if all(label is not None and label in value.labels for label in kept.labels):
        return kept
    if kept.dims != value.dims[: kept.rank]:
        return kept
    return Tensor(kept.value.reshape((*kept.dims, *(1,) * (value.rank - kept.rank))), value.labels)


def _refuse_change(frame: Frame, carry: Carry, before: Tensor, made: Tensor) -> None:
    one, other = shape_text(before.dims), shape_text(made.dims)
    way = f"give it the size from the start: {carry.name} = zeros{other}"
    if one == other:
        one, other = f"{_word(before)}{one}", f"{_word(made)}{other}"
        way = f"start with a value of that kind, or convert the next one: {_word(before) or 'real'}(…)"
    frame.fail(CarriedChanges, carry, name=carry.name, before=one, after=other, way=way)


def _word(value: Tensor) -> str:
    return "bool" if value.value.dtype == "bool" else "" if value.value.type.is_float else "int"


def _refuse_lost(frame: Frame, written: Scan, before: dict[str, Any]) -> None:
    """A tensor from before the scan that a step changes as if it were carried."""
    carried = {one.name for one in written.carries}
    bound: set[str] = set()
    for statement in _flat(written.body):
        for target in statement.targets:
            old = before.get(target.name)
            whole = isinstance(old, Tensor) and written.over not in old.labels and target.name not in frame.states
            if whole and target.name not in carried | bound and any(_reads(v, target.name) for v in statement.values):
                frame.fail(LostInside, statement, name=target.name, over=written.over)
            bound.add(target.name)


def _flat(body: tuple[Statement, ...]) -> Iterator[Assign]:
    for statement in body:
        if isinstance(statement, Assign):
            yield statement
        elif isinstance(statement, If | When):
            yield from _flat(statement.then)
            yield from _flat(statement.otherwise)


def _reads(expression: Expression, name: str) -> bool:
    return name in names_in(expression)


# ---- from the tape to the steps


def _sequences(
    site: Site, body: list[Node], starts: list[Value], carried: list[Value], nexts: list[Value], back: bool
) -> list[Value]:
    """What is carried out of all steps, dims [steps, …], from the operations of the body."""
    tape = site.frame.machine.tape
    steps = Steps(tape, site.length, back)
    known = {value.name: steps.carry(start) for value, start in zip(carried, starts, strict=True)}

    def inner(name: str) -> Value:
        if name not in known and name in site.parts:
            whole, axis = site.parts[name]
            order = (axis, *(i for i in range(whole.type.rank) if i != axis))
            known[name] = steps.slice(whole.transpose(order))
        elif name not in known:
            known[name] = steps.given(tape.values[name])
        return known[name]

    for node in body:
        inputs = [inner(name) for name in node.inputs]
        with steps.tape.at(node.at):
            known[node.name] = steps.tape.add(node.op, *inputs, **node.attributes)
    for one, value in zip(steps.carried, nexts, strict=True):
        one.next = inner(value.name)
    return [steps.sequence(inner(value.name)) for value in nexts]


def _whole(sequence: Value, one: Tensor, start: Tensor, over: str, axis: int) -> Tensor:
    """A sequence with its steps where the scanned tensors have them."""
    axis = min(axis, one.rank)
    order = (*range(1, axis + 1), 0, *range(axis + 1, one.rank + 1))
    labels: list[Label] = [a or b for a, b in zip(one.labels, start.labels, strict=True)]
    labels = [None if label == over or label in labels[:i] else label for i, label in enumerate(labels)]
    return Tensor(sequence.transpose(order), (*labels[:axis], over, *labels[axis:]), one.bound)
