"""A list of numbers: sizes where a shape is asked for, numbers where a tensor is needed or one is a fraction."""

import numpy as np
import pytest

X = np.arange(12.0).reshape(4, 3)
LISTS = {
    "x * [1, 2, 5]": X * [1, 2, 5],
    "[1, 2, 5] - x": [1, 2, 5] - X,
    "x * [1, 0.5, -2.5]": X * [1, 0.5, -2.5],
    "x + [50%, 1, -0.5]": X + np.array([0.5, 1, -0.5]),
    "x * [1, 2/4, width]": X * [1, 0.5, 3],
    "x * ([1, 2, 5] / 2)": X * [0.5, 1, 2.5],
    "([10, 20.5, 30])[int(x[..., 0] % 2)]": np.array([10, 20.5, 10, 20.5]),
    "x + exp([0, 1, 2])": X + np.exp([0, 1, 2]),
    "x + fill(7, [1, 3])": X + 7,
    "x + fill(7, [1.0, width])": X + 7,
}


@pytest.mark.parametrize("text", LISTS)
def test_a_list(bench, text):
    np.testing.assert_allclose(bench.value(text, {"x": X}, "param width = 3"), LISTS[text], rtol=1e-6)
