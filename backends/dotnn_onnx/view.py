"""What a spelling rule may ask about the graph around a node."""

from __future__ import annotations

from collections.abc import Container, Mapping

from dotnn.graph import Graph, Node, Type


class View:
    """A graph with the answers that rules and patterns need: who makes a value, who reads it, what its type is."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.types: Mapping[str, Type] = graph.types()
        self.makers: Mapping[str, Node] = {node.name: node for node in graph.nodes}
        self._readers: dict[str, int] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self._readers[name] = self._readers.get(name, 0) + 1
        for output in graph.outputs:
            self._readers[output.value] = self._readers.get(output.value, 0) + 1

    def made_by(self, value: str, op: str) -> Node | None:
        """The node that makes ``value`` where it is an ``op``."""
        maker = self.makers.get(value)
        return maker if maker is not None and maker.op == op else None

    def only(self, value: str, op: str) -> Node | None:
        """As ``made_by``, where nothing else reads the value."""
        return self.made_by(value, op) if self._readers.get(value, 0) == 1 else None

    def number(self, value: str) -> float | int | bool | None:
        """The number that ``value`` always is: a literal, or one that was repeated or cast."""
        maker = self.makers.get(value)
        while maker is not None and maker.op in ("expand", "reshape"):
            maker = self.makers.get(maker.inputs[0])
        if maker is None or maker.op != "literal":
            return None
        found = maker.attributes["value"]
        assert isinstance(found, bool | int | float)
        return found

    def holder(self, dim: str, known: Container[str]) -> tuple[str, int]:
        """A value that has ``dim`` among its dims, and where: an input first, else one made before (``known``)."""
        for value, type in self.types.items():
            if dim in type.dims and value in known:
                return value, type.dims.index(dim)
        raise ValueError(f"graph {self.graph.name}: no value before this place has the size {dim}")
