"""Several runs side by side: they take turns, an epoch each, and are compared at the end."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from dotnn.program import Program
from dotnn.training.display import LINES, Table, clock, introduction, is_share, shown
from dotnn.training.events import Epoch, Observer, Outcome, Start
from dotnn.training.loop import Course
from dotnn.training.measure import Flag

T = TypeVar("T")


def in_turn(courses: Mapping[str, Course[T]], flag: Flag) -> dict[str, T]:
    """All courses to their ends, a little of each at a time; what they give, by name.

    Where one fails the others are asked to end, so that each leaves a checkpoint; then its error is raised.
    """
    going, given = dict(courses), dict[str, T]()
    failed: BaseException | None = None
    while going:
        for name, course in list(going.items()):
            try:
                next(course)
            except StopIteration as end:
                given[name] = end.value
            except BaseException as error:  # the others are to end well, whatever it is
                failed = failed or error
                flag.raised = flag.raised or 1
            else:
                continue
            del going[name]
    if failed is not None:
        raise failed
    return {name: given[name] for name in courses}


class Together:
    """What a person sees of runs that take turns: a line an epoch, with the run's name."""

    def __init__(self, names: Sequence[str], out: IO[str] | None = None) -> None:
        self.out = out or sys.stderr
        self.width = max(len(name) for name in names)
        self.lines = max(1, LINES // len(names))
        """Of each run, about."""
        self.heads: list[str] = []
        self.absent = len(names)
        """How many have not begun."""
        self.waiting: list[str] = []
        """Lines of the first, until all have begun."""

    def of(self, name: str) -> Observer:
        """What is told of the run of that name."""
        return _Side(self, name)

    def begins(self, lines: Sequence[str]) -> None:
        """One more has begun, and is introduced."""
        self.absent -= 1
        self.say("\n".join(lines[:2] if self.absent else lines))
        if not self.absent:
            self.flush()

    def line(self, text: str) -> None:
        if self.absent:
            self.waiting.append(text)
        else:
            self.say(text)

    def flush(self) -> None:
        """Says what has waited."""
        if self.waiting:
            self.say("\n".join(self.waiting))
            self.waiting = []

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)


class _Side(Observer):
    def __init__(self, whole: Together, name: str) -> None:
        self.whole, self.name = whole, name
        self.unsaid: Epoch | None = None

    def started(self, start: Start) -> None:
        self.table = Table(start.program)
        self.splits = [name for name in ("train", "val") if name in start.rows]
        self.every = max(1, math.ceil(start.epochs / self.whole.lines))
        self.whole.begins(introduction(start))

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 1 or epoch.best or epoch.number % self.every == 0:
            self._line(epoch)
        else:
            self.unsaid = epoch

    def ended(self, outcome: Outcome) -> None:
        if self.unsaid is not None:
            self._line(self.unsaid)
        self.whole.flush()

    def _line(self, epoch: Epoch) -> None:
        self.unsaid = None
        heads, whole = self.table.heads(self.splits), self.whole
        if heads != whole.heads:  # the first, or one that measures something else than the one above
            whole.heads = heads
            whole.line("epoch  " + " " * whole.width + "  " + "  ".join(f"{head:>11}" for head in heads))
        cells = "  ".join(f"{cell:>11}" for cell in self.table.cells(epoch, self.splits))
        best = "  best so far" if epoch.best and epoch.number > 1 else ""
        whole.line(f"{epoch.number:>5}  {self.name:<{whole.width}}  {cells}{best}")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that came to its end."""

    name: str
    program: Program
    outcome: Outcome
    folder: Path


def comparison(runs: Sequence[Ended]) -> list[str]:
    """The runs side by side: how large and how long each was, and every figure of each part of the data."""
    head = [["", "numbers", "epochs", "steps", "time"]]
    for run in runs:
        made = run.outcome
        size, epochs, steps = (f"{n:,}" for n in (run.program.parameters, made.epochs, made.steps))
        head.append([run.name, size, epochs, steps, clock(made.seconds)])
    width = max(9, *(len(run.name) for run in runs))
    lines = ["Side by side:", *_columns(head, width)]
    for part in ("train", "val", "test"):
        there = [run for run in runs if part in run.outcome.splits]
        names = list(dict.fromkeys(name for run in there for name in _numbers(run, part)))
        table = [[part, *names]]
        for run in there:
            found = _numbers(run, part)
            table.append([run.name, *(shown(found.get(name), is_share(run.program, name)) for name in names)])
        lines += ["", *_columns(table, width)] if there else []
    return lines


def _numbers(run: Ended, part: str) -> dict[str, float]:
    """The figures of a part that are one number each."""
    return {name: value for name, value in run.outcome.splits[part].items() if not isinstance(value, tuple)}


def _columns(table: Sequence[Sequence[str]], width: int) -> list[str]:
    widths = [max(8, *(len(line[i]) for line in table)) for i in range(1, len(table[0]))]
    cells = ["".join(f"{cell:>{w + 2}}" for cell, w in zip(line[1:], widths, strict=True)) for line in table]
    return [f"  {line[0]:<{width}}{rest}" for line, rest in zip(table, cells, strict=True)]


def folders(runs: Sequence[Ended]) -> list[str]:
    """Where each is."""
    width = max(len(run.name) for run in runs)
    lines = []
    for run in runs:
        ending = run.outcome.ending
        more = {"stopped": f"   stopped: {run.outcome.reason}", "interrupted": f"   can go on: nn resume {run.folder}"}
        lines.append(f"  {run.name:<{width}}   {run.folder}{more.get(ending, '')}")
    return lines
