"""Operations that fold dims into one number."""

from __future__ import annotations

from typing import cast

from dotnn.graph import Dtype, Node, multiply
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.writer import Writer

WIDE: dict[Dtype, Dtype] = {"u8": "i64", "u64": "i64", "i32": "i64", "bool": "i64"}
"""No build folds these; i64 wraps as they do."""


def _axes(node: Node) -> tuple[int, ...]:
    return cast("tuple[int, ...]", node.attributes["axes"])


def _fold(w: Writer, node: Node, op: str, way: Dtype | None) -> None:
    x, axes, keep = w[node.inputs[0]], w.numbers(_axes(node)), int(bool(node.attributes["keep"]))
    if way is None:
        w.emit(op, x, axes, to=node.name, keepdims=keep)
    else:
        w.cast(w.emit(op, w.cast(x, way), axes, keepdims=keep), node.type.dtype, to=node.name)


@spelling("sum")
def total(w: Writer, node: Node) -> None:
    _fold(w, node, "ReduceSum", WIDE.get(node.type.dtype))


@spelling("mean")
def mean(w: Writer, node: Node) -> None:
    if node.type.is_float:
        _fold(w, node, "ReduceMean", None)
        return
    x = node.inputs[0]
    count = w.size(multiply(w.view.types[x].dims[a] for a in _axes(node)))
    keep = int(bool(node.attributes["keep"]))
    summed = w.emit("ReduceSum", w.cast(w[x], "i64"), w.numbers(_axes(node)), keepdims=keep)
    w.cast(w.emit("Div", summed, count), node.type.dtype, to=node.name)


@spelling("variance")
def variance(w: Writer, node: Node) -> None:
    x, axes = w[node.inputs[0]], w.numbers(_axes(node))
    centred = w.emit("Sub", x, w.emit("ReduceMean", x, axes, keepdims=1))
    keep = int(bool(node.attributes["keep"]))
    w.emit("ReduceMean", w.emit("Mul", centred, centred), axes, to=node.name, keepdims=keep)


@spelling("cumulate")
def cumulate(w: Writer, node: Node) -> None:
    x, way = w[node.inputs[0]], WIDE.get(node.type.dtype)
    axis = w.number(cast(int, node.attributes["axis"]), "i64")
    reverse = int(bool(node.attributes["back"]))
    if way is None:
        w.emit("CumSum", x, axis, to=node.name, reverse=reverse)
    else:
        w.cast(w.emit("CumSum", w.cast(x, way), axis, reverse=reverse), node.type.dtype, to=node.name)


@spelling("max")
def greatest(w: Writer, node: Node) -> None:
    _fold(w, node, "ReduceMax", "i64" if node.type.dtype == "u64" else None)


@spelling("min")
def least(w: Writer, node: Node) -> None:
    _fold(w, node, "ReduceMin", "i64" if node.type.dtype == "u64" else None)


@spelling("argmax")
def argmax(w: Writer, node: Node) -> None:
    axis = cast(int, node.attributes["axis"])
    x = w[node.inputs[0]]
    have = w.view.types[node.inputs[0]]
    if have.is_float:
        w.emit("ArgMax", x, to=node.name, axis=axis, keepdims=0)
        return
    # ArgMax of whole numbers has no kernel on CUDA, TopK has: it too takes the first of equals.
    wide = x if have.dtype == "i64" else w.cast(x, "i64")
    found = w.emit_many("TopK", (wide, w.numbers([1])), (None, None), axis=axis)[1]
    w.emit("Squeeze", found, w.numbers([axis]), to=node.name)
