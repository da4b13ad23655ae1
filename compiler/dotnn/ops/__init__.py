"""The operations: one file a family, each with its type rule, its gradient and its cost side by side."""

from dotnn.operation import MisfitError, Operation, known, lookup, operations, register
from dotnn.ops import elementwise, index, linear, normal, order, random, reduce, shape, source

__all__ = [
    "MisfitError",
    "Operation",
    "elementwise",
    "index",
    "known",
    "linear",
    "lookup",
    "normal",
    "operations",
    "order",
    "random",
    "reduce",
    "register",
    "shape",
    "source",
]
