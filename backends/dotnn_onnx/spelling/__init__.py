"""How each operation is spelt in ONNX: one short rule an operation, registered by its name."""

from dotnn_onnx.spelling import (
    convolve,
    elementwise,
    halves,
    index,
    linear,
    normal,
    order,
    pool,
    random,
    reduce,
    scan,
    shape,
    source,
)
from dotnn_onnx.spelling.rules import Rule, rule_of, spelling

__all__ = [
    "Rule",
    "convolve",
    "elementwise",
    "halves",
    "index",
    "linear",
    "normal",
    "order",
    "pool",
    "random",
    "reduce",
    "rule_of",
    "scan",
    "shape",
    "source",
    "spelling",
]
