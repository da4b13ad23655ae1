"""How to draw small inputs for each operation: a recipe is a function that writes the operation on a tape.

    @draws("add", "sub")
    def pair(draw, op):
        dims = draw.dims()
        return op(draw.real(draw.part(dims)), draw.real(draw.part(dims)))

A plugin writes its recipes the same way, for its own operations.
"""

from __future__ import annotations

import numpy as np

from dotnn import recipes_steps as _steps  # noqa: F401
from dotnn import recipes_windows as _windows  # noqa: F401  (its recipes register themselves)
from dotnn.draw import RECIPES, Array, Draw, Recipe, draws
from dotnn.graph import Dim, Dtype, multiply
from dotnn.operation import Operation
from dotnn.tape import Value

__all__ = ["RECIPES", "Array", "Draw", "Recipe", "draws"]

_WHOLE: tuple[Dtype, ...] = ("i64", "i32")
_SIZES: tuple[Dim, ...] = ("b", "2*b", 3)


# ---- elementwise


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
    dims, dtype = draw.dims(), draw.among(_WHOLE)
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


# ---- folding


def _axes(draw: Draw, dims: tuple[Dim, ...]) -> tuple[int, ...]:
    chosen = tuple(i for i in range(len(dims)) if draw.chance())
    return chosen or (draw.whole(0, len(dims) - 1),)


@draws("sum", "mean", "max", "min")
def _folded_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axes=_axes(draw, dims), keep=draw.chance())


@draws("sum", "max", "min")
def _folded_whole_numbers(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.integer(dims, -3, 3), axes=_axes(draw, dims), keep=draw.chance())


@draws("max", "min", smooth=False)
def _folded_ties(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.integer(dims, -1, 1).cast("f32"), axes=_axes(draw, dims), keep=draw.chance())


@draws("argmax")
def _greatest_of_reals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axis=draw.whole(0, len(dims) - 1))


@draws("argmax", smooth=False)
def _greatest_of_equals(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.integer(dims, -1, 1).cast("f32"), axis=draw.whole(0, len(dims) - 1))


@draws("variance")
def _spread(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axes=_axes(draw, dims), keep=draw.chance())


@draws("cumulate")
def _added_up(draw: Draw, op: Operation) -> Value:
    dims = draw.dims(1)
    return op(draw.real(dims), axis=draw.whole(0, len(dims) - 1), back=draw.chance())


@draws("cumulate")
def _whole_numbers_added_up(draw: Draw, op: Operation) -> Value:
    dims, dtype = draw.dims(1), draw.among(_WHOLE)
    return op(draw.integer(dims, -3, 3, dtype), axis=draw.whole(0, len(dims) - 1), back=draw.chance())


# ---- matrix products


@draws("matmul")
def _matrices(draw: Draw, op: Operation) -> Value:
    outer = draw.dims(0, 2, named=False)
    rows, inner, columns = draw.dims(3, 3)
    left = (*draw.part(outer), rows, inner)
    return op(draw.real(left), draw.real((*draw.part(outer), inner, columns)))


@draws("matmul")
def _rows_by_one_matrix(draw: Draw, op: Operation) -> Value:
    rows = draw.dims(2, 4)
    return op(draw.real(rows), draw.real((rows[-1], draw.size())))


# ---- moving numbers


def _anything(draw: Draw, dims: tuple[Dim, ...]) -> Value:
    """Mostly reals: operations that move numbers take all."""
    kind = draw.whole(0, 5)
    return draw.integer(dims, -3, 3) if kind == 0 else draw.truth(dims) if kind == 1 else draw.real(dims)


