"""Which updates become an operator of ai.onnx.preview.training: by what they compute, whatever they are called."""

from collections import Counter

import numpy as np
import pytest

import onnx
from dotnn.graph import Type
from dotnn.tape import Tape
from dotnn_onnx.tidy import drop_expands
from dotnn_training_info.bundle import model_of
from dotnn_training_info.model import assemble, combined
from dotnn_training_info.optimizers import DOMAIN, steps
from dotnn_training_info.session import Trainer

AVERAGED = """
optimizer own(lr = 0.01, b1 = 0.9, b2 = 0.99, eps = 1e-6)(w, g) {
  state m = 0, v = 0
  m = b1*m + (1 - b1)*g
  v = b2*v + (1 - b2)*g^2
  w = LINE
}
"""
ACCUMULATED = """
optimizer own(lr = 0.05, eps = 1e-6)(w, g) {
  state h = 0
  h = h + g*g
  w = LINE
}
"""
AHEAD = """
optimizer own(lr = 0.05, momentum = 0.9)(w, g) {
  state v = 0
  v = momentum*v + g
  w = LINE
}
"""

FITS = {
    "momentum": ("sgd(lr = 0.1, momentum = 0.9)", "", "Momentum"),
    "momentum, a schedule": ("sgd(lr = cosine(from = 0.1), momentum = 0.9)", "", "Momentum"),
    "momentum, turned": (
        "own",
        AHEAD.replace("momentum*v + g", "g + v*momentum").replace("LINE", "w - v*lr"),
        "Momentum",
    ),
    "momentum, added": ("own", AHEAD.replace("LINE", "w + (-lr)*v"), "Momentum"),
    "averaging momentum": ("own", AHEAD.replace("+ g", "+ (1 - momentum)*g").replace("LINE", "w - lr*v"), "Momentum"),
    "ahead": ("own", AHEAD.replace("LINE", "w - lr*(g + momentum*v)"), "Momentum"),
    "ahead, turned": ("own", AHEAD.replace("LINE", "w - (v*momentum + g)*lr"), "Momentum"),
    "accumulated": ("own", ACCUMULATED.replace("LINE", "w - lr*g/(sqrt(h) + eps)"), "Adagrad"),
    "accumulated, turned": ("own", ACCUMULATED.replace("LINE", "w - lr*(g/(eps + sqrt(h)))"), "Adagrad"),
    "averaged": ("own", AVERAGED.replace("LINE", "w - lr*m/(sqrt(v) + eps)"), "Adam"),
    "averaged, corrected": (
        "own",
        AVERAGED.replace("LINE", "w - lr*sqrt(1 - b2^step)/(1 - b1^step) * m/(sqrt(v) + eps)"),
        "Adam",
    ),
    "averaged, a schedule": (
        "own(lr = cosine(from = 0.01))",
        AVERAGED.replace("LINE", "w - m/(sqrt(v) + eps)*lr"),
        "Adam",
    ),
}

DIFFERS = {
    "nothing remembered": ("sgd(lr = 0.1)", ""),
    "sums, not means": ("adam(lr = 0.01)", ""),
    "decay beside the step": ("adamw(lr = 0.01)", ""),
    "epsilon under the root": ("own", AVERAGED.replace("LINE", "w - lr*m/sqrt(v + eps)")),
    "epsilon that moves": ("own", AVERAGED.replace("LINE", "w - lr*m/(sqrt(v) + eps*step)")),
    "no epsilon's root": ("own", AVERAGED.replace("LINE", "w - lr*m/(v + eps)")),
    "a mean of other weight": (
        "own",
        AVERAGED.replace("(1 - b1)*g", "(1.0001 - b1)*g").replace("LINE", "w - lr*m/(sqrt(v) + eps)"),
    ),
    "a square of other weight": (
        "own",
        AVERAGED.replace("(1 - b2)*g^2", "(1.00001 - b2)*g^2").replace("LINE", "w - lr*m/(sqrt(v) + eps)"),
    ),
    "the square of another": (
        "own",
        AVERAGED.replace("*g^2", "*(g - m)^2").replace("LINE", "w - lr*m/(sqrt(v) + eps)"),
    ),
    "the moments before": (
        "own",
        AVERAGED.replace("  m = b1", "  old = m\n  m = b1").replace("LINE", "w - lr*old/(sqrt(v) + eps)"),
    ),
    "ahead by another share": ("own", AHEAD.replace("LINE", "w - lr*(g + 0.8*v)")),
    "upwards of a cube": ("own", ACCUMULATED.replace("LINE", "w - lr*g*g*g/(sqrt(h) + eps)")),
    "accumulated by halves": (
        "own",
        ACCUMULATED.replace("h + g*g", "h + 0.5*g^2").replace("LINE", "w - lr*g/(sqrt(h) + eps)"),
    ),
    "forgotten by and by": (
        "own",
        ACCUMULATED.replace("h + g*g", "0.9*h + g*g").replace("LINE", "w - lr*g/(sqrt(h) + eps)"),
    ),
    "the weight shrunk": ("own", AHEAD.replace("LINE", "0.99*w - lr*v")),
    "a rate for each number": ("own", AHEAD.replace("LINE", "w - lr*abs(w)*v")),
}


