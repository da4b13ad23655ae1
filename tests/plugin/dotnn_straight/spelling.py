"""How each operation is spelt in NumPy: {0}, {1}, … are its inputs, {axis} and the like its attributes."""

import math

import numpy as np

from dotnn import squares
from dotnn_straight import windows

SPELLING = {
    **windows.SPELLING,
    **{op: f"{op}({{0}})" for op in ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "sign", "floor")},
    **{op: f"{op}({{0}}, {{1}})" for op in ("maximum", "minimum", "mod")},
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "not": "~{0}",
    "neg": "-{0}",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "divide({0}, {1})",
    "pow": "power({0}, {1})",
    "round": "rint({0})",
    "erf": "erf({0})",
    "sigmoid": "exp(-logaddexp(0, -{0}))",
    "select": "where({0}, {1}, {2})",
    "cast": "{0} != 0 if {dtype!r} == 'bool' else {0}",
    "narrow": "narrow({0}, {dtype!r})",
    "stop": "{0}",
    "matmul": "{0} @ {1}",
    "sum": "sum({0}, axis={axes}, keepdims={keep}, dtype={0}.dtype)",
    "mean": "divide(sum({0}, axis={axes}, keepdims={keep}), array(prod([{0}.shape[a] for a in {axes}]), {0}.dtype))",
    "max": "max({0}, axis={axes}, keepdims={keep}, initial=ends({0})[0])",
    "min": "min({0}, axis={axes}, keepdims={keep}, initial=ends({0})[1])",
    "variance": "var({0}, axis={axes}, keepdims={keep})",
    "cumulate": "cumulate({0}, {axis}, {back})",
    "argmax": "argmax({0}, axis={axis})",
    "reshape": "reshape({0}, {dims})",
    "transpose": "transpose({0}, {order})",
    "expand": "broadcast_to({0}, {dims})",
    "slice": "take({0}, range({start}, {stop}), axis={axis})",
    "pad": "pad({0}, [({before}, {after}) if i == {axis} else (0, 0) for i in range({0}.ndim)])",
    "concat": "concatenate([{all}], axis={axis})",
    "gather": "{0}[{1}]",
    "scatter": "scatter({0}, {1}, {rows})",
    "pick": "take_along_axis({0}, {1}[..., None].astype('int64'), axis=-1)[..., 0]",
    "place": "where(arange({size}) == {1}[..., None], {0}[..., None], 0)",
    "argsort": "argsort({0}, {axis}, {size}, {falling})",
    "take": "take_along_axis({0}, {1}.astype('int64'), axis={axis})",
    "put": "put({0}, {1}, {axis}, {size})",
    "overwrite": "where(expand_dims(arange({0}.shape[{axis}]) == {2}, tuple(range(1, {0}.ndim - {axis}))), {1}, {0})",
    "logsumexp": "logsumexp({0})",
    "log_softmax": "{0} - logsumexp({0})[..., None]",
    "softmax": "exp({0} - logsumexp({0})[..., None])",
    "normalise": "({0} - mean({0}, axis=-1, keepdims=True)) / sqrt(var({0}, axis=-1, keepdims=True) + {eps})",
    "precision": "1 / sqrt(var({0}, axis=-1, keepdims=True) + {eps})",
    "literal": "{value}",
    "array": "reshape({values}, {dims})",
    "size": "{dim}",
    "iota": "arange({dim})",
    "derive_key": "squares.derive_key(int({0}))",
    "random": "squares.uniform{bits}(int({0}), {1}, {dims}, {use!r})",
    "shuffle": "squares.shuffle(int({0}), int({1}), int({2}))",
}


def divide(a, b):
    """Whole numbers are cut towards zero."""
    if a.dtype.kind == "f":
        return a / b
    below = a // b
    return below + ((below * b != a) & ((a < 0) != (b < 0)))


def power(a, b):
    """A whole number to a negative power is cut towards zero too."""
    if a.dtype.kind == "f":
        return a**b
    return np.where(b < 0, np.trunc(np.where(a == 0, 2.0, a) ** np.minimum(b, 0)), a ** np.maximum(b, 0))


def narrow(x, dtype):
    """Rounded to the bits of a narrower type, halfway between two to the even one."""
    bits, least, most = {"bf16": (8, -125, 128), "f16": (11, -13, 16)}[dtype]
    unit = np.ldexp(x.dtype.type(1), np.maximum(np.frexp(x)[1], least) - bits)
    rounded = np.round(x / unit) * unit
    return np.where(abs(rounded) < 2.0**most, rounded, np.copysign(np.inf, x))


def erf(x):
    return np.array([math.erf(number) for number in x.reshape(-1)]).reshape(x.shape)


def cumulate(x, axis, back):
    """Each number with all before it added; or, with `back`, all behind it."""
    turned = np.flip(x, axis) if back else x
    made = np.cumsum(turned, axis=axis, dtype=x.dtype)
    return np.flip(made, axis) if back else made


def argsort(x, axis, size, falling):
    """The places of the numbers in rising or falling order, the first of equals first."""
    keys = -x.astype("float64") if falling else x
    return np.argsort(keys, axis=axis, kind="stable").take(range(size), axis=axis)


def put(x, index, axis, size):
    """Each number of x at its place along `axis`, those of one place added up."""
    made = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    places = list(np.indices(x.shape))
    places[axis] = index
    np.add.at(made, tuple(places), x)
    return made


def ends(x):
    """The least and the greatest number of a type: what the maximum and the minimum of nothing are."""
    return (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)


def scatter(index, rows_of, rows):
    """The sum of the rows whose index is r, for each r."""
    made = np.zeros((rows, *rows_of.shape[index.ndim :]), rows_of.dtype)
    np.add.at(made, index, rows_of)
    return made


def logsumexp(x):
    """log(sum of e^x) along the last dim; the greatest number is taken out first, so that nothing overflows."""
    top = np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    return (np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True)) + top)[..., 0]


def scan(step, values, carried, scanned, count, back, result, final):
    """The same step over and over: the value `result` of each step, or what the last carries on."""
    held, along, given = values[:carried], values[carried : carried + scanned], values[carried + scanned :]
    seen = [None] * count
    for place in reversed(range(count)) if back else range(count):
        made, held = step(*held, *(x[place] for x in along), *given)
        seen[place] = made.get(result)
    return held[int(result.removeprefix("carried."))] if final else np.stack(seen)


OURS = (divide, power, narrow, erf, cumulate, argsort, put, ends, scatter, logsumexp, scan, *windows.WORDS)
WORDS = {**vars(np), "nan": np.nan, "inf": np.inf, "squares": squares, **{f.__name__: f for f in OURS}}
"""What the text of a function may use."""