@draws("reshape")
def _other_dims(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    folds: list[tuple[Dim, ...]] = [dims, (multiply(dims),), (1, *dims), (*dims, 1), tuple(d for d in dims if d != 1)]
    folds += [(*dims[:i], multiply(dims[i : i + 2]), *dims[i + 2 :]) for i in range(len(dims) - 1)]
    return op(_anything(draw, dims), dims=draw.among(folds))


@draws("transpose")
def _other_order(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    left = list(range(len(dims)))
    order = tuple(left.pop(draw.whole(0, len(left) - 1)) for _ in dims)
    return op(_anything(draw, dims), order=order)


@draws("expand")
def _repeated(draw: Draw, op: Operation) -> Value:
    dims = draw.dims()
    x = draw.real(draw.part(dims))
    if "b" in dims:
        draw.real(("b",))  # something must say what b is
    return op(x, dims=dims)


def _fixed_axis(draw: Draw) -> tuple[tuple[Dim, ...], int, int]:
    """Dims, and one of them whose size is a number."""
    dims = draw.dims(1)
    axis = draw.whole(0, len(dims) - 1)
    here = draw.size()
    return (*dims[:axis], here, *dims[axis + 1 :]), axis, here


@draws("slice")
def _some_of_a_dim(draw: Draw, op: Operation) -> Value:
    dims, axis, here = _fixed_axis(draw)
    start = draw.whole(0, here - 1)
    return op(_anything(draw, dims), axis=axis, start=start, stop=draw.whole(start + 1, here))


@draws("pad")
def _zeros_beside(draw: Draw, op: Operation) -> Value:
    dims, axis, _ = _fixed_axis(draw)
    return op(draw.real(dims), axis=axis, before=draw.whole(0, 2), after=draw.whole(0, 2))


@draws("concat")
def _one_after_the_other(draw: Draw, op: Operation) -> Value:
    dims, axis, _ = _fixed_axis(draw)
    parts = [(*dims[:axis], draw.size(), *dims[axis + 1 :]) for _ in range(draw.whole(1, 4))]
    return op(*(draw.real(part) for part in parts), axis=axis)


# ---- places that numbers name


@draws("gather")
def _rows_of_a_table(draw: Draw, op: Operation) -> Value:
    rows = draw.size()
    table = draw.real((rows, *draw.dims(0, 2, named=False)))
    return op(table, draw.integer(draw.dims(0, 2), 0, rows - 1))


@draws("scatter")
def _rows_added_up(draw: Draw, op: Operation) -> Value:
    rows, places = draw.size(), draw.dims(0, 2)
    index = draw.integer(places, 0, rows - 1)
    return op(index, draw.real((*places, *draw.dims(0, 2, named=False))), rows=rows)


@draws("pick")
def _one_of_each_row(draw: Draw, op: Operation) -> Value:
    rows, width = draw.dims(0, 3), draw.size()
    return op(draw.real((*rows, width)), draw.integer(rows, 0, width - 1))


@draws("place")
def _one_in_each_row(draw: Draw, op: Operation) -> Value:
    rows, width = draw.dims(0, 3), draw.size()
    return op(draw.real(rows), draw.integer(rows, 0, width - 1), size=width)


def _sorted(draw: Draw, op: Operation, x: Value) -> Value:
    axis = draw.whole(0, x.type.rank - 1)
    here = x.dims[axis]
    size = draw.whole(1, here) if isinstance(here, int) else here
    return op(x, axis=axis, size=size, falling=draw.chance())


@draws("argsort")
def _order_of_reals(draw: Draw, op: Operation) -> Value:
    return _sorted(draw, op, draw.real(draw.dims(1)))


@draws("argsort", smooth=False)
def _order_of_equals(draw: Draw, op: Operation) -> Value:
    whole = draw.integer(draw.dims(1), -1, 1, draw.among(_WHOLE))
    return _sorted(draw, op, whole if draw.chance() else whole.cast("f32"))


@draws("take")
def _several_of_each_row(draw: Draw, op: Operation) -> Value:
    dims, axis, here = _fixed_axis(draw)
    index = draw.integer((*dims[:axis], draw.size(), *dims[axis + 1 :]), 0, here - 1)
    return op(draw.real(dims), index, axis=axis)


@draws("put")
def _several_in_each_row(draw: Draw, op: Operation) -> Value:
    dims, axis, _ = _fixed_axis(draw)
    size = draw.size()
    return op(draw.real(dims), draw.integer(dims, 0, size - 1), axis=axis, size=size)


# ---- along the last dim


@draws("softmax", "log_softmax", "logsumexp")
def _shares(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims(1)))


@draws("normalise", "precision")
def _centred(draw: Draw, op: Operation) -> Value:
    return op(draw.real(draw.dims(1)), eps=draw.among((1e-1, 1e-2)))


# ---- values out of nothing


@draws("literal")
def _number(draw: Draw, op: Operation) -> Value:
    return draw.tape.add("literal", value=draw.among((0.0, -1.5, 3.0)), dtype="f32")


@draws("literal")
def _whole_number(draw: Draw, op: Operation) -> Value:
    return draw.tape.add("literal", value=draw.whole(-3, 3), dtype=draw.among(("i64", "i32")))


@draws("array")
def _table_of_numbers(draw: Draw, op: Operation) -> Value:
    dims = draw.numbers(draw.dims(0, 3, named=False))
    values = tuple(draw.whole(-8, 8) / 4 for _ in range(int(np.prod(dims))))
    return draw.tape.add("array", values=values, dims=dims, dtype="f32")


@draws("size")
def _size_of_a_batch(draw: Draw, op: Operation) -> Value:
    draw.real(("b", 2))
    return draw.tape.add("size", dim=draw.among(_SIZES), dtype=draw.among(("f32", "i64")))


@draws("iota")
def _counting(draw: Draw, op: Operation) -> Value:
    draw.real(("b", 2))
    return draw.tape.add("iota", dim=draw.among(_SIZES))


# ---- numbers that look random


def _key(draw: Draw) -> Value:
    return draw.feed(np.asarray(draw.among((1, 0x123456789ABCDEF1, 2**64 - 1)), np.uint64), "u64", ())


@draws("derive_key")
def _seed(draw: Draw, op: Operation) -> Value:
    return op(draw.feed(np.asarray(draw.among((0, 1, -1, 2**63 - 1))), "i64", ()))


@draws("random")
def _uniform(draw: Draw, op: Operation) -> Value:
    key, step = _key(draw), draw.feed(np.asarray(draw.among((0, 1, 2**20))), "i64", ())
    draw.real(("b",))
    return op(key, step, dims=draw.dims(), use=draw.among(("net.a", "net.b")), bits=draw.among((16, 24)))


@draws("random")
def _by_row(draw: Draw, op: Operation) -> Value:
    key, rows = _key(draw), [draw.among((0, 1, 2**20, 2**31)) for _ in range(draw.sizes["b"])]
    step = draw.feed(np.asarray(rows, np.int64), "i64", ("b",))
    return op(key, step, dims=("b", *draw.dims(most=3, named=False)), use="net.a", bits=draw.among((16, 24)))


@draws("shuffle")
def _order(draw: Draw, op: Operation) -> Value:
    key = _key(draw)
    numbers = [draw.feed(np.asarray(draw.whole(low, 40)), "i64", ()) for low in (0, 1)]
    return op(key, *numbers)
