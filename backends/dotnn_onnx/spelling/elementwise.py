"""Operations on each number by itself."""

from __future__ import annotations

import math

from dotnn.graph import Dtype, Node
from dotnn_onnx.spelling.rules import by_way_of, inputs, spelling
from dotnn_onnx.writer import Writer

PLAIN = {
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "round": "Round",
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "and": "And",
    "or": "Or",
    "not": "Not",
}

COMPARED = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}

NARROW: dict[Dtype, Dtype] = {"u8": "i32"}
"""CUDA has neither comparisons nor extremes of u8."""


@spelling(*PLAIN)
def plain(w: Writer, node: Node) -> None:
    w.emit(PLAIN[node.op], *inputs(w, node), to=node.name)


@spelling("neg")
def neg(w: Writer, node: Node) -> None:
    (x,) = inputs(w, node)
    if node.type.dtype in ("u8", "u64"):
        w.emit("Sub", w.number(0, node.type.dtype), x, to=node.name)
    else:
        w.emit("Neg", x, to=node.name)


@spelling("erf")
def erf(w: Writer, node: Node) -> None:
    by_way_of(w, node, "Erf", {"f64": "f32"}, *inputs(w, node))  # no CPU has it in double precision


@spelling("stop")
def stop(w: Writer, node: Node) -> None:
    w.alias(node.name, w[node.inputs[0]])


@spelling("cast")
def cast(w: Writer, node: Node) -> None:
    if w.view.types[node.inputs[0]].dtype == node.type.dtype:
        w.alias(node.name, w[node.inputs[0]])
    else:
        w.cast(w[node.inputs[0]], node.type.dtype, to=node.name)


@spelling("maximum")
def maximum(w: Writer, node: Node) -> None:
    for x, other in (node.inputs, node.inputs[::-1]):
        same = w.view.types[x].dims == node.type.dims
        if node.type.is_float and same and w.view.number(other) == 0:
            w.emit("Relu", w[x], to=node.name)
            return
    by_way_of(w, node, "Max", NARROW, *inputs(w, node))


@spelling("minimum")
def minimum(w: Writer, node: Node) -> None:
    by_way_of(w, node, "Min", NARROW, *inputs(w, node))


@spelling(*COMPARED)
def compared(w: Writer, node: Node) -> None:
    ways: dict[Dtype, Dtype] = NARROW if node.op == "eq" else {**NARROW, "bool": "i32"}
    by_way_of(w, node, COMPARED[node.op], ways, *inputs(w, node))


@spelling("ne")
def ne(w: Writer, node: Node) -> None:
    a, b = inputs(w, node)
    if w.view.types[node.inputs[0]].dtype == "u8":
        a, b = w.cast(a, "i32"), w.cast(b, "i32")
    w.emit("Not", w.emit("Equal", a, b), to=node.name)


@spelling("mod")
def mod(w: Writer, node: Node) -> None:
    a, b = inputs(w, node)
    if not node.type.is_float:
        by_way_of(w, node, "Mod", NARROW, a, b)
        return
    # ONNX gives the sign of a to real numbers: put it right where a and b differ in sign and something is left.
    left = w.emit("Mod", a, b, fmod=1)
    zero = w.number(0, node.type.dtype)
    differ = w.emit("Xor", w.emit("Less", left, zero), w.emit("Less", b, zero))
    wrong = w.emit("And", differ, w.emit("Not", w.emit("Equal", left, zero)))
    w.emit("Where", wrong, w.emit("Add", left, b), left, to=node.name)


@spelling("pow")
def power(w: Writer, node: Node) -> None:
    x, y = inputs(w, node)
    same = w.view.types[node.inputs[0]].dims == node.type.dims
    exponent = w.view.number(node.inputs[1]) if same else None
    # A general Pow costs forty additions, and the powers that formulas hold are few.
    if exponent == 1:
        w.alias(node.name, x)
    elif exponent == 2:
        w.emit("Mul", x, x, to=node.name)
    elif exponent == 3:
        w.emit("Mul", w.emit("Mul", x, x), x, to=node.name)
    elif exponent == 4:
        square = w.emit("Mul", x, x)
        w.emit("Mul", square, square, to=node.name)
    elif exponent == 0.5:
        w.emit("Sqrt", x, to=node.name)
    elif exponent == -1 and node.type.is_float:
        w.emit("Reciprocal", x, to=node.name)
    elif exponent == -2 and node.type.is_float:
        w.emit("Reciprocal", w.emit("Mul", x, x), to=node.name)
    elif exponent == -0.5:
        w.emit("Reciprocal", w.emit("Sqrt", x), to=node.name)
    else:
        by_way_of(w, node, "Pow", {"u8": "i64", "u64": "i64"}, x, y)


CHOSEN_AS: dict[Dtype, Dtype] = {"bool": "u8", "u64": "i64"}
"""Where has no kernel for these; the bits are the same in another type."""


@spelling("select")
def select(w: Writer, node: Node) -> None:
    condition, a, b = inputs(w, node)
    if node.type.is_float and w.view.number(node.inputs[2]) == 0 and _finite(w, node.inputs[1]):
        # Where costs twenty to fifty multiplications on a CPU, but only what is finite may be multiplied by 0.
        w.emit("Mul", w.cast(condition, node.type.dtype), a, to=node.name)
        return
    way = CHOSEN_AS.get(node.type.dtype)
    if way is None:
        w.emit("Where", condition, a, b, to=node.name)
    else:
        w.cast(w.emit("Where", condition, w.cast(a, way), w.cast(b, way)), node.type.dtype, to=node.name)


def _finite(w: Writer, value: str) -> bool:
    """Whether the value is finite whatever is fed."""
    number = w.view.number(value)
    if number is not None:
        return math.isfinite(number)
    maker = w.view.makers.get(value)
    if maker is None or maker.op not in ("cast", "random"):
        return False
    return maker.op == "random" or not w.view.types[maker.inputs[0]].is_float
