"""Times a training step of dotnn beside PyTorch and scikit-learn, on this machine, in one go.

    python -m tests.benchmarks.run [--rounds 7] [--threads 0] [--processor] [--json FILE]

Every peer has a process of its own, starts from the same weights and gets the same rows in the same order. They take
turns, round by round, so that a machine whose speed drifts does the same to all; what is told is the median over the
rounds of the ratio within a round. Before anything is timed the losses of the first steps are compared: a peer that
computes something else is no peer. Needs the extra `peers`. ``--threads 0`` leaves the number to each. With
``--processor`` and one thread the processor's own time is told, which other work on the machine hardly lengthens.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.cases import CASES, AnyCase, Case

PEERS = ("dotnn", "torch", "sklearn")
TOP = Path(__file__).parents[2]
TOLERANCE = 2e-3
"""How far the losses of two peers may be from each other, relative: rounding grows with every step."""


@dataclass
class Worker:
    """A peer's process."""

    name: str
    process: subprocess.Popen[str]
    version: str = ""

    def ask(self, count: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with code {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def begin(peer: str, number: int, folder: Path, threads: int) -> Worker:
    command = [sys.executable, "-m", "tests.benchmarks.workers", peer, str(number), str(folder), str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)
    worker = Worker(peer, process)
    worker.version = worker.read()["version"]
    return worker


def compare(workers: list[Worker], steps: int) -> None:
    """Every peer's first losses must be dotnn's."""
    losses = {w.name: w.ask(steps)["losses"] for w in workers}
    for name, theirs in losses.items():
        for step, (a, b) in enumerate(zip(losses["dotnn"], theirs, strict=True)):
            if abs(a - b) > TOLERANCE * max(abs(a), abs(b), 0.1):
                raise SystemExit(f"step {step + 1}: the loss is {a} for dotnn and {b} for {name}")


def measure(number: int, case: AnyCase, rounds: int, threads: int, clock: str = "seconds") -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case.write(folder)
        peers = PEERS if isinstance(case, Case) else PEERS[:2]  # scikit-learn has no convolution, no attention
        workers = [begin(peer, number, folder, threads) for peer in peers]
        try:
            compare(workers, case.compared)
            for worker in workers:
                worker.ask(max(case.steps // 4, 1))
            times: dict[str, list[float]] = {peer: [] for peer in peers}
            for turn in range(rounds):
                for worker in workers[turn % len(peers) :] + workers[: turn % len(peers)]:
                    times[worker.name].append(worker.ask(case.steps)[clock] / case.steps)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.wait()
    versions = {w.name: w.version for w in workers}
    milliseconds = {peer: [1e3 * t for t in seconds] for peer, seconds in times.items()}
    return {"case": case.name, "versions": versions, "milliseconds": milliseconds}


def tell(found: dict[str, Any]) -> None:
    times = found["milliseconds"]
    print(f"\n{found['case']}")
    print(f"  {'':46} {'ms a step':>10} {'least':>8} {'most':>8} {'times dotnn':>12}")
    for peer in times:
        ratios = [theirs / ours for theirs, ours in zip(times[peer], times["dotnn"], strict=True)]
        ratio = "" if peer == "dotnn" else f"{statistics.median(ratios):.2f}"
        median, low, high = statistics.median(times[peer]), min(times[peer]), max(times[peer])
        print(f"  {found['versions'][peer]:46} {median:10.4f} {low:8.4f} {high:8.4f} {ratio:>12}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="0: each peer's own choice")
    parser.add_argument("--case", type=int, action="append", help="only this case, counted from 0")
    parser.add_argument("--processor", action="store_true", help="the processor's own time in place of the clock's")
    parser.add_argument("--json", type=Path, help="the figures go here too")
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    found, clock = [], "processor" if asked.processor else "seconds"
    for number, case in enumerate(CASES):
        if asked.case is None or number in asked.case:
            found.append(measure(number, case, asked.rounds, asked.threads, clock))
            tell(found[-1])
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
