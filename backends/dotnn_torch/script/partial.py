"""Functions with two lists, whose settings come first: called with tensors, with a shape, or handed on as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dotnn import spec
from dotnn.elaborate.values import Bound, Known
from dotnn_torch.script import text
from dotnn_torch.script.text import Code, call
from dotnn_torch.script.words import Argument

if TYPE_CHECKING:
    from dotnn_torch.script.body import Writer
    from dotnn_torch.script.lines import Function


def applied(w: Writer, callee: spec.Expression, given: list[Argument], named: dict[str, Argument]) -> Code:
    """`f(settings)(given)`."""
    known, settings = settled(w, callee)
    made = w.book.function(known)
    inputs = {p.name: a for p, a in zip(known.definition.inputs, given, strict=False)} | named
    return _called(w, made, [inputs[name].code.text for name in made.inputs if name in inputs], settings)


def shaped(w: Writer, callee: spec.Expression, shape: Code) -> Code:
    """`f(settings)[shape]`."""
    handed = w.given_function(callee)
    if handed:
        w.draws = True
        return call(handed.text, shape.text, w.place())
    known, settings = settled(w, callee)
    made = w.book.function(known)
    if not made.inputs:  # one number for every place
        return call("torch.full", shape.text, _called(w, made, [], settings).text, "device=DEVICE")
    return _called(w, made, [shape.text], settings)


def reference(w: Writer, part: spec.Expression) -> Code:
    """A function with its settings, as something to hand on: called with a shape and a place."""
    known, settings = settled(w, part)
    made = w.book.function(known)
    words = [w.keyword(a) for a in settings]
    if not made.inputs:
        number = call(made.name, *words).text
        return Code(f"lambda shape, at: torch.full(shape, {number}, device=DEVICE)", text.EXPRESSION)
    if made.draws and not words:
        return Code(made.name)
    at = ["at"] if made.draws else []
    return Code(f"lambda shape, at: {call(made.name, 'shape', *at, *words).text}", text.EXPRESSION)


def settled(w: Writer, callee: spec.Expression) -> tuple[Known, Sequence[spec.Argument]]:
    """The definition behind `f(settings)`, `f` or a name for one of them, and the settings as written."""
    if isinstance(callee, spec.Name) and callee.name in w.aliases:
        return settled(w, w.aliases[callee.name])
    known = w.known(callee)
    if isinstance(known, Bound) and known.instance is None and isinstance(callee, spec.Call):
        return known.known, _in_order(w, known.known, callee.arguments)
    if isinstance(known, Known) and known.definition.word == "function":
        return known, ()
    if isinstance(known, Bound) and known.instance is None and not known.settings:
        return known.known, ()
    return w.refuse(callee, "this function, whose settings come from elsewhere,")


def _called(w: Writer, made: Function, inputs: list[str], settings: Sequence[spec.Argument]) -> Code:
    w.draws = w.draws or made.draws
    at = [w.place()] if made.draws else []
    return call(made.name, *inputs, *at, *(w.keyword(a) for a in settings))


def _in_order(w: Writer, known: Known, given: Sequence[spec.Argument]) -> Sequence[spec.Argument]:
    """Settings by their names, where those without a default have moved to the front."""
    settings = known.definition.settings or ()
    told = [p.default is not None and w.book.tells(p.default) for p in settings]
    if told == sorted(told):
        return given
    named = zip(given, settings, strict=False)
    return [a if a.name else a.model_copy(update={"name": p.name}) for a, p in named]
