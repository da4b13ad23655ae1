"""Rows: which values of a graph hold something of each row by itself, and along which dim the rows lie.

    own_rows(tape, nodes, ["logits_7"], changing)     # {"label": 0, "eq_9": 0, "transpose_12": 1}

What is not among them, and yet depends on the rows, looks at several rows at once: a sum over them, a sorted column.
Each operation has its rule here; one that has none counts as looking at several, which is always safe.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from dotnn.graph import Dim, Graph, Node, Type, multiply, names_in
from dotnn.inputs.columns import BATCH
from dotnn.operation import lookup
from dotnn.ops import elementwise
from dotnn.tape import Tape, Value

Axes = Sequence[int | None]
"""For each input: the dim in which it has the rows; None where it does not depend on them."""

Rule = Callable[[Node, Sequence[Type], Axes], int | None]
"""The dim in which the result has them; None where it mixes rows."""


def row_axis(type: Type) -> int | None:
    """The one dim that the rows are in; None where there is none, or more than one."""
    found = [axis for axis, dim in enumerate(type.dims) for name in names_in(dim) if name == BATCH]
    return found[0] if len(found) == 1 else None


def wide(type: Type) -> bool:
    """Whether it has the rows of the batch among its dims."""
    return any(BATCH in names_in(dim) for dim in type.dims)


def behind(value: Value, ends: Collection[str]) -> list[Node]:
    """The operations that it is made of, in order; no further back than to ``ends`` that begin with their rows."""
    tape = value.tape
    waiting, met, found = [value.name], {value.name}, set[str]()
    while waiting:
        node = tape.node(tape.values[waiting.pop()])
        if node is None:
            continue
        found.add(node.name)
        if node.name in ends and row_axis(node.type) == 0:
            continue
        fresh = [name for name in dict.fromkeys(node.inputs) if name not in met]
        met.update(fresh)
        waiting.extend(fresh)
    return [node for node in tape.nodes if node.name in found]


def depending(tape: Tape, nodes: Sequence[Node]) -> set[str]:
    """The values that another batch would change, among the inputs and the results of these operations."""
    found = {fed.name for fed in tape.inputs if wide(fed.type)}
    for node in nodes:
        sized = node.op == "size" and BATCH in names_in(_dim(node, "dim"))
        if sized or wide(node.type) or not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found


def own_rows(tape: Tape, nodes: Sequence[Node], ends: Collection[str], changing: Collection[str]) -> dict[str, int]:
    """For each value in which every row's numbers are its own: the dim of the rows.

    nodes: the operations that are looked at. ends: values that are taken to be so (the net's results). changing: what
    ``depending`` gives.
    """
    own: dict[str, int] = {}
    for fed in tape.inputs:
        axis = row_axis(fed.type)
        if axis is not None:
            own[fed.name] = axis
    for node in nodes:
        axis = row_axis(node.type)
        if axis is None or (node.name not in ends and _rule(node, tape, own, changing) != axis):
            continue
        own[node.name] = axis
    return own


def _rule(node: Node, tape: Tape, own: dict[str, int], changing: Collection[str]) -> int | None:
    if any(name in changing and name not in own for name in node.inputs):
        return None  # one of several rows, or a figure of all of them
    rule = RULES.get(node.op) or (_aligned if _each_number(node.op) else None)
    if rule is None:
        return None
    return rule(node, [tape.values[name].type for name in node.inputs], [own.get(name) for name in node.inputs])


def _each_number(op: str) -> bool:
    return lookup(op).infer.__module__ == elementwise.__name__


def _dim(node: Node, name: str) -> Dim:
    dim = node.attributes[name]
    assert isinstance(dim, int | str)
    return dim


# ---- one rule an operation


def _aligned(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    """Number by number, aligned from the last dim."""
    found = {axis - type.rank for type, axis in zip(types, axes, strict=True) if axis is not None}
    return node.type.rank + found.pop() if len(found) == 1 else None


def _repeated(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    """The same for every row, or each row's own repeated."""
    return row_axis(node.type) if axes[0] is None else _aligned(node, types, axes)


def _transpose(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    order: Any = node.attributes["order"]
    return None if axes[0] is None else order.index(axes[0])


def _reshape(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    """Rows stay in order where as many numbers come before their dim as after; each then has its own block."""
    axis, now = axes[0], row_axis(node.type)
    if axis is None or now is None:
        return None
    return now if multiply(types[0].dims[:axis]) == multiply(node.type.dims[:now]) else None


def _folded(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    given: Any = node.attributes.get("axes", (node.attributes.get("axis"),))
    if axes[0] is None or axes[0] in given:
        return None
    return axes[0] if node.attributes.get("keep") else axes[0] - sum(axis < axes[0] for axis in given)


def _beside(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    """Along a dim that stays: `axis`, else the last."""
    along = node.attributes.get("axis", types[0].rank - 1)
    return axes[0] if len(set(axes)) == 1 and axes[0] != along else None


def _product(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    (left, right), (a, b) = types, axes
    at = {axis - type.rank for type, axis in ((left, a), (right, b)) if axis is not None}
    if len(at) != 1:
        return None
    if a == left.rank - 1 or b == right.rank - 2:
        return None  # summed over the rows
    return node.type.rank + at.pop()


def _gather(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    return axes[1] if axes[0] is None else None


def _by_place(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    found = {axis for axis in axes if axis is not None}
    return found.pop() if len(found) == 1 and axes[0] != len(node.type.dims) else None


def _scanned(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    """Where each step keeps the rows apart, and so what it carries on."""
    body, result = node.attributes["body"], node.attributes["result"]
    assert isinstance(body, Graph)
    assert isinstance(result, str)
    tape = Tape.of(body)
    own = own_rows(tape, body.nodes, (), depending(tape, body.nodes))
    if result not in own or any(wide(body.types()[o.value]) and o.value not in own for o in body.outputs):
        return None
    return own[result] + (not node.attributes["final"])


def _windowed(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    """Pictures side by side in the first dim, with one kernel for all of them."""
    return 0 if axes[0] == 0 and axes[1:] in ([], [None]) else None


def _put_back(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    return 0 if set(axes) == {0} else None


def _drawn(node: Node, types: Sequence[Type], axes: Axes) -> int | None:
    return row_axis(node.type)


RULES: dict[str, Rule] = {
    "expand": _repeated,
    "transpose": _transpose,
    "reshape": _reshape,
    **dict.fromkeys(("sum", "mean", "variance", "max", "min", "argmax"), _folded),
    **dict.fromkeys(("softmax", "log_softmax", "normalise", "slice", "pad", "concat"), _beside),
    **dict.fromkeys(("argsort", "take", "put", "cumulate"), _beside),
    "variance": _folded,
    "logsumexp": lambda node, types, axes: axes[0] if axes[0] != types[0].rank - 1 else None,
    "matmul": _product,
    "gather": _gather,
    "pick": _by_place,
    "place": _by_place,
    **dict.fromkeys(("convolve", "convolve_back", "window_sum", "window_spread", "window_max"), _windowed),
    **dict.fromkeys(("window_put", "window_take"), _put_back),
    "random": _drawn,
    "scan": _scanned,
}
