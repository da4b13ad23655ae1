"""What is given to a call, and what the callee asks for: read, matched by place and by name, filled with defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dotnn.elaborate import types
from dotnn.elaborate.evaluate import evaluate, notice
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.machine import Call as CallSite
from dotnn.elaborate.problems import (
    GivenTwice,
    Misfit,
    MissingArgument,
    NoSuchDim,
    NotThatKind,
    TooManyArguments,
    UnknownArgument,
)
from dotnn.elaborate.values import Known, Label, Primitive, Shape, Tensor, kind
from dotnn.graph import Dim, divide, multiply
from dotnn.spec import Argument, List, Name, Parameter, Part, Rest, Several
from dotnn_grammar.problems import perhaps

NAMING = ("stack",)
"""Words whose `over` names a new dim."""
KEEPING = ("moments",)
"""Words that have dims to keep."""
FORMING = ("fold", "unfold")
"""Words that are given dims by their names."""

Given = Sequence[tuple[str | None, Any, Part]]
"""Arguments: their names where they have one, their values, their places."""


def evaluated(frame: Frame, arguments: Sequence[Argument], flow: Any = None, callee: Any = None) -> Given:
    """The arguments with their values. ``flow``: what flows into the stage of a chain."""
    given: list[tuple[str | None, Any, Part]] = []
    word = callee.name if isinstance(callee, Primitive) else ""
    for argument in arguments:
        first = flow if flow is not None else next((v for n, v, _ in given if n is None), None)
        if argument.name == "over" and word in NAMING and isinstance(argument.value, Name):
            given.append(("over", argument.value.name, argument))
        elif argument.name == "over" or (argument.name == "keep" and word in KEEPING):
            given.append((argument.name, over(frame, argument, first), argument))
        elif isinstance(argument.value, List) and argument.name is None and word in FORMING:
            other = next((a for a in arguments if a.name == "over"), None)
            axes = over(frame, other, first) if other is not None else (-1,)
            given.append((None, form(frame, argument.value, first, axes, opens=word == "unfold"), argument))
        else:
            given.append((argument.name, evaluate(frame, argument.value), argument))
    return given


def form(frame: Frame, written: List, first: Any, axes: tuple[int, ...], opens: bool) -> Shape:
    """The dims that `unfold` makes of one dim of ``first``, or that `fold` merges: `[part = 3, head = heads, e]`.

    A plain name is a dim of that name. Where it ``opens`` dims, one name may stand for nothing yet: it becomes a dim of
    the size that is left over.
    """
    dims: list[Dim | None] = []
    labels: list[Label] = []
    unknown: Name | None = None
    for item in written.items:
        if isinstance(item.value, Rest) and frame.rest is not None:
            dims.extend(frame.rest.dims)
            labels.extend(frame.rest.labels)
            continue
        name = item.value.name if isinstance(item.value, Name) else None
        labels.append(item.name or name)
        if name and not opens and isinstance(first, Tensor) and name in first.labels:
            dims.append(first.dims[first.labels.index(name)])
        elif isinstance(item.value, Name) and opens and _is_open(frame, item.value.name):
            if unknown is not None:
                why = f"`{unknown.name}` and `{name}` are both left open, and only one size can be found"
                frame.fail(Misfit, item, why=why, way=f"say how large one of them is: {name} = 4")
            unknown = item.value
            dims.append(None)
        else:
            dims.append(types.size_of(frame, item.value, "the size of a dim"))
    if unknown is not None:
        size = _left_over(frame, written, first, axes, [d for d in dims if d is not None])
        frame.dims[unknown.name] = size
        dims[dims.index(None)] = size
    made = Shape(tuple(d for d in dims if d is not None), tuple(labels))
    notice(frame, written, made)
    return made


def _is_open(frame: Frame, name: str) -> bool:
    """Whether a name stands for nothing that could be a size."""
    found = frame.names.get(name)
    if isinstance(found, Tensor):
        return False
    return name not in frame.names and name not in frame.dims and not (frame.users and name in frame.machine.params)


def _left_over(frame: Frame, written: List, first: Any, axes: tuple[int, ...], known: list[Dim]) -> Dim:
    """The one size that is left open, so that all of them together are the dim."""
    if not isinstance(first, Tensor) or len(axes) != 1 or not -first.rank <= axes[0] < first.rank:
        frame.fail(Misfit, written, why="`unfold` splits one dim of a tensor", way="unfold(x, [head = 4, e], over = c)")
    whole = first.dims[axes[0]]
    size = divide(whole, multiply(known))
    if size is None:
        shown = ", ".join(str(d) for d in known)
        why = f"a dim of size {whole} does not unfold into {shown} and one more"
        frame.fail(Misfit, written, why=why, way="their product must divide it")
    return size


def over(frame: Frame, argument: Argument, first: Any) -> tuple[int, ...]:
    """The dims that `over = …` names, counted from the last (-1), of the tensor that the call works on."""
    items = argument.value.items if isinstance(argument.value, Several) else (argument.value,)
    axes: list[int] = []
    for item in items:
        if isinstance(item, Name) and isinstance(first, Tensor) and item.name in first.labels:
            axes.append(first.labels.index(item.name) - first.rank)
            continue
        if isinstance(item, Name) and isinstance(first, Tensor) and not _is_bound(frame, item.name):
            named = (
                label or (str(d) if isinstance(d, int) else "_")
                for label, d in zip(first.labels, first.dims, strict=True)
            )
            way = "; what has no name is counted from the last: over = -1" if None in first.labels else ""
            frame.fail(NoSuchDim, item, tensor="this", name=item.name, dims=f"[{', '.join(named)}]", way=way)
        value = evaluate(frame, item)
        for axis in value if isinstance(value, tuple) else (value,):
            if not isinstance(axis, int) or isinstance(axis, bool):
                way = "name a dim (over = t), several (over = (h, w)), or count from the last (over = -1)"
                frame.fail(NotThatKind, item, wanted="a dim", found=kind(axis), way=way)
            axes.append(axis)
    return tuple(axes)


def _is_bound(frame: Frame, word: str) -> bool:
    return word in frame.names or (frame.users and word in frame.machine.params)


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
    own.dims |= _sizes(parameters, found)
    for parameter in parameters:
        if parameter.name in found:
            continue
        if parameter.default is None:
            way = f"it is written {signature(known)}"
            frame.fail(MissingArgument, at, callee=callee, name=parameter.name, way=way)
        with machine.calling(CallSite(at.span, frame.scope, None)):
            found[parameter.name] = own.names[parameter.name] = evaluate(own, parameter.default)
    return found


def _sizes(parameters: Sequence[Parameter], found: dict[str, Any]) -> dict[str, Dim]:
    """The sizes that the types of what is given name: a default may use them, `w = 0..width`."""
    sizes: dict[str, Dim] = {}
    for parameter in parameters:
        value, dims = found.get(parameter.name), parameter.type.dims if parameter.type else None
        if not isinstance(value, Tensor) or dims is None:
            continue
        rest = next((i for i, dim in enumerate(dims) if isinstance(dim, Rest)), len(dims))
        ends = [*zip(dims[:rest], value.dims, strict=False), *zip(dims[:rest:-1], value.dims[::-1], strict=False)]
        for dim, size in ends:
            if not isinstance(dim, Rest) and isinstance(dim.size, Name) and dim.size.name not in found:
                sizes.setdefault(dim.size.name, size)
    return sizes


def signature(known: Known) -> str:
    """How a definition is called: `dense(units, bias, init)(x)`."""
    lists = [known.definition.settings, known.definition.inputs]
    return known.name + "".join(f"({', '.join(p.name for p in one)})" for one in lists if one is not None)


def places_of(parameters: Sequence[Parameter], given: Given, at: Part) -> dict[str, Part]:
    """Where each parameter was given, for messages; the call itself for those with defaults."""
    places: dict[str, Part] = {p.name: at for p in parameters}
    for (name, _, part), parameter in zip(given, parameters, strict=False):
        places[name or parameter.name] = part
    return places
