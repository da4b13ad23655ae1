"""Join: the train graphs of several turns become one, in which each sees what the turns before it have moved.

What two turns compute alike is computed once. `step` counts the batches (the large ones, where `accumulate` makes
them): it and the generator's key are the same for all turns of a batch, and so are the draws that they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dotnn.graph import Graph, Output, Role
from dotnn.tape import Tape, Value
from dotnn.updates.gather import BATCHES
from dotnn.updates.turns import STEP, Turn

SHARED = (STEP, BATCHES)
"""States that go on by one whatever the turns do."""

APART = ("loss", "loss.total", "loss.count", "norm", "rate", "places")
"""Outputs that each turn has of its own."""


def joined(made: Sequence[tuple[Turn, Graph]]) -> Graph:
    """The graphs one after another; the only one as it is."""
    if len(made) == 1 and not made[0][0].name:
        return made[0][1]
    tape = Tape(made[0][1].name)
    current: dict[str, Value] = {}
    """By the name of a state: what it is after the turns so far."""
    after: dict[str, Value] = {}
    """The same of the shared ones, at the end."""
    finite: list[Value] = []
    learned = {fed.name for _, graph in made for fed in graph.inputs if fed.learned}
    named: list[tuple[str, Value, Role]] = []
    for turn, graph in made:
        values: dict[str, Value] = {}
        for fed in graph.inputs:
            if fed.name not in tape.values:
                with tape.at(fed.at):
                    tape.input(fed.name, fed.type, fed.role, learned=fed.name in learned)
            values[fed.name] = current.get(fed.name, tape.values[fed.name])
        for node in graph.nodes:
            with tape.at(node.at):
                values[node.name] = tape.add(node.op, *(values[name] for name in node.inputs), **node.attributes)
        for output in graph.outputs:
            value, state = values[output.value], output.name.removesuffix(".next")
            if output.role == "state" and output.name.endswith(".next"):
                if state in SHARED:
                    after[state] = value
                elif output.value != state:
                    current[state] = value
            elif output.role == "finite":
                finite.append(value)
            else:
                apart = output.name in APART or output.name.startswith("gradient:")
                named.append((turn.own(output.name) if apart else output.name, value, output.role))
    for name, value, role in named:
        tape.output(name, value, role)
    states = [fed.name for fed in tape.inputs if fed.role == "state"]
    if any(o.name.endswith(".next") for _, graph in made for o in graph.outputs):
        for name in states:
            tape.output(f"{name}.next", (current | after).get(name, tape.values[name]), "state")
    if finite:
        whole = finite[0]
        for one in finite[1:]:
            whole = tape.add("and", whole, one)
        tape.output("finite", whole, "finite")
    return tape.graph()


def with_key(step: Graph, others: Iterable[Graph]) -> Graph:
    """The train graph, which hands on the generator's key where another graph draws and it does not."""
    keys = [fed for graph in others for fed in graph.inputs if fed.name == "key" and fed.role == "state"]
    if not keys or any(fed.name == "key" for fed in step.inputs):
        return step
    handed = Output(name="key.next", value="key", role="state")
    return step.model_copy(update={"inputs": (*step.inputs, keys[0]), "outputs": (*step.outputs, handed)})
