"""Values out of nothing."""

from __future__ import annotations

import numpy as np

from dotnn.graph import Node
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.writer import Writer, numpy_dtype

SHORT = 1024
"""Up to so many numbers a count is written out in the file."""


@spelling("literal")
def literal(w: Writer, node: Node) -> None:
    value = node.attributes["value"]
    assert isinstance(value, bool | int | float)
    w.alias(node.name, w.number(value, node.type.dtype))


@spelling("array")
def array(w: Writer, node: Node) -> None:
    values = np.array(node.attributes["values"], dtype=numpy_dtype(node.type.dtype))
    w.alias(node.name, w.constant(values.reshape([int(d) for d in node.type.dims]), node.name))


@spelling("size")
def size(w: Writer, node: Node) -> None:
    dim = node.attributes["dim"]
    assert isinstance(dim, int | str)
    if isinstance(dim, int):
        w.alias(node.name, w.number(dim, node.type.dtype))
    elif node.type.dtype == "i64":
        w.alias(node.name, w.size(dim))
    else:
        w.cast(w.size(dim), node.type.dtype, to=node.name)


@spelling("iota")
def iota(w: Writer, node: Node) -> None:
    (dim,) = node.type.dims
    if isinstance(dim, int) and dim <= SHORT:
        w.alias(node.name, w.constant(np.arange(dim, dtype=np.int64)))
    else:
        w.emit("Range", w.number(0, "i64"), w.size(dim), w.number(1, "i64"), to=node.name)
