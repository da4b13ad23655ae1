"""What the training loop costs by itself: a step of `nn train` beside the bare `run_with_iobinding` of its graph.

    python tests/benchmarks/loop.py [--steps 20000] [--rounds 5] [--memory 100000]

The log, the display (lines, and the live table of a terminal) and checkpoints are on. Rounds of both take turns, and
what is told is the median of the differences. The time of a whole epoch's end (its order of rows, its line in the log,
its checkpoint) is spread over its steps; measuring a split is work of its own, and the spec has none but `train`.
With --memory it trains that many steps, each epoch ending in a short batch, and tells the bytes that are occupied:
after the first epoch, after a tenth of them, and at the end.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from dotnn import plugins
from dotnn.compiler import Compiled, compile_file
from dotnn.training import trial
from dotnn.training.display import Lines, Screen
from dotnn.training.events import Epoch, Observer, Start
from dotnn.training.measure import resident
from dotnn.training.started import Started, facts_of
from dotnn.training.store import LOG

ROWS, BATCH = 20_003, 16

SPEC = """
data points {{
  source table "points.csv"
  place = columns a to d
  kind  = column kind as int < 2
}}

net Sides(place: [b, 4]) -> scores: [b, 2] {{
  scores = place -> dense(8) -> tanh -> dropout(0.1) -> dense(2)
}}

train Sides on points {{
  loss      cross_entropy(scores, kind)
  error     argmax(scores) != kind
  optimizer adam(lr = cosine(from = 0.01))
  batch {batch}
  epochs {epochs}
}}
"""


class Watch(Observer):
    """The time from the first step to the end of the last epoch; the memory at the end of each."""

    def started(self, start: Start) -> None:
        self.memory: list[int] = []
        self.begun = self.ended_at = perf_counter()

    def epoch(self, epoch: Epoch) -> None:
        self.ended_at = perf_counter()
        self.steps = epoch.step
        self.memory.append(resident() or 0)


def prepared(folder: Path, rows: int, epochs: int) -> Compiled:
    numbers = random.Random(1)
    lines = ["a,b,c,d,kind"]
    for _ in range(rows):
        x = [numbers.uniform(-1, 1) for _ in range(4)]
        lines.append(",".join([*(f"{v:.3f}" for v in x), str(int(x[0] > x[1]))]))
    (folder / "points.csv").write_text("\n".join(lines) + "\n")
    (folder / "net.nn").write_text(SPEC.format(batch=BATCH, epochs=epochs))
    return compile_file(folder / "net.nn")


def trained(compiled: Compiled, folder: Path, display: Observer) -> Watch:
    """A whole run, as `nn train` does it."""
    folder.mkdir()
    backend, watch = plugins.backend("onnx"), Watch()
    facts = facts_of(compiled.program, compiled.dataset, backend)
    started = Started(spec="net.nn", block="Sides", facts=facts)
    options = plugins.Options(device="cpu", threads=1)
    job = trial.Job(compiled.program, compiled.dataset, backend, options, folder, started)
    trial.begin(job, compiled.source, [display, watch])
    return watch


def bare(compiled: Compiled, steps: int) -> float:
    """Seconds of a step when nothing is done but to run the graph, its inputs and outputs bound once and for all."""
    backend, options = plugins.backend("onnx"), plugins.Options(device="cpu", threads=1)
    graphs = compiled.program.graphs
    state = backend.start(backend.lower(graphs["init"], options), options).run({"seed": np.array(1)})
    executor = backend.start(backend.lower(graphs["train"], options), options)
    session = executor.train(state)
    rows = compiled.dataset.splits["train"].arrays
    columns = [fed.name for fed in graphs["train"].inputs if fed.role in ("data", "label")]
    for _ in range(2):  # binds the batch in both sets
        session.step({name: rows[name][:BATCH] for name in columns})
    inside = vars(session)  # of onnxruntime's own binding, below all that is ours
    call, inner = inside["_run"], inside["_inner"]
    begun = perf_counter()
    for step in range(steps):
        call(inner[step % 2], None)
    return (perf_counter() - begun) / steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if given.memory:
            rows = 1_003  # 63 steps an epoch, the last of 11 rows
            compiled = prepared(folder, rows, -(-given.memory // -(-rows // BATCH)))
            memory = trained(compiled, folder / "run", Lines(io.StringIO())).memory
            warm, last = memory[len(memory) // 10], memory[-1]
            print(json.dumps({"steps": given.memory, "first": memory[0], "warm": warm, "last": last}))
            return
        each = -(-ROWS // BATCH)
        compiled = prepared(folder, ROWS, max(1, given.steps // each))
        from rich.console import Console

        screen = Console(file=io.StringIO(), force_terminal=True, width=100)
        found: dict[str, list[float]] = {"lines": [], "screen": []}
        floor: list[float] = []
        for number in range(given.rounds):
            floor.append(bare(compiled, given.steps))
            for name, display in (("lines", Lines(io.StringIO())), ("screen", Screen(screen))):
                watch = trained(compiled, folder / f"run-{number}-{name}", display)
                found[name].append((watch.ended_at - watch.begun) / watch.steps - floor[-1])
        print(f"bare run_with_iobinding: {statistics.median(floor) * 1e6:.1f} us a step")
        for name, costs in found.items():
            spread = f"{min(costs) * 1e6:.1f} to {max(costs) * 1e6:.1f}"
            print(
                f"the loop with {name}, log and checkpoints: {statistics.median(costs) * 1e6:+.1f} us a step ({spread})"
            )
        checkpoint = next(path for path in folder.glob("run-0-lines/ckpt-*"))
        print(f"a checkpoint is {sum(p.stat().st_size for p in checkpoint.iterdir()):,} bytes; the log {LOG}")


if __name__ == "__main__":
    main()
