"""What an operation is: its type rule, its gradient, its cost."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotnn.graph import Dim, Type

if TYPE_CHECKING:
    from dotnn.tape import Value

Gradients = Sequence["Value | None"]

EVERY = range(sys.maxsize)
"""Every input, however many there are."""


class MisfitError(ValueError):
    """The inputs' types do not suit an operation; the text says why, in the user's words, and ``way`` what to do."""

    def __init__(self, why: str, way: str = "") -> None:
        super().__init__(why)
        self.way = way


@dataclass(frozen=True)
class Operation:
    """One primitive operation.

    infer: the inputs' types and the attributes -> the type of the result. Raises ``MisfitError``.
    gradient: ``(g, y, *inputs, **attributes)`` -> for each input what flows back to it: g is the gradient of the
        result y. It may still be broadcast (``differentiate.py`` undoes that in one place); None where nothing flows.
        None as a whole: no gradient passes this operation.
    cost: the inputs' types and the result's -> how many numbers are computed for one row of the batch, where that is
        not one for each number of the result.
    narrows: with `precision bf16` or `f16` its operands are rounded to that type: it is a sum of many products.
    jointly: where several operations are one run with several results: ``(flows, inputs, wanted, **attributes)`` -> for
        each input what flows back to it, of all results together. flows: by the result, its gradient; wanted: which
        inputs it is asked for.
    linear: with each of these inputs, the others held, the result changes linearly (the adjoint identity is checked).
    """

    name: str
    infer: Callable[..., Type]
    gradient: Callable[..., Gradients] | None = None
    cost: Callable[..., int] | None = None
    linear: Container[int] = ()
    narrows: bool = False
    jointly: Callable[..., Gradients] | None = None
    doc: str = ""

    def __call__(self, *inputs: Value, **attributes: Any) -> Value:
        return inputs[0].tape.add(self.name, *inputs, **attributes)

    def work(self, result: Type, *inputs: Type) -> int:
        """Numbers computed for one row of the batch."""
        return self.cost(result, *inputs) if self.cost else elements(result)


_operations: dict[str, Operation] = {}


def register(operation: Operation) -> Operation:
    """Adds an operation to the vocabulary. Raises ValueError when the name is taken."""
    if operation.name in _operations:
        raise ValueError(f"operation {operation.name} is registered twice")
    _operations[operation.name] = operation
    return operation


def lookup(name: str) -> Operation:
    """The operation of that name. Raises KeyError where there is none, ProblemError where a plugin's is broken."""
    if name not in _operations and name not in _all():
        importlib.import_module("dotnn.plugins").bring(name)  # a floor above: the door knows who brings it
    return _operations[name]


def known(name: str) -> bool:
    """There is such an operation, ours or a plugin's. Raises ProblemError where a plugin's is broken."""
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def operations() -> Iterator[Operation]:
    """Every operation there is, in the order in which the families register them."""
    yield from _all().values()


def _all() -> dict[str, Operation]:
    importlib.import_module("dotnn.ops")  # the families register themselves when they are imported
    return _operations


def attributes_of(infer: Callable[..., Any]) -> tuple[str, ...]:
    """The attributes that a type rule takes: its parameters after `*`."""
    parameters = inspect.signature(infer).parameters.values()
    return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


def elements(type: Type) -> int:
    """Numbers in a value, with every size that is not known yet taken as 1 (so: for one row of the batch)."""
    return math.prod(d if isinstance(d, int) else _numbers(d) for d in type.dims)


def _numbers(dim: str) -> int:
    return math.prod(int(f) for f in dim.split("*") if f.isdigit())


def broadcast(*shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The dims of an elementwise result, as NumPy aligns them: from the last, 1 stretches."""
    rank = max((len(s) for s in shapes), default=0)
    dims: list[Dim] = []
    for position in range(-rank, 0):
        present = [s[position] for s in shapes if len(s) >= -position]
        wide = list(dict.fromkeys(d for d in present if d != 1))
        if len(wide) > 1:
            listed = " and ".join(str(list(s)).replace("'", "") for s in shapes)
            way = "two sizes go together where they are equal or one of them is 1; dims of one name meet each other"
            raise MisfitError(f"sizes {listed} do not fit together: {wide[0]} against {wide[1]}", way)
        dims.append(wide[0] if wide else 1)
    return tuple(dims)


def shape_text(dims: Sequence[Dim]) -> str:
    """`[b, 3, 8]`."""
    return "[" + ", ".join(str(d) for d in dims) + "]"
