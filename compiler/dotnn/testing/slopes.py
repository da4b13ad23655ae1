"""The gradient of a whole spec, number by number, against finite differences: what `nn check --gradients` does.

The loss of the spec's own net is computed in float64 on the first rows of its own data, with the weights that its
initialisers give, each moved a little, so that none stands at a bend by its author's choice (a row of zeros before a
`relu`). What `stop` holds fixed, and `cut` in a scan, is held fixed for the differences too.

For the number w of a weight the difference is (L(w + h) - L(w - h)) / 2h, with h = 1e-6 max(1, |w|).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dotnn.arrays import Array
from dotnn.compiler import compiled
from dotnn.differentiate import GRADIENT
from dotnn.feeds import NUMPY
from dotnn.graph import Graph, Input, Output
from dotnn.job import Job, Text
from dotnn.operation import lookup
from dotnn.plugins.backend import Arrays
from dotnn.program import Program
from dotnn.recipes import RECIPES
from dotnn.scans.bodies import written_out
from dotnn.simplify import simplify
from dotnn.testing.battery import NOISE, RTOL, STEP, WrongGradientError, cases_of, check_gradient
from dotnn.testing.numbers import exact, reference
from dotnn_grammar.problems import Problem

ROWS = 8
"""Rows of the data that the loss is computed on."""
NUMBERS = 12
"""Numbers of each weight that are moved by themselves: the four steepest, and others drawn by chance."""
STEEPEST = 4


class NotTheDerivative(Problem):
    code = "K002"
    title = (
        "the gradient of `{train}` is not the derivative of its loss: by `{weight}`, {place}, it says {says}, "
        "and finite differences say {measured}"
    )
    help = "{cause}"
    train: str
    weight: str
    place: str
    says: str
    measured: str
    cause: str


class CutInside(Problem):
    code = "K003"
    title = (
        "the gradient of `{train}` is cut inside a scan whose length each batch decides, and so cannot be checked: "
        "finite differences know nothing of a cut"
    )
    help = "take the `cut` (or `stop`) out while you check"
    train: str


class NoSlope(Problem):
    code = "K001"
    title = "the loss of `{train}` on its first {rows} rows is {loss}, and so has no gradient to be checked"
    help = "`nn train` names the operation where such a number begins"
    train: str
    rows: int
    loss: str


@dataclass(frozen=True, slots=True)
class Slope:
    """The loss by one number of a weight, or by all of them at once along a random direction (``at`` is None)."""

    at: tuple[int, ...] | None
    says: float
    """The gradient."""
    measured: float
    """The finite difference."""
    off: float
    """How far they are apart, relative to the larger, or to 0.001 of the loss where both are smaller."""
    bend: bool = False
    """The loss has no derivative here: to one side it rises otherwise than to the other, and the gradient lies
    between."""

    @property
    def ok(self) -> bool:
        return self.bend or self.off <= RTOL


@dataclass(frozen=True, slots=True)
class WeightSlopes:
    """What was compared of one weight, the worst first."""

    name: str
    shape: tuple[int, ...]
    slopes: tuple[Slope, ...]

    @property
    def worst(self) -> Slope:
        return self.slopes[0]

    @property
    def bends(self) -> int:
        """How many of them stood at a bend, where there is nothing to compare with."""
        return sum(slope.bend for slope in self.slopes)

    @property
    def ok(self) -> bool:
        return all(slope.ok for slope in self.slopes)


@dataclass(frozen=True, slots=True)
class SpecSlopes:
    """The gradients of one train block."""

    train: str
    rows: int
    loss: float
    weights: tuple[WeightSlopes, ...]
    wrong_operations: tuple[str, ...] = ()
    """Where something is off: the operations of the spec whose rules are wrong by themselves."""

    @property
    def ok(self) -> bool:
        return all(weight.ok for weight in self.weights)

    @property
    def worst(self) -> WeightSlopes:
        """The weight whose worst number is worst of all."""
        return max(self.weights, key=lambda weight: (not weight.ok, not weight.worst.bend, weight.worst.off))

    def require(self) -> None:
        """Raises ``ProblemError`` (K002) where a gradient is not the derivative."""
        if self.ok:
            return
        cause = "each operation of it is right by itself: this is a bug of ours; please report it, with the spec"
        if self.wrong_operations:
            names = ", ".join(f"`{name}`" for name in self.wrong_operations)
            first = self.wrong_operations[0]
            cause = (
                f"the rule of {names} is wrong by itself: `dotnn.testing.check_op({first!r})` shows the smallest case"
            )
        slope = self.worst.worst
        raise NotTheDerivative(
            train=self.train,
            weight=self.worst.name,
            place="along a line" if slope.at is None else f"at {list(slope.at)}",
            says=f"{slope.says:.9g}",
            measured=f"{slope.measured:.9g}",
            cause=cause,
        ).error()


def check_slopes(path: Path, settings: Mapping[str, str] = {}, train: str | None = None) -> SpecSlopes:
    """The gradients of a train block of a spec, by its name or the first. Raises ``ProblemError``."""
    text = Text.read(path)
    with text.placed():
        program, dataset = compiled(Job.of(text, train, settings), "differentiate")
    rows = dataset.splits["train"].arrays
    few = max(1, min(program.plan.batch, ROWS))
    return slopes_of(program, {name: array[:few] for name, array in rows.items()})


def slopes_of(program: Program, rows: Arrays, seed: int | None = None) -> SpecSlopes:
    """The same for a program as it is after `differentiate`. rows: of every raw column.

    Raises ``ProblemError`` where the loss is no finite number (K001), or a cut cannot be followed (K003).
    """
    graph = _stops_in_sight(program.graphs["train"], program.name)
    start = program.plan.seed if seed is None else seed
    chance = np.random.default_rng((start, 1))
    state = exact(simplify(program.graphs["init"]), {"seed": np.array(start)})
    given: dict[str, Array] = {"step": np.array(0), **state, **rows}
    for fed in graph.inputs:
        if fed.name not in given:  # what `accumulate` adds up: nothing yet
            given[fed.name] = np.zeros([int(dim) for dim in fed.type.dims], NUMPY[fed.type.dtype])
    feeds = {fed.name: _fed(fed, given[fed.name], chance) for fed in graph.inputs}
    here = exact(graph, feeds)
    outputs = {output.name for output in graph.outputs}
    names = [output.name for output in graph.outputs if output.role == "loss" and output.name.endswith("loss")]
    loss, count = sum(float(here[name]) for name in names), max((len(array) for array in rows.values()), default=0)
    if not np.isfinite(loss):
        raise NoSlope(train=program.name, rows=count, loss=str(loss)).error()
    weights: list[WeightSlopes] = []
    for name in names:  # of each step, where several take turns
        turn = name.removesuffix("loss")
        forward, held = _held(graph, feeds, name)
        measure = _Measure(forward, {**feeds, **held}, float(here[name]), name)
        by = {fed.name: f"{turn}{GRADIENT}{fed.name}" for fed in graph.inputs}
        own = [_weight(path, here[slope], measure, chance) for path, slope in by.items() if slope in outputs]
        weights += [replace(each, name=f"{each.name} by {name}") for each in own] if turn else own
    fine = all(weight.ok for weight in weights)
    return SpecSlopes(program.name, count, loss, tuple(weights), () if fine else tuple(wrong_operations(graph)))


def _stops_in_sight(graph: Graph, train: str) -> Graph:
    """The graph with scans written out where a step of theirs stops a gradient: what is stopped is then held."""
    if not _stops_inside(graph):
        return graph
    graph = written_out(graph, most=sys.maxsize)
    if _stops_inside(graph):
        raise CutInside(train=train).error()
    return graph


def _stops_inside(graph: Graph) -> bool:
    bodies = [body for node in graph.nodes if isinstance(body := node.attributes.get("body"), Graph)]
    return any(node.op == "stop" for body in bodies for node in body.nodes) or any(map(_stops_inside, bodies))


def _fed(fed: Input, array: Array, chance: np.random.Generator) -> Array:
    """What is fed: of a weight, numbers in float64, each moved by up to a tenth of itself and a hundredth."""
    if not fed.learned:
        return array
    wide = array.astype(np.float64)
    return wide * (1 + 0.1 * chance.uniform(-1, 1, array.shape)) + 0.01 * chance.uniform(-1, 1, array.shape)


def _held(graph: Graph, feeds: Arrays, name: str) -> tuple[Graph, Arrays]:
    """One loss alone, with the results of `stop` as inputs; and what these are."""
    stopped = {node.name: node.type for node in graph.nodes if node.op == "stop"}
    needed = {graph.output(name).value}
    nodes = []
    for node in reversed(graph.nodes):
        if node.name in needed and node.name not in stopped:
            nodes.append(node)
            needed |= set(node.inputs)
    loss = graph.model_copy(
        update={
            "inputs": (*graph.inputs, *(Input(name=n, type=t, role="data") for n, t in stopped.items() if n in needed)),
            "nodes": tuple(reversed(nodes)),
            "outputs": (graph.output(name),),
        }
    )
    names = [name for name in stopped if name in needed]
    if not names:
        return loss, {}
    asked = graph.model_copy(update={"outputs": tuple(Output(name=n, value=n, role="output") for n in names)})
    return loss, exact(asked, feeds)


class _Measure:
    """The loss as a function of one weight, all else as it is."""

    def __init__(self, graph: Graph, feeds: Arrays, loss: float, name: str) -> None:
        self._run, self._feeds, self.loss, self._name = reference(float64=True)(graph), feeds, loss, name

    def weight(self, name: str) -> Array:
        return self._feeds[name]

    def slope(self, name: str, direction: Array, step: float, at: tuple[int, ...] | None, says: float) -> Slope:
        """Along a direction of the weight, per unit of it."""
        x = self.weight(name)
        above, below = (
            float(self._run.run({**self._feeds, name: x + side * step * direction})[self._name]) for side in (1, -1)
        )
        measured, least = (above - below) / (2 * step), max(1.0, abs(self.loss)) * NOISE / RTOL
        off = abs(measured - says) / max(abs(measured), abs(says), least)
        if not off <= RTOL:  # not a number is off too
            low, high = sorted(((self.loss - below) / step, (above - self.loss) / step))
            slack = RTOL * max(abs(low), abs(high), least)
            return Slope(at, says, measured, off, bend=high - low > slack and low - slack <= says <= high + slack)
        return Slope(at, says, measured, off)


def _weight(name: str, gradient: Array, measure: _Measure, chance: np.random.Generator) -> WeightSlopes:
    x = measure.weight(name)
    flat = np.abs(gradient).reshape(-1)
    steepest = np.argsort(-flat, kind="stable")[:STEEPEST].tolist()
    drawn = chance.permutation(flat.size)[:NUMBERS].tolist()
    slopes = []
    for number in list(dict.fromkeys([*steepest, *drawn]))[:NUMBERS]:
        at = tuple(int(i) for i in np.unravel_index(number, x.shape))
        one = np.zeros(x.shape)
        one[at] = 1.0
        slopes.append(measure.slope(name, one, STEP * max(1.0, abs(float(x[at]))), at, float(gradient[at])))
    if x.size > NUMBERS:
        along = chance.uniform(0.5, 1.5, x.shape) * chance.choice([-1.0, 1.0], x.shape)
        along /= np.sqrt(x.size)
        slopes.append(measure.slope(name, along, STEP, None, float(np.sum(gradient * along))))
    slopes.sort(key=lambda slope: (slope.ok, slope.bend, -slope.off))
    return WeightSlopes(name, tuple(x.shape), tuple(slopes))


def wrong_operations(graph: Graph) -> Iterator[str]:
    """Operations of a graph whose gradient rule is not the derivative, each seen by itself."""
    for op in dict.fromkeys(node.op for node in graph.nodes):
        if lookup(op).gradient is None or not RECIPES.get(op):
            continue
        try:
            for case in cases_of(op, each=6):
                check_gradient(case, exact)
        except WrongGradientError:
            yield op


__all__ = ["NUMBERS", "ROWS", "NoSlope", "Slope", "SpecSlopes", "WeightSlopes", "check_slopes", "slopes_of"]
