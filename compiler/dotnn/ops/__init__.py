"""The operations: one file a family, each with its type rule, its gradient and its cost side by side."""

from dotnn.operation import MisfitError, Operation, known, lookup, operations, register
from dotnn.ops import convolve, elementwise, index, linear, normal, order, pool, random, reduce, shape, source

__all__ = [
    "MisfitError",
    "Operation",
    "convolve",
    "elementwise",
    "index",
    "known",
    "linear",
    "lookup",
    "normal",
    "operations",
    "order",
    "pool",
    "random",
    "reduce",
    "register",
    "scan",
    "shape",
    "source",
]
