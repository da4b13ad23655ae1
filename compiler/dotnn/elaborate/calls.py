"""Calls: a definition with its arguments becomes what it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dotnn.elaborate.arguments import Given, evaluated, match, places_of
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.equations import aligned, has_index
from dotnn.elaborate.evaluate import block, computing, evaluate, notice
from dotnn.elaborate.fans import fans
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import forecast, refuse_lines
from dotnn.elaborate.machine import Call as CallSite
from dotnn.elaborate.problems import (
    GivenTwice,
    MissingArgument,
    NoResult,
    NotAStage,
    NotThatKind,
    OutOfPlace,
    SizesDiffer,
    StaysInside,
    SumsAll,
    UnknownArgument,
    UsesItself,
    WrongCount,
)
from dotnn.elaborate.spoken import Spoken
from dotnn.elaborate.types import accept, everywhere
from dotnn.elaborate.values import (
    Absent,
    Ask,
    Bound,
    Instance,
    Known,
    Label,
    Native,
    Primitive,
    Shape,
    Size,
    Tensor,
    kind,
    next_step,
)
from dotnn.elaborate.vocabulary import settings_of, speak
from dotnn.graph import Dim
from dotnn.operation import shape_text
from dotnn.spec import Argument, Parameter, Part, Result, Stage
from dotnn.spec import Call as CallText
from dotnn.tape import Value
from dotnn.write import write_type
from dotnn_grammar.problems import perhaps

ALONE = ("grad",)
"""What is taken by a tensor as it stands, not as an index equation turns it."""

WHOLE = ("sum", "mean", "max", "min")
"""What takes all places where `over` does not say which."""


def call(frame: Frame, callee: Any, arguments: Sequence[Argument], at: Part) -> Any:
    """`callee(arguments)`."""
    return _apply(frame, callee, evaluated(frame, arguments, callee=callee), at)


def stage(frame: Frame, value: Any, written: Stage) -> Any:
    """`value -> stage`."""
    flow: Given = [(None, value, written.call)]
    if isinstance(written.call, CallText):
        callee = evaluate(frame, written.call.function)
        given = evaluated(frame, written.call.arguments, value, callee)
        if isinstance(callee, Known) and callee.curried and callee.definition.word == "layer":
            return _apply(frame, bind(frame, callee, given, written.call, written.name), flow, written.call)
        if isinstance(callee, Primitive | Native) or (
            isinstance(callee, Known) and not callee.curried and not _owns(callee)
        ):
            return _apply(frame, callee, [*flow, *given], written.call)
        _not_a_stage(frame, callee, written.call, called=True)
    callee = evaluate(frame, written.call)
    if isinstance(callee, Known) and callee.curried and callee.definition.word == "layer":
        callee = bind(frame, callee, (), written.call, written.name)
    is_stage = isinstance(callee, Primitive | Native) or (
        isinstance(callee, Known | Bound)
        and _definition(callee).word in ("layer", "function", "net")
        and (isinstance(callee, Bound) or not callee.curried)
    )
    if not is_stage:
        _not_a_stage(frame, callee, written.call, called=False)
    return _apply(frame, callee, flow, written.call)


def _owns(known: Known) -> bool:
    return known.definition.word in ("net", "layer")


def _definition(callee: Known | Bound) -> Any:
    return callee.known.definition if isinstance(callee, Bound) else callee.definition


def _not_a_stage(frame: Frame, callee: Any, part: Part, called: bool) -> None:
    way = "a chain goes through layers, functions and nets: x -> first(64) -> second"
    if isinstance(callee, Known) and callee.curried and callee.definition.word == "function":
        way = f"it has two lists: give it the first on a line above (f = {callee.name}(…)), then write `-> f`"
    elif called and isinstance(callee, Bound | Known):
        way = "it takes no settings here: write its name alone"
    frame.fail(NotAStage, part, found=kind(callee), way=way)


def _apply(frame: Frame, callee: Any, given: Given, at: Part) -> Any:
    machine = frame.machine
    if frame.equation is not None:
        values = aligned(frame, [value for _, value, _ in given])
        given = [(name, value, part) for (name, _, part), value in zip(given, values, strict=True)]
    match callee:
        case Primitive():
            return _primitive(frame, callee, given, at)
        case Native(name, function):
            if len(given) != 1 or not isinstance(given[0][1], Tensor):
                way = f"it takes what it works on: {name}(columns a to b)"
                found = kind(given[0][1]) if len(given) == 1 else f"{len(given)} things"
                frame.fail(NotThatKind, at, wanted="a column", found=found, way=way)
            with computing(frame, at):
                return function(given[0][1])
        case Ask(_, asked):
            return asked(given, at)
        case Known() if callee.curried:
            return bind(frame, callee, given, at, None)
        case Known() if callee.definition.word == "net":
            if frame.in_data:
                _own(frame, f"the net `{callee.name}`", at)
            return run(frame, callee, {}, machine.instance(callee.name, at, frame.scope), given, at)
        case Known():
            return run(frame, callee, {}, None, given, at)
        case Bound():
            return run(frame, callee.known, callee.settings, callee.instance, given, at)
        case Shape() if len(given) == 0:
            return callee
    way = "only functions, layers, nets and operations are followed by ( )"
    return frame.fail(NotThatKind, at, wanted="something that can be called", found=kind(callee), way=way)


def _refuse_all(frame: Frame, name: str, given: Given, at: Part) -> None:
    """In an index equation `sum(x[b, i])` would take all places, those of the left side too: `over` says which."""
    if frame.equation is None or name not in WHOLE or len(given) != 1 or not isinstance(given[0][1], Tensor):
        return
    left = [label for label in given[0][1].labels if label and label in frame.equation.left]
    if left and has_index(given[0][2]):
        inner = [label for label in given[0][1].labels if label and label not in left]
        over = inner[0] if len(inner) == 1 else f"({', '.join(inner)})" if inner else left[-1]
        frame.fail(SumsAll, at, word=name, names=_listed(left), over=over)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _primitive(frame: Frame, primitive: Primitive, given: Given, at: Part) -> Any:
    machine = frame.machine
    if frame.equation is not None and primitive.name in ALONE:
        way = "give the gradient a name on a line of its own, and use the name here"
        frame.fail(OutOfPlace, at, what=f"`{primitive.name}` inside an index equation", way=way)
    _refuse_all(frame, primitive.name, given, at)
    settings: dict[str, Any] = {}
    allowed = settings_of(primitive.name)
    for name, value, part in given:
        if name is None:
            continue
        if name not in allowed:
            near = perhaps(name, allowed, f"it has: {', '.join(allowed)}" if allowed else "it takes none")
            callee = f"the operation `{primitive.name}`"
            frame.fail(UnknownArgument, part, callee=callee, name=name, near=near)
        if name in settings:
            frame.fail(GivenTwice, part, name=name)
        settings[name] = value
    values = [value for name, value, _ in given if name is None]

    def noise(dims: tuple[Dim, ...], bits: int) -> Value:
        return machine.random(dims, frame.here or primitive.name, bits)

    with computing(frame, at):
        return speak(Spoken(machine.tape, primitive.name, values, settings, noise))


def bind(frame: Frame, known: Known, given: Given, at: Part, name: str | None) -> Bound:
    """The first list given: a layer as an instance of its own, an initialiser or schedule with its settings."""
    definition = known.definition
    settings = match(frame, known, definition.settings or (), given, at, "settings")
    instance = None
    if definition.word == "layer":
        _own(frame, f"the layer `{known.name}`", at)
        instance = frame.machine.instance(frame.part(known.name, name), at, frame.scope)
    bound: Bound = notice(frame, at, Bound(known, settings, instance, at))
    return bound


def _own(frame: Frame, what: str, at: Part) -> None:
    """Refuses a layer where nothing owns its weights."""
    word = frame.known.definition.word if frame.known else ""
    if frame.in_data:
        way = "a column is what the table says, for every net alike: put this into the net"
    elif not word:
        way = "weights belong to a net: put this into one, and use its result here"
    elif frame.instance is None or word == "optimizer":
        way = f"the {word} `{frame.known.name if frame.known else ''}` owns no weights: only layers and nets do"
    else:
        return
    frame.fail(OutOfPlace, at, what=what, way=way)


def run(
    caller: Frame, known: Known, settings: Mapping[str, Any], instance: Instance | None, given: Given, at: Part
) -> Any:
    """What a definition computes from its last list: its body is built into the graph."""
    machine, definition = caller.machine, known.definition
    path = instance.path if instance else caller.here
    frame = Frame(machine, known.scope, path, known, instance, dict(settings))
    with _inside(caller, known, path, at):
        back, free = _arguments(frame, caller, given, at)
        block(frame, definition.body)
        results = [_result(frame, result, i) for i, result in enumerate(definition.results)]
        if not definition.results:
            results = list(frame.results or ())
            if not results:
                way = "end it with `return …`, or name its result in the signature"
                frame.fail(NoResult, definition, callee=f"`{known.name}`", name="return", way=way)
    returned = tuple(_relabelled(value, back, free) for value in results)
    if instance is not None and len(returned) == 1:
        machine.remember(instance.path, returned[0])
    return returned[0] if len(returned) == 1 else returned


def final_names(
    caller: Frame, known: Known, settings: Mapping[str, Any], instance: Instance, given: Given, at: Part
) -> dict[str, Any]:
    """What the names of an optimizer stand for at its end."""
    frame = Frame(caller.machine, known.scope, instance.path, known, instance, dict(settings))
    with _inside(caller, known, instance.path, at):
        _arguments(frame, caller, given, at)
        block(frame, known.definition.body)
    return frame.names


@contextmanager
def _inside(caller: Frame, known: Known, path: str, at: Part) -> Iterator[None]:
    """While this definition is being built."""
    machine = caller.machine
    if machine.within(known):
        caller.fail(UsesItself, at, name=known.name)
    if known.definition.word != "net":  # its own lines show best themselves which of them are too many
        refuse_lines(caller, at, machine.lines + forecast(machine, known))
    place = machine.place(at.span, caller.scope, path)
    with machine.calling(CallSite(at.span, caller.scope, known)), machine.tape.at(place):
        yield


def _arguments(frame: Frame, caller: Frame, given: Given, at: Part) -> tuple[dict[str, Label], set[Label]]:
    """Binds what is given to the names of the last list.

    Gives, for each label of the signature, the caller's; and the labels of what came in without a type.
    """
    assert frame.known is not None
    definition = frame.known.definition
    what = "tensors" if definition.word != "function" else "arguments"
    names = match(caller, frame.known, definition.inputs, given, at, what)
    places = places_of(definition.inputs, given, at)
    back: dict[str, Label] = {}
    free: set[Label] = set()
    for parameter in definition.inputs:
        value = names[parameter.name]
        if parameter.type is not None:
            if parameter.type.dims and parameter.default is not None and isinstance(value, int | float):
                value = everywhere(frame, parameter.type, value)
            value, labels = _accept(frame, parameter, value, places[parameter.name])
            back.update(labels)
        elif isinstance(value, Tensor | Shape):
            free.update(value.labels)
        frame.names[parameter.name] = value
        frame.remember(parameter.name, value)
    return back, free


def _accept(frame: Frame, parameter: Parameter, value: Any, part: Part) -> tuple[Tensor, dict[str, Label]]:
    """The argument against its type; a problem with it stands at the caller's place."""
    assert parameter.type is not None
    site = frame.machine.calls[-1]
    if part.span.file != site.span.file:
        part = parameter
    return accept(frame, parameter.name, parameter.type, value, part)


