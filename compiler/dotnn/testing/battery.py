"""The battery that every operation must pass, ours and a plugin's. It needs NumPy alone, and something that evaluates.

Each operation has recipes that draw small graphs of it. Where choices come from is up to the ``Draw``: a seed here,
Hypothesis in our own tests.

    for case in cases():  # every operation, many shapes
        check_gradient(case, evaluate)

``evaluate(graph, feeds)`` computes a graph in float64: the reference backend, say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.differentiate import gradients
from dotnn.graph import Graph, Type, measure
from dotnn.operation import Gradients, Operation, lookup, operations
from dotnn.recipes import RECIPES, Draw, Recipe
from dotnn.tape import Tape, Value

Evaluate = Callable[[Graph, Mapping[str, Array]], Mapping[str, Array]]

STEP = 1e-6
"""Of the finite differences."""
RTOL = 1e-5
"""How far a gradient may be from a finite difference, relative to both."""
NOISE = 1e-8
"""What rounding leaves of a finite difference, relative to the number: 2^-53 / STEP for each of a hundred roundings."""


@dataclass(frozen=True)
class Case:
    """One operation on drawn inputs ``x0, x1, …``; its result is the output ``y``. (Several, where ``op`` is empty.)"""

    op: str
    label: str
    graph: Graph
    feeds: dict[str, Array]
    smooth: bool = True
    """The operation has a derivative here, and no kink nearby: finite differences hold."""

    def __str__(self) -> str:
        return f"{self.op} ({self.label})\n{self.graph}"


class Seeded(Draw):
    """Choices from a seed: the same ones each time."""

    def __init__(self, *seed: int) -> None:
        super().__init__()
        self._generator = np.random.default_rng(seed)

    def whole(self, low: int, high: int) -> int:
        return int(self._generator.integers(low, high + 1))


def draw_case(op: str, recipe: Recipe, draw: Draw) -> Case:
    """A case from a recipe of the operation."""
    y = recipe.write(draw, lookup(op))
    draw.tape.output("y", y, "output")
    return Case(op, recipe.label, draw.tape.graph(op), draw.feeds, recipe.smooth)


def cases(seed: int = 0, each: int = 8) -> Iterator[Case]:
    """``each`` cases from every recipe of every operation. Raises ``MissingRecipeError`` for one that has none."""
    for operation in operations():
        yield from cases_of(operation.name, seed, each)


def cases_of(op: str, seed: int = 0, each: int = 8) -> Iterator[Case]:
    """``each`` cases from every recipe of this operation."""
    lookup(op)  # a plugin brings its recipes with it
    if op not in RECIPES:
        raise MissingRecipeError(
            f"operation {op} has no recipe: nothing says how to draw inputs for it (dotnn.recipes)"
        )
    for r, recipe in enumerate(RECIPES[op]):
        for i in range(each):
            yield draw_case(op, recipe, Seeded(seed, *op.encode(), r, i))


class MissingRecipeError(LookupError):
    """An operation that cannot be checked, since nothing says how to draw inputs for it."""


class WrongGradientError(AssertionError):
    """A gradient that is not the derivative."""


# ---- checks of one case


@dataclass(frozen=True)
class Slope:
    """A number computed from real inputs, with the gradient that the graph claims for each of them."""

    graph: Graph
    by: tuple[str, ...]
    feeds: dict[str, Array]


def check_gradient(case: Case, evaluate: Evaluate, seed: int = 0, step: float = STEP) -> int:
    """Compares what flows back to each real input with central differences of <y, g> along a random direction.

    Returns how many inputs were compared. Raises ``WrongGradientError``.
    """
    if not differentiable(case):
        return 0
    return _compare(case, _first(case, seed), evaluate, seed, step)


def check_second(case: Case, evaluate: Evaluate, seed: int = 0) -> int:
    """The same for the gradient of the gradient: <dy/dx g, r>, by every real input and by g.

    By x it is a Hessian-vector product, H r, beside the finite difference of the gradient.
    """
    if not differentiable(case):
        return 0
    first = _first(case, seed)
    tape = Tape.of(first.graph)
    flows = gradients(tape.values[first.graph.output("number").value], [tape.values[name] for name in first.by])
    return _compare(case, _slope(tape, flows, (*first.by, "g"), first.feeds, seed + 1), evaluate, seed)


def check_adjoint(case: Case, evaluate: Evaluate, seed: int = 0) -> int:
    """<J t, g> = <t, J'g> for each real input with which the result changes linearly: exact but for rounding.

    Returns how many inputs were compared. Raises ``WrongGradientError``.
    """
    if not differentiable(case):
        return 0
    linear = [i for i, name in enumerate(inputs_of(case)) if i in lookup(case.op).linear and name in _reals(case)]
    slope = _first(case, seed)
    generator = np.random.default_rng(seed)
    here = evaluate(slope.graph, slope.feeds)
    for name in dict.fromkeys(inputs_of(case)[i] for i in linear):
        t = generator.standard_normal(np.shape(case.feeds[name]))
        there = evaluate(slope.graph, {**slope.feeds, name: slope.feeds[name] + t})
        forward = float(np.sum((there["y"] - here["y"]) * slope.feeds["g"]))
        parts = t * here[f"gradient:{name}"]
        scale = 1 + float(np.sum(np.abs(here["y"] * slope.feeds["g"]))) + float(np.sum(np.abs(parts)))
        if not abs(forward - float(np.sum(parts))) <= 1e-12 * scale:
            raise WrongGradientError(
                f"<J t, g> is {forward!r} but <t, J'g> is {float(np.sum(parts))!r}, by {name} of {case}"
            )
    return len(linear)


def is_linear(case: Case, other: Mapping[str, Array], name: str, evaluate: Evaluate) -> bool:
    """Halfway between this input and another the result is halfway too: everywhere so for linear operations alone."""
    near = evaluate(case.graph, case.feeds)["y"]
    far = evaluate(case.graph, {**case.feeds, name: other[name]})["y"]
    halfway = (np.asarray(case.feeds[name], np.float64) + other[name]) / 2
    middle = evaluate(case.graph, {**case.feeds, name: halfway})["y"]
    return bool(np.allclose(middle, (near + far) / 2, rtol=1e-9, atol=1e-9))


def differentiable(case: Case) -> bool:
    """A gradient passes this operation, from a real result to a real input."""
    y = case.graph.types()[case.graph.output("y").value]
    passes = not case.op or lookup(case.op).gradient is not None
    return case.smooth and passes and y.is_float and bool(_reals(case))


def inputs_of(case: Case) -> tuple[str, ...]:
    """The inputs of the operation itself, in its order (a recipe may feed more, to give a size a number)."""
    y = case.graph.output("y").value
    return next(node.inputs for node in case.graph.nodes if node.name == y)


def _reals(case: Case) -> tuple[str, ...]:
    """The real inputs of the graph."""
    return tuple(fed.name for fed in case.graph.inputs if fed.type.is_float)


def _first(case: Case, seed: int) -> Slope:
    tape = Tape.of(case.graph)
    return _slope(tape, [tape.values[case.graph.output("y").value]], _reals(case), case.feeds, seed, names=("g",))


def _slope(
    tape: Tape,
    parts: Sequence[Value],
    by: tuple[str, ...],
    feeds: dict[str, Array],
    seed: int,
    names: Sequence[str] = (),
) -> Slope:
    """The number sum of <part, a random value>, and its gradients."""
    generator = np.random.default_rng((seed, 1))
    given = dict(feeds)
    number = tape.literal(0, parts[0].dtype)
    for i, part in enumerate(parts):
        name = names[i] if i < len(names) else f"r{i}"
        weight = tape.input(name, part.type, "data")
        given[name] = _random_like(part.type, given, tape, generator)
        number = number + (part * weight).sum()
    tape.outputs = [o for o in tape.outputs if o.name == "y"]
    tape.output("number", number, "output")
    for name, flow in zip(by, gradients(number, [tape.values[name] for name in by]), strict=True):
        tape.output(f"gradient:{name}", flow, "output")
    return Slope(tape.graph(), by, given)


def _random_like(type: Type, feeds: Mapping[str, Array], tape: Tape, generator: np.random.Generator) -> Array:
    sizes = {
        str(dim): size
        for fed in tape.inputs
        if fed.name in feeds
        for dim, size in zip(fed.type.dims, np.shape(feeds[fed.name]), strict=True)
        if isinstance(dim, str)
    }
    return np.asarray(generator.uniform(0.5, 1.5, [measure(d, sizes) for d in type.dims]) * generator.choice([-1, 1]))


def _compare(case: Case, slope: Slope, evaluate: Evaluate, seed: int, step: float = STEP) -> int:
    generator = np.random.default_rng((seed, 2))
    here = evaluate(slope.graph, slope.feeds)
    for name in slope.by:
        x = np.asarray(slope.feeds[name], np.float64)
        t = generator.uniform(0.5, 1.5, x.shape) * generator.choice([-1.0, 1.0], x.shape)
        above = evaluate(slope.graph, {**slope.feeds, name: x + step * t})
        below = evaluate(slope.graph, {**slope.feeds, name: x - step * t})
        measured = float(above["number"] - below["number"]) / (2 * step)
        claimed = float(np.sum(here[f"gradient:{name}"] * t))
        weights = [np.abs(slope.feeds[k]).max(initial=0) for k in slope.feeds if k == "g" or k.startswith("r")]
        scale = max(1.0, abs(float(here["number"])), *(float(w) for w in weights))
        if not abs(measured - claimed) <= RTOL * max(abs(measured), abs(claimed)) + NOISE * scale:
            raise WrongGradientError(
                f"the gradient says {claimed!r}, finite differences say {measured!r}, by {name} of {case}"
            )
    return len(slope.by)


# ---- the battery's own test


@dataclass(frozen=True)
class Mutant:
    """An operation with one of the flows of its gradient scaled."""

    operation: Operation
    position: int


def mutants(operation: Operation, seen: Sequence[Case], factor: float = 1.01) -> Iterator[Mutant]:
    """One for each input to which a gradient flows in one of these cases."""
    for position in count():
        if not any(position in _flowing(operation, case) for case in seen):
            if position >= max((len(inputs_of(case)) for case in seen), default=0):
                return
            continue
        yield Mutant(replace(operation, gradient=_scaled(operation, position, factor)), position)


def _scaled(operation: Operation, position: int, factor: float) -> Callable[..., Gradients]:
    def gradient(*values: Value, **attributes: Any) -> Gradients:
        assert operation.gradient is not None
        flows = list(operation.gradient(*values, **attributes))
        if position < len(flows):
            flow = flows[position]
            flows[position] = None if flow is None else flow * factor
        return flows

    return gradient


def _flowing(operation: Operation, case: Case) -> set[int]:
    """The inputs of the operation to which its rule sends something."""
    if operation.gradient is None or not differentiable(case):
        return set()
    tape = Tape.of(case.graph)
    y = tape.values[case.graph.output("y").value]
    inputs = [tape.values[name] for name in inputs_of(case)]
    node = next(node for node in case.graph.nodes if node.name == y.name)
    flows = operation.gradient(tape.input("g", y.type, "data"), y, *inputs, **node.attributes)
    return {i for i, flow in enumerate(flows) if flow is not None}
