"""Operations on each number by itself. ``g`` is the gradient of the result ``y``."""

from __future__ import annotations

import math
from collections.abc import Callable

from dotnn.graph import FLOATS, Dtype, Type
from dotnn.operation import Gradients, MisfitError, Operation, broadcast, register
from dotnn.tape import Value


def _real(x: Type) -> Type:
    if x.dtype not in FLOATS:
        raise MisfitError(f"this takes real numbers, not {x.dtype}")
    return x


def _number(x: Type) -> Type:
    if x.dtype == "bool":
        raise MisfitError("this takes numbers, not truth values")
    return x


def _pair(a: Type, b: Type) -> Type:
    if a.dtype != b.dtype:
        raise MisfitError(f"{a.dtype} and {b.dtype} do not mix")
    return Type(dtype=a.dtype, dims=broadcast(a.dims, b.dims))


def _unary(
    name: str,
    gradient: Callable[..., Gradients] | None,
    doc: str,
    infer: Callable[..., Type] = _real,
    linear: bool = False,
) -> Operation:
    return register(Operation(name, infer, gradient, linear=(0,) if linear else (), doc=doc))


def _binary(name: str, gradient: Callable[..., Gradients] | None, doc: str, linear: tuple[int, ...] = ()) -> Operation:
    return register(Operation(name, _pair, gradient, linear=linear, doc=doc))


# ---- one input


def _neg(g: Value, y: Value, x: Value) -> Gradients:
    return [-g]


def _exp(g: Value, y: Value, x: Value) -> Gradients:
    return [g * y]


def _log(g: Value, y: Value, x: Value) -> Gradients:
    return [g / x]


def _sqrt(g: Value, y: Value, x: Value) -> Gradients:
    return [0.5 * g / y]


def _sin(g: Value, y: Value, x: Value) -> Gradients:
    return [g * cos(x)]


def _cos(g: Value, y: Value, x: Value) -> Gradients:
    return [-(g * sin(x))]


def _tanh(g: Value, y: Value, x: Value) -> Gradients:
    return [g - g * (y * y)]


def _sigmoid(g: Value, y: Value, x: Value) -> Gradients:
    return [g * (y - y * y)]


def _abs(g: Value, y: Value, x: Value) -> Gradients:
    return [g * sign(x)]


def _erf(g: Value, y: Value, x: Value) -> Gradients:
    return [g * (2 / math.sqrt(math.pi) * exp(-(x * x)))]


neg = _unary("neg", _neg, "-x", _number, linear=True)
exp = _unary("exp", _exp, "e to the x")
log = _unary("log", _log, "the natural logarithm of x")
sqrt = _unary("sqrt", _sqrt, "the square root of x")
sin = _unary("sin", _sin, "the sine of x, in radians")
cos = _unary("cos", _cos, "cos(x), with x in radians")
tanh = _unary("tanh", _tanh, "(e^x - e^-x) / (e^x + e^-x), between -1 and 1")
sigmoid = _unary("sigmoid", _sigmoid, "1 / (1 + e^-x), between 0 and 1")
erf = _unary("erf", _erf, "the error function: 2 / sqrt(pi) times the integral of e^(-t^2) for t from 0 to x")
absolute = _unary("abs", _abs, "x without its sign", _number)
sign = _unary("sign", None, "-1, 0 or 1", _number)
floor = _unary("floor", None, "the greatest whole number that is not above x")
nearest = _unary("round", None, "the whole number nearest to x; halfway between two, the even one")


# ---- two inputs, aligned as NumPy does


