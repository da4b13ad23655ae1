"""Numbers, operators and choices: what an expression is worth."""

import numpy as np
import pytest

X = np.arange(12.0).reshape(4, 3)

NOW = {
    "2 + 3 * 4": 14,
    "2 * 3 ^ 2": 18,
    "2 ^ 3 ^ 2": 512,
    "-2 ^ 2": -4,
    "7 / 2": 3.5,
    "7 // 2": 3,
    "-7 // 2": -4,
    "-7 % 3": 2,
    "7.5 // 2": 3,
    "10 - 2 - 3": 5,
    "2 ^ -2": 0.25,
    "80%": 0.8,
    "10 % 4": 2,
    "1_000 / 8": 125,
    "yes + yes": 2,
    "3 if 2 > 1 else 4": 3,
    "3 if not 2 > 1 else 4": 4,
    "3 if 1 == 1.0 and no or yes else 4": 3,
    'b if "deep" == "deep" else 0': 4,
    "max(2, 5) - min(2, 5)": 3,
    "sqrt(2) ^ 2": 2,
    "floor(-2.5)": -3,
    "abs(-3) * sign(-2)": -3,
    "b": 4,
    "b * b + 1": 17,
    "sqrt(b)": 2,
    "cos(pi)": -1,
}


@pytest.mark.parametrize("text", NOW)
def test_a_number(bench, text):
    assert bench.value(f"({text}) + 0 * sum(x)") == pytest.approx(NOW[text])


TENSORS = {
    "x > 4": X > 4,
    "(x > 3) + (x > 5)": (X > 3) * 1 + (X > 5),
    "x if x > 4 else -x": np.where(X > 4, X, -X),
    "yes if x > 4 else no": X > 4,
    "not x > 4 and x > 2 or x == 11": ((X <= 4) & (X > 2)) | (X == 11),
    "-x ^ 2": -(X**2),
    "(x + 1) ^ -2": (X + 1) ** -2.0,
    "x // 2": X // 2,
    "x % 5 - x / 4": X % 5 - X / 4,
    "sum(x)": X.sum(),
    "sum(x, over = -1)": X.sum(-1),
    "mean(x, over = b)": X.mean(0),
    "max(x)": 11,
    "max(x, over = -1)": X.max(-1),
    "max(x, 5)": np.maximum(X, 5),
    "sum(x > 4)": 7,
    "argmax(x)": [2, 2, 2, 2],
    "argmax(-x, over = b)": [0, 0, 0],
    "x[..., 1]": X[:, 1],
    "x[..., 0..2]": X[:, :2],
    "x.T": X.T,
    "x @ x.T": X @ X.T,
    "zeros[b, 2] + 1": np.ones((4, 2)),
    "fold(x, [b, 3])": X.reshape(-1),
    "x -> relu": X,
    "relu(x - 5)": np.maximum(X - 5, 0),
}


@pytest.mark.parametrize("text", TENSORS)
def test_a_tensor(bench, text):
    found = bench.value(text, {"x": X})
    assert found.shape == np.shape(TENSORS[text])
    np.testing.assert_allclose(found, TENSORS[text], rtol=1e-6)


def test_softmax_goes_along_the_last_dim_unless_told(bench):
    np.testing.assert_allclose(bench.value("sum(softmax(x), over = -1)", {"x": X}), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(bench.value("sum(softmax(x, over = b), over = b)", {"x": X}), np.ones(3), rtol=1e-6)


def test_whole_numbers_stay_whole(bench):
    k = np.array([0, 7, 8, 9])
    np.testing.assert_array_equal(bench.value("k // 2 + k % 4", {"k": k}), [0, 6, 4, 5])
    np.testing.assert_array_equal(bench.value("k / 2", {"k": k}), k / 2)


def test_a_row_of_a_table_for_each_number(bench):
    text = """
    net N(k: int[b] < n) -> y: [...] {
      weight table: [n, size = 2] ~ glorot
      y = table[k]
    }"""
    k = np.array([2, 0, 2, 1])
    y = bench.predict(text, {"k": k})["y"]
    assert y.shape == (4, 2)
    np.testing.assert_array_equal(y[0], y[2])
    assert not np.array_equal(y[0], y[1])


REFUSED = {
    "1 / 0": "divides by zero",
    "x / 0": "divides by zero",
    "x % 0": "divides by zero",
    "4_294_967_295 ^ 64 * x": "too large",
    "1e39 * x": "too large",
    "sqrt(-1) + x": "no square root",
    'x + "a"': "needed",
    "x + (1, 2)": "2 things",
    "x + relu": "the function `relu`",
    "x if 2 else 3": "the number 2",
    "x[5..2]": "runs backwards",
    "x[..., 1..9]": "1..9",
    "x[..., 1, 2, 3]": "dims",
    "x[x]": "whole number",
    "sum(x, over = 5)": "names no dim",
    "sum(x, over = q)": "no dim `q`",
    "fold(x, [7])": "last dims",
    "x @ x": "fit",
    "x(3)": "can be called",
    "sum()": "takes one tensor",
    "x.T.foo": "`.foo`",
    "zeros[100_000, 100_000]": "40 GB",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_makes_no_sense_is_refused(bench, text):
    problem = bench.problem(f"net N(x: [b, 3]) -> y: [...] {{\n  y = ({text}) -> dense(3)\n}}")
    assert REFUSED[text] in problem.title_text
    assert (problem.span.line, problem.span.file.split("/")[-1]) == (6, "spec.nn")
