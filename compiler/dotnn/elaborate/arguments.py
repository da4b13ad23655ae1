"""What is given to a call, and what the callee asks for: read, matched by place and by name, filled with defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.machine import Call as CallSite
from dotnn.elaborate.problems import (
    GivenTwice,
    MissingArgument,
    NoSuchDim,
    NotThatKind,
    TooManyArguments,
    UnknownArgument,
)
from dotnn.elaborate.values import Known, Tensor, kind
from dotnn.spec import Argument, Name, Parameter, Part, Several
from dotnn_grammar.problems import perhaps

Given = Sequence[tuple[str | None, Any, Part]]
"""Arguments: their names where they have one, their values, their places."""


def evaluated(frame: Frame, arguments: Sequence[Argument], flow: Any = None) -> Given:
    """The arguments with their values. ``flow``: what flows into the stage of a chain."""
    given: list[tuple[str | None, Any, Part]] = []
    for argument in arguments:
        if argument.name == "over":
            first = flow if flow is not None else next((v for n, v, _ in given if n is None), None)
            given.append(("over", over(frame, argument, first), argument))
        else:
            given.append((argument.name, evaluate(frame, argument.value), argument))
    return given


def over(frame: Frame, argument: Argument, first: Any) -> tuple[int, ...]:
    """The dims that `over = …` names, counted from the last (-1), of the tensor that the call works on."""
    items = argument.value.items if isinstance(argument.value, Several) else (argument.value,)
    axes: list[int] = []
    for item in items:
        if isinstance(item, Name) and isinstance(first, Tensor) and item.name in first.labels:
            axes.append(first.labels.index(item.name) - first.rank)
            continue
        if isinstance(item, Name) and item.name in frame.dims and item.name not in frame.names:
            dims = (
                ", ".join(label or str(d) for label, d in zip(first.labels, first.dims, strict=True))
                if isinstance(first, Tensor)
                else "none"
            )
            frame.fail(NoSuchDim, item, tensor="this", name=item.name, dims=f"[{dims}]")
        value = evaluate(frame, item)
        for axis in value if isinstance(value, tuple) else (value,):
            if not isinstance(axis, int) or isinstance(axis, bool):
                way = "name a dim (over = t), several (over = (h, w)), or count from the last (over = -1)"
                frame.fail(NotThatKind, item, wanted="a dim", found=kind(axis), way=way)
            axes.append(axis)
    return tuple(axes)


def match(
    frame: Frame, known: Known, parameters: Sequence[Parameter], given: Given, at: Part, what: str
) -> dict[str, Any]:
    """Each parameter's value: given by place or by name, else its default in the definition's own words."""
    machine, names = frame.machine, [p.name for p in parameters]
    callee = f"the {known.definition.word} `{known.name}`"
    found: dict[str, Any] = {}
    position = 0
    for name, value, part in given:
        if name is None:
            if position >= len(parameters):
                plural = what if len(parameters) != 1 else what.removesuffix("s")
                takes = f"{len(parameters)} {plural}" if parameters else f"no {what}"
                count = sum(n is None for n, _, _ in given)
                frame.fail(TooManyArguments, part, callee=callee, takes=takes, given=count, form=signature(known))
            name = names[position]
            position += 1
        elif name not in names:
            near = perhaps(name, names, f"it has: {', '.join(names)}" if names else "it has none")
            frame.fail(UnknownArgument, part, callee=callee, name=name, near=near)
        if name in found:
            frame.fail(GivenTwice, part, name=name)
        found[name] = value
    own = Frame(machine, known.scope, frame.path, known, names=dict(found))
    for parameter in parameters:
        if parameter.name in found:
            continue
        if parameter.default is None:
            way = f"it is written {signature(known)}"
            frame.fail(MissingArgument, at, callee=callee, name=parameter.name, way=way)
        with machine.calling(CallSite(at.span, frame.scope, None)):
            found[parameter.name] = own.names[parameter.name] = evaluate(own, parameter.default)
    return found


def signature(known: Known) -> str:
    """How a definition is called: `dense(units, bias, init)(x)`."""
    lists = [known.definition.settings, known.definition.inputs]
    return known.name + "".join(f"({', '.join(p.name for p in one)})" for one in lists if one is not None)


def places_of(parameters: Sequence[Parameter], given: Given, at: Part) -> dict[str, Part]:
    places: dict[str, Part] = {p.name: at for p in parameters}
    for (name, _, part), parameter in zip(given, parameters, strict=False):
        places[name or parameter.name] = part
    return places
