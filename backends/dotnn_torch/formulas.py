"""What each operation computes, with torch tensors. Sizes in the attributes are numbers already."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch

from dotnn.feeds import IndexOutside, NothingToChoose
from dotnn_torch import convolve

Tensor = Any
Formula = Callable[..., Any]

DTYPES = {
    "bool": torch.bool,
    "u8": torch.uint8,
    "i32": torch.int32,
    "i64": torch.int64,
    "u64": torch.int64,  # torch computes with signed words; the bits are the same, modulo 2^64
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "f32": torch.float32,
    "f64": torch.float64,
}


def real(x: Tensor) -> bool:
    return bool(x.dtype.is_floating_point)


# ---- elementwise


def divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if real(a) else torch.div(a, b, rounding_mode="trunc")


def power(a: Tensor, b: Tensor) -> Tensor:
    if real(a):
        return torch.pow(a, b)
    # A whole number to a negative power lies between -1 and 1, and is cut towards zero.
    below = torch.where(a == 1, 1, torch.where(a == -1, 1 - 2 * (b % 2), 0))
    return torch.where(b < 0, below, torch.pow(a, b.clamp(min=0)))


def cast(x: Tensor, *, dtype: Any) -> Tensor:
    return x != 0 if dtype == torch.bool else x.to(dtype)


def narrow(x: Tensor, *, dtype: str) -> Tensor:
    return x.to(DTYPES[dtype]).to(x.dtype)


# ---- folding dims


def total(x: Tensor, *, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.sum(x, axes, keepdim=keep, dtype=x.dtype) if axes else x


def mean(x: Tensor, *, axes: tuple[int, ...], keep: bool) -> Tensor:
    count = math.prod(x.shape[a] for a in axes)
    return divide(total(x, axes=axes, keep=keep), torch.tensor(count, dtype=x.dtype, device=x.device))


def extreme(fold: Formula, end: float) -> Formula:
    def folded(x: Tensor, *, axes: tuple[int, ...], keep: bool) -> Tensor:
        if not axes:
            return x
        if any(x.shape[a] == 0 for a in axes):
            ends = torch.finfo(x.dtype) if real(x) else torch.iinfo(x.dtype)
            value = end * math.inf if real(x) else ends.min if end < 0 else ends.max
            dims = [1 if a in axes else d for a, d in enumerate(x.shape) if keep or a not in axes]
            return torch.full(dims, value, dtype=x.dtype, device=x.device)
        return fold(x, axes, keepdim=keep)

    return folded


def argmax(x: Tensor, *, axis: int) -> Tensor:
    if x.shape[axis] == 0:
        raise NothingToChoose().error()
    return torch.argmax(x, axis)


def cumulate(x: Tensor, *, axis: int, back: bool) -> Tensor:
    turned = x.flip(axis) if back else x
    made = torch.cumsum(turned, axis, dtype=x.dtype)
    return made.flip(axis) if back else made


# ---- moving numbers


def cut(x: Tensor, *, axis: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def pad(x: Tensor, *, axis: int, before: int, after: int) -> Tensor:
    dims = list(x.shape)
    parts = []
    for count in (before, after):
        dims[axis] = count
        parts.append(torch.zeros(dims, dtype=x.dtype, device=x.device))
    return torch.cat([parts[0], x, parts[1]], axis)


# ---- places that numbers name


def within(index: Tensor, size: int) -> Tensor:
    outside = index[(index < 0) | (index >= size)]
    if outside.numel():
        raise IndexOutside(index=int(outside.reshape(-1)[0]), size=size).error()
    return index.long()


def scatter(index: Tensor, rows_of: Tensor, *, rows: int) -> Tensor:
    result = torch.zeros((rows, *rows_of.shape[index.dim() :]), dtype=rows_of.dtype, device=rows_of.device)
    flat = rows_of.reshape(index.numel(), *result.shape[1:])
    return result.index_add(0, within(index, rows).reshape(-1), flat)


def pick(x: Tensor, index: Tensor) -> Tensor:
    return torch.gather(x, -1, within(index, x.shape[-1])[..., None])[..., 0]


def place(x: Tensor, index: Tensor, *, size: int) -> Tensor:
    result = torch.zeros((*x.shape, size), dtype=x.dtype, device=x.device)
    return result.scatter(-1, within(index, size)[..., None], x[..., None])


def argsort(x: Tensor, *, axis: int, size: int, falling: bool) -> Tensor:
    return cut(torch.argsort(x, dim=axis, descending=falling, stable=True), axis=axis, start=0, stop=size)


def take(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    return torch.gather(x, axis, within(index, x.shape[axis]))


def put(x: Tensor, index: Tensor, *, axis: int, size: int) -> Tensor:
    dims = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    result = torch.zeros(dims, dtype=x.dtype, device=x.device)
    return result.scatter_add(axis, within(index, size), x)


def overwrite(x: Tensor, row: Tensor, place: Tensor, *, axis: int) -> Tensor:
    return x.index_copy(axis, within(place, x.shape[axis]).reshape(1), row)


# ---- along the last dim


def precision(x: Tensor, *, eps: float) -> Tensor:
    return 1 / torch.sqrt(torch.var(x, -1, correction=0, keepdim=True) + eps)


def normalise(x: Tensor, *, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) * precision(x, eps=eps)


# ---- numbers that look random: the generator of dotnn/ops/random.py, in words of 64 bits with a sign

HALF = 0xFFFFFFFF


def word(number: int) -> int:
    """A whole number modulo 2^64, as a word with a sign."""
    number %= 1 << 64
    return number - (1 << 64) if number >> 63 else number


def squares(counter: Tensor, key: Tensor) -> Tensor:
    """32 random bits for each counter."""
    y = x = counter * key
    z = y + key
    for addend in (y, z, y):
        x = x * x + addend
        x = (x >> 32 & HALF) | (x << 32)
    return (x * x + z) >> 32 & HALF


def use_of(name: str) -> int:
    return word(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") & ~1)


def derive_key(seed: Tensor) -> Tensor:
    from dotnn.ops.random import ROUNDS_KEY

    high, low = (squares(2 * seed + i, torch.tensor(word(ROUNDS_KEY), device=seed.device)) for i in (0, 1))
    return (high << 32 | low) | 1


def random(key: Tensor, step: Tensor, *, dims: tuple[int, ...], use: str, bits: int) -> Tensor:
    count = math.prod(dims[step.ndim :])
    numbers = torch.arange(count if bits == 24 else (count + 1) // 2, device=key.device)
    words = squares((step[..., None] << 32) + numbers, key + use_of(use))
    if bits == 24:
        return ((words >> 8).float() * 2.0**-24).reshape(dims)
    halves = torch.stack([words >> 16, words & 0xFFFF], -1)
    halves = halves.reshape(*halves.shape[:-2], -1)[..., :count]
    return (halves.float() * 2.0**-16).reshape(dims)


def shuffle(key: Tensor, epoch: Tensor, count: Tensor) -> Tensor:
    rows = torch.arange(int(count), device=key.device)
    return torch.argsort(squares((epoch << 32) + rows, key + use_of("shuffle")), stable=True)


FORMULAS: dict[str, Formula] = {
    "neg": torch.neg,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "abs": torch.abs,
    "sign": torch.sign,
    "floor": torch.floor,
    "round": torch.round,
    "erf": torch.erf,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": divide,
    "pow": power,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
    "select": torch.where,
    "cast": cast,
    "narrow": narrow,
    "stop": lambda x: x,
    "sum": total,
    "mean": mean,
    "variance": lambda x, *, axes, keep: torch.var(x, axes, correction=0, keepdim=keep),
    "cumulate": cumulate,
    "max": extreme(torch.amax, -1),
    "min": extreme(torch.amin, 1),
    "argmax": argmax,
    "matmul": torch.matmul,
    "reshape": lambda x, *, dims: x.reshape(dims),
    "transpose": lambda x, *, order: x.permute(order),
    "expand": lambda x, *, dims: x.expand(dims),
    "slice": cut,
    "pad": pad,
    "concat": lambda *parts, axis: torch.cat(parts, axis),
    "gather": lambda table, index: table[within(index, table.shape[0])],
    "scatter": scatter,
    "pick": pick,
    "argsort": argsort,
    "take": take,
    "put": put,
    "overwrite": overwrite,
    "place": place,
    "logsumexp": lambda x: torch.logsumexp(x, -1),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "softmax": lambda x: torch.softmax(x, -1),
    "normalise": normalise,
    "precision": precision,
    "derive_key": derive_key,
    "random": random,
    "shuffle": shuffle,
    **convolve.FORMULAS,
}
"""From tensors to a tensor. What is made out of nothing needs a device, and stands in ``execute.py``."""
