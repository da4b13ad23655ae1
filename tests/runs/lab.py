"""Runs that are ended in every way there is, and whether they go on as if nothing had been.

    python tests/runs/lab.py EXPERIMENT CASE [--count N] [--seed N]

EXPERIMENT: `calls` (killed at the n-th write, fsync, rename or removal), `errors` (which fails instead), `kills`
(killed at some moment), `signals` (a signal to `nn train` at some moment). COUNT: how many of these, 30 unless told;
0 for every single call. CASE: `digits` or `small`. The last line that
is printed is a JSON object: how many there were, how many could be resumed, and what went wrong with which.

One process imports everything and forks a child for each run, so that a run costs what it computes and no more.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process that has threads had better not fork

from dotnn import plugins
from dotnn.commands import main as nn
from dotnn.compiler import compile_file
from dotnn.training import trial
from dotnn.training.files import Disk
from dotnn.training.lock import locked
from dotnn.training.started import Started, facts_of
from dotnn.training.store import checkpoints, newest, sweep
from dotnn_grammar.problems import ProblemError

for heavy in ("onnx", "onnxruntime", "dotnn_onnx.bundle", "dotnn_onnx.lower", "dotnn_onnx.session"):
    importlib.import_module(heavy)  # once, for all children

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TIMES = ("seconds", "rows_per_second", "memory")
"""What may differ between a run and the same run again."""

SETTINGS: dict[str, tuple[str, dict[str, str], dict[str, int], str]] = {
    "digits": ("digits.nn", {"hidden": "32"}, {"few": 3, "many": 30}, "23 steps"),
    "small": ("small.nn", {}, {"few": 5, "many": 20}, "5 steps"),
}
"""The spec, its params, how many epochs where each call or each moment counts, and how far checkpoints are apart."""


class Ends(Disk):
    """A disk at whose ``at``-th call (from 1) something happens: the process is killed, or the call fails."""

    def __init__(self, at: int, number: int | None = None) -> None:
        self.at, self.number, self.calls = at, number, 0

    def _turn(self, path: Path | None = None, half: Callable[[], object] | None = None) -> None:
        self.calls += 1
        if self.calls != self.at:
            return
        if half is not None:
            half()
        if self.number is not None:
            raise OSError(self.number, os.strerror(self.number), str(path) if path else None)
        os.kill(os.getpid(), signal.SIGKILL)

    def make(self, folder: Path) -> None:
        self._turn(folder)
        super().make(folder)

    def write(self, path: Path, data: bytes) -> None:
        self._turn(path, lambda: path.write_bytes(data[: len(data) // 2]))
        super().write(path, data)

    def sync(self, path: Path) -> None:
        self._turn(path)
        super().sync(path)

    def rename(self, old: Path, new: Path) -> None:
        self._turn(old)
        super().rename(old, new)

    def replace(self, old: Path, new: Path) -> None:
        self._turn(old)
        super().replace(old, new)

    def remove(self, path: Path) -> None:
        def half() -> None:
            for inner in sorted(path.iterdir())[:1] if path.is_dir() else []:
                inner.unlink()

        self._turn(path, half)
        super().remove(path)

    def append(self, handle: int, data: bytes) -> None:
        self._turn(None, lambda: os.write(handle, data[: len(data) // 2]))
        super().append(handle, data)

    def cut(self, path: Path, length: int) -> None:
        self._turn(path)
        super().cut(path, length)


def _folders(folder: str, names: list[str]) -> list[str]:
    """Sets that were fetched: no run here needs them."""
    return [name for name in names if (Path(folder) / name).is_dir()]


class Case:
    """A spec, compiled once, that is trained again and again."""

    def __init__(self, name: str, folder: Path, length: str) -> None:
        file, values, lengths, apart = SETTINGS[name]
        epochs = lengths[length]
        self.name, self.folder = name, folder
        spec = folder / file
        if name == "digits":
            shutil.copytree(ROOT / "specs" / "data", folder / "data", ignore=_folders)
            shutil.copy(ROOT / "specs" / file, spec)
        else:
            shutil.copy(HERE / file, spec)
            numbers = random.Random(4)
            points = [(numbers.uniform(-1, 1), numbers.uniform(-1, 1)) for _ in range(150)]
            rows = [f"{a:.4f},{b:.4f},{'left' if a + 0.2 * b < 0.1 else 'right'}" for a, b in points]
            (folder / "points.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
        self.compiled = compile_file(spec, settings=values)
        self.backend = plugins.backend("onnx")
        options = plugins.Options(device="cpu", threads=1)
        started = Started(
            spec=str(spec),
            block=self.compiled.program.name,
            settings=values,
            epochs=epochs,
            every=apart,
            facts=facts_of(self.compiled.program, self.compiled.dataset, self.backend),
        )
        self.job = trial.Job(
            self.compiled.program, self.compiled.dataset, self.backend, options, folder / "none", started
        )
        sets = [word for pair in values.items() for word in ("--set", "=".join(pair))]
        self.words = [str(spec), *sets, "--epochs", str(epochs), "--checkpoint-every", apart]
        self.words += ["--threads", "1", "--device", "cpu"]

    def begin(self, folder: Path, disk: Disk) -> None:
        folder.mkdir(exist_ok=True)
        trial.begin(replace(self.job, folder=folder), self.compiled.source, disk=disk)

    def go_on(self, folder: Path, disk: Disk) -> None:
        with locked(folder):
            sweep(folder)
            trial.resume(replace(self.job, folder=folder), newest(folder), disk=disk)


# ---- children


def child(work: Callable[[], object], said: Path) -> int:
    """Does the work in a process of its own, what it says in a file; its process number."""
    sys.stdout.flush()
    sys.stderr.flush()
    number = os.fork()
    if number:
        return number
    code = 70
    try:
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            work()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except ProblemError as error:
        said.write_text("\n".join(f"{p.code} {p.title_text} | {p.help_text}" for p in error.problems))
        code = 1
    except KeyboardInterrupt:
        code = 130  # before `nn` could hear it
    except BaseException:
        with said.open("a") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(code)


def ended(number: int) -> int:
    """How a child ended: its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def do(work: Callable[[], object], said: Path) -> int:
    return ended(child(work, said))


