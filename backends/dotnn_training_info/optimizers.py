"""Which updates an operator in `ai.onnx.preview.training` makes: seen in the graph, whatever the spec calls them.

With V and H for what is remembered of a weight X, G for its gradient (weight decay and clipping included), R for a
number a step, and all other letters for numbers that never change:

    Momentum  V' = a*V + G                                   X' = X - R*V'   or   X - R*(G + a*V')  (`nesterov`)
    Adagrad                      H' = H + G*G                X' = X - R*G / (sqrt(H') + e)
    Adam      V' = a*V + (1-a)*G;  H' = c*H + (1-c)*G*G      X' = X - R*V' / (sqrt(H') + e)

Adam's own correction of the moments is off (T = 0): R holds it, as the spec writes it. Where nothing fits, the update
stays as it is, in plain operators. Source: the operators' definitions in onnx.defs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from dotnn.graph import Graph, Node, Type
from dotnn_onnx.fuse import Spelt
from dotnn_onnx.writer import Writer

DOMAIN = "ai.onnx.preview.training"

NEAR = 2e-5
"""The operators keep their numbers in single precision, where 1 - 0.999 is 1.3e-5 of itself away from 0.001."""


DEEP = 24
"""So many operations, one upon the other, are looked through."""


@dataclass(frozen=True)
class Product:
    """A number times powers of values: ``number * size^-1 * matmul_3``. Values of power 0 are left out."""

    number: float = 1.0
    powers: Mapping[str, int] = field(default_factory=dict)

    def times(self, other: Product, power: Literal[1, -1] = 1) -> Product:
        """Multiplied by the other, or divided by it where ``power`` is -1."""
        powers = Counter(self.powers)
        for name, count in other.powers.items():
            powers[name] += power * count
        return Product(self._number(other.number, power), {name: count for name, count in powers.items() if count})

    def _number(self, other: float, power: int) -> float:
        if power == 1:
            return self.number * other
        return self.number / other if other else math.nan

    def same(self, other: Product) -> bool:
        return self.powers == other.powers and near(self.number, other.number)


def near(a: float, b: float) -> bool:
    """Whether two settings of an optimizer are one: they went through single precision on the way."""
    return math.isclose(a, b, rel_tol=NEAR)


@dataclass(frozen=True)
class Step:
    """One weight's update as one operator. ``rate`` is a product of numbers; ``kept``: each slot with its successor."""

    op: str
    weight: str
    gradient: str
    kept: Mapping[str, str]
    rate: Product
    settings: Mapping[str, Any]
    counted: bool
    """T is the number of steps so far; otherwise it is 0."""


def steps(graph: Graph) -> dict[str, Step]:
    """The operator that makes each successor of a weight, where there is one, by the value that it makes."""
    return {found[0]: found[1] for found in _found(_Around(graph))}


def _found(around: _Around) -> Iterator[tuple[str, Step]]:
    for fed, after in around.graph.states():
        if not fed.learned or fed.type.dtype not in ("f32", "f64"):
            continue
        for recognise in (_remembered, _accumulated, _averaged):
            step = recognise(around, fed.name, after.value)
            if step is not None and all(around.leads_only_to(made, after.value) for made in step.kept.values()):
                yield after.value, step
                break


# ---- what a recogniser asks about the graph


