"""Statements: each changes what the names of its definition stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dotnn.elaborate import calls, expressions, types
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.machine import MOST_LINES, MOST_TURNS
from dotnn.elaborate.problems import (
    BoundTwice,
    NotKnownNow,
    NotThatKind,
    NotYet,
    OutOfPlace,
    RequireFailed,
    SizesDiffer,
    StateOutside,
    TooLarge,
    WrongCount,
)
from dotnn.elaborate.values import Absent, Bound, Interval, Known, Label, Shape, Tensor, kind
from dotnn.graph import Dim
from dotnn.operation import shape_text
from dotnn.spec import (
    Assign,
    Cell,
    Expression,
    If,
    Part,
    Repeat,
    Require,
    Return,
    State,
    Statement,
    Weight,
    When,
)
from dotnn.tape import Value


def block(frame: Frame, body: Sequence[Statement]) -> None:
    """Builds each statement in turn, up to a `return`."""
    for number, statement in enumerate(body):
        if frame.results is not None and body[number - 1].kind != "return":
            return
        if frame.results is not None:
            frame.machine.fail(
                OutOfPlace,
                statement,
                frame.scope,
                what="a line after `return`",
                way="`return` ends a definition: move it down",
            )
        frame.machine.lines += 1
        _refuse_many(frame, statement, frame.machine.lines)
        frame.left = ""
        _RULES[statement.kind](frame, statement)
        frame.left = ""


def _refuse_many(frame: Frame, part: Part, lines: int) -> None:
    if lines > MOST_LINES:
        what = "lines of this spec, each repeated one counted as often as it is repeated"
        frame.machine.fail(TooLarge, part, frame.scope, what=what, count=f"{lines:,}", limit=f"{MOST_LINES:,}")


# ---- names


def _assign(frame: Frame, assign: Assign) -> None:
    if assign.binders or any(target.indices for target in assign.targets):
        way = (
            "an index equation sums and reorders dims by their names; `fold`, `sum(…, over = …)` and `@` are there now"
        )
        frame.machine.fail(NotYet, assign, frame.scope, what="an index equation", way=way)
    frame.left = assign.targets[0].name
    values: list[Any] = []
    for expression in assign.values:
        value = expressions.evaluate(frame, expression)
        several = isinstance(value, tuple) and (len(assign.targets) > 1 or any(isinstance(v, Tensor) for v in value))
        values.extend(value if several else [value])
    if len(values) != len(assign.targets):
        left, right = _count(len(assign.targets), "name"), _count(len(values), "value")
        left, right = f"{left} on the left", f"{right} on the right"
        frame.machine.fail(WrongCount, assign, frame.scope, left=left, right=right)
    for target, value in zip(assign.targets, values, strict=True):
        set_name(frame, target.name, value, target)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def set_name(frame: Frame, name: str, value: Any, part: Part) -> None:
    """Binds a name; a state's new value becomes its successor."""
    if name in frame.dims:
        second = "tensor" if isinstance(value, Tensor) else "name for something else"
        frame.machine.fail(BoundTwice, part, frame.scope, name=name, first="dim", second=second)
    if name in frame.states:
        value = _successor(frame, name, value, part)
    frame.names[name] = value


def _successor(frame: Frame, name: str, value: Any, part: Part) -> Tensor:
    machine, path = frame.machine, frame.states[name]
    is_layer = frame.known is not None and frame.known.definition.word != "optimizer"
    if is_layer and not frame.in_training:
        machine.fail(StateOutside, part, frame.scope, name=name)
    before = frame.names[name]
    with expressions.computing(frame, part):
        made = tensor(machine.tape, value, "f32")
    if made.dims != before.dims:
        clash = f"it was {shape_text(before.dims)}"
        machine.fail(
            SizesDiffer,
            part,
            frame.scope,
            name=f"`{name}`",
            wanted=shape_text(before.dims),
            found=shape_text(made.dims),
            clash=clash,
        )
    # What a state holds does not carry a gradient from one step to the next, only within this one.
    machine.successors[path] = made
    return made


# ---- weights and states


def _weight(frame: Frame, weight: Weight) -> None:
    if frame.instance is None:
        way = "only layers and nets own weights; make this a layer"
        frame.machine.fail(OutOfPlace, weight, frame.scope, what="a weight", way=way)
    if _is_slot(frame):
        way = "what an optimizer remembers from step to step is a state: state m = 0"
        frame.machine.fail(OutOfPlace, weight, frame.scope, what="a weight of an optimizer", way=way)
    dims, labels = types.dims_of(frame, weight.type)
    fixed = _fixed(frame, dims, weight, f"the size of the weight `{weight.name}`")
    _cell(frame, weight.name, fixed, labels, True, weight.init, weight)


