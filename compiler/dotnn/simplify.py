"""Simplify: a graph with the same results in fewer passes over memory.

Each rule rewrites one operation, looking at what it reads. What every rule keeps:

- Whole numbers, truth values, types and sizes: exactly. Tensors without numbers too.
- Real numbers: exactly, or but for rounding. Single numbers that scale a tensor are taken together, (x*s)*t = x*(s*t),
  and leave sums, sum(x*s) = sum(x)*s; at the ends of the range a product or sum in between may then overflow, or no
  longer. The sign of a zero may change: x + 0 is x.
- What is not finite: a tensor that holds an infinite number or none (NaN) holds one afterwards, and one that holds
  neither is left without. Which of the two it is may change, and where a single number that is not finite is put into
  places, the zeros between these become NaN. So `finite` says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dotnn.graph import FLOATS, Attribute, Graph, Node, Output, multiply
from dotnn.operation import broadcast
from dotnn.scans.bodies import over_bodies
from dotnn.tape import Tape, Value

BROADCASTING = frozenset((
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "mod",
    "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "select",
))  # fmt: skip
"""Operations that align their inputs by themselves."""

ROUNDS = 8
"""How often the rules are tried; what they could still do after that is left."""


def simplify(graph: Graph) -> Graph:
    """The graph rewritten by the rules, until they change nothing; without what no output needs."""
    graph = over_bodies(_prune(graph), simplify)
    for _ in range(ROUNDS):
        after = _prune(_rewrite(graph))
        if after.nodes == graph.nodes:
            return after
        graph = after
    return graph


def only(graph: Graph, outputs: Mapping[str, str]) -> Graph:
    """What these values need: a graph with them as outputs, under the given names."""
    wanted = tuple(Output(name=name, value=value, role="output") for name, value in outputs.items())
    return _prune(graph.model_copy(update={"outputs": wanted}))


def _prune(graph: Graph) -> Graph:
    """Without operations and inputs that no output needs."""
    needed = {output.value for output in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    inputs = tuple(i for i in graph.inputs if i.name in needed)
    return graph.model_copy(update={"inputs": inputs, "nodes": tuple(reversed(kept))})


def _rewrite(graph: Graph) -> Graph:
    tape = Tape(graph.name)
    known: dict[str, Value] = {}
    for fed in graph.inputs:
        tape.inputs.append(fed)
        tape.values[fed.name] = known[fed.name] = Value(tape, fed.name, fed.type)
    view = View(tape)
    for node in graph.nodes:
        with tape.at(node.at):
            made = view.apply(node.op, [known[name] for name in node.inputs], node.attributes)
        assert made.type == node.type, (node, made)
        known[node.name] = made
    for output in graph.outputs:
        tape.output(output.name, known[output.value], output.role)
    return tape.graph()


class View:
    """What a rule sees: the value that an operation would give, and how its inputs were made."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def apply(self, op: str, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value:
        rule = RULES.get(op)
        found = rule(self, inputs, attributes) if rule else None
        if found is None and op in BROADCASTING:
            found = self._unexpanded(op, inputs)
        if found is None and op in BROADCASTING:
            found = self._slim(op, inputs)
        return self.tape.add(op, *inputs, **attributes) if found is None else found

    def of(self, value: Value, op: str) -> Node | None:
        node = self.tape.node(value)
        return node if node and node.op == op else None

    def input(self, node: Node, number: int = 0) -> Value:
        return self.tape.values[node.inputs[number]]

    def number(self, value: Value) -> float | None:
        """The number, where the value is one known now."""
        node = self.of(value, "literal")
        found = node.attributes["value"] if node else None
        return found if isinstance(found, int | float) else None

    def scalar(self, value: Value) -> bool:
        return value.type.rank == 0

    def _unexpanded(self, op: str, inputs: list[Value]) -> Value | None:
        """An elementwise operation need not have its inputs repeated, where the others have the full dims."""
        narrow = [self._before_expand(v) for v in inputs]
        dims = broadcast(*(v.dims for v in inputs))
        for i, value in enumerate(inputs):
            if narrow[i] is value:
                continue
            others = [narrow[j] if j < i else v for j, v in enumerate(inputs) if j != i]
            if broadcast(*(v.dims for v in others), narrow[i].dims) != dims:
                narrow[i] = value
        return self.apply(op, narrow, {}) if narrow != inputs else None

    def _slim(self, op: str, inputs: list[Value]) -> Value | None:
        """Dims of 1 in front of what another input stretches are left out: so one thing has one form."""
        slim = list(inputs)
        for i, value in enumerate(inputs):
            node, dims = self.of(value, "reshape"), value.dims
            while len(dims) > 1 and dims[0] == 1:
                dims = dims[1:]
            others = [v for j, v in enumerate(inputs) if j != i]
            if node and dims != value.dims and max((v.type.rank for v in others), default=0) >= value.type.rank:
                slim[i] = self.apply("reshape", [self.input(node)], {"dims": dims})
        if slim == inputs or broadcast(*(v.dims for v in slim)) != broadcast(*(v.dims for v in inputs)):
            return None
        return self.apply(op, slim, {})

    def _before_expand(self, value: Value) -> Value:
        node = self.of(value, "expand")
        return self.input(node) if node else value


