"""Totals: a figure of a whole split as totals over its batches, and a formula of these totals.

    recall = sum(guess and truth) / sum(truth)

The two sums are what a batch gives; those of all batches are added up, and divided once at the end. What depends on the
rows of a batch must pass one of these folds on its way to the figure: a sum, a mean (a sum and a count), a product of
matrices along the rows, the greatest, the least.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from dotnn.columns import BATCH
from dotnn.graph import FLOATS, Dtype, Node, Role, Type, multiply, names_in
from dotnn.tape import Tape, Value

Fold = Literal["sum", "max", "min"]

ARITHMETIC = ("add", "sub", "mul", "div", "pow", "neg", "abs", "sqrt", "select", "maximum", "minimum", "literal")
WIDENED = frozenset((*ARITHMETIC, "reshape", "expand", "transpose", "cast", "sum", "mean"))
"""Operations before a total that are computed in double precision too: sums of squares cancel."""

LAST = frozenset(("softmax", "log_softmax", "logsumexp", "normalise"))
"""Operations along the last dim."""


class NotInPartsError(ValueError):
    """The figure cannot be had from totals of batches; the text says why, in the user's words."""


@dataclass(frozen=True)
class InParts:
    """A figure as totals of a batch, and as what becomes of them."""

    totals: tuple[tuple[Fold, Value], ...]
    """f64, on the tape of the figure: how those of two batches become one, and that of this batch."""
    figure: Value
    folds: dict[str, tuple[int, ...]]
    """For each value that is a fold: which totals it is made of."""

    @property
    def mean(self) -> Value | None:
        """What the figure is the mean of, where it is simply one."""
        node = self.figure.tape.node(self.figure)
        folded = node is not None and node.op == "mean" and self.figure.name in self.folds
        return self.figure.tape.values[node.inputs[0]] if node and folded and not self.figure.type.rank else None

    def write(self, tape: Tape, name: str, role: Role) -> None:
        """The formula, on a tape of its own, in double precision: inputs `NAME.1`, `NAME.2`, …, output `NAME`."""
        fed = [
            tape.input(f"{name}.{number}", value.type, role) for number, (_, value) in enumerate(self.totals, start=1)
        ]
        tape.output(name, _Formula(self, tape, fed).of(self.figure).cast("f64"), role)


def in_parts(figure: Value, ends: Collection[str]) -> InParts | None:
    """The parts of a single number; None where it does not depend on the rows at all.

    ends: names of values (the net's results) that are taken as one thing a row. Raises ``NotInPartsError``.
    """
    rows = _Rows(figure.tape, ends)
    if figure.name not in rows.depending:
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
    while waiting:
        value = waiting.pop()
        node = rows.nodes.get(value.name)
        if value.name not in rows.depending and not _known_now(rows, value):
            found[value.name] = (total("max", value.cast("f64")),)  # the same in each batch
            continue
        assert node is not None
        folds = rows.folds(node)
        if folds is not None:
            for name in node.inputs:
                rows.require_apart(name)
            found[value.name] = tuple(total(fold, each) for fold, each in folds)
            continue
        fresh = [name for name in dict.fromkeys(node.inputs) if name not in seen]
        seen.update(fresh)
        waiting.extend(figure.tape.values[name] for name in reversed(fresh))
    return InParts(tuple(values), figure, found)


def require_apart(value: Value, ends: Collection[str]) -> None:
    """Raises ``NotInPartsError`` where one row's number depends on the other rows of its batch."""
    _Rows(value.tape, ends).require_apart(value.name)


def _wide(type: Type) -> bool:
    """Whether it has the rows of the batch among its dims."""
    return any(BATCH in names_in(dim) for dim in type.dims)


class _Rows:
    """What depends on the rows of the batch, and how."""

    def __init__(self, tape: Tape, ends: Collection[str]) -> None:
        self.tape = tape
        self.ends = ends
        self.nodes = {node.name: node for node in tape.nodes}
        self.depending = {fed.name for fed in tape.inputs if _wide(fed.type)}
        for node in tape.nodes:
            sized = node.op == "size" and BATCH in names_in(self._dim(node))
            if sized or _wide(node.type) or not self.depending.isdisjoint(node.inputs):
                self.depending.add(node.name)
        self._widened: dict[str, Value] = {}

    @staticmethod
    def _dim(node: Node) -> int | str:
        dim = node.attributes["dim"]
        assert isinstance(dim, int | str)
        return dim

    def type(self, name: str) -> Type:
        return self.tape.values[name].type

    def folds(self, node: Node) -> list[tuple[Fold, Value]] | None:
        """The totals that a fold over the rows is made of; None for what is computed from totals."""
        if node.op == "size":
            if names_in(self._dim(node)).count(BATCH) != 1:
                raise NotInPartsError("the number of pairs of rows is no total")
            return [("sum", self.tape.size(self._dim(node), "f64"))]
        wide = [name for name in node.inputs if _wide(self.type(name))]
        if not wide:
            return None
        x = self.tape.values[wide[0]]
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
            case "matmul":
                return [("sum", self.tape.values[node.name].cast("f64"))]
        raise NotInPartsError(f"`{node.op}` over the rows cannot be put together from batches")

    def require_apart(self, name: str) -> None:
        """Each row's number is its own."""
        waiting, seen = [name], {name}
        while waiting:
            value = waiting.pop()
            node = self.nodes.get(value)
            if node is None or value in self.ends or value not in self.depending:
                continue
            self._check(node)
            fresh = [each for each in node.inputs if each not in seen]
            seen.update(fresh)
            waiting.extend(fresh)

    def _check(self, node: Node) -> None:
        if sum(names_in(dim).count(BATCH) for dim in node.type.dims) > 1:
            raise NotInPartsError("it compares the rows in pairs")
        if any(n in self.depending and not _wide(self.type(n)) for n in node.inputs):
            raise NotInPartsError("a row is measured by a figure of all rows, known only after the last one")
        first = self.type(node.inputs[0]) if node.inputs else None
        along = node.op in LAST and first is not None and BATCH in names_in(first.dims[-1])
        moved = node.op == "gather" and first is not None and _wide(first)
        if along or moved or (node.op == "iota" and _wide(node.type)):
            raise NotInPartsError(f"`{node.op}` along the rows looks at more than one of them")

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
        inputs = [self.of(self.parts.figure.tape.values[name]) for name in node.inputs]
        if node.op == "cast":
            return inputs[0].cast(dtype)
        return self.tape.add(node.op, *inputs, **_double(node))
