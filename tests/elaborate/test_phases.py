"""One net, several graphs: what holds while training, and what is decided while compiling."""

import numpy as np
import pytest

from dotnn_grammar.problems import ProblemError

NET = "net N(x: [b, 3]) -> y: [b, 3] {\n"
NORM = """
layer running(momentum = 0.75)(x: [b, n]) -> [b, n] {
  weight scale: [n] ~ ones
  state middle: [n] = 0
  when training {
    m = mean(x, over = b)
    before = middle
    middle = momentum * middle + (1 - momentum) * m
  } else { m = middle }
  return (x - m) * scale
}
"""
X = np.arange(12.0).reshape(4, 3)


def states(bench, text, phase, **words):
    graph = bench.graphs(text, **words)[phase]
    return [fed.name for fed in graph.inputs if fed.role == "state"]


def test_training_takes_one_branch_and_the_others_the_other(bench):
    text = NET + "  when training { z = 2 * x } else { z = 3 * x }\n  weight w: [3] ~ ones\n  y = z * w\n}"
    graphs = bench.graphs(text, {"x": X})
    for phase, factor in (("train", 2), ("eval", 3), ("predict", 3)):
        feeds = {"x": X, "N.w": np.ones(3), "step": 0}
        made = bench.run(graphs[phase], feeds)
        found = made["loss"] if phase == "train" else made["y"].mean()
        assert found == pytest.approx(factor * X.mean())


def test_a_state_holds_its_previous_value_until_it_is_assigned(bench):
    text = NORM.replace("m = mean(x, over = b)\n    before = middle", "before = middle\n    m = before")
    text += NET + "  y = x -> running\n}"
    made = bench.run(bench.graphs(text, {"x": X})["train"], {
        "x": X, "N.y.running.scale": np.ones(3), "N.y.running.middle": np.full(3, 8), "step": 0,
    })  # fmt: skip
    np.testing.assert_allclose(made["N.y.running.middle.next"], 0.75 * 8 + 0.25 * 8)
    assert made["loss"] == pytest.approx(X.mean() - 8)


def test_a_state_is_written_by_training_and_read_by_the_others(bench):
    text = NORM + NET + "  y = x -> running\n}"
    graphs = bench.graphs(text, {"x": X})
    feeds = {"x": X, "N.y.running.scale": np.ones(3), "N.y.running.middle": np.full(3, 8.0), "step": 0}
    made = bench.run(graphs["train"], feeds)
    np.testing.assert_allclose(made["N.y.running.middle.next"], 0.75 * 8 + 0.25 * X.mean(0))
    assert made["loss"] == pytest.approx(0)
    np.testing.assert_allclose(bench.run(graphs["predict"], feeds)["y"], X - 8)
    assert not [o.name for phase in ("eval", "predict") for o in graphs[phase].outputs if o.name.endswith(".next")]


def test_a_state_is_no_weight(bench):
    graph = bench.graphs(NORM + NET + "  y = x -> running\n}")["train"]
    assert [fed.name for fed in graph.inputs if fed.learned] == ["N.y.running.scale"]


def test_a_state_is_written_only_while_training(bench):
    problem = bench.problem("layer f()(x) { state s = 0\n s = s + 1\n return x * s }\n" + NET + "  y = x -> f\n}")
    assert (problem.code, problem.span.line) == ("B023", 6)


def test_a_name_of_one_branch_does_not_leave_it(bench):
    problem = bench.problem(NET + "  when training { z = x }\n  y = z -> dense(3)\n}")
    assert (problem.code, problem.span.line) == ("B021", 7)


BRANCHES = {
    "z = x -> dense(4)": (
        "z = x -> dense(5)",
        "`N.z.dense.W` is [3, 5] outside of training, and [3, 4] while training",
    ),
    "z = x": ("weight q: [3] ~ ones\n z = x * q", "`N.q` is [3] outside of training, and training has none"),
}


@pytest.mark.parametrize("training", BRANCHES)
def test_weights_are_the_same_in_every_phase(bench, training):
    other, said = BRANCHES[training]
    builder = bench.builder(f"{NET}  when training {{ {training} }} else {{ {other} }}\n  y = z -> dense(3)\n}}")
    builder.init()
    builder.training(builder.turns[0])
    with pytest.raises(ProblemError) as caught:
        builder.evaluation()
    assert said in caught.value.problems[0].title_text
    span = caught.value.problems[0].span
    assert span is not None
    assert span.line == 6


def test_if_leaves_the_names_of_its_branch(bench):
    text = "param deep = yes\n" + NET + "  if deep { z = x -> dense(5) } else { z = x }\n  y = z -> dense(3)\n}"
    assert states(bench, text, "eval") == ["N.z.dense.W", "N.z.dense.b", "N.y.dense.W", "N.y.dense.b"]
    assert states(bench, text, "eval", params={"deep": "no"}) == ["N.y.dense.W", "N.y.dense.b"]


def test_else_if(bench):
    text = "param n = 2\nnet N(x: [b, 3]) -> y: [b, 3] {\n"
    text += "  if n == 1 { y = x } else if n == 2 { y = 2 * x } else { y = 3 * x }\n}"
    for n in (1, 2, 3):
        np.testing.assert_array_equal(bench.predict(text, {"x": X}, params={"n": str(n)})["y"], n * X)


def test_if_is_decided_while_compiling(bench):
    problem = bench.problem(NET + "  if x > 3 { y = x } else { y = -x }\n}")
    assert problem.code == "B010"
    assert "`a if c else b`" in problem.help_text


def test_what_a_graph_does_not_need_is_left_out(bench):
    text = NET + "  unused = x -> dense(7)\n  y = x -> dense(3)\n}"
    assert "N.unused.dense.W" not in states(bench, text, "predict")


def test_dropout_is_for_training_alone(bench):
    text = NET + "  y = x -> dense(3) -> dropout(0.5)\n}"
    graphs = bench.graphs(text, {"x": X})
    assert "random" in {node.op for node in graphs["train"].nodes}
    assert "random" not in {node.op for node in graphs["eval"].nodes}
    assert [fed.name for fed in graphs["train"].inputs if fed.role == "state"][-2:] == ["key", "step"]


def test_init_makes_every_weight_and_slot(bench):
    text = NORM + NET + "  y = x -> running -> dropout(0.5)\n}"
    graphs = bench.graphs(text, optimizer="adam")
    made = bench.run(graphs["init"], {"seed": 3})
    fed = {fed.name for fed in graphs["train"].inputs if fed.role == "state"}
    assert fed == set(made)
    np.testing.assert_array_equal(made["N.y.running.scale"], np.ones(3))
    np.testing.assert_array_equal(made["N.y.running.scale:adam.m"], np.zeros(3))