def _state(frame: Frame, state: State) -> None:
    for cell in state.cells:
        dims, labels = _cell_dims(frame, cell)
        _cell(frame, cell.name, dims, labels, False, cell.init, cell)
        frame.states[cell.name] = _state_path(frame, cell.name)


def _state_path(frame: Frame, name: str) -> str:
    assert frame.instance is not None
    return frame.instance.path + (":" if _is_slot(frame) else ".") + _local(frame, name)


def _is_slot(frame: Frame) -> bool:
    return frame.known is not None and frame.known.definition.word == "optimizer"


def _local(frame: Frame, name: str) -> str:
    if _is_slot(frame):
        assert frame.known is not None
        return f"{frame.known.name}.{name}"
    return f"{frame.turns}.{name}" if frame.turns else name


def _cell_dims(frame: Frame, cell: Cell) -> tuple[tuple[Dim, ...], tuple[Label, ...]]:
    if cell.type is not None:
        dims, labels = types.dims_of(frame, cell.type)
        return _fixed(frame, dims, cell, f"the size of the state `{cell.name}`"), labels
    if _is_slot(frame):
        weight = frame.names[frame.known.definition.inputs[0].name]  # type: ignore[union-attr]
        return weight.dims, weight.labels
    return (), ()


def _fixed(frame: Frame, dims: Iterable[Dim], part: Part, what: str) -> tuple[Dim, ...]:
    fixed = tuple(dims)
    if any(not isinstance(d, int) for d in fixed):
        way = "weights and states have the same size in every batch: `b` is not one of their dims"
        because = "the batch's size is known only when the graph runs"
        frame.machine.fail(NotKnownNow, part, frame.scope, what=what, way=way, because=because)
    return fixed


def _cell(
    frame: Frame,
    name: str,
    dims: tuple[Dim, ...],
    labels: tuple[Label, ...],
    learned: bool,
    init: Expression,
    part: Part,
) -> None:
    """Binds a weight or state. An instance that runs again finds what it has."""
    instance, machine = frame.instance, frame.machine
    if instance is None:
        frame.machine.fail(
            OutOfPlace, part, frame.scope, what="a state", way="only layers, nets and optimizers have states"
        )
    path = _state_path(frame, name)
    if path in instance.cells:
        found = machine.successors.get(path, instance.cells[path])
        if found.dims != dims:
            clash = f"it is {shape_text(found.dims)} already, for this layer is shared"
            machine.fail(
                SizesDiffer,
                part,
                frame.scope,
                name=f"`{name}`",
                wanted=shape_text(found.dims),
                found=shape_text(dims),
                clash=clash,
            )
        _bind_cell(frame, name, Tensor(found.value, labels), path)
        return
    of_another_turn = frame.cells.get(name, path) != path and frame.turns
    if (name in frame.names and not of_another_turn) or name in frame.dims:
        first = "dim" if name in frame.dims else "tensor" if isinstance(frame.names[name], Tensor) else "name"
        machine.fail(BoundTwice, part, frame.scope, name=name, first=first, second="weight" if learned else "state")

    def start() -> Value:
        return _first(frame, Shape(dims, labels), init, path)

    frame.left = name
    with machine.tape.at(machine.place(part.span, frame.scope, path)):
        instance.cells[path] = machine.cell(path, dims, labels, learned, start, part, frame.scope)
    _bind_cell(frame, name, instance.cells[path], path)


def _bind_cell(frame: Frame, name: str, cell: Tensor, path: str) -> None:
    frame.names[name] = cell
    frame.cells[name] = path


def _first(frame: Frame, shape: Shape, init: Expression, path: str) -> Value:
    """The first value of a weight or state: what its initialiser gives for its shape, or a number everywhere."""
    value = expressions.evaluate(frame, init)
    if isinstance(value, Known | Bound):
        value = calls.shaped(frame, value, shape, init)
    with expressions.computing(frame, init):
        if not isinstance(value, Tensor | int | float):
            found = kind(value)
            frame.machine.fail(NotThatKind, init, frame.scope, wanted="an initialiser or a number", found=found)
        made = tensor(frame.machine.tape, value, "f32")
        return made.value.expand(shape.dims)


# ---- what is decided while building


