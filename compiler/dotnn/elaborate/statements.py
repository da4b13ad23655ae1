"""Statements: each changes what the names of its definition stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dotnn.elaborate import types
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.calls import shaped
from dotnn.elaborate.equations import equation
from dotnn.elaborate.evaluate import STATEMENTS, Rule, block, computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import refuse_lines, refuse_turns
from dotnn.elaborate.library import STD
from dotnn.elaborate.problems import (
    BoundTwice,
    NotKnownNow,
    NotThatKind,
    OutOfPlace,
    RequireFailed,
    SizesDiffer,
    StateOutside,
    WrongCount,
)
from dotnn.elaborate.scan import StateInScan, scan
from dotnn.elaborate.values import Absent, Bound, Instance, Interval, Known, Shape, Tensor, kind
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
    Scan,
    State,
    Statement,
    TypeText,
    Weight,
    When,
)
from dotnn.tape import Value
from dotnn_grammar.problems import many

# ---- names


def _assign(frame: Frame, assign: Assign) -> None:
    if assign.binders or any(target.indices for target in assign.targets):
        _equations(frame, assign)
        return
    frame.left = assign.targets[0].name
    values: list[Any] = []
    for expression in assign.values:
        value = evaluate(frame, expression)
        several = isinstance(value, tuple) and (len(assign.targets) > 1 or any(isinstance(v, Tensor) for v in value))
        values.extend(value if several else [value])
    if len(values) != len(assign.targets):
        left, right = many(len(assign.targets), "name"), many(len(values), "value")
        left, right = f"{left} on the left", f"{right} on the right"
        frame.fail(WrongCount, assign, left=left, right=right)
    for target, value in zip(assign.targets, values, strict=True):
        set_name(frame, target.name, value, target)


def _equations(frame: Frame, assign: Assign) -> None:
    """`y[i] = …`: one equation for each name on the left."""
    for target in assign.targets:
        if not target.indices:
            way = f"write the dims of the result on the left: {target.name}[i, j] = …"
            frame.fail(OutOfPlace, target, what=f"`{target.name}` without subscripts in an index equation", way=way)
    if len(assign.values) != len(assign.targets):
        left, right = many(len(assign.targets), "equation"), many(len(assign.values), "value")
        frame.fail(WrongCount, assign, left=f"{left} on the left", right=f"{right} on the right")
    for target, value in zip(assign.targets, assign.values, strict=True):
        frame.left = target.name
        set_name(frame, target.name, equation(frame, target, value, assign.binders, assign), target)


def set_name(frame: Frame, name: str, value: Any, part: Part) -> None:
    """Binds a name; a state's new value becomes its successor."""
    if name in frame.dims:
        second = "tensor" if isinstance(value, Tensor) else "name for something else"
        frame.fail(BoundTwice, part, name=name, first="dim", second=second)
    if name in frame.states:
        value = _successor(frame, name, value, part)
    frame.names[name] = value
    frame.remember(name, value)


