"""`batch 32 drawn by …`: rows in proportion to their weights, from order.onnx alone, the same whenever it is asked."""

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.inputs.sampling import tables
from dotnn.plugins import Options, backend

SPEC = """
data points {
  source generate 400
  rare = chance(10%)
  x = normal(0, 1) + 2 * rare
  much = uniform(0, 3)
  kind = rare as int < 2
}
net N(x: [b]) -> s: [b, 2] { s = stack(x, x) -> dense(2) }
train N on points {
  loss cross_entropy(s, kind)
  optimizer adam
  batch 50 drawn by balanced(kind)
  epochs 2
}
"""


def orders(program, name, count=200):
    graph, options = program.graphs["order"], Options()
    chosen = backend(name)
    executor = chosen.start(chosen.lower(graph, options), options)
    rows = []
    for epoch in range(count):
        feeds = {"seed": np.array(3), "epoch": np.array(epoch), "n": np.array(400)}
        (out,) = executor.run(feeds).values()
        rows.append(out)
    return np.array(rows)


def test_balanced_classes_come_equally_often(tmp_path):
    path = tmp_path / "d.nn"
    path.write_text(SPEC)
    made = compile_file(path)
    drawn = orders(made.program, "onnx")
    assert drawn.shape == (200, 400)
    assert np.array_equal(drawn[:5], orders(made.program, "reference", 5))
    kinds = made.dataset.splits["train"].arrays["kind"]
    share = kinds[drawn].mean()
    assert share == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / drawn.size))
    assert len({row.tobytes() for row in drawn}) == 200
    rare = np.bincount(drawn.reshape(-1), minlength=400)[kinds == 1]
    expected = drawn.size / 2 / len(rare)
    assert np.abs(rare - expected).max() < 5 * np.sqrt(expected)


def test_by_a_column_that_nothing_else_reads(tmp_path):
    path = tmp_path / "d.nn"
    path.write_text(SPEC.replace("balanced(kind)", "much"))
    made = compile_file(path)
    weights = made.dataset.splits["train"].arrays["much"].astype(np.float64)
    assert "much" not in {fed.name for fed in made.program.graphs["train"].inputs}
    counts = np.bincount(orders(made.program, "onnx").reshape(-1), minlength=400)
    expected = 200 * 400 * weights / weights.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()


@pytest.mark.parametrize(
    "weights", [[1.0], [1, 1, 1], [0, 1], [0, 0, 5, 0], [1e-30, 1], [3, 1, 2, 0, 7.5], list(range(100))]
)
def test_the_tables_hold_the_chances(weights):
    chance, other = tables(weights)
    found = np.zeros(len(weights))
    for k in range(len(weights)):
        found[k] += chance[k]
        found[other[k]] += 1 - chance[k]
    np.testing.assert_allclose(found / len(weights), np.array(weights) / np.sum(weights), atol=1e-12)
    assert (found[np.array(weights) == 0] == 0).all()


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("drawn by s", "B118"),
        ("drawn by 2", "B118"),
        ("drawn by argmax(s)", "B118"),
        ("drawn by x", "B115"),
        ("drawn by 0 * much", "B115"),
        ("drawn by", "R012"),
        ("drawn", "R012"),
        ("drawn by much by length", "R012"),
        ("drawn by muhc", "B001"),
    ],
)
def test_what_rows_cannot_be_drawn_by(tmp_path, refused, new, code):
    path = tmp_path / "d.nn"
    path.write_text(SPEC.replace("drawn by balanced(kind)", new))
    refused(code, lambda: compile_file(path))


def test_a_check_needs_no_rows(tmp_path):
    path = tmp_path / "d.nn"
    path.write_text(SPEC.replace("balanced(kind)", "(much^2 + 1)"))
    assert check_file(path).summary
