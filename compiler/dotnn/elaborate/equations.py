"""Index equations: `score[b, i, j] = q[b, i, e] * k[b, j, e] / sqrt(e)`.

The subscripts on the left name the dims of the result. On the right a subscript says which dim of a tensor is which
index, and a name that `for` binds is a coordinate. What is added is added as it stands; of a product, every index that
the left lacks is summed:

    y[i] = a[i, j] * b[j] + c[i]            y_i = (sum over j of a_ij b_j) + c_i
    d[i] = (x[i, j] - m[j])^2               d_i = sum over j of (x_ij - m_j)^2

A sum in parentheses is multiplied out: in `s[i] * (a[i, j] * b[j] + c[i])` only the first product is summed over j, and
where an index of such a sum stands in another factor too, all that is added must have it. Inside a call nothing is
summed but by the call itself. Two factors become one matrix product where something is summed, else they are multiplied
number by number; of several the pair with the smallest result comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dotnn.elaborate.arithmetic import combine, tensor
from dotnn.elaborate.contract import Order, arrange, contract, lacking, outer
from dotnn.elaborate.evaluate import computing, evaluate, notice
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.problems import (
    BoundTwice,
    IndexOffset,
    IndexSizes,
    LabelTwice,
    LacksInside,
    Misfit,
    MixedSum,
    NoIndexSize,
    NotIndexed,
    NotKnownNow,
    NotThatKind,
    WrongIndices,
)
from dotnn.elaborate.values import Interval, Tensor, kind
from dotnn.graph import Dim
from dotnn.spec import Binary, Binder, Expression, Index, Name, Number, Part, Target, Unary
from dotnn.words import parts_in
from dotnn.write import write_expression


@dataclass
class Equation:
    """One equation while it is worked out: its indices in order, how large each is, and who said so."""

    left: tuple[str, ...]
    coordinates: dict[str, Interval] = field(default_factory=dict)
    order: Order = field(default_factory=Order)
    sizes: dict[str, Dim] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """By index: the text from which its size is known."""
    values: dict[int, tuple[Part, Any]] = field(default_factory=dict)
    """By the identity of a part of the right side: the part, and what it stands for."""

    def is_index(self, name: str) -> bool:
        return name in self.left or name in self.coordinates or name in self.sizes


def equation(frame: Frame, target: Target, value: Expression, binders: Sequence[Binder], part: Part) -> Tensor:
    """`target[i, j] = value for i in 0..t`: the tensor that the left side names. Raises ``ProblemError``."""
    left = target.indices or ()
    made = Equation(left)
    for name in left:
        if left.count(name) > 1:
            frame.fail(LabelTwice, target, name=name, type=f"{target.name}[{', '.join(left)}]")
    with _within(frame, made, binders):
        _refuse_tensors(frame, made, left, target)
        _look_ahead(frame, value)
        result = _sum(frame, made, value)
        with computing(frame, part):
            return _complete(frame, made, result, target)


@contextmanager
def _within(frame: Frame, made: Equation, binders: Sequence[Binder]) -> Iterator[None]:
    """While the equation is worked out: its coordinates are names, its indices are dims."""
    for name in made.left:
        made.order.place(name)
    before, names, dims = frame.equation, frame.names, frame.dims
    frame.names, frame.dims = dict(names), dict(dims)
    for binder in binders:
        _bind(frame, made, binder)
    frame.equation = made
    try:
        yield
    finally:
        frame.equation, frame.names, frame.dims = before, names, dims


def _bind(frame: Frame, made: Equation, binder: Binder) -> None:
    """`i in 0..t`: within the equation `i` is the coordinate, a whole number for each place."""
    name = binder.name
    if name in made.coordinates or name in frame.dims or isinstance(frame.names.get(name), Tensor):
        first = "dim" if name in frame.dims else "coordinate" if name in made.coordinates else "tensor"
        frame.fail(BoundTwice, binder, name=name, first=first, second="coordinate")
    value = evaluate(frame, binder.range)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Interval(0, value)
    if not isinstance(value, Interval):
        way = "write a range: for i in 0..t"
        frame.fail(NotThatKind, binder.range, wanted="a range", found=kind(value), way=way)
    if value.start and not isinstance(value.stop, int):
        way = "a coordinate that does not begin at 0 ends at a number"
        frame.fail(NotKnownNow, binder.range, what="the end of this range", way=way)
    size = value.stop if value.start == 0 or not isinstance(value.stop, int) else value.stop - value.start
    with computing(frame, binder):
        tape = frame.machine.tape
        counted = tape.add("iota", dim=size)
        counted = counted + tape.literal(value.start, "i64") if value.start else counted
    made.coordinates[name], made.sizes[name] = value, size
    made.said[name] = f"`{name} in {write_expression(binder.range)}`"
    made.order.place(name)
    frame.names[name] = Tensor(counted, (name,), value.stop if isinstance(value.stop, int) else None)


def _refuse_tensors(frame: Frame, made: Equation, names: Sequence[str], part: Part) -> None:
    for name in names:
        if isinstance(frame.names.get(name), Tensor) and name not in made.coordinates:
            frame.fail(BoundTwice, part, name=name, first="tensor", second="index")


def _look_ahead(frame: Frame, value: Expression) -> None:
    """Finds how large the indices are, so that they are numbers in all of the equation (`sqrt(e)`)."""
    for part in parts_in(value):
        if isinstance(part, Index) and isinstance(part.value, Name) and isinstance(_found(frame, part.value), Tensor):
            evaluate(frame, part)


def _found(frame: Frame, name: Name) -> Any:
    if name.name in frame.names:
        return frame.names[name.name]
    if frame.columns is not None and name.name in frame.columns:
        return frame.columns[name.name]
    return None


def has_index(part: Part) -> bool:
    """Whether something in it is subscripted."""
    return any(isinstance(each, Index) for each in parts_in(part))


def _complete(frame: Frame, made: Equation, result: Any, target: Target) -> Tensor:
    """The result under the dims of the left side; repeated along those that the right side does not have."""
    tape = frame.machine.tape
    value = result if isinstance(result, Tensor) else tensor(tape, result)
    dims: list[Dim] = []
    for name in made.left:
        size = made.sizes.get(name, frame.dims.get(name, frame.names.get(name)))
        if not isinstance(size, int | str) or isinstance(size, bool):
            way = f"let something on the right have the index `{name}`, or bind it: for {name} in 0..10"
            frame.fail(NoIndexSize, target, name=name, way=way)
        dims.append(size)
    return arrange(value, made.left, dims)


# ---- subscripts


def subscripted(frame: Frame, index: Index, value: Tensor) -> Tensor | None:
    """`q[b, i, e]` in an equation: the tensor with these names for its dims. None where it takes places or slices."""
    made: Equation = frame.equation
    names = [item.name if isinstance(item, Name) else None for item in index.items]
    only = names[0] if len(names) == 1 else None
    if only and isinstance(frame.names.get(only), Tensor) and only not in made.coordinates:
        return None  # table[token]: a row for each
    for item in index.items:
        if not isinstance(item, Name):
            _refuse_offset(frame, made, index, item)
    if not any(names):
        return None
    _refuse_tensors(frame, made, [n for n in names if n], index)
    if len(names) != value.rank:
        text, left = write_expression(index.value), f"{len(names)} {'index' if len(names) == 1 else 'indices'}"
        has = f"{value.rank} dim{'' if value.rank == 1 else 's'}"
        frame.fail(WrongIndices, index, name=text, has=has, given=left)
    with computing(frame, index):
        axis = 0
        for item in index.items:
            if isinstance(item, Name):
                value = _named(frame, made, index, item, value, axis)
                axis += 1
            else:
                value = _at_place(frame, item, value, axis)
        return made.order.sorted(_diagonals(value))


def _refuse_offset(frame: Frame, made: Equation, index: Index, item: Expression) -> None:
    """Only a name, or a place known now, stands in a subscript of an equation."""
    inner = next((p for p in parts_in(item) if isinstance(p, Name) and made.is_index(p.name)), None)
    text = write_expression(index.value)
    if inner is not None:
        way = f"cut it first, on a line above: `later = {text}[1..t]`, then `later[{inner.name}]`"
        frame.fail(IndexOffset, item, what=f"`{write_expression(item)}`", way=way)
    mixed = len(index.items) > 1 and any(isinstance(i, Name) for i in index.items)
    if mixed and not isinstance(evaluate(frame, item), int):
        way = f"take that part on a line above, and give all dims of it an index here: `part = {text}[…]`"
        frame.fail(IndexOffset, item, what=f"`{write_expression(item)}` beside an index", way=way)


def _at_place(frame: Frame, item: Expression, value: Tensor, axis: int) -> Tensor:
    """The tensor without this dim: what stands at one place of it."""
    place, here = evaluate(frame, item), value.dims[axis]
    if isinstance(here, int) and not 0 <= place < here:
        frame.fail(Misfit, item, why=f"place {place} is asked for, and there are {here}, counted from 0")
    cut = value.value.tape.add("slice", value.value, axis=axis, start=place, stop=place + 1)
    dims = (*value.dims[:axis], *value.dims[axis + 1 :])
    return Tensor(cut.reshape(dims), (*value.labels[:axis], *value.labels[axis + 1 :]), value.bound)


def _named(frame: Frame, made: Equation, index: Index, item: Name, value: Tensor, axis: int) -> Tensor:
    """The tensor with the index's name for this dim."""
    name, here, range_of = item.name, value.dims[axis], made.coordinates.get(item.name)
    if range_of is not None and (range_of.start, range_of.stop) != (0, here):
        value = _stretch(frame, made, item, value, axis, range_of)
        here = value.dims[axis]
    text = f"`{write_expression(index)}`"
    known, said = _size(frame, made, name)
    if known is not None and known != here:
        frame.fail(IndexSizes, item, name=name, here=str(here), there=f"{known} {said}")
    if name not in made.sizes:
        made.sizes[name], made.said[name] = here, text
        if name not in frame.names:
            frame.dims.setdefault(name, here)
    labels = (*value.labels[:axis], name, *value.labels[axis + 1 :])
    return Tensor(value.value, labels, value.bound)


