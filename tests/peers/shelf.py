"""The standard library beside PyTorch: for each name a line that uses it, and the same line in PyTorch's words.

Every case has ``given[row]`` and ``mix[row]`` in scope, rows of weights: the gradient by `mix` is what the line
computes, that by `given` and the line's own weights is its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from dotnn.compiler import ir
from dotnn.differentiate import GRADIENT
from dotnn.graph import Graph
from dotnn.plugins import Options, backend
from dotnn.program import Program
from dotnn.squares import derive_key, uniform16

Array = np.ndarray[Any, Any]

ROWS, WIDTH = 16, 8
SEED, STEP = 3, 7


@dataclass(frozen=True)
class Case:
    """``line``: what the net computes, from `h` ([b, WIDTH]) to `y`; ``torch``: of (torch, h, weights, label)."""

    name: str
    line: str
    torch: Callable[[Any, Any, Mapping[str, Any], Any], Any]
    result: tuple[int, ...] = (WIDTH,)
    label: str = ""
    """How it is called at other settings."""

    @property
    def key(self) -> str:
        return self.name + (f" {self.label}" if self.label else "")


def _mask(torch: Any, p: float) -> Any:
    """What is not forgotten: the coins of the generator, thrown on the host."""
    drawn = uniform16(derive_key(SEED), STEP, (ROWS, WIDTH), "Shelf.y.dropout.y#0")
    return torch.tensor((drawn.astype(np.float64) < 1 - p) / (1 - p))


def _functional(torch: Any) -> Any:
    return torch.nn.functional


CASES = (
    Case("dense", "h -> dense(5)", lambda t, h, w, _: _functional(t).linear(h, w["y.dense.W"].T, w["y.dense.b"]), (5,)),
    Case(
        "dense",
        "h -> dense(5, bias = no)",
        lambda t, h, w, _: _functional(t).linear(h, w["y.dense.W"].T),
        (5,),
        "no bias",
    ),
    Case(
        "layer_norm",
        "h -> layer_norm",
        lambda t, h, w, _: _functional(t).layer_norm(
            h, (WIDTH,), w["y.layer_norm.scale"], w["y.layer_norm.shift"], 1e-5
        ),
    ),
    Case(
        "layer_norm",
        "h -> layer_norm(eps = 0.1)",
        lambda t, h, w, _: _functional(t).layer_norm(
            h, (WIDTH,), w["y.layer_norm.scale"], w["y.layer_norm.shift"], 0.1
        ),
        label="eps",
    ),
    Case("dropout", "h -> dropout(0.25)", lambda t, h, w, _: h * _mask(t, 0.25)),
    Case("relu", "relu(h)", lambda t, h, w, _: t.relu(h)),
    Case("tanh", "tanh(h)", lambda t, h, w, _: t.tanh(h)),
    Case("sigmoid", "sigmoid(h)", lambda t, h, w, _: t.sigmoid(h)),
    Case("softmax", "softmax(h)", lambda t, h, w, _: t.softmax(h, -1)),
    Case("flatten", "flatten(pair[row])", lambda t, h, w, _: t.flatten(w["pair"], 1)),
    Case(
        "cross_entropy",
        "cross_entropy(h, label)",
        lambda t, h, w, label: _functional(t).cross_entropy(h, label, reduction="none"),
        (),
    ),
    Case("accuracy", "accuracy(h, label) * 1.0", lambda t, h, w, label: (h.argmax(-1) == label).to(t.float64), ()),
    Case("mse", "mse(h, 0.5)", lambda t, h, w, _: _functional(t).mse_loss(h, t.full_like(h, 0.5), reduction="none")),
)


def text(case: Case) -> str:
    sizes = ", ".join(map(str, case.result))
    mix = f"[{ROWS}, {sizes}]" if sizes else f"[{ROWS}]"
    result = f"[b, {sizes}]" if sizes else "[b]"
    pair = f"  weight pair: [{ROWS}, 2, {WIDTH // 2}] ~ normal\n" if "pair" in case.line else ""
    return f"""data shelf {{
  source table "shelf.csv"
  row = column row as int < {ROWS}
  label = column label as int < {WIDTH}
}}
net Shelf(row: int[b], label: int[b] < {WIDTH}) -> mixed: {result} {{
  weight given: [{ROWS}, {WIDTH}] ~ normal
  weight mix: {mix} ~ normal
{pair}  h = given[row]
  y = {case.line}
  mixed = y * mix[row]
}}
train Shelf on shelf {{
  loss mixed
  optimizer sgd
  batch {ROWS}
  steps 1
}}
"""


def labels() -> Array:
    random = Random("labels")
    return np.array([random.randrange(WIDTH) for _ in range(ROWS)])


def graph_of(case: Case, folder: Path) -> Graph:
    """The graph with the gradient of every weight."""
    rows = "\n".join(f"{i},{label}" for i, label in enumerate(labels().tolist()))
    (folder / "shelf.csv").write_text(f"row,label\n{rows}\n", "utf-8")
    (folder / "shelf.nn").write_text(text(case), "utf-8")
    program = ir(folder / "shelf.nn", "program", after="differentiate")
    assert isinstance(program, Program)
    return program.graphs["train"]


def draw_weights(graph: Graph) -> dict[str, Array]:
    """Weights of single precision, without the first word of their paths."""
    drawn = {}
    for fed in graph.inputs:
        if fed.learned:
            random, shape = Random(fed.name), [int(d) for d in fed.type.dims]
            numbers = np.array([random.gauss(0, 1) for _ in range(prod(shape))], np.float32)
            drawn[fed.name.removeprefix("Shelf.")] = numbers.reshape(shape)
    return drawn


def ours(graph: Graph, weights: Mapping[str, Array], name: str, float64: bool) -> dict[str, Array]:
    """The loss and the gradient of every weight, in dotnn."""
    options = Options(threads=1, float64=float64)
    chosen = backend(name)
    executor = chosen.start(chosen.lower(graph, options), options)
    feeds = {f"Shelf.{k}": v for k, v in weights.items()}
    state = {"key": np.asarray(derive_key(SEED), np.uint64), "step": np.asarray(STEP)}
    feeds |= {"row": np.arange(ROWS), "label": labels()} | state
    made = executor.run({fed.name: feeds[fed.name] for fed in graph.inputs})
    return {"loss": made["loss"], **{k: made[f"{GRADIENT}Shelf.{k}"] for k in weights}}


def theirs(case: Case, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The same in PyTorch, in double precision."""
    import torch

    held = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in weights.items()}
    y = case.torch(torch, held["given"], held, torch.tensor(labels()))
    loss = (y * held["mix"]).mean()
    loss.backward()
    flows = {k: torch.zeros_like(w) if w.grad is None else w.grad for k, w in held.items()}
    return {"loss": loss.detach().numpy(), **{k: flow.detach().numpy() for k, flow in flows.items()}}
