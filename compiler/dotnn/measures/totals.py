"""Totals: a figure of a whole split as totals over its batches, and a formula of these totals.

    recall = sum(guess and truth) / sum(truth)

The two sums are what a batch gives; those of all batches are added up, and divided once at the end. What depends on the
rows of a batch passes one of these folds on its way to the figure: a sum, a mean (a sum and a count), a product of
matrices along the rows, the greatest, the least. A total may have dims of its own: one sum for each class.

Where a figure looks at the rows in another way (it sorts them, it compares each with a mean of all), the rows
themselves are what a batch gives: the host puts those of all batches one after another, and the formula begins there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dotnn.graph import FLOATS, Dim, Dtype, Node, Role, multiply, names_in
from dotnn.inputs.columns import BATCH
from dotnn.measures.rows import behind, depending, own_rows, wide
from dotnn.program import Fold
from dotnn.tape import Tape, Value

ARITHMETIC = ("add", "sub", "mul", "div", "pow", "neg", "abs", "sqrt", "select", "maximum", "minimum", "literal")
WIDENED = frozenset((*ARITHMETIC, "reshape", "expand", "transpose", "cast", "sum", "mean"))
"""Operations before a total that are computed in double precision too: sums of squares cancel."""


@dataclass(frozen=True)
class InParts:
    """A figure as totals of a batch, and as what becomes of them."""

    totals: tuple[tuple[Fold, Value], ...]
    """How those of two batches become one, and that of this batch. In f64, rows as they are."""
    figure: Value
    folds: dict[str, tuple[int, ...]]
    """For each value that is a fold: which totals it is made of."""

    @property
    def mean(self) -> Value | None:
        """What the figure is the mean of, where it is simply one."""
        node = self.figure.tape.node(self.figure)
        folded = node is not None and node.op == "mean" and self.figure.name in self.folds
        return self.figure.tape.values[node.inputs[0]] if node and folded and not self.figure.type.rank else None

    @property
    def gathers(self) -> bool:
        """Whether all rows must be there at once."""
        return any(fold == "rows" for fold, _ in self.totals)

    def write(self, tape: Tape, name: str, role: Role) -> None:
        """The formula, on a tape of its own, in double precision: inputs `NAME.1`, `NAME.2`, …, output `NAME`."""
        fed = [
            tape.input(f"{name}.{number}", value.type, role) for number, (_, value) in enumerate(self.totals, start=1)
        ]
        tape.output(name, _Formula(self, tape, fed).of(self.figure).cast("f64"), role)


def in_parts(figure: Value, ends: Collection[str]) -> InParts | None:
    """The parts of a figure that is one for all rows; None for a single number that does not depend on them at all.

    ends: names of values (the net's results) that are taken as one thing a row.
    """
    rows = _Rows(figure, ends)
    if figure.name not in rows.depending and not figure.type.rank:
        return None
    found: dict[str, tuple[int, ...]] = {}
    totals: dict[tuple[Fold, str], int] = {}
    values: list[tuple[Fold, Value]] = []

    def total(fold: Fold, value: Value) -> int:
        number = totals.setdefault((fold, value.name), len(values))
        if number == len(values):
            values.append((fold, value))
        return number

    waiting, seen = [figure], {figure.name}
    counted = False
    while waiting:
        value = waiting.pop()
        node = rows.nodes.get(value.name)
        if value.name not in rows.depending and (value is figure or not _known_now(rows, value)):
            found[value.name] = (total("max", value.cast("f64")),)  # the same in each batch
            continue
        folds = rows.folds(node) if node is not None else None
        if folds is not None:
            found[value.name] = tuple(total(fold, each) for fold, each in folds)
            continue
        if rows.own.get(value.name) == 0 and value.dims[0] == BATCH:
            kept = value.cast("f32") if value.dtype in ("f16", "bf16") else value
            found[value.name] = (total("rows", kept),)
            continue
        assert node is not None  # what is fed has a row of its own for each row
        counted = counted or wide(node.type) or node.op == "size"
        fresh = [name for name in dict.fromkeys(node.inputs) if name not in seen]
        seen.update(fresh)
        waiting.extend(figure.tape.values[name] for name in reversed(fresh))
    if counted and not any(fold == "rows" for fold, _ in values):
        total("rows", rows.any())  # who counts the rows must see some
    return InParts(tuple(values), figure, found)


def each_by_itself(value: Value, ends: Collection[str]) -> bool:
    """Whether one row's numbers do not depend on the other rows of its batch."""
    rows = _Rows(value, ends)
    return value.name not in rows.depending or value.name in rows.own


class _Rows:
    """What of a figure depends on the rows of the batch, and how."""

    def __init__(self, figure: Value, ends: Collection[str]) -> None:
        self.tape = tape = figure.tape
        self.ends = ends
        nodes = behind(figure, ends)
        self.nodes = {node.name: node for node in nodes}
        self.depending = depending(tape, nodes)
        self.own = own_rows(tape, nodes, ends, self.depending)
        self._widened: dict[str, Value] = {}

    def any(self) -> Value:
        """Something that each row has."""
        return next(self.tape.values[fed.name] for fed in self.tape.inputs if self.own.get(fed.name) == 0)

    def folds(self, node: Node) -> list[tuple[Fold, Value]] | None:
        """The totals that a fold over the rows is made of; None for what is none."""
        if node.op == "size":
            dim: Any = node.attributes["dim"]
            return [("sum", self.tape.size(dim, "f64"))] if names_in(dim).count(BATCH) == 1 else None
        changing = [name for name in node.inputs if name in self.depending]
        if wide(node.type) or not changing or any(name not in self.own for name in changing):
            return None
        x = self.tape.values[changing[0]]
        match node.op:
            case "sum" | "mean":
                axes: Any = node.attributes["axes"]
                keep: Any = node.attributes["keep"]
                added = self.widened(x) if x.type.is_float else x
                one: tuple[Fold, Value] = ("sum", added.sum(axes, keep).cast("f64"))
                size = multiply(x.dims[axis] for axis in axes)
                return [one] if node.op == "sum" else [one, ("sum", self.tape.size(size, "f64"))]
            case "max":
                return [("max", self.tape.values[node.name].cast("f64"))]
            case "min":
                return [("min", self.tape.values[node.name].cast("f64"))]
            case "matmul" if len(changing) == len(node.inputs):
                left, right = (self.tape.values[name] for name in node.inputs)
                return [("sum", (self.widened(left) @ self.widened(right)).cast("f64"))]
        return None

    def widened(self, value: Value) -> Value:
        """The same in double precision, from as far back as arithmetic alone leads."""
        if value.name in self._widened:
            return self._widened[value.name]
        node = self.nodes.get(value.name)
        if node is None or node.op not in WIDENED or value.name in self.ends or not value.type.is_float:
            made = value.cast("f64") if value.type.is_float else value
        elif node.op == "cast":
            made = self.widened(self.tape.values[node.inputs[0]]).cast("f64")
        else:
            inputs = [self.widened(self.tape.values[name]) for name in node.inputs]
            with self.tape.at(node.at):
                made = self.tape.add(node.op, *inputs, **_double(node))
        self._widened[value.name] = made
        return made


def _double(node: Node) -> dict[str, Any]:
    """The attributes, with double precision in the place of every other real type."""
    return {k: "f64" if k == "dtype" and v in FLOATS else v for k, v in node.attributes.items()}


def _known_now(rows: _Rows, value: Value) -> bool:
    """Whether it is made of numbers of the spec alone."""
    node = rows.nodes.get(value.name)
    return node is not None and all(_known_now(rows, rows.tape.values[name]) for name in node.inputs)


class _Formula:
    """The way from the totals to the figure, written on another tape."""

    def __init__(self, parts: InParts, tape: Tape, fed: list[Value]) -> None:
        self.parts = parts
        self.tape = tape
        self.fed = fed
        self.made: dict[str, Value] = {}

    def of(self, value: Value) -> Value:
        if value.name not in self.made:
            self.made[value.name] = self._of(value)
        return self.made[value.name]

    def _of(self, value: Value) -> Value:
        dtype: Dtype = "f64" if value.type.is_float else value.dtype
        if value.name in self.parts.folds:
            total, *count = (self.fed[number] for number in self.parts.folds[value.name])
            return (total / count[0] if count else total).cast(dtype)
        node = self.parts.figure.tape.node(value)
        assert node is not None  # what is fed is no part of a formula
        if node.op == "size":
            return self.tape.size(_dim_of(node), dtype)
        inputs = [self.of(self.parts.figure.tape.values[name]) for name in node.inputs]
        if node.op == "cast":
            return inputs[0].cast(dtype)
        if "body" in node.attributes:  # the graph of one step has types of its own
            types = (self.parts.figure.tape.values[name].type for name in node.inputs)
            inputs = [each.cast(type.dtype) for each, type in zip(inputs, types, strict=True)]
            return self.tape.add(node.op, *inputs, **node.attributes).cast(dtype)
        return self.tape.add(node.op, *inputs, **_double(node))


def _dim_of(node: Node) -> Dim:
    dim = node.attributes["dim"]
    assert isinstance(dim, int | str)
    return dim
