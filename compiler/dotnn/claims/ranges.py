"""Whether a figure is a share: by how it is computed it cannot leave 0 to 1."""

from __future__ import annotations

from typing import Any

from dotnn.tape import Value

SAME = (
    "cast",
    "reshape",
    "expand",
    "transpose",
    "mean",
    "max",
    "min",
    "pick",
    "slice",
    "gather",
    "sort",
    "top",
    "take",
)
"""Operations whose results lie where their first input lies."""
WITHIN = ("sigmoid", "softmax", "random")


def is_share(value: Value) -> bool:
    """Whether each of its numbers lies in 0 to 1, whatever is fed."""
    tape = value.tape
    if value.dtype == "bool":
        return True
    node = tape.node(value)
    if node is None:
        return False
    inputs = [tape.values[name] for name in node.inputs]
    if node.op == "literal":
        number: Any = node.attributes["value"]
        return 0 <= float(number) <= 1
    if node.op in SAME:
        return is_share(inputs[0])
    if node.op in ("mul", "minimum", "maximum"):
        return all(is_share(each) for each in inputs)
    if node.op == "select":
        return all(is_share(each) for each in inputs[1:])
    if node.op == "sub":
        first = tape.node(inputs[0])
        return first is not None and first.op == "literal" and first.attributes["value"] == 1 and is_share(inputs[1])
    if node.op == "div":
        return _quotient(*inputs)
    return node.op in WITHIN


def _quotient(total: Value, count: Value) -> bool:
    """A sum over how many were summed, or what two have in common over all that one has."""
    tape = total.tape
    first, second = tape.node(_bare(total)), tape.node(_bare(count))
    if first is None or second is None or first.op != "sum":
        return False
    summed = _bare(tape.values[first.inputs[0]])
    if second.op in ("size", "literal", "mul"):
        return is_share(summed)
    both = tape.node(summed)
    if second.op != "sum" or both is None or both.op not in ("mul", "and", "select"):
        return False
    below = _chosen(_bare(tape.values[second.inputs[0]])).name
    return all(is_share(tape.values[n]) for n in both.inputs) and below in [
        _bare(tape.values[n]).name for n in both.inputs
    ]


def _chosen(value: Value) -> Value:
    """Of 1 where something holds and 0 elsewhere: what holds."""
    node = value.tape.node(value)
    if node is None or node.op != "select":
        return value
    which, *others = (value.tape.values[name] for name in node.inputs)
    return which if [_number(each) for each in others] == [1, 0] else value


def _number(value: Value) -> Any:
    """Of a literal, as large as it may be."""
    node = value.tape.node(value)
    if node is not None and node.op == "expand":
        return _number(value.tape.values[node.inputs[0]])
    return node.attributes["value"] if node is not None and node.op == "literal" else None


def _bare(value: Value) -> Value:
    """The value before it was only converted."""
    node = value.tape.node(value)
    return _bare(value.tape.values[node.inputs[0]]) if node is not None and node.op == "cast" else value
