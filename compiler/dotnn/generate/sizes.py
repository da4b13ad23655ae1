"""A graph in which a size that each batch decides is a number: the window of a text that is being written."""

from __future__ import annotations

from typing import Any

from dotnn.feeds import SIZES
from dotnn.graph import Attribute, Dim, Graph, Input, Type, multiply, names_in
from dotnn.tape import Tape


def settled(graph: Graph, name: str, number: int) -> Graph:
    """The graph with ``number`` in the place of the size ``name``."""
    tape = Tape(graph.name)
    for fed in graph.inputs:
        tape.inputs.append(Input(**{**dict(fed), "type": _type(fed.type, name, number)}))
    made = Tape.of(Graph(name=graph.name, inputs=tuple(tape.inputs), nodes=(), outputs=()))
    known = dict(made.values)
    for node in graph.nodes:
        attributes = {k: _attribute(v, name, number) if k in SIZES else v for k, v in node.attributes.items()}
        with made.at(node.at):
            if node.op == "size" and isinstance(attributes["dim"], int):
                known[node.name] = made.literal(attributes["dim"], node.type.dtype)
            else:
                known[node.name] = made.add(node.op, *(known[x] for x in node.inputs), **attributes)
    for output in graph.outputs:
        made.output(output.name, known[output.value], output.role)
    return made.graph()


def _type(type: Type, name: str, number: int) -> Type:
    return type.shaped(_dim(dim, name, number) for dim in type.dims)


def _dim(dim: Dim, name: str, number: int) -> Dim:
    if isinstance(dim, int) or name not in names_in(dim):
        return dim
    return multiply(number if factor == name else factor for factor in dim.split("*"))


def _attribute(value: Attribute, name: str, number: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_dim(v, name, number) if isinstance(v, str) else v for v in value)
    return _dim(value, name, number) if isinstance(value, str) else value
