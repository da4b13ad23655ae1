"""Expressions: each kind of the spec to a value."""

from __future__ import annotations

from typing import Any

from dotnn.elaborate.arithmetic import combine, elementwise, joint, tensor
from dotnn.elaborate.calls import call, shaped, stage
from dotnn.elaborate.equations import subscripted, together
from dotnn.elaborate.evaluate import EXPRESSIONS, Rule, bare, computing, evaluate, notice
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import STD
from dotnn.elaborate.named import by_number
from dotnn.elaborate.problems import (
    BoundTwice,
    IndexElsewhere,
    Misfit,
    NotAStage,
    NotAvailable,
    NotKnownNow,
    NotThatKind,
    OutOfPlace,
    StaysInside,
    UnknownName,
    UsesItself,
)
from dotnn.elaborate.spoken import places
from dotnn.elaborate.types import size_of
from dotnn.elaborate.values import (
    Absent,
    Bound,
    Interval,
    Known,
    Phase,
    Scheduled,
    Sequence,
    Shape,
    Size,
    Tensor,
    kind,
    next_step,
)
from dotnn.graph import Dim, multiply
from dotnn.operation import MisfitError, shape_text
from dotnn.spec import (
    Binary,
    Call,
    Chain,
    Choose,
    ColumnOf,
    Expression,
    Index,
    List,
    Member,
    Name,
    Number,
    Range,
    Rest,
    Several,
    Shifted,
    Text,
    Then,
    Truth,
    Unary,
    Until,
)
from dotnn_grammar.problems import perhaps

PI = 3.141592653589793
CONSTANTS = {"pi": PI}

ROWS = "b"
"""The dim in which the rows of a batch lie."""


# ---- names and numbers


def _name(frame: Frame, name: Name) -> Any:
    word, machine = name.name, frame.machine
    if word in frame.names:
        value = frame.names[word]
        if isinstance(value, Absent) and value.scan:
            frame.fail(StaysInside, name, name=word, over=value.scan)
        if isinstance(value, Absent):
            frame.fail(NotAvailable, name, name=word, phase=value.phase)
        if word in frame.dims and isinstance(value, Tensor):
            frame.fail(BoundTwice, name, name=word, first="dim", second="tensor")
        return value
    if word in frame.dims:
        return as_number(frame.dims[word])
    if frame.scope != STD and word in machine.params:
        return machine.params[word]
    if frame.columns is not None and word in frame.columns:
        return frame.columns[word]
    if word in CONSTANTS:
        return CONSTANTS[word]
    found = machine.library.find(word, frame.scope, frame.known)
    if found is None and frame.known is not None and frame.known.name == word:
        frame.fail(UsesItself, name, name=word)
    if found is None:
        near = {*frame.names, *frame.dims, *machine.library.names(frame.scope), *CONSTANTS, *(frame.columns or ())}
        if frame.scope != STD:
            near |= set(machine.params)
        there = frame.columns.arrays() if frame.in_data and frame.columns is not None else ()
        ways = f"the files have {', '.join(f'`{each}`' for each in there[:8])}" if there else ""
        if frame.sizing:
            near, ways = near & {*frame.names, *frame.dims, *machine.params}, SIZES.format(word=word)
        help_text = machine.elsewhere.get(word) or perhaps(word, there or near, ways or _ways(word))
        frame.fail(UnknownName, name, name=word, near=help_text)
    return found


SIZES = "a size is a number, a param, a setting, or a dim of what comes in: x: [b, {word}], x: int[b] < {word}"


def _ways(word: str) -> str:
    if word.lower() in ("true", "false"):
        return f"truth is written `yes` and `no`: here `{'yes' if word.lower() == 'true' else 'no'}`"
    return f"bind it first: {word} = …; or give it as a setting, a param or a definition of your own"


def as_number(dim: Dim) -> Any:
    """A dim's size as a value of the language: a number, or a size that each batch decides."""
    return dim if isinstance(dim, int) else Size(dim)


def _number(frame: Frame, number: Number) -> Any:
    return number.value


