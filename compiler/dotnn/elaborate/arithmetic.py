"""Arithmetic between what is known now and what is known when the graph runs.

Numbers known now stay numbers; where a tensor takes part the operation is written on its tape. Whole numbers become
real where a real takes part, truth values become numbers. Tensors are aligned by their labels where the smaller has
them all, else as NumPy does.

No transcendental function is computed here, since its last bit differs between processors: it is written on the tape.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from dotnn.elaborate.values import Label, Shape, Size, Tensor, kind, plain
from dotnn.graph import INTEGERS, Dtype
from dotnn.operation import MisfitError
from dotnn.tape import Tape, Value

ORDER: tuple[Dtype, ...] = ("bool", "u8", "i32", "i64", "f16", "bf16", "f32", "f64")
REAL: Dtype = "f32"
MOST: dict[Dtype, float] = {"f32": 3.4028234663852886e38, "i64": 2**63 - 1}
"""The largest number of a type."""
LARGEST = 2**1023
"""No number known now is as large."""

TAPED = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "^": "pow",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "and": "and", "or": "or",
}  # fmt: skip

NOW: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class LabelsDifferError(ValueError):
    """Two dims with different labels meet."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first, second)
        self.first, self.second = first, second


def tensor(tape: Tape, value: Any, dtype: Dtype | None = None) -> Tensor:
    """``value`` as a tensor on the tape, converted to ``dtype`` where one is given."""
    match value:
        case Tensor(on_tape):
            if dtype is None or dtype == on_tape.dtype:
                return value
            return Tensor(on_tape.cast(dtype), value.labels, value.bound if dtype in INTEGERS else None)
        case Size(dim):
            return plain(tape.size(dim, dtype or REAL))
        case bool():
            return plain(tape.literal(value, dtype or "bool"))
        case int():
            return plain(tape.literal(_fitting(value, dtype or "i64"), dtype or "i64"))
        case float():
            return plain(tape.literal(_fitting(value, dtype or REAL), dtype or REAL))
        case Shape(dims) if dims and all(isinstance(dim, int) for dim in dims):  # `[1, 5]`, used as numbers
            numbers = [tape.literal(int(dim), dtype or "i64").reshape((1,)) for dim in dims]
            return plain(tape.add("concat", *numbers, axis=0))
    raise MisfitError(f"a number or a tensor is needed here, and this is {kind(value)}")


def _fitting(number: float, dtype: Dtype) -> float:
    """``number`` itself. Raises OverflowError where that type has no number so large."""
    most = MOST.get(dtype)
    if most is not None and abs(number) > most:
        raise OverflowError(number)
    return number


def real(tape: Tape, value: Any) -> Tensor:
    """``value`` as a tensor of reals."""
    made = tensor(tape, value, None if isinstance(value, Tensor) else REAL)
    return made if made.value.type.is_float else tensor(tape, made, REAL)


def joint(*values: Any, at_least: Dtype = "bool") -> Dtype:
    """The type in which these can be computed together. A number known now asks for real only where it is not whole."""
    wanted = [at_least]
    has_tensor = any(isinstance(v, Tensor) and not _is_clock(v) for v in values)
    for value in values:
        match value:
            case Tensor(on_tape):
                wanted.append("f32" if _is_clock(value) and has_tensor else on_tape.dtype)
            case bool():
                wanted.append("bool")
            case int():
                wanted.append("u8")
            case float() | Size():
                wanted.append(REAL)
    top = max(wanted, key=ORDER.index)
    if top == "u8" and not any(isinstance(v, Tensor) and v.value.dtype == "u8" for v in values):
        return "i64"
    return top


def _is_clock(value: Any) -> bool:
    """A single number in double precision: what is computed from `step`. It takes the precision of what it meets."""
    return isinstance(value, Tensor) and value.value.dtype == "f64" and value.rank == 0


def combine(tape: Tape, operation: str, left: Any, right: Any) -> Any:
    """``left operation right``. Raises MisfitError, LabelsDifferError, ZeroDivisionError."""
    if not isinstance(left, Tensor) and not isinstance(right, Tensor):
        now = _now(operation, left, right)
        if now is not None:
            return _finite(now)
    if operation in ("/", "//", "%") and isinstance(right, int | float) and right == 0:
        raise ZeroDivisionError
    if operation == "@":
        return _product(tensor(tape, left), tensor(tape, right))
    if operation == "//":
        return _whole(tape, left, right)
    if operation == "^" and isinstance(right, int | float) and right in (1, 2, 3, 0.5, -1):
        return _power(tape, left, right)
    if operation in ("and", "or"):
        dtype: Dtype = "bool"
    elif operation in ("/", "^"):
        dtype = joint(left, right, at_least=REAL)
    elif operation in ("+", "-", "*", "%"):
        dtype = joint(left, right, at_least="u8")
        dtype = "i64" if dtype == "u8" else dtype
    else:
        dtype = joint(left, right)
        dtype = "i64" if dtype == "bool" and operation not in ("==", "!=") else dtype
    if operation in ("and", "or"):
        a, b = tensor(tape, left), tensor(tape, right)
    else:
        a, b = tensor(tape, left, dtype), tensor(tape, right, dtype)
        if dtype == "bool":
            a, b = tensor(tape, a, "i64"), tensor(tape, b, "i64")
    return elementwise(tape, TAPED[operation], a, b)


