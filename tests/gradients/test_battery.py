"""The battery walks every operation because it is registered; and is itself tested, by gradients a little wrong."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dotnn import operation as registry
from dotnn.operation import Operation, lookup, operations
from dotnn.recipes import RECIPES, Draw
from dotnn.testing import (
    MissingRecipeError,
    Seeded,
    WrongGradientError,
    cases,
    cases_of,
    check_adjoint,
    check_gradient,
    check_second,
    differentiable,
    draw_case,
    inputs_of,
    is_linear,
    mutants,
)
from dotnn_reference.evaluate import evaluate

NAMES = [operation.name for operation in operations()]
WITH_GRADIENT = [o.name for o in operations() if o.gradient is not None and o.name != "stop"]
WITHOUT = [o.name for o in operations() if o.gradient is None]
SMOOTH = [(name, i) for name in WITH_GRADIENT for i, recipe in enumerate(RECIPES.get(name, [])) if recipe.smooth]

the_same_each_time = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def judge(graph, feeds):
    return evaluate(graph, feeds, float64=True)


class Chosen(Draw):
    """Hypothesis makes the choices, and shrinks them."""

    def __init__(self, data):
        super().__init__()
        self._data = data

    def whole(self, low, high):
        return self._data.draw(st.integers(low, high))


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_has_a_recipe_and_its_type_rule_tells_the_truth(name):
    for case in cases_of(name):
        y = evaluate(case.graph, case.feeds)["y"]
        double = judge(case.graph, case.feeds)["y"]
        assert y.shape == double.shape
        np.testing.assert_allclose(np.asarray(y, np.float64), np.asarray(double, np.float64), rtol=1e-5, atol=1e-5)


def test_an_operation_without_a_recipe_fails(monkeypatch):
    monkeypatch.setitem(registry._operations, "new", Operation("new", lambda x: x))
    with pytest.raises(MissingRecipeError, match="new has no recipe"):
        list(cases())


def test_cases_are_the_same_each_time():
    once, again = list(cases_of("matmul", seed=3)), list(cases_of("matmul", seed=3))
    assert [c.graph for c in once] == [c.graph for c in again]
    assert all(np.array_equal(a.feeds[k], b.feeds[k]) for a, b in zip(once, again, strict=True) for k in a.feeds)


@pytest.mark.parametrize(("name", "recipe"), SMOOTH)
@the_same_each_time
@given(data=st.data())
def test_gradient(name, recipe, data):
    check_gradient(draw_case(name, RECIPES[name][recipe], Chosen(data)), judge)


@pytest.mark.parametrize(("name", "recipe"), SMOOTH)
@the_same_each_time
@given(data=st.data())
def test_second_derivative(name, recipe, data):
    check_second(draw_case(name, RECIPES[name][recipe], Chosen(data)), judge)


@pytest.mark.parametrize(
    ("name", "recipe"), [(n, i) for n, i in SMOOTH if 0 in lookup(n).linear or 1 in lookup(n).linear]
)
@the_same_each_time
@given(data=st.data())
def test_adjoint(name, recipe, data):
    check_adjoint(draw_case(name, RECIPES[name][recipe], Chosen(data)), judge)


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_something_is_compared(name):
    seen = list(cases_of(name, each=24))
    assert sum(check_gradient(case, judge) for case in seen) >= 8
    assert sum(check_second(case, judge) for case in seen) >= 16
    if 0 in lookup(name).linear or 1 in lookup(name).linear:
        assert sum(check_adjoint(case, judge) for case in seen) >= 8


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_linear_says_neither_too_much_nor_too_little(name):
    bent: set[int] = set()
    straight: set[int] = set()
    for case in (c for c in cases_of(name, each=24) if differentiable(c)):
        for position, fed in enumerate(inputs_of(case)):
            if np.asarray(case.feeds[fed]).dtype.kind != "f":
                continue
            x = np.asarray(case.feeds[fed], np.float64)
            other = {fed: np.flip(x) * 1.7}
            (straight if is_linear(case, other, fed, judge) else bent).add(position)
    assert {p for p in straight | bent if p in lookup(name).linear} == straight - bent


@pytest.mark.parametrize("name", WITHOUT)
def test_where_no_gradient_passes_the_result_is_flat(name):
    for case in cases_of(name):
        y = judge(case.graph, case.feeds)["y"]
        if y.dtype.kind != "f" or not case.smooth:
            continue
        for fed in inputs_of(case):
            if case.graph.types()[fed].is_float:
                for step in (-1e-6, 1e-6):
                    moved = {**case.feeds, fed: np.asarray(case.feeds[fed], np.float64) + step}
                    np.testing.assert_array_equal(judge(case.graph, moved)["y"], y)


def caught(name):
    for case in cases_of(name, each=6):
        try:
            check_gradient(case, judge)
        except WrongGradientError:
            return True
    return False


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_a_gradient_that_is_one_percent_off_is_caught(name, monkeypatch):
    assert not caught(name)
    made = list(mutants(lookup(name), list(cases_of(name, each=6))))
    assert made
    for mutant in made:
        monkeypatch.setitem(registry._operations, name, mutant.operation)
        assert caught(name), f"{name}: nobody saw that what flows to input {mutant.position} was 1.01 of what is right"
        monkeypatch.undo()


def test_every_flow_has_its_mutant():
    """One for each real input of an operation: counted, so that none is lost quietly."""
    count = {name: len(list(mutants(lookup(name), list(cases_of(name, each=6))))) for name in WITH_GRADIENT}
    two = {"add", "sub", "mul", "div", "pow", "maximum", "minimum", "mod", "select", "matmul", "overwrite"}
    two |= {"convolve", "convolve_back", "convolve_weight"}
    assert count.pop("concat") == 4
    assert count.pop("scan") == 5  # two carried, two scanned, one given
    assert count == {name: 2 if name in two else 1 for name in count}


def test_a_wrong_second_derivative_and_a_wrong_adjoint_are_caught(monkeypatch):
    case = draw_case("tanh", RECIPES["tanh"][0], Seeded(1))
    tanh = lookup("tanh")
    held = registry._operations["stop"]
    # The first derivative is right, but y counts as a constant in it.
    wrong = Operation("tanh", tanh.infer, lambda g, y, x: [g - g * (held(y) * held(y))])
    monkeypatch.setitem(registry._operations, "tanh", wrong)
    check_gradient(case, judge)
    with pytest.raises(WrongGradientError, match="finite differences"):
        check_second(case, judge)

    case = draw_case("neg", RECIPES["neg"][0], Seeded(1))
    wrong = Operation("neg", lookup("neg").infer, lambda g, y, x: [g * -1.000001], linear=(0,))
    monkeypatch.setitem(registry._operations, "neg", wrong)
    with pytest.raises(WrongGradientError, match="<t, J'g>"):
        check_adjoint(case, judge)