def _text(frame: Frame, text: Text) -> Any:
    return text.value


def _truth(frame: Frame, truth: Truth) -> Any:
    return truth.value


# ---- arithmetic


def _numbers(frame: Frame, value: Any) -> Any:
    """`[1, 5]` is a shape, and where it meets a sign these numbers."""
    if isinstance(value, Shape) and value.dims and all(isinstance(dim, int) for dim in value.dims):
        return tensor(frame.machine.tape, value)
    return value


def _binary(frame: Frame, binary: Binary) -> Any:
    left, right = (_numbers(frame, evaluate(frame, side)) for side in (binary.left, binary.right))
    left, right = by_number(frame, binary, left, right)
    for side, value in ((binary.left, left), (binary.right, right)):
        if not isinstance(value, Tensor | int | float | str | Size):
            facts = {"wanted": "a number or a tensor", "found": kind(value), "way": next_step(value)}
            frame.fail(NotThatKind, side, **facts)
    if isinstance(left, Size) or isinstance(right, Size):
        product = _sizes(binary.operator, left, right)
        if product is not None:
            return product
    if frame.equation is not None:
        left, right = together(frame, [(left, binary.left), (right, binary.right)])
    if frame.deciding and binary.operator in ("<", "<=", ">", ">="):
        left, right = (_at_most(frame, side) for side in (left, right))
    if frame.deciding and binary.operator in ("==", "!=") and _never_equal(left, right):
        return binary.operator == "!="
    with computing(frame, binary):
        return combine(frame.machine.tape, binary.operator, left, right)


def _at_most(frame: Frame, value: Any) -> Any:
    """A size that each batch decides is held against a bound as if it were the longest."""
    return frame.machine.longest.get(value.dim, value) if isinstance(value, Size) else value


def _never_equal(left: Any, right: Any) -> bool:
    """Whether a schedule is compared with one number."""
    return any(isinstance(a, Scheduled) and isinstance(b, int | float) for a, b in ((left, right), (right, left)))


def _sizes(operator: str, left: Any, right: Any) -> Size | None:
    """A product of sizes is a size."""
    dims = [v.dim if isinstance(v, Size) else v for v in (left, right)]
    if operator != "*" or not all(isinstance(d, str | int) and not isinstance(d, bool) for d in dims):
        return None
    made = multiply(dims)
    return Size(made) if isinstance(made, str) else None


