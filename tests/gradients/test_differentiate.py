"""Reverse mode itself: what is added up, what is left out, what depends on what."""

from typing import Any

import numpy as np
import pytest

from dotnn.differentiate import differentiate, gradients
from dotnn.graph import Type
from dotnn.operation import lookup
from dotnn.tape import Tape
from dotnn_reference.evaluate import evaluate

tanh = lookup("tanh")
X = np.array([0.5, -1.0, 2.0])


def start(**dims):
    tape = Tape("t")
    return tape, [tape.input(name, Type(dtype="f32", dims=size), "data") for name, size in dims.items()]


def found(tape, value, feeds):
    tape.output("found", value, "output")
    return evaluate(tape.graph(), feeds, float64=True)["found"]


def test_a_value_that_is_used_twice_gets_both_flows():
    tape, [x] = start(x=(3,))
    flow = gradients((x * x + tanh(x)).sum(), [x])[0]
    np.testing.assert_allclose(found(tape, flow, {"x": X}), 2 * X + 1 - np.tanh(X) ** 2, rtol=1e-12)


def test_by_values_may_depend_on_each_other():
    """d/dh holds h fixed; d/dw goes on through h."""
    tape, [w] = start(w=(3,))
    h = w * 2
    loss = (h * h * w).sum()
    by_h, by_w = gradients(loss, [h, w])
    np.testing.assert_allclose(found(tape, by_h, {"w": X}), 4 * X * X, rtol=1e-12)
    tape.outputs.clear()
    np.testing.assert_allclose(found(tape, by_w, {"w": X}), 12 * X * X, rtol=1e-12)


def test_the_loss_by_itself_is_one():
    tape, [x] = start(x=(3,))
    loss = x.sum()
    assert found(tape, gradients(loss, [loss])[0], {"x": X}) == 1


@pytest.mark.parametrize("dims", [(), (2,), ("b", 2)])
def test_a_weight_without_influence_gets_zeros(dims):
    tape, [x, w] = start(x=("b",), w=dims)
    flow = gradients((x * x).sum(), [w])[0]
    assert flow.dims == dims
    shape = [3 if d == "b" else d for d in dims]
    np.testing.assert_array_equal(found(tape, flow, {"x": X, "w": np.ones(shape)}), np.zeros(shape))


def test_no_gradient_is_built_that_is_not_asked_for():
    tape, [x, w] = start(x=("b", 2), w=(2, 3))
    loss = tanh(x @ w).sum()
    gradients(loss, [w])
    flows_to_x = [n for n in tape.nodes if n.op == "matmul" and n.type.dims == ("b", 2)]
    assert len(flows_to_x) <= 1  # the rule of matmul writes it; nothing uses it
    assert not any(f.name in n.inputs for f in flows_to_x for n in tape.nodes)


@pytest.mark.parametrize("left", [(), (1,), (3,), (1, 1), (2, 1), (1, 3), (2, 3), ("b", 1, 1), ("b", 2, 3), (1, 2, 1)])
@pytest.mark.parametrize("right", [(), (3,), (2, 1), ("b", 1, 3), (1, 1, 1)])
def test_every_broadcast_is_undone(left, right):
    """<a * b> by a is b, summed over where a was stretched: compared with NumPy, index by index."""
    tape, [a, b, _] = start(a=left, b=right, batch=("b",))
    flow = gradients((a * b).sum(), [a])[0]
    assert flow.dims == left
    shapes = [[4 if d == "b" else d for d in dims] for dims in (left, right)]
    feeds: dict[str, Any] = {
        "a": np.ones(shapes[0]),
        "b": np.arange(1.0, 1 + np.prod(shapes[1])).reshape(shapes[1]),
        "batch": [0.0] * 4,
    }
    whole = np.broadcast_shapes(*shapes)
    expected = np.zeros(shapes[0])
    places = np.broadcast_to(np.arange(expected.size).reshape(shapes[0]), whole)
    np.add.at(expected.reshape(-1), places.reshape(-1), np.broadcast_to(feeds["b"], whole).reshape(-1))
    np.testing.assert_allclose(found(tape, flow, feeds), expected, rtol=1e-12)


def test_third_derivatives():
    tape, [x] = start(x=(3,))
    value = x**4
    for _ in range(3):
        value = gradients(value.sum(), [x])[0]
    np.testing.assert_allclose(found(tape, value, {"x": X}), 24 * X, rtol=1e-12)


def test_learned_weights_get_an_output_each():
    tape = Tape("t")
    w = tape.input("w", Type(dtype="f32", dims=(3,)), "state", learned=True)
    tape.input("unused", Type(dtype="f32", dims=(2,)), "state", learned=True)
    slot = tape.input("slot", Type(dtype="f32", dims=(3,)), "state")
    tape.output("loss", (w * w * slot).sum(), "loss")
    graph = differentiate(tape.graph())
    assert [o.name for o in graph.outputs] == ["loss", "gradient:w", "gradient:unused"]
    outputs = evaluate(graph, {"w": X, "unused": [1, 2], "slot": [1, 2, 3]}, float64=True)
    np.testing.assert_allclose(outputs["gradient:w"], 2 * X * [1, 2, 3])
    np.testing.assert_array_equal(outputs["gradient:unused"], [0, 0])


def test_names_stay_apart_on_a_graph_that_a_pass_made_shorter():
    tape, [x] = start(x=(3,))
    dead = x + 1
    tape.output("loss", (x * x).sum(), "loss")
    graph = tape.graph()
    graph = graph.model_copy(
        update={"nodes": tuple(n for n in graph.nodes if n.name != dead.name and n.op != "literal")}
    )
    again = Tape.of(graph)
    loss = again.values[graph.output("loss").value]
    for value in gradients(loss, [again.values["x"]]):
        again.output("flow", value, "output")
    names = [n.name for n in again.nodes]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(evaluate(again.graph(), {"x": X}, float64=True)["flow"], 2 * X)
