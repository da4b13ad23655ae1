"""Where several operations together have a better spelling than one by one: one function a pattern.

A pattern looks at the node that ends it and says what it really reads and how it is written, or None where it does not
fit. What it passes over is not written, unless something else reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np

from dotnn.graph import Dim, Dtype, Node, multiply
from dotnn_onnx.recurrent import kernel
from dotnn_onnx.spelling import rule_of
from dotnn_onnx.spelling.convolve import write_convolve
from dotnn_onnx.spelling.halves import half, halved
from dotnn_onnx.spelling.index import place_of
from dotnn_onnx.view import View
from dotnn_onnx.writer import Writer, numpy_dtype


@dataclass(frozen=True)
class Spelt:
    """How one value is written: what is read for it, and the function that writes it."""

    reads: tuple[str, ...]
    write: Callable[[Writer], object]


Pattern = Callable[[View, Node], Spelt | None]


def spell(view: View, node: Node) -> Spelt:
    """The best spelling of a node: that of the first pattern which fits, else its operation's own rule."""
    for pattern in PATTERNS.get(node.op, ()):
        found = pattern(view, node)
        if found is not None:
            return found
    rule = rule_of(node)
    return Spelt(node.inputs, lambda w: rule(w, node))


@dataclass(frozen=True)
class Product:
    """``a @ b`` of two matrices, each perhaps transposed on the way. The rows of a batch are one matrix."""

    a: str
    b: str
    flip_a: bool
    flip_b: bool
    node: Node

    def write(self, w: Writer, to: str, c: str | None = None) -> None:
        """``a @ b``, or ``a @ b + c``."""
        have, made = w.view.types[self.a].dims, self.node.type.dims
        third = () if c is None else (w[c],)
        gemm = partial(w.emit, "Gemm", transA=int(self.flip_a) or None, transB=int(self.flip_b) or None)
        short = half(w, self.a, self.b)
        if short is not None:
            self._write_short(w, to, gemm, third, short)
            return
        if len(have) == 2:
            gemm(w[self.a], w[self.b], *third, to=to)
            return
        flat = w.reshape(w[self.a], have, (multiply(have[:-1]), have[-1]))
        rows = gemm(flat, w[self.b], *third)
        w.reshape(rows, (multiply(made[:-1]), made[-1]), made, to=to)

    def _write_short(self, w: Writer, to: str, gemm: Callable[..., str], third: tuple[str, ...], short: Dtype) -> None:
        """The product in a narrow type; what is added to it stays wide."""
        have, made, wide = w.view.types[self.a].dims, self.node.type.dims, self.node.type.dtype
        a, b = (halved(w, w[name], short) for name in (self.a, self.b))
        flat = a if len(have) == 2 else w.reshape(a, have, (multiply(have[:-1]), have[-1]))
        rows = gemm(flat, b)
        rows = rows if len(have) == 2 else w.reshape(rows, (multiply(made[:-1]), made[-1]), made)
        if third:
            w.emit("Add", w.cast(rows, wide), *third, to=to)
        else:
            w.cast(rows, wide, to=to)


def product(view: View, node: Node) -> Product | None:
    """The node as one product of two matrices of real numbers."""
    if node.op != "matmul" or not node.type.is_float:
        return None
    a, b = node.inputs
    if view.types[b].rank != 2:
        return None
    (b, flip_b) = _unflipped(view, b)
    (a, flip_a) = _unflipped(view, a) if view.types[a].rank == 2 else (a, False)
    return Product(a, b, flip_a, flip_b, node)


def _unflipped(view: View, value: str) -> tuple[str, bool]:
    maker = view.made_by(value, "transpose")
    return (value, False) if maker is None else (maker.inputs[0], True)


def matrix_product(view: View, node: Node) -> Spelt | None:
    """A product of two matrices: Gemm, which transposes for nothing."""
    found = product(view, node)
    if found is None or (view.types[found.a].rank > 2 and not found.flip_b):
        return None  # MatMul takes rows of any rank as they are
    return Spelt((found.a, found.b), partial(found.write, to=node.name))


def product_and_sum(view: View, node: Node) -> Spelt | None:
    """``a @ b + c``: Gemm adds as it goes."""
    for summand, c in (node.inputs, node.inputs[::-1]):
        maker = view.only(summand, "matmul")
        found = product(view, maker) if maker is not None and maker.type == node.type else None
        if found is not None and _fits(view.types[c].dims, node.type.dims):
            return Spelt((found.a, found.b, c), partial(found.write, to=node.name, c=c))
    return None


def convolution_and_bias(view: View, node: Node) -> Spelt | None:
    """``convolve(x, W) + b`` with one number a channel: the operator adds it as it goes."""
    for summand, c in (node.inputs, node.inputs[::-1]):
        maker, spread = view.only(summand, "convolve"), view.made_by(c, "reshape")
        if maker is None or spread is None or maker.type != node.type or node.type.dtype != "f32":
            continue
        bias = spread.inputs[0]
        channels, places = node.type.dims[1], (1,) * (node.type.rank - 2)
        if view.types[bias].dims == (channels,) and spread.type.dims in ((channels, *places), (1, channels, *places)):
            write = partial(_write_with_bias, maker, bias, node.name)
            return Spelt((*maker.inputs, bias), write)
    return None


def _write_with_bias(maker: Node, bias: str, to: str, w: Writer) -> None:
    write_convolve(w, maker, w[bias], to)


def sum_of_squares(view: View, node: Node) -> Spelt | None:
    """``sum(x * x)``: one pass instead of two."""
    square = view.only(node.inputs[0], "mul")
    if square is None or not node.type.is_float or square.inputs[0] != square.inputs[1]:
        return None
    x, keep = square.inputs[0], int(bool(node.attributes["keep"]))
    axes = cast("tuple[int, ...]", node.attributes["axes"])
    return Spelt((x,), lambda w: w.emit("ReduceSumSquare", w[x], w.numbers(axes), to=node.name, keepdims=keep))


def less_one_of_each(view: View, node: Node) -> Spelt | None:
    """``x - place(1, index)``, as in the gradient of `cross_entropy`: 1 less where the index points."""
    x, taken = node.inputs
    placed = view.only(taken, "place")
    if placed is None or not node.type.is_float or view.number(placed.inputs[0]) != 1 or placed.type != view.types[x]:
        return None
    index = placed.inputs[1]

    def write(w: Writer) -> None:
        column = w.emit("Unsqueeze", place_of(w, index), w.numbers([-1]))
        minus = np.full(1, -1, dtype=numpy_dtype(node.type.dtype))
        ones = w.emit("ConstantOfShape", w.emit("Shape", column), value=w.tensor(minus))
        w.emit("ScatterElements", w[x], column, ones, to=node.name, axis=-1, reduction="add")

    return Spelt((x, index), write)


def loop_kernel(view: View, node: Node) -> Spelt | None:
    """A loop that is a kernel of its own."""
    found = kernel(view, node)
    return None if found is None else Spelt(found.reads, lambda w: found.write(w, node))


def _fits(c: tuple[Dim, ...], y: tuple[Dim, ...]) -> bool:
    """Whether Gemm can add c to y: c stretches to y and no further (one row, where y has more than two dims)."""
    if len(y) > 2:
        return c == y[-1:]
    return 1 <= len(c) <= 2 and all(have in (1, want) for have, want in zip(c[::-1], y[::-1], strict=False))


PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "add": (product_and_sum, convolution_and_bias),
    "matmul": (matrix_product,),
    "sub": (less_one_of_each,),
    "scan": (loop_kernel,),
    "sum": (sum_of_squares,),
}
