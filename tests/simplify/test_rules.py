"""Each rule of the simplifier: what becomes of a few operations, in words that a person can read."""

from collections.abc import Callable

import pytest

from dotnn.graph import Attribute, Dtype, Graph, Type
from dotnn.simplify import RULES, simplify
from dotnn.tape import Tape, Value


class Sheet:
    """Values to write formulas with: tensors of two rows of three, single numbers, places, truth values."""

    def __init__(self) -> None:
        self.tape = Tape("sheet")
        self.x, self.y = self.fed("x", 2, 3), self.fed("y", 2, 3)
        self.s, self.t = self.fed("s"), self.fed("t")
        self.row, self.none = self.fed("row", 3), self.fed("none", 0, 3)
        self.place = self.tape.input("place", Type(dtype="i64", dims=(2,)), "data")
        self.rows = self.fed("rows", 2)
        self.m = self.tape.input("m", Type(dtype="i64", dims=(2, 3)), "data")

    def fed(self, name: str, *dims: int, dtype: Dtype = "f32") -> Value:
        return self.tape.input(name, Type(dtype=dtype, dims=dims), "data")

    def do(self, op: str, *inputs: Value, **attributes: Attribute) -> Value:
        return self.tape.add(op, *inputs, **attributes)

    def zeros(self, x: Value, before: int, after: int) -> Value:
        return self.do("pad", x, axis=1, before=before, after=after)

    def number(self, value: float, dtype: Dtype = "f32") -> Value:
        return self.tape.literal(value, dtype)


Formula = Callable[[Sheet], Value]

