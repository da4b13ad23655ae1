"""Loggers: how training goes, written down for other programs. They come in by the hook `dotnn_loggers`.

`log.jsonl` is no logger: a run's checkpoints say how much of it belongs to them, and every run has it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dotnn import plugins
from dotnn.program import Program
from dotnn.training.events import Epoch, Observer, Outcome, Start, Tick
from dotnn.training.figures import number_of
from dotnn.training.rules import Splits
from dotnn_grammar.problems import Problem, ProblemError

API = 1

FOLDER = "tensorboard"


class NotInstalled(Problem):
    code = "T045"
    title = "`--log {logger}` needs {package}, which is not installed"
    help = "pip install 'dotnn[{extra}]'"
    logger: str
    package: str
    extra: str


class TensorBoard:
    """Satisfies ``dotnn.plugins.Logger``."""

    name = "tensorboard"
    summary = "files for TensorBoard, in the run's folder: tensorboard --logdir runs"

    def open(self, folder: Path, program: Program) -> Observer:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise NotInstalled(logger=self.name, package="tensorboardX", extra="tensorboard").error() from None

        def begin(at: int) -> Any:
            # A file is named by the second; a run that goes on within it must not write over what it wrote before.
            own = f".{at}.{os.getpid()}"
            place = str(folder / FOLDER)
            return SummaryWriter(logdir=place, purge_step=at + 1 if at else None, filename_suffix=own)

        return Scalars(begin)


class Scalars(Observer):
    """Every number of each epoch, at its step: `loss/train`, `loss/val`, …, `run/rate`; at the end `loss/test` too.

    open: a writer with ``add_scalar(name, value, step)``, ``flush()`` and ``close()``, from the step at which the run
    goes on.
    """

    def __init__(self, open: Callable[[int], Any]) -> None:
        self.open = open
        self.writer: Any = None

    def started(self, start: Start) -> None:
        self.writer = self.open(start.at)

    def epoch(self, epoch: Epoch) -> None:
        for name, value in scalars(epoch):
            self.writer.add_scalar(name, value, epoch.step)
        self.writer.flush()

    def ended(self, outcome: Outcome) -> None:
        for name, value in _figures({"test": outcome.splits.get("test", {})}):
            self.writer.add_scalar(name, value, outcome.steps)
        self.close()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = None


def scalars(epoch: Epoch) -> Iterator[tuple[str, float]]:
    """The numbers of an epoch by name; those that are none are left out."""
    yield from _figures(epoch.splits)
    facts = {
        "rate": epoch.rate,
        "norm": epoch.norm,
        "change": epoch.change,
        "rows_per_second": epoch.rows_per_second,
        "memory": epoch.memory,
    }
    for name, value in facts.items():
        if value is not None and math.isfinite(value):
            yield f"run/{name}", float(value)


def _figures(splits: Splits) -> Iterator[tuple[str, float]]:
    for split, figures in splits.items():
        for name, value in figures.items():
            if math.isfinite(number_of(value)):
                yield f"{name}/{split}", number_of(value)


class Guarded(Observer):
    """A logger that may fail: it is then left out, with a word on why, and training goes on."""

    def __init__(self, name: str, inner: Observer, say: Callable[[str], None]) -> None:
        self.name, self.inner, self.say = name, inner, say
        self.broken = False

    def started(self, start: Start) -> None:
        self._do(lambda: self.inner.started(start))

    def tick(self, tick: Tick) -> None:
        self._do(lambda: self.inner.tick(tick))

    def epoch(self, epoch: Epoch) -> None:
        self._do(lambda: self.inner.epoch(epoch))

    def ended(self, outcome: Outcome) -> None:
        self._do(lambda: self.inner.ended(outcome))

    def close(self) -> None:
        """Lets go of its files, whatever happened."""
        if hasattr(self.inner, "close"):
            self._do(self.inner.close)

    def _do(self, act: Callable[[], None]) -> None:
        if self.broken:
            return
        try:
            act()
        except Exception as error:
            self.broken = True
            why = (
                error.problems[0].title_text if isinstance(error, ProblemError) else f"{type(error).__name__}: {error}"
            )
            self.say(f"note: the logger {self.name} writes no more, training goes on: {why}")


def open_loggers(names: Sequence[str], folder: Path, program: Program, say: Callable[[str], None]) -> list[Guarded]:
    """A logger for each name. Raises ``ProblemError`` where one is not there, or needs what is not installed."""
    chosen = [plugins.logger(name) for name in dict.fromkeys(names)]
    return [Guarded(logger.name, logger.open(folder, program), say) for logger in chosen]


@plugins.hook
def dotnn_loggers() -> Sequence[plugins.Logger]:
    return (TensorBoard(),)
