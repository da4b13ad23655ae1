"""Types in a signature: what is given is held against what is written, and the sizes that are still open are solved."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.frame import Frame, Remainder
from dotnn.elaborate.large import refuse_size
from dotnn.elaborate.library import STD
from dotnn.elaborate.problems import BoundTwice, LabelTwice, NotKnownNow, NotThatKind, OutOfPlace, SizesDiffer
from dotnn.elaborate.values import Label, Shape, Size, Tensor, kind, next_step
from dotnn.graph import FLOATS, INTEGERS, Dim, Dtype
from dotnn.operation import shape_text
from dotnn.spec import Dim as DimText
from dotnn.spec import Expression, Name, Part, Rest, TypeText
from dotnn.write import write_type
from dotnn_grammar.problems import Note

WORDS: dict[str, Dtype] = {"int": "i64", "bool": "bool", "u8": "u8"}
_rests = itertools.count()


def size_of(frame: Frame, expression: Expression, what: str) -> Dim:
    """An expression as a size. Raises ``ProblemError`` when it is none."""
    return as_size(frame, evaluate(frame, expression), expression, what)


def as_size(frame: Frame, value: Any, expression: Expression, what: str) -> Dim:
    """The value of an expression as a size. Raises ``ProblemError`` when it is none."""
    if isinstance(value, Size):
        return value.dim
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Tensor):
        frame.fail(NotKnownNow, expression, what=what, way="write a number, a setting or a dim")
    if not isinstance(value, int) or isinstance(value, bool):
        way = "a size is a whole number"
        frame.fail(NotThatKind, expression, wanted=what, found=kind(value), way=way)
    if value < 0:
        frame.fail(NotThatKind, expression, wanted=what, found=f"{value}", way="a size is 0 or more")
    refuse_size(frame, expression, value, "size")
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
            continue
        frame.sizing = True
        value = evaluate(frame, part.size)
        frame.sizing = False
        if isinstance(value, Shape):
            dims.extend(value.dims)
            labels.extend(value.labels)
        else:
            dims.append(as_size(frame, value, part.size, "the size of a dim"))
            labels.append(label_of(part))
    _refuse_twice(frame, type)
    return tuple(dims), tuple(labels)


def everywhere(frame: Frame, type: TypeText, number: float) -> Tensor:
    """One number at every place of this type: what stands for a tensor that was left away."""
    dims, labels = dims_of(frame, type)
    made = tensor(frame.machine.tape, number).value
    return Tensor(made.expand(dims), labels)


def _refuse_twice(frame: Frame, type: TypeText) -> None:
    """A label that stands twice says of neither dim which one it is; nor does `...`."""
    seen: set[str] = set()
    rests = [dim for dim in type.dims or () if isinstance(dim, Rest)]
    if len(rests) > 1:
        way = "one `...` in a type: where two could stand, nobody knows which dims belong to which"
        frame.fail(OutOfPlace, rests[1], what="`...` a second time", way=way)
    for dim in type.dims or ():
        label = label_of(dim) if isinstance(dim, DimText) else None
        if label in seen:
            frame.fail(LabelTwice, dim, name=label, type=write_type(type))
        if label is not None:
            seen.add(label)


def label_of(dim: DimText) -> Label:
    """The label of a dim as written: `h` of `h = 28`, a plain name itself, else none."""
    return dim.label or (dim.size.name if isinstance(dim.size, Name) else None)


@dataclass(frozen=True)
class Held:
    """A tensor that is held against the type of ``name`` in a signature, and where it was given."""

    frame: Frame
    name: str
    type: TypeText
    tensor: Tensor
    given: Part

    def converted(self) -> Held:
        """With whole numbers and truth values made real where the type asks for that."""
        has, value, machine = self.tensor.value.dtype, self.tensor.value, self.frame.machine
        if self.type.word in (None, "real"):
            return self if has in FLOATS else replace(self, tensor=tensor(machine.tape, self.tensor, "f32"))
        wanted = WORDS.get(str(self.type.word))
        if wanted is None:
            found, way = f"`{self.type.word}`", "there are: int, bool, u8, real"
            self.frame.fail(NotThatKind, self.type, wanted="a type", found=found, way=way)
        if wanted == "i64" and has in (*INTEGERS, "bool"):
            bound = 2 if has == "bool" else self.tensor.bound
            return replace(self, tensor=Tensor(value.cast("i64"), self.tensor.labels, bound))
        if wanted != has:
            way = f"`{self.name}` is {self.type.word}"
            if has in FLOATS:
                way = "a real number is no class and no place; a column becomes one with `as int < n` or `as class`"
            facts = {"wanted": f"{self.type.word} for `{self.name}`", "found": _word(has), "way": way}
            self.frame.fail(NotThatKind, self.given, notes=self._declared(), **facts)
        return self

    def solve(self, dim: DimText, axis: int) -> None:
        """One dim against its size in the type; a name that stands for nothing yet becomes this size."""
        frame, here, size = self.frame, self.tensor.dims[axis], dim.size
        if isinstance(size, Name) and not _is_known(frame, size.name):
            if isinstance(frame.names.get(size.name), Tensor):
                frame.fail(BoundTwice, dim, name=size.name, first="tensor", second="dim")
            frame.dims[size.name] = here
            return
        wanted = size_of(frame, size, "the size of a dim")
        if wanted == here:
            return
        if not isinstance(size, Name):
            self.differ(f"{wanted} there, {here} here")
        if _is_param(frame, size.name):
            clash = f"`{size.name}` is the param {size.name} = {wanted}, and {here} here"
            self.differ(clash, f"where any size is meant, call the dim by a name that is no param: not `{size.name}`")
        self.differ(f"`{size.name}` is {wanted} there and {here} here")

    def check_bound(self) -> None:
        """`int < n`: no number here may be larger than the type allows; an open `n` becomes what it is here."""
        size, bound = self.type.bound, self.tensor.bound
        if size is None or bound is None:
            return
        if isinstance(size, Name) and not _is_known(self.frame, size.name):
            self.frame.dims[size.name] = bound
            return
        most = size_of(self.frame, size, "the bound of a type")
        if isinstance(most, int) and bound > most:
            self.differ(f"values up to {bound - 1} here, only up to {most - 1} there")

    def differ(self, clash: str, way: str = "") -> NoReturn:
        """Refuses a tensor of other sizes."""
        quoted = self.name if self.name == "the result" else f"`{self.name}`"
        found = shape_text(self.tensor.dims)
        if self.type.bound is not None:
            found = f"int{found} < {self.tensor.bound}"
        notes = self._declared()
        there, alone = "what is asked for there, or what is given here", "this line, or what it is given"
        way = way if way and notes else f"make the two agree: change {there if notes else alone}"
        facts = {"name": quoted, "wanted": write_type(self.type), "found": found, "clash": clash, "way": way}
        self.frame.fail(SizesDiffer, self.given, notes=notes, **facts)

    def _declared(self) -> tuple[Note, ...]:
        """Where the signature says so, unless the problem itself points there."""
        if (self.type.span.file, self.type.span.line) == (self.given.span.file, self.given.span.line):
            return ()
        return (Note(span=self.type.span, text="this is what its definition asks for"),)


def accept(frame: Frame, name: str, type: TypeText, value: Any, given: Part) -> tuple[Tensor, dict[str, Label]]:
    """``value`` as the tensor that the signature asks for, its dims labelled by the signature.

    Solves the dims that are still open. Also gives, for each label of the signature, the caller's label.
    """
    if not isinstance(value, Tensor | int | float | Size):
        frame.fail(NotThatKind, given, wanted=f"a tensor for `{name}`", found=kind(value), way=next_step(value))
    held = Held(frame, name, type, tensor(frame.machine.tape, value), given).converted()
    made = held.tensor
    if type.dims is None:
        return made, {}
    _refuse_twice(frame, type)
    rests = [i for i, dim in enumerate(type.dims) if isinstance(dim, Rest)]
    fixed = len(type.dims) - len(rests)
    if made.rank < fixed or (not rests and made.rank > fixed):
        held.differ(f"{made.rank} dims here, {'at least ' if rests else ''}{fixed} there")
    first = rests[0] if rests else fixed
    gap = range(first, made.rank - (fixed - first))
    labels: list[Label] = [None] * made.rank
    back: dict[str, Label] = {}
    if rests:
        for i, label in zip(gap, _remainder(held, gap), strict=True):
            labels[i] = label
            back[str(label)] = made.labels[i]
    axes = [i for i in range(made.rank) if i not in gap]
    for dim, i in zip((d for d in type.dims if isinstance(d, DimText)), axes, strict=True):
        labels[i] = label_of(dim)
        if labels[i] is not None:
            back[str(labels[i])] = made.labels[i]
        held.solve(dim, i)
    held.check_bound()
    return Tensor(made.value, tuple(labels), made.bound), back


def _remainder(held: Held, gap: range) -> tuple[Label, ...]:
    """The labels of the dims that `...` stands for: the same in all types of a signature."""
    frame, dims = held.frame, tuple(held.tensor.dims[i] for i in gap)
    if frame.rest is None:
        frame.rest = Remainder(dims, tuple(f"…{next(_rests)}" for _ in gap))
    elif frame.rest.dims != dims:
        before, here = shape_text(frame.rest.dims), shape_text(dims)
        held.differ(f"`...` was {before} before and is {here} here")
    return frame.rest.labels


def _word(dtype: Dtype) -> str:
    return "real" if dtype in FLOATS else "int" if dtype in INTEGERS else dtype


def _is_known(frame: Frame, name: str) -> bool:
    value = frame.names.get(name)
    if name in frame.dims or (value is not None and not isinstance(value, Tensor)):
        return True
    return frame.scope != STD and name in frame.machine.params


def _is_param(frame: Frame, name: str) -> bool:
    return frame.scope != STD and name in frame.machine.params and name not in frame.names and name not in frame.dims
