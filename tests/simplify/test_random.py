"""Graphs drawn at random, simplified and not: the same numbers, and the same whether they are finite."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import ir
from dotnn.graph import Graph, Type, measure
from dotnn.plugins import Options, backend
from dotnn.program import Program
from dotnn.simplify import simplify
from dotnn.tape import Tape, Value

Array = np.ndarray[Any, Any]
SEEDS = range(150)


class Draw:
    """A graph of operations that the rules look at, on tensors of few sizes, some of them without numbers."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tape = Tape("drawn")
        self.size = 0 if seed % 10 == 0 else 3
        real = {"x": (2, self.size), "y": (2, self.size), "row": (self.size,), "s": (), "t": ()}
        self.values = [self.tape.input(n, Type(dtype="f32", dims=d), "data") for n, d in real.items()]
        self.place = self.tape.input("place", Type(dtype="i64", dims=(2,)), "data")
        for _ in range(30):
            self.values.append(self._next())
        for number, value in enumerate(self.values[-8:]):
            self.tape.output(f"y{number}", value, "output")
        self.graph = self.tape.graph()

    def _next(self) -> Value:
        steps: list[Callable[[], Value | None]] = [
            *([self._pair] * 5),
            *([self._scale] * 4),
            self._literal,
            self._literal_pair,
            lambda: -self._any(),
            lambda: self._like(self._any(), lambda x: x.reshape((*x.dims[1:], x.dims[0]))),
            lambda: self._like(self._any(), lambda x: x.reshape((1, *x.dims))),
            lambda: self._like(self._any(), lambda x: x.T if x.type.rank == 2 else x),
            self._expand,
            self._fold,
            self._place,
            self._cut_and_joined,
            self._greater,
        ]
        while (made := steps[self.rng.integers(len(steps))]()) is None:
            pass
        return made

    def _any(self) -> Value:
        return self.values[self.rng.integers(max(0, len(self.values) - 12), len(self.values))]

    def _one(self) -> Value:
        single = [v for v in self.values if v.type.rank == 0]
        return single[self.rng.integers(len(single))]

    def _like(self, x: Value, change: Callable[[Value], Value]) -> Value | None:
        return change(x) if 0 < x.type.rank <= 3 else None

    def _pair(self) -> Value | None:
        a, b = self._any(), self._any()
        if a.dims != b.dims:
            return None
        return self.tape.add(["add", "sub", "mul", "maximum"][self.rng.integers(4)], a, b)

    def _scale(self) -> Value:
        pair = [self._any(), self._one()]
        if self.rng.random() < 0.3:
            pair.reverse()
        return self.tape.add("div" if pair[1].type.rank == 0 and self.rng.random() < 0.3 else "mul", *pair)

    def _cut_and_joined(self) -> Value | None:
        """Two parts of one tensor, each among zeros, added up: what the gradient of a cut does."""
        x = self._any()
        if x.type.rank == 0 or not isinstance(x.dims[0], int) or x.dims[0] < 2:
            return None
        whole, at = x.dims[0], int(self.rng.integers(1, x.dims[0]))
        parts = [self.tape.add("slice", x, axis=0, start=a, stop=b) for a, b in ((0, at), (at, whole))]
        low = self.tape.add("pad", parts[0], axis=0, before=0, after=whole - at)
        high = self.tape.add("pad", parts[1], axis=0, before=at, after=0)
        return high + low if self.rng.random() < 0.5 else low + high

    def _literal(self) -> Value:
        return self.tape.literal(float(self.rng.choice([1, -1, 0.5, 3])))

    def _literal_pair(self) -> Value:
        number = self.tape.literal(float(self.rng.choice([0, 1, -1, 2])))
        op = ["add", "sub", "mul"][self.rng.integers(3)]
        return self.tape.add(op, *((self._any(), number) if self.rng.random() < 0.5 else (number, self._any())))

    def _expand(self) -> Value | None:
        x = self._any()
        return x.expand((2, *x.dims)) if x.type.rank < 3 else None

    def _fold(self) -> Value | None:
        x = self._any()
        if not x.type.rank:
            return None
        axes = tuple(i for i in range(x.type.rank) if self.rng.random() < 0.5) or (0,)
        return x.sum(axes, keep=bool(self.rng.random() < 0.5))

    def _place(self) -> Value | None:
        x = self._any()
        if x.dims == ():
            x = x.expand((2,))
        return self.tape.add("place", x, self.place, size=3) if x.dims == (2,) else None

    def _greater(self) -> Value:
        x = self._any()
        zero = self.tape.literal(0)
        if self.rng.random() < 0.5:
            self.tape.add("maximum", x, zero)
        return self.tape.add("select", self.tape.add("gt", x, zero), x, zero)

    def feeds(self) -> dict[str, Array]:
        made: dict[str, Array] = {}
        for fed in self.graph.inputs:
            dims = [measure(dim, {}) for dim in fed.type.dims]
            made[fed.name] = self.rng.normal(size=dims) if fed.type.is_float else self.rng.integers(3, size=dims)
        return made


