"""Optimizers and schedules, step by step against a pencil. An epoch has 5 steps here, and training 50."""

import math

import numpy as np
import pytest

NET = "net N(x: [b, 3]) -> y: [b] {\n  weight w: [3] ~ ones\n  y = sum(x * w, over = -1)\n}\n"
ONES = {"x": np.ones((4, 3))}


def rates(bench, optimizer, steps, before=""):
    """The rate at steps 1, 2, 3, …"""
    graph = bench.graphs(before + NET, ONES, optimizer=optimizer)["train"]
    fed = {i.name: np.zeros([int(d) for d in i.type.dims]) for i in graph.inputs if i.role == "state"}
    return [float(bench.run(graph, {**fed, **ONES, "step": step})["rate"]) for step in range(steps)]


def cosine(step, steps, start, end=0.0):
    return end + (start - end) * (1 + math.cos(math.pi * step / steps)) / 2


SCHEDULES = {
    "0.5": [0.5, 0.5],
    "constant(0.5)": [0.5, 0.5],
    "0.5 until step 2 then 0.25": [0.5, 0.5, 0.25, 0.25],
    "0.5 until epoch 1 then 0.25": [0.5] * 5 + [0.25] * 2,
    "0.5 until step 2 then 0.25 until step 5 then 0.125": [0.5] * 2 + [0.25] * 3 + [0.125] * 2,
    "0.5 until step 2 then 0.25 until epoch 1 then 0.125": [0.5] * 2 + [0.25] * 3 + [0.125] * 2,
    "warmup(4) then 0.8": [0.2, 0.4, 0.6, 0.8, 0.8, 0.8],
    "cosine(from = 1)": [cosine(step, 50, 1) for step in range(1, 8)],
    "cosine(from = 1, to = 0.5) until step 4 then 2": [cosine(step, 4, 1, 0.5) for step in range(1, 5)] + [2, 2],
    # The clock of the second starts when the first ends; the first rises to its first value.
    "warmup(2) then cosine(from = 1)": [cosine(1, 48, 1) / 2, *(cosine(step, 48, 1) for step in (1, 1, 2, 3))],
    "warmup(2) then warmup(2) then 1": [0.25, 0.5, 0.5, 1, 1],
    "warmup(2) then cosine(from = 1) until epoch 1 then 3": [
        cosine(1, 3, 1) / 2,
        *(cosine(step, 3, 1) for step in (1, 1, 2, 3)),
        3,
    ],
    "halved(every = 3)": [1, 1, 0.5, 0.5, 0.5, 0.25],
    "rate * 2": [0.5, 0.5],
}


@pytest.mark.parametrize("text", SCHEDULES)
def test_a_schedule(bench, text):
    own = "param rate = 0.25\nfunction halved(every)(step, steps) { return 0.5 ^ (step // every) }\n"
    expected = SCHEDULES[text]
    assert rates(bench, f"sgd(lr = {text})", len(expected), own) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_any_setting_may_be_a_schedule(bench):
    """`b` falls to 0 at step 3: m is then the gradient itself."""
    own = "optimizer mine(lr = 1, b = 0.9)(w, g) {\n  state m = 0\n  m = b * m + (1 - b) * g\n  w = w - lr * m\n}\n"
    graph = bench.graphs(own + NET, ONES, optimizer="mine(b = 0.5 until step 2 then 0)")["train"]
    state = {"N.w": np.ones(3), "N.w:mine.m": np.full(3, 8.0)}
    moments = [bench.run(graph, {**state, **ONES, "step": step})["N.w:mine.m.next"][0] for step in (1, 2)]
    assert moments == pytest.approx([0.5 * 8 + 0.5 * 1, 1])


def test_a_schedule_must_end_before_another_follows(bench):
    problem = bench.problem(NET, ONES, optimizer="sgd(lr = cosine(from = 1) then 0.1)")
    assert problem.code == "B010"
    assert "until epoch 10" in problem.help_text


def test_until_counts_from_the_start(bench):
    problem = bench.problem(NET, ONES, optimizer="sgd(lr = 0.1 until step 6 then 0.01 until step 3 then 1)")
    assert problem.title_text == "this goes to step 3, and the one before it to step 6"


def step_of(bench, optimizer, definitions="", lines="", **state):
    text = (
        definitions
        + NET
        + (f"train N on d {{\n  loss mean(y)\n  optimizer {optimizer}\n  batch 4\n  epochs 10\n  {lines}\n}}")
    )
    graph = bench.graphs(text, ONES)["train"]
    feeds = {"N.w": np.array([1.0, 2, 3]), "step": 2, **ONES, **state}
    return bench.run(graph, feeds)


def test_an_optimizer_of_ones_own(bench):
    """The gradient is 1 for every weight; `step` counts from 1, and two steps are made."""
    own = "optimizer mine(lr = 0.5)(w, g) { w = w - lr * g / step }\n"
    np.testing.assert_allclose(step_of(bench, "mine", own)["N.w.next"], np.array([1, 2, 3]) - 0.5 / 3, rtol=1e-6)
    made = step_of(bench, "mine(lr = 3)", own)
    np.testing.assert_allclose(made["N.w.next"], [0, 1, 2], atol=1e-6)
    assert (made["rate"], made["step.next"]) == (3, 3)


