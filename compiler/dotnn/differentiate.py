"""Reverse mode: the gradient of a value by others, written on the same tape in the same operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dotnn.graph import Graph, Node
from dotnn.operation import broadcast, lookup
from dotnn.ops.scan import result_of, together
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
    flows = flowing({loss.name: tape.literal(1, loss.dtype)}, tape, by)
    return [tape.fill(0, v.type) if flow is None else flow for v, flow in zip(by, flows, strict=True)]


def flowing(seeds: Mapping[str, Value], tape: Tape, by: Sequence[Value]) -> list[Value | None]:
    """What flows back to each value in ``by`` from what flows into these values of the tape; None: nothing."""
    nodes = list(tape.nodes)
    depends = {value.name for value in by}
    for node in nodes:
        if node.type.is_float and lookup(node.op).gradient and not depends.isdisjoint(node.inputs):
            depends.add(node.name)
    runs = _runs(nodes)

    flows: dict[str, Value] = dict(seeds)
    for node in reversed(nodes):
        operation = lookup(node.op)
        rule = operation.gradient
        if rule is None or (operation.jointly and node.name not in runs):
            continue
        if not any(n.name in flows and n.name in depends for n in runs.get(node.name, [node])):
            continue
        inputs = [tape.values[name] for name in node.inputs]
        with tape.at(node.at):
            before = len(tape.nodes)
            run = [n for n in runs.get(node.name, [node]) if n.name in flows]
            if len(run) == 1:
                back = rule(flows[run[0].name], tape.values[run[0].name], *inputs, **run[0].attributes)
            else:
                assert operation.jointly is not None
                seen = {result_of(n.attributes): flows[n.name] for n in run}
                back = operation.jointly(seen, inputs, [v.name in depends for v in inputs], **node.attributes)
            wanted = [(v, flow) for v, flow in zip(inputs, back, strict=True) if flow and v.name in depends]
            tape.forget(before, [flow for _, flow in wanted])  # a rule gives the flow to every input
            for value, flow in wanted:
                flow = unbroadcast(flow, value)
                flows[value.name] = flows[value.name] + flow if value.name in flows else flow
    return [flows.get(v.name) for v in by]


def _runs(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """By the name of the first of them: operations that are one run with several results."""
    groups: dict[object, list[Node]] = {}
    for node in nodes:
        if lookup(node.op).jointly:
            groups.setdefault(together(node), []).append(node)
    return {group[0].name: group for group in groups.values()}


def reaches(outer: Value, inner: Value) -> bool:
    """Whether a gradient flows from the one back to the other."""
    depends = {inner.name}
    for node in outer.tape.nodes:
        if node.type.is_float and lookup(node.op).gradient and not depends.isdisjoint(node.inputs):
            depends.add(node.name)
    return outer.name in depends


def unbroadcast(flow: Value, like: Value) -> Value:
    """What flows back through broadcasting: the sum over each dim that was stretched, and back to ``like``'s dims."""
    flow = flow.expand(broadcast(flow.dims, like.dims))
    if flow.dims == like.dims:
        return flow
    extra = flow.type.rank - like.type.rank
    stretched = [i for i, d in enumerate(flow.dims) if i < extra or (like.dims[i - extra] == 1 and d != 1)]
    return flow.sum(stretched, keep=True).reshape(like.dims)
