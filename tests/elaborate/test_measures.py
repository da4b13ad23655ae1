"""Words for how large a tensor is: `rank`, `size`, `shape`, `keep = yes`; and states whose sizes come from them."""

import numpy as np
import pytest

X = {"x": np.arange(24.0).reshape(4, 6)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("rank(x)", 2),
        ("rank(sum(x))", 0),
        ("rank(3)", 0),
        ("size(x, over = -1)", 6),
        ("size(x, over = n)", 6),
        ("size(x[..., 0..2], over = -1)", 2),
        ("size(zeros[3, 5], over = (0, 1))", 15),
        ("size(sum(x))", 1),
        ("size(x, over = 0)", 4),
        ("size(x)", 24),
        ("sum(zeros[shape(x)] + 1)", 24),
        ("sum(zeros[2, shape(x)] + 1)", 48),
        ("rank(zeros[shape(sum(x))])", 0),
        ("3 if rank(x) == 2 else 4", 3),
    ],
)
def test_how_large_it_is(bench, text, value):
    assert bench.predict(f"net N(x: [b, n]) -> y: [...] {{ y = real({text}) }}", X)["y"] == value


@pytest.mark.parametrize("word", ["sum", "mean", "max", "min"])
def test_dims_that_are_kept_have_size_1(bench, word):
    expected = getattr(X["x"], word)(1, keepdims=True)
    np.testing.assert_allclose(bench.value(f"{word}(x, over = -1, keep = yes)", X), expected)
    np.testing.assert_allclose(
        bench.value(f"x - {word}(x, over = (0, 1), keep = yes)", X), X["x"] - getattr(X["x"], word)()
    )
    np.testing.assert_allclose(bench.value(f"{word}(x, over = -1, keep = no)", X), expected[:, 0])


@pytest.mark.parametrize(
    "text", ["sum(x, over = -1, keep = 3)", "max(x, 1, keep = yes)", "size(x, over = 4)", "rank()"]
)
def test_what_makes_no_sense_is_refused(bench, text):
    assert bench.problem(f"net N(x: [b, n]) -> y: [...] {{ y = sum({text} * 1.0) }}", X).span is not None


ROWS = """
optimizer by_rows(lr = 1)(w, g) {
  if rank(w) == 2 {
    a = mean(g^2, over = -1, keep = yes)
    state row: [shape(a)] = 3, few: [size(w, over = 0)] = 0, one: [] = 2
    row = row + a
    one = one * 2
    w = w - lr * row / size(w, over = -1) + 0 * one
  } else {
    state v = 0
    v = v + g
    w = w - lr * v
  }
}
net N(x: [b, 3]) -> y: [b] {
  weight W: [3, 2] ~ ones
  weight c: [2] ~ ones
  y = sum(x @ W + c, over = -1)
}
"""


def test_an_optimizers_states_may_have_sizes_of_their_own(bench):
    columns = {"x": np.ones((4, 3))}
    graphs = bench.graphs(ROWS, columns, optimizer="by_rows")
    state = bench.run(graphs["init"], {"seed": 0})
    shapes = {name.removeprefix("N."): array.shape for name, array in state.items()}
    assert shapes == {
        "W": (3, 2),
        "c": (2,),
        "W:by_rows.row": (3, 1),
        "W:by_rows.few": (3,),
        "W:by_rows.one": (),
        "c:by_rows.v": (2,),
        "step": (),
    }
    made = bench.run(graphs["train"], {**state, **columns})
    np.testing.assert_allclose(made["N.W:by_rows.row.next"], np.full((3, 1), 4))
    np.testing.assert_allclose(made["N.W.next"], np.full((3, 2), 1 - 4 / 2))
    np.testing.assert_allclose(made["N.c.next"], [0, 0])
    assert made["N.W:by_rows.one.next"] == 4


def test_a_schedule_of_ones_own_remembers_and_sees_the_loss(bench):
    own = """
    function falling(from)(step, loss, epoch, rows) {
      state most = 0, count = 0
      most = max(most, loss)
      count = count + rows
      return from * most / (count * epoch)
    }
    net N(x: [b, 3]) -> y: [b] {
      weight w: [3] ~ ones
      y = sum(x * w, over = -1)
    }
    """
    columns = {"x": np.ones((4, 3))}
    graphs = bench.graphs(own, columns, optimizer="sgd(lr = falling(10), momentum = falling(1))")
    state = bench.run(graphs["init"], {"seed": 0})
    assert {name for name in state if "falling" in name} == {
        f"sgd.{setting}:falling.{name}" for setting in ("lr", "momentum") for name in ("most", "count")
    }
    made = bench.run(graphs["train"], {**state, **columns})
    assert made["rate"] == pytest.approx(10 * 3 / (4 * 5))
    assert made["sgd.lr:falling.count.next"] == 4
    made = bench.run(graphs["train"], {**{k: made.get(f"{k}.next", state[k]) for k in state}, **columns})
    assert made["sgd.lr:falling.count.next"] == 8


def test_only_a_schedule_among_the_functions_remembers(bench):
    own = "function odd(x) {\n  state n = 0\n  n = n + 1\n  return x + n\n}\n"
    problem = bench.problem(
        own + "net N(x: [b, 3]) -> y: [b] {\n  weight w: [3] ~ ones\n  y = sum(odd(x) * w, over = -1)\n}"
    )
    assert "schedules have states" in problem.help_text
