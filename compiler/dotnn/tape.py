"""A tape: a graph while it is being written. Values on it carry the arithmetic in which rules are written.

tape = Tape("step")
x = tape.input("x", Type(dtype="f32", dims=("b", 3)), "data")
y = tanh(x) * 2 + 1
tape.output("y", y, "output")
graph = tape.graph()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from dotnn.graph import FLOATS, At, Attribute, Dim, Dtype, Graph, Input, Node, Output, Role, Type
from dotnn.operation import lookup

Key = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]


class Value:
    """A value on a tape. Arithmetic with numbers and other values writes operations."""

    __slots__ = ("name", "tape", "type")

    def __init__(self, tape: Tape, name: str, type: Type) -> None:
        self.tape = tape
        self.name = name
        self.type = type

    def __repr__(self) -> str:
        return f"{self.name}: {self.type}"

    @property
    def dims(self) -> tuple[Dim, ...]:
        return self.type.dims

    @property
    def dtype(self) -> Dtype:
        return self.type.dtype

    def _with(self, op: str, other: Value | float, flipped: bool = False) -> Value:
        other = other if isinstance(other, Value) else self.tape.literal(other, self.dtype)
        return self.tape.add(op, *((other, self) if flipped else (self, other)))

    def __add__(self, other: Value | float) -> Value:
        return self._with("add", other)

    def __radd__(self, other: float) -> Value:
        return self._with("add", other, flipped=True)

    def __sub__(self, other: Value | float) -> Value:
        return self._with("sub", other)

    def __rsub__(self, other: float) -> Value:
        return self._with("sub", other, flipped=True)

    def __mul__(self, other: Value | float) -> Value:
        return self._with("mul", other)

    def __rmul__(self, other: float) -> Value:
        return self._with("mul", other, flipped=True)

    def __truediv__(self, other: Value | float) -> Value:
        return self._with("div", other)

    def __rtruediv__(self, other: float) -> Value:
        return self._with("div", other, flipped=True)

    def __pow__(self, other: Value | float) -> Value:
        return self._with("pow", other)

    def __matmul__(self, other: Value) -> Value:
        return self.tape.add("matmul", self, other)

    def __neg__(self) -> Value:
        return self.tape.add("neg", self)

    def __gt__(self, other: Value | float) -> Value:
        return self._with("gt", other)

    def __ge__(self, other: Value | float) -> Value:
        return self._with("ge", other)

    def __lt__(self, other: Value | float) -> Value:
        return self._with("lt", other)

    def __le__(self, other: Value | float) -> Value:
        return self._with("le", other)

    def cast(self, dtype: Dtype) -> Value:
        return self if dtype == self.dtype else self.tape.add("cast", self, dtype=dtype)

    def sum(self, axes: Iterable[int] | None = None, keep: bool = False) -> Value:
        return self._reduce("sum", axes, keep)

    def mean(self, axes: Iterable[int] | None = None, keep: bool = False) -> Value:
        return self._reduce("mean", axes, keep)

    def _reduce(self, op: str, axes: Iterable[int] | None, keep: bool) -> Value:
        chosen = tuple(range(self.type.rank)) if axes is None else tuple(sorted(axes))
        return self.tape.add(op, self, axes=chosen, keep=keep) if chosen else self

    def reshape(self, dims: Iterable[Dim]) -> Value:
        wanted = tuple(dims)
        return self if wanted == self.dims else self.tape.add("reshape", self, dims=wanted)

    def expand(self, dims: Iterable[Dim]) -> Value:
        """Repeated along dims of size 1 or missing in front, until it has these dims."""
        wanted = tuple(dims)
        return self if wanted == self.dims else self.tape.add("expand", self, dims=wanted)

    def transpose(self, order: Iterable[int]) -> Value:
        wanted = tuple(order)
        return self if wanted == tuple(range(self.type.rank)) else self.tape.add("transpose", self, order=wanted)

    @property
    def T(self) -> Value:
        """The last two dims swapped."""
        rank = self.type.rank
        return self.transpose((*range(rank - 2), rank - 1, rank - 2))


class Tape:
    """Writes a graph. The same operation on the same values is written once (every operation is pure)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[Input] = []
        self.nodes: list[Node] = []
        self.outputs: list[Output] = []
        self.values: dict[str, Value] = {}
        self._made: dict[str, Node] = {}
        self._written: dict[Key, Value] = {}
        self._at: At | None = None

    @classmethod
    def of(cls, graph: Graph) -> Tape:
        """A tape that holds ``graph`` already, to be written on."""
        tape = cls(graph.name)
        tape.inputs.extend(graph.inputs)
        tape.outputs.extend(graph.outputs)
        for fed in graph.inputs:
            tape.values[fed.name] = Value(tape, fed.name, fed.type)
        for node in graph.nodes:
            tape._append(node)
        return tape

    @contextmanager
    def at(self, place: At | None) -> Iterator[None]:
        """What is written inside came from this place."""
        before, self._at = self._at, place or self._at
        try:
            yield
        finally:
            self._at = before

    @property
    def place(self) -> At | None:
        return self._at

    def input(self, name: str, type: Type, role: Role, learned: bool = False) -> Value:
        self.inputs.append(Input(name=name, type=type, role=role, learned=learned, at=self._at))
        self.values[name] = Value(self, name, type)
        return self.values[name]

    def output(self, name: str, value: Value, role: Role) -> None:
        self.outputs.append(Output(name=name, value=value.name, role=role))

    def literal(self, value: float, dtype: Dtype = "f32") -> Value:
        number = float(value) if dtype in FLOATS else bool(value) if dtype == "bool" else int(value)
        return self.add("literal", value=number, dtype=dtype)

    def size(self, dim: Dim, dtype: Dtype = "f32") -> Value:
        """The size ``dim`` as a number in the graph."""
        return self.literal(dim, dtype) if isinstance(dim, int) else self.add("size", dim=dim, dtype=dtype)

    def fill(self, value: float, type: Type) -> Value:
        return self.literal(value, type.dtype).expand(type.dims)

    def add(self, op: str, *inputs: Value, **attributes: Attribute) -> Value:
        """Writes one operation. Raises ``MisfitError`` when the inputs' types do not suit it."""
        kind = lookup(op)
        names = tuple(value.name for value in inputs)
        key = _key(op, names, attributes)
        if key in self._written:
            return self._written[key]
        type = kind.infer(*(v.type for v in inputs), **attributes)
        number = len(self.nodes)
        while (name := f"{op}_{number}") in self.values:  # a graph that a pass made shorter, or an input of that name
            number += 1
        ordered = dict(sorted(attributes.items()))
        return self._append(Node(name=name, op=op, inputs=names, attributes=ordered, type=type, at=self._at), key)

    def node(self, value: Value) -> Node | None:
        """The operation that made a value; None for an input."""
        return self._made.get(value.name)

    def find(self, op: str, *inputs: Value, **attributes: Attribute) -> Value | None:
        """The value of this operation, where it is written already."""
        return self._written.get(_key(op, [v.name for v in inputs], attributes))

    def forget(self, since: int, needed: Iterable[Value]) -> None:
        """Takes away what was written after the first ``since`` operations and is not needed for these values."""
        names = {value.name for value in needed}
        kept: list[Node] = []
        for node in reversed(self.nodes[since:]):
            if node.name in names:
                names.update(node.inputs)
                kept.append(node)
            else:
                del self.values[node.name], self._made[node.name]
                del self._written[_key(node.op, node.inputs, node.attributes)]
        self.nodes[since:] = reversed(kept)

    def lift(self, since: int, of: Iterable[str]) -> list[Node]:
        """Takes away and gives what was written after the first ``since`` operations and depends on these values."""
        names, lifted, kept = set(of), list[Node](), list[Node]()
        for node in self.nodes[since:]:
            if names.isdisjoint(node.inputs):
                kept.append(node)
                continue
            names.add(node.name)
            lifted.append(node)
            del self.values[node.name], self._made[node.name]
            del self._written[_key(node.op, node.inputs, node.attributes)]
        self.nodes[since:] = kept
        return lifted

    def _append(self, node: Node, key: Key | None = None) -> Value:
        self.nodes.append(node)
        self._made[node.name] = node
        value = Value(self, node.name, node.type)
        self.values[node.name] = value
        self._written.setdefault(key or _key(node.op, node.inputs, node.attributes), value)
        return value

    def graph(self, name: str | None = None) -> Graph:
        return Graph(
            name=name or self.name, inputs=tuple(self.inputs), nodes=tuple(self.nodes), outputs=tuple(self.outputs)
        )


def _key(op: str, inputs: Iterable[str], attributes: Mapping[str, Attribute]) -> Key:
    return op, tuple(inputs), tuple((name, _text(value)) for name, value in sorted(attributes.items()))


def _text(value: Attribute) -> str:
    return value.mark if isinstance(value, Graph) else repr(value)
