"""An operation done at all steps of a scan at once: what it does to one step's slice, with the steps as a first dim.

What does not wait for the step before need not be done step by step: `x[t] @ W` of all steps is one product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dotnn.graph import Attribute, Dim
from dotnn.operation import lookup
from dotnn.ops import elementwise
from dotnn.tape import Tape, Value


@dataclass(frozen=True)
class Every:
    """An input of the operation: one value for each step (``timed``: dims [steps, …]), or one for all of them."""

    value: Value
    timed: bool

    @property
    def rank(self) -> int:
        """In one step."""
        return self.value.type.rank - self.timed

    def lifted(self, rank: int) -> Value:
        """With sizes of 1 put before the dims of a step, up to this rank: then dims align from the last."""
        if not self.timed or self.rank >= rank:
            return self.value
        first, *rest = self.value.dims
        return self.value.reshape((first, *(1,) * (rank - self.rank), *rest))

    def repeated(self, steps: Dim) -> Value:
        """One for each step."""
        return self.value if self.timed else self.value.expand((steps, *self.value.dims))


Inputs = Sequence[Every]
Facts = Mapping[str, Any]
Rule = Callable[[Inputs, Facts, Dim], tuple[Sequence[Value], Facts]]
"""The inputs, the attributes and the steps -> the same for all steps at once."""


def _aligned(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    rank = max(x.rank for x in inputs)
    return [x.lifted(rank) for x in inputs], facts


def _axes(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [x.value for x in inputs], {**facts, "axes": tuple(axis + 1 for axis in facts["axes"])}


def _axis(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [x.repeated(steps) for x in inputs], {**facts, "axis": facts["axis"] + 1}


def _dims(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [x.value for x in inputs], {**facts, "dims": (steps, *facts["dims"])}


def _expand(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [inputs[0].lifted(len(facts["dims"]))], {"dims": (steps, *facts["dims"])}


def _order(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [inputs[0].value], {"order": (0, *(axis + 1 for axis in facts["order"]))}


def _rows(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [x.repeated(steps) for x in inputs], facts


def _gather(inputs: Inputs, facts: Facts, steps: Dim) -> tuple[Sequence[Value], Facts]:
    return [x.value for x in inputs], facts


RULES: dict[str, Rule] = {
    "matmul": _aligned,
    **dict.fromkeys(("sum", "mean", "variance", "max", "min"), _axes),
    **dict.fromkeys(("argmax", "slice", "pad", "concat", "cumulate", "argsort", "take", "put"), _axis),
    "reshape": _dims,
    "expand": _expand,
    "transpose": _order,
    **dict.fromkeys(("softmax", "log_softmax", "logsumexp", "normalise", "precision", "pick", "place"), _rows),
    "gather": _gather,
}


def can(op: str, timed: Sequence[bool]) -> bool:
    """Whether the operation can be done at all steps at once, where these inputs have one value for each."""
    return _rule(op) is not None and not (op == "gather" and timed[0])


def at_all_steps(tape: Tape, op: str, inputs: Inputs, attributes: Mapping[str, Attribute], steps: Dim) -> Value:
    """The results of all steps, dims [steps, …]. Only where ``can`` says so."""
    rule = _rule(op)
    assert rule is not None
    values, facts = rule(inputs, attributes, steps)
    return tape.add(op, *values, **facts)


def _rule(op: str) -> Rule | None:
    if op in RULES:
        return RULES[op]
    return _aligned if lookup(op).infer.__module__ == elementwise.__name__ else None
