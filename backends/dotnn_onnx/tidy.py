"""Before lowering: repeats that broadcasting makes needless are dropped."""

from __future__ import annotations

from dotnn.graph import Graph, Node, Type
from dotnn.operation import lookup

_ARITHMETIC = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "mod")
_LOGIC = ("eq", "ne", "lt", "le", "gt", "ge", "and", "or")
BROADCASTING = frozenset((*_ARITHMETIC, *_LOGIC, "select", "expand"))
"""Operations that stretch a size of 1 by themselves."""


def drop_expands(graph: Graph) -> Graph:
    """The graph without each `expand` whose readers all broadcast, and come to the same type without it."""
    types: dict[str, Type] = graph.types()
    users = graph.users()
    handed_back = {output.value for output in graph.outputs}
    instead: dict[str, str] = {}

    def resolved(node: Node) -> tuple[str, ...]:
        return tuple(instead.get(name, name) for name in node.inputs)

    def stays(node: Node, expand: Node) -> bool:
        if node.op not in BROADCASTING:
            return False
        fed = [expand.inputs[0] if name == expand.name else name for name in node.inputs]
        without = [types[instead.get(name, name)] for name in fed]
        return lookup(node.op).infer(*without, **node.attributes) == node.type

    for node in graph.nodes:
        if node.op != "expand" or node.name in handed_back:
            continue
        if all(stays(user, node) for user in users.get(node.name, ())):
            instead[node.name] = instead.get(node.inputs[0], node.inputs[0])
    kept = [node for node in graph.nodes if node.name not in instead]
    return graph.model_copy(
        update={"nodes": tuple(node.model_copy(update={"inputs": resolved(node)}) for node in kept)}
    )
