"""Pooling, without asking MaxPool where the greatest of its windows stand wherever another way is found.

On a processor that costs fifteen times as much as the pool itself.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from dotnn.graph import Node, Type, multiply
from dotnn_onnx.spelling.convolve import ones
from dotnn_onnx.spelling.moves import Each, Moves, beside, dilated, each, evened, places, views
from dotnn_onnx.spelling.rules import inputs, spelling
from dotnn_onnx.writer import Writer, numpy_dtype


def moves_of(node: Node) -> Moves:
    return Moves.of(node, each(node, "size"))


def covered(moves: Moves, made: Each) -> Each:
    """The places that windows side by side see."""
    return tuple(n * k for n, k in zip(made, moves.size, strict=True))


# ---- sums


@spelling("window_sum")
def window_sum(w: Writer, node: Node) -> None:
    (x,) = inputs(w, node)
    have, moves = w.view.types[node.inputs[0]], moves_of(node)
    if node.type.dtype == "f64":
        _added(w, views(w, beside(w, x, moves.before, moves.after, 0, have), moves, places(node.type)), node)
        return
    x, moves = evened(w, x, moves, 0, have, pool=True)
    if set(moves.dilation) != {1}:  # which averages have not on CUDA
        rows = w.reshape(x, (), _one_channel(have, _padded(have, moves_of(node), moves)))
        made = w.emit("Conv", rows, ones(w, moves.size, have), **moves.attributes())
        w.reshape(made, (), node.type.dims, to=node.name)
        return
    attributes = {k: v for k, v in moves.attributes().items() if k != "dilations"}
    mean = w.emit("AveragePool", x, count_include_pad=1, **attributes)
    w.emit("Mul", mean, w.number(moves.taps, node.type.dtype), to=node.name)


def _padded(have: Type, before: Moves, after: Moves) -> Each:
    """The places of what was made even."""
    if before.before == after.before and before.after == after.after:
        return places(have)
    return tuple(n + b + a for n, b, a in zip(places(have), before.before, before.after, strict=True))


def _one_channel(type: Type, shape: Each) -> tuple[int | str, ...]:
    return (multiply(type.dims[:2]), 1, *shape)


def _added(w: Writer, parts: list[str], node: Node) -> None:
    total = parts[0]
    for part in parts[1:]:
        total = w.emit("Add", total, part)
    w.reshape(total, (), node.type.dims, to=node.name)


@spelling("window_spread")
def window_spread(w: Writer, node: Node) -> None:
    (g,) = inputs(w, node)
    have, moves = w.view.types[node.inputs[0]], moves_of(node)
    if node.type.dtype == "f64":
        _spread_by_views(w, node, g, have, moves)
        return
    if moves.apart:
        wide = covered(moves, places(have))
        last = tuple(n - m for n, m in zip(places(node.type), wide, strict=True))
        made = enlarged(w, g, moves.size, to=None if any(last) else node.name)
        if any(last):
            rank = moves.rank
            pads, axes = w.numbers([*[0] * rank, *last]), w.numbers([2 + axis for axis in range(rank)])
            w.emit("Pad", made, pads, w.number(0, node.type.dtype), axes, to=node.name)
        return
    rows = w.reshape(g, (), _one_channel(have, places(have)))
    attributes = {**moves.attributes(), "output_padding": list(moves.rest(places(node.type)))}
    uneven = moves.before != moves.after and w.target != "cpu"
    if uneven:
        attributes["pads"] = [0] * (2 * moves.rank)
    made = w.emit("ConvTranspose", rows, ones(w, moves.size, have), **attributes)
    if uneven:
        axes = w.numbers([2 + axis for axis in range(moves.rank)])
        stops = [b + n for b, n in zip(moves.before, places(node.type), strict=True)]
        made = w.emit("Slice", made, w.numbers(list(moves.before)), w.numbers(stops), axes)
    w.reshape(made, (), node.type.dims, to=node.name)


def enlarged(w: Writer, x: str, size: Each, to: str | None = None) -> str:
    """Each place as a block of that size: a hundredth of what Expand takes."""
    scales = w.constant(np.array([1, 1, *size], np.float32))
    how = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
    return w.emit("Resize", x, "", scales, to=to, **how)


def _spread_by_views(w: Writer, node: Node, g: str, have: Type, moves: Moves) -> None:
    wide, type = dilated(w, g, have, moves.stride)
    whole = places(node.type)
    before = tuple(r - 1 - b for r, b in zip(moves.reach, moves.before, strict=True))
    after = tuple(n + r - 1 - b - m for n, r, b, m in zip(whole, moves.reach, before, places(type), strict=True))
    none = (0,) * moves.rank
    still = Moves(moves.size, (1,) * moves.rank, moves.dilation, none, none)
    _added(w, views(w, beside(w, wide, before, after, 0, type), still, whole), node)


# ---- the greatest


@spelling("window_max")
def window_max(w: Writer, node: Node) -> None:
    (x,) = inputs(w, node)
    x, moves = evened(w, x, moves_of(node), -math.inf, w.view.types[node.inputs[0]], pool=True)
    w.emit("MaxPool", x, to=node.name, **moves.attributes())


def _pooled(w: Writer, x: str, value: str, moves: Moves) -> tuple[str, str]:
    """The greatest of each window, and where each stands in the flat picture."""
    return cast("tuple[str, str]", w.emit_many("MaxPool", (x,), (None, None), **moves.attributes()))


@spelling("window_take")
def window_take(w: Writer, node: Node) -> None:
    u, x = inputs(w, node)
    have, moves = w.view.types[node.inputs[1]], moves_of(node)
    (u, even), (x, _) = evened(w, u, moves, 0, have, pool=True), evened(w, x, moves, -math.inf, have, pool=True)
    where = _pooled(w, x, node.inputs[1], even)[1]
    flat = w.numbers([-1])
    taken = w.emit("Gather", w.emit("Reshape", u, flat), w.emit("Reshape", where, flat), axis=0)
    w.reshape(taken, (), node.type.dims, to=node.name)


@spelling("window_put")
def window_put(w: Writer, node: Node) -> None:
    g, x = inputs(w, node)
    have, moves = node.type, moves_of(node)
    if moves.apart and node.type.dtype == "f32":
        _put_apart(w, node, g, x, moves)
        return
    x, even = evened(w, x, moves, -math.inf, have, pool=True)
    where = _pooled(w, x, node.inputs[1], even)[1]
    padded = have.shaped((*have.dims[:2], *_padded(have, moves, even)))
    flat = w.numbers([-1])
    zero = np.zeros(1, dtype=numpy_dtype(have.dtype))
    nothing = w.emit("ConstantOfShape", w.shape((padded.size,)), value=w.tensor(zero))
    found = w.emit("Reshape", where, flat)
    put = w.emit("ScatterElements", nothing, found, w.emit("Reshape", g, flat), axis=0, reduction="add")
    if padded.dims == have.dims:
        w.reshape(put, (), have.dims, to=node.name)
        return
    shaped = w.reshape(put, (), padded.dims)
    axes = w.numbers([2 + axis for axis in range(moves.rank)])
    stops = [b + n for b, n in zip(moves.before, places(have), strict=True)]
    w.emit("Slice", shaped, w.numbers(list(moves.before)), w.numbers(stops), axes, to=node.name)


def _put_apart(w: Writer, node: Node, g: str, x: str, moves: Moves) -> None:
    """Each place of a window has a number of its own, the first the highest: of those where x is the greatest the
    highest number wins, which is the first of equals."""
    made = places(w.view.types[node.inputs[0]])
    wide = covered(moves, made)
    last = tuple(n - m for n, m in zip(places(node.type), wide, strict=True))
    if any(last):
        axes = w.numbers([2 + axis for axis in range(moves.rank)])
        x = w.emit("Slice", x, w.numbers([0] * moves.rank), w.numbers(list(wide)), axes)
    numbers = np.arange(moves.taps, 0, -1, dtype=np.float32).reshape(moves.size)
    rank = w.constant(np.tile(numbers, made))
    attributes = moves.attributes()
    top = enlarged(w, w.emit("MaxPool", x, **attributes), moves.size)
    numbered = w.emit("Mul", w.cast(w.emit("Equal", x, top), "f32"), rank)
    first = enlarged(w, w.emit("MaxPool", numbered, **attributes), moves.size)
    hit = w.cast(w.emit("Equal", numbered, first), "f32")
    put = w.emit("Mul", enlarged(w, g, moves.size), hit, to=None if any(last) else node.name)
    if any(last):
        pads, axes = w.numbers([*[0] * moves.rank, *last]), w.numbers([2 + axis for axis in range(moves.rank)])
        w.emit("Pad", put, pads, w.number(0, "f32"), axes, to=node.name)