def _size(frame: Frame, made: Equation, name: str) -> tuple[Dim | None, str]:
    """How large an index is known to be, and what says so."""
    if name in made.sizes:
        return made.sizes[name], f"in {made.said[name]}"
    known = frame.dims.get(name, frame.names.get(name))
    if known is None and frame.users:
        known = frame.machine.params.get(name)
    if isinstance(known, int | str) and not isinstance(known, bool) and (isinstance(known, int) or name in frame.dims):
        return known, "outside of this line"
    return None, ""


def _stretch(frame: Frame, made: Equation, item: Name, value: Tensor, axis: int, asked: Interval) -> Tensor:
    """The part of a dim that a coordinate's range names."""
    here = value.dims[axis]
    if not isinstance(here, int) or not isinstance(asked.stop, int) or asked.stop > here:
        there = f"goes up to {asked.stop} in {made.said[item.name]}"
        frame.fail(IndexSizes, item, name=item.name, here=str(here), there=there)
    cut = value.value.tape.add("slice", value.value, axis=axis, start=asked.start, stop=asked.stop)
    return Tensor(cut, value.labels, value.bound)


def _diagonals(value: Tensor) -> Tensor:
    """`x[i, i]`: where an index stands twice only the places are kept at which both are the same."""
    for name in dict.fromkeys(value.labels):
        while value.labels.count(name) > 1:
            value = _diagonal(value, name)
    return value


