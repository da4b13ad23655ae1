"""Where several operations together have a better spelling than one by one: one function a pattern.

A pattern looks at the node that ends it and says what it really reads and how it is written, or None where it does not
fit. What it passes over is not written, unless something else reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dotnn.graph import Dim, Node
from dotnn_onnx.spelling import rule_of
from dotnn_onnx.view import View
from dotnn_onnx.writer import Writer


@dataclass(frozen=True)
class Spelt:
    """How one value is written: what is read for it, and the function that writes it."""

    reads: tuple[str, ...]
    write: Callable[[Writer], None]


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
    """``a @ b`` of two matrices, each perhaps transposed on the way."""

    a: str
    b: str
    flip_a: bool
    flip_b: bool

    def gemm(self, w: Writer, to: str | None, c: str | None = None) -> None:
        third = () if c is None else (w[c],)
        flags = {"transA": int(self.flip_a) or None, "transB": int(self.flip_b) or None}
        w.emit("Gemm", w[self.a], w[self.b], *third, to=to, **flags)


def product(view: View, node: Node) -> Product | None:
    """The node as a product of two matrices of real numbers."""
    if node.op != "matmul" or not node.type.is_float or any(view.types[x].rank != 2 for x in node.inputs):
        return None
    (a, flip_a), (b, flip_b) = (_unflipped(view, x) for x in node.inputs)
    return Product(a, b, flip_a, flip_b)


def _unflipped(view: View, value: str) -> tuple[str, bool]:
    maker = view.made_by(value, "transpose")
    return (value, False) if maker is None else (maker.inputs[0], True)


def matrix_product(view: View, node: Node) -> Spelt | None:
    """A product of two matrices: Gemm, which transposes for nothing."""
    found = product(view, node)
    return None if found is None else Spelt((found.a, found.b), partial(found.gemm, to=node.name))


def product_and_sum(view: View, node: Node) -> Spelt | None:
    """``a @ b + c``: Gemm adds as it goes."""
    for summand, c in (node.inputs, node.inputs[::-1]):
        maker = view.only(summand, "matmul")
        found = product(view, maker) if maker is not None and maker.type == node.type else None
        if found is not None and _fits(view.types[c].dims, node.type.dims):
            return Spelt((found.a, found.b, c), partial(found.gemm, to=node.name, c=c))
    return None


def _fits(c: tuple[Dim, ...], y: tuple[Dim, ...]) -> bool:
    """Whether c stretches to y and no further."""
    return 1 <= len(c) <= 2 and all(have in (1, want) for have, want in zip(c[::-1], y[::-1], strict=False))


PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "add": (product_and_sum,),
    "matmul": (matrix_product,),
}
