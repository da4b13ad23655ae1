"""Join: the train graphs of several turns become one, in which each sees what the turns before it have moved.

What two turns compute alike is computed once. `step` counts the batches (the large ones, where `accumulate` makes
them): it and the generator's key are the same for all turns of a batch, and so are the draws that they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce

from dotnn.graph import Graph, Input, Output, Role
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
    learned = frozenset(fed.name for _, graph in made for fed in graph.inputs if fed.learned)
    joining = _Joining(Tape(made[0][1].name), learned)
    for turn, graph in made:
        joining.add(turn, graph)
    moves = any(output.name.endswith(".next") for _, graph in made for output in graph.outputs)
    return joining.whole(moves)


@dataclass
class _Joining:
    """The one graph, while the turns are put into it."""

    tape: Tape
    learned: frozenset[str]
    current: dict[str, Value] = field(default_factory=dict)
    """By the name of a state: what it is after the turns so far."""
    after: dict[str, Value] = field(default_factory=dict)
    """The same of the shared ones, at the end."""
    finite: list[Value] = field(default_factory=list)
    named: list[tuple[str, Value, Role]] = field(default_factory=list)

    def add(self, turn: Turn, graph: Graph) -> None:
        """A turn's graph, which sees the states as the turns before it left them."""
        values = {fed.name: self._fed(fed) for fed in graph.inputs}
        for node in graph.nodes:
            with self.tape.at(node.at):
                values[node.name] = self.tape.add(node.op, *(values[name] for name in node.inputs), **node.attributes)
        for output in graph.outputs:
            self._give(turn, output, values[output.value])

    def _fed(self, fed: Input) -> Value:
        if fed.name not in self.tape.values:
            with self.tape.at(fed.at):
                self.tape.input(fed.name, fed.type, fed.role, learned=fed.name in self.learned)
        return self.current.get(fed.name, self.tape.values[fed.name])

    def _give(self, turn: Turn, output: Output, value: Value) -> None:
        state = output.name.removesuffix(".next")
        if output.role == "finite":
            self.finite.append(value)
        elif output.role != "state" or state == output.name:
            apart = output.name in APART or output.name.startswith("gradient:")
            self.named.append((turn.own(output.name) if apart else output.name, value, output.role))
        elif state in SHARED:
            self.after[state] = value
        elif output.value != state:
            self.current[state] = value

    def whole(self, moves: bool) -> Graph:
        """What the turns have come to. moves: whether they have optimizers already."""
        tape = self.tape
        for name, value, role in self.named:
            tape.output(name, value, role)
        for name in [fed.name for fed in tape.inputs if fed.role == "state"] if moves else ():
            tape.output(f"{name}.next", (self.current | self.after).get(name, tape.values[name]), "state")
        if self.finite:
            tape.output("finite", reduce(lambda one, other: tape.add("and", one, other), self.finite), "finite")
        return tape.graph()


def with_key(step: Graph, others: Iterable[Graph]) -> Graph:
    """The train graph, which hands on the generator's key where another graph draws and it does not."""
    keys = [fed for graph in others for fed in graph.inputs if fed.name == "key" and fed.role == "state"]
    if not keys or any(fed.name == "key" for fed in step.inputs):
        return step
    handed = Output(name="key.next", value="key", role="state")
    return step.model_copy(update={"inputs": (*step.inputs, keys[0]), "outputs": (*step.outputs, handed)})
