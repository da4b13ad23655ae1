"""What is timed: the same net, the same weights, the same rows in the same order, for each of the peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


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

train Net on table {{
  loss cross_entropy(logits, label)
  error argmax(logits) != label
  optimizer adam(lr = {self.rate})
  batch {self.batch}
  epochs 1
  seed 1
}}
"""

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
        path = folder / "net.nn"
        path.write_text(self.spec, encoding="utf-8")
        return path


CASES = (
    Case("digits MLP, 64-64-10, batch 32", (64, 64, 10), 32, 1280, 2000),
    Case("MLP, 784-512-512-10, batch 128", (784, 512, 512, 10), 128, 1280, 60),
)
