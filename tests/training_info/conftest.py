"""A small spec whose lines can be changed, compiled, and trained by two who must agree."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend

OPTIONS = Options()

SPEC = """
data points {
  source table "points.csv"
  place = columns a to b
  kind  = column kind as class
  split train 60%, val 20%, test 20%  stratify kind
}

net Sides(place: [b, 2]) -> scores: [b, 2] {
  scores = place -> dense(5) as hidden -> tanh -> dropout(0.25) -> dense(2)
}

train Sides on points {
  loss      cross_entropy(scores, kind)
  error     argmax(scores) != kind
  answer    argmax(scores) as kind
  optimizer OPTIMIZER
  batch 7
  epochs 6
  seed 3
  MORE
}
"""


def table() -> str:
    numbers = random.Random(4)
    rows = ["a,b,kind"]
    for _ in range(120):
        a, b = numbers.uniform(-1, 1), numbers.uniform(-1, 1)
        rows.append(f"{a:.4f},{b:.4f},{'left' if a + 0.2 * b < 0.1 else 'right'}")
    return "\n".join(rows) + "\n"


ROWS = 16
"""At most so many rows a batch: ONNX's evaluator is slow, and among millions of sums one at a kink of `relu` falls to
one side or the other as it is rounded, which moves a whole gradient."""


def batches(program, arrays, count):
    """Batches of two sizes: neither is in the file."""
    fed = [i.name for i in program.graphs["train"].inputs if i.role != "state"]
    size = min(len(arrays[fed[0]]) // 2, program.plan.batch, ROWS)
    for number in range(count):
        first = number * size % (len(arrays[fed[0]]) - size)
        yield {name: arrays[name][first : first + max(size - number % 2, 1)] for name in fed}


def far(got, wanted, least=1e-9):
    """How far two arrays are from each other, relative to the greatest number, or to ``least`` where that is greater.

    Whole numbers must be the same.
    """
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
        return 0.0
    return float(np.abs(got.astype(np.float64) - wanted).max(initial=0) / max(np.abs(wanted).max(initial=0), least))


def states_far(program, got, wanted):
    """The farthest of all states.

    A gradient that all but cancels out is mostly rounding, and an optimizer that divides it by its own size makes a
    whole step of that: a weight of less than 0.1 is compared as if it were 0.1 (onnxruntime is no nearer).
    """
    inputs = program.graphs["train"].inputs
    moving = {fed.name for fed in inputs if fed.learned} | {f"{fed.name}:average" for fed in inputs}
    least = {fed.name: 0.1 if fed.name in moving else 1e-9 for fed in inputs}
    return max(far(got[name], wanted[name], least[name]) for name in wanted)


@pytest.fixture
def points(tmp_path):
    """``points(optimizer, more, text)``: the spec with this optimizer, these lines, and definitions; compiled."""

    def make(optimizer="sgd(lr = 0.1, momentum = 0.9)", more="", text=""):
        (tmp_path / "points.csv").write_text(table())
        spec = tmp_path / "points.nn"
        spec.write_text(SPEC.replace("OPTIMIZER", optimizer).replace("MORE", more) + text)
        return compile_file(spec)

    return make


@pytest.fixture
def tools():
    judge = backend("reference")
    return SimpleNamespace(
        batches=batches,
        far=far,
        states_far=states_far,
        judge=lambda graph: judge.start(judge.lower(graph, OPTIONS), OPTIONS),
        own=lambda graph: backend("training-info").start(backend("training-info").lower(graph, OPTIONS), OPTIONS),
    )