def _add(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    return [g, g]


def _sub(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    return [g, -g]


def _mul(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    return [g * b, g * a]


def _div(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    over = g / b
    return [over, -(over * y)]


def _pow(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    # Where a is 0 the logarithm is not finite though the limit of y*log(a) is 0 (b > 0): guard it. So is a^(b - 1)
    # where b is 0 too, though x^0 is flat.
    one = g.tape.literal(1, a.dtype)
    zero = g.tape.literal(0, a.dtype)
    base = select(g.tape.add("and", eq(a, zero), eq(b, zero)), one, a)
    return [g * b * base ** (b - one), g * y * log(select(a > zero, a, one))]


def _maximum(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    # At a tie all of it goes to b, so that max(x, 0) has the gradient 0 at 0.
    first = (a > b).cast(g.dtype)
    return [g * first, g - g * first]


def _minimum(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    first = (a < b).cast(g.dtype)
    return [g * first, g - g * first]


def _mod(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    return [g, -(g * floor(a / b))]


add = _binary("add", _add, "a + b", linear=(0, 1))
sub = _binary("sub", _sub, "a - b", linear=(0, 1))
mul = _binary("mul", _mul, "a * b", linear=(0, 1))
div = _binary("div", _div, "a / b; whole numbers are cut towards zero", linear=(0,))
power = _binary("pow", _pow, "a to the b")
maximum = _binary("maximum", _maximum, "the greater of a and b; at a tie the gradient goes to b")
minimum = _binary("minimum", _minimum, "the smaller of a and b; at a tie the gradient goes to b")
remainder = _binary("mod", _mod, "what is left of a when b is taken away as often as it goes, with the sign of b")


def _compare(a: Type, b: Type) -> Type:
    return _pair(a, b).of("bool")


def _logic(a: Type, b: Type) -> Type:
    if a.dtype != "bool" or b.dtype != "bool":
        raise MisfitError("`and` and `or` join yes and no, and here are numbers", "compare first: x > 0 and y > 0")
    return _pair(a, b)


def _negation(x: Type) -> Type:
    if x.dtype != "bool":
        raise MisfitError("`not` turns yes and no around, and this is numbers", "compare first: not (x > 0)")
    return x


eq = register(Operation("eq", _compare, doc="a == b"))
ne = register(Operation("ne", _compare, doc="a != b"))
lt = register(Operation("lt", _compare, doc="a < b"))
le = register(Operation("le", _compare, doc="a <= b"))
gt = register(Operation("gt", _compare, doc="a > b"))
ge = register(Operation("ge", _compare, doc="a >= b"))
both = register(Operation("and", _logic, doc="a and b"))
either = register(Operation("or", _logic, doc="a or b"))
negation = register(Operation("not", _negation, doc="not x"))


# ---- choosing and converting


def _select(condition: Type, a: Type, b: Type) -> Type:
    if condition.dtype != "bool":
        why = "`a if c else b` chooses by yes and no, and its condition is numbers"
        raise MisfitError(why, "compare: a if x > 0 else b")
    pair = _pair(a, b)
    return Type(dtype=pair.dtype, dims=broadcast(condition.dims, pair.dims))


def _select_gradient(g: Value, y: Value, condition: Value, a: Value, b: Value) -> Gradients:
    zero = g.tape.literal(0, g.dtype)
    return [None, select(condition, g, zero), select(condition, zero, g)]


def _cast(x: Type, *, dtype: Dtype) -> Type:
    return x.of(dtype)


def _cast_gradient(g: Value, y: Value, x: Value, *, dtype: Dtype) -> Gradients:
    return [g.cast(x.dtype) if x.type.is_float and y.type.is_float else None]


def _narrow(x: Type, *, dtype: Dtype) -> Type:
    if not x.is_float or dtype not in ("bf16", "f16"):
        raise MisfitError(f"reals are rounded to bf16 or f16, not {x.dtype} to {dtype}")
    return x


select = register(
    Operation("select", _select, _select_gradient, linear=(1, 2), doc="a where the condition holds, else b")
)
cast = register(Operation("cast", _cast, _cast_gradient, linear=(0,), doc="x as numbers of type `dtype`"))
narrow = register(
    Operation("narrow", _narrow, doc="x rounded to the nearest number of the narrower type `dtype`, in its own type")
)
stop = register(Operation("stop", lambda x: x, doc="x; the gradient does not pass"))
