"""Writes one ONNX graph: nodes under names that lead back to the spec, shared constants, sizes and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import onnx
from dotnn.arrays import Array
from dotnn.feeds import NUMPY
from dotnn.graph import At, Dim, Dtype, Graph, Node, Output, Type
from dotnn_onnx.view import View
from onnx import TensorProto, helper, numpy_helper

Speller = Callable[[View, Node], "Spelt"]
"""Says how a node is written: ``fuse.spell``, or that of a dialect which builds on it."""

OPSET = 21
"""From 22 on, stock builds lose kernels on CUDA (MaxPool, Elu, …) and on CPU (Random*)."""

IR_VERSION = 10

ELEMENT: dict[Dtype, int] = {
    "bool": TensorProto.BOOL,
    "u8": TensorProto.UINT8,
    "i32": TensorProto.INT32,
    "i64": TensorProto.INT64,
    "u64": TensorProto.UINT64,
    "f16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "f32": TensorProto.FLOAT,
    "f64": TensorProto.DOUBLE,
}


if TYPE_CHECKING:
    from dotnn_onnx.fuse import Spelt


def numpy_dtype(dtype: Dtype) -> np.dtype[Any]:
    """NumPy's type of these numbers, bf16 included."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(ELEMENT[dtype]))


class Writer:
    """An ONNX graph while it is being written, one operation of ours after the other."""

    def __init__(self, graph: Graph, view: View, target: str, spell: Speller) -> None:
        self.graph = graph
        self.view = view
        self.target = target
        self.spell = spell
        self.bodies: list[Writer] = []
        """Of graphs inside this one."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: dict[str, str] = {fed.name: fed.name for fed in graph.inputs}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken = {fed.name for fed in graph.inputs}
        self._sizes: dict[Dim, str] = {}
        self._shared: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._renamed: dict[str, str] = {}
        self._handed_back = {output.name for output in graph.outputs}
        for output in graph.outputs:
            self._renamed.setdefault(output.value, output.name)
        self._at: At | None = None
        self._op = graph.name
        self._value = graph.name
        self._inner = 0

    @property
    def value(self) -> str:
        """The graph's value that is being spelt."""
        return self._value

    def write(self) -> None:
        """All operations in order, each in its best spelling, and the outputs."""
        spelt = {node.name: self.spell(self.view, node) for node in self.graph.nodes}
        alive = {output.value for output in self.graph.outputs}
        for node in reversed(self.graph.nodes):
            if node.name in alive:
                alive.update(spelt[node.name].reads)  # what a fused node passes over is not made
        for node in self.graph.nodes:
            if node.name in alive:
                self.begin(node)
                spelt[node.name].write(self)
        for output in self.graph.outputs:
            self.finish(output)

    def begin(self, node: Node) -> None:
        """What is written from now on spells this operation."""
        self._at, self._op, self._value, self._inner = node.at, node.op, node.name, 0

    # ---- values

    def __getitem__(self, value: str) -> str:
        """The ONNX name of one of the graph's values."""
        return self._names[value]

    def alias(self, value: str, name: str) -> None:
        """The graph's ``value`` is what is called ``name`` already: nothing to write."""
        self._names[value] = name

    def emit(self, op: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Writes one ONNX node with one output and returns its name. ``to``: the graph's value that it makes."""
        return self.emit_many(op, inputs, (to,), **attributes)[0]

    def emit_many(
        self, op: str, inputs: Sequence[str], to: Sequence[str | None], domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Writes one ONNX node with several outputs."""
        outputs = tuple(self._fresh(value) for value in to)
        ordered = {name: value for name, value in sorted(attributes.items()) if value is not None}
        self.nodes.append(
            helper.make_node(op, inputs, outputs, name=self._node_name(op), domain=domain or None, **ordered)
        )
        return outputs

    def share(self, key: tuple[Any, ...], *made: str) -> None:
        """Remembers what a node made, for other operations that want the same."""
        self._shared[key] = made

    def shared(self, key: tuple[Any, ...]) -> tuple[str, ...] | None:
        return self._shared.get(key)

    def _fresh(self, value: str | None) -> str:
        if value is None:
            self._inner += 1
            name = f"{self._value}~{self._inner}"
        else:
            own = f"{value}~" if value in self._handed_back else value
            name = self._names[value] = self._renamed.get(value, own)
        while name in self._taken:
            name += "~"
        if value is not None:
            self._names[value] = name
        self._taken.add(name)
        return name

    def _node_name(self, op: str) -> str:
        where = str(self._at) if self._at else self.graph.name
        return f"{where} {self._op}.{op}#{len(self.nodes)}"

    def finish(self, output: Output) -> None:
        """Hands a value back under the name of ``output``."""
        made = self._names[output.value]
        if made == output.name:
            return
        if output.name in self._taken:
            raise ValueError(f"graph {self.graph.name}: the name {output.name} is used for two values")
        self._at, self._op = None, "output"
        self._taken.add(output.name)
        self.nodes.append(helper.make_node("Identity", [made], [output.name], name=self._node_name("Identity")))

    # ---- constants

    def constant(self, array: Array, name: str | None = None) -> str:
        """An initializer; the same numbers are kept once."""
        array = np.asarray(array)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            title = name or _title(array)
            while title in self._taken:
                title += "~"
            self._taken.add(title)
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), title))
            self._constants[key] = title
        return self._constants[key]

    def tensor(self, array: Array) -> onnx.TensorProto:
        """Numbers as an attribute."""
        return numpy_helper.from_array(array)

    def number(self, value: float, dtype: Dtype) -> str:
        """A constant without dims. Whole numbers wrap modulo 2^64 where that is their type's way."""
        return self.constant(np.array(value, dtype=numpy_dtype(dtype)))

    def numbers(self, values: Sequence[int]) -> str:
        """A constant i64[n]: axes, a shape."""
        return self.constant(np.array(values, dtype=np.int64))

    def cast(self, name: str, dtype: Dtype, to: str | None = None) -> str:
        output = self._fresh(to)
        made = helper.make_node("Cast", [name], [output], name=self._node_name("Cast"), to=ELEMENT[dtype])
        self.nodes.append(made)
        return output

    def read(self) -> set[str]:
        """The names that nodes read, those of graphs inside this one too."""
        return {name for node in self.nodes for name in node.input}.union(*(body.read() for body in self.bodies))

    def used_initializers(self) -> list[onnx.TensorProto]:
        """The constants that some node reads: a fused node may have passed over one."""
        read = self.read()
        return [constant for constant in self.initializers if constant.name in read]

    # ---- sizes

    def size(self, dim: Dim) -> str:
        """A size as i64 without dims."""
        if isinstance(dim, int):
            return self.number(dim, "i64")
        if dim not in self._sizes:
            factors = dim.split("*")
            name = self._named_size(dim) if len(factors) == 1 else self._product(factors)
            self._sizes[dim] = name
        return self._sizes[dim]

    def _product(self, factors: Sequence[str]) -> str:
        sizes = [self.size(int(f) if f.isdigit() else f) for f in factors]
        product = sizes[0]
        for size in sizes[1:]:
            product = self.emit("Mul", product, size)
        return product

    def _named_size(self, dim: str) -> str:
        value, axis = self.view.holder(dim, known=self._names)
        measured = self.emit("Shape", self[value], start=axis, end=axis + 1)
        return self.emit("Reshape", measured, self.numbers(()))

    def shape(self, dims: Sequence[Dim]) -> str:
        """Sizes as i64[rank]: a constant where all are numbers."""
        if all(isinstance(d, int) for d in dims):
            return self.numbers([int(d) for d in dims])
        column = self.numbers([1])
        parts = [self.numbers([d]) if isinstance(d, int) else self.emit("Reshape", self.size(d), column) for d in dims]
        return parts[0] if len(parts) == 1 else self.emit("Concat", *parts, axis=0)

    def reshape(self, name: str, have: Sequence[Dim], want: Sequence[Dim], to: str | None = None) -> str:
        """The same numbers under other dims: a constant shape where one says all, else a computed one."""
        # In ONNX 0 copies the size at the same position and -1 is what is left over.
        plain = [d if isinstance(d, int) else 0 if tuple(have[i : i + 1]) == (d,) else -1 for i, d in enumerate(want)]
        if 0 not in want and plain.count(-1) <= 1:
            return self.emit("Reshape", name, self.numbers(plain), to=to)
        return self.emit("Reshape", name, self.shape(want), to=to, allowzero=1)


def _title(array: Array) -> str:
    kind = {v: k for k, v in NUMPY.items()}.get(array.dtype.name, array.dtype.name)
    inside = ", ".join(str(v) for v in array.reshape(-1)[:8]) + (", …" if array.size > 8 else "")
    return f"{kind}({inside})" if array.ndim == 0 else f"{kind}{list(array.shape)}({inside})"


def tensor_info(name: str, type: Type) -> onnx.ValueInfoProto:
    """What the graph says about an input or output: names stand for sizes that are not known yet."""
    return helper.make_tensor_value_info(name, ELEMENT[type.dtype], list(type.dims))
