"""Ties, zeros, nothing at all and numbers of ten thousand: finite, and right."""

import math

import numpy as np
import pytest

from dotnn.differentiate import gradients
from dotnn.graph import Type
from dotnn.operation import MisfitError, lookup
from dotnn.tape import Tape
from dotnn_reference.evaluate import evaluate

BIG = 1e4
LOG2 = math.log(2)


def compute(op, inputs, attributes=None, g=None, float64=True):
    """The result, the gradient of <y, g> by each input (g = 1 where none is given), and that of the gradients' sum."""
    tape = Tape("edge")
    arrays = [np.asarray(x, np.float64) for x in inputs]
    xs = [tape.input(f"x{i}", Type(dtype="f32", dims=x.shape), "data") for i, x in enumerate(arrays)]
    y = tape.add(op, *xs, **(attributes or {}))
    weight = tape.input("g", y.type, "data")
    flows = gradients((y * weight).sum(), xs)
    total = sum((flow.sum() for flow in flows), tape.literal(0))
    for name, value in [("y", y), *((f"d{i}", v) for i, v in enumerate(flows))]:
        tape.output(name, value, "output")
    for i, value in enumerate(gradients(total, xs)):
        tape.output(f"dd{i}", value, "output")
    feeds = {f"x{i}": x for i, x in enumerate(arrays)}
    feeds["g"] = np.ones([int(d) for d in y.dims]) if g is None else np.asarray(g, np.float64)
    return evaluate(tape.graph(), feeds, float64)


LAST = {"axes": (0,), "keep": False}

# operation, attributes, inputs, g, what comes out, what flows back to each input
EDGES = [
    ("sigmoid", {}, [[BIG, -BIG, 0]], None, [1, 0, 0.5], [[0, 0, 0.25]]),
    ("tanh", {}, [[BIG, -BIG]], None, [1, -1], [[0, 0]]),
    ("exp", {}, [[-BIG]], None, [0], [[0]]),
    ("erf", {}, [[BIG, -BIG, 0]], None, [1, -1, 0], [[0, 0, 2 / math.sqrt(math.pi)]]),
    ("variance", LAST, [[3]], None, 0, [[0]]),
    ("variance", LAST, [[BIG, -BIG]], None, BIG**2, [[BIG, -BIG]]),
    ("cumulate", {"axis": 0, "back": False}, [[]], None, [], [[]]),
    ("cumulate", {"axis": 0, "back": True}, [[1, 2, 3]], [1, 0, 0], [6, 5, 3], [[1, 1, 1]]),
    ("abs", {}, [[0, -2]], None, [0, 2], [[0, -1]]),
    ("softmax", {}, [[BIG, -BIG]], [1, 0], [1, 0], [[0, 0]]),
    ("softmax", {}, [[BIG, BIG]], [1, 0], [0.5, 0.5], [[0.25, -0.25]]),
    ("softmax", {}, [[-BIG, -BIG]], [1, 0], [0.5, 0.5], [[0.25, -0.25]]),
    ("softmax", {}, [[7]], [1], [1], [[0]]),
    ("softmax", {}, [[]], None, [], [[]]),
    ("log_softmax", {}, [[BIG, -BIG]], [0, 1], [0, -2 * BIG], [[-1, 1]]),
    ("log_softmax", {}, [[3, 3]], [1, 0], [-LOG2, -LOG2], [[0.5, -0.5]]),
    ("log_softmax", {}, [[-BIG]], [1], [0], [[0]]),
    ("log_softmax", {}, [[]], None, [], [[]]),
    ("logsumexp", {}, [[BIG, -BIG]], None, BIG, [[1, 0]]),
    ("logsumexp", {}, [[-BIG, -BIG]], None, -BIG + LOG2, [[0.5, 0.5]]),
    ("logsumexp", {}, [[-BIG]], None, -BIG, [[1]]),
    ("logsumexp", {}, [np.zeros((0, 3))], None, [], [np.zeros((0, 3))]),
    ("normalise", {"eps": 1e-5}, [[BIG, BIG]], [0, 0], [0, 0], [[0, 0]]),
    ("normalise", {"eps": 1.0}, [[5, 5]], [1, 0], [0, 0], [[0.5, -0.5]]),
    ("normalise", {"eps": 1e-5}, [[3]], None, [0], [[0]]),
    ("normalise", {"eps": 1e-5}, [[]], None, [], [[]]),
    ("normalise", {"eps": 0.0}, [[BIG, -BIG]], None, [1, -1], [[0, 0]]),
    ("precision", {"eps": 0.25}, [[5, 5]], None, [2], [[0, 0]]),
    ("precision", {"eps": 0.25}, [[3]], None, [2], [[0]]),
    ("sum", LAST, [[]], None, 0, [[]]),
    ("sum", LAST, [np.zeros((0, 2))], None, [0, 0], [np.zeros((0, 2))]),
    ("mean", LAST, [[5]], None, 5, [[1]]),
    ("max", LAST, [[3, 1, 3]], [2][0], 3, [[1, 0, 1]]),
    ("max", LAST, [[4, 4, 4, 4]], None, 4, [[0.25] * 4]),
    ("max", {"axes": (0, 1), "keep": True}, [[[1, 2], [2, 0]]], None, [[2]], [[[0, 0.5], [0.5, 0]]]),
    ("min", LAST, [[3, 1, 1]], None, 1, [[0, 0.5, 0.5]]),
    ("max", LAST, [[-BIG]], None, -BIG, [[1]]),
    ("maximum", {}, [[1, 2, 3], 2], None, [2, 2, 3], [[0, 0, 1], 2]),
    ("maximum", {}, [[-1, 0, 1], 0], None, [0, 0, 1], [[0, 0, 1], 2]),
    ("minimum", {}, [[1, 2, 3], 2], None, [1, 2, 2], [[1, 0, 0], 2]),
    ("pow", {}, [[0, 0, 0, 0], [0, 1, 2, 3]], None, [1, 0, 0, 0], [[0, 1, 0, 0], [0, 0, 0, 0]]),
    ("pow", {}, [[-2, -2, -2], [1, 2, 3]], None, [-2, 4, -8], [[1, -4, 12], [0, 0, 0]]),
    ("pow", {}, [[-2.0], [-1]], None, [-0.5], [[-0.25], [0]]),
    ("pow", {}, [[4.0], 0.5], None, [2], [[0.25], 2 * math.log(4)]),
    ("mod", {}, [[-1, 5, 4], [3, -3, 3]], None, [2, -1, 1], [[1, 1, 1], [1, 2, -1]]),
    ("div", {}, [[0.0], [-4.0]], None, [0], [[-0.25], [0]]),
    ("concat", {"axis": 0}, [[], [1]], None, [1], [[], [1]]),
    ("slice", {"axis": 0, "start": 1, "stop": 1}, [[1, 2]], None, [], [[0, 0]]),
    ("matmul", {}, [np.zeros((2, 0)), np.zeros((0, 2))], None, np.zeros((2, 2)), [np.zeros((2, 0)), np.zeros((0, 2))]),
]


