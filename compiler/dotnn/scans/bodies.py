"""Passes inside of scans: what is done to a graph is done to the bodies of its scans too."""

from __future__ import annotations

from collections.abc import Callable

from dotnn.graph import Dim, Graph, Node, Output
from dotnn.ops.scan import Result, result_of, together
from dotnn.scans.steps import Steps
from dotnn.tape import Tape, Value


def written_out(graph: Graph, most: int, spared: Callable[[Node], bool] = lambda node: False) -> Graph:
    """The graph with its scans of up to ``most`` steps written out, step after step, but for those that are spared."""
    return over_bodies(graph, lambda body: written_out(body, most), lambda node: None if spared(node) else most)


def over_bodies(
    graph: Graph, change: Callable[[Graph], Graph], most: Callable[[Node], int | None] = lambda node: None
) -> Graph:
    """The graph with ``change`` made to what each of its scans does in a step.

    A body comes with an output `next.N` for what it carries on and one for each value that is asked of all steps, and
    must come back with these. What nobody needs of it is left out, and what turns out to wait for no step is done
    before the scan.
    """
    groups: dict[object, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "scan":
            groups.setdefault(together(node), []).append(node)
    if not groups:
        return graph
    tape = Tape(graph.name)
    for fed in graph.inputs:
        tape.inputs.append(fed)
        tape.values[fed.name] = Value(tape, fed.name, fed.type)
    known = dict(tape.values)
    for node in graph.nodes:
        if node.name in known:
            continue
        inputs = [known[name] for name in node.inputs]
        with tape.at(node.at):
            if node.op != "scan":
                known[node.name] = tape.add(node.op, *inputs, **node.attributes)
                continue
            group = groups[together(node)]
            results = [result_of(other.attributes) for other in group]
            made = _again(tape, node, inputs, results, change, most(node))
            known |= {other.name: made[result_of(other.attributes)] for other in group}
    for output in graph.outputs:
        tape.output(output.name, known[output.value], output.role)
    return tape.graph()


def _again(
    tape: Tape,
    node: Node,
    inputs: list[Value],
    results: list[Result],
    change: Callable[[Graph], Graph],
    most: int | None,
) -> dict[Result, Value]:
    """The results of a scan with another body."""
    body, count, length = _facts(node)
    kept = _kept(body, count, results)
    ends = [Output(name=f"next.{n}", value=body.output(f"next.{n}").value, role="output") for n in kept]
    asked = dict.fromkeys(name for name, final in results if not final)
    named = {name: f"all.{number}" for number, name in enumerate(asked)}
    wanted = [Output(name=named[name], value=name, role="output") for name in asked]
    changed = change(_needed(body, (*ends, *wanted)))

    steps = Steps(tape, length, bool(node.attributes["back"]), most)
    known: dict[str, Value] = {}
    used = {name for one in changed.nodes for name in one.inputs} | {output.value for output in changed.outputs}
    scanned = len([fed for fed in body.inputs if fed.name.startswith("slice.")])
    for number, (fed, outer) in enumerate(zip(body.inputs, inputs, strict=True)):
        if number in kept:
            known[fed.name] = steps.carry(outer)
        elif number >= count and fed.name in used:
            known[fed.name] = steps.slice(outer) if number < count + scanned else steps.given(outer)
    for one in changed.nodes:
        with steps.tape.at(one.at):
            known[one.name] = steps.tape.add(one.op, *(known[name] for name in one.inputs), **one.attributes)
    for place, number in enumerate(kept):
        steps.carried[place].next = known[changed.output(f"next.{number}").value]
    found: dict[Result, Value] = {
        (name, False): steps.sequence(known[changed.output(output).value]) for name, output in named.items()
    }
    places = {f"carried.{number}": place for place, number in enumerate(kept)}
    return found | {(name, True): steps.final(places[name]) for name, final in results if final}


def _needed(body: Graph, outputs: tuple[Output, ...]) -> Graph:
    """The body with these outputs, without operations that none of them needs."""
    names, nodes = {output.value for output in outputs}, list[Node]()
    for node in reversed(body.nodes):
        if node.name in names:
            names.update(node.inputs)
            nodes.append(node)
    return body.model_copy(update={"nodes": tuple(reversed(nodes)), "outputs": outputs})


def _facts(node: Node) -> tuple[Graph, int, Dim]:
    body, count, length = node.attributes["body"], node.attributes["carried"], node.attributes["dim"]
    assert isinstance(body, Graph)
    assert isinstance(count, int)
    assert isinstance(length, int | str)
    return body, count, length


def _kept(body: Graph, count: int, results: list[Result]) -> list[int]:
    """Which of the carried values these results need."""
    makers = {node.name: node for node in body.nodes}
    nexts = {f"carried.{number}": body.output(f"next.{number}").value for number in range(count)}
    needed: set[str] = set()
    todo = [name for name, _ in results]
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in makers:
            todo.extend(makers[name].inputs)
        elif name in nexts:
            todo.append(nexts[name])
    return [number for number in range(count) if f"carried.{number}" in needed]
