"""Writes a graph inside the graph: what a scan does in one step, or one of two ways to the same result.

It sees all that is written around it by its name there; sizes and constants are written there, once.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
from dotnn.arrays import Array
from dotnn.graph import Dim, Graph, Node, Output, Type
from dotnn_onnx.view import View
from dotnn_onnx.writer import Writer, tensor_info
from onnx import helper


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
        self._at, self._op = around._at, around._op

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


class Way(Inside):
    """One of two ways to a result: it speaks of the values around it by their own names, and shares what these have."""

    def shared(self, key: tuple[object, ...]) -> tuple[str, ...] | None:
        made = super().shared(key)
        return self._around.shared(key) if made is None else made


def either(w: Writer, node: Node, when: str, then: Callable[[Writer], str], other: Callable[[Writer], str]) -> None:
    """Writes the node in two ways, each a function that gives the name of the result: ``then`` runs where ``when`` is
    true, else ``other``."""
    ways = []
    for name, write in (("then", then), ("else", other)):
        inside = Way(w, Graph(name=name, inputs=(), nodes=(), outputs=()))
        w.bodies.append(inside)
        made = write(inside)
        ways.append(helper.make_graph(inside.nodes, name, [], [tensor_info(made, node.type)]))
    w.emit("If", when, to=node.name, then_branch=ways[0], else_branch=ways[1])