@pytest.mark.parametrize("float64", [True, False])
@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "g", "y", "flows"), EDGES, ids=[f"{e[0]}-{i}" for i, e in enumerate(EDGES)]
)
def test_at_the_edge(op, attributes, inputs, g, y, flows, float64):
    found = compute(op, inputs, attributes, g, float64)
    tolerance = 1e-12 if float64 else 2e-6
    np.testing.assert_allclose(found["y"], y, rtol=tolerance, atol=tolerance)
    for i, flow in enumerate(flows):
        np.testing.assert_allclose(found[f"d{i}"], flow, rtol=tolerance, atol=tolerance)
        assert np.isfinite(found[f"dd{i}"]).all()


def test_a_mean_of_nothing_is_not_a_number():
    found = compute("mean", [[]], LAST)
    assert np.isnan(found["y"])
    assert found["d0"].shape == (0,)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.0])
def test_powers_are_bent_rightly_at_0(power):
    """x^2 has the second derivative 2 at 0; those of 1, x and x^3 are 0 there, not 0/0."""
    tape = Tape("powers")
    x = tape.input("x", Type(dtype="f32", dims=(1,)), "data")
    first = gradients((x**power).sum(), [x])[0]
    tape.output("second", gradients(first.sum(), [x])[0], "output")
    assert evaluate(tape.graph(), {"x": [0.0]}, float64=True)["second"] == [2.0 if power == 2 else 0.0]


def test_nothing_flows_through_stop():
    np.testing.assert_array_equal(compute("stop", [[1, 2]])["d0"], [0, 0])
    np.testing.assert_array_equal(compute("stop", [[1, 2]])["y"], [1, 2])


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("slice", {"axis": -1, "start": 0, "stop": 1}),
        ("slice", {"axis": 2, "start": 0, "stop": 1}),
        ("slice", {"axis": 0, "start": 1, "stop": 4}),
        ("pad", {"axis": -1, "before": 0, "after": 1}),
        ("pad", {"axis": 0, "before": -1, "after": 1}),
        ("concat", {"axis": 2}),
        ("concat", {"axis": -1}),
        ("sum", {"axes": (2,), "keep": True}),
        ("argmax", {"axis": -1}),
        ("transpose", {"order": (0, 0)}),
        ("reshape", {"dims": (4,)}),
        ("expand", {"dims": (2,)}),
    ],
)
def test_what_does_not_suit_is_refused(op, attributes):
    with pytest.raises(MisfitError):
        lookup(op).infer(Type(dtype="f32", dims=(2, 3)), **attributes)
