"""Matrix products: Gemm where both are plain matrices, which transposes on the way; MatMul for batches."""

from __future__ import annotations

from dotnn.graph import Node
from dotnn_onnx.spelling.halves import half, halved
from dotnn_onnx.spelling.rules import inputs, spelling
from dotnn_onnx.writer import Writer


@spelling("matmul")
def matmul(w: Writer, node: Node) -> None:
    a, b = inputs(w, node)
    if not node.type.is_float:
        # No build multiplies matrices of whole numbers on CUDA; f64 is exact up to 2^53.
        w.cast(w.emit("MatMul", w.cast(a, "f64"), w.cast(b, "f64")), node.type.dtype, to=node.name)
        return
    short = half(w, *node.inputs)
    if short is not None:
        w.cast(w.emit("MatMul", halved(w, a, short), halved(w, b, short)), node.type.dtype, to=node.name)
        return
    w.emit("MatMul", a, b, to=node.name)
