"""What can be wrong with the folder of a run, or with the disk that it lies on."""

from __future__ import annotations

from pathlib import Path

from dotnn.training.files import amount, free
from dotnn_grammar.problems import Problem, ProblemError

FULL = (28, 122, 27)
"""No space, no quota, a file larger than allowed."""
CLOSED = (1, 13, 30)
"""Not permitted, not yours, read-only."""
GONE, BAD = 2, 5


class FolderTaken(Problem):
    code = "T010"
    title = "`{folder}` is there already and is not empty"
    help = "a run never writes over another: name a new folder after --out, or leave --out away"
    folder: str


class CannotWrite(Problem):
    code = "T011"
    title = "`{path}` cannot be written: {reason}"
    help = "{advice}"
    path: str
    reason: str
    advice: str


class NotARun(Problem):
    code = "T012"
    title = "`{path}` is not the folder of a run"
    help = "`nn train` makes such folders and tells their names (runs/NAME-001); this one has no {missing}"
    path: str
    missing: str


class BrokenRun(Problem):
    code = "T013"
    title = "`{path}` cannot be read: {reason}"
    help = "the file was changed or cut off after it was written; train again, or fetch it from a copy"
    path: str
    reason: str


class CheckpointLost(Problem):
    code = "T014"
    title = "training stopped at step {step:,}: {what} `{path}` cannot be written: {reason}"
    help = "{advice}; {kept}"
    step: int
    what: str
    path: str
    reason: str
    advice: str
    kept: str


class NothingLeft(Problem):
    code = "T034"
    title = "`{folder}` is finished: {ending}"
    help = "{way}"
    folder: str
    ending: str
    way: str


class NoMemory(Problem):
    code = "T017"
    title = "there is not enough memory to go on{room}"
    help = "a smaller batch, or a smaller net, needs less; {kept}"
    room: str
    kept: str


def cannot_write(path: Path, error: OSError, size: int | None = None) -> ProblemError:
    """The problem that stands for an error of the file system. size: bytes that were to be written."""
    return CannotWrite(path=where(path, error), reason=reason_of(error), advice=advice_for(path, error, size)).error()


def where(path: Path, error: OSError) -> str:
    return str(error.filename or path)


def reason_of(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    return text[0].lower() + text[1:]


def advice_for(path: Path, error: OSError, size: int | None = None) -> str:
    """What to do about it, with how much is needed and how much there is."""
    if error.errno in FULL:
        room = free(path)
        needs = f"it needs {amount(size)}" if size is not None else ""
        there = f"{amount(room)} are free" if room is not None else ""
        facts = " and ".join(part for part in (needs, there) if part)
        return "free some space and try again" + (f" ({facts})" if facts else "")
    if error.errno in CLOSED:
        return "choose a folder in which you may write, with --out, or open this one"
    if error.errno == GONE:
        return "its folder is no longer there: see who took it away, or name another with --out"
    if error.errno == BAD:
        return "the disk does not work as it should: look into the system's log, and copy the run to another disk"
    return "choose a folder in which you may write, with --out"
