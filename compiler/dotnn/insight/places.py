"""Whose places a dim of a tensor is: the words of which text.

A map of who looks at whom has a row and a column for each place. Which text these are the places of is found by going
back from the map: every operation says which dim of what it reads a dim of its result comes from, down to a column of
texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from dotnn.graph import Dim, Node, multiply
from dotnn.program import RawColumn
from dotnn.tape import Tape, Value

SAME = frozenset(("softmax", "log_softmax", "normalise", "slice", "pad", "cumulate", "sort", "concat"))
"""Operations whose result has the dims of what they read."""
FOLDING = frozenset(("sum", "mean", "max", "min", "argmax", "logsumexp", "pick", "precision"))
"""Operations that make one number of a dim or several."""


def columns_along(value: Value, texts: Mapping[str, RawColumn]) -> tuple[RawColumn | None, ...]:
    """For each dim the column of texts of whose places it is; None where it is of none."""
    return tuple(_column(value.tape, value.name, axis, texts) for axis in range(value.type.rank))


def _column(tape: Tape, name: str, axis: int, texts: Mapping[str, RawColumn]) -> RawColumn | None:
    """The first column of texts that this dim of a value leads back to."""
    seen: set[tuple[str, int]] = set()
    waiting = [(name, axis)]
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        value, axis = tape.values[here[0]], here[1]
        node = tape.node(value)
        if node is None:
            if value.name in texts and axis == 1:
                return texts[value.name]
            continue
        waiting.extend(reversed(list(_sources(tape, node, axis))))
    return None


def _sources(tape: Tape, node: Node, axis: int) -> Iterator[tuple[str, int]]:
    """Where a dim of a result comes from: values that were read, and which dim of them."""
    types = [tape.values[name].type for name in node.inputs]
    rank = node.type.rank
    if node.op == "matmul":
        a, b = node.inputs
        back = axis - rank  # from the last: -1 is the second's own, -2 the first's, what is before belongs to both
        for name, type, own in ((a, types[0], -1), (b, types[1], -2)):
            if back != own and type.rank >= -back:
                yield name, type.rank + back
    elif node.op == "transpose":
        yield node.inputs[0], cast("tuple[int, ...]", node.attributes["order"])[axis]
    elif node.op == "reshape":
        found = _unreshaped(types[0].dims, node.type.dims, axis)
        if found is not None:
            yield node.inputs[0], found
    elif node.op == "gather":
        index = types[1].rank
        if axis < index:
            yield node.inputs[1], axis
    elif node.op == "place":
        yield from ((name, axis) for name in node.inputs if axis < rank - 1)
    elif node.op in FOLDING:
        folded = node.attributes.get("axes", node.attributes.get("axis", (types[0].rank - 1,)))
        axes = folded if isinstance(folded, tuple) else (int(cast("int", folded)),)
        own = axis if rank == types[0].rank else [i for i in range(types[0].rank) if i not in axes][axis]
        if own not in axes:
            yield node.inputs[0], own
    elif node.op in SAME or all(type.rank <= rank for type in types):  # number by number, aligned from the last
        for name, type in zip(node.inputs, types, strict=True):
            own = axis - rank + type.rank
            if own >= 0 and type.dims[own] != 1:
                yield name, own


def _unreshaped(before: Sequence[Dim], after: Sequence[Dim], axis: int) -> int | None:
    """The dim that this one was before it got other neighbours; None where it was split or merged."""
    size, ahead = after[axis], multiply(after[:axis])
    for place, dim in enumerate(before):
        if dim == size and multiply(before[:place]) == ahead:
            return place
    return None