def _unary(frame: Frame, unary: Unary) -> Any:
    value = evaluate(frame, unary.operand)
    with computing(frame, unary):
        if unary.operator == "not":
            if isinstance(value, bool):
                return not value
            if isinstance(value, Tensor):
                return Tensor(frame.machine.tape.add("not", value.value), value.labels)
            raise MisfitError(f"`not` turns yes and no around, and this is {kind(value)}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
        made = tensor(frame.machine.tape, value, joint(value, at_least="i64"))
        return Tensor(-made.value, made.labels)


def _choose(frame: Frame, choose: Choose) -> Any:
    condition = evaluate(frame, choose.condition)
    if isinstance(condition, bool):
        return evaluate(frame, choose.then if condition else choose.otherwise)
    then, otherwise = evaluate(frame, choose.then), evaluate(frame, choose.otherwise)
    if frame.equation is not None:
        parts = ((condition, choose.condition), (then, choose.then), (otherwise, choose.otherwise))
        condition, then, otherwise = together(frame, parts)
    with computing(frame, choose):
        if isinstance(condition, Tensor) and condition.bound == 2:  # 0 or 1, as `as int < 2` promises
            condition = tensor(frame.machine.tape, condition, "bool")
        if not isinstance(condition, Tensor) or condition.value.dtype != "bool":
            found = "numbers" if isinstance(condition, Tensor) else kind(condition)
            why = f"`a if c else b` chooses by yes and no, and its condition is {found}"
            raise MisfitError(why, "compare: a if x > 0 else b")
        tape = frame.machine.tape
        dtype = joint(then, otherwise)
        return elementwise(tape, "select", condition, tensor(tape, then, dtype), tensor(tape, otherwise, dtype))


# ---- brackets, dots and lists


def _index(frame: Frame, index: Index) -> Any:
    value = bare(frame, index.value)
    if isinstance(value, Known | Bound):
        return shaped(frame, value, _of_each_row(frame, _shape(frame, index.items)), index)
    if isinstance(value, Shape) and isinstance(index.value, List):
        with computing(frame, index.value):
            value = _beside(frame, list(value.dims))  # whole numbers that are no sizes: [1, 5][label]
    if not isinstance(value, Tensor):
        frame.fail(NotThatKind, index.value, wanted="a tensor", found=kind(value))
    if frame.equation is not None and (found := subscripted(frame, index, value)) is not None:
        return found
    items = [None if isinstance(item, Rest) else _item(frame, value, item) for item in index.items]
    with computing(frame, index):
        if len(items) == 1 and isinstance(items[0], Tensor):
            where = places(frame.machine.tape, items[0])
            size = value.dims[0] if value.rank else None
            if isinstance(size, int) and where.bound is not None and where.bound > size:
                raise MisfitError(f"rows up to {where.bound - 1} are asked for, and there are {size} (0 to {size - 1})")
            made = frame.machine.tape.add("gather", value.value, where.value)
            return Tensor(made, (*where.labels, *value.labels[1:]))
        return _cut(value, items)


def _of_each_row(frame: Frame, shape: Shape) -> Shape:
    """Where rows are generated or altered, `normal(0, 1)[32, 32]` is drawn for each of them."""
    if frame.draw is None or shape.dims[:1] == (ROWS,):
        return shape
    return Shape((ROWS, *shape.dims), (ROWS, *shape.labels))


def _item(frame: Frame, value: Tensor, item: Expression) -> Any:
    if isinstance(item, Name) and item.name in frame.dims and item.name not in frame.names:
        frame.fail(IndexElsewhere, item, name=item.name)
    if isinstance(item, Range):
        return _range(frame, item)
    found = evaluate(frame, item)
    if isinstance(found, Tensor | Interval) or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    return frame.fail(NotThatKind, item, wanted="a place or a range", found=kind(found))


def _cut(value: Tensor, items: list[Any]) -> Tensor:
    """Slices: one item a dim from the first; `...` (None) skips to the last ones."""
    if items.count(None) > 1:
        raise MisfitError("`...` stands once in the brackets: it is all dims that are not named before and after it")
    if None in items:
        gap = items.index(None)
        items = [
            *items[:gap],
            *[Interval(0, d) for d in value.dims[gap : value.rank - len(items) + gap + 1]],
            *items[gap + 1 :],
        ]
    if len(items) > value.rank:
        raise MisfitError(f"{len(items)} places are given, and {shape_text(value.dims)} has {value.rank} dims")
    made, dims, labels = value.value, [], []
    for axis, item in enumerate(items):
        here = value.dims[axis]
        if isinstance(item, Tensor):
            raise MisfitError("a tensor of places stands alone in the brackets: table[token]")
        one = isinstance(item, int)
        start, stop = (item, item + 1) if isinstance(item, int) else (item.start, item.stop)
        if isinstance(here, int) and isinstance(stop, int) and not 0 <= start <= stop <= here:
            asked = f"place {item} is" if one else f"the places {start}..{stop} are"
            raise MisfitError(f"{asked} asked for, and there are {here}, counted from 0")
        if stop != here or start != 0:
            if not isinstance(stop, int) and (axis or start):
                raise MisfitError(
                    f"a part of dim {here} cannot be taken up to {stop}, which is known only when the graph runs"
                )
            if isinstance(stop, int):
                made = made.tape.add("slice", made, axis=axis, start=start, stop=stop)
            else:  # which are the first is known, how many there are only when the graph runs
                made = made.tape.add("gather", made, made.tape.add("iota", dim=stop))
        if not one:
            dims.append(made.dims[axis])
            named = item.label if isinstance(item, Interval) and item.label not in value.labels else None
            labels.append(named or value.labels[axis])
    dims.extend(value.dims[len(items) :])
    labels.extend(value.labels[len(items) :])
    return Tensor(made.reshape(dims), tuple(labels))


def _shape(frame: Frame, items: tuple[Expression, ...]) -> Shape:
    dims: list[Dim] = []
    labels: list[str | None] = []
    for item in items:
        if isinstance(item, Rest):
            if frame.rest is None:
                frame.fail(OutOfPlace, item, what="`...`", way="nothing in the signature is written `...`")
            dims.extend(frame.rest.dims)
            labels.extend(frame.rest.labels)
            continue
        value = evaluate(frame, item) if isinstance(item, Name | Call) else None
        if isinstance(value, Shape):
            dims.extend(value.dims)
            labels.extend(value.labels)
            continue
        dims.append(size_of(frame, item, "a size in a shape"))
        labels.append(item.name if isinstance(item, Name) and item.name in frame.dims else None)
    return Shape(tuple(dims), tuple(labels))


def _member(frame: Frame, member: Member) -> Any:
    value = evaluate(frame, member.value)
    if member.name == "T" and isinstance(value, Tensor) and value.rank >= 2:
        *first, a, b = value.labels
        return Tensor(value.value.T, (*first, b, a))
    way = "`.T` is a matrix with its last two dims swapped; `val.error` stands in `stop` and `keep` alone"
    if isinstance(value, Bound):
        way = f"what is done next follows an arrow: x -> {value.known.name}(…) -> {member.name}"
    elif isinstance(value, Known):
        way = "nothing inside a net or layer is read from outside: let it be a result too, -> y: […], z: […]"
    return frame.fail(OutOfPlace, member, what=f"`.{member.name}` of {kind(value)}", way=way)


def _list(frame: Frame, written: List) -> Any:
    if frame.in_data:
        values = [evaluate(frame, item.value) for item in written.items]
        if any(isinstance(value, Tensor) for value in values):
            with computing(frame, written):
                return _beside(frame, values)
    plain = [item.value for item in written.items if isinstance(item.value, Number | Unary | Binary)]
    if any(isinstance(v, float) and not v.is_integer() for v in (evaluate(frame, part) for part in plain)):
        with computing(frame, written):  # no sizes, then: numbers, as the weight of each class
            return _beside(frame, [evaluate(frame, item.value) for item in written.items])
    made = _shape(frame, tuple(item.value for item in written.items))
    if len(made.labels) != len(written.items):  # a shape among them stands for several dims
        return made
    return Shape(made.dims, tuple(i.name or label for i, label in zip(written.items, made.labels, strict=True)))


def _beside(frame: Frame, values: list[Any]) -> Tensor:
    """`[x, y]` of columns: one number of each, side by side in the last dim."""
    tape, dtype = frame.machine.tape, joint(*values)
    parts = [tensor(tape, value, dtype) for value in values]
    widest = max(parts, key=lambda part: part.rank)
    for part in parts:
        if part.rank and part.dims != widest.dims:
            two = f"{shape_text(part.dims)} and {shape_text(widest.dims)}"
            raise MisfitError(f"columns of {two} cannot stand in one list")
    dims = (*widest.dims, 1)
    made = tape.add("concat", *(p.value.expand(widest.dims).reshape(dims) for p in parts), axis=widest.rank)
    return Tensor(made, (*widest.labels, None))


def _several(frame: Frame, several: Several) -> Any:
    return tuple(evaluate(frame, item) for item in several.items)


def _range(frame: Frame, written: Range) -> Any:
    start = size_of(frame, written.start, "the start of a range")
    stop = size_of(frame, written.stop, "the end of a range")
    if not isinstance(start, int):
        frame.fail(NotKnownNow, written.start, what="the start of a range", way="write a number")
    if isinstance(stop, int) and stop < start:
        frame.fail(Misfit, written, why=f"{start}..{stop} runs backwards", way="a..b goes up, without b")
    last = written.stop
    is_dim = start == 0 and isinstance(last, Name) and last.name in frame.dims and last.name not in frame.names
    return Interval(start, stop, last.name if is_dim and isinstance(last, Name) else None)


def _rest(frame: Frame, rest: Rest) -> Any:
    way = "`...` stands for dims, in a type or in brackets"
    return frame.fail(OutOfPlace, rest, what="`...`", way=way)


# ---- calls and chains


def _call(frame: Frame, written: Call) -> Any:
    own = "ahead" in frame.machine.library.user
    if frame.in_data and isinstance(written.function, Name) and written.function.name == "ahead" and not own:
        return frame.columns.ahead(frame, written)
    callee = bare(frame, written.function)
    if isinstance(callee, Tensor) and isinstance(written.function, Name):
        word = written.function.name
        way = "only functions, layers, nets and operations are followed by ( )"
        if frame.machine.library.find(word, frame.scope) is not None:
            way = f"`{word}` names a tensor here, which hides the `{word}` that can be called: rename the tensor"
        wanted = "something that can be called"
        frame.fail(NotThatKind, written.function, wanted=wanted, found=kind(callee), way=way)
    return call(frame, callee, written.arguments, written)


def _chain(frame: Frame, chain: Chain) -> Any:
    value, before = evaluate(frame, chain.start), chain.start
    for written in chain.stages:
        if isinstance(value, tuple):
            found = f"what gives {len(value)} results"
            way = "one tensor flows through a chain; only its last stage may give several: m, v = x -> NAME"
            frame.fail(NotAStage, before, found=found, way=way)
        value, before = notice(frame, written, stage(frame, value, written)), written.call
        if written.name is not None:
            frame.remember(written.name, value)
    return value


# ---- schedules, columns


def _then(frame: Frame, then: Then) -> Any:
    phases: list[Phase] = []
    for part in then.phases:
        value = evaluate(frame, part)
        added = value.phases if isinstance(value, Sequence) else (Phase(value),)
        for phase in added:
            earlier = max((p.until for p in phases if p.until and p.unit == phase.unit), default=0)
            if phase.until is not None and phase.until <= earlier:
                why = f"this goes to {phase.unit} {phase.until}, and the one before it to {phase.unit} {earlier}"
                way = "`until` counts from the start of training: let the numbers rise"
                frame.fail(Misfit, part, why=why, way=way)
        phases.extend(added)
    return Sequence(tuple(phases))


def _until(frame: Frame, until: Until) -> Any:
    count = evaluate(frame, until.count)
    way = "write `until epoch 10` or `until step 500`"
    if until.unit not in ("epoch", "step"):
        frame.fail(NotThatKind, until, wanted="epoch or step", found=f"`{until.unit}`", way=way)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        wanted = "a whole number above 0"
        frame.fail(NotThatKind, until.count, wanted=wanted, found=kind(count), way=way)
    return Sequence((Phase(evaluate(frame, until.value), until.unit, count),))


def _shifted(frame: Frame, shifted: Shifted) -> Any:
    if frame.columns is not None and frame.in_data:
        return frame.columns.shifted(frame, shifted)
    way = "what is a step later is a column of its own: next = token shifted by 1, in the `data` block"
    return frame.fail(OutOfPlace, shifted, what="`shifted by`", way=way)


def _column(frame: Frame, column: ColumnOf) -> Any:
    if frame.columns is not None and frame.columns.raw is not None:
        return frame.columns.raw(column)
    way = "columns of a table are named in the `data` block"
    return frame.fail(OutOfPlace, column, what="a column of the table", way=way)


RULES: dict[str, Rule] = {
    "name": _name,
    "number": _number,
    "text": _text,
    "truth": _truth,
    "call": _call,
    "rest": _rest,
    "index": _index,
    "member": _member,
    "unary": _unary,
    "binary": _binary,
    "choose": _choose,
    "range": _range,
    "list": _list,
    "several": _several,
    "chain": _chain,
    "until": _until,
    "then": _then,
    "shifted": _shifted,
    "column": _column,
}

EXPRESSIONS.update(RULES)