Rule = Callable[[View, list[Value], Mapping[str, Attribute]], Value | None]


# ---- arithmetic with 0 and 1


def _add(view: View, inputs: list[Value], _: Mapping[str, Attribute]) -> Value | None:
    a, b = inputs
    for x, zero in ((a, b), (b, a)):
        if view.number(zero) == 0:
            return x
    minus = view.of(b, "neg")
    if minus:
        return view.apply("sub", [a, view.input(minus)], {})
    beside = _beside(view, a, b)
    return _literals(view, "add", a, b) if beside is None else beside


def _beside(view: View, a: Value, b: Value) -> Value | None:
    """Two tensors among zeros, each where the other is 0, stand side by side: a cut's gradient is joined again."""
    low, high = view.of(a, "pad"), view.of(b, "pad")
    if low is None or high is None or a.dims != b.dims or low.attributes["axis"] != high.attributes["axis"]:
        return None
    if _before(high) < _before(low):
        low, high = high, low
    axis = low.attributes["axis"]
    first, second = view.input(low), view.input(high)
    assert isinstance(axis, int)
    here = first.dims[axis]
    if not isinstance(here, int) or _before(low) + here != _before(high):
        return None
    joined = view.apply("concat", [first, second], {"axis": axis})
    zeros = {"after": high.attributes["after"], "axis": axis, "before": low.attributes["before"]}
    return view.apply("pad", [joined], zeros)


def _before(node: Node) -> int:
    found = node.attributes["before"]
    assert isinstance(found, int)
    return found


def _sub(view: View, inputs: list[Value], _: Mapping[str, Attribute]) -> Value | None:
    a, b = inputs
    if view.number(b) == 0:
        return a
    minus = view.of(b, "neg")
    if minus:
        return view.apply("add", [a, view.input(minus)], {})
    left, right = _scaled(view, a), _scaled(view, b)
    if left and right and left[1] is right[1] and a is not b and a.dims == b.dims:  # x*s - y*s = (x - y) * s
        return view.apply("mul", [view.apply("sub", [left[0], right[0]], {}), left[1]], {})
    return _literals(view, "sub", a, b)


def _mul(view: View, inputs: list[Value], _: Mapping[str, Attribute]) -> Value | None:
    a, b = inputs
    for x, k in ((a, b), (b, a)):
        if view.number(k) == 1:
            return x
        if view.number(k) == -1:
            return view.apply("neg", [x], {})
    folded = _literals(view, "mul", a, b)
    if folded is not None:
        return folded
    for x, s in ((a, b), (b, a)):
        wide = view.of(x, "expand")
        if wide and view.scalar(s) and view.scalar(view.input(wide)):
            return view.apply("expand", [view.apply("mul", [view.input(wide), s], {})], wide.attributes)
    for x, s in ((a, b), (b, a)):
        minus, difference = view.of(s, "neg"), view.of(x, "sub")
        if minus and difference and view.scalar(s):  # (p - q) * -s = (q - p) * s
            turned = view.apply("sub", [view.input(difference, 1), view.input(difference, 0)], {})
            return view.apply("mul", [turned, view.input(minus)], {})
    return _scalars_first(view, a, b)


