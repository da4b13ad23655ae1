"""Reach: how far into the text each value of a graph looks, place by place.

    logits: f32[b, 64, 80]     along dim 1:  0 1 2 3 … 63       each place reads the tokens up to its own
    look:   f32[b, 2, 64, 64]  along dims 2 and 3: -1 above the diagonal, where a mask has made it 0

So it is found without running the net whether an answer looks at tokens after its own, which nobody has yet when a text
is written. Numbers that the spec itself fixes (masks made of coordinates) are worked out, as far as they are the same
for all but the places of the text; everything else is followed through the operations. An operation that has no rule
here counts as looking at everything: that is always safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dotnn.generate.axes import Axis
from dotnn.generate.looks import RULES, each_by_itself
from dotnn.generate.seen import UNKNOWN, Array, Fixed, Place, Reach, Seen, nothing
from dotnn.graph import Graph, Node, Type
from dotnn.operation import lookup
from dotnn.ops import elementwise


def reaches(graph: Graph, column: str, raised: Mapping[str, Axis] = {}) -> dict[str, Seen]:
    """The reach of every value; ``column`` is the input with the tokens, i64[b, t].

    raised: values of which each place along the axis counts as made of the token at that place.
    """
    types = graph.types()
    found: dict[str, Seen] = {}
    length = types[column].dims[1]
    assert isinstance(length, int)
    for fed in graph.inputs:
        found[fed.name] = nothing()
    places = np.arange(length, dtype=np.int32)
    found[column] = Reach((Axis(1, length),), places, np.full(length, UNKNOWN))
    for node in graph.nodes:
        inputs = [found[name] for name in node.inputs]
        made = _followed(node, inputs, [types[name] for name in node.inputs], length)
        found[node.name] = _raised(made, raised[node.name], places) if node.name in raised else made
    return found


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
