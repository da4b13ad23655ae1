"""Convolution: the operators that builds have, and for the gradient by a kernel, which no build has, a matrix product.

No processor build convolves in double precision: there the windows are laid out and multiplied, as they are for the
gradient by a kernel. What was measured, and which way is the quickest where, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import math
from itertools import product
from typing import cast

import numpy as np

from dotnn.graph import Node, Type, multiply
from dotnn_onnx.spelling import blocked
from dotnn_onnx.spelling.moves import Each, Moves, beside, dilated, evened, groups_of, places, views
from dotnn_onnx.spelling.rules import inputs, spelling
from dotnn_onnx.writer import Writer, numpy_dtype

FEW = 4
"""Channels of which it is the quickest to lay out every place of the kernel."""
MOST_TAPS = 128
"""Of a kernel whose places are laid out one by one; with more of them the file would grow too long."""


# ---- the three operations


@spelling("convolve")
def convolve(w: Writer, node: Node) -> None:
    write_convolve(w, node)


def write_convolve(w: Writer, node: Node, bias: str | None = None, to: str | None = None) -> None:
    """The node, with a number added to each channel."""
    x, kernel = inputs(w, node)
    have, shape = (w.view.types[name] for name in node.inputs)
    moves = Moves.of(node, places(shape))
    if node.type.dtype == "f64":
        made = _by_columns(w, x, have, kernel, shape, moves, groups_of(node))
        w.reshape(made, (), node.type.dims, to=to or node.name)
        return
    if blocked.suits(w, have, shape, groups_of(node)):
        blocked.convolved(w, x, kernel, shape, moves, to or node.name, bias)
        return
    x, moves = evened(w, x, moves, 0, have)
    third = () if bias is None else (bias,)
    w.emit("Conv", x, kernel, *third, to=to or node.name, group=groups_of(node), **moves.attributes())


@spelling("convolve_back")
def convolve_back(w: Writer, node: Node) -> None:
    g, kernel = inputs(w, node)
    have, shape = (w.view.types[name] for name in node.inputs)
    moves, whole = Moves.of(node, places(shape)), places(node.type)
    if node.type.dtype == "f64":
        _back_by_columns(w, node)
        return
    if blocked.suits(w, have, shape, groups_of(node)) and blocked.turned_back(w, g, kernel, shape, moves, node.name):
        return
    attributes = moves.attributes()
    uneven = moves.before != moves.after and w.target != "cpu"
    if uneven:
        attributes["pads"] = [0] * (2 * moves.rank)
    rest = list(moves.rest(whole))
    wanted = None if uneven else node.name
    how = {**attributes, "group": groups_of(node), "output_padding": rest}
    made = w.emit("ConvTranspose", g, kernel, to=wanted, **how)
    if uneven:
        _cropped(w, made, moves, whole, node)


def _cropped(w: Writer, made: str, moves: Moves, whole: Each, node: Node) -> None:
    axes = w.numbers([2 + axis for axis in range(moves.rank)])
    stops = [b + n for b, n in zip(moves.before, whole, strict=True)]
    w.emit("Slice", made, w.numbers(list(moves.before)), w.numbers(stops), axes, to=node.name)


@spelling("convolve_weight")
def convolve_weight(w: Writer, node: Node) -> None:
    x, g = inputs(w, node)
    have, given = (w.view.types[name] for name in node.inputs)
    moves, groups = Moves.of(node, places(node.type)), groups_of(node)
    if moves.taps > MOST_TAPS and node.type.dtype != "f64":
        _weight_by_convolution(w, node, x, g, have, given, moves, groups)
        return
    if blocked.suits_weight(w, have, node.type, moves, groups):
        from dotnn_onnx.inside import either  # it builds on the writer, which knows these rules

        either(
            w,
            node,
            blocked.whole(w, have.dims[0]),
            lambda inside: blocked.weight(inside, x, g, have, given, node.type, moves),
            lambda inside: _weight(inside, node, x, g, have, given, moves, groups),
        )
        return
    _weight(w, node, x, g, have, given, moves, groups, to=node.name)


def _weight(
    w: Writer, node: Node, x: str, g: str, have: Type, given: Type, moves: Moves, groups: int, to: str | None = None
) -> str:
    """`convolve_weight` in plain operators; what it is called in the file."""
    outputs, each_in = cast("Each", node.type.dims[:2])
    channels = cast(int, have.dims[1])
    if groups == 1 and set(moves.stride) == {1} and moves.rank > 1 and channels >= FEW and moves.taps > 1:
        return _weight_of_both(w, node, x, g, have, given, moves, to)
    # Channels first: then all rows and places are one long dim, and the sum over them is one matrix product.
    turned = _channels_first(w, beside(w, x, moves.before, moves.after, 0, have), have, moves)
    length = multiply((have.dims[0], *places(given)))
    flat = (groups, channels // groups, length)
    seen = [w.reshape(view, (), flat) for view in views(w, turned, moves, places(given))]
    columns = seen[0] if len(seen) == 1 else w.emit("Concat", *seen, axis=1)
    rows = w.reshape(_channels_first(w, g, given, None), (), (groups, outputs // groups, length))
    taps = moves.taps
    wide = (groups, taps * each_in, length)
    if groups == 1:
        left = w.reshape(rows, (), (outputs, length))
        right = w.reshape(columns, wide, (taps * each_in, length))
        made = w.emit("Gemm", left, right, transB=1)
    else:
        made = w.emit("MatMul", rows, w.emit("Transpose", columns, perm=[0, 2, 1]))
    apart = w.reshape(made, (), (outputs, taps, each_in))
    swapped = apart if each_in == 1 or taps == 1 else w.emit("Transpose", apart, perm=[0, 2, 1])
    return w.reshape(swapped, (), node.type.dims, to=to)


def _weight_of_both(
    w: Writer, node: Node, x: str, g: str, have: Type, given: Type, moves: Moves, to: str | None
) -> str:
    """With stride 1 the picture is moved for the places of the kernel's last dim alone, and the gradient for those of
    the others, each down its zeros: products of the two have all places, and far fewer numbers are copied.
    """
    outputs, channels = cast("Each", node.type.dims[:2])
    tall = [n + b + a for n, b, a in zip(places(have)[:-1], moves.before, moves.after, strict=False)]
    rows, columns = places(given)[:-1], places(given)[-1]
    length = multiply((have.dims[0], *tall, columns))
    axes = w.numbers(list(range(2, have.rank - 1)))
    turned = _channels_first(w, g, given, None)
    moved = []
    for k in product(*(range(n) for n in moves.size[:-1])):
        above = [d * i for d, i in zip(moves.dilation, k, strict=False)]
        below = [t - r - a for t, r, a in zip(tall, rows, above, strict=True)]
        lower = w.emit("Pad", turned, w.numbers([*above, *below]), w.number(0, given.dtype), axes)
        moved.append(w.reshape(lower, (), (outputs, length)))
    left = moved[0] if len(moved) == 1 else w.emit("Concat", *moved, axis=0)
    padded = _wide(w, _channels_first(w, x, have, None), have, moves)
    last = w.numbers([have.rank - 1])
    made = []
    for number in range(moves.size[-1]):
        first = moves.dilation[-1] * number
        seen = w.emit("Slice", padded, w.numbers([first]), w.numbers([first + columns]), last)
        right = w.reshape(seen, (), (channels, length))
        made.append(w.reshape(w.emit("Gemm", left, right, transB=1), (), (len(moved), outputs, channels, 1)))
    all_places = made[0] if len(made) == 1 else w.emit("Concat", *made, axis=3)
    turned = w.emit("Transpose", all_places, perm=[1, 2, 0, 3])
    return w.reshape(turned, (), node.type.dims, to=to)


def _wide(w: Writer, x: str, have: Type, moves: Moves) -> str:
    """[c, n, …] with zeros beside it. Along the last dim joining takes a third of the time that Pad does."""
    inner = places(have)
    sides = []
    for count in (moves.before[-1], moves.after[-1]):
        dims = (have.dims[1], have.dims[0], *inner[:-1], count)
        sides.append([w.emit("Expand", w.number(0, have.dtype), w.shape(dims))] if count else [])
    if any(sides):
        x = w.emit("Concat", *sides[0], x, *sides[1], axis=have.rank - 1)
    before, after = moves.before[:-1], moves.after[:-1]
    if not any((*before, *after)):
        return x
    axes = w.numbers(list(range(2, have.rank - 1)))
    return w.emit("Pad", x, w.numbers([*before, *after]), w.number(0, have.dtype), axes)


def _channels_first(w: Writer, x: str, type: Type, padded: Moves | None) -> str:
    """[n, c, …] as [c, n, …]."""
    swap = [1, 0, *range(2, type.rank)]
    if type.dims[1] != 1:
        return w.emit("Transpose", x, perm=swap)
    around = padded or Moves((), (), (), (), ())
    wide = places(type)
    if padded is not None:
        wide = tuple(n + b + a for n, b, a in zip(wide, around.before, around.after, strict=True))
    return w.reshape(x, (), (1, type.dims[0], *wide))


def _weight_by_convolution(
    w: Writer, node: Node, x: str, g: str, have: Type, given: Type, moves: Moves, groups: int
) -> None:
    """Rows and channels change places: the gradient moves over the picture as a kernel does, over all of it at once."""
    n, channels = have.dims[0], cast(int, have.dims[1])
    rank, each_in = have.rank, channels // groups
    apart = w.reshape(x, (), (n, groups, each_in, *places(have)))
    turned = w.emit("Transpose", apart, perm=[2, 1, 0, *range(3, rank + 1)])
    x = w.reshape(turned, (), (each_in, multiply((groups, n)), *places(have)))
    g = w.emit("Transpose", g, perm=[1, 0, *range(2, rank)])
    swapped = Moves(places(given), moves.dilation, moves.stride, moves.before, moves.after)
    x, swapped = evened(w, x, swapped, 0, have)
    made = w.emit("Conv", x, g, group=groups, **swapped.attributes())
    axes = w.numbers(list(range(2, rank)))
    kernel = w.emit("Slice", made, w.numbers([0] * (rank - 2)), w.numbers(list(moves.size)), axes)
    w.emit("Transpose", kernel, to=node.name, perm=[1, 0, *range(2, rank)])


# ---- double precision


def _columns(w: Writer, x: str, have: Type, moves: Moves, made: Each, groups: int) -> str:
    """[n, groups, taps * c / groups, places]: what each window sees, one below the other. x has all beside it."""
    inner = (have.dims[0], groups, cast(int, have.dims[1]) // groups, math.prod(made))
    seen = [w.reshape(view, (), inner) for view in views(w, x, moves, made)]
    return seen[0] if len(seen) == 1 else w.emit("Concat", *seen, axis=2)


def _by_columns(w: Writer, x: str, have: Type, kernel: str, shape: Type, moves: Moves, groups: int) -> str:
    """A convolution as a product of matrices; [n, groups, o / groups, places]."""
    outputs, inner = cast("Each", shape.dims[:2])
    room = [n + b + a - r for n, b, a, r in zip(places(have), moves.before, moves.after, moves.reach, strict=True)]
    made = tuple(n // s + 1 for n, s in zip(room, moves.stride, strict=True))
    seen = _columns(w, beside(w, x, moves.before, moves.after, 0, have), have, moves, made, groups)
    flat = w.reshape(kernel, (), (groups, outputs // groups, inner, moves.taps))
    turned = w.emit("Transpose", flat, perm=[0, 1, 3, 2])
    rows = w.reshape(turned, (), (1, groups, outputs // groups, moves.taps * inner))
    return w.emit("MatMul", rows, seen)


def _back_by_columns(w: Writer, node: Node) -> None:
    """The transpose: a convolution of the result, zeros between its places, with the kernel turned around."""
    g, kernel = inputs(w, node)
    have, shape = (w.view.types[name] for name in node.inputs)
    moves = Moves.of(node, places(shape))
    groups, whole = groups_of(node), places(node.type)
    outputs, inner = cast("Each", shape.dims[:2])
    wide, type = dilated(w, g, have, moves.stride)
    before = tuple(r - 1 - b for r, b in zip(moves.reach, moves.before, strict=True))
    after = tuple(n + r - 1 - b - m for n, r, b, m in zip(whole, moves.reach, before, places(type), strict=True))
    padded = beside(w, wide, before, after, 0, type)
    none, ones = (0,) * moves.rank, (1,) * moves.rank
    turned = Moves(moves.size, ones, moves.dilation, none, none)
    seen = _columns(w, padded, type, turned, whole, groups)
    axes = list(range(2, shape.rank))
    first, last = [-1] * moves.rank, [-(2**31)] * moves.rank
    flipped = w.emit("Slice", kernel, w.numbers(first), w.numbers(last), w.numbers(axes), w.numbers(first))
    flat = w.reshape(flipped, (), (groups, outputs // groups, inner, moves.taps))
    rows = w.reshape(
        w.emit("Transpose", flat, perm=[0, 2, 3, 1]), (), (1, groups, inner, moves.taps * (outputs // groups))
    )
    w.reshape(w.emit("MatMul", rows, seen), (), node.type.dims, to=node.name)


def ones(w: Writer, size: Each, like: Type) -> str:
    """A kernel that adds up one window of one channel."""
    return w.constant(np.ones((1, 1, *size), dtype=numpy_dtype(like.dtype)))
