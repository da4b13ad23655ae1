"""Types in a signature: what is given is held against what is written, and the sizes that are still open are solved."""

from __future__ import annotations

import itertools
from typing import Any

from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.expressions import evaluate
from dotnn.elaborate.frame import Frame, Remainder
from dotnn.elaborate.machine import MOST_SIZE
from dotnn.elaborate.problems import BoundTwice, LabelTwice, NotKnownNow, NotThatKind, SizesDiffer, TooLarge
from dotnn.elaborate.values import Label, Size, Tensor, kind
from dotnn.graph import FLOATS, INTEGERS, Dim, Dtype
from dotnn.operation import shape_text
from dotnn.spec import Dim as DimText
from dotnn.spec import Expression, Name, Part, Rest, TypeText
from dotnn_grammar.problems import Note

WORDS: dict[str, Dtype] = {"int": "i64", "bool": "bool", "u8": "u8"}
_rests = itertools.count()


def size_of(frame: Frame, expression: Expression, what: str) -> Dim:
    """An expression as a size. Raises ``ProblemError`` when it is none."""
    value = evaluate(frame, expression)
    if isinstance(value, Size):
        return value.dim
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Tensor):
        frame.machine.fail(NotKnownNow, expression, frame.scope, what=what, way="write a number, a setting or a dim")
    if not isinstance(value, int) or isinstance(value, bool):
        way = "a size is a whole number"
        frame.machine.fail(NotThatKind, expression, frame.scope, wanted=what, found=kind(value), way=way)
    if value < 0:
        frame.machine.fail(
            NotThatKind, expression, frame.scope, wanted=what, found=f"{value}", way="a size is 0 or more"
        )
    if value >= MOST_SIZE:
        frame.machine.fail(TooLarge, expression, frame.scope, what="size", count=f"{value:,}", limit=f"{MOST_SIZE:,}")
    return value


def dims_of(frame: Frame, type: TypeText) -> tuple[tuple[Dim, ...], tuple[Label, ...]]:
    """The dims of a type all of whose names are known, as of a weight."""
    dims: list[Dim] = []
    labels: list[Label] = []
    for part in type.dims or ():
        if isinstance(part, Rest):
            rest = frame.rest or Remainder((), ())
            dims.extend(rest.dims)
            labels.extend(rest.labels)
        else:
            dims.append(size_of(frame, part.size, "the size of a dim"))
            labels.append(label_of(part))
    _refuse_twice(frame, type)
    return tuple(dims), tuple(labels)


def _refuse_twice(frame: Frame, type: TypeText) -> None:
    """A label that stands twice says of neither dim which one it is."""
    seen: set[str] = set()
    for dim in type.dims or ():
        label = label_of(dim) if isinstance(dim, DimText) else None
        if label in seen:
            frame.machine.fail(LabelTwice, dim, frame.scope, name=label, type=type_text(type))
        if label is not None:
            seen.add(label)


def label_of(dim: DimText) -> Label:
    return dim.label or (dim.size.name if isinstance(dim.size, Name) else None)


def accept(frame: Frame, name: str, type: TypeText, value: Any, given: Part) -> tuple[Tensor, dict[str, Label]]:
    """``value`` as the tensor that the signature asks for, its dims labelled by the signature.

    Solves the dims that are still open. Also gives, for each label of the signature, the caller's label.
    """
    machine = frame.machine
    if not isinstance(value, Tensor | int | float | Size):
        machine.fail(NotThatKind, given, frame.scope, wanted=f"a tensor for `{name}`", found=kind(value))
    made = _converted(frame, name, type, tensor(machine.tape, value), given)
    if type.dims is None:
        return made, {}
    _refuse_twice(frame, type)
    wanted = list(type.dims)
    at = next((i for i, d in enumerate(wanted) if isinstance(d, Rest)), None)
    fixed = len(wanted) - (at is not None)
    if made.rank < fixed or (at is None and made.rank > fixed):
        clash = f"{made.rank} dims here, {'at least ' if at is not None else ''}{fixed} there"
        _differ(frame, name, type, made, given, clash)
    pairs: list[tuple[DimText, int]] = []
    labels: list[Label] = [None] * made.rank
    back: dict[str, Label] = {}
    if at is None:
        pairs = [(d, i) for i, d in enumerate(wanted) if isinstance(d, DimText)]
    else:
        tail = len(wanted) - at - 1
        pairs = [(d, i) for i, d in enumerate(wanted[:at]) if isinstance(d, DimText)]
        pairs += [(d, made.rank - tail + i) for i, d in enumerate(wanted[at + 1 :]) if isinstance(d, DimText)]
        stretch = range(at, made.rank - tail)
        dims = tuple(made.dims[i] for i in stretch)
        if frame.rest is None:
            frame.rest = Remainder(dims, tuple(f"…{next(_rests)}" for _ in stretch))
        elif frame.rest.dims != dims:
            first, second = shape_text(frame.rest.dims), shape_text(dims)
            _differ(frame, name, type, made, given, f"`...` was {first} before and is {second} here")
        for i, label in zip(stretch, frame.rest.labels, strict=True):
            labels[i] = label
            back[str(label)] = made.labels[i]
    for dim, i in pairs:
        labels[i] = label_of(dim)
        if labels[i] is not None:
            back[str(labels[i])] = made.labels[i]
        _solve(frame, name, type, dim, made, i, given)
    _check_bound(frame, name, type, made, given)
    return Tensor(made.value, tuple(labels), made.bound), back


