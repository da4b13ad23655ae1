"""`accumulate`: several batches make one update, the one that their rows in one large batch would make."""

import numpy as np
import pytest

from dotnn.compiler import lower
from dotnn.plugins import Options, backend
from dotnn.updates.gather import Length

NET = """
net N(x: [b, 3]) -> y: [b] {
  weight w: [3] ~ ones
  y = sum((x -> dense(4) as first -> tanh -> dense(2) as second), over = -1) + sum(x * w, over = -1)
}
"""
ROWS = 20
X = np.random.default_rng(3).normal(size=(ROWS, 3)).round(3)
BATCHES = (6, 6, 3, 4, 1)
"""Rows of the five batches of an epoch; of two at a time, and one that is left."""

PLATEAU = "sgd(lr = plateau(from = 0.1, patience = 0, threshold = 0.9))"
"""A schedule that remembers the losses of an epoch, and is at its end after the first."""


def block(loss, accumulate, optimizer, batch=4, more=""):
    line = f"accumulate {accumulate}" if accumulate else ""
    return (
        f"train N on d {{\n  loss {loss}\n  optimizer {optimizer}\n  batch {batch}\n  epochs 10\n  {line}\n  {more}\n}}"
    )


def graphs(bench, text, steps, epoch):
    builder = bench.builder(text, {"x": X})
    return lower(builder, builder.train, steps, epoch)


def compute(graph, feeds):
    """In double precision, states included."""
    reference, options = backend("reference"), Options(float64=True)
    return reference.start(reference.lower(graph, options), options).run(
        {fed.name: np.asarray(feeds[fed.name]) for fed in graph.inputs}
    )


def run(made, batches):
    """The states after each batch, and what else it gives."""
    state = compute(made["init"], {"seed": 5})
    first, seen = 0, []
    for rows in batches:
        out = compute(made["train"], {**state, "x": X[first : first + rows]})
        state = {name: out[f"{name}.next"] for name in state}
        seen.append((state, out))
        first = (first + rows) % ROWS
    return seen


@pytest.mark.parametrize(
    "loss",
    [
        "(y - 1)^2",
        "mean((y - 1)^2) + 0.1 * mean(abs(y))",
        "(y - 1)^2 where y > 0.5",
        "(y - 1)^2 weighted by 0.01 * sum(x^2, over = -1)",
    ],
)
@pytest.mark.parametrize(
    "optimizer", ["sgd(lr = 0.1)", "adam(lr = cosine(from = 0.1))", "adamw(lr = warmup(2) then 0.1)", PLATEAU]
)
def test_it_is_the_large_batch(bench, loss, optimizer):
    """Batches of unequal size, and a short update at the epoch's end; over two epochs."""
    more = "clip norm 0.5\n  decay 0.01 for *.W"
    small = graphs(bench, NET + block(loss, 2, optimizer, more=more), 10, 5)
    large = graphs(bench, NET + block(loss, 0, optimizer, more=more), 6, 3)
    ends = [run(small, BATCHES * 2)[at] for at in (1, 3, 4, 6, 8, 9)]
    whole = run(large, (12, 7, 1) * 2)
    for (state, out), (wanted, big) in zip(ends, whole, strict=True):
        for name in wanted:
            assert state[name] == pytest.approx(wanted[name], rel=1e-12, abs=1e-14), name
        assert out["norm"] == pytest.approx(big["norm"], rel=1e-12)
        assert out["rate"] == pytest.approx(big["rate"], rel=1e-12)


def test_between_updates_nothing_moves_but_what_is_gathered(bench):
    made = graphs(bench, NET + block("(y - 1)^2", 3, "adam(lr = 0.1)"), 10, 5)
    before = compute(made["init"], {"seed": 5})
    (first, _), (second, _), (third, _), (fourth, _), (fifth, _) = run(made, BATCHES)
    for name, value in before.items():
        gathered = "accumulate" in name
        assert np.array_equal(first[name], value) != gathered, name
        assert np.array_equal(second[name], value) != gathered, name
    assert [int(state["step"]) for state in (first, second, third, fourth, fifth)] == [0, 0, 1, 1, 2]
    assert not np.array_equal(third["N.w"], before["N.w"])
    assert all(not third[name].any() for name in third if name.endswith(":accumulated"))


def test_each_batch_draws_its_own_noise(bench):
    text = "net N(x: [b, 3]) -> y: [b] {\n  weight w: [3] ~ ones\n  y = sum((x -> dropout(0.5)) * w, over = -1)\n}\n"
    made = graphs(bench, text + block("y", 2, "sgd(lr = 0.1)"), 10, 5)
    state = compute(made["init"], {"seed": 5})
    ones = np.ones((200, 3))
    losses = [float(compute(made["train"], {**state, "x": ones, "accumulate.batches": n})["loss"]) for n in range(3)]
    assert len(set(losses)) == 3


def test_a_batch_of_which_nothing_counts_weighs_nothing(bench):
    made = graphs(bench, NET + block("(y - 1)^2 where y > 1e9", 2, "sgd(lr = 0.1)"), 10, 5)
    before = compute(made["init"], {"seed": 5})
    after, out = run(made, (6, 6))[-1]
    assert out["finite"]
    assert np.array_equal(after["N.w"], before["N.w"])


def test_one_batch_an_update_is_nothing_new(bench):
    plain, one = (graphs(bench, NET + block("(y - 1)^2", n, "sgd(lr = 0.1)"), 10, 5) for n in (0, 1))
    bare = [str(made["train"]).replace(":19", ":18") for made in (plain, one)]
    assert bare[0] == bare[1]


@pytest.mark.parametrize(
    ("every", "steps", "epoch", "of_epoch", "updates"),
    [(1, 50, 5, 5, 50), (2, 50, 5, 3, 30), (4, 50, 5, 2, 20), (8, 50, 5, 1, 10), (2, 13, 5, 3, 8)],
)
def test_how_many_updates_there_are(every, steps, epoch, of_epoch, updates):
    length = Length(every, steps, epoch)
    assert (length.of_epoch, length.updates) == (of_epoch, updates)
