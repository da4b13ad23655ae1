"""Convolution in blocks of channels, for `--target cpu`: the kernels that onnxruntime takes for a net whose weights are
constants, asked for by name while they still change.

A picture is reordered so that as many channels as a register holds lie beside each other, and the kernel in the same
way. How many these are the processor says when the file is loaded, so that a file holds on any of them. It is twice as
fast as the plain kernels (tests/benchmarks/README.md).
"""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import cast

import numpy as np

from dotnn.graph import Dim, Type
from dotnn_onnx.spelling.moves import Each, Moves, places
from dotnn_onnx.writer import Writer

DOMAIN = "com.microsoft.nchwc"
BLOCK = 16
"""The widest block there is: channels are divided by it, and so by each narrower one."""
FEW = 8
"""Fewer channels than the narrowest block has are read as they lie."""
SIDE = 6
"""Results side by side that the kernel has in registers at once."""


def suits(w: Writer, x: Type, kernel: Type, groups: int) -> bool:
    """Whether this convolution can go by blocks on this target and processor."""
    known = w.target == "cpu" and platform.machine().lower() in ("x86_64", "amd64")
    plain = x.dtype == "f32" and x.rank == 4 and groups == 1
    outputs, inner = cast("Each", kernel.dims[:2])
    return known and plain and outputs % BLOCK == 0 and (inner % BLOCK == 0 or inner < FEW)


def convolved(
    w: Writer, x: str, kernel: str, shape: Type, moves: Moves, to: str | None, bias: str | None = None
) -> str:
    """`convolve`; x and kernel by their names in the file."""
    outputs, inner = cast("Each", shape.dims[:2])
    if inner < FEW:
        apart = w.emit("Reshape", kernel, _split_outputs(w, inner, moves.size))
        turned = w.emit("Transpose", apart, perm=[0, 2, 3, 4, 1])
    else:
        apart = w.emit("Reshape", kernel, _split(w, outputs, inner, moves.size))
        turned = w.emit("Transpose", apart, perm=[0, 2, 4, 5, 3, 1])
    return _kernel(w, x, turned, (outputs, inner), moves, to, bias)


def turned_back(w: Writer, g: str, kernel: str, shape: Type, moves: Moves, to: str) -> str | None:
    """`convolve_back` with stride 1: a convolution with the kernel turned around. None where it is none."""
    before = tuple(r - 1 - b for r, b in zip(moves.reach, moves.before, strict=True))
    after = tuple(r - 1 - a for r, a in zip(moves.reach, moves.after, strict=True))
    outputs, inner = cast("Each", shape.dims[:2])
    if set(moves.stride) != {1} or min(*before, *after) < 0 or inner < FEW:
        return None
    flipped = kernel
    if moves.taps > 1:
        back, end = w.numbers([-1, -1]), w.numbers([-(2**31)] * 2)
        flipped = w.emit("Slice", kernel, back, end, w.numbers([2, 3]), back)
    apart = w.emit("Reshape", flipped, _split(w, outputs, inner, moves.size))
    turned = w.emit("Transpose", apart, perm=[2, 0, 4, 5, 1, 3])
    around = replace(moves, before=before, after=after)
    return _kernel(w, g, turned, (inner, outputs), around, to, None)


# ---- the gradient by the kernel


def suits_weight(w: Writer, x: Type, kernel: Type, moves: Moves, groups: int) -> bool:
    """Whether `convolve_weight` can go by blocks: of rows, and of the features that come out."""
    known = w.target == "cpu" and platform.machine().lower() in ("x86_64", "amd64")
    plain = x.dtype == "f32" and x.rank == 4 and groups == 1 and set(moves.dilation) == {1}
    return known and plain and moves.taps > 1 and cast(int, kernel.dims[0]) % BLOCK == 0


