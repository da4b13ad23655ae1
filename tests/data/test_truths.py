"""`as bool` and `as u8`: columns of a table with few values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.data import Dataset
from dotnn_grammar.problems import ProblemError

SPEC = """
data d {
  source table "d.csv"
  sure  = column sure as bool
  shade = columns p0 to p3 as u8[2, 2]
  high  = column p0 > 9 as bool
  y     = column p0
}
net N(shade: [b, 2, 2]) -> guess: [b] {
  weight w: [] ~ ones
  guess = w * sum(shade, over = (-1, -2)) / 255
}
train N on d {
  loss mean((guess - y)^2) where sure
  error sure and not high
  optimizer sgd(lr = 1e-3)
  batch 2
  epochs 1
}
"""


def loaded(folder: Path, cells: str, spec: str = SPEC) -> Dataset:
    (folder / "d.csv").write_text(f"sure,p0,p1,p2,p3\n{cells}\n", encoding="utf-8")
    (folder / "s.nn").write_text(spec, encoding="utf-8")
    return compile_file(folder / "s.nn").dataset


def test_yes_and_no_in_the_words_that_tables_have(tmp_path: Path) -> None:
    rows = "1,1,2,3,255\n0,0,0,0,0\nyes,1,1,1,1\nNo,1,1,1,1\ntrue,1,1,1,1\n False ,10,1,1,1"
    arrays = loaded(tmp_path, rows).splits["train"].arrays
    assert arrays["sure"].dtype == np.bool_
    assert arrays["sure"].tolist() == [True, False, True, False, True, False]
    assert arrays["shade"].dtype == np.uint8
    assert arrays["shade"][0].tolist() == [1, 2, 3, 255]


@pytest.mark.parametrize(
    ("cells", "code"),
    [("2,1,1,1,1", "D027"), ("maybe,1,1,1,1", "D023"), ("1,256,1,1,1", "D027"), ("1,1.5,1,1,1", "D026")],
)
def test_a_value_that_is_none_of_them_is_shown_with_its_line(tmp_path: Path, cells: str, code: str) -> None:
    with pytest.raises(ProblemError) as caught:
        loaded(tmp_path, f"1,1,1,1,1\n{cells}")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert "d.csv:3" in problem.title_text


def test_a_computed_column_does_not_become_bytes(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        loaded(tmp_path, "1,1,1,1,1", SPEC.replace("columns p0 to p3 as u8", "columns p0 to p3 * 2 as u8"))
    assert caught.value.problems[0].code == "B030"