def _relabelled(value: Any, back: Mapping[str, Label], free: set[Label]) -> Any:
    """The result with the caller's labels: of dims that came in with an argument; others lose theirs."""
    if not isinstance(value, Tensor):
        return value
    labels = [back.get(label, label if label in free else None) if label else None for label in value.labels]
    seen: set[str] = set()
    for i, label in enumerate(labels):
        if label in seen:
            labels[i] = None
        elif label:
            seen.add(label)
    return Tensor(value.value, tuple(labels), value.bound)


def _result(frame: Frame, result: Result, number: int) -> Any:
    machine, definition = frame.machine, frame.known
    assert definition is not None
    if result.name is not None and result.name in frame.names:
        value = frame.names[result.name]
    elif frame.results is not None and number < len(frame.results):
        value = frame.results[number]
    else:
        way = f"assign it: {result.name} = …" if result.name else "end the definition with `return …`"
        name = result.name or write_type(result.type)
        frame.fail(NoResult, result, callee=f"`{definition.name}`", name=name, way=way)
    if frame.results is not None and len(frame.results) != len(definition.definition.results):
        promised, returned = len(definition.definition.results), len(frame.results)
        left = f"{promised} result{'s are' if promised > 1 else ' is'} promised here"
        way = "let the signature and `return` name the same number of results"
        frame.fail(WrongCount, result, left=left, right=f"{returned} returned", way=way)
    if isinstance(value, Absent) and value.scan:
        frame.fail(StaysInside, result, name=value.name, over=value.scan)
    if not isinstance(value, Tensor | Size | int | float):
        name = f"`{result.name}`" if result.name else "the result"
        facts = {"wanted": f"a tensor for {name}", "found": kind(value), "way": next_step(value)}
        frame.fail(NotThatKind, result, **facts)
    if not isinstance(value, Tensor):
        with computing(frame, result):
            value = tensor(machine.tape, value)
    return _held(frame, result, value)


