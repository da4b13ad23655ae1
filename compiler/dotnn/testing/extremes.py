"""Inputs at which an operation is wrong first, if it is: far out, all equal, a single one, none; and large ones, for
which a runtime takes several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from dotnn.arrays import Array
from dotnn.differentiate import gradients
from dotnn.graph import Dim, Graph
from dotnn.ops.plugin import OURS
from dotnn.plugins import Options, backend, lowering
from dotnn.recipes import RECIPES, Recipe
from dotnn.tape import Tape, Value
from dotnn.testing.battery import Case, Evaluate, Seeded, differentiable, draw_case
from dotnn.testing.numbers import Start, compare_case, reference, starter
from dotnn.testing.report import FailedError
from dotnn_grammar.problems import ProblemError

FAR = 1e4
"""e^10,000 is far beyond every number type, and 10,000 is no unlikely score of a net that has lost its way."""
FAR_STEP = 1e-3
"""Of finite differences out there, where numbers are 10^-12 apart."""
WIDE = 32
"""The size of every dim of a large input: a million numbers in four dims, enough for kernels to share them out."""
THREADS, REPEATS = (1, 2, 4), 3
"""How many threads, and how often with each. (ScatterND(add), which races, was caught ten times of ten on a quiet
machine, and not every time on a busy one.)"""


class Extreme(Seeded):
    """Draws as ever, but sizes and reals of one extreme kind. Reals that a recipe wants above 0 stay above it."""

    def __init__(self, kind: str, *seed: int) -> None:
        super().__init__(*seed)
        self.kind = kind

    @property
    def sizes(self) -> dict[str, int]:
        return {"b": 1} if self.kind == "single" else super().sizes

    def size(self) -> int:
        return 1 if self.kind == "single" else self.among((0, 0, 1, 2)) if self.kind == "empty" else super().size()

    def real(self, dims: Sequence[Dim], low: float = -2.0, high: float = 2.0) -> Value:
        drawn = super().real(dims, low, high)
        if self.kind not in ("far", "about far", "equal"):
            return drawn
        name = drawn.name
        array = self.feeds[name]
        signs = np.where(array >= 0, 1.0, -1.0) if low < 0 < high else np.full(array.shape, np.sign(low + high))
        changed = {
            "far": FAR * signs,
            "about far": FAR * signs + 100.0 * array,
            "equal": np.full(array.shape, (low + high) / 2 + 0.25 * (high - low)),
        }[self.kind]
        self.feeds[name] = np.asarray(changed, np.float32)
        return drawn


class Large(Seeded):
    """Draws as ever, but as many dims as may be, each of them ``WIDE``."""

    @property
    def sizes(self) -> dict[str, int]:
        return {"b": WIDE}

    def size(self) -> int:
        return WIDE

    def dims(self, least: int = 0, most: int = 4, named: bool = True) -> tuple[Dim, ...]:
        return (WIDE,) * most

    def real(self, dims: Sequence[Dim], low: float = -2.0, high: float = 2.0) -> Value:
        array = self.generator().uniform(low, high, self.numbers(dims))
        return self.feed(array.astype(np.float32), "f32", dims)


KINDS = ("far", "equal", "single", "empty")


def extreme_cases(op: str, kinds: Sequence[str] = KINDS, seed: int = 0, each: int = 4) -> Iterator[Case]:
    """``each`` cases of each kind from every recipe of this operation, where the recipe can be drawn so."""
    for r, recipe in enumerate(RECIPES.get(op, ())):
        for k, kind in enumerate(kinds):
            for i in range(each):
                draw = Extreme(kind, seed, *op.encode(), r, k, i)
                try:
                    case = draw_case(op, recipe, draw)
                except (ValueError, IndexError):
                    continue  # a place among none cannot be drawn
                yield replace(case, label=f"{case.label}, {kind}")


def large_case(op: str, recipe: Recipe, seed: int = 0) -> Case:
    """A case that is large enough for several threads."""
    return draw_case(op, recipe, Large(seed, *op.encode()))


def check_finite(case: Case, evaluate: Evaluate) -> None:
    """Where the result is a number, so are the gradient and the gradient's own. Raises ``FailedError``.

    A problem that says why there is no result is an answer too.
    """
    try:
        y = evaluate(case.graph, case.feeds)["y"]
    except ProblemError:
        return
    if not (y.dtype.kind == "f" and np.isfinite(y).all() and differentiable(replace(case, smooth=True))):
        return
    found = evaluate(_with_gradients(case), {**case.feeds, "g": np.ones(y.shape)})
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise FailedError(f"the result is a number everywhere, but {name} is {np.array2string(value, threshold=8)}")


def check_far(case: Case, start: Start) -> None:
    """A backend's result at an extreme beside the reference's, where there is one to compare. Raises ``FailedError``.

    Of no numbers at all there is nothing to compare, or (a mean of none) no right answer.
    """
    try:
        wanted = reference()(case.graph).run(case.feeds)["y"]
    except ProblemError:
        return
    if wanted.size and not ("empty" in case.label and not np.isfinite(wanted).all()):
        compare_case(case, start)


def _with_gradients(case: Case) -> Graph:
    """The first and the second gradients by each real input, of the sum of y g and of the sum of the first."""
    tape = Tape.of(case.graph)
    tape.outputs = []
    y = tape.values[case.graph.output("y").value]
    g = tape.input("g", y.type, "data")
    reals = [tape.values[fed.name] for fed in case.graph.inputs if fed.type.is_float]
    first = gradients((y * g).sum(), reals)
    total = sum((flow.sum().cast(y.dtype) for flow in first), tape.literal(0, y.dtype))
    for order, flows in (("first", first), ("second", gradients(total, reals))):
        for real, flow in zip(reals, flows, strict=True):
            tape.output(f"the {order} gradient by {real.name}", flow, "output")
    return tape.graph()


def check_threads(case: Case) -> None:
    """ONNX gives the same bits again at each number of threads, and those of one thread but for the order of sums.

    Raises ``FailedError``.
    """
    runs: dict[int, Array] = {}
    for threads in THREADS:
        executor = starter(backend("onnx"), Options(threads=threads))(case.graph)
        made = [executor.run(case.feeds)["y"] for _ in range(REPEATS)]
        if any(again.tobytes() != made[0].tobytes() for again in made[1:]):
            count = f"{threads} thread" + "s" * (threads > 1)
            raise FailedError(f"with {count} the same input gives other bits: do two threads write one place?")
        runs[threads] = made[0]
    for threads in THREADS[1:]:
        one, several = (np.asarray(runs[n], np.float64) for n in (1, threads))
        scale = np.maximum(1, np.abs(one))
        if not (np.abs(several - one)[np.isfinite(one)] <= 1e-5 * scale[np.isfinite(one)]).all():
            raise FailedError(f"with {threads} threads the numbers are others than with one")


def large_cases(op: str) -> Iterator[Callable[[], Case]]:
    """A large case of each recipe, made when it is asked for."""
    for recipe in RECIPES.get(op, ()):
        yield partial(large_case, op, recipe)


def in_onnx(op: str) -> bool:
    """Whether the ONNX backend can spell this operation: one of ours, or one that brings its own spelling."""
    return lowering(op, "onnx") is not None or any(operation.name == op for operation in OURS)
