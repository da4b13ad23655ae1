"""Where checkpoints are kept: written so that one is whole or not there, found again, and thinned out.

`ckpt-000123.tmp-PID/` is filled and made safe, then renamed to `ckpt-000123` (the number is the step); `LATEST` names
it. Whatever ends the process, and whenever, the checkpoint before is whole until the new one is.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from dotnn.training.checkpoint import Altered, Facts, Manifest, Snapshot, decode, encode
from dotnn.training.files import DISK, Disk, forget, put
from dotnn.training.problems import CheckpointLost, advice_for, reason_of, where
from dotnn_grammar.problems import Problem

LATEST, LOG = "LATEST", "log.jsonl"
_NAME = re.compile(r"ckpt-(\d{6,})")

SHARE = 20
"""Without a wish of the user's: a checkpoint at each epoch's end, as long as they take less than 1/20 of the time."""
LONGEST = 60.0
"""Seconds, and then one within an epoch too."""


class BadEvery(Problem):
    code = "T015"
    title = "`--checkpoint-every {text}` is no distance"
    help = "write a number and what it counts: `500 steps`, `30 s`, `5 min`, `1 h`"
    text: str


class NoCheckpoint(Problem):
    code = "T016"
    title = "`{folder}` has no checkpoint from which it could go on"
    help = "{advice}"
    folder: str
    advice: str


@dataclass(frozen=True, slots=True)
class Every:
    """How far checkpoints are apart, beside those at the end of each epoch. Neither: as often as costs little."""

    steps: int | None = None
    seconds: float | None = None

    @property
    def usual(self) -> bool:
        return self.steps is None and self.seconds is None

    def __str__(self) -> str:
        return f"{self.steps} steps" if self.steps else f"{self.seconds:g} s" if self.seconds else ""


def every(text: str | None) -> Every:
    """`500 steps`, `30s`, `5 min`, `1 h`. Raises ``ProblemError``."""
    if not text:
        return Every()
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(steps?|s|sec|seconds?|min|minutes?|h|hours?)\s*", text)
    number = float(found[1]) if found else 0.0
    if found is None or number <= 0 or (found[2].startswith("step") and not number.is_integer()):
        raise BadEvery(text=text).error()
    if found[2].startswith("step"):
        return Every(steps=int(number))
    return Every(seconds=number * {"s": 1, "m": 60, "h": 3600}[found[2][0]])


class Store:
    """The checkpoints of one run, written by the one process that holds its lock."""

    def __init__(
        self, folder: Path, facts: Facts, apart: Every = Every(), most: int = 2, disk: Disk = DISK, step: int = -1
    ) -> None:
        """step: of the newest checkpoint that is there; -1 where there is none."""
        self.folder = folder
        self.facts = facts
        self.apart = apart
        self.most = max(2, most)
        self.disk = disk
        self.step = step
        self.cost = 0.0
        self.last = perf_counter()

    def next_step(self, step: int) -> int:
        """The step, after ``step``, at which one is due by counting; -1 where steps do not matter."""
        return -1 if self.apart.steps is None else step - step % self.apart.steps + self.apart.steps

    def due(self, epoch_ended: bool) -> bool:
        """Whether it is time for one, by the clock."""
        passed = perf_counter() - self.last
        if not self.apart.usual:
            return epoch_ended or (self.apart.seconds is not None and passed >= self.apart.seconds)
        return passed >= SHARE * self.cost if epoch_ended else passed >= LONGEST and passed >= SHARE * self.cost

    def save(self, snapshot: Snapshot) -> None:
        """Writes a checkpoint, unless that of this step is there. Raises ``ProblemError``; the former stays whole."""
        step = snapshot.position.step
        if step == self.step:
            return
        begun = perf_counter()
        files = encode(snapshot, self.facts)
        path = self.folder / name_of(step)
        beside = self.folder / f"{path.name}.tmp-{os.getpid()}"
        disk = self.disk
        log = self.folder / LOG
        try:
            if log.exists():
                disk.sync(log)
            disk.make(beside)
            for name, data in files.items():
                disk.write(beside / name, data)
                disk.sync(beside / name)
            disk.sync(beside)
            disk.rename(beside, path)
            disk.sync(self.folder)
        except OSError as error:
            problem = self._lost(step, path, error, sum(map(len, files.values())))
            forget(disk, beside)
            raise problem.error() from None
        self.step = step
        try:
            put(disk, self.folder / LATEST, f"{path.name}\n".encode())
            prune(self.folder, self.most, disk)
        except OSError as error:
            raise self._lost(step, self.folder / LATEST, error, len(path.name)).error() from None
        self.last = perf_counter()
        self.cost = self.last - begun

    def kept(self) -> str:
        """What is safe, in words."""
        if self.step < 0:
            return "no checkpoint was written before"
        return f"nothing before step {self.step:,} is lost: nn resume {self.folder}"

    def _lost(self, step: int, path: Path, error: OSError, size: int) -> CheckpointLost:
        advice = advice_for(self.folder, error, size)
        return CheckpointLost(
            step=step,
            what="the checkpoint",
            path=where(path, error),
            reason=reason_of(error),
            advice=advice,
            kept=self.kept(),
        )


def name_of(step: int) -> str:
    """The folder of the checkpoint at a step."""
    return f"ckpt-{step:06}"


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Every checkpoint by its step, the newest first."""
    try:
        found = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    except OSError:
        return []
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def prune(folder: Path, most: int, disk: Disk = DISK) -> None:
    """Takes away all but the newest ``most``; a name goes first, so that no half of one is left under it."""
    for _, path in checkpoints(folder)[most:]:
        old = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        disk.rename(path, old)
        disk.remove(old)


def sweep(folder: Path, disk: Disk = DISK) -> None:
    """Takes away what a process that was ended left half written. Only for who holds the lock."""
    for path in sorted(folder.iterdir()):
        if re.fullmatch(r"(ckpt-\d+|\..+)\.tmp-\d+", path.name):
            forget(disk, path)


@dataclass(frozen=True, slots=True)
class Found:
    """The newest whole checkpoint, and what was said on the way to it."""

    path: Path
    manifest: Manifest
    snapshot: Snapshot
    notes: tuple[str, ...]


def newest(folder: Path, disk: Disk = DISK) -> Found:
    """The newest checkpoint that is whole; those that are not are moved aside and named. Raises ``ProblemError``."""
    notes: list[str] = []
    for step, path in checkpoints(folder):
        try:
            manifest, snapshot = decode(path)
            if manifest.position.step != step:
                raise Altered(f"it is of step {manifest.position.step:,}, and its name says another")
        except Altered as why:
            notes.append(_aside(path, str(why), disk))
        except OSError as error:
            notes.append(_aside(path, reason_of(error), disk))
        else:
            if notes:
                notes.append(f"note: going on from {path.name}, the one before")
            return Found(path, manifest, snapshot, tuple(notes))
    advice = "\n    ".join(notes) or "it ended before the first was written; train again"
    raise NoCheckpoint(folder=str(folder), advice=advice).error()


def _aside(path: Path, why: str, disk: Disk) -> str:
    for number in range(1, 1000):
        torn = path.with_name(f"torn-{path.name}" + (f"-{number}" if number > 1 else ""))
        if not torn.exists():
            break
    try:
        disk.rename(path, torn)
    except OSError as error:
        return f"note: {path.name} is not whole ({why}), and cannot be moved aside: {reason_of(error)}"
    return f"note: {path.name} is not whole ({why}): moved aside to {torn.name}"
