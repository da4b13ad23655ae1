"""What was left out or cut while rows were read: counted, and said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dotnn import spec
from dotnn.arrays import Array
from dotnn.data.columns import Bad
from dotnn.data.paths import show
from dotnn_grammar.problems import Problem

FIRST = 3
"""Of how many rows that were left out it is said why."""


class NothingFits(Problem):
    code = "D061"
    title = "every row of the part `{part}` is left out"
    label = "bad rows are left out here"
    help = "the first: {first}"
    part: str
    first: str


@dataclass(frozen=True)
class Skipped:
    """The rows that were left out, since the spec says `on bad row skip`."""

    count: int
    of: int
    """How many rows there were, these among them."""
    first: tuple[str, ...]
    """What is wrong with the first of them, each with file and line."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """By column: how many of them have no value there."""

    def __str__(self) -> str:
        more = f"; and {self.count - len(self.first):,} more" if self.count > len(self.first) else ""
        rows = "1 row is" if self.count == 1 else f"{self.count:,} rows are"
        return f"{rows} left out, of {self.of:,}: {'; '.join(self.first)}{more}"


def without(
    places: Mapping[str, Array], bad: Bad, count: int, data: spec.Data
) -> tuple[dict[str, Array], Skipped | None]:
    """The parts without the rows that are bad: the others stay in the part to which they were dealt."""
    problems = [*bad.lost, *(bad.rows[row] for row in sorted(bad.rows))]
    if not problems:
        return dict(places), None
    fine = np.ones(count, bool)
    fine[list(bad.rows)] = False
    left = {name: rows[fine[rows]] for name, rows in places.items()}
    for name, rows in left.items():
        if not len(rows):
            raise NothingFits(span=data.span, part=name, first=problems[0].title_text).error()
    first = tuple(problem.title_text for problem in problems[:FIRST])
    return left, Skipped(len(problems), count + len(bad.lost), first, dict(bad.missing))


def sample_notes(bad: Bad, rows: int) -> tuple[str, ...]:
    """What to say of the rows that a sample would leave out."""
    problems = [*bad.lost, *(bad.rows[row] for row in sorted(bad.rows))]
    first = tuple(problem.title_text for problem in problems[:FIRST])
    return (f"note: {Skipped(len(problems), rows + len(bad.lost), first)} (so far)",) if problems else ()


def cut_note(name: str, count: int) -> str:
    """What is said of texts that were cut."""
    texts = "1 text of `{}` is" if count == 1 else f"{count:,} texts of `{{}}` are"
    return f"{texts.format(show(name))} longer than its `length`, and cut there"