BECOMES: list[tuple[str, Formula, str]] = [
    ("add", lambda v: v.x + 0, "x"),
    ("add", lambda v: 0 + v.x, "x"),
    ("add", lambda v: v.m + 0, "m"),
    ("add", lambda v: v.x + -v.y, "sub(x, y)"),
    ("add", lambda v: v.number(0.5) + v.number(0.25), "0.75"),
    ("add", lambda v: v.number(1, "i64") + v.number(2, "i64"), "add(1, 2)"),
    ("add", lambda v: v.x + v.s.expand((2, 3)), "add(x, s)"),
    ("add", lambda v: v.s.expand((2, 3)) + v.t.expand((2, 3)), "add(s, expand(t))"),
    ("add", lambda v: v.zeros(v.x, 0, 3) + v.zeros(v.y, 3, 0), "concat(x, y)"),
    ("add", lambda v: v.zeros(v.y, 4, 1) + v.zeros(v.x, 1, 4), "pad(concat(x, y))"),
    ("add", lambda v: v.zeros(v.x, 0, 4) + v.zeros(v.y, 4, 0), "add(pad(x), pad(y))"),
    ("add", lambda v: v.zeros(v.x, 0, 2) + v.zeros(v.y, 2, 0), "add(pad(x), pad(y))"),
    ("pad", lambda v: v.zeros(v.x, 0, 0), "x"),
    ("concat", lambda v: v.do("concat", v.x, axis=1), "x"),
    ("concat", lambda v: v.do("concat", v.do("concat", v.x, v.y, axis=1), v.x, axis=1), "concat(x, y, x)"),
    ("concat", lambda v: v.do("concat", v.do("concat", v.x, v.y, axis=0), v.x, axis=0), "concat(x, y, x)"),
    ("sub", lambda v: v.x - 0, "x"),
    ("sub", lambda v: 0 - v.x, "sub(0.0, x)"),
    ("sub", lambda v: v.x - -v.y, "add(x, y)"),
    ("sub", lambda v: v.x * v.s - v.y * v.s, "mul(sub(x, y), s)"),
    ("sub", lambda v: v.x * v.s - v.y * v.t, "sub(mul(x, s), mul(y, t))"),
    ("sub", lambda v: v.x * v.s - v.x * v.s, "sub(mul(x, s), mul(x, s))"),
    ("sub", lambda v: v.x * v.s - v.row * v.s, "sub(mul(x, s), mul(row, s))"),
    ("mul", lambda v: v.x * 1, "x"),
    ("mul", lambda v: v.x * 0, "mul(x, 0.0)"),
    ("mul", lambda v: v.m * 1, "m"),
    ("mul", lambda v: v.x * -1, "neg(x)"),
    ("mul", lambda v: v.s.expand((2, 3)) * v.t, "expand(mul(s, t))"),
    ("mul", lambda v: (v.x - v.y) * -v.s, "mul(sub(y, x), s)"),
    ("mul", lambda v: v.x * v.s * v.t, "mul(x, mul(s, t))"),
    ("mul", lambda v: v.m * v.number(2, "i64") * v.number(3, "i64"), "mul(mul(m, 2), 3)"),
    ("div", lambda v: v.x / 1, "x"),
    ("div", lambda v: v.x * v.s / v.t, "mul(x, div(s, t))"),
    ("div", lambda v: v.m * v.number(2, "i64") / v.number(3, "i64"), "div(mul(m, 2), 3)"),
    ("div", lambda v: v.number(1) / v.number(0), "div(1.0, 0.0)"),
    ("neg", lambda v: v.do("neg", -v.x), "x"),
    ("neg", lambda v: -(v.s.expand((2, 3))), "expand(neg(s))"),
    ("neg", lambda v: -v.number(2), "-2.0"),
    ("neg", lambda v: -(v.x * v.s), "mul(x, neg(s))"),
    ("gt", lambda v: v.do("add", v.do("maximum", v.x, v.number(0)), (v.x > 0).cast("f32")), "BOTH"),
    ("gt", lambda v: v.x > 0, "gt(x, 0.0)"),
    ("reshape", lambda v: v.x.reshape((6,)).reshape((2, 3)), "x"),
    ("reshape", lambda v: v.s.expand((2, 3)).reshape((6,)), "expand(s)"),
    ("reshape", lambda v: (v.x * v.s).reshape((6,)), "mul(reshape(x), s)"),
    ("reshape", lambda v: v.x.sum((0,), keep=True).reshape((3,)), "sum(x)"),
    ("reshape", lambda v: v.x.mean((1,), keep=True).reshape((2,)), "mean(x)"),
    ("reshape", lambda v: v.x.sum((0,), keep=True).reshape((3, 1)), "reshape(sum(x))"),
    ("expand", lambda v: v.row.expand((2, 3)).expand((4, 2, 3)), "expand(row)"),
    ("expand", lambda v: v.s.reshape((1, 1)).expand((2, 3)), "expand(s)"),
    ("transpose", lambda v: v.x.T.T, "x"),
    ("cast", lambda v: v.do("cast", v.x, dtype="f32"), "x"),
    ("cast", lambda v: v.m.cast("f32").cast("i64"), "cast(cast(m))"),
    ("sum", lambda v: (-v.x).sum((0,)), "neg(sum(x))"),
    ("sum", lambda v: (v.x * v.rows.reshape((2, 1))).sum((1,)), "mul(sum(x), rows)"),
    ("sum", lambda v: (v.rows.reshape((2, 1)) * v.x).sum((1,), keep=True), "mul(reshape(sum(x)), reshape(rows))"),
    ("sum", lambda v: (v.x * v.rows.reshape((2, 1))).sum((0,)), "sum(mul(x, reshape(rows)))"),
    ("add", lambda v: v.x + v.fed("c", 3).reshape((1, 3)), "add(x, c)"),
    ("add", lambda v: v.fed("c", 3).reshape((1, 3)) + v.fed("d", 3).reshape((1, 3)), "add(reshape(c), reshape(d))"),
    ("sum", lambda v: (v.x * v.s).sum((0,)), "mul(sum(x), s)"),
    ("sum", lambda v: (v.none * v.s).sum((0,)), "sum(mul(none, s))"),
    ("sum", lambda v: v.do("place", v.rows, v.place, size=4).sum((1,)), "rows"),
    ("sum", lambda v: v.do("place", v.rows, v.place, size=4).sum((1,), keep=True), "reshape(rows)"),
    ("sum", lambda v: v.do("place", v.rows, v.place, size=4).sum((0,)), "sum(place(rows, place))"),
    ("place", lambda v: v.do("place", v.s.expand((2,)), v.place, size=4), "mul(place(expand(1.0), place), s)"),
    ("place", lambda v: v.do("place", v.number(1).expand((2,)), v.place, size=4), "place(expand(1.0), place)"),
]


def written(graph: Graph) -> str:
    """The formula of the first output."""
    made = {node.name: node for node in graph.nodes}

    def text(name: str) -> str:
        node = made.get(name)
        if node is None:
            return name
        if node.op == "literal":
            return str(node.attributes["value"])
        return f"{node.op}({', '.join(text(each) for each in node.inputs)})"

    return text(graph.outputs[0].value)


@pytest.mark.parametrize(("rule", "formula", "becomes"), BECOMES)
def test_a_formula_becomes_shorter(rule: str, formula: Formula, becomes: str) -> None:
    sheet = Sheet()
    sheet.tape.output("y", formula(sheet), "output")
    if becomes == "BOTH":  # the greater of x and 0 is there already: x itself need not be kept
        becomes = "add(maximum(x, 0.0), cast(gt(maximum(x, 0.0), 0.0)))"
    assert written(simplify(sheet.tape.graph())) == becomes


def test_every_rule_is_shown() -> None:
    assert {rule for rule, _, _ in BECOMES} == set(RULES)


def test_a_simplified_graph_stays_as_it_is() -> None:
    for _, formula, _ in BECOMES:
        sheet = Sheet()
        sheet.tape.output("y", formula(sheet), "output")
        once = simplify(sheet.tape.graph())
        assert simplify(once) == once
