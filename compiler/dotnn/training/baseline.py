"""What one gets without learning: always the commonest answer, or always the same number.

The guess is put in the place of the net's output and measured by the spec's own loss and error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.data import Dataset, Rows
from dotnn.graph import Graph, Input
from dotnn.plugins import Backend, Options
from dotnn.program import Program, RawColumn
from dotnn.training.figures import Reading, number_of
from dotnn.training.measure import Evaluator

SURE = 1e4
"""The score of the guessed class; every other has 0."""
SEARCH = 4096
"""Rows on which the best single number is looked for."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A guess that never looks, and its figures on a split."""

    words: str
    """`always answering 3`"""
    figures: Mapping[str, Reading]


def baseline(program: Program, dataset: Dataset, backend: Backend, options: Options, split: str) -> Baseline | None:
    """The guess that suits the train split, measured on ``split``; None where no guess suits the net's output."""
    label = _answer(program)
    if label is None or split not in dataset.splits or len(program.outputs) != 1:
        return None
    graph = program.graphs["eval"]
    output = next((o for o in graph.outputs if o.name == program.outputs[0]), None)
    if output is None:
        return None
    type = graph.types()[output.value]
    if type.dtype != "f32" or not type.dims or isinstance(type.dims[0], int):
        return None
    cut = cut_at(graph, output.value)
    answers = {column.name for column in program.inputs if column.role != "data"}
    if any(fed.name not in answers for fed in cut.inputs[1:]):
        return None  # the loss looks at more than the output and the answer
    evaluate = Evaluator(program, backend.start(backend.lower(cut, options), options), cut)
    train, measured = dataset.splits["train"], dataset.splits[split]

    def figures(rows: Rows, guess: Array) -> dict[str, Reading]:
        return evaluate(Rows(rows.count, {**rows.arrays, output.value: _each(guess, rows.count)}), None) or {}

    classes = len(label.classes) if label.classes is not None else label.bound
    truth = train.arrays[label.name]
    if classes is not None and type.dims[1:] == (classes,) and truth.ndim == 1:
        shares = np.bincount(truth.astype(np.int64), minlength=classes) / max(len(truth), 1)
        commonest = int(shares.argmax())
        found = figures(measured, np.eye(classes, dtype=np.float32)[commonest] * SURE)
        odds = np.log(np.maximum(shares, 1e-9)).astype(np.float32)
        knows = number_of(figures(measured, odds).get("loss"))
        # Where the loss does not care for a common shift, the outputs are scores and the best constant is their log.
        scores = math.isclose(knows, number_of(figures(measured, odds + np.float32(1.5)).get("loss")), rel_tol=1e-3)
        found["loss"] = knows if scores else math.nan
        text = label.classes[commonest] if label.classes is not None else str(commonest)
        return Baseline(f"always answering {text}", found)
    if (label.dtype == "f32" or classes == 2) and type.dims[1:] in ((), (1,)):
        shape = type.dims[1:]
        few = Rows(min(train.count, SEARCH), {name: array[:SEARCH] for name, array in train.arrays.items()})
        best = _lowest(lambda c: number_of(figures(few, np.full(shape, c, np.float32)).get("loss")))
        if best is None:
            return None
        return Baseline(f"always answering {best:.4g}", figures(measured, np.full(shape, best, np.float32)))
    return None


def _each(guess: Array, count: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(guess, (count, *guess.shape)))


def _answer(program: Program) -> RawColumn | None:
    """The column that holds the right answer: the one `answer` names, else the only label."""
    labels = [column for column in program.inputs if column.role == "label"]
    named = [c for c in labels if program.answer is not None and c.name == program.answer.column]
    return named[0] if named else labels[0] if len(labels) == 1 else None


def cut_at(graph: Graph, value: str) -> Graph:
    """The part of the graph behind ``value``, which is fed instead: its figures, without the net."""
    type = graph.types()[value]
    outputs = tuple(o for o in graph.outputs if o.role in ("loss", "error", "metric"))
    needed = {o.value for o in outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if node.name in needed and node.name != value:
            nodes.append(node)
            needed.update(node.inputs)
    inputs = tuple(fed for fed in graph.inputs if fed.name in needed)
    fed = Input(name=value, type=type, role="data")
    return Graph(name="baseline", inputs=(fed, *inputs), nodes=tuple(reversed(nodes)), outputs=outputs)


def _lowest(measure: Callable[[float], float]) -> float | None:
    """Where a function of one number is lowest, if it has one valley."""
    low, high = -1.0, 1.0
    while measure(high * 2) < measure(high) and high < 1e9:
        high *= 2
    while measure(low * 2) < measure(low) and low > -1e9:
        low *= 2
    low, high = low * 2, high * 2
    for _ in range(60):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if math.isnan(measure(left)):
            return None
        low, high = (low, right) if measure(left) <= measure(right) else (left, high)
    return (low + high) / 2
