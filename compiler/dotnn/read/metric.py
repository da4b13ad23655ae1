"""`metric bleu = … on val every 2 epochs`: when a metric is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnn import spec
from dotnn.read.settings import Clause, Line, name_in

if TYPE_CHECKING:
    from dotnn.read.train import TrainBlock

OTHERS = ("=", "weighted", "by")


def when(block: TrainBlock, line: Line) -> tuple[str | None, spec.Expression | None]:
    """The part of the data, and every how many epochs; None where nothing is said of it. Raises ``ProblemError``."""
    part: str | None = None
    count: spec.Expression | None = None
    left = [clause for clause in line.phrases[0].clauses if clause.word not in OTHERS]
    while left:
        clause, *left = left
        if clause.word == "on" and part is None:
            part, left = _part(block, line, clause, left)
        elif clause.word == "every" and count is None:
            count, left = _count(block, line, clause, left)
        else:
            twice = clause.word in ("on", "every")
            reason = f"`{clause.word}` stands there twice" if twice else f"`{clause.word}` does not belong here"
            raise block.malformed(line, reason, clause.span)
    return part, count


def _part(block: TrainBlock, line: Line, clause: Clause, left: list[Clause]) -> tuple[str, list[Clause]]:
    name = name_in(clause.value)
    if name is None and clause.value is None and left and left[0].value is None:  # a word follows: it is a word too
        name, left = str(left[0].word), left[1:]
    if name is None or name in ("every", "epochs"):
        raise block.malformed(line, "on which part of the data?", clause.span)
    return name, left


def _count(block: TrainBlock, line: Line, clause: Clause, left: list[Clause]) -> tuple[spec.Expression, list[Clause]]:
    if clause.value is None or not left or left[0].word not in ("epoch", "epochs") or left[0].value is not None:
        raise block.malformed(line, "every how many epochs?", clause.span)
    count = block.reader.expression(clause.value)
    if isinstance(count, spec.Number) and (not isinstance(count.value, int) or count.value < 1):
        raise block.malformed(line, "a whole number from 1 up is needed", clause.span)
    return count, left[1:]
