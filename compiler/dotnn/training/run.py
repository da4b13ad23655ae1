"""The folder of a run: everything that is left of it, written so that no file is ever half there.

| file | what is in it |
|---|---|
| `spec.nn` | the spec as it was |
| `program.json` | what it was compiled to |
| `log.jsonl` | one line an epoch |
| `weights.safetensors` | the kept state: weights, optimizer slots, the generator's key |
| `last.safetensors` | the state at the very end, where another one is kept |
| `predict.onnx` | the net with its weights inside |
| `result.json` | how it ended |
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dotnn.graph import dump
from dotnn.plugins import Backend, Baker, Options, backends
from dotnn.program import Program
from dotnn.training.loop import Epoch, Observer, Outcome, State
from dotnn_grammar.problems import Problem, ProblemError

SPEC, PROGRAM, LOG = "spec.nn", "program.json", "log.jsonl"
WEIGHTS, LAST, PREDICT, RESULT = "weights.safetensors", "last.safetensors", "predict.onnx", "result.json"


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


def cannot_write(path: Path, error: OSError) -> ProblemError:
    """The problem that stands for an error of the file system."""
    full = error.errno in (28, 122)
    space = "free some space and try again; what was written before is whole"
    advice = space if full else "choose a folder in which you may write, with --out"
    return CannotWrite(path=str(error.filename or path), reason=reason_of(error), advice=advice).error()


def reason_of(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    return text[0].lower() + text[1:]


def write(path: Path, content: str | bytes) -> None:
    """Writes the whole file or nothing: beside it first, then renamed. Raises ``ProblemError``."""
    beside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def begin(folder: Path, program: Program, source: str) -> None:
    """What is known before training."""
    write(folder / SPEC, source)
    write(folder / PROGRAM, dump(program))


def discard(folder: Path) -> None:
    """Takes away what ``begin`` and an empty log left of a run whose first epoch never ended."""
    log = folder / LOG
    if log.exists() and log.stat().st_size:
        return
    for name in (SPEC, PROGRAM, LOG):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def finish(folder: Path, program: Program, outcome: Outcome, backend: Backend, options: Options) -> list[str]:
    """What training brought: the names of the files that were written."""
    names = [WEIGHTS, RESULT]
    write(folder / WEIGHTS, pack(outcome.state))
    if outcome.last is not None:
        write(folder / LAST, pack(outcome.last))
        names.append(LAST)
    write(folder / RESULT, json.dumps(result(folder, outcome), indent=2) + "\n")
    baker = next((b for b in (backend, *backends().values()) if isinstance(b, Baker)), None)
    if baker is not None:
        # A run's net is for any runtime, whatever it was trained on.
        portable = Options(target="portable", device="cpu", threads=options.threads)
        write(folder / PREDICT, baker.bake(program, outcome.state, portable))
        names.append(PREDICT)
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
    }


def plain(figures: Mapping[str, float] | None) -> dict[str, float | None] | None:
    """Figures for JSON, which knows no NaN; None for a split that is not there."""
    return None if figures is None else {name: number(value) for name, value in figures.items()}


def number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class Log(Observer):
    """`log.jsonl`: each epoch's event, with the time, the rate, the gradient's norm and the rows a second."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        try:
            self.file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def epoch(self, epoch: Epoch) -> None:
        extra = {
            "seconds": round(epoch.seconds, 3),
            "rate": number(epoch.rate),
            "norm": number(epoch.norm),
            "rows_per_second": round(epoch.rows_per_second),
        }
        try:
            self.file.write(json.dumps({**epoch_event(epoch), **extra}) + "\n")
            self.file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def ended(self, outcome: Outcome) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()


class Events(Observer):
    """`--format json`: one object a line, each written out at once."""

    def __init__(self, folder: Path, out: IO[str] | None = None) -> None:
        self.folder = folder
        self.out = out or sys.stdout

    def epoch(self, epoch: Epoch) -> None:
        print(json.dumps(epoch_event(epoch)), file=self.out, flush=True)


def pack(state: State) -> bytes:
    """A state as safetensors."""
    import numpy as np
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in state.items()})


def read_program(folder: Path) -> Program:
    """The program of a run. Raises ``ProblemError``."""
    path = folder / PROGRAM
    try:
        return Program.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotARun(path=str(folder), missing=PROGRAM).error() from None
    except OSError as error:
        raise BrokenRun(path=str(path), reason=reason_of(error)).error() from None
    except ValueError:
        raise BrokenRun(path=str(path), reason="it is not a program of this version").error() from None


def read_weights(folder: Path) -> State:
    """The kept state of a run. Raises ``ProblemError``."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / WEIGHTS
    try:
        return dict(load(path.read_bytes()))
    except FileNotFoundError:
        raise NotARun(path=str(folder), missing=WEIGHTS).error() from None
    except OSError as error:
        raise BrokenRun(path=str(path), reason=reason_of(error)).error() from None
    except (SafetensorError, ValueError, KeyError):
        raise BrokenRun(path=str(path), reason="it is not a whole safetensors file").error() from None
