"""Small inputs for what is done to each number by itself."""

from __future__ import annotations

from dotnn.operation import Operation
from dotnn.recipes.draw import WHOLE, Draw, draws
from dotnn.tape import Value


@draws("neg", "exp", "sin", "cos", "tanh", "sigmoid", "abs", "sign", "floor", "round", "erf")
def _reals(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims()))


@draws("round", smooth=False)
def _halves(draw: Draw, op: Operation) -> Value:
    return op(draw.integer(draw.dims(), -5, 5).cast("f32") * 0.5)


@draws("stop", smooth=False)
def _held(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims()))


@draws("log", "sqrt")
def _above_zero(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims(), 0.2, 3))


@draws("neg", "abs", "sign")
def _whole_numbers(draw: Draw, op: Operation) -> Value:
    return op(draw.integer(draw.dims(), -3, 3))


@draws("add", "sub", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge")
def _pair_of_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    return op(draw.real(draw.part(dims)), draw.real(draw.part(dims)))


@draws("div")
def _over_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    low, high = draw.among(((-3.0, -0.4), (0.4, 3.0)))
    return op(draw.real(draw.part(dims)), draw.real(draw.part(dims), low, high))


@draws("mod")
def _remainder_of_reals(draw: Draw, op: Operation) -> Value:
    # a = (whole + part) * b, so that a is far from the multiples of b, where the remainder jumps.
    dims = draw.dims()
    low, high = draw.among(((-0.9, -0.6), (0.6, 0.9)))
    turns = draw.among((-2, -1, 0, 1))
    edges = sorted((turns * abs(low) + 0.0, turns * abs(high), (turns + 1) * abs(low), (turns + 1) * abs(high)))
    # Between the middle two every b of this range goes into a `turns` times.
    return op(draw.real(draw.part(dims), edges[1] + 0.02, edges[2] - 0.02), draw.real(draw.part(dims), low, high))


@draws("pow")
def _power_of_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    return op(draw.real(draw.part(dims), 0.3, 2.5), draw.real(draw.part(dims)))


@draws("add", "sub", "mul", "div", "maximum", "minimum", "mod", "eq", "ne", "lt", "le", "gt", "ge")
def _pair_of_whole_numbers(draw: Draw, op: Operation) -> Value:
    dims, dtype = draw.dims(), draw.among(WHOLE)
    low, high = draw.among(((-3, -1), (1, 3))) if op.name in ("div", "mod") else (-3, 3)
    a = draw.integer(draw.part(dims), -7, 7, dtype)
    return op(a, draw.integer(draw.part(dims), low, high, dtype))


@draws("maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge", smooth=False)
def _pair_with_ties(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    return op(*(draw.integer(draw.part(dims), -1, 1).cast("f32") for _ in range(2)))


@draws("and", "or")
def _pair_of_truths(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    return op(draw.truth(draw.part(dims)), draw.truth(draw.part(dims)))


@draws("not")
def _truths(draw: Draw, op: Operation) -> Value:
    return op(draw.truth(draw.dims()))


@draws("select")
def _choice_of_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    return op(draw.truth(draw.part(dims)), draw.real(draw.part(dims)), draw.real(draw.part(dims)))


@draws("select")
def _choice_of_whole_numbers(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    return op(draw.truth(draw.part(dims)), draw.integer(draw.part(dims), -3, 3), draw.integer(draw.part(dims), -3, 3))


@draws("cast")
def _reals_to_other_reals(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims()), dtype=draw.among(("f64", "f32")))


@draws("cast")
def _reals_to_whole_numbers(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims()), dtype=draw.among(("i64", "i32", "bool")))


@draws("cast")
def _whole_numbers_to_others(draw: Draw, op: Operation) -> Value:
    return op(draw.integer(draw.dims(), -3, 3), dtype=draw.among(("f32", "f64", "i32", "bool")))


@draws("cast")
def _truths_to_numbers(draw: Draw, op: Operation) -> Value:
    return op(draw.truth(draw.dims()), dtype=draw.among(("f32", "i64")))


@draws("narrow")
def _reals_rounded(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims()), dtype=draw.among(("bf16", "f16")))
