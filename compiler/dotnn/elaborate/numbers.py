"""Whole numbers that are known before the net runs: sizes of batches, lengths of windows, how many epochs."""

from __future__ import annotations

from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import refuse_size
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import kind
from dotnn.spec import Expression


def whole(frame: Frame, expression: Expression, what: str, way: str = "") -> int:
    """A whole number; what: whose it is, for messages, as `the horizon`. Raises ``ProblemError``."""
    return _whole(frame, expression, f"a whole number for {what}", way)


def positive(frame: Frame, expression: Expression, what: str) -> int:
    """A whole number above 0 that is not past all use. Raises ``ProblemError``."""
    wanted = f"a whole number above 0 for {what}"
    value = _whole(frame, expression, wanted)
    if value < 1:
        frame.fail(NotThatKind, expression, wanted=wanted, found=f"{value}")
    refuse_size(frame, expression, value, what)
    return value


def _whole(frame: Frame, expression: Expression, wanted: str, way: str = "") -> int:
    value = evaluate(frame, expression)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        found = f"{value}" if isinstance(value, float) else kind(value)
        frame.fail(NotThatKind, expression, wanted=wanted, found=found, way=way)
    return value
