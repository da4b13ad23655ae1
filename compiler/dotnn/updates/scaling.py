"""Scaling: with `precision f16` the loss is multiplied before its gradient is taken, lest small gradients become 0.

The least full number of f16 is 6e-5, and gradients are often smaller; so the loss is taken some powers of 2 larger, and
the gradients as much smaller again once they are in f32. The factor is found while training goes: an update whose
gradients are not finite is left out and the factor halved; after `PATIENCE` updates in a row that were fine it is
doubled.

Source: Micikevicius et al., "Mixed precision training", arXiv:1710.03740, section 3.2; the numbers are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dotnn.graph import Type
from dotnn.tape import Tape, Value
from dotnn.updates.turns import Turn

SCALE, FINE = "precision.scale", "precision.fine"
"""States: the factor; how many updates in a row were fine with it."""

FIRST, LEAST, MOST = 2.0**16, 1.0, 2.0**24
PATIENCE = 2000


@dataclass(frozen=True)
class Judged:
    """Whether an update is made, and what becomes of the factor."""

    made: Value
    fine: Value
    """No reason to stop: the gradients are finite, or a smaller factor may make them so."""
    successors: dict[str, Value]


def begin(tape: Tape, turn: Turn) -> None:
    """In the phase `init`."""
    tape.output(turn.state(SCALE), tape.literal(FIRST), "state")
    tape.output(turn.state(FINE), tape.literal(0, "i64"), "state")


def forth(turn: Turn) -> Callable[[Value], Value]:
    """The loss as it is differentiated."""
    return lambda loss: loss * loss.tape.input(turn.state(SCALE), Type(dtype="f32"), "state")


def back(tape: Tape, turn: Turn, gradients: Mapping[str, Value]) -> dict[str, Value]:
    """The gradients of the loss itself: exact, since the factor is a power of 2."""
    factor = 1 / tape.values[turn.state(SCALE)]
    return {path: gradient * factor for path, gradient in gradients.items()}


def judge(tape: Tape, turn: Turn, finite: Value, full: Value | None) -> Judged:
    """finite: whether the gradients are; full: whether this batch ends an update, None where each does."""
    scale, fine = tape.values[turn.state(SCALE)], tape.input(turn.state(FINE), Type(dtype="i64"), "state")
    one = tape.literal(1, "i64")
    enough = tape.add("ge", fine + one, tape.literal(PATIENCE, "i64"))
    larger = tape.add("minimum", scale * 2, tape.literal(MOST))
    smaller = tape.add("maximum", scale / 2, tape.literal(LEAST))
    grown = tape.add("select", enough, larger, scale)
    after = tape.add("select", finite, grown, smaller)
    none = tape.literal(0, "i64")
    count = tape.add("select", finite, tape.add("select", enough, none, fine + one), none)
    made = finite
    if full is not None:
        made = tape.add("and", finite, full)
        after, count = tape.add("select", full, after, scale), tape.add("select", full, count, fine)
    hopeful = tape.add("or", finite, tape.add("gt", scale, tape.literal(LEAST)))
    return Judged(made, hopeful, {turn.state(SCALE): after, turn.state(FINE): count})
