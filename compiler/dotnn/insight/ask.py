"""Asking a trained net: the tensors behind paths, for some examples, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.data import Rows
from dotnn.graph import Graph
from dotnn.insight.paths import Asked, NotToBeAsked
from dotnn.measures.rows import wide
from dotnn.plugins import Arrays, Backend, Options
from dotnn.program import RawColumn
from dotnn.simplify import only, simplify

AT_ONCE = 1024
"""Examples that are computed together."""


MARKS = ("<pad>", "<unknown>", "<start>", "<end>")
"""What the first numbers of every column of texts stand for."""

Words = tuple[str, ...]
"""The pieces of a text, without what it was filled up with."""


@dataclass(frozen=True)
class Answer:
    """The numbers behind a path. ``each``: the first dim is the examples; else they share it."""

    text: str
    numbers: Array
    each: bool
    classes: tuple[str, ...] | None = None
    gradient: bool = False
    words: tuple[tuple[Words, ...] | None, ...] = ()
    """For each dim after the examples: their texts, where it has a place for each word."""
    spoken: bool = False
    """The numbers are the words themselves."""

    def words_of(self, place: int) -> tuple[Words | None, ...]:
        """For each dim of one example the words at its places."""
        return tuple(texts[place] if texts is not None else None for texts in self.words)


def answers(
    asked: Sequence[Asked], state: Arrays, rows: Rows, examples: Sequence[int], backend: Backend, options: Options
) -> list[Answer]:
    """Everything that was asked for, of these examples, in their order. Raises ``ProblemError``.

    Examples do not know of each other, unless what is asked for is made of all of them: a figure, the gradient of a
    weight.
    """
    graph = graph_of(asked)
    executor = backend.start(backend.lower(graph, options), options)
    if any(fed.role == "state" and fed.name not in state for fed in graph.inputs):
        drawn = next((one.text for one in asked if "random" in one.text), asked[0].text)
        raise NotToBeAsked(text=drawn, why="it is drawn at random, and a net that has learned draws nothing").error()
    weights = {fed.name: state[fed.name] for fed in graph.inputs if fed.role == "state"}
    columns = [fed.name for fed in graph.inputs if fed.role not in ("state", "seed")]
    chosen = np.asarray(examples, np.int64)
    size = AT_ONCE if all(one.each for one in asked) else max(len(chosen), 1)
    parts: list[Mapping[str, Array]] = []
    for first in range(0, len(chosen), size):
        places = chosen[first : first + size]
        feeds = {name: rows.arrays[name][places] for name in columns}
        made = executor.run({**weights, **feeds})
        parts.append({name: np.array(array) for name, array in made.items()})
    texts = {raw.name: _texts(raw, rows, chosen) for one in asked for raw in one.along if raw is not None}
    return [_answer(one, [part[_output(n)] for part in parts], texts) for n, one in enumerate(asked)]


def _texts(raw: RawColumn, rows: Rows, chosen: Array) -> tuple[Words, ...]:
    """The words of a column of texts, example by example."""
    pieces = raw.tokens.pieces if raw.tokens is not None else ()
    pieces = (*MARKS, *pieces[len(MARKS) :])
    numbers = rows.arrays[raw.name][chosen]
    return tuple(tuple(pieces[n] for n in row[: np.flatnonzero(row)[-1:].sum() + 1]) for row in numbers)


def graph_of(asked: Sequence[Asked]) -> Graph:
    """What has to be computed, and no more: outputs `asked.0`, `asked.1`, …"""
    whole = asked[0].value.tape.graph()
    made = simplify(only(whole, {_output(number): one.value.name for number, one in enumerate(asked)}))
    if any(wide(node.type) for node in made.nodes) and not any(wide(fed.type) for fed in made.inputs):
        rows = next(fed for fed in whole.inputs if wide(fed.type))  # somebody says how many rows there are
        return made.model_copy(update={"inputs": (*made.inputs, rows)})
    return made


def _output(number: int) -> str:
    return f"asked.{number}"


def _answer(asked: Asked, parts: Sequence[Array], texts: Mapping[str, tuple[Words, ...]]) -> Answer:
    numbers = np.concatenate(parts) if asked.each else parts[0]
    words = tuple(texts[raw.name] if raw is not None else None for raw in asked.along[1:]) if asked.each else ()
    words = words if any(words) else ()
    return Answer(asked.text, numbers, asked.each, asked.classes, asked.gradient, words, asked.spoken)
