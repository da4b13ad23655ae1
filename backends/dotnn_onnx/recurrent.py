"""Loops that are a kernel: where a scan's step is what ONNX calls LSTM or GRU, whatever the spec calls it.

It is seen in the graph. A training step asks the loop for what it needs on the way back, which no kernel gives, and so
keeps its loop; in predict.onnx and eval.onnx the kernel is one and a half to three times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import cast

from dotnn.graph import Graph, Node, Type
from dotnn.ops.scan import Result, result_of, together
from dotnn_onnx.view import View
from dotnn_onnx.writer import Writer

Found = dict[str, str | int]
"""What the words of a form stand for: values, and of gates their places."""


@dataclass(frozen=True)
class Any_:
    """Any value, the same wherever the word stands."""

    word: str


@dataclass(frozen=True)
class Gate:
    """One of the equal parts along the last dim; the word is its place."""

    word: str
    whole: Form


@dataclass(frozen=True)
class Of:
    """An operation. Sums and products take their inputs in any order."""

    op: str
    inputs: tuple[Form, ...]


@dataclass(frozen=True)
class One:
    """The number 1."""


Form = Any_ | Gate | Of | One


def of(op: str, *inputs: Form) -> Of:
    """The form of an operation on these."""
    return Of(op, inputs)


def fits(view: View, value: str, form: Form, found: Found) -> Iterator[Found]:
    """The ways in which a value has this form."""
    maker = view.makers.get(value)
    match form:
        case Any_(word):
            if found.get(word, value) == value:
                yield {**found, word: value}
        case One():
            if view.number(value) == 1:
                yield found
        case Gate(word, whole) if maker is not None and maker.op == "slice":
            place = _place(view, maker)
            if place is not None and found.get(word, place) == place:
                yield from fits(view, maker.inputs[0], whole, {**found, word: place})
        case Of(op, inputs) if maker is not None and maker.op == op:
            orders = permutations(maker.inputs) if op in ("add", "mul") else [maker.inputs]
            for order in dict.fromkeys(orders):
                ways = [found]
                for one, part in zip(order, inputs, strict=True):
                    ways = [wider for way in ways for wider in fits(view, one, part, way)]
                yield from ways


def _place(view: View, cut: Node) -> int | None:
    """Which of equal parts along the last dim a slice takes."""
    start, width = cast(int, cut.attributes["start"]), cut.type.dims[-1]
    whole = view.types[cut.inputs[0]]
    if cut.attributes["axis"] != whole.rank - 1 or not isinstance(width, int) or not width or start % width:
        return None
    return start // width


H, C, U = Any_("h"), Any_("c"), Any_("U")

FOUR = of("add", Any_("x"), of("matmul", H, U))
MEMORY = of(
    "add",
    of("mul", of("sigmoid", Gate("f", FOUR)), C),
    of("mul", of("sigmoid", Gate("i", FOUR)), of("tanh", Gate("g", FOUR))),
)
SAID = of("mul", of("sigmoid", Gate("o", FOUR)), of("tanh", MEMORY))

THREE = of("matmul", H, U)
STAYS = of("sigmoid", of("add", Any_("xz"), Gate("z", THREE)))
MADE = of(
    "tanh",
    of(
        "add",
        Any_("xm"),
        of("mul", of("sigmoid", of("add", Any_("xr"), Gate("r", THREE))), of("add", Gate("m", THREE), Any_("seen"))),
    ),
)
MIXED = of("add", of("mul", of("sub", One(), STAYS), MADE), of("mul", STAYS, H))


@dataclass(frozen=True)
class Kernel:
    """A loop that is a kernel: the operator, and what it is given, as values of the graph."""

    op: str
    node: Node
    order: tuple[int, ...]
    """Where its gates stand in ours, in the order of the operator."""
    x: str
    w: str
    u: str
    bias: str | None
    seen: str | None
    starts: tuple[str, ...]
    results: Mapping[Result, str]
    """Which output of the operator is which result: all, last, memory."""

    @property
    def reads(self) -> tuple[str, ...]:
        given = (self.x, self.w, self.u, self.bias, self.seen, *self.starts)
        return tuple(name for name in given if name is not None)

    def write(self, w: Writer, node: Node) -> None:
        key = ("kernel", together(node))
        made = w.shared(key)
        if made is None:
            made = self._run(w)
            w.share(key, *made)
        whole, last, *memory = made
        outputs = {"all": whole, "last": last, "memory": memory[0] if memory else ""}
        axis = w.numbers([1]) if self.results[result_of(node.attributes)] == "all" else w.numbers([0])
        w.emit("Squeeze", outputs[self.results[result_of(node.attributes)]], axis, to=node.name)

    def _run(self, w: Writer) -> tuple[str, ...]:
        units, dtype = w.view.types[self.u].dims[0], self.node.type.dtype
        assert isinstance(units, int)
        first = w.numbers([0])
        sides = [w.emit("Unsqueeze", self._ordered(w, name, turned=True), first) for name in (self.w, self.u)]
        none = w.emit("Expand", w.number(0, dtype), w.numbers([units]))
        own = [none] * len(self.order) if self.bias is None else [self._ordered(w, self.bias)]
        again = [none] * len(self.order) if self.seen is None else [none, none, w[self.seen]]
        bias = w.emit("Unsqueeze", w.emit("Concat", *own, *again, axis=0), first)
        given = [w[self.x], *sides, bias]
        if any(w.view.number(start) != 0 for start in self.starts):
            given += ["", *(w.emit("Unsqueeze", w[start], first) for start in self.starts)]
        return w.emit_many(
            self.op,
            given,
            [None] * (1 + len(self.starts)),
            direction="reverse" if self.node.attributes["back"] else None,
            hidden_size=units,
            linear_before_reset=1 if self.seen is not None else None,
        )

    def _ordered(self, w: Writer, name: str, turned: bool = False) -> str:
        """The gates side by side in the operator's order; with ``turned`` one below the other."""
        axis = w.view.types[name].rank - 1
        parts = w.emit_many("Split", (w[name],), [None] * len(self.order), axis=axis, num_outputs=len(self.order))
        joined = w.emit("Concat", *(parts[place] for place in self.order), axis=axis)
        return w.emit("Transpose", joined, perm=[1, 0]) if turned else joined


