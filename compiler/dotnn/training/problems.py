"""What can be wrong with the folder of a run, or with the disk that it lies on."""

from __future__ import annotations

from pathlib import Path

from dotnn.training.files import amount, free
from dotnn_grammar.problems import Problem, ProblemError, nearest

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
    help = "{advice}"
    path: str
    advice: str


class NoSuchRun(Problem):
    code = "T019"
    title = "there is no run `{path}`"
    help = "{near}"
    path: str
    near: str


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


class Stopped(Problem):
    code = "T018"
    title = "so `{folder}` stopped after step {step:,}"
    help = "{kept}"
    folder: str
    step: int
    kept: str


MARK = "program.json"
"""What every run has, from its first moment on."""


def no_run(path: Path, missing: str = MARK) -> ProblemError:
    """The problem of a path that was meant to be a run. missing: the file that it lacks."""
    makes = "`nn train` makes such folders and tells their names (runs/NAME-001)"
    if not path.exists():
        return NoSuchRun(path=str(path), near=_near(path) or makes).error()
    if path.suffix == ".nn":
        advice = f"it is a spec: `nn train {path}` makes a run of it, and tells the run's folder"
    elif not path.is_dir():
        advice = f"it is a file; {makes}"
    elif runs := _runs_in(path):
        advice = f"it holds runs: {', '.join(str(path / name) for name in runs[-4:])}; name one of them"
    else:
        advice = f"{makes}; this one has no {missing}"
    return NotARun(path=str(path), advice=advice).error()


def _near(path: Path) -> str:
    """Runs that may have been meant: beside that path, or in `runs`."""
    known = [f"{folder / name}" for folder in dict.fromkeys((path.parent, Path("runs"))) for name in _runs_in(folder)]
    by_name = {Path(run).name: run for run in reversed(known)}
    for name in nearest(path.name, by_name, most=1):
        return f"did you mean `{by_name[name]}`?"
    return f"there are: {', '.join(known[-4:])}" if known else ""


def _runs_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if (path / MARK).is_file())
    except OSError:
        return []


def cannot_write(path: Path, error: OSError, size: int | None = None) -> ProblemError:
    """The problem that stands for an error of the file system. size: bytes that were to be written."""
    return CannotWrite(path=where(path, error), reason=reason_of(error), advice=advice_for(path, error, size)).error()


def where(path: Path, error: OSError) -> str:
    """The file that the system complained of."""
    return str(error.filename or path)


def reason_of(error: OSError) -> str:
    """What the system says, to stand within a sentence."""
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
