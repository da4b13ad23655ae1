"""Operations that fold dims into one number."""

from __future__ import annotations

from typing import cast

import numpy as np

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
    if _moments(w, node, 0):
        return
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
    if _moments(w, node, 1):
        return
    x, axes = w[node.inputs[0]], w.numbers(_axes(node))
    centred = w.emit("Sub", x, w.emit("ReduceMean", x, axes, keepdims=1))
    keep = int(bool(node.attributes["keep"]))
    w.emit("ReduceMean", w.emit("Mul", centred, centred), axes, to=node.name, keepdims=keep)


def _moments(w: Writer, node: Node, place: int) -> bool:
    """Writes the mean (place 0) or the variance (1) of each channel of pictures; False where this is none.

    One kernel gives both in a third of the time of the passes that they need one by one; CUDA has it for inference
    only.
    """
    x, axes = node.inputs[0], _axes(node)
    have = w.view.types[x]
    channels = have.dims[1] if have.rank > 2 else None
    if w.target != "cpu" or have.dtype != "f32" or not isinstance(channels, int) or not channels:
        return False
    if axes != (0, *range(2, have.rank)) or not any(
        other.op == "variance" and other.inputs[0] == x and _axes(other) == axes for other in w.graph.nodes
    ):
        return False
    made = w.shared(("moments", x))
    if made is None:
        zeros, ones = (w.constant(np.full(channels, number, np.float32)) for number in (0, 1))
        given = (w[x], ones, zeros, zeros, ones)
        made = w.emit_many("BatchNormalization", given, (None, None, None), training_mode=1, momentum=0.0)[1:]
        w.share(("moments", x), *made)
    if not node.attributes["keep"]:
        w.alias(node.name, made[place])
        return True
    w.reshape(made[place], (), node.type.dims, to=node.name)
    return True


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
