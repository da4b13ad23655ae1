"""A small net with two layers, trained for a moment, and its weights as NumPy has them."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from dotnn.training.run import read_weights

SPEC = """data points {
  source table "points.csv"
  place = 2 * columns a to b
  kind  = column kind as class
  split train 60%, val 20%, test 20%
  seed  1
}

function twice(x) {
  half = x + x
  return half
}

net Sides(place: [b, 2]) -> scores: [b, 3] {
  h = place -> dense(4) as hidden -> tanh as bent
  repeat turn in 0..2 { h = h + (twice(h) -> dense(4)) }
  scores = h -> dense(3)
}

train Sides on points {
  loss cross_entropy(scores, kind)
  error argmax(scores) != kind
  metric mixed = confusion(argmax(scores), kind)
  answer argmax(scores) as kind
  optimizer sgd(lr = 0.1)
  batch 16
  epochs 2
  seed 3
}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of the run, and the weights in double precision."""
    folder = tmp_path_factory.mktemp("sides")
    numbers = random.Random(4)
    rows = ["a,b,kind"]
    for _ in range(60):
        a, b = numbers.uniform(-1, 1), numbers.uniform(-1, 1)
        rows.append(f"{a:.4f},{b:.4f},{'left' if a < -0.3 else 'right' if b < 0.2 else '=over'}")
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    (folder / "points.nn").write_text(SPEC)
    from dotnn.commands import main

    with pytest.raises(SystemExit) as ended:
        main(["train", str(folder / "points.nn"), "--out", str(folder / "run"), "--threads", "1"])
    assert ended.value.code == 0
    weights = {name: array.astype(np.float64) for name, array in read_weights(folder / "run").items()}
    return SimpleNamespace(run=folder / "run", weights=weights, folder=folder)
