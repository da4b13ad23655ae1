"""Operations of the registry woven into graphs of ten to twenty: what flows is added up and passed on rightly."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dotnn import operation as registry
from dotnn.operation import lookup, operations
from dotnn.recipes import RECIPES, Draw
from dotnn.testing import Case, WrongGradientError, check_gradient, check_second
from dotnn_reference.evaluate import evaluate, values

WOVEN = [
    (o.name, recipe)
    for o in operations()
    if o.gradient is not None and o.name != "cast"
    for recipe in RECIPES.get(o.name, [])
    if recipe.smooth and "whole" not in recipe.label
]

the_same_each_time = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # shrinking a graph of twenty operations takes minutes and makes it no plainer
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def judge(graph, feeds):
    return evaluate(graph, feeds, float64=True)


class Woven(Draw):
    """Where a recipe asks for a real input it gets, mostly, a value that is there already."""

    def __init__(self, data):
        super().__init__()
        self._data = data
        self.pool = []

    def whole(self, low, high):
        return self._data.draw(st.integers(low, high))

    def real(self, dims, low=-2.0, high=2.0):
        fitting = [value for value in self.pool if value.dims == tuple(dims)]
        if fitting and self.whole(0, 3):
            value = self.among(fitting)
        else:
            value = super().real(dims)
            if self.pool and self.chance():
                value = value + self.among(self.pool).mean()
        return lookup("sigmoid")(value) * (high - low) + low

    def weave(self):
        name, recipe = self.among(WOVEN)
        value = recipe.write(self, lookup(name))
        if value.type.is_float and not self.near_a_kink(value):
            self.pool.append(value)

    def near_a_kink(self, value):
        node = next(n for n in self.tape.nodes if n.name == value.name)
        if node.op not in ("abs", "maximum", "minimum", "max", "min", "mod"):
            return False
        found = values(self.tape.graph(), self.feeds, float64=True)
        y, (a, *rest) = found[node.name], (found[i] for i in node.inputs)
        if node.op == "abs":
            gaps = a
        elif node.op == "mod":
            gaps = a / rest[0] - np.round(a / rest[0])
        elif rest:
            gaps = a - rest[0]
        else:
            axes: Any = node.attributes["axes"]
            y = y if node.attributes["keep"] else np.expand_dims(y, axes)
            return bool(np.any(np.sum(np.abs(a - y) < 1e-3, axis=axes) > 1))
        return bool(np.any(np.abs(gaps) < 1e-3))


def weave(data, least, most):
    draw = Woven(data)
    for _ in range(draw.whole(least, most)):
        draw.weave()
    y = sum((value.sum() for value in draw.pool), draw.tape.literal(0))
    draw.tape.output("y", y, "output")
    return Case("", "woven", draw.tape.graph("woven"), draw.feeds)


@settings(the_same_each_time, max_examples=100)
@given(data=st.data())
def test_gradient(data):
    check_gradient(weave(data, 10, 20), judge)


@settings(the_same_each_time, max_examples=40)
@given(data=st.data())
def test_second_derivative(data):
    check_second(weave(data, 4, 8), judge)


@pytest.mark.parametrize("name", ["sigmoid", "matmul", "expand"])
def test_a_flow_that_is_wrong_somewhere_in_the_graph_is_caught(name, monkeypatch):
    right = lookup(name)
    rule = right.gradient
    assert rule is not None

    def wrong(*values, **attributes):
        return [flow and flow * 1.01 for flow in rule(*values, **attributes)]

    monkeypatch.setitem(registry._operations, name, replace(right, gradient=wrong))

    @settings(the_same_each_time, max_examples=40, report_multiple_bugs=False)
    @given(data=st.data())
    def check(data):
        check_gradient(weave(data, 10, 20), judge)

    with pytest.raises(WrongGradientError):
        check()
