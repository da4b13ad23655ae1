"""Reach: how far into the text each value of a graph looks, place by place.

    logits: f32[b, 64, 80]     along dim 1:  0 1 2 3 … 63       each place reads the tokens up to its own
    look:   f32[b, 2, 64, 64]  along dims 2 and 3: -1 above the diagonal, where a mask has made it 0

So it is found without running the net whether an answer looks at tokens after its own, which nobody has yet when a text
is written. Numbers that the spec itself fixes (masks made of coordinates) are worked out, as far as they are the same
for all but the places of the text; everything else is followed through the operations. An operation that has no rule
here counts as looking at everything: that is always safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.generate.axes import Axis
from dotnn.generate.looks import RULES, each_by_itself
from dotnn.generate.seen import UNKNOWN, Fixed, Place, Reach, Seen, nothing
from dotnn.graph import Graph, Node, Type
from dotnn.operation import lookup
from dotnn.ops import elementwise


@dataclass(frozen=True)
class Told:
    """What is left of the reach of a value when it is not needed any more."""

    axis: Axis | None
    """That along which each place looks at no token after it."""
    ahead: bool
    """Some place of it looks at tokens after its own, by whichever axis places are counted."""
    mixed: bool
    """And its places are not those of two texts that meet, as who looks and who is looked at."""


def told(graph: Graph, column: str, raised: Mapping[str, Axis] = {}) -> dict[str, Told]:
    """As ``reaches``, each value in a few words: a window of thousands of places has millions of pairs of them."""
    length = _length(graph, column)
    return {name: _in_words(seen, length) for name, seen in _values(graph, column, raised)}


def reaches(graph: Graph, column: str, raised: Mapping[str, Axis] = {}) -> dict[str, Seen]:
    """The reach of every value; ``column`` is the input with the tokens, i64[b, t].

    raised: values of which each place along the axis counts as made of the token at that place.
    """
    return dict(_values(graph, column, raised))


def _in_words(seen: Seen, length: int) -> Told:
    ahead = looks_ahead(seen, length)
    return Told(causal_axis(seen, length), ahead, ahead and isinstance(seen, Reach) and len(seen.axes) < 2)


def _length(graph: Graph, column: str) -> int:
    length = graph.types()[column].dims[1]
    assert isinstance(length, int)
    return length


def _values(graph: Graph, column: str, raised: Mapping[str, Axis]) -> Iterator[tuple[str, Seen]]:
    """Each value with its reach, which is forgotten here after its last use."""
    types, length = graph.types(), _length(graph, column)
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    found: dict[str, Seen] = {fed.name: nothing() for fed in graph.inputs}
    places = np.arange(length, dtype=np.int32)
    found[column] = Reach((Axis(1, length),), places, np.full(length, UNKNOWN))
    yield from list(found.items())
    for node in graph.nodes:
        made = _followed(node, [found[name] for name in node.inputs], [types[name] for name in node.inputs], length)
        found[node.name] = _raised(made, raised[node.name], places) if node.name in raised else made
        yield node.name, found[node.name]
        for name in (*node.inputs, node.name):
            uses[name] -= name != node.name
            if uses[name] <= 0:
                found.pop(name, None)


def causal_axis(seen: Seen, length: int) -> Axis | None:
    """The axis along which each place looks at no token after it; None where there is none."""
    if isinstance(seen, Fixed):
        return None
    for number, axis in enumerate(seen.axes):
        if axis.size == length:
            others = tuple(i for i in range(len(seen.axes)) if i != number)
            if (seen.last.max(axis=others) <= np.arange(length)).all():
                return axis
    return None


def looks_ahead(seen: Seen, length: int) -> bool:
    """Whether some place of it looks at tokens after its own, by whichever axis places are counted."""
    return isinstance(seen, Reach) and seen.furthest >= 0 and causal_axis(seen, length) is None


def _raised(seen: Seen, axis: Axis, places: Array) -> Seen:
    if isinstance(seen, Fixed) or axis not in seen.axes:
        return seen
    shape = [1] * len(seen.axes)
    shape[seen.axes.index(axis)] = len(places)
    return Reach(seen.axes, np.broadcast_to(places.reshape(shape), seen.last.shape).copy(), seen.known)


def _followed(node: Node, inputs: Sequence[Seen], types: Sequence[Type], length: int) -> Seen:
    rule = RULES.get(node.op) or (each_by_itself if each_number(node.op) else None)
    made = rule(Place(node, inputs, types, length)) if rule else None
    if made is not None:
        return made
    furthest = max((x.furthest for x in inputs if isinstance(x, Reach)), default=-1)
    return nothing(length - 1 if furthest >= 0 else -1)


def each_number(op: str) -> bool:
    """Whether it works on each number by itself."""
    return lookup(op).infer.__module__ == elementwise.__name__
