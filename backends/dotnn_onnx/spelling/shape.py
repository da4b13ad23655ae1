"""Operations that move numbers and leave them as they are."""

from __future__ import annotations

from typing import cast

import numpy as np

from dotnn.graph import Node
from dotnn_onnx.spelling.rules import inputs, spelling
from dotnn_onnx.writer import Writer, numpy_dtype


def whole(node: Node, name: str) -> int:
    return cast(int, node.attributes[name])


@spelling("reshape")
def reshape(w: Writer, node: Node) -> None:
    x = node.inputs[0]
    w.reshape(w[x], w.view.types[x].dims, node.type.dims, to=node.name)


@spelling("transpose")
def transpose(w: Writer, node: Node) -> None:
    order = cast("tuple[int, ...]", node.attributes["order"])
    x = node.inputs[0]
    dims = w.view.types[x].dims
    moved = [axis for axis in order if dims[axis] != 1]
    if moved == sorted(moved):  # only sizes of 1 move: no number does
        w.reshape(w[x], dims, node.type.dims, to=node.name)
    else:
        w.emit("Transpose", w[x], to=node.name, perm=list(order))


@spelling("expand")
def expand(w: Writer, node: Node) -> None:
    w.emit("Expand", w[node.inputs[0]], w.shape(node.type.dims), to=node.name)


@spelling("slice")
def cut(w: Writer, node: Node) -> None:
    places = [w.numbers([whole(node, name)]) for name in ("start", "stop", "axis")]
    w.emit("Slice", w[node.inputs[0]], *places, to=node.name)


@spelling("pad")
def pad(w: Writer, node: Node) -> None:
    axis, before, after = (whole(node, name) for name in ("axis", "before", "after"))
    (x,) = inputs(w, node)
    if node.type.is_float:
        pads = w.numbers([before, after])
        w.emit("Pad", x, pads, w.number(0, node.type.dtype), w.numbers([axis]), to=node.name)
        return
    # No kernel pads whole numbers on CUDA.
    parts = [x]
    for count, at in ((before, 0), (after, 2)):
        if count:
            zero = w.number(0, node.type.dtype)
            dims = (*node.type.dims[:axis], count, *node.type.dims[axis + 1 :])
            parts.insert(min(at, len(parts)), w.emit("Expand", zero, w.shape(dims)))
    w.emit("Concat", *parts, to=node.name, axis=axis)


@spelling("concat")
def concat(w: Writer, node: Node) -> None:
    w.emit("Concat", *inputs(w, node), to=node.name, axis=whole(node, "axis"))


def zeros(w: Writer, node: Node) -> str:
    """Zeros of the node's type."""
    value = np.zeros(1, dtype=numpy_dtype(node.type.dtype))
    return w.emit("ConstantOfShape", w.shape(node.type.dims), value=w.tensor(value))