def _successor(frame: Frame, name: str, value: Any, part: Part) -> Tensor:
    machine, path = frame.machine, frame.states[name]
    is_layer = frame.known is not None and frame.known.definition.word in ("layer", "net")
    if is_layer and not frame.in_training:
        frame.fail(StateOutside, part, name=name)
    if machine.scans:
        frame.fail(StateInScan, part, name=name)
    before = frame.names[name]
    with computing(frame, part):
        made = tensor(machine.tape, value, "f32")
    if made.dims != before.dims:
        clash = f"it was {shape_text(before.dims)}"
        frame.fail(
            SizesDiffer,
            part,
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
        frame.fail(OutOfPlace, weight, what="a weight", way="only layers and nets own weights; make this a layer")
    if _is_slot(frame):
        way = "what an optimizer remembers from step to step is a state: state m = 0"
        frame.fail(OutOfPlace, weight, what="a weight of an optimizer", way=way)
    _own(frame, weight, _fixed(frame, weight.type, f"the size of the weight `{weight.name}`"))


def _state(frame: Frame, state: State) -> None:
    for cell in state.cells:
        if frame.instance is None:
            way = "only layers, nets, optimizers and schedules have states"
            frame.fail(OutOfPlace, cell, what="a state", way=way)
        _own(frame, cell, _state_shape(frame, cell))
        frame.states[cell.name] = frame.cells[cell.name]


def _state_shape(frame: Frame, cell: Cell) -> Shape:
    """As it is written; without that an optimizer's state is as large as the weight, another is a single number."""
    if cell.type is not None:
        return _fixed(frame, cell.type, f"the size of the state `{cell.name}`")
    if frame.known is not None and _is_slot(frame):
        weight = frame.names[frame.known.definition.inputs[0].name]
        return Shape(weight.dims, weight.labels)
    return Shape((), ())


def _is_slot(frame: Frame) -> bool:
    return frame.known is not None and frame.known.definition.word == "optimizer"


def _fixed(frame: Frame, type: TypeText, what: str) -> Shape:
    """The shape of a weight or state: real numbers, as many in every batch."""
    if type.word not in (None, "real"):
        way = "weights and states are real numbers: write its dims alone"
        frame.fail(NotThatKind, type, wanted="a real number", found=f"`{type.word}`", way=way)
    dims, labels = types.dims_of(frame, type)
    if any(not isinstance(d, int) for d in dims):
        way = "weights and states have the same size in every batch: `b` is not one of their dims"
        because = "the batch's size is known only when the graph runs"
        frame.fail(NotKnownNow, type, what=what, way=way, because=because)
    return Shape(dims, labels)


def _own(frame: Frame, cell: Weight | Cell, shape: Shape) -> None:
    """Binds a weight or state. An instance that runs again finds what it has."""
    machine, instance, name = frame.machine, frame.instance, cell.name
    assert instance is not None
    path = _cell_path(frame, instance, name)
    if path in instance.cells:
        found = machine.successors.get(path, instance.cells[path])
        if found.dims != shape.dims:
            clash = f"it is {shape_text(found.dims)} already, for this layer is shared"
            facts = {"wanted": shape_text(found.dims), "found": shape_text(shape.dims), "clash": clash}
            frame.fail(SizesDiffer, cell, name=f"`{name}`", **facts)
        _bind_cell(frame, name, Tensor(found.value, shape.labels), path)
        return
    of_another_turn = frame.cells.get(name, path) != path and frame.turns
    if (name in frame.names and not of_another_turn) or name in frame.dims:
        first = "dim" if name in frame.dims else "tensor" if isinstance(frame.names[name], Tensor) else "name"
        frame.fail(BoundTwice, cell, name=name, first=first, second="weight" if isinstance(cell, Weight) else "state")

    def start() -> Value:
        return _first(frame, shape, cell.init)

    frame.left = name
    with machine.tape.at(machine.place(cell.span, frame.scope, path)):
        instance.cells[path] = machine.cell(path, shape, cell, frame.scope, start)
    _bind_cell(frame, name, instance.cells[path], path)


def _cell_path(frame: Frame, instance: Instance, name: str) -> str:
    """`Digits.hidden.W`, `Digits.hidden.W:NAME.m` of an optimizer of that name."""
    if frame.known is not None and _is_slot(frame):
        return f"{instance.path}:{frame.known.name}.{name}"
    return ".".join(word for word in (instance.path, frame.turns, name) if word)


def _bind_cell(frame: Frame, name: str, cell: Tensor, path: str) -> None:
    frame.names[name] = cell
    frame.cells[name] = path
    frame.machine.remember(path, cell)


def _first(frame: Frame, shape: Shape, init: Expression) -> Value:
    """The first value of a weight or state: what its initialiser gives for its shape, or a number everywhere."""
    value = evaluate(frame, init)
    if isinstance(value, Known | Bound):
        value = shaped(frame, value, shape, init)
    with computing(frame, init):
        if not isinstance(value, Tensor | int | float):
            frame.fail(NotThatKind, init, wanted="an initialiser or a number", found=kind(value))
        return tensor(frame.machine.tape, value, "f32").value.expand(shape.dims)


# ---- what is decided while building


def _repeat(frame: Frame, repeat: Repeat) -> None:
    value = evaluate(frame, repeat.range)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Interval(0, value)
    turns = value.stop - value.start if isinstance(value, Interval) and isinstance(value.stop, int) else value
    if isinstance(turns, float) or (isinstance(turns, int) and turns < 0):
        frame.fail(NotThatKind, repeat.range, wanted="a whole number of turns, 0 or more,", found=f"{turns:g}")
    if not isinstance(value, Interval) or not isinstance(value.stop, int):
        way = "a repeat is written out, so its number of turns is a number, a setting or a param"
        frame.fail(NotKnownNow, repeat.range, what="how often this repeats", way=way)
    machine, before = frame.machine, frame.machine.turns
    machine.turns = before * max(value.stop - value.start, 1)
    refuse_turns(frame, repeat.range, machine.turns, nested=before > 1)
    outer, shadowed = frame.turns, frame.names.get(repeat.name or "")
    start = machine.lines
    for turn in range(value.start, value.stop):
        if turn == value.start + 2:  # what two turns took shows what all will take
            refuse_lines(frame, repeat.range, start + (machine.lines - start) * (value.stop - value.start) // 2)
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
    frame.deciding = True
    try:
        value = evaluate(frame, condition)
    finally:
        frame.deciding = False
    if isinstance(value, bool):
        return value
    if isinstance(value, Tensor):
        way = "to choose number by number write `a if c else b`"
        frame.fail(NotKnownNow, condition, what=what, way=way)
    return frame.fail(NotThatKind, condition, wanted="yes or no", found=kind(value), way="compare: n == 1")


def _when(frame: Frame, when: When) -> None:
    if when.phase != "training":
        frame.fail(
            OutOfPlace,
            when,
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
            case Scan():
                names |= {one.name for one in statement.carries}
            case If() | When():
                names |= _assigned(statement.then) | _assigned(statement.otherwise)
    return names


def _require(frame: Frame, require: Require) -> None:
    if _decided(frame, require.condition, "what `require` asks for"):
        return
    message = re.sub(r"\{(\w+)\}", lambda m: _fact(frame, m[1]), require.message)
    if not frame.machine.calls:
        frame.fail(RequireFailed, require, message=message)
    call = frame.machine.calls[-1]  # whoever asks for it is told, not the one who wrote the condition
    frame.machine.fail(RequireFailed, call.span, call.scope, message=message)


def _fact(frame: Frame, name: str) -> str:
    if name in frame.dims:
        return str(frame.dims[name])
    value = frame.names.get(name, frame.machine.params.get(name) if frame.scope != STD else None)
    return shape_text(value.dims) if isinstance(value, Tensor) else f"{{{name}}}" if value is None else str(value)


def _return(frame: Frame, statement: Return) -> None:
    values: list[Any] = []
    for expression in statement.values:
        value = evaluate(frame, expression)
        values.extend(value if isinstance(value, tuple) else [value])
    frame.results = tuple(values)


RULES: dict[str, Rule] = {
    "assign": _assign,
    "weight": _weight,
    "state": _state,
    "repeat": _repeat,
    "if": _if,
    "when": _when,
    "scan": scan,
    "require": _require,
    "return": _return,
}

STATEMENTS.update(RULES)
