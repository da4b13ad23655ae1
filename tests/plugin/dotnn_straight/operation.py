"""squareplus: (x + sqrt(x^2 + 4)) / 2, a smooth bend that needs no exponential.

Source: J. T. Barron, "Squareplus: a softplus-like algebraic rectifier", arXiv:2112.11687.

For x far below zero the sum of the two is all cancelled; but the values at x and -x are each other's reciprocals, so
the formula is used for |x| alone. From y - 1/y = x follows the gradient, 1 / (1 + 1/y^2).
"""

import numpy as np

from dotnn.graph import FLOATS
from dotnn.operation import MisfitError, Operation
from dotnn.plugins import NewOperation
from dotnn.recipes import Recipe


def infer(x):
    if x.dtype not in FLOATS:
        raise MisfitError(f"squareplus takes real numbers, not {x.dtype}")
    return x


def gradient(g, y, x):
    r = 1 / y
    return [g / (1 + r * r)]


def formula(x):
    """The meaning, in NumPy."""
    above = (np.abs(x) + np.hypot(x, 2)) / 2
    return np.where(x < 0, 1 / above, above)


def in_onnx(w, node):
    """The same in ONNX's operators."""
    (x,) = [w[name] for name in node.inputs]
    half, one, four = (w.number(n, node.type.dtype) for n in (0.5, 1, 4))
    size = w.emit("Abs", x)
    root = w.emit("Sqrt", w.emit("Add", w.emit("Mul", size, size), four))
    above = w.emit("Mul", w.emit("Add", size, root), half)
    below = w.emit("Less", x, w.number(0, node.type.dtype))
    w.emit("Where", below, w.emit("Div", one, above), above, to=node.name)


def anywhere(draw, op):
    return op(draw.real(draw.dims()))


def far_out(draw, op):
    return op(draw.real(draw.dims(), -50, 50))


SQUAREPLUS = NewOperation(
    operation=Operation("squareplus", infer, gradient, doc="(x + sqrt(x^2 + 4)) / 2"),
    lowerings={
        "reference": formula,
        "onnx": in_onnx,
        "straight": "where({0} < 0, 2 / (hypot({0}, 2) + abs({0})), (abs({0}) + hypot({0}, 2)) / 2)",
    },
    recipes=(Recipe("anywhere", anywhere), Recipe("far out", far_out)),
)
