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

from dotnn.graph import Type
from dotnn_onnx.spelling.moves import Each, Moves
from dotnn_onnx.writer import Writer

DOMAIN = "com.microsoft.nchwc"
BLOCK = 16
"""The widest block there is: channels are divided by it, and so by each narrower one."""


def suits(w: Writer, x: Type, kernel: Type, groups: int) -> bool:
    """Whether this convolution can go by blocks on this target and processor."""
    known = w.target == "cpu" and platform.machine().lower() in ("x86_64", "amd64")
    plain = x.dtype == "f32" and x.rank == 4 and groups == 1
    return known and plain and all(isinstance(d, int) and d % BLOCK == 0 for d in kernel.dims[:2])


def convolved(
    w: Writer, x: str, kernel: str, shape: Type, moves: Moves, to: str | None, bias: str | None = None
) -> str:
    """`convolve`; x and kernel by their names in the file."""
    outputs, inner = cast("Each", shape.dims[:2])
    apart = w.emit("Reshape", kernel, _split(w, outputs, inner, moves.size))
    turned = w.emit("Transpose", apart, perm=[0, 2, 4, 5, 3, 1])
    return _kernel(w, x, turned, (outputs, inner), moves, to, bias)


def turned_back(w: Writer, g: str, kernel: str, shape: Type, moves: Moves, to: str) -> str | None:
    """`convolve_back` with stride 1: a convolution with the kernel turned around. None where it is none."""
    before = tuple(r - 1 - b for r, b in zip(moves.reach, moves.before, strict=True))
    after = tuple(r - 1 - a for r, a in zip(moves.reach, moves.after, strict=True))
    if set(moves.stride) != {1} or min(*before, *after) < 0:
        return None
    outputs, inner = cast("Each", shape.dims[:2])
    flipped = kernel
    if moves.taps > 1:
        back, end = w.numbers([-1, -1]), w.numbers([-(2**31)] * 2)
        flipped = w.emit("Slice", kernel, back, end, w.numbers([2, 3]), back)
    apart = w.emit("Reshape", flipped, _split(w, outputs, inner, moves.size))
    turned = w.emit("Transpose", apart, perm=[2, 0, 4, 5, 1, 3])
    around = replace(moves, before=before, after=after)
    return _kernel(w, g, turned, (inner, outputs), around, to, None)


def _kernel(w: Writer, x: str, turned: str, channels: Each, moves: Moves, to: str | None, bias: str | None) -> str:
    blocks = w.emit("Reshape", turned, w.numbers([*channels, *moves.size]))
    third = () if bias is None else (bias,)
    made = w.emit("Conv", _blocked(w, x), blocks, *third, domain=DOMAIN, **moves.attributes())
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


def _block(w: Writer) -> str:
    """How many channels a block has, i64[1]: as many as the least that can be reordered are filled up to."""
    made = w.shared(("block",))
    if made is None:
        least = w.constant(np.zeros((1, 4, 1, 1), np.float32))
        made = (w.emit("Shape", w.emit("ReorderInput", least, domain=DOMAIN), start=1, end=2),)
        w.share(("block",), *made)
    return made[0]