def _repeat(frame: Frame, repeat: Repeat) -> None:
    value = expressions.evaluate(frame, repeat.range)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Interval(0, value)
    if not isinstance(value, Interval) or not isinstance(value.stop, int):
        way = "a repeat is written out, so its number of turns is a number, a setting or a param"
        frame.machine.fail(NotKnownNow, repeat.range, frame.scope, what="how often this repeats", way=way)
    machine, before = frame.machine, frame.machine.turns
    machine.turns = before * max(value.stop - value.start, 1)
    if machine.turns > MOST_TURNS:
        what = "turns of this repeat" if before == 1 else "turns of this repeat, with those around it"
        machine.fail(
            TooLarge, repeat.range, frame.scope, what=what, count=f"{machine.turns:,}", limit=f"{MOST_TURNS:,}"
        )
    outer, shadowed = frame.turns, frame.names.get(repeat.name or "")
    start = machine.lines
    for turn in range(value.start, value.stop):
        if turn == value.start + 2:  # what two turns took shows what all will take
            _refuse_many(frame, repeat.range, start + (machine.lines - start) * (value.stop - value.start) // 2)
        here = f"{repeat.name or 'repeat'}[{turn}]"
        frame.turns = f"{outer}.{here}" if outer else here
        if repeat.name:
            set_name(frame, repeat.name, turn, repeat.range)
        block(frame, repeat.body)
    frame.turns, machine.turns = outer, before
    if repeat.name:
        frame.names.pop(repeat.name, None)
        if shadowed is not None:
            frame.names[repeat.name] = shadowed


def _if(frame: Frame, statement: If) -> None:
    block(
        frame, statement.then if _decided(frame, statement.condition, "the condition of `if`") else statement.otherwise
    )


def _decided(frame: Frame, condition: Expression, what: str) -> bool:
    value = expressions.evaluate(frame, condition)
    if isinstance(value, bool):
        return value
    if isinstance(value, Tensor):
        way = "to choose number by number write `a if c else b`"
        frame.machine.fail(NotKnownNow, condition, frame.scope, what=what, way=way)
    return frame.machine.fail(
        NotThatKind, condition, frame.scope, wanted="yes or no", found=kind(value), way="compare: n == 1"
    )


def _when(frame: Frame, when: When) -> None:
    if when.phase != "training":
        frame.machine.fail(
            OutOfPlace,
            when,
            frame.scope,
            what=f"`when {when.phase}`",
            way="there is one phase to ask for: `when training`",
        )
    training = frame.machine.training
    outer, frame.in_training = frame.in_training, training
    block(frame, when.then if training else when.otherwise)
    frame.in_training = outer
    phase = "while training" if training else "outside of training"
    for name in sorted(_assigned(when.otherwise if training else when.then)):
        if name not in frame.names and name not in frame.dims:
            frame.names[name] = Absent(name, phase)


def _assigned(body: Sequence[Statement]) -> set[str]:
    names: set[str] = set()
    for statement in body:
        match statement:
            case Assign():
                names |= {target.name for target in statement.targets}
            case Repeat():
                names |= _assigned(statement.body)
            case If() | When():
                names |= _assigned(statement.then) | _assigned(statement.otherwise)
    return names


def _require(frame: Frame, require: Require) -> None:
    if not _decided(frame, require.condition, "what `require` asks for"):
        message = re.sub(r"\{(\w+)\}", lambda m: _fact(frame, m[1]), require.message)
        frame.machine.fail(
            RequireFailed,
            frame.machine.calls[-1].span if frame.machine.calls else require,
            frame.scope if not frame.machine.calls else frame.machine.calls[-1].scope,
            message=message,
        )


def _fact(frame: Frame, name: str) -> str:
    if name in frame.dims:
        return str(frame.dims[name])
    value = frame.names.get(name, frame.machine.params.get(name) if frame.scope != "std" else None)
    return shape_text(value.dims) if isinstance(value, Tensor) else f"{{{name}}}" if value is None else str(value)


def _return(frame: Frame, statement: Return) -> None:
    values: list[Any] = []
    for expression in statement.values:
        value = expressions.evaluate(frame, expression)
        values.extend(value if isinstance(value, tuple) else [value])
    frame.results = tuple(values)


_RULES: dict[str, Callable[[Frame, Any], None]] = {
    "assign": _assign,
    "weight": _weight,
    "state": _state,
    "repeat": _repeat,
    "if": _if,
    "when": _when,
    "require": _require,
    "return": _return,
}
