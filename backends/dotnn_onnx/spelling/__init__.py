"""How each operation is spelt in ONNX: one short rule an operation, registered by its name."""

from dotnn_onnx.spelling import elementwise, halves, index, linear, normal, order, random, reduce, shape, source
from dotnn_onnx.spelling.rules import Rule, rule_of, spelling

__all__ = [
    "Rule",
    "elementwise",
    "halves",
    "index",
    "linear",
    "normal",
    "order",
    "random",
    "reduce",
    "rule_of",
    "shape",
    "source",
    "spelling",
]