def _div(view: View, inputs: list[Value], _: Mapping[str, Attribute]) -> Value | None:
    a, b = inputs
    if view.number(b) == 1:
        return a
    if view.scalar(b) and (scaled := _scaled(view, a)):  # (x * s) / t = x * (s / t)
        return view.apply("mul", [scaled[0], view.apply("div", [scaled[1], b], {})], {})
    return _literals(view, "div", a, b)


def _scaled(view: View, value: Value) -> tuple[Value, Value] | None:
    """(x, s) where ``value`` is a tensor x times a single number s."""
    node = view.of(value, "mul")
    if not node or value.dtype not in FLOATS:
        return None
    a, b = view.input(node, 0), view.input(node, 1)
    if view.scalar(a) == view.scalar(b):
        return None
    return (b, a) if view.scalar(a) else (a, b)


def _scalars_first(view: View, a: Value, b: Value) -> Value | None:
    """(x * s) * t = x * (s * t): single numbers are taken together before they meet a tensor."""
    for tensor, t in ((a, b), (b, a)):
        if view.scalar(t) and (scaled := _scaled(view, tensor)):
            return view.apply("mul", [scaled[0], view.apply("mul", [scaled[1], t], {})], {})
    return None


def _literals(view: View, op: str, a: Value, b: Value) -> Value | None:
    """Arithmetic of numbers known now, in the precision of the graph: exact rules of IEEE, so the same everywhere."""
    x, y = view.number(a), view.number(b)
    if x is None or y is None or a.dtype not in ("f32", "f64"):
        return None
    import numpy as np

    kind = np.float32 if a.dtype == "f32" else np.float64
    with np.errstate(all="ignore"):
        p, q = kind(x), kind(y)
        result = p + q if op == "add" else p - q if op == "sub" else p * q if op == "mul" else p / q
    return view.tape.literal(float(result), a.dtype) if np.isfinite(result) else None


def _neg(view: View, inputs: list[Value], _: Mapping[str, Attribute]) -> Value | None:
    minus = view.of(inputs[0], "neg")
    if minus:
        return view.input(minus)
    wide = view.of(inputs[0], "expand")
    if wide:
        return view.apply("expand", [view.apply("neg", [view.input(wide)], {})], wide.attributes)
    number = view.number(inputs[0])
    if number is not None and inputs[0].dtype in ("f32", "f64"):
        return view.tape.literal(-number, inputs[0].dtype)
    if scaled := _scaled(view, inputs[0]):
        return view.apply("mul", [scaled[0], view.apply("neg", [scaled[1]], {})], {})
    return None


# ---- comparisons


def _gt(view: View, inputs: list[Value], _: Mapping[str, Attribute]) -> Value | None:
    """x > 0 is max(x, 0) > 0: the backward pass then needs the result alone, and x can be forgotten."""
    a, b = inputs
    if view.number(b) != 0:
        return None
    kept = view.tape.find("maximum", a, b)
    return view.tape.add("gt", kept, b) if kept else None


# ---- moving numbers


