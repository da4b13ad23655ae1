"""The nets of specs/gan.nn in PyTorch: step by step with our draws, and trained by themselves.

The figures in specs/README.md come from here: `python -m tests.specs.gan_in_torch`, with the extra `peers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import torch
from tests.specs.lab import SPECS
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dotnn.compiler import compile_file
from dotnn.graph import Graph
from dotnn.plugins import Inspecting, backends

Arrays = Mapping[str, np.ndarray[Any, Any]]
Drop = Callable[[torch.Tensor], torch.Tensor]


class Net:
    """Layers one after the other, `between` each two of them, with some numbers dropped where it says so."""

    def __init__(self, state: Arrays, paths: list[str], between: Drop) -> None:
        names = [f"{path}.{name}" for path in paths for name in ("W", "b")]
        self.weights = torch.nn.ParameterList([torch.tensor(state[name]) for name in names])
        self.between = between

    def __call__(self, x: torch.Tensor, drop: Drop = lambda x: x, weights: Any = None) -> torch.Tensor:
        """y = x @ W + b for each layer, by its own weights or by others."""
        x = x.reshape(len(x), -1)
        given = list(self.weights if weights is None else weights)
        for number in range(0, len(given), 2):
            x = x @ given[number] + given[number + 1]
            if number < len(given) - 2:
                x = drop(self.between(x))
        return x


def nets(state: Arrays) -> dict[str, Net]:
    """Forger, critic and reader with these weights."""
    return {
        "forger": Net(state, [f"Forger.image.dense{n}" for n in ("", "[1]", "[2]")], functional.leaky_relu),
        "critic": Net(
            state, ["Critic.hidden.dense", "Critic.real.dense", "Critic.real.dense[1]"], functional.leaky_relu
        ),
        "reader": Net(state, [f"Reader.logits.dense{n}" for n in ("", "[1]")], functional.relu),
    }


class Quarrel:
    """The three nets and how they learn."""

    def __init__(self, state: Arrays) -> None:
        self.nets = nets(state)
        rates = {"critic": (5e-4, 0.5), "forger": (5e-4, 0.5), "reader": (1e-3, 0.9)}
        self.optimizers = {
            name: torch.optim.Adam(self.nets[name].weights.parameters(), lr=rate, betas=(b1, 0.999))
            for name, (rate, b1) in rates.items()
        }

    def step(
        self, image: torch.Tensor, label: torch.Tensor, noise: torch.Tensor, drops: Mapping[str, Drop]
    ) -> dict[str, float]:
        """One batch: critic, forger, reader. Gives the loss of each."""
        forger, critic, reader = (self.nets[name] for name in ("forger", "critic", "reader"))
        bce = functional.binary_cross_entropy_with_logits
        one, none = torch.ones_like(label, dtype=image.dtype), torch.zeros_like(label, dtype=image.dtype)

        def critics() -> torch.Tensor:
            fake = torch.tanh(forger(noise)).detach()
            real, forged = (critic(x, drops[name])[:, 0] for x, name in ((image, "real"), (fake, "forged")))
            return bce(real, one) + bce(forged, none)

        def forgers() -> torch.Tensor:
            return bce(critic(torch.tanh(forger(noise)), drops["forger"])[:, 0], one)

        losses = {
            "critic": critics,
            "forger": forgers,
            "reader": lambda: functional.cross_entropy(reader(image), label),
        }
        told = {}
        for name, loss in losses.items():
            self.optimizers[name].zero_grad()
            made = loss()
            made.backward()
            self.optimizers[name].step()
            told[name] = made.item()
        return told


# ---- with our draws


def draws(graph: Graph, feeds: Arrays) -> tuple[torch.Tensor, dict[str, Drop]]:
    """The noise of this batch, and what is dropped in each call of the critic, in the order of its layers."""
    inspector = next(b for b in backends().values() if isinstance(b, Inspecting))
    values = inspector.values(graph, feeds)
    first = next(node for node in graph.nodes if node.op == "matmul" and node.inputs[1] == "Forger.image.dense.W")
    noise = torch.tensor(np.asarray(values[first.inputs[0]], np.float64))
    uses = {str(n.attributes["use"]): np.asarray(values[n.name]) for n in graph.nodes if n.op == "random"}

    def dropping(turn: str, call: int) -> Drop:
        masks = [a for use, a in uses.items() if use.startswith(f"{turn}:Critic") and use.endswith(f"#{call}")]
        left = iter(masks)
        return lambda x: x * torch.tensor(next(left) < 0.7) / 0.7

    drops = {"real": dropping("critic", 0), "forged": dropping("critic", 1), "forger": dropping("forger", 0)}
    return noise, drops


# ---- by themselves


def scored(forged: torch.Tensor, reader: Net) -> dict[str, float]:
    """How sure the reader is, how many kinds it sees, and the inception score."""
    with torch.no_grad():
        logs = functional.log_softmax(reader(forged), 1)
    share = logs.exp()
    overall = share.mean(0)
    return {
        "sure": float(share.max(1).values.mean()),
        "kinds": float(torch.exp(-(overall * (overall + 1e-9).log()).sum())),
        "score": float(torch.exp((share * (logs - (overall + 1e-9).log())).sum(1).mean())),
    }


def by_themselves(seed: int, epochs: int = 200, batch: int = 32) -> dict[str, float]:
    """The same with PyTorch's own numbers."""
    torch.manual_seed(seed)
    compiled = compile_file(SPECS / "gan.nn")
    parts = {name: rows.arrays for name, rows in compiled.dataset.splits.items()}
    image, label = (torch.tensor(parts["train"][name]) for name in ("image", "label"))
    image = image.float().reshape(len(image), 64) / 8 - 1
    quarrel = Quarrel(_first(seed))
    averaged = AveragedModel(quarrel.nets["forger"].weights, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    drop = torch.nn.Dropout(0.3)
    for _ in range(epochs):
        for places in torch.randperm(len(image)).split(batch):
            noise = torch.randn(len(places), 16)
            quarrel.step(image[places], label[places], noise, dict.fromkeys(("real", "forged", "forger"), drop))
            averaged.update_parameters(quarrel.nets["forger"].weights)
    with torch.no_grad():
        noise = torch.randn(len(parts["test"]["label"]), 16)
        forged = torch.tanh(quarrel.nets["forger"](noise, weights=averaged.module))
    return scored(forged, quarrel.nets["reader"])


def _first(seed: int) -> Arrays:
    """Weights as ours begin: uniform after Glorot and Bengio, biases 0."""
    sizes = {
        **{f"Forger.image.dense{n}": s for n, s in (("", (16, 128)), ("[1]", (128, 128)), ("[2]", (128, 64)))},
        "Critic.hidden.dense": (64, 128), "Critic.real.dense": (128, 64), "Critic.real.dense[1]": (64, 1),
        "Reader.logits.dense": (64, 64), "Reader.logits.dense[1]": (64, 10),
    }  # fmt: skip
    chance = np.random.default_rng(seed)
    made: dict[str, np.ndarray[Any, Any]] = {}
    for path, (n, m) in sizes.items():
        most = np.sqrt(6 / (n + m))
        made |= {f"{path}.W": chance.uniform(-most, most, (n, m)).astype(np.float32)}
        made |= {f"{path}.b": np.zeros(m, np.float32)}
    return made


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number in (1, 2, 3):
        begun = perf_counter()
        print(f"gan, seed {number}: {by_themselves(number)} ({perf_counter() - begun:.1f} s with its data)", flush=True)
