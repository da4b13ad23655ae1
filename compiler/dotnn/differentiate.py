"""Reverse mode: the gradient of a value by others, written on the same tape in the same operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dotnn.graph import Graph
from dotnn.operation import broadcast, lookup
from dotnn.tape import Tape, Value

GRADIENT = "gradient:"
"""Before the name of a weight: the output that is the loss's gradient by it."""


def differentiate(graph: Graph, scaled: Callable[[Value], Value] = lambda loss: loss) -> Graph:
    """The graph with one more output for each learned weight: the gradient of its `loss`, under `gradient:NAME`.

    scaled: makes of the loss what is differentiated.
    """
    tape = Tape.of(graph)
    loss = scaled(tape.values[graph.output("loss").value])
    learned = [tape.values[fed.name] for fed in graph.inputs if fed.learned]
    for weight, gradient in zip(learned, gradients(loss, learned), strict=True):
        tape.output(GRADIENT + weight.name, gradient, "output")
    return tape.graph()


def gradients(loss: Value, by: Sequence[Value]) -> list[Value]:
    """For each value in ``by``: d loss / d value, with the value's own dims; zeros where loss does not depend on it.

    ``loss`` is a real number without dims. The tape may hold gradients already: a second derivative is a gradient of
    one.
    """
    tape = loss.tape
    nodes = list(tape.nodes)
    depends = {value.name for value in by}
    for node in nodes:
        if node.type.is_float and lookup(node.op).gradient and not depends.isdisjoint(node.inputs):
            depends.add(node.name)

    flows: dict[str, Value] = {loss.name: tape.literal(1, loss.dtype)}
    for node in reversed(nodes):
        if node.name not in flows or node.name not in depends:
            continue
        rule = lookup(node.op).gradient
        if rule is None:
            continue
        inputs = [tape.values[name] for name in node.inputs]
        with tape.at(node.at):
            before = len(tape.nodes)
            back = rule(flows[node.name], tape.values[node.name], *inputs, **node.attributes)
            wanted = [(v, flow) for v, flow in zip(inputs, back, strict=True) if flow and v.name in depends]
            tape.forget(before, [flow for _, flow in wanted])  # a rule gives the flow to every input
            for value, flow in wanted:
                flow = unbroadcast(flow, value)
                flows[value.name] = flows[value.name] + flow if value.name in flows else flow
    return [flows[v.name] if v.name in flows else tape.fill(0, v.type) for v in by]


def unbroadcast(flow: Value, like: Value) -> Value:
    """What flows back through broadcasting: the sum over each dim that was stretched, and back to ``like``'s dims."""
    flow = flow.expand(broadcast(flow.dims, like.dims))
    if flow.dims == like.dims:
        return flow
    extra = flow.type.rank - like.type.rank
    stretched = [i for i, d in enumerate(flow.dims) if i < extra or (like.dims[i - extra] == 1 and d != 1)]
    return flow.sum(stretched, keep=True).reshape(like.dims)