def _reshape(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    dims = attributes["dims"]
    if inputs[0].dims == dims:
        return inputs[0]
    wide = view.of(inputs[0], "expand")
    if wide and view.scalar(view.input(wide)):
        return view.apply("expand", [view.input(wide)], {"dims": dims})
    before = view.of(inputs[0], "reshape")
    if before:
        return view.apply("reshape", [view.input(before)], attributes)
    if scaled := _scaled(view, inputs[0]):  # single numbers go last
        return view.apply("mul", [view.apply("reshape", [scaled[0]], attributes), scaled[1]], {})
    for fold in ("sum", "mean", "max", "min"):
        kept = view.of(inputs[0], fold)
        if kept and kept.attributes["keep"]:
            x, axes = view.input(kept), kept.attributes["axes"]
            assert isinstance(axes, tuple)
            if dims == tuple(d for i, d in enumerate(x.dims) if i not in axes):
                return view.apply(fold, [x], {"axes": axes, "keep": False})
    return None


def _expand(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    if inputs[0].dims == attributes["dims"]:
        return inputs[0]
    before = view.of(inputs[0], "expand")
    if before:
        return view.apply("expand", [view.input(before)], attributes)
    moved = view.of(inputs[0], "reshape")
    if moved and view.scalar(view.input(moved)):
        return view.apply("expand", [view.input(moved)], attributes)
    return None


def _transpose(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    order = attributes["order"]
    assert isinstance(order, tuple)
    if order == tuple(range(len(order))):
        return inputs[0]
    before = view.of(inputs[0], "transpose")
    if not before:
        return None
    first = before.attributes["order"]
    assert isinstance(first, tuple)
    return view.apply("transpose", [view.input(before)], {"order": tuple(first[int(i)] for i in order)})


def _pad(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    return inputs[0] if attributes["before"] == attributes["after"] == 0 else None


def _concat(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    """What was joined along this dim before is joined at once."""
    if len(inputs) == 1:
        return inputs[0]
    parts = [(value, view.of(value, "concat")) for value in inputs]
    if not any(made and made.attributes == attributes for _, made in parts):
        return None
    flat: list[Value] = []
    for value, made in parts:
        inner = made is not None and made.attributes == attributes
        flat += [view.tape.values[name] for name in made.inputs] if made is not None and inner else [value]
    return view.apply("concat", flat, attributes)


def _cast(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    return inputs[0] if inputs[0].dtype == attributes["dtype"] else None


def _sum(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    """Single numbers leave the sum; the sum over the places of what was placed is what was placed."""
    if multiply(inputs[0].dims) == 0:
        return None  # the sum of nothing is 0, whatever s may be
    if scaled := _scaled(view, inputs[0]):
        return view.apply("mul", [view.apply("sum", [scaled[0]], attributes), scaled[1]], {})
    outside = _outside(view, inputs[0], attributes)
    if outside is not None:
        return outside
    placed = view.of(inputs[0], "place")
    if not placed or attributes["axes"] != (inputs[0].type.rank - 1,):
        return None
    x = view.input(placed)
    return view.apply("reshape", [x], {"dims": (*x.dims, 1)}) if attributes["keep"] else x


def _outside(view: View, x: Value, attributes: Mapping[str, Attribute]) -> Value | None:
    """What is the same for all that is added up leaves the sum: a sign, a factor for each channel."""
    minus, product = view.of(x, "neg"), view.of(x, "mul")
    if minus and x.dtype in FLOATS:
        return view.apply("neg", [view.apply("sum", [view.input(minus)], attributes)], {})
    axes, keep = attributes["axes"], attributes["keep"]
    assert isinstance(axes, tuple)
    if product is None or x.dtype not in FLOATS:
        return None
    a, b = view.input(product, 0), view.input(product, 1)
    for whole, s in ((a, b), (b, a)):
        dims = (*(1,) * (x.type.rank - s.type.rank), *s.dims)
        if whole.dims == x.dims and s.dims != x.dims and all(dims[int(axis)] == 1 for axis in axes):
            left = tuple(d for i, d in enumerate(dims) if keep or i not in axes)
            factor = view.apply("reshape", [s], {"dims": left}) if left != s.dims else s
            summed = view.apply("sum", [whole], {"axes": axes, "keep": False})
            kept = tuple(1 if i in axes else d for i, d in enumerate(whole.dims))
            return view.apply("mul", [view.apply("reshape", [summed], {"dims": kept}) if keep else summed, factor], {})
    return None


def _place(view: View, inputs: list[Value], attributes: Mapping[str, Attribute]) -> Value | None:
    """One number s in every place is 1 in every place, times s."""
    x, index = inputs
    wide = view.of(x, "expand")
    if not wide or not view.scalar(view.input(wide)) or x.dtype not in FLOATS:
        return None
    s = view.input(wide)
    if view.number(s) == 1:
        return None
    one = view.tape.literal(1, x.dtype).expand(x.dims)
    return view.apply("mul", [view.apply("place", [one, index], attributes), s], {})


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "place": _place,
    "gt": _gt,
    "reshape": _reshape,
    "expand": _expand,
    "transpose": _transpose,
    "pad": _pad,
    "concat": _concat,
    "cast": _cast,
    "sum": _sum,
}
