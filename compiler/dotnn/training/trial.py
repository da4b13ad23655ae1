"""A run from its folder to its result: the lock, the log, the checkpoints, the loop, what is left at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotnn.data import Dataset
from dotnn.plugins import Backend, Options
from dotnn.program import Program
from dotnn.training import run
from dotnn.training.checkpoint import State
from dotnn.training.claims import with_claims
from dotnn.training.events import Limits, Observer, Outcome, Start
from dotnn.training.files import DISK, Disk, amount
from dotnn.training.lock import locked
from dotnn.training.loop import Course, course, planned, through, whole
from dotnn.training.measure import Flag, resident
from dotnn.training.problems import CheckpointLost, NoMemory, NothingLeft, Stopped
from dotnn.training.started import STARTED, Started
from dotnn.training.store import LOG, Found, Store, every
from dotnn_grammar.problems import ProblemError


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained, on what, and where it is kept."""

    program: Program
    dataset: Dataset
    backend: Backend
    options: Options
    folder: Path
    started: Started

    @property
    def limits(self) -> Limits:
        return Limits(self.started.epochs, self.started.steps)


class Record(Observer):
    """Writes down with what a run starts, as soon as the device and its threads are known."""

    def __init__(self, job: Job, store: Store, disk: Disk) -> None:
        self.job, self.store, self.disk = job, store, disk

    def started(self, start: Start) -> None:
        known = {"device": start.device, "threads": dict(start.threads)}
        self.store.facts = facts = self.store.facts.model_copy(update=known)
        text = self.job.started.model_copy(update={"facts": facts}).model_dump_json(indent=2) + "\n"
        run.write(self.job.folder / STARTED, text, self.disk)


def begun(
    job: Job,
    source: str,
    observers: Sequence[Observer] = (),
    flag: Flag | None = None,
    disk: Disk = DISK,
    first: Callable[[State], State] | None = None,
) -> Course[tuple[Outcome, list[str]]]:
    """A new run in a new folder: how it ended, and the files that are left. It pauses after each epoch.

    first: makes other first weights. Raises ``ProblemError``; where nothing was learned before that, the folder goes
    again.
    """
    try:
        with locked(job.folder):
            run.begin(job.folder, job.program, source, disk)
            log = run.Log(job.folder, disk=disk)
            return (yield from _go(job, log, observers, flag or Flag(), disk, first=first))
    except BaseException:
        run.discard(job.folder)
        raise


begin = whole(begun)
"""A new run without pauses."""


def resume(
    job: Job,
    found: Found,
    observers: Sequence[Observer] = (),
    flag: Flag | None = None,
    disk: Disk = DISK,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Outcome, list[str]]:
    """Goes on from a checkpoint, in the folder whose lock the caller holds. Raises ``ProblemError``.

    say: hears of a log that was altered.
    """
    (job.folder / run.RESULT).unlink(missing_ok=True)
    log = run.Log(job.folder, found.snapshot.log, disk)
    if log.note:
        say(log.note)
    return through(_go(job, log, observers, flag or Flag(), disk, found=found))


def refuse_finished(job: Job, step: int) -> None:
    """Raises ``ProblemError`` where the run whose newest checkpoint is of this step has come to its end already."""
    try:
        ending = json.loads((job.folder / run.RESULT).read_bytes())
    except (OSError, ValueError):
        return  # its last files were not written: that much is left to do
    if not isinstance(ending, dict):
        return
    folder = str(job.folder)
    if ending.get("ending") == "stopped":
        way = "its spec says when to stop; `nn predict` uses it as it is"
        raise NothingLeft(folder=folder, ending=f"it stopped, since {ending.get('reason')}", way=way).error()
    if ending.get("ending") == "done" and step >= planned(job.program, job.dataset, job.limits).steps:
        way = "`nn predict` uses it; for more, start a new run"
        if job.started.epochs is not None or job.started.steps is not None:
            way = "it may be given more, up to what its spec says, with --epochs or --steps"
        raise NothingLeft(folder=folder, ending=f"it has made its {step:,} steps", way=way).error()


def _go(
    job: Job,
    log: run.Log,
    observers: Sequence[Observer],
    flag: Flag,
    disk: Disk,
    found: Found | None = None,
    first: Callable[[State], State] | None = None,
) -> Course[tuple[Outcome, list[str]]]:
    started = job.started
    step = found.snapshot.position.step if found else -1
    store = Store(job.folder, started.facts, every(started.every), started.keep, disk, step)
    threads = found.manifest.facts.threads if found else {}
    try:
        outcome = yield from course(
            job.program,
            job.dataset,
            job.backend,
            job.options,
            [Record(job, store, disk), log, *observers],
            flag,
            job.limits,
            threads=threads,
            store=store,
            mark=log.mark,
            resume=found.snapshot if found else None,
            begin=first,
        )
    except MemoryError as error:
        occupied = resident()
        room = f", beyond the {amount(occupied)} that are occupied" if occupied else ""
        room += f": {error}" if str(error) else ""
        raise NoMemory(room=room, kept=store.kept()).error() from None
    except ProblemError as error:
        if store.step < 0 or any(isinstance(problem, CheckpointLost) for problem in error.problems):
            raise  # nothing is kept yet, or it is said what is
        error.problems += (Stopped(folder=str(job.folder), step=store.step, kept=store.kept()),)
        raise
    finally:
        log.close()
    outcome = with_claims(outcome, job.program, job.dataset, job.folder, started.spec, job.backend, job.options)
    files = run.finish(job.folder, job.program, outcome, job.backend, job.options, disk)
    return outcome, [LOG, *files]