class _Around:
    """A graph, and its values as products and sums."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.types: Mapping[str, Type] = graph.types()
        self.makers = {node.name: node for node in graph.nodes}
        self.users = graph.users()
        self._products: dict[str, Product] = {}
        self.handed_back = {output.value for output in graph.outputs}
        self.former = {after.value: fed.name for fed, after in graph.states()}

    def made(self, value: str, *ops: str) -> Node | None:
        maker = self.makers.get(value)
        return maker if maker is not None and maker.op in ops else None

    def product(self, value: str, deep: int = DEEP) -> Product:
        """The value as a product, as far as it is one. What lies deeper than ``deep`` operations is left as it is."""
        if value not in self._products:
            self._products[value] = self._product(value, deep - 1) if deep else Product(1.0, {value: 1})
        return self._products[value]

    def _product(self, value: str, deep: int) -> Product:
        maker = self.makers.get(value)
        match maker:
            case Node(op="literal"):
                return Product(float(cast(float, maker.attributes["value"])))
            case Node(op="neg", inputs=(x,)):
                return self.product(x, deep).times(Product(-1.0))
            case Node(op="mul", inputs=(x, y)):
                return self.product(x, deep).times(self.product(y, deep))
            case Node(op="div", inputs=(x, y)):
                return self.product(x, deep).times(self.product(y, deep), -1)
            case Node(op="expand", inputs=(x,)) if self.types[x].size == 1:
                return self.product(x, deep)
        return Product(1.0, {value: 1})

    def number(self, value: str) -> float | None:
        found = self.product(value)
        return None if found.powers else found.number

    def less(self, value: str, weight: str) -> Product | None:
        """What is taken from the weight to make ``value``, as a product."""
        match self.makers.get(value):
            case Node(op="sub", inputs=(x, y)) if x == weight:
                return self.product(y)
            case Node(op="add", inputs=(x, y)) if weight in (x, y):
                return self.product(y if x == weight else x).times(Product(-1.0))
        return None

    def slot(self, value: str, weight: str) -> tuple[str, float, str] | None:
        """``value`` as `number * slot + rest`, where it is that slot's successor, of the weight's type."""
        slot = self.former.get(value)
        maker = self.made(value, "add")
        if slot is None or maker is None or slot == weight or self.types[slot] != self.types[weight]:
            return None
        for kept, rest in (maker.inputs, maker.inputs[::-1]):
            share = self.product(kept)
            if share.powers == {slot: 1} and self.types[rest] == self.types[weight]:
                return slot, share.number, rest
        return None

    def square(self, value: str, deep: int = DEEP) -> tuple[float, str] | None:
        """``value`` as `number * x*x`, with that x."""
        match self.makers.get(value):
            case Node(op="mul", inputs=(x, y)) if x == y:
                return 1.0, x
            case Node(op="pow", inputs=(x, y)) if self.number(y) == 2.0:
                return 1.0, x
            case Node(op="mul", inputs=(x, y)) if deep:
                for number, other in ((self.number(x), y), (self.number(y), x)):
                    inner = self.square(other, deep - 1) if number is not None else None
                    if number is not None and inner is not None:
                        return number * inner[0], inner[1]
        return None

    def root(self, value: str) -> tuple[str, float] | None:
        """``value`` as `sqrt(x) + number`, with that x."""
        maker = self.made(value, "add")
        for x, y in (maker.inputs, maker.inputs[::-1]) if maker is not None else ():
            number, inner = self.number(y), self.made(x, "sqrt")
            if number is not None and inner is not None:
                return inner.inputs[0], number
        return None

    def leads_only_to(self, value: str, end: str) -> bool:
        """Whether nothing but ``end`` comes of the value, and no operation on the way is handed back."""
        while value != end:
            users = self.users.get(value, ())
            if len(users) != 1 or (users[0].name != end and users[0].name in self.handed_back):
                return False
            value = users[0].name
        return True

    def rate(self, product: Product, weight: str) -> Product | None:
        """The product where it is one number a step, in the weight's own precision."""
        kinds = [self.types[name] for name in product.powers]
        fits = all(kind.dims == () and kind.dtype == self.types[weight].dtype for kind in kinds)
        short = sum(abs(power) for power in product.powers.values()) <= DEEP
        return product if fits and short and math.isfinite(product.number) else None


# ---- the three operators


def _remembered(around: _Around, weight: str, after: str) -> Step | None:
    taken = around.less(after, weight)
    if taken is None:
        return None
    for moved in taken.powers:
        found = _plain(around, weight, moved) or _ahead(around, weight, moved)
        rate = around.rate(taken.times(Product(1.0, {moved: 1}), -1), weight)
        if found is not None and rate is not None:
            mode, slot, share, gradient, next_slot = found
            settings = {"alpha": share, "beta": 1.0, "mode": mode, "norm_coefficient": 0.0}
            return Step("Momentum", weight, gradient, {slot: next_slot}, rate, settings, counted=True)
    return None


Moved = tuple[str, str, float, str, str]


def _plain(around: _Around, weight: str, moved: str) -> Moved | None:
    """The step goes along V'."""
    kept = around.slot(moved, weight)
    return None if kept is None else ("standard", *kept, moved)