def _diagonal(value: Tensor, name: str | None) -> Tensor:
    first = value.labels.index(name)
    second = value.labels.index(name, first + 1)
    rest = [i for i in range(value.rank) if i not in (first, second)]
    x = value.value.transpose((*rest, first, second))
    places = x.tape.add("iota", dim=x.dims[-1]).expand(x.dims[:-1])
    return Tensor(x.tape.add("pick", x, places), (*(value.labels[i] for i in rest), name), value.bound)


# ---- sums and products


def _sum(frame: Frame, made: Equation, part: Expression) -> Any:
    """What is added, each product summed over what the left side lacks."""
    match part:
        case Binary(operator="+" | "-"):
            left, right = _sum(frame, made, part.left), _sum(frame, made, part.right)
            return _combined(frame, part, part.operator, (left, part.left), (right, part.right))
        case Unary(operator="-"):
            return _negative(frame, part, _sum(frame, made, part.operand))
    return _product(frame, made, part)


def _negative(frame: Frame, part: Expression, value: Any) -> Any:
    with computing(frame, part):
        return combine(frame.machine.tape, "*", value, -1)


def _combined(frame: Frame, part: Expression, operator: str, *sides: tuple[Any, Expression]) -> Any:
    left, right = together(frame, sides)
    with computing(frame, part):
        return notice(frame, part, combine(frame.machine.tape, operator, left, right))


