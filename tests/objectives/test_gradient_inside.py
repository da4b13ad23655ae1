"""`grad(E, x)`: a gradient as an expression, in nets, functions and losses, which can be differentiated again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.objectives.test_steps import DATA

from dotnn.compiler import ir
from dotnn.program import Program
from dotnn.testing.numbers import exact
from dotnn.testing.slopes import slopes_of
from dotnn_grammar.problems import ProblemError

Make = Callable[..., Any]

NET = (
    DATA
    + """
function cubed(x) { return x^3 }
net N(x: [b, 3]) -> z: [b] { z = x -> dense(4) as hidden -> tanh -> dense(1) as last -> squeeze }
train N on d {
  LINES
  optimizer sgd(lr = 0.1)
  batch 8
  epochs 1
}
"""
)


def spec(*lines: str) -> str:
    return NET.replace("LINES", "\n".join(lines))


def parts(run: Any) -> tuple[Any, ...]:
    return tuple(run.state[f"N.{name}"] for name in ("hidden.W", "hidden.b", "last.W", "last.b"))


def test_it_is_the_gradient(steps: Make) -> None:
    run = steps(spec("slope = grad(sum(z), x)", "loss mean(slope^2, over = -1)"))
    w, b, v, _ = parts(run)
    x = run.batch(0)["x"]
    slope = ((1 - np.tanh(x @ w + b) ** 2) * v[:, 0]) @ w.T
    assert run.step(0)["loss"] == pytest.approx(np.mean(slope**2), rel=1e-12)


@pytest.mark.parametrize(
    "lines",
    [
        ("loss (z - y)^2 + 0.1 * gradient_penalty(N, x)",),
        ("slope = grad(sum(z), x)", "loss norm(slope) + (z - y)^2"),
        ("twice = grad(sum(grad(sum(z), x)), x)", "loss mean(twice^2, over = -1) + z^2"),
        ("loss grad(sum(cubed(z)), z)",),
        ("s = softmax(x)", "t = N(s)", "loss sum(grad(sum(t), s)^2, over = -1)"),
    ],
)
def test_it_is_differentiated_again(compiled: Make, tmp_path: Any, lines: tuple[str, ...]) -> None:
    compiled(spec(*lines))
    program = ir(tmp_path / "s.nn", "graph", "differentiate")
    rows = compiled(spec(*lines)).dataset.splits["train"].arrays
    assert isinstance(program, Program)
    found = slopes_of(program, {name: array[:4] for name, array in rows.items()})
    found.require()
    assert found.weights


def test_it_is_differentiated_a_third_time_by_hand(steps: Make) -> None:
    run = steps(spec("loss grad(sum(grad(sum(cubed(z)), z)), z)"))
    w, b, v, c = parts(run)
    x = run.batch(0)["x"]
    z = (np.tanh(x @ w + b) @ v + c)[:, 0]
    assert run.step(0)["loss"] == pytest.approx(np.mean(6 * z), rel=1e-12)
    assert run.state["N.last.b"][0] == pytest.approx(c[0] - 0.1 * 6, rel=1e-9)


def test_it_stands_in_nets_and_layers(steps: Make) -> None:
    net = next(line for line in NET.split("\n") if line.startswith("net N"))
    own = "energy = sum(x^2 * 2) ; f = -grad(energy, x) ; z = f -> dense(1) as last -> squeeze"
    text = spec("loss (z - y)^2").replace(net, f"net N(x: [b, 3]) -> z: [b] {{ {own} }}")
    run = steps(text)
    x, y = run.batch(0)["x"], run.batch(0)["y"]
    z = (-4 * x @ run.state["N.last.W"] + run.state["N.last.b"])[:, 0]
    assert run.step(0)["loss"] == pytest.approx(np.mean((z - y) ** 2), rel=1e-12)
    feeds = {"x": x.astype(np.float32), "N.last.W": run.state["N.last.W"], "N.last.b": run.state["N.last.b"]}
    assert exact(run.program.graphs["predict"], feeds)["z"].shape == (8,)


def test_it_is_measured_on_whole_splits(steps: Make) -> None:
    run = steps(spec("loss (z - y)^2", "metric steep = mean(norm(grad(sum(z), x)))"))
    assert [figure.name for figure in run.program.figures] == ["loss", "steep"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("loss grad(z, x)", "of one number, and this has the dims [b]"),
        ("loss grad(sum(z), y)", "no small change of the second changes the first"),
        ("loss grad(sum(z), x + 0)", "no small change of the second"),
        ("loss grad(sum(z), 3)", "this is the number 3"),
        ("loss grad(3, x)", "the number 3, which is the same whatever the net sees"),
        ("loss grad(sum(z))", "takes two tensors"),
        ("loss grad(sum(z), N)", "this is the net `N`"),
        ("loss sum(grad(sum(argmax(x)), x), over = -1)", "no small change"),
        ("n = int(y)\n loss grad(sum(z * n), n)", "whole numbers and yes and no cannot change a little"),
        ("loss grad(sum(z), x, over = 1)", "has no setting called `over`"),
        ("s[b] = grad(sum(z), x)[b, i] * x[b, i]\n loss s", "inside an index equation"),
    ],
)
def test_where_it_cannot_be_it_teaches(steps: Make, line: str, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        steps(spec(line))
    (problem,) = caught.value.problems
    said = f"{problem.title_text} {problem.help_text}"
    assert says in said, said


def test_stop_lets_none_through(steps: Make) -> None:
    plain = steps(spec("loss (z - y)^2 + stop(z)^2"))
    alone = steps(spec("loss (z - y)^2"))
    plain.step(0)
    alone.step(0)
    assert np.array_equal(plain.state["N.last.W"], alone.state["N.last.W"])
    with pytest.raises(ProblemError):
        steps(spec("loss grad(sum(stop(z)), x)"))


def test_several_losses_are_weighed_and_each_is_told(steps: Make) -> None:
    told = ("metric near_one = mean(near)", "metric small_one = mean(small)")
    run = steps(spec("near = (z - y)^2", "small = z^2", "loss near + 0.1 * small", *told))
    out = run.step(0)
    near, small = (out[f"{name}_one.total"] / out[f"{name}_one.count"] for name in ("near", "small"))
    assert out["loss"] == pytest.approx(near + 0.1 * small, rel=1e-9)