def _held(frame: Frame, result: Result, value: Tensor) -> Tensor:
    """A result against the type that the signature promises; sizes that are still open are taken from it."""
    if result.type.dims is None:
        return value
    before = dict(frame.dims)
    try:
        made, _ = accept(frame, result.name or "the result", result.type, value, result)
    finally:
        frame.dims = before
    labels = tuple(own or promised for own, promised in zip(value.labels, made.labels, strict=True))
    if any(a != b for a, b in zip(made.dims, value.dims, strict=True)):
        name = f"`{result.name}`" if result.name else "the result"
        wanted, found = write_type(result.type), shape_text(value.dims)
        frame.fail(SizesDiffer, result, name=name, wanted=wanted, found=found, clash="promised here")
    return Tensor(made.value, labels, value.bound)


def shaped(frame: Frame, callee: Known | Bound, shape: Shape, at: Part) -> Any:
    """`normal(0, 0.1)[32, 32]`: an initialiser or distribution with a shape."""
    if isinstance(callee, Known):
        if not callee.curried or callee.definition.word != "function":
            way = "brackets give a shape to an initialiser (`NAME[b, 10]`) or take part of a tensor"
            frame.fail(NotThatKind, at, wanted="a tensor or an initialiser", found=kind(callee), way=way)
        callee = bind(frame, callee, (), at, None)
    return by_name(frame, callee, shape_facts(frame, shape, at), at)


def shape_facts(frame: Frame, shape: Shape, at: Part) -> dict[str, Any]:
    """What an initialiser may ask for: the shape, and how many numbers meet in one output, and the other way round."""
    facts: dict[str, Any] = {"shape": shape}
    if all(isinstance(d, int) for d in shape.dims):
        facts["fan_in"], facts["fan_out"] = fans(shape)
    return facts


def by_name(frame: Frame, callee: Bound, facts: Mapping[str, Any], at: Part) -> Any:
    """A definition run on those of the facts that its last list asks for."""
    wanted = [p.name for p in callee.known.definition.inputs]
    for name in wanted:
        if name not in facts and not any(p.name == name and p.default for p in callee.known.definition.inputs):
            near = f"here it can ask for: {', '.join(facts)}"
            callee_text = f"the {callee.known.definition.word} `{callee.known.name}`"
            frame.fail(MissingArgument, at, callee=callee_text, name=name, way=near)
    given: Given = [(name, facts[name], at) for name in wanted if name in facts]
    return run(frame, callee.known, callee.settings, callee.instance, given, at)