@cache
def drawn(seed: int) -> Draw:
    return Draw(seed)


def compute(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
    reference, options = backend("reference"), Options(float64=True)
    wanted = {fed.name for fed in graph.inputs}
    with np.errstate(all="ignore"):
        started = reference.start(reference.lower(graph, options), options)
        return dict(started.run({name: array for name, array in feeds.items() if name in wanted}))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_numbers_stay(seed: int) -> None:
    draw = drawn(seed)
    short = simplify(draw.graph)
    feeds = draw.feeds()
    before, after = compute(draw.graph, feeds), compute(short, feeds)
    for name, expected in before.items():
        if np.isfinite(expected).all():  # a division by zero stands among the drawn operations
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(
                after[name], expected, rtol=1e-6, atol=1e-6 * scale
            )  # numbers are folded in the precision of the graph


def test_most_graphs_become_shorter() -> None:
    shorter = [len(simplify(drawn(s).graph).nodes) < len(drawn(s).graph.nodes) for s in SEEDS]
    assert sum(shorter) > 0.9 * len(shorter)


NET = """
data d {
  source table "rows.csv"
  x = columns a to b
  y = column y as class
}
net N(x: [b, 2]) -> out: [b, 3] { out = x -> dense(4) -> ACTIVATION -> dense(4) -> layer_norm -> dense(3) }
train N on d {
  loss cross_entropy(out, y)
  optimizer OPTIMIZER
  batch 4
  epochs 2
  clip norm 1
}
"""
ROWS = "a,b,y\n" + "".join(f"{i % 5 - 2},{(i * 7) % 4 - 1},{'uvw'[i % 3]}\n" for i in range(12))


@pytest.fixture(scope="module", params=[("relu", "adam(lr = 0.1)"), ("tanh", "sgd(lr = 0.1, momentum = 0.9)")])
def steps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, Graph]:
    folder: Path = tmp_path_factory.mktemp("net")
    activation, optimizer = request.param
    (folder / "rows.csv").write_text(ROWS)
    (folder / "net.nn").write_text(NET.replace("ACTIVATION", activation).replace("OPTIMIZER", optimizer))
    found = [ir(folder / "net.nn", "graph", after) for after in ("update", "simplify")]
    before, after = (program.graphs["train"] for program in found if isinstance(program, Program))
    return before, after


def batch(graph: Graph, rng: np.random.Generator) -> dict[str, Array]:
    feeds: dict[str, Array] = {}
    for fed in graph.inputs:
        dims = [measure(dim, {"b": 4}) for dim in fed.type.dims]
        whole = not fed.type.is_float
        feeds[fed.name] = rng.integers(3, size=dims) if whole else rng.normal(size=dims) * 0.5
        if ":" in fed.name:
            feeds[fed.name] = np.abs(feeds[fed.name])  # what an optimizer remembers may be a mean of squares
    return feeds


def test_a_training_step_stays(steps: tuple[Graph, Graph]) -> None:
    before, after = steps
    feeds = batch(before, np.random.default_rng(1))
    expected, made = compute(before, feeds), compute(after, feeds)
    assert expected.keys() == made.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(made[name], array, rtol=1e-9, atol=1e-12)
    assert made["finite"]


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 1e200])
def test_a_step_that_is_not_finite_says_so_as_before(steps: tuple[Graph, Graph], odd: float) -> None:
    before, after = steps
    fed = [i.name for i in before.inputs if i.type.is_float and ":" not in i.name]
    told = []
    for name in fed:
        feeds = batch(before, np.random.default_rng(2))
        feeds[name].flat[0] = odd
        told.append(bool(compute(before, feeds)["finite"]))
        assert bool(compute(after, feeds)["finite"]) == told[-1], name
    assert not all(told)
