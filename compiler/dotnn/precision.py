"""Precision: `precision bf16` rounds what is multiplied in matrix products, of the net and of its gradient.

The products are added in f32, and everything else stays f32: weights, what the optimizer remembers, losses, statistics.
A number is rounded once, where it is made, and moved about afterwards: so a weight is rounded once for the net and its
gradient together.
"""

from __future__ import annotations

from dotnn.graph import Dtype, Graph
from dotnn.operation import lookup
from dotnn.scans.bodies import over_bodies
from dotnn.tape import Tape, Value

MOVES = ("transpose", "reshape", "expand")
"""Operations that leave each number as it is."""


def rounded(graph: Graph, dtype: Dtype) -> Graph:
    """The graph with the operands of its products rounded to ``dtype``: `f32` leaves it as it is."""
    if dtype == "f32":
        return graph
    graph = over_bodies(graph, lambda body: rounded(body, dtype))
    tape = Tape(graph.name)
    for fed in graph.inputs:
        with tape.at(fed.at):
            tape.input(fed.name, fed.type, fed.role, fed.learned)
    made = dict(tape.values)
    for node in graph.nodes:
        operands = [made[name] for name in node.inputs]
        with tape.at(node.at):
            if node.type.dtype == "f32" and lookup(node.op).narrows:
                operands = [_narrow(tape, value, dtype) if value.dtype == "f32" else value for value in operands]
            made[node.name] = tape.add(node.op, *operands, **node.attributes)
    for output in graph.outputs:
        tape.output(output.name, made[output.value], output.role)
    return tape.graph()


def _narrow(tape: Tape, value: Value, dtype: Dtype) -> Value:
    maker = tape.node(value)
    if maker is not None and maker.op in MOVES:
        return tape.add(maker.op, _narrow(tape, tape.values[maker.inputs[0]], dtype), **maker.attributes)
    return tape.add("narrow", value, dtype=dtype)
