"""Update: the gradients become the weights' next values, by an optimizer that is text like everything else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from dotnn.differentiate import GRADIENT
from dotnn.elaborate.arguments import Given
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.calls import bind, final_names
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import Bound, Instance, Known, Scheduled, Tensor, kind, plain
from dotnn.graph import Graph
from dotnn.operation import shape_text
from dotnn.plan import batches_of, every_of
from dotnn.read.text import heading
from dotnn.tape import Tape, Value
from dotnn.updates import average, gather, scaling
from dotnn.updates.patterns import last_of
from dotnn.updates.schedules import Clock, at_step, settings_of
from dotnn.updates.turns import STEP, Turn
from dotnn_grammar.problems import Problem


class NotAnUpdate(Problem):
    code = "B041"
    title = "the optimizer `{name}` {fault}"
    label = "{name} is written here"
    help = "{way}"
    name: str
    fault: str
    way: str


def slots(machine: Machine, moving: Sequence[tuple[Turn, Collection[str]]]) -> None:
    """In the phase `init`: the first value of everything that training remembers.

    moving: for each turn the weights that it moves.
    """
    tape, train = machine.tape, moving[0][0].train
    for turn, paths in moving:
        _slots(machine, turn, {path: weight for path, weight in machine.weights.items() if path in paths})
    if moving[0][0].name:
        tape.output(STEP, tape.literal(0, "i64"), "state")
    if batches_of(Frame(machine, USER, ""), train) > 1:
        tape.output(gather.BATCHES, tape.literal(0, "i64"), "state")
    averages = average.chosen(train, [p for p in machine.weights if any(p in paths for _, paths in moving)])
    average.begin(tape, averages)


def _slots(machine: Machine, turn: Turn, moving: Mapping[str, Tensor]) -> None:
    """What one turn remembers."""
    frame = Frame(machine, USER, turn.name)
    optimizer = _optimizer(frame, turn)
    clock = Clock(machine.tape.literal(1, "i64"), 1, 1, machine.tape.literal(0), 1)
    settings = settings_of(frame, optimizer, clock, turn.optimizer)
    rates = _rates(frame, turn, moving, clock)
    for path, weight in moving.items():
        gradient = machine.tape.fill(0, weight.value.type)
        own = _rated(machine.tape, settings, rates.get(path))
        _step(frame, optimizer, own, path, plain(weight.value), plain(gradient), turn)
    machine.tape.output(turn.state(STEP), machine.tape.literal(0, "i64"), "state")
    if batches_of(frame, turn.train) > 1:
        gather.begin(machine.tape, turn, {path: weight.value.type for path, weight in moving.items()})
    if turn.train.precision == "f16":
        scaling.begin(machine.tape, turn)


def update(graph: Graph, machine: Machine, turn: Turn, steps: int, epoch: int) -> Graph:
    """The graph with `NAME.next` for each weight and slot, in place of its gradients; with `norm`, `rate`, `finite`.

    machine: the one whose tape the forward pass was written on; its library and states are used, its tape is replaced.
    steps: how many batches there will be; epoch: how many make an epoch.
    """
    tape = machine.tape = Tape.of(graph.model_copy(update={"outputs": ()}))
    machine.instances = {}
    machine.counter = turn.state(STEP)
    train = turn.train
    values = {o.name: tape.values[o.value] for o in graph.outputs}
    kept = [o for o in graph.outputs if not o.name.startswith((GRADIENT, gather.PLACES))]
    weights = {i.name: tape.values[i.name] for i in graph.inputs if i.learned}
    gradients = {name: values[GRADIENT + name] for name in weights}
    loss = values["loss"]
    frame = Frame(machine, USER, turn.name)
    if train.precision == "f16":
        gradients = scaling.back(tape, turn, gradients)
    length = gather.Length(batches_of(frame, train), steps, epoch)
    gathered = gather.gather(tape, turn, length, loss, values.get(gather.PLACES), gradients)
    gradients = gathered.gradients
    norm = _norm(list(gradients.values()))
    step = machine.clock() + 1
    every = every_of(frame, turn.count)

    optimizer = _optimizer(frame, turn)
    clock = Clock(step, max(length.updates // every, 1), length.of_epoch, gathered.loss, gathered.rows, every)
    with tape.at(machine.place(turn.optimizer.span, USER, "")):
        before = set(machine.successors)
        settings = settings_of(frame, optimizer, clock, turn.optimizer)
        rates = _rates(frame, turn, machine.weights, clock)
        gradients = _clipped(frame, turn, gradients, norm)
        gradients = _decayed(frame, turn, weights, gradients)
        successors = {path: made.value for path, made in machine.successors.items() if path not in before}
        for path, weight in weights.items():
            place = next(i.at for i in graph.inputs if i.name == path)
            with tape.at(place):
                own = _rated(tape, settings, rates.get(path))
                new = _step(frame, optimizer, own, path, plain(weight), plain(gradients[path]), turn)
                successors |= _shortened(optimizer, path, weight, new, rates.get(path))
        successors[machine.counter] = step
        finite = tape.add("and", _is_finite(loss), _is_finite(norm))
        due = _due(machine, every)
        made = due if gathered.full is None else gathered.full if due is None else tape.add("and", gathered.full, due)
        if train.precision == "f16":
            scaled = scaling.judge(tape, turn, _is_finite(norm), made)
            made, finite = scaled.made, tape.add("and", _is_finite(loss), scaled.fine)
            gathered.successors.update(scaled.successors)
        if made is not None:
            successors = {path: tape.add("select", made, new, tape.values[path]) for path, new in successors.items()}
        successors |= gathered.successors
        if turn.name:  # what all turns share goes on, whether this one is taken or not
            shared = machine.clock(STEP)
            successors[STEP] = (
                shared + 1 if gathered.full is None else tape.add("select", gathered.full, shared + 1, shared)
            )
        for output in kept:
            value = values[output.name]
            if due is not None and output.role == "state":
                value = tape.add("select", due, value, tape.values[output.name.removesuffix(".next")])
            tape.output(output.name, value, output.role)
        for fed in list(tape.inputs):
            if fed.role == "state" and not any(o.name == f"{fed.name}.next" for o in kept):
                tape.output(f"{fed.name}.next", successors.get(fed.name, tape.values[fed.name]), "state")
        tape.output("norm", norm, "norm")
        rate = next(iter(settings.values()), None)
        tape.output("rate", tensor(tape, rate if isinstance(rate, Tensor | int | float) else 0.0, "f32").value, "rate")
        tape.output("finite", finite, "finite")
    return tape.graph()


def _due(machine: Machine, every: int) -> Value | None:
    """Whether a turn that is taken after so many batches only is taken now; None: it always is."""
    if every == 1:
        return None
    tape = machine.tape
    left = tape.add("mod", machine.clock(STEP) + 1, tape.literal(every, "i64"))
    return tape.add("eq", left, tape.literal(0, "i64"))


def _is_finite(x: Value) -> Value:
    """x - x is 0 for every number but the infinite ones and those that are none."""
    return x.tape.add("eq", x - x, x.tape.literal(0, x.dtype))


def _norm(gradients: list[Value]) -> Value:
    """The length of all gradients taken as one vector."""
    total = (gradients[0] * gradients[0]).sum()
    for gradient in gradients[1:]:
        total = total + (gradient * gradient).sum()
    return total.tape.add("sqrt", total)


def _clipped(frame: Frame, train: Turn, gradients: dict[str, Value], norm: Value) -> dict[str, Value]:
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


def _decayed(frame: Frame, train: Turn, weights: dict[str, Value], gradients: dict[str, Value]) -> dict[str, Value]:
    """`decay r for PATTERN`: r * w is added to the gradient of each weight whose path matches; the last line holds."""
    made = dict(gradients)
    chosen = last_of(train.decays, frame.machine.weights)
    for decay in train.decays:
        rate = evaluate(frame, decay.rate)
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            frame.machine.fail(NotThatKind, decay.rate, USER, wanted="a number", found=kind(rate))
        if rate < 0:
            way = "decay draws weights towards 0, usually by 1e-5 to 1e-2; below 0 it would drive them away from it"
            facts = {"wanted": "a number from 0 up", "found": f"{rate}", "way": way}
            frame.machine.fail(NotThatKind, decay.rate, USER, **facts)
        with computing(frame, decay.rate):
            factor = tensor(frame.machine.tape, rate, "f32").value
        for path in weights if rate else ():
            if chosen.get(path) is decay:
                made[path] = made[path] + weights[path] * factor
    return made


# ---- rates of their own


def _rates(frame: Frame, train: Turn, paths: Iterable[str], clock: Clock) -> dict[str, Any]:
    """`rate r for PATTERN`: for each weight whose path matches r, a number or a schedule at this step."""
    found: dict[str, Any] = {}
    chosen = last_of(train.rates, paths)
    for number, line in enumerate(train.rates):
        factor = at_step(frame, evaluate(frame, line.factor), clock, line.factor, f"rate[{number}]")
        if isinstance(factor, bool) or not isinstance(factor, Scheduled | int | float):
            frame.machine.fail(NotThatKind, line.factor, USER, wanted="a number or a schedule", found=kind(factor))
        if not isinstance(factor, Scheduled) and factor < 0:
            way = "1 is the optimizer's own rate, 0.1 a tenth of it; `freeze` holds weights where they are"
            facts = {"wanted": "a number from 0 up", "found": f"{factor}", "way": way}
            frame.machine.fail(NotThatKind, line.factor, USER, **facts)
        found |= {path: factor for path in chosen if chosen[path] is line}
    return found


RATE = "lr"
"""The setting of an optimizer that says how long its steps are."""


def _rated(tape: Tape, settings: dict[str, Any], factor: Any) -> dict[str, Any]:
    """The settings with a rate `factor` times as high, where the optimizer has a setting for it.

    So a weight moves exactly as with an optimizer of that rate: what the optimizer remembers, and what it does beside
    the gradient, follow its own formula.
    """
    rate = settings.get(RATE)
    if factor is None or rate is None:
        return settings
    if isinstance(rate, int | float) and isinstance(factor, int | float):
        return {**settings, RATE: rate * factor}
    product = tensor(tape, rate, "f64").value * tensor(tape, factor, "f64").value
    return {**settings, RATE: Scheduled(product, ())}


def _shortened(optimizer: Bound, path: str, weight: Value, new: dict[str, Value], factor: Any) -> dict[str, Value]:
    """Where the optimizer has no such setting: the way that the weight makes in this step, times `factor`."""
    if factor is None or RATE in optimizer.settings:
        return new
    part = tensor(weight.tape, factor, "f32").value
    return {**new, path: weight + (new[path] - weight) * part}


def _optimizer(frame: Frame, train: Turn) -> Bound:
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
    frame: Frame, optimizer: Bound, settings: dict[str, Any], path: str, weight: Tensor, gradient: Tensor, train: Turn
) -> dict[str, Value]:
    """One weight's update: the optimizer's body, with `w` and `g` in place. Gives what the weight and slots become."""
    machine = frame.machine
    inputs = optimizer.known.definition.inputs
    given: Given = [(None, weight, train.optimizer), (None, gradient, train.optimizer)]
    own = {**settings, "step": settings_step(frame)}
    before = set(machine.successors)
    final = final_names(frame, optimizer.known, own, Instance(train.of(path)), given, train.optimizer)
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
