"""What a train block can say, all of it at once, beside a loop by hand in PyTorch: double precision, each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

ROWS = 53
SPEC = """
data d {{
  source table "rows.csv"
  x = columns a to c
  w = column w
  kind = column kind as class
}}
net N(x: [b, 3]) -> s: [b, 3] {{
  h = x -> dense(5) as first -> tanh
  {norm}
  s = h -> dense(4) as mid -> tanh -> dense(3) as out
}}
train N on d {{
  loss {loss}
  optimizer {optimizer}
  batch {batch}
  accumulate {every}
  steps {steps}
  clip norm {clip}
  decay 0.03 for *.W
  decay 0.01 for mid
  rate 0.5 for *
  rate {rate} for out
  freeze first.b
  seed 5
}}
"""


@dataclass(frozen=True)
class Case:
    """loss and schedule by their names below; ``every``: batches of an update."""

    loss: str
    optimizer: str
    schedule: str
    batch: int
    every: int
    steps: int
    clip: float
    rate: str = "0.1"
    norm: bool = False


CASES = [
    Case("cross_entropy(s, kind)", "nesterov", "warmup", 10, 4, 14, 0.05),
    Case("cross_entropy(s, kind) weighted by w", "adam", "warmup", 16, 3, 12, 1, "warmup(2) then 0.7"),
    Case("cross_entropy(s, kind) where kind != 1 weighted by w", "adamw", "plateau", 9, 2, 14, 1, norm=True),
    Case("cross_entropy(s, kind) weighted by balanced(kind)", "rmsprop", "plateau", 1, 4, 106, 0.05),
    Case("cross_entropy(s, kind) weighted by [5, 1, 0.5][kind]", "nesterov", "plateau", 10, 100, 18, 0.05, norm=True),
    Case("cross_entropy(s, kind, weights = [5, 1, 0.5])", "adamw", "warmup", 7, 1, 16, 100, "warmup(4) then 0.7", True),
]


def counted(case: Case, kind: Any, w: Any, kinds: Any) -> tuple[Any, Any]:
    """For each row: what its loss is multiplied with, and for how much it counts."""
    one = torch.ones(len(kind), dtype=torch.float64)
    if "weights" in case.loss:
        return torch.tensor([5.0, 1, 0.5], dtype=torch.float64)[kind], one
    if "balanced" in case.loss:
        one = torch.tensor(ROWS / (3 * np.bincount(kinds)))[kind]
    elif "][kind]" in case.loss:
        one = torch.tensor([5.0, 1, 0.5], dtype=torch.float64)[kind]
    elif "by w" in case.loss:
        one = w
    if "where" in case.loss:
        one = one * (kind != 1)
    return one, one


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "nesterov": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.1),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.01),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.1),
}
SCHEDULES = {
    "warmup": "warmup(3) then cosine(from = 0.1)",
    "plateau": "plateau(from = 0.3, factor = 0.5, patience = 0)",
}


class Plateau:
    """`plateau` by hand: halved after each epoch that is not better than the best."""

    def __init__(self) -> None:
        self.rate, self.best, self.total, self.rows = 0.3, math.inf, 0.0, 0

    def seen(self, loss: float, rows: int, ended: bool) -> None:
        self.total, self.rows = self.total + loss * rows, self.rows + rows
        if not ended:
            return
        mean, self.total, self.rows = self.total / self.rows, 0.0, 0
        if mean < self.best * (1 - 1e-4):
            self.best = mean
        else:
            self.rate *= 0.5


def warmed(update: int, updates: int) -> float:
    """`warmup(3) then cosine(from = 0.1)` by hand."""
    wave = 0.1 * (1 + math.cos(math.pi * max(update - 3, 1) / (updates - 3))) / 2
    return wave * min(update / 3, 1)


def table(folder: Path) -> None:
    numbers = np.random.default_rng(3)
    lines = ["a,b,c,w,kind"]
    for _ in range(ROWS):
        x = numbers.normal(size=3)
        w = abs(numbers.normal()) * 2 if numbers.random() > 0.2 else 0
        kind = ("left", "right", "over")[int(np.argmax(x + np.array([0, 0.2, 0])))]
        lines.append(",".join([*(f"{v:.4f}" for v in x), f"{w:.3f}", kind]))
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


Arrays = Mapping[str, Any]


def ours(case: Case, folder: Path) -> tuple[Arrays, Arrays, list[dict[str, float]], list[Any], Arrays]:
    """The first and the last state, what each step gave, the order of each epoch's rows, the columns."""
    norm = "h = h -> batch_norm" if case.norm else ""
    optimizer = f"{case.optimizer}(lr = {SCHEDULES[case.schedule]})"
    words = {"loss": case.loss, "batch": case.batch, "every": case.every, "steps": case.steps, "clip": case.clip}
    text = SPEC.format(norm=norm, optimizer=optimizer, rate=case.rate, **words)
    (folder / "s.nn").write_text(text, encoding="utf-8")
    made = compile_file(folder / "s.nn")
    machine, options = backend("reference"), Options(float64=True)
    graphs = made.program.graphs
    session = {n: machine.start(machine.lower(graphs[n], options), options) for n in ("init", "train", "order")}
    state = {name: np.asarray(value) for name, value in session["init"].run({"seed": np.array(5)}).items()}
    first, columns = dict(state), made.dataset.splits["train"].arrays
    log: list[dict[str, float]] = []
    orders: list[Any] = []
    while len(log) < case.steps:
        feeds = {"seed": np.array(5), "epoch": np.array(len(orders)), "n": np.array(ROWS)}
        orders.append(np.asarray(session["order"].run(feeds)["order"]).astype(int))
        for at in range(0, ROWS, case.batch)[: case.steps - len(log)]:
            rows = {name: column[orders[-1][at : at + case.batch]] for name, column in columns.items()}
            feeds = {fed.name: {**state, **rows}[fed.name] for fed in graphs["train"].inputs}
            out = session["train"].run(feeds)
            state |= {name[:-5]: np.asarray(value) for name, value in out.items() if name.endswith(".next")}
            log.append({name: float(out[name]) for name in ("loss", "rate", "finite")})
    return first, state, log, orders, columns


