"""Graph: the net, its gradient and its update as values and operations in order (static single assignment).

A graph is data: frozen, written as JSON and read back. Graphs are made with a ``Tape`` (``tape.py``); what each
operation means stands beside its name in ``ops/``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Literal, TypeAlias, Union

from pydantic import BaseModel, ConfigDict

from dotnn_grammar.source import Span

FORMAT = 1

Dtype = Literal["bool", "u8", "i32", "i64", "u64", "f16", "bf16", "f32", "f64"]

Dim = int | str
"""A size: a number, or a name that stands for one that is known when the graph runs (`b`), or a product (`8*b`)."""

Attribute: TypeAlias = Union[bool, int, float, str, tuple[int | float | str, ...], "Graph"]
"""What an operation is told beside its inputs; a graph is what it does in one step (``ops/scan.py``)."""

Role = Literal[
    "state", "data", "label", "weight", "seed", "loss", "error", "metric", "finite", "rate", "norm", "output",
    "cache", "position", "generated",
]  # fmt: skip

FLOATS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("u8", "i32", "i64", "u64")


def multiply(dims: Iterable[Dim]) -> Dim:
    """The product of sizes, in one canonical form: ``multiply(["b", 8, 2]) == "16*b"``."""
    number = 1
    names: list[str] = []
    for dim in dims:
        for factor in [dim] if isinstance(dim, int) else dim.split("*"):
            if isinstance(factor, int) or factor.isdigit():
                number *= int(factor)
            else:
                names.append(factor)
    if not names or number == 0:
        return number
    return "*".join(([str(number)] if number != 1 else []) + sorted(names))


def divide(dim: Dim, by: Dim) -> Dim | None:
    """The size that times ``by`` is ``dim``; None where there is none: ``divide("16*b", 8) == "2*b"``."""
    number, names = _factors(dim)
    divisor, others = _factors(by)
    for name in others:
        if name not in names:
            return None
        names.remove(name)
    return multiply([number // divisor, *names]) if divisor and number % divisor == 0 else None


def _factors(dim: Dim) -> tuple[int, list[str]]:
    """A size as a number times names."""
    if isinstance(dim, int):
        return dim, []
    parts = dim.split("*")
    return math.prod(int(f) for f in parts if f.isdigit()), [f for f in parts if not f.isdigit()]


def measure(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The size as a number, its names looked up in ``sizes``."""
    if isinstance(dim, int):
        return dim
    return math.prod(int(f) if f.isdigit() else sizes[f] for f in dim.split("*"))


def names_in(dim: Dim) -> list[str]:
    """The names that a size is made of: none for a number."""
    return [] if isinstance(dim, int) else [f for f in dim.split("*") if not f.isdigit()]


class Type(BaseModel):
    """What a value is: its numbers' type and its sizes. ``f32[b, 10]``."""

    model_config = ConfigDict(frozen=True)

    dtype: Dtype
    dims: tuple[Dim, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(str(d) for d in self.dims)}]"

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def size(self) -> Dim:
        """How many numbers."""
        return multiply(self.dims)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    def of(self, dtype: Dtype) -> Type:
        return Type(dtype=dtype, dims=self.dims)

    def shaped(self, dims: Iterable[Dim]) -> Type:
        return Type(dtype=self.dtype, dims=tuple(dims))


class At(BaseModel):
    """Where in the spec something came from: file, line, the words on it, and the part of the net (`Digits.hidden`).

    The words are those from ``column`` up to but without ``end_column`` of line ``end_line``, all counted from 1.
    Without an end only the line is known.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    column: int = 1
    end_line: int | None = None
    end_column: int | None = None
    part: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" {self.part}" if self.part else "")

    @property
    def span(self) -> Span:
        """The same for a problem."""
        end_line, end_column = self.end_line or self.line, self.end_column or self.column
        return Span(file=self.file, line=self.line, column=self.column, end_line=end_line, end_column=end_column)


class Input(BaseModel):
    """A value that is fed: a state tensor, a column of the batch, a seed. ``learned``: a weight that has a gradient."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: Type
    role: Role
    learned: bool = False
    at: At | None = None


class Node(BaseModel):
    """``name = op(inputs; attributes)``, one value each."""

    model_config = ConfigDict(frozen=True)

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Attribute] = {}
    type: Type
    at: At | None = None

    def __str__(self) -> str:
        words = [*self.inputs, *(f"{k}={show(v)}" for k, v in self.attributes.items())]
        where = f"  # {self.at}" if self.at else ""
        return f"{self.name}: {self.type} = {self.op}({', '.join(words)}){where}"


class Output(BaseModel):
    """A value that is handed back under a name."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: str
    role: Role


class Graph(BaseModel):
    """Inputs, operations in an order in which they can run, outputs."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    format: Literal[1] = 1
    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]

    def __str__(self) -> str:
        """One line an operation: the form of the golden tests."""
        return "\n".join([*self._lines(), *(line for body in self.bodies() for line in ["", *body._lines()])]) + "\n"

    def _lines(self) -> list[str]:
        head = [f"graph {self.name}"]
        fed = [f"  input {i.name}: {i.type} {i.role}{' learned' if i.learned else ''}" for i in self.inputs]
        body = [f"  {node}" for node in self.nodes]
        back = [f"  output {o.name} = {o.value} {o.role}" for o in self.outputs]
        return head + fed + body + back

    def bodies(self) -> list[Graph]:
        """What its scans do in one step, those inside of them too; each once, called by its mark."""
        found: dict[str, Graph] = {}
        for node in self.nodes:
            body = node.attributes.get("body")
            if isinstance(body, Graph) and body.mark not in found:
                found[body.mark] = body.model_copy(update={"name": body.mark})
                found |= {inner.name: inner for inner in body.bodies()}
        return list(found.values())

    @property
    def mark(self) -> str:
        """A short word for it: the same for equal graphs."""
        parts, known = (self.name, self.inputs, self.nodes, self.outputs), self.__dict__.get("_mark")
        if known is None or any(a is not b for a, b in zip(known[0], parts, strict=True)):  # a copy has its own
            known = self.__dict__["_mark"] = (parts, sha256(self.model_dump_json().encode()).hexdigest()[:8])
        return str(known[1])

    def types(self) -> dict[str, Type]:
        """The type of every value by its name."""
        return {fed.name: fed.type for fed in self.inputs} | {node.name: node.type for node in self.nodes}

    def output(self, name: str) -> Output:
        return next(o for o in self.outputs if o.name == name)

    def states(self) -> Iterator[tuple[Input, Output]]:
        """Each state tensor with its successor, `NAME` and `NAME.next`."""
        after = {o.name: o for o in self.outputs}
        for fed in self.inputs:
            if fed.role == "state" and f"{fed.name}.next" in after:
                yield fed, after[f"{fed.name}.next"]

    def users(self) -> dict[str, list[Node]]:
        """The operations that read each value."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                users.setdefault(name, []).append(node)
        return users


Node.model_rebuild()
Graph.model_rebuild()


def show(value: Attribute) -> str:
    """An attribute as one line of a graph has it."""
    if isinstance(value, Graph):
        return value.mark
    if isinstance(value, tuple):
        return "[" + ", ".join(str(v) for v in value) + "]"
    return str(value)


def dump(model: BaseModel) -> str:
    """The one JSON form of a spec or graph: two spaces, ends in a newline."""
    return model.model_dump_json(indent=2) + "\n"


def describe(model: type[BaseModel]) -> dict[str, Any]:
    """The published JSON schema of a spec or graph."""
    return model.model_json_schema()
