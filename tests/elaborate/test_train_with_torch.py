"""Lines of a train block beside PyTorch's ways of saying the same, in double precision, over many steps."""

from typing import Any

import numpy as np
import pytest

from dotnn.compiler import lower
from dotnn.plugins import Options, backend

torch = pytest.importorskip("torch")

NET = """
net N(x: [b, 3]) -> y: [b, 2] {
  y = x -> dense(5) as first -> tanh -> dense(4) as second -> tanh -> dense(2) as third
}
"""
ROWS, BATCH, EPOCHS = 22, 4, 6
X = np.random.default_rng(1).normal(size=(ROWS, 3)).round(3)
T = np.random.default_rng(2).normal(size=(ROWS, 2)).round(3)
NAMES = [f"N.{part}.{name}" for part in ("first", "second", "third") for name in ("W", "b")]

OPTIMIZERS = {
    "sgd(lr = 0.1, momentum = 0.9)": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "adam(lr = 0.01)": lambda groups: torch.optim.Adam(groups, lr=0.01),
    "adamw(lr = 0.01, decay = 0.1)": lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1),
}


def batches():
    for _ in range(EPOCHS):
        for first in range(0, ROWS, BATCH):
            yield slice(first, min(first + BATCH, ROWS))


def ours(bench, optimizer, lines):
    head = f"loss mse(y, t)\n  optimizer {optimizer}\n  batch {BATCH}\n  epochs {EPOCHS}"
    builder = bench.builder(f"{NET}train N on d {{\n  {head}\n  {lines}\n}}", {"x": X, "t": T})
    each = -(-ROWS // BATCH)
    graphs = lower(builder, builder.train, EPOCHS * each, each)
    reference, options = backend("reference"), Options(float64=True)

    def start(name):
        return reference.start(reference.lower(graphs[name], options), options)

    first = state = start("init").run({"seed": np.int64(3)})
    step = start("train")
    wanted = {fed.name for fed in graphs["train"].inputs}
    for rows in batches():
        made = step.run({n: v for n, v in {**state, "x": X[rows], "t": T[rows]}.items() if n in wanted})
        state = {name: made[f"{name}.next"] for name in state}
    return first, state


def theirs(first, make, *, rates=(), frozen=(), decays=(), every=1):
    weights = {name: torch.tensor(first[name], dtype=torch.float64, requires_grad=True) for name in NAMES}
    for name in NAMES:
        weights[name].requires_grad_(not any(name.startswith(part) for part in frozen))
    base = make([torch.zeros(1, requires_grad=True)]).defaults["lr"]
    groups = [
        {"params": [weight], "lr": base * next((r for part, r in rates if name.startswith(part)), 1)}
        for name, weight in weights.items()
        if weight.requires_grad
    ]
    optimizer = make(groups)
    waiting = []
    for rows in batches():
        waiting.append(rows)
        if len(waiting) < every and rows.stop < ROWS:
            continue
        optimizer.zero_grad()
        count = sum(r.stop - r.start for r in waiting)
        for r in waiting:
            h = torch.tensor(X[r])
            for part in ("first", "second", "third"):
                h = h @ weights[f"N.{part}.W"] + weights[f"N.{part}.b"]
                h = h if part == "third" else torch.tanh(h)
            loss = torch.nn.functional.mse_loss(h, torch.tensor(T[r]))
            (loss * ((r.stop - r.start) / count)).backward()
        for name, rate in decays:
            weights[name].grad += rate * weights[name].detach()
        optimizer.step()
        waiting = []
    return {name: weight.detach().numpy() for name, weight in weights.items()}


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "rates": ("rate 0.1 for first.*\n  rate 3 for third.W", {"rates": [("N.first", 0.1), ("N.third.W", 3)]}),
    "freeze": ("freeze first, second.b", {"frozen": ["N.first", "N.second.b"]}),
    "decay": ("decay 0.2 for *.W\n  decay 0 for third", {"decays": [("N.first.W", 0.2), ("N.second.W", 0.2)]}),
    "accumulate": ("accumulate 4", {"every": 4}),
    "all": (
        "accumulate 2\n  freeze second\n  rate 0.5 for *\n  rate 2 for third\n  decay 0.1 for first.W",
        {"every": 2, "frozen": ["N.second"], "rates": [("N.third", 2), ("N", 0.5)], "decays": [("N.first.W", 0.1)]},
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", CASES)
def test_it_is_what_pytorch_does(bench, case, optimizer):
    lines, words = CASES[case]
    first, state = ours(bench, optimizer, lines)
    wanted = theirs(first, OPTIMIZERS[optimizer], **words)
    for name in NAMES:
        assert state[name] == pytest.approx(wanted[name], rel=1e-11, abs=1e-12), name