def theirs(case: Case, first: Arrays, orders: list[Any], columns: Arrays) -> tuple[Arrays, list[dict[str, float]]]:
    """The weights and the running mean and variance at the end; of each step the loss, of each update the rate."""
    learned = [n for n in first if n.rpartition(".")[2] in ("W", "b", "scale", "shift")]
    weights = {name: torch.tensor(np.asarray(first[name], np.float64), requires_grad=True) for name in learned}
    moving = [name for name in weights if name != "N.first.b"]
    inner = next((n.rpartition(".")[0] for n in weights if n.endswith(".scale")), "")
    mean, var = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)

    def net(x: Any) -> Any:
        h = torch.tanh(x @ weights["N.first.W"] + weights["N.first.b"])
        if case.norm:
            scale, shift = weights[f"{inner}.scale"], weights[f"{inner}.shift"]
            h = torch.nn.functional.batch_norm(h, mean, var, scale, shift, True, 0.1, 1e-5)
        h = torch.tanh(h @ weights["N.mid.W"] + weights["N.mid.b"])
        return h @ weights["N.out.W"] + weights["N.out.b"]

    optimizer = OPTIMIZERS[case.optimizer]([{"params": [weights[name]], "name": name} for name in moving])
    x, w = (torch.tensor(np.asarray(columns.get(n, np.ones(ROWS)), np.float64)) for n in ("x", "w"))
    kind = torch.tensor(columns["kind"])
    epoch = math.ceil(ROWS / case.batch)
    per = math.ceil(epoch / case.every)
    updates = case.steps // epoch * per + math.ceil(case.steps % epoch / case.every)
    log: list[dict[str, float]] = []
    plateau, update = Plateau(), 0
    for order in orders:
        gathered: dict[str, Any] = {}
        places, total, rows = 0.0, 0.0, 0
        for batch in range(min(epoch, case.steps - len(log))):
            at = torch.tensor(order[batch * case.batch : (batch + 1) * case.batch])
            losses = torch.nn.functional.cross_entropy(net(x[at]), kind[at], reduction="none")
            factor, count = counted(case, kind[at], w[at], columns["kind"])
            loss = (losses * factor).sum() / (count.sum() if count.sum() > 0 else 1)
            found = torch.autograd.grad(loss, [weights[name] for name in moving])
            for name, gradient in zip(moving, found, strict=True):
                gathered[name] = gathered.get(name, 0) + gradient * count.sum()
            places, total = places + float(count.sum()), total + float(loss.detach() * count.sum())
            rows += len(at)
            log.append({"loss": float(loss.detach())})
            if (batch + 1) % case.every and batch + 1 < epoch and len(log) < case.steps:
                continue
            update += 1
            gradients = {name: sums / (places or 1) for name, sums in gathered.items()}
            length = float(sum((g**2).sum() for g in gradients.values())) ** 0.5
            rate = plateau.rate
            if case.schedule == "warmup":
                rate = warmed(update, updates)
            log[-1]["rate"] = rate
            for group in optimizer.param_groups:
                name, weight = group["name"], group["params"][0]
                decay = 0.01 if name.startswith("N.mid") else 0.03 if name.endswith(".W") else 0
                weight.grad = gradients[name] * min(case.clip / length, 1) + decay * weight.detach()
                own = 0.1 if case.rate == "0.1" else 0.7 * min(update / int(case.rate[7]), 1)
                group["lr"] = rate * (own if name.startswith("N.out") else 0.5)
            optimizer.step()
            plateau.seen(total / (places or 1), rows, update % per == 0)
            gathered, places, total, rows = {}, 0.0, 0.0, 0
    end = {name: weight.detach().numpy() for name, weight in weights.items()}
    return end | ({f"{inner}.mean": mean.numpy(), f"{inner}.var": var.numpy()} if case.norm else {}), log


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.optimizer}-{case.schedule}-{case.batch}x{case.every}")
def test_all_lines_together_are_a_loop_in_pytorch(case: Case, tmp_path: Path) -> None:
    table(tmp_path)
    first, end, log, orders, columns = ours(case, tmp_path)
    wanted, steps = theirs(case, first, orders, columns)
    assert all(step["finite"] for step in log)
    np.testing.assert_allclose([s["loss"] for s in log], [s["loss"] for s in steps], rtol=1e-10, atol=1e-10)
    pairs = [(own["rate"], step["rate"]) for own, step in zip(log, steps, strict=True) if "rate" in step]
    assert pairs
    np.testing.assert_allclose([own for own, _ in pairs], [rate for _, rate in pairs], rtol=1e-10)
    for name, value in wanted.items():
        np.testing.assert_allclose(end[name], value, rtol=1e-9, atol=1e-10, err_msg=name)
        assert name == "N.first.b" or np.abs(end[name] - first[name]).max() > 1e-6, name
