"""Times a training step of a recurrent net beside PyTorch's own, and the loop beside the same steps written out.

    python -m tests.benchmarks.recurrence [--threads 1] [--rounds 7]

One layer of 128 units reads 64 steps of 64 numbers, batch 32, Adam. The same weights, the same rows; the losses of the
first steps must agree before anything is timed. Both take turns, and the ratio is that of a round. Needs `peers`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import dotnn.scans.steps
from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend

Step = Callable[[int], float]
KINDS = {"lstm": "LSTM", "gru": "GRU"}
"""What PyTorch calls them."""

SPEC = """
data rows {{
  source npz "rows.npz"
  x = x
  y = y
}}

net Net(x: [b, t, n]) -> guess: [b] {{
  h = x -> {layer}({units})
  guess = last(h, over = t) -> dense(1) -> squeeze
}}

train Net on rows {{
  loss mse(guess, y)
  optimizer adam(lr = 1e-3)
  batch 32
  epochs 1
  seed 1
}}
"""


def ours(folder: Path, layer: str, units: int, threads: int, unrolled: int) -> tuple[Step, dict[str, Any]]:
    (folder / "net.nn").write_text(SPEC.format(layer=layer, units=units), encoding="utf-8")
    dotnn.scans.steps.UNROLLED = unrolled
    graphs, onnx, options = (
        compile_file(folder / "net.nn").program.graphs,
        backend("onnx"),
        Options(target="device", threads=threads),
    )
    state = dict(onnx.start(onnx.lower(graphs["init"], options), options).run({"seed": np.array(1)}))
    session = onnx.start(onnx.lower(graphs["train"], options), options).train(state)
    rows = np.load(folder / "rows.npz")
    x, y = rows["x"], rows["y"]

    def step(number: int) -> float:
        part = slice(32 * (number % 10), 32 * (number % 10) + 32)
        return float(session.step({"x": x[part], "y": y[part]})["loss"])

    return step, state


def theirs(folder: Path, layer: str, units: int, state: dict[str, Any]) -> Step:
    import torch
    from torch import nn

    rows = np.load(folder / "rows.npz")
    x, y = torch.from_numpy(rows["x"]), torch.from_numpy(rows["y"])
    reads, says = getattr(nn, KINDS[layer])(x.shape[2], units, batch_first=True), nn.Linear(units, 1)
    with torch.no_grad():
        for weight in (*reads.parameters(), *says.parameters()):
            weight.zero_()
        reads.weight_ih_l0.copy_(torch.tensor(state[f"Net.h.{layer}.W"].T))
        reads.weight_hh_l0.copy_(torch.tensor(state[f"Net.h.{layer}.U"].T))
        says.weight.copy_(torch.tensor(state["Net.guess.dense.W"].T))
    if layer == "lstm":
        reads.bias_hh_l0.requires_grad_(False)  # one bias, as ours
    learned = [w for w in (*reads.parameters(), *says.parameters()) if w.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-3, fused=True)

    def step(number: int) -> float:
        part = slice(32 * (number % 10), 32 * (number % 10) + 32)
        optimizer.zero_grad()
        loss = ((says(reads(x[part])[0][:, -1])[:, 0] - y[part]) ** 2).mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def timed(step: Step, count: int = 10) -> float:
    """Milliseconds a step."""
    begun = perf_counter()
    for number in range(count):
        step(number)
    return 1000 * (perf_counter() - begun) / count


def ratio(first: Step, second: Step, rounds: int) -> tuple[float, float, float]:
    """Both times, and how much longer the second takes; medians over the rounds."""
    pairs = [(timed(first), timed(second)) for _ in range(rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    import torch  # here, so that `--help` does without it

    torch.set_num_threads(asked.threads)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for layer in KINDS:
            x = rng.normal(size=(320, 64, 64)).astype("f")
            np.savez(folder / "rows.npz", x=x, y=x[:, -5:, 0].mean(1))
            mine, state = ours(folder, layer, 128, asked.threads, unrolled=4)
            other = theirs(folder, layer, 128, state)
            for number in range(3):
                a, b = mine(number), other(number)
                assert layer == "gru" or abs(a - b) < 1e-3 * abs(a), (
                    layer,
                    number,
                    a,
                    b,
                )  # a gru there has more biases
            told = ratio(mine, other, asked.rounds)
            print(
                f"{layer}: dotnn {told[0]:.2f} ms, PyTorch {told[1]:.2f} ms, PyTorch / dotnn {told[2]:.2f}", flush=True
            )
        for units in (16, 128):
            for steps in (2, 4, 8, 12, 24):
                x = rng.normal(size=(320, steps, 8)).astype("f")
                np.savez(folder / "rows.npz", x=x, y=x[:, 0, 0])
                loop, _ = ours(folder, "lstm", units, asked.threads, unrolled=0)
                straight, _ = ours(folder, "lstm", units, asked.threads, unrolled=99)
                told = ratio(straight, loop, asked.rounds)
                print(f"{units} units, {steps} steps: loop / written out {told[2]:.2f}", flush=True)


if __name__ == "__main__":
    main()
