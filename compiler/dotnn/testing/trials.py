"""A `try:` line above an optimizer, a schedule or an initialiser, made into graphs and run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.differentiate import differentiate
from dotnn.elaborate.calls import run
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine, PhaseName
from dotnn.elaborate.values import Known, plain
from dotnn.graph import Graph, Type
from dotnn.read import read_definitions, read_text
from dotnn.simplify import simplify
from dotnn.spec import Definition
from dotnn.squares import derive_key
from dotnn.tape import Tape
from dotnn.testing.lines import Try, items
from dotnn.testing.numbers import Start, reference
from dotnn.testing.report import FailedError
from dotnn.testing.tried import SEED, Fed, Made, drawn
from dotnn.update import slots, update
from dotnn.updates.turns import Turn, turns_of
from dotnn_grammar.source import Source

STEPS = 100
"""Of an optimizer, and of a schedule that does not say."""
SEEN = (1, 2, 10, STEPS)
"""The steps after which weights are compared."""
EPOCH = 10
"""Steps."""
ROW = "row"
"""What makes a batch of one row, for a schedule that asks how many there are: a 0 that is added to the loss."""
SHAPES = ((6, 4), (4,))
"""Of the weights that an optimizer moves, where it does not say."""

OWN = """
optimizer plain(lr)(w, g) { w = w - lr*g }
function start_of()(shape) { return fill(0, shape) }
"""


def _shapes(given: str) -> tuple[tuple[int, ...], ...]:
    """`[6, 4], [4]`"""
    found = []
    for item in items(given):
        if not re.fullmatch(r"\[\s*(\d+\s*(,\s*\d+\s*)*)?\]", item):
            raise FailedError(f"after `for` stand sizes here, as in [6, 4]: `{item}`")
        found.append(tuple(int(size) for size in re.findall(r"\d+", item)))
    return tuple(found)


@dataclass(frozen=True)
class Steps:
    """Steps of training on gradients that are fixed, so that an optimizer or a schedule alone is seen."""

    tried: Try
    shapes: tuple[tuple[int, ...], ...]
    optimizer: str
    steps: int = STEPS
    own: tuple[Definition, ...] = ()

    @classmethod
    def of_optimizer(cls, tried: Try, own: Sequence[Definition] = ()) -> Steps:
        return cls(tried, _shapes(tried.given) or SHAPES, tried.expression, STEPS, tuple(own))

    @classmethod
    def of_schedule(cls, tried: Try, own: Sequence[Definition] = ()) -> Steps:
        said = re.fullmatch(r"(\d+) steps", tried.given or f"{STEPS} steps")
        if said is None:
            raise FailedError(
                f"after `for` stands how long the schedule is tried: `for 100 steps`, not `{tried.given}`"
            )
        return cls(tried, ((2,),), f"plain(lr = {tried.expression})", int(said[1]), tuple(own))

    @cached_property
    def first(self) -> list[Array]:
        return [self._fed(i, "w").draw("first", {}) for i in range(len(self.shapes))]

    @cached_property
    def flows(self) -> list[list[Array]]:
        """For each step a gradient for each weight."""
        count = len(self.shapes)
        return [[self._fed(i, "g").draw(f"step {step}", {}) for i in range(count)] for step in range(self.steps)]

    def _fed(self, number: int, letter: str) -> Fed:
        return Fed(f"{letter}{number}", Type(dtype="f32", dims=self.shapes[number]))

    @cached_property
    def graphs(self) -> tuple[Graph, Graph]:
        """init and train."""
        own = (*read_definitions(Source(name="own", text=OWN)), *self.own)
        gradients = ", ".join(f"g{i}: {list(shape)}" for i, shape in enumerate(self.shapes))
        weights = "; ".join(f"weight w{i}: {list(shape)} ~ start_of()" for i, shape in enumerate(self.shapes))
        total = " + ".join(f"sum(w{i} * g{i})" for i in range(len(self.shapes)))
        text = f"net Tried({gradients}, {ROW}: [b]) {{ {weights}; return {total} + sum({ROW}) }}\n"
        text += (
            f"train Tried on slopes {{\n loss made\n optimizer {self.optimizer}\n batch 1\n steps {self.steps}\n}}\n"
        )
        spec = read_text(Source(name="try", text=text))
        train = spec.trains[0]
        init = self._machine("init", own, spec.definitions[0])
        turn = turns_of(train)[0]
        slots(init, [(turn, set(init.weights))])
        return init.tape.graph(), self._step(self._machine("train", own, spec.definitions[0]), turn)

    def _step(self, machine: Machine, turn: Turn) -> Graph:
        return update(differentiate(machine.tape.graph()), machine, turn, self.steps, EPOCH)

    def _machine(self, phase: PhaseName, own: Sequence[Definition], net: Definition) -> Machine:
        machine = Machine(Tape(phase), phase, Library(own))
        given: list[Any] = []
        for i, shape in enumerate(self.shapes):
            given.append((None, plain(machine.tape.input(f"g{i}", Type(dtype="f32", dims=shape), "data")), net))
        given.append((None, plain(machine.tape.input(ROW, Type(dtype="f32", dims=("b",)), "data")), net))
        frame = Frame(machine, USER, "")
        made = run(frame, Known(net, USER), {}, machine.instance(net.name, net, USER), given, net)
        if phase == "train":
            machine.tape.output("loss", made.value, "loss")
        return machine

    def run(self, start: Start, float64: bool) -> Made:
        """The weights after the steps of ``SEEN``, and the rate at each step."""
        init, step = self.graphs
        wide = np.float64 if float64 else np.float32
        zeros = {fed.name: np.zeros([d if isinstance(d, int) else 1 for d in fed.type.dims]) for fed in init.inputs}
        state: dict[str, Array] = dict(reference(float64)(init).run(zeros))
        state |= {f"Tried.w{i}": array.astype(wide) for i, array in enumerate(self.first)}
        step = step if float64 else simplify(step)
        session = start(step).train(state)
        made: Made = {}
        found = []
        for number, flows in enumerate(self.flows, 1):
            fed = {f"g{i}": flow.astype(wide) for i, flow in enumerate(flows)} | {ROW: np.zeros(1, wide)}
            found.append(float(session.step(fed)["rate"]))
            if number in SEEN:
                made |= seen(number, [session.state()[f"Tried.w{i}"] for i in range(len(self.shapes))])
        return made | {"rates": np.array(found)}


def seen(step: int, weights: Sequence[Array]) -> Made:
    """The weights after a step, by what they are called in messages."""
    return {f"step {step} w{i}": weight for i, weight in enumerate(weights)}


@dataclass(frozen=True)
class Beginning:
    """What an initialiser gives for a shape."""

    tried: Try
    shape: tuple[int, ...]
    own: tuple[Definition, ...] = ()

    @classmethod
    def of(cls, tried: Try, own: Sequence[Definition] = ()) -> Beginning:
        shapes = _shapes(tried.given)
        if len(shapes) != 1:
            raise FailedError("an initialiser is tried for one shape: `for [16, 8]`")
        return cls(tried, shapes[0], tuple(own))

    @cached_property
    def graph(self) -> Graph:
        text = f"net Tried() {{ weight W: {list(self.shape)} ~ {self.tried.expression}\n return W }}"
        net = read_definitions(Source(name="try", text=text))[0]
        machine = Machine(Tape("init"), "init", Library(self.own))
        run(Frame(machine, USER, ""), Known(net, USER), {}, machine.instance(net.name, net, USER), [], net)
        return machine.tape.graph()

    def run(self, start: Start, float64: bool) -> Made:
        graph = self.graph if float64 else simplify(self.graph)
        return {"result": start(graph).run({fed.name: np.asarray(SEED) for fed in graph.inputs})["Tried.W"]}

    def facts(self) -> dict[str, Any]:
        """What a formula may name."""
        fans = self.shape or (1,)
        return {
            "shape": self.shape,
            "fan_in": int(np.prod(fans[:-1])) if len(fans) > 1 else fans[0],
            "fan_out": fans[-1],
            "drawn": drawn(self.graph, derive_key(SEED), 0, {}),
        }