# ---- what is left


def digest(folder: Path) -> dict[str, str]:
    """What must be the same however a run came about: tensors, the log and the result without their times."""
    found = {}
    for name in ("weights.safetensors", "last.safetensors", "predict.onnx"):
        path = folder / name
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    found["log.jsonl"] = json.dumps([timeless(line) for line in lines])
    found["result.json"] = json.dumps(timeless(json.loads((folder / "result.json").read_text())))
    step, path = checkpoints(folder)[0]
    tensors = (path / "tensors.safetensors").read_bytes()
    found["checkpoint"] = f"{step} {hashlib.sha256(tensors).hexdigest()}"
    return found


def timeless(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in TIMES}


def differs(case: Case, folder: Path, straight: dict[str, str]) -> str:
    """What is not as in the straight run, in words; empty where all is."""
    found = digest(folder)
    wrong = [name for name in straight if found[name] != straight[name]]
    left = [p.name for p in folder.iterdir() if ".tmp-" in p.name or p.name.startswith("torn-")]
    return " ".join([*(f"{name} differs" for name in wrong), *left])


def resumed(case: Case, folder: Path, straight: dict[str, str]) -> tuple[str, str]:
    """Goes on with what is left: (how, what is wrong)."""
    said = folder.with_suffix(".said")
    if not checkpoints(folder):
        code = do(lambda: case.go_on(folder, Disk()), said) if folder.exists() else 1
        if code != 1:
            return "lost", f"no checkpoint, and resuming ended with {code}: {said.read_text()[-800:]}"
        return "before", ""
    code = do(lambda: case.go_on(folder, Disk()), said)
    if code:
        return "lost", f"resuming ended with {code}: {said.read_text()[-800:]}"
    return "resumed", differs(case, folder, straight)


# ---- experiments

Result = tuple[str, str]


def at_call(case: Case, folder: Path, number: int, straight: dict[str, str]) -> Result:
    code = do(lambda: case.begin(folder, Ends(number)), folder.with_suffix(".first"))
    if code != -signal.SIGKILL:
        return "lost", f"was to be killed, and ended with {code}"
    if checkpoints(folder):  # and once more, while it goes on
        do(lambda: case.go_on(folder, Ends(1 + number * 7 % 40)), folder.with_suffix(".second"))
    return resumed(case, folder, straight)


STARTING = 0.3
"""About the share of a run in which it has no line in its log yet."""


def until(folder: Path, share: float, whole: float, lines: int) -> None:
    """Sleeps until a run is so far: by the clock while it starts, then by its log, for a busy machine slows both.

    whole: the seconds that a straight run took; lines: how many there are in its log.
    """
    if share < STARTING:
        time.sleep(share * whole)
        return
    wanted = (share - STARTING) / (1 - STARTING) * lines
    log, end = folder / "log.jsonl", time.monotonic() + 120
    while not (folder / "result.json").exists() and time.monotonic() < end:
        if log.exists() and log.read_bytes().count(b"\n") >= int(wanted):
            break
        time.sleep(0.001)
    time.sleep(wanted % 1 * whole * (1 - STARTING) / lines)


def at_moment(case: Case, folder: Path, share: float, whole: float, lines: int, straight: dict[str, str]) -> Result:
    number = child(lambda: case.begin(folder, Disk()), folder.with_suffix(".first"))
    until(folder, share, whole, lines)
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)
    if ended(number) == 0:
        return "done", differs(case, folder, straight)
    return resumed(case, folder, straight)


def failing(case: Case, folder: Path, number: int, kind: int, straight: dict[str, str]) -> Result:
    said = folder.with_suffix(".first")
    code = do(lambda: case.begin(folder, Ends(number, kind)), said)
    text = said.read_text()
    if code == 0:  # what failed was tidying up, or the lock's own number
        return "done", differs(case, folder, straight)
    if code != 1 or "Traceback" in text or os.strerror(kind).lower() not in text.lower():
        return "lost", f"ended with {code}: {text[-800:]}"
    if kind == errno.ENOSPC and "free" not in text:
        return "lost", f"does not say how much is needed and free: {text}"
    return resumed(case, folder, straight)