def _ahead(around: _Around, weight: str, moved: str) -> Moved | None:
    """The step goes along G + a*V'."""
    maker = around.made(moved, "add")
    for x, y in (maker.inputs, maker.inputs[::-1]) if maker is not None else ():
        look = around.product(y)
        for next_slot in look.powers:
            kept = around.slot(next_slot, weight)
            if kept is None or look.powers != {next_slot: 1}:
                continue
            slot, share, gradient = kept
            if near(look.number, share) and around.product(x).same(around.product(gradient)):
                return "nesterov", slot, share, gradient, next_slot
    return None


def _accumulated(around: _Around, weight: str, after: str) -> Step | None:
    taken = around.less(after, weight)
    if taken is None:
        return None
    for below in taken.powers:
        spread = _spread(around, weight, below)
        if spread is None or not (spread.share == spread.part == 1.0):
            continue
        rest = taken.times(around.product(spread.gradient), -1).times(Product(1.0, {below: 1}))
        rate = around.rate(rest, weight)
        if rate is not None:
            settings = {"epsilon": spread.epsilon, "norm_coefficient": 0.0, "decay_factor": 0.0}
            return Step("Adagrad", weight, spread.gradient, {spread.slot: spread.after}, rate, settings, counted=True)
    return None


def _averaged(around: _Around, weight: str, after: str) -> Step | None:
    taken = around.less(after, weight)
    if taken is None:
        return None
    for below in taken.powers:
        spread = _spread(around, weight, below)
        if spread is None or not near(spread.part, 1 - spread.share):
            continue
        for moved in taken.powers:
            kept = around.slot(moved, weight)
            if kept is None:
                continue
            slot, share, part = kept
            wanted = around.product(spread.gradient).times(Product(1 - share))
            rate = around.rate(taken.times(Product(1.0, {moved: 1, below: -1}), -1), weight)
            if rate is None or not around.product(part).same(wanted):
                continue
            settings = {"alpha": share, "beta": spread.share, "epsilon": spread.epsilon}
            settings |= {"norm_coefficient": 0.0, "norm_coefficient_post": 0.0}
            pairs = {slot: moved, spread.slot: spread.after}
            return Step("Adam", weight, spread.gradient, pairs, rate, settings, counted=False)
    return None


@dataclass(frozen=True)
class _Spread:
    """``sqrt(H') + epsilon`` with ``H' = share*H + part*G*G``."""

    slot: str
    after: str
    share: float
    part: float
    gradient: str
    epsilon: float


def _spread(around: _Around, weight: str, below: str) -> _Spread | None:
    root = around.root(below)
    kept = around.slot(root[0], weight) if root is not None else None
    squared = around.square(kept[2]) if kept is not None else None
    if root is None or kept is None or squared is None or around.types[squared[1]] != around.types[weight]:
        return None
    return _Spread(kept[0], root[0], kept[1], squared[0], squared[1], root[1])


# ---- how they are written


def spellings(graph: Graph) -> dict[str, Spelt]:
    """How the values are written that an operator of the training domain makes: all at once, with the weight's."""
    made: dict[str, Spelt] = {}
    for value, step in steps(graph).items():
        reads = (*step.rate.powers, step.weight, step.gradient, *step.kept, *(["step"] if _has_step(graph) else []))
        made[value] = Spelt(reads, _writing(value, step, _has_step(graph)))
        made |= dict.fromkeys(step.kept.values(), Spelt((value,), lambda w: None))
    return made


def _has_step(graph: Graph) -> bool:
    return any(fed.name == "step" and fed.type == Type(dtype="i64") for fed in graph.inputs)


def _writing(value: str, step: Step, has_step: bool) -> Any:
    def write(w: Writer) -> None:
        count = w["step"] if step.counted and has_step else w.number(0, "i64")
        feeds = (_rate(w, step), count, w[step.weight], w[step.gradient], *(w[name] for name in step.kept))
        w.emit_many(step.op, feeds, (value, *step.kept.values()), domain=DOMAIN, **step.settings)

    return write


def _rate(w: Writer, step: Step) -> str:
    """R: the numbers of the product, multiplied and divided."""
    above = [w[name] for name, power in step.rate.powers.items() for _ in range(power)]
    below = [w[name] for name, power in step.rate.powers.items() for _ in range(-power)]
    if step.rate.number != 1.0 or not above:
        above.insert(0, w.number(step.rate.number, w.view.types[step.weight].dtype))
    rate = above[0]
    for factor in above[1:]:
        rate = w.emit("Mul", rate, factor)
    for factor in below:
        rate = w.emit("Div", rate, factor)
    return rate
