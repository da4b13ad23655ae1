"""What each operation computes, as a formula in NumPy: slow, obvious, the judge.

Reals come in as float64 and whole numbers as they are; sizes in the attributes are numbers already. What comes out is
rounded once, to the type of the result, by ``evaluate.py``. Nothing is said here about speed.
"""

# NumPy says Any for what comes out of arithmetic on arrays of any type; here that is an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.feeds import IndexOutside, NothingToChoose
from dotnn_reference import convolve

Formula = Callable[..., Any]

FORMULAS: dict[str, Formula] = dict(convolve.FORMULAS)


def formula(*names: str) -> Callable[[Formula], Formula]:
    """Registers a function as the meaning of these operations."""

    def keep(function: Formula) -> Formula:
        for name in names:
            if name in FORMULAS:
                raise ValueError(f"operation {name} has two formulas")
            FORMULAS[name] = function
        return function

    return keep


# ---- elementwise: where NumPy's own function is the formula

FORMULAS.update(
    {
        "neg": np.negative,
        "exp": np.exp,
        "log": np.log,
        "sqrt": np.sqrt,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "abs": np.abs,
        "sign": np.sign,
        "floor": np.floor,
        "round": np.rint,  # halfway between two, the even one
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "mod": np.mod,  # with the sign of b
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "and": np.logical_and,
        "or": np.logical_or,
        "not": np.logical_not,
        "select": np.where,
    }
)


@formula("sigmoid")
def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


@formula("erf")
def erf(x: Array) -> Array:
    return np.asarray([math.erf(number) for number in x.reshape(-1)], np.float64).reshape(x.shape)


@formula("div")
def divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    below = a // b
    return below + ((below * b != a) & ((a < 0) != (b < 0)))  # from the floor to the whole number nearer to 0


@formula("pow")
def power(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.power(a, b)
    # A whole number to a negative power lies between -1 and 1, and is cut towards zero.
    return np.where(b < 0, np.trunc(1.0 / np.power(np.where(a == 0, 2, a), -np.minimum(b, 0))), a ** np.maximum(b, 0))


NARROW = {"bf16": (8, -125, 128), "f16": (11, -13, 16)}
"""Bits of a number, the exponents of the least and of the greatest full one, with numbers as m * 2^e, 1/2 <= m < 1."""


@formula("narrow")
def narrow(x: Array, *, dtype: str) -> Array:
    bits, least, most = NARROW[dtype]
    _, exponent = np.frexp(x)
    unit = np.ldexp(1.0, np.maximum(exponent, least) - bits)
    rounded = np.round(x / unit) * unit  # halfway between two, the even one
    return np.where(np.abs(rounded) < np.ldexp(1.0, most), rounded, np.copysign(np.inf, x))


@formula("cast")
def cast(x: Array, *, dtype: str) -> Array:
    return x != 0 if dtype == "bool" else x  # reals are cut towards zero when they are stored as whole numbers


@formula("stop")
def stop(x: Array) -> Array:
    return x


# ---- folding dims
# Of nothing: the sum is 0, the mean is not a number, the greatest is -inf and the smallest inf (for whole numbers the
# ends of their range), and there is no argmax.


@formula("sum")
def total(x: Array, *, axes: tuple[int, ...], keep: bool) -> Array:
    return np.sum(x, axis=axes, keepdims=keep, dtype=x.dtype)


@formula("mean")
def mean(x: Array, *, axes: tuple[int, ...], keep: bool) -> Array:
    count = int(np.prod([x.shape[a] for a in axes]))
    return divide(total(x, axes=axes, keep=keep), np.asarray(count, x.dtype))


@formula("variance")
def variance(x: Array, *, axes: tuple[int, ...], keep: bool) -> Array:
    return mean(np.square(x - mean(x, axes=axes, keep=True)), axes=axes, keep=keep)


@formula("max")
def greatest(x: Array, *, axes: tuple[int, ...], keep: bool) -> Array:
    return np.max(x, axis=axes, keepdims=keep, initial=_ends(x)[0])


@formula("min")
def least(x: Array, *, axes: tuple[int, ...], keep: bool) -> Array:
    return np.min(x, axis=axes, keepdims=keep, initial=_ends(x)[1])


def _ends(x: Array) -> tuple[Any, Any]:
    if x.dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(x.dtype).min, np.iinfo(x.dtype).max


@formula("argmax")
def argmax(x: Array, *, axis: int) -> Array:
    if x.shape[axis] == 0:
        raise NothingToChoose().error()
    return np.argmax(x, axis=axis)


@formula("cumulate")
def cumulate(x: Array, *, axis: int, back: bool) -> Array:
    turned = np.flip(x, axis) if back else x
    made = np.cumsum(turned, axis=axis, dtype=x.dtype)
    return np.flip(made, axis) if back else made


# ---- matrix products


@formula("matmul")
def matmul(a: Array, b: Array) -> Array:
    return np.matmul(a, b)


# ---- moving numbers


@formula("reshape")
def reshape(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.reshape(dims)


@formula("transpose")
def transpose(x: Array, *, order: tuple[int, ...]) -> Array:
    return np.transpose(x, order)


@formula("expand")
def expand(x: Array, *, dims: tuple[int, ...]) -> Array:
    return np.broadcast_to(x, dims)


@formula("slice")
def cut(x: Array, *, axis: int, start: int, stop: int) -> Array:
    return x[(slice(None),) * axis + (slice(start, stop),)]


@formula("pad")
def pad(x: Array, *, axis: int, before: int, after: int) -> Array:
    return np.pad(x, [(before, after) if i == axis else (0, 0) for i in range(x.ndim)])


@formula("concat")
def concat(*parts: Array, axis: int) -> Array:
    return np.concatenate(parts, axis=axis)


# ---- places that numbers name


@formula("gather")
def gather(table: Array, index: Array) -> Array:
    return table[_within(index, table.shape[0])]


@formula("scatter")
def scatter(index: Array, rows_of: Array, *, rows: int) -> Array:
    result = np.zeros((rows, *rows_of.shape[index.ndim :]), rows_of.dtype)
    np.add.at(result, _within(index, rows), rows_of)
    return result


@formula("pick")
def pick(x: Array, index: Array) -> Array:
    return np.take_along_axis(x, _within(index, x.shape[-1])[..., None], axis=-1)[..., 0]


@formula("place")
def place(x: Array, index: Array, *, size: int) -> Array:
    result = np.zeros((*x.shape, size), x.dtype)
    np.put_along_axis(result, _within(index, size)[..., None], x[..., None], axis=-1)
    return result


@formula("argsort")
def argsort(x: Array, *, axis: int, size: int, falling: bool) -> Array:
    if falling:  # seen from its end, so that the first of equals stays the first
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    return cut(order, axis=axis, start=0, stop=size)


@formula("take")
def take(x: Array, index: Array, *, axis: int) -> Array:
    return np.take_along_axis(x, _within(index, x.shape[axis]), axis=axis)


@formula("put")
def put(x: Array, index: Array, *, axis: int, size: int) -> Array:
    result = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    places: list[Array] = list(np.indices(x.shape))
    places[axis] = _within(index, size)
    np.add.at(result, tuple(places), x)
    return result


@formula("overwrite")
def overwrite(x: Array, row: Array, place: Array, *, axis: int) -> Array:
    result = x.copy()
    np.moveaxis(result, axis, 0)[_within(place, x.shape[axis])] = row.take(0, axis)
    return result


def _within(index: Array, size: int) -> Array:
    outside = index[(index < 0) | (index >= size)]
    if outside.size:
        raise IndexOutside(index=int(outside.flat[0]), size=size).error()
    return index.astype(np.int64)


# ---- along the last dim


@formula("logsumexp")
def logsumexp(x: Array) -> Array:
    top = np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)  # inf - inf is not a number; without a shift the formula is right there
    return (np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True)) + top)[..., 0]


