"""Writes a graph inside the graph: what a scan does in one step.

It sees all that is written around it by its name there; sizes and constants are written there, once.
"""

from __future__ import annotations

import onnx
from dotnn.graph import Dim, Graph, Output, Type
from dotnn_onnx.view import View
from dotnn_onnx.writer import Array, Writer, tensor_info


class Inside(Writer):
    """As ``Writer``, for a body. Names begin with that of the operation whose body it is."""

    def __init__(self, around: Writer, graph: Graph) -> None:
        self._around = around
        self._prefix = f"{around.value}/"
        outputs = tuple(
            Output(name=self._prefix + output.name, value=output.value, role=output.role) for output in graph.outputs
        )
        named = graph.model_copy(update={"name": self._prefix, "outputs": outputs})
        super().__init__(named, View(named), around.target, around.spell)
        self._names = {}
        self._taken = around._taken

    def take(self, name: str) -> str:
        """Makes room for an input."""
        return self._own(name)

    def info(self, name: str, type: Type) -> onnx.ValueInfoProto:
        return tensor_info(self[name], type)

    def handed(self, name: str, type: Type) -> onnx.ValueInfoProto:
        """What is handed back under this name of the body's."""
        return tensor_info(self._prefix + name, type)

    def constant(self, array: Array, name: str | None = None) -> str:
        return self._around.constant(array, name)

    def size(self, dim: Dim) -> str:
        return self._around.size(dim)

    def read(self) -> set[str]:
        return super().read() | set(self._names.values())  # what is handed out as it came in is read too

    def _fresh(self, value: str | None) -> str:
        return super()._fresh(value) if value is None or value in self._renamed else self._own(value)

    def _own(self, value: str) -> str:
        name = self._prefix + value
        while name in self._taken:
            name += "~"
        self._names[value] = name
        self._taken.add(name)
        return name

    def _node_name(self, op: str) -> str:
        return f"{super()._node_name(op)} in {self._prefix}"