@dataclass(frozen=True)
class Factor:
    """One factor of a product."""

    value: Any
    part: Expression
    below: bool
    """It stands under the line of a fraction."""


def _product(frame: Frame, made: Equation, part: Expression) -> Any:
    """A product summed over every index that the left side lacks."""
    written = list(_factors(part, below=False))
    values: list[Factor | None] = [
        None if _is_sum(each) else Factor(_factor(frame, made, each), each, below) for each, below in written
    ]
    seen = [f.value for f in values if f is not None and isinstance(f.value, Tensor)]
    for factor in values:
        if factor is not None:
            _refuse_open(frame, made, factor, [f for f in values if f is not None])
    factors = [
        done if done is not None else Factor(_bracket(frame, made, each, below, seen), each, below)
        for done, (each, below) in zip(values, written, strict=True)
    ]
    with computing(frame, part):
        return _multiplied(frame, made, factors)


def _refuse_open(frame: Frame, made: Equation, factor: Factor, beside: Sequence[Factor]) -> None:
    """What is computed number by number is not summed for itself; a comparison may choose from what is summed."""
    if not isinstance(factor.value, Tensor) or _is_open(factor.part):
        return
    given = {label for f in beside if _is_open(f.part) for label in _labels(f.value)}
    chooses = isinstance(factor.part, Binary | Unary) and factor.value.value.dtype == "bool"
    for name in lacking(factor.value, made.left):
        if not (chooses and name in given):
            frame.fail(LacksInside, factor.part, name=name, left=_left(made))


def _is_open(part: Expression) -> bool:
    """What may have indices that are summed: what is subscripted, a coordinate, a power of these."""
    return isinstance(part, Index | Name) or (isinstance(part, Binary) and part.operator == "^")


def _factors(part: Expression, below: bool) -> Iterator[tuple[Expression, bool]]:
    match part:
        case Binary(operator="*" | "/"):
            yield from _factors(part.left, below)
            yield from _factors(part.right, below != (part.operator == "/"))
        case Unary(operator="-"):
            yield Number(span=part.span, value=-1), False
            yield from _factors(part.operand, below)
        case _:
            yield part, below


def _is_sum(part: Expression) -> bool:
    return isinstance(part, Binary) and part.operator in ("+", "-")


def _factor(frame: Frame, made: Equation, part: Expression) -> Any:
    """One factor. What is subscripted, a coordinate, and powers of these may have indices that the left lacks."""
    match part:
        case Binary(operator="^"):
            if _is_sum(part.left):
                _even(frame, made, part.left)
            value = evaluate(frame, part)
        case _:
            value = evaluate(frame, part)
    if not isinstance(value, Tensor):
        return value
    _refuse_unnamed(frame, value, part)
    strange = [label for label in value.labels if label and not made.is_index(label)]
    if strange:  # not subscripted here, and so not meant to be summed
        frame.fail(NotIndexed, part, name=write_expression(part), dims=_dims(value), way=_way(part, value))
    return value