@formula("log_softmax")
def log_softmax(x: Array) -> Array:
    return x - logsumexp(x)[..., None]


@formula("softmax")
def softmax(x: Array) -> Array:
    parts = np.exp(x - np.max(x, axis=-1, keepdims=True, initial=-np.inf))
    return parts / np.sum(parts, axis=-1, keepdims=True)


@formula("normalise")
def normalise(x: Array, *, eps: float) -> Array:
    return _centred(x) * precision(x, eps=eps)


@formula("precision")
def precision(x: Array, *, eps: float) -> Array:
    variance = np.sum(np.square(_centred(x)), axis=-1, keepdims=True) / np.float64(x.shape[-1])
    return 1.0 / np.sqrt(variance + eps)


def _centred(x: Array) -> Array:
    return x - np.sum(x, axis=-1, keepdims=True) / np.float64(x.shape[-1])


# ---- values out of nothing


@formula("literal")
def literal(*, value: float, dtype: str) -> Array:
    return np.asarray(value)


@formula("array")
def array(*, values: tuple[float, ...], dims: tuple[int, ...], dtype: str) -> Array:
    return np.asarray(values).reshape(dims)


@formula("size")
def size(*, dim: int, dtype: str) -> Array:
    return np.asarray(dim)


@formula("iota")
def iota(*, dim: int) -> Array:
    return np.arange(dim)


# ---- numbers that look random: the generator itself is in dotnn/squares.py


@formula("derive_key")
def derive_key(seed: Array) -> Array:
    from dotnn import squares

    return np.asarray(squares.derive_key(int(seed)), np.uint64)


@formula("random")
def random(key: Array, step: Array, *, dims: tuple[int, ...], use: str, bits: int) -> Array:
    from dotnn import squares

    uniform = squares.uniform16 if bits == 16 else squares.uniform24
    return uniform(int(key), step if step.ndim else int(step), dims, use)


@formula("shuffle")
def shuffle(key: Array, epoch: Array, count: Array) -> Array:
    from dotnn import squares

    return squares.shuffle(int(key), int(epoch), int(count))
