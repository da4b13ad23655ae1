"""Needs: which places of its inputs an operation looks at for one place of its result.

    y[b, i, :] = x[b, i, :] @ W        the same place of x, all of W
    look[b, h, i, j]                   as keys: all places of k

None as a whole: there is no such rule, the result is computed in all places, and one of them taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dotnn.generate.axes import Axis, beside, reshaped
from dotnn.generate.reach import each_number
from dotnn.graph import Node, Type

Needs = tuple["Axis | None", ...]
"""Of each input: the place along this axis; None: all of it."""

Rule = Callable[[Node, Sequence[Type], Axis], "Needs | None"]


def needs_of(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    """What the inputs of ``node`` must give for one place along an axis of its result."""
    rule = RULES.get(node.op) or (_each_number if each_number(node.op) else None)
    return rule(node, types, axis) if rule else None


def _each_number(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    return tuple(beside(axis, type, node.type) for type in types)


def _reshape(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    moved = reshaped(axis, node.type.dims, types[0].dims)
    return None if moved is None else (moved,)


def _transpose(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    order: Any = node.attributes["order"]
    return (axis.at(order[axis.dim]),)


def _folded(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    axes: Any = node.attributes.get("axes", (node.attributes.get("axis"),))
    if node.attributes.get("keep"):
        return (axis,)
    kept = [dim for dim in range(types[0].rank) if dim not in axes]
    return (axis.at(kept[axis.dim]),)


def _last_stays(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    """Works along the last dim."""
    return (axis,) * len(types) if axis.dim != types[0].rank - 1 else None


def _axis_stays(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    """Works along `axis`."""
    return (axis,) * len(types) if axis.dim != node.attributes["axis"] else None


def _slice(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    if axis.dim != node.attributes["axis"]:
        return (axis,)
    whole = types[0].dims[axis.dim]
    return (Axis(axis.dim, whole),) if axis.alone and isinstance(whole, int) else None


def _matmul(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    left, right = types
    rank = node.type.rank
    if axis.dim == rank - 2:
        return axis.at(left.rank - 2), None
    if axis.dim == rank - 1:
        return None, axis.at(right.rank - 1)
    return beside(axis, left, node.type), beside(axis, right, node.type)


def _gather(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    index = types[1]
    if axis.dim < index.rank:
        return None, axis
    return axis.at(axis.dim - index.rank + 1), None


def _pick(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    return axis, axis


def _place(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    return (axis, axis) if axis.dim < types[0].rank else None


def _convolve(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    """A few places of all there are: the position says which (``step.py`` takes them)."""
    stride: Any = node.attributes["stride"]
    alone = axis.dim >= 2 and axis.alone and stride[axis.dim - 2] == 1
    return (None, None) if alone else None


def _iota(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    return () if axis.alone else None


def _scan(node: Node, types: Sequence[Type], axis: Axis) -> Needs | None:
    """One step of it: its slices of that step, and what the step before has carried on, which is kept."""
    carried, scanned = node.attributes["carried"], node.attributes["scanned"]
    assert isinstance(carried, int)
    assert isinstance(scanned, int)
    if node.attributes["back"] or node.attributes["final"] or axis.dim != 0 or not axis.alone:
        return None
    return tuple(axis if carried <= number < carried + scanned else None for number in range(len(types)))


RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "expand": _each_number,
    **dict.fromkeys(("sum", "mean", "variance", "max", "min", "argmax"), _folded),
    **dict.fromkeys(("softmax", "log_softmax", "normalise", "precision"), _last_stays),
    "logsumexp": lambda node, types, axis: (axis,),
    **dict.fromkeys(("take", "put", "argsort", "cumulate", "pad", "concat"), _axis_stays),
    "slice": _slice,
    "matmul": _matmul,
    "gather": _gather,
    "pick": _pick,
    "place": _place,
    "iota": _iota,
    "convolve": _convolve,
    "scan": _scan,
}
