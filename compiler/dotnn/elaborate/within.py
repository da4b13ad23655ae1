"""`within(i, 28..32)`: whether numbers lie in a range, its end left out."""

from __future__ import annotations

from dotnn.elaborate.arithmetic import combine, tensor
from dotnn.elaborate.spoken import Spoken, Word
from dotnn.elaborate.values import Interval, Size, Tensor
from dotnn.operation import MisfitError


def _within(call: Spoken) -> Tensor:
    """`within(x, 2..5)`: yes where x is 2 or more, and below 5."""
    x, range = call.two()
    if not isinstance(range, Interval):
        raise MisfitError("`within` takes a number and a range: within(row, 28..32)")
    stop = range.stop if isinstance(range.stop, int) else Size(range.stop)
    above, below = combine(call.tape, ">=", x, range.start), combine(call.tape, "<", x, stop)
    return tensor(call.tape, combine(call.tape, "and", above, below))


WORDS: dict[str, Word] = {"within": _within}
SETTINGS: dict[str, tuple[str, ...]] = {}