def signalled(
    case: Case, folder: Path, share: float, whole: float, lines: int, straight: dict[str, str], kind: int, within: float
) -> Result:
    said = folder.with_suffix(".first")
    number = child(lambda: nn(["train", *case.words, "--out", str(folder)]), said)
    until(folder, share, whole, lines)
    begun = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, kind)
    code = ended(number)
    took = time.monotonic() - begun
    if took > within:
        return "lost", f"took {took:.2f} s to end"
    if code == 0:
        return "done", differs(case, folder, straight)
    early = code == -kind and not checkpoints(folder)  # before there was a run
    if code != 128 + kind and not early:
        return "lost", f"ended with {code}: {said.read_text()[-800:]}"
    if not checkpoints(folder):
        return "before", ""
    code = do(lambda: nn(["resume", str(folder)]), said)
    if code == 1 and "is finished" in said.read_text():
        return "done", differs(case, folder, straight)
    return "resumed", differs(case, folder, straight) if code == 0 else f"{code}: {said.read_text()[-800:]}"


def many(tasks: list[Callable[[Path], Result]], folder: Path) -> list[Result]:
    """Every task in a process of its own, as many at once as there are cores."""
    waiting = list(enumerate(tasks))
    running: dict[int, tuple[int, Path]] = {}
    results: dict[int, Result] = {}

    def one(task: Callable[[Path], Result], place: Path) -> None:
        (place / "result.json").write_text(json.dumps(task(place / "run")))

    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            index, task = waiting.pop(0)
            place = folder / f"task-{index}"
            place.mkdir()
            running[child(partial(one, task, place), place / "said")] = (index, place)
        number, _ = os.wait()
        index, place = running.pop(number)
        found = place / "result.json"
        if found.exists():
            way, why = json.loads(found.read_text())
        else:
            way, why = "lost", (place / "said").read_text()
        results[index] = (way, why)
        shutil.rmtree(place)
    return [results[i] for i in range(len(tasks))]


def experiment(what: str, name: str, count: int, seed: int, folder: Path, within: float) -> dict[str, Any]:
    case = Case(name, folder, "many" if what in ("kills", "signals") else "few")
    counter = folder / "calls"

    def straight_run() -> None:
        disk = Ends(0)
        case.begin(folder / "straight", disk)
        counter.write_text(str(disk.calls))

    begun = time.monotonic()
    if do(straight_run, folder / "said"):
        raise SystemExit((folder / "said").read_text())
    whole = time.monotonic() - begun
    straight = digest(folder / "straight")
    calls = int(counter.read_text())
    lines = (folder / "straight" / "log.jsonl").read_bytes().count(b"\n")
    numbers = random.Random(seed)
    shares = [(i + numbers.random()) / max(count, 1) for i in range(count)]
    tasks: list[Callable[[Path], Result]] = []
    every = [1 + i * calls // count for i in range(min(count, calls))] if count else range(1, calls + 1)
    if what == "calls":
        tasks = [partial(at_call, case, number=n, straight=straight) for n in every]
    elif what == "kills":
        tasks = [partial(at_moment, case, share=s, whole=whole, lines=lines, straight=straight) for s in shares]
    elif what == "errors":
        kinds = (errno.ENOSPC, errno.EIO)
        tasks = [partial(failing, case, number=n, kind=kinds[n % 2], straight=straight) for n in every]
    elif what == "signals":
        begun = time.monotonic()
        do(lambda: nn(["train", *case.words, "--out", str(folder / "again")]), folder / "said")
        whole = time.monotonic() - begun
        assert digest(folder / "again") == straight, differs(case, folder / "again", straight)
        for i, s in enumerate(shares):
            kind = (signal.SIGINT, signal.SIGTERM)[i % 2]
            facts: dict[str, Any] = {
                "share": s,
                "whole": whole,
                "lines": lines,
                "straight": straight,
                "kind": kind,
                "within": within,
            }
            tasks.append(partial(signalled, case, **facts))
    results = many(tasks, folder)
    ways = [way for way, _ in results]
    return {
        "runs": len(results),
        "calls": calls,
        **{way: ways.count(way) for way in ("resumed", "before", "done", "lost")},
        "wrong": [f"{i}: {way}: {why}" for i, (way, why) in enumerate(results) if why],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment", choices=("calls", "kills", "errors", "signals"))
    parser.add_argument("case", choices=tuple(SETTINGS))
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=2.5, help="seconds in which a run must end after a signal")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dotnn-lab-") as place:
        begun = time.monotonic()
        found = experiment(given.experiment, given.case, given.count, given.seed, Path(place), given.within)
        print(json.dumps({**found, "took": round(time.monotonic() - begun, 1)}))
    raise SystemExit(1 if found["wrong"] else 0)