def test_an_optimizer_remembers(bench):
    own = "optimizer mine(lr = 0.5)(w, g) {\n  state v = 0, n = 7\n  v = v + g\n  w = w - lr * v + 0 * n\n}\n"
    made = step_of(bench, "mine", own, **{"N.w:mine.v": np.array([1.0, 1, 5]), "N.w:mine.n": np.ones(3)})
    np.testing.assert_allclose(made["N.w:mine.v.next"], [2, 2, 6])
    np.testing.assert_allclose(made["N.w.next"], np.array([1, 2, 3]) - 0.5 * np.array([2, 2, 6]))
    np.testing.assert_array_equal(made["N.w:mine.n.next"], np.ones(3))


def test_clip_shortens_all_gradients_together(bench):
    made = step_of(bench, "sgd(lr = 1)", lines="clip norm 0.5")
    np.testing.assert_allclose(np.array([1, 2, 3]) - made["N.w.next"], np.full(3, 0.5 / math.sqrt(3)), rtol=1e-6)
    assert made["norm"] == pytest.approx(math.sqrt(3))
    kept = step_of(bench, "sgd(lr = 1)", lines="clip norm 5")
    np.testing.assert_allclose(kept["N.w.next"], [0, 1, 2], rtol=1e-6)


@pytest.mark.parametrize(("pattern", "pulled"), [("*", 1), ("*.w", 1), ("N.w", 1), ("N.*", 1)])
def test_decay_pulls_what_its_pattern_names(bench, pattern, pulled):
    made = step_of(bench, "sgd(lr = 1)", lines=f"decay 0.5 for {pattern}")
    np.testing.assert_allclose(made["N.w.next"], np.array([1, 2, 3]) * (1 - 0.5 * pulled) - 1, rtol=1e-6)


def test_decay_that_pulls_nothing_is_refused(bench):
    with pytest.raises(Exception, match=r"no weight matches `\*\.W`"):
        step_of(bench, "sgd(lr = 1)", lines="decay 0.5 for *.W")


FAULTS = {
    "optimizer mine(lr = 1)(w) { w = w - lr }": "takes 1 names",
    "optimizer mine(lr = 1)(w, g) { v = g }": "never gives `w` a new value",
    "optimizer mine(lr = 1)(w, g) { w = sum(w) }": "makes [] of `w`",
    "optimizer mine(lr = 1)(w, g) { w = relu }": "makes the function `relu` of `w`",
    "optimizer mine(lr = 1)(w, g) { weight u: [3] ~ ones\n w = w - u }": "a weight of an optimizer",
}


@pytest.mark.parametrize("text", FAULTS)
def test_what_is_no_update_is_refused(bench, text):
    assert FAULTS[text] in bench.problem(text + "\n" + NET, ONES, optimizer="mine").title_text


@pytest.mark.parametrize("momentum", ["0 until step 1 then 0.5", "0.5 until step 1 then 0", "cosine(from = 0.9)"])
def test_momentum_may_be_a_schedule(bench, momentum):
    """sgd asks whether it has any: a schedule is no one number, so the answer is yes, and the state is there."""
    graphs = bench.graphs(NET, ONES, optimizer=f"sgd(lr = 1, momentum = {momentum})")
    assert "N.w:sgd.v" in {out.name for out in graphs["init"].outputs}
    rates = {"cosine(from = 0.9)": [cosine(1, 50, 0.9), cosine(2, 50, 0.9)]}
    wanted = rates.get(momentum, [0, 0.5] if momentum.startswith("0 ") else [0.5, 0])
    state = {"N.w": np.ones(3), "N.w:sgd.v": np.full(3, 8.0)}
    for step, share in enumerate(wanted):
        made = bench.run(graphs["train"], {**state, **ONES, "step": step})
        assert made["N.w:sgd.v.next"] == pytest.approx(np.full(3, share * 8 + 1), rel=1e-6)
        assert made["N.w.next"] == pytest.approx(np.full(3, 1 - (share * 8 + 1)), rel=1e-6)


def test_a_schedule_that_never_changes_is_its_number(bench):
    graphs = bench.graphs(NET, ONES, optimizer="sgd(lr = 1, momentum = constant(0))")
    assert not any("sgd.v" in out.name for out in graphs["init"].outputs)


def test_a_schedule_is_asked_for_no_more_than_whether_it_is_a_number(bench):
    own = "optimizer mine(b)(w, g) {\n  if b > 0 { w = w - g } else { w = w - b*g }\n}\n"
    assert bench.problem(own + NET, ONES, optimizer="mine(b = cosine(from = 1))").code == "B010"
    chosen = "optimizer mine(b)(w, g) { w = w - (3*g if b == 0 else g) }\n"  # number by number: at each step anew
    graph = bench.graphs(chosen + NET, ONES, optimizer="mine(b = 0 until step 1 then 1)")["train"]
    after = [bench.run(graph, {"N.w": np.ones(3), **ONES, "step": step})["N.w.next"][0] for step in (0, 1)]
    assert after == pytest.approx([-2, 0])
