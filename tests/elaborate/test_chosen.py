"""Lines of a train block that speak of some weights: `freeze`, `rate … for`, `decay … for`."""

import numpy as np
import pytest

from dotnn.updates.patterns import fits

NET = """
net N(x: [b, 3]) -> y: [b] {
  weight w: [3] ~ ones
  h = x -> dense(2) as first -> tanh
  y = sum(x * w, over = -1) + sum(h -> dense(2) as second, over = -1)
}
"""
X = np.array([[1.0, 2, 3], [0.5, -1, 2], [0, 1, 0], [2, 2, 1]])
WEIGHTS = ("N.w", "N.first.W", "N.first.b", "N.second.W", "N.second.b")


def train(bench, lines, optimizer="sgd(lr = 1)", before=""):
    block = f"train N on d {{\n  loss mean(y ^ 2)\n  optimizer {optimizer}\n  batch 4\n  epochs 10\n  {lines}\n}}"
    return bench.graphs(before + NET + block, {"x": X})


def step(bench, graphs, state=None):
    state = state or bench.run(graphs["init"], {"seed": 1})
    return state, bench.run(graphs["train"], {**state, "x": X}, float64=True)


def moves(bench, lines, optimizer="sgd(lr = 1)", before=""):
    """How far each weight moves in the first step."""
    state, after = step(bench, train(bench, lines, optimizer, before))
    return {name: after[f"{name}.next"] - state[name] for name in WEIGHTS}


@pytest.mark.parametrize(
    ("pattern", "paths"),
    {
        "*": WEIGHTS,
        "*.b": ("N.first.b", "N.second.b"),
        "N.first.*": ("N.first.W", "N.first.b"),
        "first.*": ("N.first.W", "N.first.b"),
        "first": ("N.first.W", "N.first.b"),
        "N": WEIGHTS,
        "w": ("N.w",),
        "W": (),
        "irst": (),
        "first.W": ("N.first.W",),
    }.items(),
)
def test_which_weights_a_pattern_means(pattern, paths):
    assert tuple(path for path in WEIGHTS if fits(pattern, path)) == paths


def test_brackets_stand_for_themselves():
    assert fits("block[2].*", "N.block[2].W")
    assert fits("block[*].W", "N.block[12].W")
    assert not fits("block[2].*", "N.block2.W")


# ---- freeze


def test_a_frozen_part_stays_and_has_neither_gradient_nor_slots(bench):
    graphs = train(bench, "freeze first.*, w", "adam(lr = 1e-3)")
    state, after = step(bench, graphs)
    learned = {fed.name for fed in graphs["train"].inputs if fed.learned}
    assert learned == {"N.second.W", "N.second.b"}
    assert {name.partition(":")[0] for name in state if ":" in name} == learned
    for name in ("N.w", "N.first.W", "N.first.b"):
        assert np.array_equal(after[f"{name}.next"], state[name])
    for name in learned:
        assert not np.array_equal(after[f"{name}.next"], state[name])
    after_gradients = train_graph_after(bench, "freeze first.*, w", "differentiate")
    assert [o.name for o in after_gradients.outputs if o.name.startswith("gradient:")] == [
        "gradient:N.second.W",
        "gradient:N.second.b",
    ]


def train_graph_after(bench, lines, name):
    block = f"train N on d {{\n  loss mean(y ^ 2)\n  optimizer sgd(lr = 1)\n  batch 4\n  epochs 1\n  {lines}\n}}"
    return bench.graphs(NET + block, {"x": X}, after=name)["train"]


def test_the_others_move_as_without_it(bench):
    free, held = moves(bench, ""), moves(bench, "freeze first")
    for name in ("N.w", "N.second.W", "N.second.b"):
        assert np.array_equal(free[name], held[name])


def test_something_must_be_left_to_learn(bench):
    block = (
        "train N on d {\n  loss mean(y)\n  optimizer sgd(lr = 1)\n  batch 4\n  epochs 1\n  freeze w\n  freeze *.*\n}"
    )
    problem = bench.problem(NET + block, {"x": X})
    assert problem.code == "B022"
    assert "every weight is frozen" in problem.title_text


# ---- rate


