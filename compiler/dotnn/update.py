"""Update: the gradients become the weights' next values, by an optimizer that is text like everything else."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from dotnn.differentiate import GRADIENT
from dotnn.elaborate.arguments import Given
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.calls import bind, by_name, final_names
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import NotKnownNow, NotThatKind
from dotnn.elaborate.values import Bound, Instance, Known, Phase, Scheduled, Sequence, Tensor, kind, plain
from dotnn.graph import Graph
from dotnn.operation import shape_text
from dotnn.read.text import heading
from dotnn.spec import Part, Train
from dotnn.tape import Tape, Value
from dotnn_grammar.problems import Problem, perhaps


class NothingMatches(Problem):
    code = "B040"
    title = "no weight matches `{pattern}`"
    label = "matches nothing"
    help = "{near}"
    pattern: str
    near: str


class NotAnUpdate(Problem):
    code = "B041"
    title = "the optimizer `{name}` {fault}"
    label = "{name} is written here"
    help = "{way}"
    name: str
    fault: str
    way: str


@dataclass(frozen=True)
class Clock:
    """How far training is: ``step`` counts from 1; ``steps`` is how many there will be, ``epoch`` how many make one."""

    step: Value
    steps: int
    epoch: int


def slots(machine: Machine, train: Train, weights: dict[str, Tensor]) -> None:
    """In the phase `init`: the first value of everything that the optimizer remembers."""
    frame = Frame(machine, USER, "")
    optimizer = _optimizer(frame, train)
    clock = Clock(plain(machine.tape.literal(1, "i64")).value, 1, 1)
    settings = {name: _at(frame, value, clock, train.optimizer) for name, value in optimizer.settings.items()}
    for path, weight in weights.items():
        gradient = machine.tape.fill(0, weight.value.type)
        _step(frame, optimizer, settings, path, plain(weight.value), plain(gradient), train)
    machine.tape.output("step", machine.tape.literal(0, "i64"), "state")


def update(graph: Graph, machine: Machine, train: Train, steps: int, epoch: int) -> Graph:
    """The graph with `NAME.next` for each weight and slot, in place of its gradients; with `norm`, `rate`, `finite`.

    machine: the one whose tape the forward pass was written on; its library and states are used, its tape is replaced.
    steps: how many there will be; epoch: how many make an epoch.
    """
    tape = machine.tape = Tape.of(graph.model_copy(update={"outputs": ()}))
    machine.instances = {}
    values = {o.name: tape.values[o.value] for o in graph.outputs}
    kept = [o for o in graph.outputs if not o.name.startswith(GRADIENT)]
    weights = {i.name: tape.values[i.name] for i in graph.inputs if i.learned}
    gradients = {name: values[GRADIENT + name] for name in weights}
    norm = _norm(list(gradients.values()))
    step = machine.clock() + 1

    frame = Frame(machine, USER, "")
    optimizer = _optimizer(frame, train)
    clock = Clock(step, steps, epoch)
    with tape.at(machine.place(train.optimizer.span, USER, "")):
        settings = {name: _at(frame, value, clock, train.optimizer) for name, value in optimizer.settings.items()}
        gradients = _clipped(frame, train, gradients, norm)
        gradients = _decayed(frame, train, weights, gradients)
        successors: dict[str, Value] = {}
        for path, weight in weights.items():
            place = next(i.at for i in graph.inputs if i.name == path)
            with tape.at(place):
                successors |= _step(frame, optimizer, settings, path, plain(weight), plain(gradients[path]), train)
        successors["step"] = step
        for output in kept:
            tape.output(output.name, values[output.name], output.role)
        for fed in list(tape.inputs):
            if fed.role == "state" and not any(o.name == f"{fed.name}.next" for o in kept):
                tape.output(f"{fed.name}.next", successors.get(fed.name, tape.values[fed.name]), "state")
        tape.output("norm", norm, "norm")
        rate = next(iter(settings.values()), None)
        tape.output("rate", tensor(tape, rate if isinstance(rate, Tensor | int | float) else 0.0, "f32").value, "rate")
        loss = values["loss"]
        tape.output("finite", tape.add("and", _is_finite(loss), _is_finite(norm)), "finite")
    return tape.graph()


def _is_finite(x: Value) -> Value:
    """x - x is 0 for every number but the infinite ones and those that are none."""
    return x.tape.add("eq", x - x, x.tape.literal(0, x.dtype))


def _norm(gradients: list[Value]) -> Value:
    """The length of all gradients taken as one vector."""
    total = (gradients[0] * gradients[0]).sum()
    for gradient in gradients[1:]:
        total = total + (gradient * gradient).sum()
    return total.tape.add("sqrt", total)


def _clipped(frame: Frame, train: Train, gradients: dict[str, Value], norm: Value) -> dict[str, Value]:
    """`clip norm c`: shortened together to the length c where they are longer."""
    if train.clip is None:
        return gradients
    most = evaluate(frame, train.clip)
    if isinstance(most, bool) or not isinstance(most, int | float) or most <= 0:
        frame.machine.fail(NotThatKind, train.clip, USER, wanted="a number above 0", found=kind(most))
    tape = norm.tape
    with computing(frame, train.clip):
        length = tensor(tape, most, "f32").value
    factor = tape.add("minimum", length / tape.add("maximum", norm, length), tape.literal(1))
    return {path: gradient * factor for path, gradient in gradients.items()}


def _decayed(frame: Frame, train: Train, weights: dict[str, Value], gradients: dict[str, Value]) -> dict[str, Value]:
    """`decay r for PATTERN`: r * w is added to the gradient of each weight whose path matches."""
    made = dict(gradients)
    for decay in train.decays:
        rate = evaluate(frame, decay.rate)
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            frame.machine.fail(NotThatKind, decay.rate, USER, wanted="a number", found=kind(rate))
        matching = [path for path in weights if fnmatchcase(path, _glob(decay.pattern))]
        if not matching:
            near = perhaps(decay.pattern, weights, f"the weights are {', '.join(weights)}")
            raise NothingMatches(span=decay.span, pattern=decay.pattern, near=near).error()
        with computing(frame, decay.rate):
            factor = tensor(frame.machine.tape, rate, "f32").value
        for path in matching:
            made[path] = made[path] + weights[path] * factor
    return made


def _glob(pattern: str) -> str:
    """`*` stands for anything; brackets for themselves."""
    return "".join(f"[{c}]" if c in "[?" else c for c in pattern)


def _optimizer(frame: Frame, train: Train) -> Bound:
    """What the `optimizer` line names, with its settings."""
    value = evaluate(frame, train.optimizer)
    if isinstance(value, Known) and value.definition.word == "optimizer":
        value = bind(frame, value, (), train.optimizer, None)
    if not isinstance(value, Bound) or value.known.definition.word != "optimizer":
        way = "write its name and its settings, NAME(lr = 1e-3); it may be one of your own"
        frame.machine.fail(NotThatKind, train.optimizer, USER, wanted="an optimizer", found=kind(value), way=way)
    if len(value.known.definition.inputs) != 2:
        fault = f"takes {len(value.known.definition.inputs)} names in its second list, and it is given two"
        _refuse(frame, value, fault, "its second list is the weight and its gradient, in this order: (w, g)")
    return value


def _refuse(frame: Frame, optimizer: Bound, fault: str, way: str) -> NoReturn:
    name, definition = optimizer.known.name, optimizer.known.definition
    frame.machine.fail(NotAnUpdate, heading(definition), USER, name=name, fault=fault, way=way)


def _step(
    frame: Frame, optimizer: Bound, settings: dict[str, Any], path: str, weight: Tensor, gradient: Tensor, train: Train
) -> dict[str, Value]:
    """One weight's update: the optimizer's body, with `w` and `g` in place. Gives what the weight and slots become."""
    machine = frame.machine
    inputs = optimizer.known.definition.inputs
    given: Given = [(None, weight, train.optimizer), (None, gradient, train.optimizer)]
    own = {**settings, "step": settings_step(frame)}
    before = set(machine.successors)
    final = final_names(frame, optimizer.known, own, Instance(path), given, train.optimizer)
    new = {name: machine.successors[name].value for name in machine.successors if name not in before}
    name, after = inputs[0].name, final[inputs[0].name]
    if after is weight:
        _refuse(frame, optimizer, f"never gives `{name}` a new value", f"assign it: {name} = {name} - …")
    if not isinstance(after, Tensor) or after.dims != weight.dims:
        found = shape_text(after.dims) if isinstance(after, Tensor) else kind(after)
        way = f"a weight keeps its size; this one, `{path}`, is {shape_text(weight.dims)}"
        _refuse(frame, optimizer, f"makes {found} of `{name}`", way)
    new[path] = after.value.cast("f32")
    return new


def settings_step(frame: Frame) -> Tensor:
    """`step` inside an optimizer: counts from 1, in double precision, for `1 - b^step` to be exact enough."""
    machine = frame.machine
    if machine.phase == "init":
        return plain(machine.tape.literal(1.0, "f64"))
    return plain((machine.clock() + 1).cast("f64"))


# ---- schedules


def _at(frame: Frame, value: Any, clock: Clock, part: Part) -> Any:
    """A setting at this step: a schedule gives its value, anything else is itself."""
    if isinstance(value, Known) and value.curried and value.definition.word == "function":
        value = bind(frame, value, (), part, None)
    if isinstance(value, Bound) and value.known.definition.word == "function":
        value = Sequence((Phase(value),))
    if not isinstance(value, Sequence):
        return value
    made = _phases(frame, value.phases, 0, clock, part)
    return Scheduled(made.value, made.labels, made.bound) if isinstance(made, Tensor) else made


def _phases(frame: Frame, phases: tuple[Phase, ...], start: int, clock: Clock, part: Part) -> Any:
    """The value of the first phase until it ends, then that of the others. ``start``: steps before the first."""
    first, rest = phases[0], phases[1:]
    lasts = _lasts(frame, first, start, clock, part)
    if rest and lasts is None:
        way = "say how long it lasts: a setting `lasts`, or `until epoch 10` after it"
        what, because = "the end of a schedule that another follows", "the first of these has no end of its own"
        frame.machine.fail(NotKnownNow, part, USER, what=what, because=because, way=way)
    length = lasts if lasts is not None else max(clock.steps - start, 1)
    tape = clock.step.tape
    after = _first(frame, rest, start + length, clock, part) if rest else None
    mine = _value(frame, first.value, plain((clock.step - start).cast("f64")), max(length, 1), after, part)
    if not rest:
        return mine
    others = _phases(frame, rest, start + length, clock, part)
    here, there = tensor(tape, mine, "f64").value, tensor(tape, others, "f64").value
    return plain(tape.add("select", clock.step <= start + length, here, there))


def _first(frame: Frame, phases: tuple[Phase, ...], start: int, clock: Clock, part: Part) -> Any:
    """The value of a phase at its first step."""
    lasts = _lasts(frame, phases[0], start, clock, part)
    length = lasts if lasts is not None else max(clock.steps - start, 1)
    after = _first(frame, phases[1:], start + length, clock, part) if phases[1:] else None
    return _value(frame, phases[0].value, plain(clock.step.tape.literal(1.0, "f64")), max(length, 1), after, part)


def _lasts(frame: Frame, phase: Phase, start: int, clock: Clock, part: Part) -> int | None:
    """How many steps a phase lasts that begins after ``start`` steps; None: to the end."""
    if phase.until is not None:
        return max(phase.until * (clock.epoch if phase.unit == "epoch" else 1) - start, 0)
    lasts = phase.value.settings.get("lasts") if isinstance(phase.value, Bound) else None
    if lasts is not None and (not isinstance(lasts, int) or isinstance(lasts, bool) or lasts < 1):
        frame.machine.fail(NotThatKind, part, USER, wanted="a number of steps for `lasts`", found=kind(lasts))
    return lasts


def _value(frame: Frame, value: Any, step: Tensor, steps: int, after: Any, part: Part) -> Any:
    if isinstance(value, Known) and value.curried:
        value = bind(frame, value, (), part, None)
    if not isinstance(value, Bound):
        return value
    facts = {"step": step, "steps": steps, **({} if after is None else {"after": after})}
    return by_name(frame, value, facts, part)
