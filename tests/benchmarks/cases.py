"""What is timed: the same net, the same weights, the same rows in the same order, for each of the peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


def train(data: str, optimizer: str, batch: int) -> str:
    """The block that is the same in all cases but for these."""
    return f"""train Net on {data} {{
  loss cross_entropy(logits, label)
  error argmax(logits) != label
  optimizer {optimizer}
  batch {batch}
  epochs 1
  seed 1
}}
"""


def put(folder: Path, spec: str) -> Path:
    path = folder / "net.nn"
    path.write_text(spec, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Case:
    """A classifier of one row of numbers: dense layers with relu between them, cross-entropy, Adam."""

    name: str
    sizes: tuple[int, ...]
    """Inputs, hidden layers, classes."""
    batch: int
    rows: int
    steps: int
    """In one round."""
    rate: float = 1e-3
    compared: int = 40
    """Steps whose losses must agree."""

    @property
    def spec(self) -> str:
        """The case as a person writes it."""
        hidden = "".join(f" -> dense({size}) -> relu" for size in self.sizes[1:-1])
        return f"""
data table {{
  source table "rows.csv"
  x = columns x0 to x{self.sizes[0] - 1}
  label = column label as int < {self.sizes[-1]}
}}

net Net(x: [b, {self.sizes[0]}]) -> logits: [b, {self.sizes[-1]}] {{
  logits = x{hidden} -> dense({self.sizes[-1]})
}}

{train("table", f"adam(lr = {self.rate})", self.batch)}"""

    def write(self, folder: Path) -> Path:
        """Spec and table in a folder. The rows are drawn: each class is a point, and its rows lie around it."""
        rng = np.random.default_rng(1)
        labels = rng.integers(0, self.sizes[-1], self.rows)
        centres = rng.normal(0, 1, (self.sizes[-1], self.sizes[0]))
        x = (centres[labels] + rng.normal(0, 2.0, (self.rows, self.sizes[0]))).astype(np.float32).round(3)
        head = ",".join([*(f"x{i}" for i in range(self.sizes[0])), "label"])
        table = np.column_stack([x, labels])
        formats = ["%.3f"] * x.shape[1] + ["%d"]
        np.savetxt(folder / "rows.csv", table, delimiter=",", header=head, comments="", fmt=formats)
        return put(folder, self.spec)


@dataclass(frozen=True)
class Pictures:
    """A classifier of pictures: convolutions, cross-entropy, Adam. ``body``: the net as a person writes it."""

    name: str
    body: str
    batch: int
    rows: int
    steps: int
    """In one round."""
    rate: float = 1e-3
    compared: int = 40

    @property
    def spec(self) -> str:
        return f"""
data pictures {{
  source npz "rows.npz"
  x = x
  label = label as int < 10
}}
{self.body}
{train("pictures", f"adam(lr = {self.rate})", self.batch)}"""

    def write(self, folder: Path) -> Path:
        """Spec and pictures in a folder: each class is a pattern, and its pictures are that with noise."""
        rng = np.random.default_rng(1)
        label = rng.integers(0, 10, self.rows)
        patterns = rng.normal(0, 1, (10, 1, 28, 28))
        x = (patterns[label] + rng.normal(0, 2.0, (self.rows, 1, 28, 28))).astype(np.float32)
        np.savez(folder / "rows.npz", x=x, label=label)
        return put(folder, self.spec)


LENET = """
net Net(x: [b, 1, 28, 28]) -> logits: [b, 10] {
  s2 = x -> conv(6, 5) -> relu -> max_pool
  s4 = s2 -> conv(16, 5, padding = "valid") -> relu -> max_pool
  logits = s4 -> flatten -> dense(120) -> relu -> dense(84) -> relu -> dense(10)
}
"""

RESNET = """
layer filter(channels, size = 3, stride = 1)(x: [b, c, h, w]) -> [b, channels, h // stride, w // stride] {
  return x -> conv(channels, size, stride = stride, bias = no) -> batch_norm
}

layer block(channels, stride = 1)(x: [b, c, h, w]) -> [b, channels, h // stride, w // stride] {
  long = x -> filter(channels, stride = stride) -> relu -> filter(channels)
  if stride == 1 and c == channels { short = x } else { short = x -> filter(channels, size = 1, stride = stride) }
  return relu(long + short)
}

net Net(x: [b, 1, 28, 28]) -> logits: [b, 10] {
  y = x -> filter(16) -> relu
  repeat stage in 0..3 {
    repeat i in 0..2 { y = y -> block(16 * 2^stage, stride = 2 if stage > 0 and i == 0 else 1) }
  }
  logits = y -> mean(over = (-2, -1)) -> dense(10)
}
"""


@dataclass(frozen=True)
class Texts:
    """A net that says which piece of a text comes next: attention, cross-entropy, AdamW."""

    name: str
    depth: int
    width: int
    heads: int
    places: int
    pieces: int
    batch: int
    rows: int
    steps: int
    """In one round."""
    rate: float = 1e-3
    compared: int = 20

    @property
    def spec(self) -> str:
        return f"""
data text {{
  source npz "rows.npz"
  x = x as int < {self.pieces}
  label = label as int < {self.pieces}
}}

net Net(x: int[b, t] < vocab) -> logits: [b, t, vocab] {{
  weight table: [vocab, {self.width}] ~ normal(std = 0.02)
  h = table[x] -> positions({self.places})
  repeat {self.depth} {{ h = h -> encoder_block({self.heads}, {4 * self.width}, causal = yes) }}
  logits = (h -> layer_norm) @ table.T
}}

{train("text", f"adamw(lr = {self.rate}, decay = 0.1)", self.batch)}"""

    def write(self, folder: Path) -> Path:
        """Spec and pieces in a folder: each piece follows from the one before it, but for a draw of five."""
        rng = np.random.default_rng(1)
        pieces = rng.integers(0, self.pieces, (self.rows, self.places + 1))
        for place in range(1, self.places + 1):
            pieces[:, place] = (3 * pieces[:, place - 1] + rng.integers(0, 5, self.rows)) % self.pieces
        np.savez(folder / "rows.npz", x=pieces[:, :-1], label=pieces[:, 1:])
        return put(folder, self.spec)


AnyCase = Case | Pictures | Texts

CASES: tuple[AnyCase, ...] = (
    Case("digits MLP, 64-64-10, batch 32", (64, 64, 10), 32, 1280, 2000),
    Case("MLP, 784-512-512-10, batch 128", (784, 512, 512, 10), 128, 1280, 60),
    Pictures("LeNet-5, 28 x 28, batch 64", LENET, 64, 1280, 40),
    Pictures("LeNet-5, 28 x 28, batch 128", LENET, 128, 1280, 20),
    Pictures("ResNet of 13 convolutions, 28 x 28, batch 64", RESNET, 64, 640, 3, compared=10),
    Pictures("ResNet of 13 convolutions, 28 x 28, batch 128", RESNET, 128, 640, 2, compared=10),
    Texts("GPT, 4 layers of 128, 64 places, batch 16", 4, 128, 4, 64, 65, 16, 320, 6),
)
