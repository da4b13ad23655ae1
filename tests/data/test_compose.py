"""Rows made of several rows of another block: which ones they are, and that the parts keep apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dotnn.compiler import compile_file
from dotnn.data import Dataset
from dotnn.inputs.block import DataBlock
from dotnn.read import read_text
from dotnn.squares import derive_key, uniform24
from dotnn_grammar.source import Source

BASE = """
param rows = 60
param each = 3
data one {
  source generate 100
  place  = uniform(0, 1)
  x      = normal(0, 1)[2]
  level  = standardise(x)
  kind   = floor(4 * place) as int < 4
  split  train 60%, test 40%
  seed   2
}
data several {
  source draw rows of each from one
  gap    = uniform(0, 1)
  sums   = sum(x, over = 1)
  x      = x + gap
  LINE
  seed   9
}
"""


def loaded(name: str = "several", line: str = "", **params: Any) -> Dataset:
    spec = read_text(Source(name="d.nn", text=BASE.replace("LINE", line)))
    given = {"rows": 60, "each": 3} | params
    block = DataBlock(next(data for data in spec.data if data.name == name), Path(), spec, given)
    raws = {
        n: block.drawn(n, len(block.lineage.wordings[n]) - 1) for n in block.columns if n != "level" or name != "one"
    }
    return block.load(raws, {n: c.span for n, c in block.columns.items()})


def test_each_part_is_made_of_the_same_part() -> None:
    one, several = loaded("one"), loaded()
    assert {name: rows.count for name, rows in several.splits.items()} == {"train": 36, "test": 24}
    for part, rows in several.splits.items():
        there = set(one.splits[part].arrays["place"].tolist())
        assert set(rows.arrays["place"].ravel().tolist()) <= there
        assert (rows.arrays["kind"] == np.floor(4 * rows.arrays["place"])).all()  # a row stays together
        assert rows.arrays["kind"].shape == (rows.count, 3)
        assert rows.arrays["kind"].dtype == np.int64


def test_which_rows_are_drawn_is_what_the_formula_says() -> None:
    one, several = loaded("one"), loaded()
    chance = uniform24(derive_key(9), np.arange(60), (60, 3), "draw#0").astype(float)
    numbers = {name: rows.arrays["place"] for name, rows in one.splits.items()}
    found = {name: rows.arrays["place"] for name, rows in several.splits.items()}
    expected = {name: array[np.floor(chance * len(array)).astype(int)] for name, array in numbers.items()}
    for name, array in found.items():
        wanted = {tuple(row) for row in expected[name].tolist()}
        assert {tuple(row) for row in array.tolist()} <= wanted
    # The old column stands on the right of its own line, and every other line reads the new one.
    rows = several.splits["train"].arrays
    np.testing.assert_allclose(rows["sums"], rows["x"].sum(1), rtol=1e-5)


def test_what_was_fitted_there_holds_here() -> None:
    one, several = loaded("one"), loaded()
    train = one.splits["train"].arrays["x"].astype(np.float64)
    rows = several.splits["test"].arrays
    x = rows["x"] - rows["gap"][:, None, None]
    np.testing.assert_allclose(rows["level"], (x - train.mean(0)) / train.std(0), rtol=1e-3, atol=1e-4)


def test_more_rows_change_none_that_are_there() -> None:
    few, many = loaded(line="split train 100%"), loaded(line="split train 100%", rows=200)
    for name, array in few.splits["train"].arrays.items():
        assert (many.splits["train"].arrays[name][:60] == array).all(), name
    assert few.fingerprint != many.fingerprint
    assert loaded().fingerprint == loaded().fingerprint


def test_a_block_of_one_each_and_its_own_split() -> None:
    made = loaded(line="split train 20%, test 80%", each=1)
    assert {name: rows.count for name, rows in made.splits.items()} == {"train": 12, "test": 48}
    assert made.splits["test"].arrays["x"].shape == (48, 1, 2)


def test_a_net_learns_from_it_and_a_shift_of_it_is_measured(tmp_path: Path) -> None:
    text = (
        BASE.replace("LINE", "augment x = x -> gaussian_noise(0.1)")
        + """
data wide = several where { gap = 5 * gap }
net N(x: [b, 3, 2]) -> score: [b, 3, 4] { score = x -> dense(8) -> relu -> dense(4) }
train N on several {
  loss      cross_entropy(score, kind)
  error     argmax(score) != kind
  optimizer sgd(lr = 0.1)
  batch     12
  epochs    2
}
claim "no worse than a guess": wide.test.error < 99%
claim "at home": error < 99% on test
"""
    )
    path = tmp_path / "d.nn"
    path.write_text(text, encoding="utf-8")
    made = compile_file(path)
    assert {raw.name: raw.dims for raw in made.program.inputs} == {"x": (3, 2), "kind": (3,)}
    assert [place.data for place in made.program.claimed_on] == ["wide", "several"]
