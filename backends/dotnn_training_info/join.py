"""The net and its training step as one graph, for ONNX runs a step as the two of them one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dotnn.graph import Graph, Input, Node, Output

TRAINING = ".training"
"""Follows the name of a result of the step, where the net has a result of that name."""


def join(net: Graph, step: Graph) -> Graph:
    """The operations of ``net`` and then those of ``step`` that are not among them already.

    What the step computes as the net does, it takes from there. Inputs are the net's own, then what the step needs
    beside them. Results of the step keep their names, or have ``TRAINING`` behind them where the net's are called so.
    """
    names = {fed.name: fed.name for fed in step.inputs}
    taken = {*names, *(fed.name for fed in net.inputs), *(node.name for node in net.nodes)}
    made = {_key(node, node.inputs): node.name for node in net.nodes}
    nodes = list(net.nodes)
    for node in step.nodes:
        inputs = tuple(names[name] for name in node.inputs)
        key = _key(node, inputs)
        if key not in made:
            made[key] = _free(node.name, taken)
            nodes.append(node.model_copy(update={"name": made[key], "inputs": inputs}))
        names[node.name] = made[key]
    outputs = [
        Output(name=renamed, value=names[output.value], role=output.role)
        for output, renamed in zip(step.outputs, results(net, step).values(), strict=True)
    ]
    return Graph(
        name=step.name, inputs=_inputs(net.inputs, step.inputs), nodes=tuple(nodes), outputs=(*net.outputs, *outputs)
    )


def results(net: Graph, step: Graph) -> Mapping[str, str]:
    """For each result of the step the name that it has in the joined graph."""
    own = {output.name for output in net.outputs}
    return {o.name: f"{o.name}{TRAINING}" if o.name in own else o.name for o in step.outputs}


def _key(node: Node, inputs: tuple[str, ...]) -> tuple[str, tuple[str, ...], str]:
    return node.op, inputs, repr(sorted(node.attributes.items()))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _inputs(first: Iterable[Input], then: Iterable[Input]) -> tuple[Input, ...]:
    inputs = {fed.name: fed for fed in first}
    for fed in then:
        if fed.name in inputs and inputs[fed.name].type != fed.type:
            raise ValueError(f"{fed.name} is {inputs[fed.name].type} and {fed.type}")
        inputs.setdefault(fed.name, fed)
    return tuple(inputs.values())
