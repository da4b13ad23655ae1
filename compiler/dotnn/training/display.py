"""What a person sees while a net learns: a live table on a terminal, plain lines elsewhere. All on stderr."""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from dotnn.program import Program
from dotnn.training.events import Epoch, Observer, Outcome, Start, Tick
from dotnn.training.figures import Reading, gathering, number_of, sizes_of
from dotnn_grammar.problems import many

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

BARS = "▁▂▃▄▅▆▇█"
SHOWN = 8
"""Epochs in the live table."""
LINES = 50
"""Plain lines, about, of a long training."""


def colored(stream: IO[str]) -> bool:
    """Whether colours and a moving display suit this stream."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_share(program: Program, name: str) -> bool:
    """Whether a figure is a share of the rows, to be shown in percent: the mean of a comparison."""
    return reads_as_share(next((figure.text for figure in program.figures if figure.name == name), ""))


def reads_as_share(text: str) -> bool:
    """Whether what the spec says of a figure compares something."""
    return bool(re.search(r"[!=<>]=|[<>]", re.sub(r"->", "", re.split(" where | weighted by ", text)[0])))


def shown(value: Reading | None, share: bool = False) -> str:
    """A figure for people: ``2.6 %``, ``0.0931``; of a table how large it is: ``10 x 10``."""
    if isinstance(value, tuple):
        return " x ".join(str(size) for size in sizes_of(value))
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:.1f} %" if share else f"{value:.4g}"


def clock(seconds: float) -> str:
    """``0.8 s``, ``2 min 5 s``, ``3 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """The course of a figure as a row of bars, the newest at the right."""
    known = [v for v in values if math.isfinite(v)]
    if len(known) < 2:
        return ""
    if len(known) > width:
        edges = [round(i * len(known) / width) for i in range(width + 1)]
        known = [sum(known[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((v - low) * scale)] for v in known)


def introduction(start: Start) -> list[str]:
    """What is going to happen, in a few words."""
    program, plan = start.program, start.program.plan
    purposes = {"train": "to learn from", "val": "to check itself on", "test": "kept for the exam"}
    rows = [f"{count:,} {purposes.get(name, name)}" for name, count in start.rows.items()]
    length = many(start.steps, "step") if plan.steps is not None else f"at most {many(start.epochs, 'time')} through"
    size = f"{many(plan.batch, 'row')} at a time"
    size = f"at most {many(plan.tokens, 'token')} at a time" if plan.tokens is not None else size
    size += f", {plan.accumulate} of these batches an adjustment" if plan.accumulate > 1 else ""
    size += f", with products of {plan.precision}" if plan.precision != "f32" else ""
    how = "At each step it guesses, measures its error, finds which numbers are to blame, and adjusts them a little."
    return [
        f"{program.name} learns from the data `{program.data}`: {', '.join(rows)}.",
        f"It has {many(program.parameters, 'number')} to adjust, {size}, {length}.",
        f"It goes on after step {start.at:,}, as if it had never stopped." if start.at else how,
        *(f"`{f.name}` looks at all rows at once: `train` has it at the end alone." for f in gathering(program)),
    ]


class Table:
    """Which figures are shown, and how."""

    def __init__(self, program: Program) -> None:
        self.names = [figure.name for figure in program.figures if figure.role in ("loss", "error")]
        self.share = {name: is_share(program, name) for name in self.names}

    def heads(self, splits: Sequence[str]) -> list[str]:
        return [f"{split} {name}" for split in splits for name in self.names]

    def cells(self, epoch: Epoch, splits: Sequence[str]) -> list[str]:
        return [shown(epoch.splits.get(s, {}).get(n), self.share[n]) for s in splits for n in self.names]

    def watched(self, epoch: Epoch) -> float:
        """The figure of the sparkline: the error where there is one, on val where there is one."""
        figures = epoch.splits.get("val") or epoch.splits["train"]
        return number_of(figures.get(self.names[-1])) if self.names else math.nan


class Lines(Observer):
    """Plain lines: one an epoch, fewer where there are many epochs; always the best so far."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self.out = out or sys.stderr

    def started(self, start: Start) -> None:
        self.table = Table(start.program)
        self.splits = [name for name in ("train", "val") if name in start.rows]
        self.epochs = start.epochs
        self.every = max(1, math.ceil(start.epochs / LINES))
        self.unsaid: Epoch | None = None
        self._say("\n".join(introduction(start)))
        self._say("epoch  " + "  ".join(f"{head:>11}" for head in self.table.heads(self.splits)))

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 1 or epoch.best or epoch.number % self.every == 0:
            self._line(epoch)
        else:
            self.unsaid = epoch

    def ended(self, outcome: Outcome) -> None:
        if self.unsaid is not None:
            self._line(self.unsaid)

    def _line(self, epoch: Epoch) -> None:
        self.unsaid = None
        cells = "  ".join(f"{cell:>11}" for cell in self.table.cells(epoch, self.splits))
        self._say(f"{epoch.number:>5}  {cells}" + ("  best so far" if epoch.best and epoch.number > 1 else ""))

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)


class Screen(Observer):
    """A live table on a terminal: the last epochs, the course of the error, how far it is and how long it takes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, start: Start) -> None:
        from rich.live import Live

        self.start = start
        self.table = Table(start.program)
        self.splits = [name for name in ("train", "val") if name in start.rows]
        self.epochs: list[Epoch] = []
        self.course: list[float] = []
        self.now: Tick | None = None
        self.best: Epoch | None = None
        for line in introduction(start):
            self.console.print(line, highlight=False, style="dim" if line.startswith("At each") else "")
        self.live: Live = Live(self._picture(), console=self.console, auto_refresh=False, transient=False)
        self.live.start()
        self.drawn = 0.0

    def tick(self, tick: Tick) -> None:
        self.now = tick
        self._draw(tick.seconds)

    def epoch(self, epoch: Epoch) -> None:
        self.epochs = [*self.epochs[-SHOWN + 1 :], epoch]
        self.course.append(self.table.watched(epoch))
        self.best = epoch if epoch.best else self.best
        self.now = None
        self._draw(epoch.seconds)

    def ended(self, outcome: Outcome) -> None:
        self.live.update(self._picture(ended=True), refresh=True)
        self.live.stop()

    def close(self) -> None:
        """Gives the terminal back, whatever happened."""
        if hasattr(self, "live"):
            self.live.stop()

    def _draw(self, seconds: float) -> None:
        if seconds - self.drawn >= 0.08 or self.drawn == 0:
            self.drawn = seconds
            self.live.update(self._picture(), refresh=True)

    def _picture(self, ended: bool = False) -> RenderableType:
        from rich.console import Group
        from rich.table import Table as Grid
        from rich.text import Text

        table = Grid(box=None, padding=(0, 2), header_style="bold")
        for head in ["epoch", *self.table.heads(self.splits), ""]:
            table.add_column(head, justify="right")
        for epoch in self.epochs:
            cells = self.table.cells(epoch, self.splits)
            table.add_row(str(epoch.number), *cells, "best so far" if epoch.best else "")
        if self.now is not None:
            figures = [self.now.running.get(name) for name in self.table.names]
            cells = [shown(f, self.table.share[n]) for f, n in zip(figures, self.table.names, strict=True)]
            table.add_row(str(self.now.epoch), *cells, style="dim")
        bars = sparkline(self.course)
        split = "val" if "val" in self.splits else "train"
        name = self.table.names[-1] if self.table.names else ""
        best = f"  best: epoch {self.best.number}" if self.best else ""
        below = [Text(f"{split} {name}  {bars}{best}", style="cyan")] if bars and name else []
        return Group(table, *below, *([] if ended else [Text(self._progress(), style="dim")]))

    def _progress(self) -> str:
        latest = self.now or (self.epochs[-1] if self.epochs else None)
        if latest is None or not self.start.steps:
            return "getting ready"
        done = latest.step / self.start.steps
        width = 24
        full = round(done * width)
        left = latest.seconds / max(done, 1e-9) - latest.seconds
        return f"{'━' * full}{'╌' * (width - full)}  {done:.0%}, {clock(left)} left at most. Ctrl-C stops and keeps it."