def kernel(view: View, node: Node) -> Kernel | None:
    """The node as a result of a kernel."""
    if node.type.dtype not in ("f32", "f64"):
        return None
    body = cast(Graph, node.attributes["body"])
    inner = View(body)
    for form in (_with_memory, _without) if node.attributes["carried"] in (1, 2) else ():
        found = form(view, node, inner)
        if found is not None and _asked(view, node) <= set(found.results):
            return found
    return None


def _asked(view: View, node: Node) -> set[Result]:
    run = together(node)
    return {result_of(n.attributes) for n in view.graph.nodes if n.op == "scan" and together(n) == run}


def _with_memory(view: View, node: Node, inner: View) -> Kernel | None:
    nexts = [inner.graph.output(f"next.{n}").value for n in range(cast(int, node.attributes["carried"]))]
    for h, c in ((0, 1), (1, 0)) if len(nexts) == 2 else ():
        for found in fits(inner, nexts[h], SAID, {"h": f"carried.{h}", "c": f"carried.{c}"}):
            outside = _outside(node, found)
            order = tuple(cast(int, found[gate]) for gate in "iofg")
            if outside is None or set(order) != {0, 1, 2, 3} or not _is(inner, nexts[c], MEMORY, found):
                continue
            results = {(nexts[h], False): "all", (f"carried.{h}", True): "last", (f"carried.{c}", True): "memory"}
            summed = _product(view, outside["x"])
            if summed is not None:
                starts = (node.inputs[h], node.inputs[c])
                return Kernel("LSTM", node, order, *summed[:2], outside["U"], summed[2], None, starts, results)
    return None


def _is(view: View, value: str, form: Form, found: Found) -> bool:
    return any(way == found for way in fits(view, value, form, found))


def _without(view: View, node: Node, inner: View) -> Kernel | None:
    if node.attributes["carried"] != 1:
        return None
    after = inner.graph.output("next.0").value
    for found in fits(inner, after, MIXED, {"h": "carried.0"}):
        outside = _outside(node, found)
        order = tuple(cast(int, found[gate]) for gate in "zrm")
        if outside is None or set(order) != {0, 1, 2} or view.types[outside["seen"]].rank != 1:
            continue
        cuts = [view.made_by(outside[f"x{gate}"], "slice") for gate in "zrm"]
        places = tuple(None if cut is None else _place(view, cut) for cut in cuts)
        wholes = {cut.inputs[0] for cut in cuts if cut is not None}
        summed = _product(view, wholes.pop()) if len(wholes) == 1 and places == order else None
        if summed is not None:
            results = {(after, False): "all", ("carried.0", True): "last"}
            return Kernel(
                "GRU", node, order, *summed[:2], outside["U"], summed[2], outside["seen"], node.inputs[:1], results
            )
    return None


def _outside(node: Node, found: Found) -> dict[str, str] | None:
    """The values of the graph for what the body takes from outside; None where something is of the body itself."""
    body = cast(Graph, node.attributes["body"])
    places = {fed.name: number for number, fed in enumerate(body.inputs)}
    kept = {word: value for word, value in found.items() if word not in ("h", "c") and isinstance(value, str)}
    if any(value not in places or value.startswith("carried") for value in kept.values()):
        return None
    return {word: node.inputs[places[value]] for word, value in kept.items()}


def _product(view: View, value: str) -> tuple[str, str, str | None] | None:
    """(x, W, bias) of `x @ W + bias` for all steps; bias may be missing."""
    maker = view.makers.get(value)
    ways: Sequence[tuple[str, str | None]] = [(value, None)]
    if maker is not None and maker.op == "add":
        ways = [(maker.inputs[0], maker.inputs[1]), (maker.inputs[1], maker.inputs[0])]
    for side, bias in ways:
        product = view.made_by(side, "matmul")
        if product is None or (bias is not None and view.types[bias].dims != product.type.dims[-1:]):
            continue
        x, w = (view.types[name] for name in product.inputs)
        if x.rank == 3 and w.rank == 2 and _plain(w):
            return product.inputs[0], product.inputs[1], bias
    return None


def _plain(type: Type) -> bool:
    return all(isinstance(dim, int) for dim in type.dims)
