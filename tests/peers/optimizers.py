"""A hundred steps with what stands beside an optimizer: a chain of schedules, `clip`, `decay`. Here and in PyTorch.

(Each optimizer and schedule by itself is compared in tests/shelf.) The gradients do not depend on the weights.

The loss is linear in the weights, so that the optimizer alone is compared, and not how a net answers to the last bit of
a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import cos, pi
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from dotnn.compiler import Compiled, compile_file
from dotnn.plugins import Options, backend

Array = np.ndarray[Any, Any]

STEPS, ROWS, WIDTH, LONG = 100, 5, 4, 6
SEEN = (1, 2, 10, STEPS)
"""The steps after which the weights are compared."""


@dataclass(frozen=True)
class Case:
    """``line``: the optimizer; ``kind``, ``settings``: PyTorch's; ``rate``: the rate at a step, counted from 1."""

    label: str
    line: str
    kind: str
    settings: dict[str, Any]
    rate: Callable[[int], float] | None = None
    more: tuple[str, ...] = ()
    clip: float | None = None
    decay: Mapping[str, float] = field(default_factory=dict)


def wave(start: float, end: float, step: int, steps: int) -> float:
    return end + (start - end) * (1 + cos(pi * step / steps)) / 2


def _warm(step: int) -> float:
    first = wave(0.05, 0.001, 1, STEPS - 10)
    return first * step / 10 if step <= 10 else wave(0.05, 0.001, step - 10, STEPS - 10)


_ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}

CASES = (
    Case(
        "warmup then cosine",
        "adamw(lr = warmup(10) then cosine(from = 0.05, to = 0.001), decay = 0.1)",
        "AdamW",
        {"lr": 0.0, "weight_decay": 0.1, **_ADAM},
        _warm,
    ),
    Case(
        "until",
        "sgd(lr = 0.1 until step 30 then 0.01 until epoch 30 then 0.002, momentum = 0.5)",
        "SGD",
        {"lr": 0.0, "momentum": 0.5},
        lambda s: 0.1 if s <= 30 else 0.01 if s <= 90 else 0.002,
    ),
    Case("clip", "sgd(lr = 0.1)", "SGD", {"lr": 0.1}, more=("clip norm 0.5",), clip=0.5),
    Case(
        "clip and decay",
        "adam(lr = 0.01)",
        "Adam",
        {"lr": 0.01, **_ADAM},
        more=("clip norm 0.3", "decay 0.05 for *.table"),
        clip=0.3,
        decay={"table": 0.05},
    ),
)


def text(case: Case) -> str:
    more = "".join(f"  {line}\n" for line in case.more)
    return f"""data slopes {{
  source table "slopes.csv"
  row = column row as int < {LONG}
  x = columns x0 to x{WIDTH - 1} as [{WIDTH}]
}}
net Line(row: int[b], x: [b, {WIDTH}]) -> height: [b] {{
  weight table: [{LONG}, {WIDTH}] ~ normal
  weight shift: [{WIDTH}] ~ normal
  height = sum((table[row] + shift) * x, over = -1)
}}
train Line on slopes {{
  loss height
  optimizer {case.line}
  batch {ROWS}
  steps {STEPS}
{more}}}
"""


def batches() -> list[dict[str, Array]]:
    """The rows of each step; every row of the table is met, some seldom."""
    random = Random("slopes")
    made: list[dict[str, Array]] = []
    for _ in range(STEPS):
        x = [[random.gauss(0.2, 1) for _ in range(WIDTH)] for _ in range(ROWS)]
        row = [random.randrange(LONG) for _ in range(ROWS)]
        made.append({"x": np.array(x, np.float32), "row": np.array(row, np.int64)})
    return made


def first_weights() -> dict[str, Array]:
    random = Random("first weights")
    sizes = {"table": (LONG, WIDTH), "shift": (WIDTH,)}
    return {
        name: np.array([random.gauss(0, 1) for _ in range(int(np.prod(shape)))], np.float32).reshape(shape)
        for name, shape in sizes.items()
    }


def compiled(case: Case, folder: Path) -> Compiled:
    """An epoch is three batches long, so that `until epoch 30` ends after 90 steps."""
    rows = [f"{i % LONG},{','.join(str(i + k) for k in range(WIDTH))}" for i in range(3 * ROWS)]
    head = "row," + ",".join(f"x{i}" for i in range(WIDTH))
    (folder / "slopes.csv").write_text("\n".join([head, *rows]) + "\n", "utf-8")
    (folder / "line.nn").write_text(text(case), "utf-8")
    return compile_file(folder / "line.nn")


def ours(made: Compiled, name: str, float64: bool) -> tuple[dict[str, Array], Array]:
    """The weights after the steps of ``SEEN``, under `STEP/NAME`, and the rate at each step."""
    options = Options(threads=1, float64=float64)
    chosen = backend(name)
    executor = chosen.start(chosen.lower(made.program.graphs["train"], options), options)
    reference = backend("reference")
    init = reference.start(reference.lower(made.program.graphs["init"], options), options)
    state = init.run({"seed": np.asarray(0)})
    session = executor.train({**state, **{f"Line.{k}": v for k, v in first_weights().items()}})
    weights: dict[str, Array] = {}
    rates: list[float] = []
    for step, batch in enumerate(batches(), 1):
        rates.append(float(session.step(batch)["rate"]))
        if step in SEEN:
            now = session.state()
            weights |= {f"{step}/{k}": now[f"Line.{k}"] for k in first_weights()}
    return weights, np.array(rates)


def theirs(case: Case) -> dict[str, Array]:
    """The same in PyTorch, in double precision."""
    import torch

    held = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in first_weights().items()}
    optimizer = getattr(torch.optim, case.kind)(held.values(), **case.settings)
    weights: dict[str, Array] = {}
    for step, batch in enumerate(batches(), 1):
        if case.rate is not None:
            optimizer.param_groups[0]["lr"] = case.rate(step)
        optimizer.zero_grad()
        x = torch.tensor(batch["x"], dtype=torch.float64)
        ((held["table"][torch.tensor(batch["row"])] + held["shift"]) * x).sum(-1).mean().backward()
        gradients: list[Any] = [w.grad for w in held.values()]
        if case.clip is not None:
            # As clip_grad_norm_, but for the 1e-6 that it adds to the length.
            length = torch.sqrt(sum((g**2).sum() for g in gradients)).item()
            for gradient in gradients:
                gradient *= min(1.0, case.clip / length)
        for name, rate in case.decay.items():
            held[name].grad += rate * held[name].detach()
        optimizer.step()
        if step in SEEN:
            weights |= {f"{step}/{k}": w.detach().numpy().copy() for k, w in held.items()}
    return weights
