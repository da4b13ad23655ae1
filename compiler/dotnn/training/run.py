"""The folder of a run: everything that is left of it, written so that no file is ever half there.

| file | what is in it |
|---|---|
| `spec.nn` | the spec as it was |
| `program.json` | what it was compiled to |
| `started.json` | with which settings, data and versions it was started |
| `log.jsonl` | one line an epoch |
| `weights.safetensors` | the kept state: weights, optimizer slots, the generator's key |
| `last.safetensors` | the state at the very end, where another one is kept |
| `ckpt-000123/` | a checkpoint: all of the run at that step; `LATEST` names the newest |
| `predict.onnx` | the net with its weights inside |
| `start.onnx`, `next.onnx`, `choose.onnx` | the same for writing, where the net has learned what comes next |
| `result.json` | how it ended |
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dotnn.claims.verdict import record
from dotnn.generate.plan import WRITING
from dotnn.graph import dump
from dotnn.plugins import Backend, Baker, Options, backends
from dotnn.program import Program
from dotnn.training.checkpoint import Altered, LogMark, State, decode, pack, unpack
from dotnn.training.events import Epoch, Observer, Outcome
from dotnn.training.figures import Reading
from dotnn.training.files import DISK, Disk, put
from dotnn.training.lock import LOCK
from dotnn.training.problems import BrokenRun, FolderTaken, cannot_write, no_run, reason_of
from dotnn.training.store import LOG, checkpoints

SPEC, PROGRAM, STARTED = "spec.nn", "program.json", "started.json"
WEIGHTS, LAST, PREDICT, RESULT = "weights.safetensors", "last.safetensors", "predict.onnx", "result.json"


def make_folder(program: Program, out: Path | None = None, runs: Path = Path("runs")) -> Path:
    """A new folder for a run: ``out``, or the first free `runs/NAME-NNN`. Raises ``ProblemError``."""
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise FolderTaken(folder=str(out)).error()
            return out
        runs.mkdir(parents=True, exist_ok=True)
        name = run_name(program)
        number = 1 + max((n for n in (_number(p.name, name) for p in runs.iterdir()) if n is not None), default=0)
        while True:
            folder = runs / f"{name}-{number:03}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1  # somebody else was quicker
            else:
                return folder
    except OSError as error:
        raise cannot_write(out or runs, error) from None


def run_name(program: Program) -> str:
    """`digits` for Digits in digits.nn, `xor-Deep` for Deep in xor.nn."""
    stem = Path(program.spec).stem
    words = [stem] if stem.lower() == program.name.lower() else [stem, program.name]
    return re.sub(r"[^\w.-]+", "_", "-".join(words)).lstrip(".-") or "run"


def _number(folder: str, name: str) -> int | None:
    found = re.fullmatch(re.escape(name) + r"-(\d{3,9})", folder)
    return int(found[1]) if found else None


def write(path: Path, content: str | bytes, disk: Disk = DISK) -> None:
    """Writes the whole file or nothing. Raises ``ProblemError``."""
    data = content.encode() if isinstance(content, str) else content
    try:
        put(disk, path, data)
    except OSError as error:
        raise cannot_write(path, error, len(data)) from None


def begin(folder: Path, program: Program, source: str, disk: Disk = DISK) -> None:
    """What is known before training."""
    write(folder / SPEC, source, disk)
    write(folder / PROGRAM, dump(program), disk)


def discard(folder: Path) -> None:
    """Takes away what ``begin`` and an empty log left of a run that nothing is left of."""
    log = folder / LOG
    with suppress(OSError):
        if (log.exists() and log.stat().st_size) or checkpoints(folder):
            return
        for name in (SPEC, PROGRAM, STARTED, LOG, LOCK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def finish(
    folder: Path, program: Program, outcome: Outcome, backend: Backend, options: Options, disk: Disk = DISK
) -> list[str]:
    """What training brought: the names of the files that were written. The result comes last: with it all is there."""
    names = [WEIGHTS, RESULT]
    write(folder / WEIGHTS, pack(outcome.state), disk)
    if outcome.last is not None:
        write(folder / LAST, pack(outcome.last), disk)
        names.append(LAST)
    elif (folder / LAST).exists():  # of the same run, before it went on
        with suppress(OSError):
            disk.remove(folder / LAST)
    baker = next((b for b in (backend, *backends().values()) if isinstance(b, Baker)), None)
    if baker is not None:
        # A run's net is for any runtime, whatever it was trained on.
        portable = Options(target="portable", device="cpu", threads=options.threads)
        write(folder / PREDICT, baker.bake(program, outcome.state, portable), disk)
        names.append(PREDICT)
        for graph in WRITING if program.generation is not None else ():
            write(folder / f"{graph}.onnx", baker.bake(program, outcome.state, portable, graph), disk)
            names.append(f"{graph}.onnx")
    write(folder / RESULT, json.dumps(result(folder, outcome), indent=2) + "\n", disk)
    return names


def result(folder: Path, outcome: Outcome) -> dict[str, Any]:
    """How it ended, as `result.json` holds it."""
    return {
        "ending": outcome.ending,
        "reason": outcome.reason or (outcome.problem.title_text if outcome.problem else ""),
        "kept": outcome.kept,
        **{key: value for key, value in done_event(folder, outcome).items() if key not in ("event", "run")},
    }


def epoch_event(epoch: Epoch) -> dict[str, Any]:
    """`{"event": "epoch", "epoch", "step", "train": {"loss", "error"}, "val": {…}}`"""
    return {
        "event": "epoch",
        "epoch": epoch.number,
        "step": epoch.step,
        **{name: plain(epoch.splits.get(name)) for name in ("train", "val")},
    }


def done_event(folder: Path, outcome: Outcome) -> dict[str, Any]:
    """`{"event": "done", "run", "steps", "epochs", "seconds", "train": {…}, "val": {…}, "test": {…}}`"""
    return {
        "event": "done",
        "run": str(folder),
        "steps": outcome.steps,
        "epochs": outcome.epochs,
        "seconds": round(outcome.seconds, 3),
        **{name: plain(outcome.splits.get(name)) for name in ("train", "val", "test")},
        **({"claims": record(outcome.claims)} if outcome.claims else {}),
    }


def named(name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """An event with the name of the train block that it is of, for programs that listen to several."""
    return {"event": event["event"], "name": name, **event}


def plain(figures: Mapping[str, Reading] | None) -> dict[str, Any] | None:
    """Figures for JSON, which knows no NaN; None for a split that is not there."""
    return None if figures is None else {name: listed(value) for name, value in figures.items()}


def listed(reading: Reading) -> Any:
    """A number, or the lists of a table."""
    return [listed(each) for each in reading] if isinstance(reading, tuple) else number(reading)


def number(value: float | None) -> float | None:
    """A number as JSON has it: it knows no infinity."""
    return value if value is not None and math.isfinite(value) else None


class Log(Observer):
    """`log.jsonl`: each epoch's event, with the time, the rate, the gradient's norm, and what else tells how it goes.

    keep: how much of a log that is there already belongs to this run; what comes after is cut off. None: a new one.
    """

    def __init__(self, folder: Path, keep: LogMark | None = None, disk: Disk = DISK) -> None:
        self.path = folder / LOG
        self.disk = disk
        self.length = 0
        self.sum = hashlib.sha256()
        self.note = ""
        try:
            if keep is not None and self.path.exists():
                self._resume(keep)
            self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _resume(self, keep: LogMark) -> None:
        data = self.path.read_bytes()[: keep.bytes]
        if hashlib.sha256(data).hexdigest() != keep.sha256:
            self.note = f"note: {self.path} is not as it was written; what it holds is kept as far as it goes"
            data = data[: data.rfind(b"\n") + 1]
        self.disk.cut(self.path, len(data))
        self.length = len(data)
        self.sum.update(data)

    def epoch(self, epoch: Epoch) -> None:
        line = (json.dumps({**epoch_event(epoch), **_more(epoch)}) + "\n").encode()
        try:
            self.disk.append(self.handle, line)
        except OSError as error:
            raise cannot_write(self.path, error, len(line)) from None
        self.length += len(line)
        self.sum.update(line)

    def mark(self) -> LogMark:
        """How much there is of it now."""
        return LogMark(bytes=self.length, sha256=self.sum.hexdigest())

    def ended(self, outcome: Outcome) -> None:
        self.close()

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1


def _more(epoch: Epoch) -> dict[str, Any]:
    """What the log knows beside the event."""
    return {
        "seconds": round(epoch.seconds, 3),
        "rate": number(epoch.rate),
        "norm": number(epoch.norm),
        "change": number(epoch.change),
        "rows_per_second": round(epoch.rows_per_second),
        "memory": epoch.memory,
    }


class Events(Observer):
    """`--format json`: one object a line with the name of what is trained, each written out at once."""

    def __init__(self, name: str, out: IO[str] | None = None) -> None:
        self.name = name
        self.out = out or sys.stdout

    def epoch(self, epoch: Epoch) -> None:
        print(json.dumps(named(self.name, epoch_event(epoch))), file=self.out, flush=True)


def _of_checkpoint(folder: Path) -> tuple[State, str] | None:
    """The weights of the newest whole checkpoint, and when they were so. Nothing in the folder is moved: it may be a
    run's that is under way."""
    for step, path in checkpoints(folder):
        with suppress(Altered, OSError):
            _, snapshot = decode(path)
            epoch = snapshot.position.kept_epoch
            if snapshot.kept is not None and epoch:
                return snapshot.kept, f"of epoch {epoch:,}, which it would keep so far"
            return snapshot.state, f"after step {step:,}"
    return None


def read_program(folder: Path) -> Program:
    """The program of a run. Raises ``ProblemError``."""
    path = folder / PROGRAM
    try:
        return Program.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise no_run(folder) from None
    except OSError as error:
        raise BrokenRun(path=str(path), reason=reason_of(error)).error() from None
    except ValueError:
        raise BrokenRun(path=str(path), reason="it is not a program of this version").error() from None


def read_weights(folder: Path, say: Callable[[str], object] = lambda note: None) -> State:
    """The kept state of a run; of one that is under way or was ended, what its newest whole checkpoint would keep,
    which is said. Raises ``ProblemError``."""
    path = folder / WEIGHTS
    try:
        return unpack(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        found = _of_checkpoint(folder)
        if found is None:
            raise no_run(folder, WEIGHTS) from None
        state, whose = found
        say(f"note: {folder} is not finished; used are its weights {whose}")
        return state
    except OSError as error:
        raise BrokenRun(path=str(path), reason=reason_of(error)).error() from None
    except Altered:
        raise BrokenRun(path=str(path), reason="it is not a whole safetensors file").error() from None