def _finite(number: Any) -> Any:
    """``number`` itself. Raises OverflowError where no real number is so large: products of products grow fast."""
    if isinstance(number, int | float) and not abs(number) < LARGEST:
        raise OverflowError(number)
    return number


def _now(operation: str, left: Any, right: Any) -> Any:
    """The result where it can be known now, else None."""
    if isinstance(left, Size) or isinstance(right, Size):
        if left == right and operation in ("==", "<=", ">="):
            return True
        return None
    if operation in ("and", "or"):
        if isinstance(left, bool) and isinstance(right, bool):
            return (left and right) if operation == "and" else (left or right)
        raise MisfitError(f"`{operation}` joins truth values (yes, no, comparisons)")
    if isinstance(left, str) or isinstance(right, str):
        if operation in ("==", "!="):
            return NOW[operation](left, right)
        raise MisfitError(f"`{operation}` takes numbers, not text")
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        if operation in ("==", "!="):
            return (left is right) == (operation == "==")
        raise MisfitError(f"`{operation}` takes numbers and tensors")
    if operation == "@":
        raise MisfitError("`@` multiplies matrices, not single numbers")
    if operation == "/":
        return left / right
    if operation == "^":
        return exact_power(left, right)
    return NOW[operation](left, right)


def exact_power(base: float, exponent: float) -> float | None:
    """``base ^ exponent`` by multiplication alone, or None where that does not give it exactly."""
    if not isinstance(exponent, int) or abs(exponent) > 64:
        return None
    if isinstance(base, int) and exponent >= 0:
        return int(base**exponent) if abs(base) < 2**32 else None
    result = 1.0
    for _ in range(abs(exponent)):
        result *= base
    return 1 / result if exponent < 0 else result


def _whole(tape: Tape, left: Any, right: Any) -> Tensor:
    """`a // b`: the whole part of a / b, rounded down."""
    dtype = joint(left, right, at_least="u8")
    a, b = tensor(tape, left, dtype), tensor(tape, right, dtype)
    if dtype in ("f16", "bf16", "f32", "f64"):
        quotient = elementwise(tape, "div", a, b)
        return Tensor(tape.add("floor", quotient.value), quotient.labels)
    rest = elementwise(tape, "mod", a, b)
    return elementwise(tape, "div", elementwise(tape, "sub", a, rest), b)


def _power(tape: Tape, base: Any, exponent: float) -> Tensor:
    x = real(tape, base)
    if exponent == 0.5:
        return Tensor(tape.add("sqrt", x.value), x.labels)
    if exponent == -1:
        return Tensor(1 / x.value, x.labels)
    value = x.value
    for _ in range(int(exponent) - 1):
        value = value * x.value
    return Tensor(value, x.labels)


def elementwise(tape: Tape, op: str, *tensors: Tensor) -> Tensor:
    """An operation on each number, its inputs aligned."""
    widest = max(tensors, key=lambda t: t.rank)
    values, labels = [], list(widest.labels)
    for each in tensors:
        if each is widest or each.rank == 0:
            values.append(each.value)
            continue
        moved = _align(each, widest)
        values.append(moved.value)
        offset = widest.rank - moved.rank
        for i, label in enumerate(moved.labels):
            mine = labels[i + offset]
            if mine and label and mine != label:
                raise LabelsDifferError(mine, label)
            labels[i + offset] = mine or label
    return Tensor(tape.add(op, *values), tuple(labels))


def _align(small: Tensor, large: Tensor) -> Tensor:
    """``small`` with its dims where ``large`` has those labels; as it is where a label is missing."""
    if any(label is None or label not in large.labels for label in small.labels):
        return small
    places = [large.labels.index(label) for label in small.labels]
    order = sorted(range(small.rank), key=places.__getitem__)
    value = small.value.transpose(order)
    first = min(places)
    taken = {places[i]: value.dims[n] for n, i in enumerate(order)}
    dims = [taken.get(place, 1) for place in range(first, large.rank)]
    labels: list[Label] = [large.labels[p] if p in taken else None for p in range(first, large.rank)]
    return Tensor(value.reshape(dims), tuple(labels))


def _product(a: Tensor, b: Tensor) -> Tensor:
    dtype = joint(a, b, at_least=REAL)
    left, right = a.value.cast(dtype), b.value.cast(dtype)
    if a.rank and b.rank >= 2:
        inner, outer = a.labels[-1], b.labels[-2]
        if inner and outer and inner != outer and not inner.startswith("…") and not outer.startswith("…"):
            raise LabelsDifferError(inner, outer)
    if a.rank == 1 and b.rank == 2:  # one row
        made = left.reshape((1, *a.dims)) @ right
        return Tensor(made.reshape(made.dims[1:]), b.labels[-1:])
    value: Value = left @ right
    labels = [*a.labels[:-1], b.labels[-1]]
    if labels[-1] in labels[:-1]:
        labels[-1] = None
    return Tensor(value, (None,) * (value.type.rank - len(labels)) + tuple(labels))