def _refuse_unnamed(frame: Frame, value: Tensor, part: Expression) -> None:
    if any(label is None for label in value.labels):
        frame.fail(NotIndexed, part, name=write_expression(part), dims=_dims(value), way=_way(part, value))


def _dims(value: Tensor) -> str:
    return "[" + ", ".join(label or str(d) for label, d in zip(value.labels, value.dims, strict=True)) + "]"


def _way(part: Part, value: Tensor) -> str:
    letters = [label or "ijklmn"[n % 6] for n, label in enumerate(value.labels)]
    if isinstance(part, Name):
        return f"say which dim is which: {part.name}[{', '.join(letters)}]"
    return f"bind it on a line above, and give its dims indices here: `part[{', '.join(letters)}]`"


def _left(made: Equation) -> str:
    return f"[{', '.join(made.left)}]"


def _bracket(frame: Frame, made: Equation, part: Expression, below: bool, others: Sequence[Tensor]) -> Any:
    """A sum that is a factor: multiplied out where that can be done in one way only."""
    terms = [_labels(evaluate(frame, term)) for term in _terms(part)]
    open_ = {label for labels in terms for label in labels if label not in made.left}
    elsewhere = {label for other in others for label in other.labels}
    if not below and not open_ & elsewhere:
        return _sum(frame, made, part)
    _even(frame, made, part)
    return evaluate(frame, part)


def _even(frame: Frame, made: Equation, part: Expression) -> None:
    """Refuses a sum of which one part has an index that the left side lacks, and another has not."""
    terms = [_labels(evaluate(frame, term)) for term in _terms(part)]
    for name in dict.fromkeys(label for labels in terms for label in labels if label and label not in made.left):
        if any(name not in labels for labels in terms):
            frame.fail(MixedSum, part, name=name, left=_left(made))


def _terms(part: Expression) -> Iterator[Expression]:
    match part:
        case Binary(operator="+" | "-"):
            yield from _terms(part.left)
            yield from _terms(part.right)
        case _:
            yield part


def _labels(value: Any) -> tuple[str | None, ...]:
    return value.labels if isinstance(value, Tensor) else ()


def _multiplied(frame: Frame, made: Equation, factors: Sequence[Factor]) -> Any:
    """The factors as one value, without what the left side lacks."""
    tape = frame.machine.tape
    tensors: list[Tensor] = []
    plain_above: list[Any] = []
    after: list[Any] = []
    for factor in factors:
        value = factor.value
        if not isinstance(value, Tensor) or value.rank == 0:
            (after if factor.below else plain_above).append(value)
        elif not factor.below:
            tensors.append(value)
        elif lacking(value, made.left):
            tensors.append(combine(tape, "/", 1, value))
        else:
            after.append(value)
    result: Any = contract(tape, tensors, made.order, made.left) if tensors else None
    for value in plain_above:
        result = value if result is None else combine(tape, "*", result, value)
    for value in after:
        a, b = outer(made.order, [1 if result is None else result, value])
        result = combine(tape, "/", a, b)
    return result


# ---- number by number


def together(frame: Frame, sides: Sequence[tuple[Any, Expression]]) -> list[Any]:
    """Values of an equation that meet number by number, each under the same indices."""
    for value, part in sides:
        if isinstance(value, Tensor):
            _refuse_unnamed(frame, value, part)
    with computing(frame, sides[0][1]):
        return outer(frame.equation.order, [value for value, _ in sides])


def aligned(frame: Frame, values: Sequence[Any]) -> list[Any]:
    """What is given to a call in an equation: tensors of which none has all indices of the others meet all the same."""
    assert frame.equation is not None
    if any(isinstance(v, Tensor) and None in v.labels for v in values):
        return list(values)
    return outer(frame.equation.order, values)