def test_a_rate_multiplies_the_step(bench):
    plain, rated = moves(bench, ""), moves(bench, "rate 0.25 for first.*\n  rate 3 for w")
    factors = {"N.w": 3, "N.first.W": 0.25, "N.first.b": 0.25, "N.second.W": 1, "N.second.b": 1}
    for name, factor in factors.items():
        assert rated[name] == pytest.approx(factor * plain[name], rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd(lr = LR, momentum = 0.9)", "adam(lr = LR)", "adamw(lr = LR, decay = 0.1)"])
def test_a_rate_is_the_same_as_an_optimizer_of_that_rate(bench, optimizer):
    """Bit for bit, in the graph's own precision: decay that is the optimizer's own goes with the rate."""

    def after(lines, rate):
        graphs = train(bench, lines, optimizer.replace("LR", rate))
        state = bench.run(graphs["init"], {"seed": 1})
        for _ in range(3):
            made = bench.run(graphs["train"], {**state, "x": X})
            state = {name: made[f"{name}.next"] for name in state}
        return state

    slow, rated = after("", "0.025"), after("rate 0.25 for *", "0.1")
    assert all(np.array_equal(slow[name], rated[name]) for name in slow)


def test_an_optimizer_without_a_rate_of_its_own_goes_a_part_of_its_way(bench):
    own = "optimizer by_sign(size = 0.5)(w, g) { w = w - size * sign(g) }\n"
    plain, rated = (moves(bench, lines, "by_sign", own) for lines in ("", "rate 0.25 for first"))
    assert rated["N.first.W"] == pytest.approx(0.25 * plain["N.first.W"], rel=1e-6)
    assert np.array_equal(rated["N.w"], plain["N.w"])


def test_a_rate_may_be_a_schedule(bench):
    graphs = train(bench, "rate warmup(4) then 1 for w")
    state = bench.run(graphs["init"], {"seed": 1})
    plain = moves(bench, "")["N.w"]
    for done, share in enumerate((0.25, 0.5, 0.75, 1, 1)):
        after = bench.run(graphs["train"], {**state, "step": done, "x": X})
        assert after["N.w.next"] - state["N.w"] == pytest.approx(share * plain, rel=1e-5)


def test_of_two_lines_the_later_holds(bench):
    plain = moves(bench, "")
    both = moves(bench, "rate 0.5 for *\n  rate 2 for w")
    assert both["N.w"] == pytest.approx(2 * plain["N.w"], rel=1e-6)
    assert both["N.first.W"] == pytest.approx(0.5 * plain["N.first.W"], rel=1e-6)
    decayed = moves(bench, "decay 0.5 for *\n  decay 0 for w")
    assert np.array_equal(decayed["N.w"], plain["N.w"])


@pytest.mark.parametrize("lines", ["rate 0.1 for third.*", "freeze third.*", "decay 0.1 for third"])
def test_what_matches_nothing_is_refused(bench, lines):
    block = f"train N on d {{\n  loss mean(y)\n  optimizer sgd(lr = 1)\n  batch 4\n  epochs 1\n  {lines}\n}}"
    problem = bench.problem(NET + block, {"x": X})
    assert (problem.code, problem.span.line > 1) == ("B040", True)
    assert "N.first.W" in problem.help_text


@pytest.mark.parametrize("lines", ["rate -1 for w", "rate yes for w", "rate tanh for w"])
def test_a_rate_is_a_number_or_a_schedule(bench, lines):
    block = f"train N on d {{\n  loss mean(y)\n  optimizer sgd(lr = 1)\n  batch 4\n  epochs 1\n  {lines}\n}}"
    assert bench.problem(NET + block, {"x": X}).code == "B002"


# ---- decay


def test_decay_adds_to_the_gradient(bench):
    plain, decayed = moves(bench, ""), moves(bench, "decay 0.1 for *.W")
    state = bench.run(train(bench, "")["init"], {"seed": 1})
    for name in WEIGHTS:
        extra = -0.1 * state[name] if name.endswith(".W") else 0 * state[name]
        assert decayed[name] == pytest.approx(plain[name] + extra, rel=1e-5, abs=1e-7)