def weight(w: Writer, x: str, g: str, have: Type, given: Type, kernel: Type, moves: Moves) -> str:
    """`convolve_weight` where ``BLOCK`` divides the rows of the batch, of which there are some; [o, c, i, j].

    The gradient moves over the picture as a kernel does, and what is added up are rows: they are the channels here, in
    blocks. So that a register's worth of results lies side by side, the picture's own channels stand between its
    places: [rows / block, h, c1, w, c2, block], and the gradient steps over c1 and c2 of them at a time.
    """
    outputs, channels = cast("Each", kernel.dims[:2])
    (height, width), (rows, columns) = places(have), places(given)
    c2 = _beside(channels, moves.size[1])
    c1 = channels // c2
    rest = moves.rest((height, width))
    block = _block(w)

    blocks = w.emit("ReorderInput", w.reshape(x, (), (1, -1, channels * height, width)), domain=DOMAIN)
    apart = w.emit("Reshape", blocks, _with(w, (-1, c1, c2, height, width), block))
    picture = w.emit("Transpose", apart, perm=[0, 3, 1, 4, 2, 5])
    sides = (moves.before[1], moves.after[1] - rest[1])
    if any(sides):
        picture = w.emit("Pad", picture, w.numbers(sides), w.number(0, have.dtype), w.numbers([3]))
    wide = (width + sum(sides)) * c2
    picture = w.reshape(picture, (), (1, -1, height * c1, wide))

    blocks = w.emit("ReorderInput", w.reshape(g, (), (1, -1, outputs * rows, columns)), domain=DOMAIN)
    apart = w.emit("Reshape", blocks, _with(w, (-1, outputs), w.emit("Mul", w.numbers([rows * columns]), block), (1,)))
    blocks = w.emit("ReorderInput", apart, domain=DOMAIN)
    inner = w.emit("Mul", w.numbers([rows * columns]), w.emit("Mul", block, block))
    apart = w.emit("Reshape", blocks, _with(w, (-1,), w.emit("Div", w.numbers([outputs]), block), inner))
    over = w.reshape(w.emit("Transpose", apart, perm=[1, 0, 2]), (), (outputs, -1, rows, columns))

    below = moves.after[0] - rest[0]
    made = w.emit(
        "Conv",
        picture,
        over,
        domain=DOMAIN,
        kernel_shape=[rows, columns],
        strides=[1, 1],
        dilations=[moves.stride[0] * c1, moves.stride[1] * c2],
        pads=[moves.before[0] * c1, 0, max(below, 0) * c1, 0],
    )
    tall = moves.size[0] + max(-below, 0)
    apart = w.emit("Reshape", made, _with(w, (-1, tall, c1, moves.size[1], c2), block))
    if below < 0:
        apart = w.emit("Slice", apart, w.numbers([0]), w.numbers([moves.size[0]]), w.numbers([1]))
    turned = w.emit("Transpose", apart, perm=[0, 5, 2, 4, 1, 3])
    return w.reshape(turned, (), (outputs, channels, *moves.size))


def whole(w: Writer, rows: Dim) -> str:
    """Whether there are rows, and ``BLOCK`` divides how many."""
    key = ("whole blocks", rows)
    made = w.shared(key)
    if made is None:
        _block(w)  # outside, once
        some = w.emit("Max", w.size(rows), w.number(1, "i64"))
        made = (w.emit("Equal", w.emit("Mod", some, w.number(BLOCK, "i64")), w.number(0, "i64")),)
        w.share(key, *made)
    return made[0]


def _beside(channels: int, size: int) -> int:
    """How many channels stand beside each other: the fewest that fill the registers, so that many rows are left for
    threads to share."""
    ways = [n for n in range(1, channels + 1) if channels % n == 0]
    return next((n for n in ways if n * size % SIDE == 0), channels)


def _with(w: Writer, sizes: Each, *more: str | Each) -> str:
    """A shape: numbers, and behind them what is known when the file is loaded."""
    parts = [w.numbers(part) if isinstance(part, tuple) else part for part in (sizes, *more)]
    return w.emit("Concat", *parts, axis=0)


# ---- what they share


def _kernel(w: Writer, x: str, turned: str, channels: Each, moves: Moves, to: str | None, bias: str | None) -> str:
    blocks = w.emit("Reshape", turned, w.numbers([*channels, *moves.size]))
    third = () if bias is None else (bias,)
    x = x if channels[1] < FEW else _blocked(w, x)
    made = w.emit("Conv", x, blocks, *third, domain=DOMAIN, **moves.attributes())
    return w.emit("ReorderOutput", made, to=to, domain=DOMAIN, channels=channels[0])


def _blocked(w: Writer, x: str) -> str:
    """A picture in blocks; reordered once for all who want it."""
    key = ("blocked", x)
    made = w.shared(key)
    if made is None:
        made = (w.emit("ReorderInput", x, domain=DOMAIN),)
        w.share(key, *made)
    return made[0]


def _split(w: Writer, outputs: int, inner: int, size: Each) -> str:
    """The shape of a kernel whose channels are cut into blocks: [out / block, block, in / block, block, …]."""
    key = ("kernel in blocks", outputs, inner, size)
    made = w.shared(key)
    if made is None:
        block = _block(w)
        parts = [w.emit("Div", w.numbers([n]), block) for n in (outputs, inner)]
        made = (w.emit("Concat", parts[0], block, parts[1], block, w.numbers(list(size)), axis=0),)
        w.share(key, *made)
    return made[0]


def _split_outputs(w: Writer, inner: int, size: Each) -> str:
    """The same for a kernel of few channels, of which only the outputs are cut: [out / block, block, in, …]."""
    key = ("outputs in blocks", inner, size)
    made = w.shared(key)
    if made is None:
        made = (_with(w, (-1,), _block(w), (inner, *size)),)
        w.share(key, *made)
    return made[0]


def _block(w: Writer) -> str:
    """How many channels a block has, i64[1]: as many as the least that can be reordered are filled up to."""
    made = w.shared(("block",))
    if made is None:
        least = w.constant(np.zeros((1, 4, 1, 1), np.float32))
        made = (w.emit("Shape", w.emit("ReorderInput", least, domain=DOMAIN), start=1, end=2),)
        w.share(("block",), *made)
    return made[0]
