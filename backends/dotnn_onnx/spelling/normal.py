"""Composites that have a kernel of their own, along the last dim."""

from __future__ import annotations

from typing import cast

import numpy as np

from dotnn.graph import Node
from dotnn_onnx.spelling.rules import inputs, spelling
from dotnn_onnx.writer import Writer, numpy_dtype


@spelling("softmax")
def softmax(w: Writer, node: Node) -> None:
    w.emit("Softmax", *inputs(w, node), to=node.name, axis=-1)


@spelling("log_softmax")
def log_softmax(w: Writer, node: Node) -> None:
    w.emit("LogSoftmax", *inputs(w, node), to=node.name, axis=-1)


@spelling("logsumexp")
def logsumexp(w: Writer, node: Node) -> None:
    w.emit("ReduceLogSumExp", *inputs(w, node), w.numbers([-1]), to=node.name, keepdims=0)


@spelling("normalise", "precision")
def normalise(w: Writer, node: Node) -> None:
    x = w[node.inputs[0]]
    dtype = node.type.dtype
    eps = cast(float, node.attributes["eps"])
    key = ("normalise", node.inputs[0], eps)
    made = w.shared(key)
    if made is None:
        made = _kernel(w, node, x, eps) if dtype == "f32" else _written_out(w, x, eps, node)
        w.share(key, *made)
    w.alias(node.name, made[0] if node.op == "normalise" else made[1])


def _kernel(w: Writer, node: Node, x: str, eps: float) -> tuple[str, str]:
    width = w.view.types[node.inputs[0]].dims[-1]
    if isinstance(width, int):
        ones = w.constant(np.ones(width, dtype=numpy_dtype(node.type.dtype)))
    else:
        ones = w.emit("Expand", w.number(1, node.type.dtype), w.shape((width,)))
    normal, _, inverse = w.emit_many("LayerNormalization", (x, ones), (None, None, None), axis=-1, epsilon=eps)
    return normal, inverse


def _written_out(w: Writer, x: str, eps: float, node: Node) -> tuple[str, str]:
    # The kernel hands its statistics back in f32 only.
    last, number = w.numbers([-1]), w.number(eps, node.type.dtype)
    centred = w.emit("Sub", x, w.emit("ReduceMean", x, last, keepdims=1))
    variance = w.emit("ReduceMean", w.emit("Mul", centred, centred), last, keepdims=1)
    inverse = w.emit("Reciprocal", w.emit("Sqrt", w.emit("Add", variance, number)))
    return w.emit("Mul", centred, inverse), inverse