def operators(model):
    return Counter(node.op_type for node in model.training_info[0].algorithm.node if node.domain == DOMAIN)


def trained(compiled, tools, count=20):
    """The farthest of all outputs and of all states in these steps."""
    program = compiled.program
    model = model_of(program)
    onnx.checker.check_model(combined(model, model.training_info[0]), full_check=True)
    trainer = Trainer(model)
    trainer.initialise()
    judge = tools.judge(program.graphs["train"]).train(trainer.variables)
    worst = 0.0
    for batch in tools.batches(program, compiled.dataset.splits["train"].arrays, count):
        made, wanted = trainer.step(batch), judge.step(batch)
        worst = max(worst, *(tools.far(made[name], wanted[name]) for name in wanted))
    return worst, tools.states_far(program, trainer.variables, judge.state())


@pytest.mark.parametrize("name", FITS)
def test_what_an_operator_computes_becomes_that_operator(name, points, tools):
    optimizer, text, op = FITS[name]
    compiled = points(optimizer, text=text)
    assert operators(model_of(compiled.program)) == {op: 4}
    results, states = trained(compiled, tools)
    assert results < 1e-5
    assert states < 1e-5


@pytest.mark.parametrize("name", DIFFERS)
def test_what_none_computes_stays_in_plain_operators(name, points, tools):
    optimizer, text = DIFFERS[name]
    compiled = points(optimizer, text=text)
    model = model_of(compiled.program)
    assert not operators(model)
    assert [o.domain for o in model.opset_import] == [""]
    results, states = trained(compiled, tools, 3)
    assert results < 1e-5
    assert states < 1e-5


def test_clipping_and_decay_are_in_the_gradient(points, tools):
    compiled = points("sgd(lr = 0.1, momentum = 0.9)", "clip norm 0.1\n  decay 1e-2 for *.W")
    assert operators(model_of(compiled.program)) == {"Momentum": 4}
    assert max(trained(compiled, tools)) < 1e-5


def test_numbers_are_kept_in_single_precision(points, tools):
    """With b2 = 0.999 the operator's 1 - b2 is 1.3e-5 of itself away: the slot is, the weights are not."""
    text = AVERAGED.replace("0.99,", "0.999,").replace(
        "LINE", "w - lr*sqrt(1 - b2^step)/(1 - b1^step) * m/(sqrt(v) + eps)"
    )
    compiled = points("own", text=text)
    assert operators(model_of(compiled.program)) == {"Adam": 4}
    results, states = trained(compiled, tools)
    assert results < 1e-5
    assert 1e-5 < states < 2e-5


def by_hand(also_read=False):
    tape = Tape("train")
    kind = Type(dtype="f32", dims=(3,))
    x = tape.input("x", kind, "data")
    w = tape.input("w", kind, "state", learned=True)
    v = tape.input("v", kind, "state")
    after = v * 0.5 + x
    moved = after * 0.1
    tape.output("w.next", w - moved, "state")
    tape.output("v.next", after, "state")
    if also_read:
        tape.output("far", moved.sum(), "output")
    return tape.graph()


def test_a_graph_without_a_step_counts_from_nothing():
    graph = by_hand()
    assert [step.op for step in steps(drop_expands(graph)).values()] == ["Momentum"]
    trainer = Trainer(assemble(Tape("net").graph(), graph))
    x = np.array([1, 2, 3], np.float32)
    for _ in range(2):
        trainer.step({"x": x})
    np.testing.assert_allclose(trainer.variables["w"], -0.1 * x - 0.1 * 1.5 * x, rtol=1e-6)
    np.testing.assert_allclose(trainer.variables["v"], 1.5 * x, rtol=1e-6)


def test_what_is_read_on_the_way_is_not_hidden_in_an_operator():
    graph = by_hand(also_read=True)
    assert not steps(drop_expands(graph))
    trainer = Trainer(assemble(Tape("net").graph(), graph))
    made = trainer.step({"x": np.array([1, 2, 3], np.float32)})
    assert float(made["far"]) == pytest.approx(0.6)


def test_deep_products_are_looked_at_so_far_and_no_further():
    tape = Tape("deep")
    kind = Type(dtype="f32", dims=(2,))
    w, v, g = (tape.input(n, kind, "state" if n != "g" else "data", learned=n == "w") for n in "wvg")
    after = v * 0.5 + g
    moved = after
    for _ in range(3000):
        moved = moved * moved
    tape.output("w.next", w - moved, "state")
    tape.output("v.next", after, "state")
    assert not steps(tape.graph())