def _converted(frame: Frame, name: str, type: TypeText, value: Tensor, given: Part) -> Tensor:
    has = value.value.dtype
    if type.word in (None, "real"):
        return value if has in FLOATS else tensor(frame.machine.tape, value, "f32")
    wanted = WORDS.get(str(type.word))
    if wanted is None:
        frame.machine.fail(
            NotThatKind,
            type,
            frame.scope,
            wanted="a type",
            found=f"`{type.word}`",
            way="there are: int, bool, u8, real",
        )
    if wanted == "i64" and has in (*INTEGERS, "bool"):
        return Tensor(value.value.cast("i64"), value.labels, 2 if has == "bool" else value.bound)
    if wanted != has:
        way = f"`{name}` is {type.word}"
        if has in FLOATS:
            way = "a real number is no class and no place; a column becomes one with `as int < n` or `as class`"
        frame.machine.fail(
            NotThatKind,
            given,
            frame.scope,
            notes=_declared(type, given),
            wanted=f"{type.word} for `{name}`",
            found=f"{_word(has)}",
            way=way,
        )
    return value


def _word(dtype: Dtype) -> str:
    return "real" if dtype in FLOATS else "int" if dtype in INTEGERS else dtype


def _solve(frame: Frame, name: str, type: TypeText, dim: DimText, made: Tensor, i: int, given: Part) -> None:
    here = made.dims[i]
    size = dim.size
    if isinstance(size, Name) and not _is_known(frame, size.name):
        if isinstance(frame.names.get(size.name), Tensor):
            frame.machine.fail(BoundTwice, dim, frame.scope, name=size.name, first="tensor", second="dim")
        frame.dims[size.name] = here
        return
    wanted = size_of(frame, size, "the size of a dim")
    if wanted != here and isinstance(size, Name) and _is_param(frame, size.name):
        clash = f"`{size.name}` is the param {size.name} = {wanted}, and {here} here"
        way = f"where any size is meant, call the dim by a name that is no param: not `{size.name}`"
        _differ(frame, name, type, made, given, clash, way)
    if wanted != here:
        written = size.name if isinstance(size, Name) else "its size"
        clash = (
            f"`{written}` is {wanted} there and {here} here"
            if isinstance(size, Name)
            else f"{wanted} there, {here} here"
        )
        _differ(frame, name, type, made, given, clash)


def _is_known(frame: Frame, name: str) -> bool:
    value = frame.names.get(name)
    if name in frame.dims or (value is not None and not isinstance(value, Tensor)):
        return True
    return frame.scope != "std" and name in frame.machine.params


def _is_param(frame: Frame, name: str) -> bool:
    return frame.scope != "std" and name in frame.machine.params and name not in frame.names and name not in frame.dims


def _differ(frame: Frame, name: str, type: TypeText, made: Tensor, given: Part, clash: str, way: str = "") -> None:
    quoted = name if name == "the result" else f"`{name}`"
    found = shape_text(made.dims) if type.bound is None else f"int{shape_text(made.dims)} < {made.bound}"
    way = way or "make the two agree: change what is asked for there, or what is given here"
    if not _declared(type, given):
        way = "make the two agree: change this line, or what it is given"
    facts = {"name": quoted, "wanted": type_text(type), "found": found, "clash": clash, "way": way}
    frame.machine.fail(SizesDiffer, given, frame.scope, notes=_declared(type, given), **facts)


def _declared(type: TypeText, given: Part) -> tuple[Note, ...]:
    """Where the signature says so, unless the problem itself points there."""
    if (type.span.file, type.span.line) == (given.span.file, given.span.line):
        return ()
    return (Note(span=type.span, text="this is what its definition asks for"),)


def type_text(type: TypeText) -> str:
    """A type as its author wrote it."""
    from dotnn.write import write_type

    return write_type(type)


def _check_bound(frame: Frame, name: str, type: TypeText, made: Tensor, given: Part) -> None:
    if type.bound is None or made.bound is None:
        return
    size = type.bound
    if isinstance(size, Name) and not _is_known(frame, size.name):
        frame.dims[size.name] = made.bound
        return
    most = size_of(frame, size, "the bound of a type")
    if isinstance(most, int) and made.bound > most:
        clash = f"values up to {made.bound - 1} here, only up to {most - 1} there"
        _differ(frame, name, type, made, given, clash)
