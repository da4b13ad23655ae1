"""Dims: their sizes are solved, their labels align."""

import numpy as np

X = np.arange(24.0).reshape(2, 3, 4)
S = np.array([[1.0, 2, 3], [4, 5, 6]])
M = np.arange(24.0).reshape(2, 4, 3)
COLUMNS = {"x": X, "s": S, "m": M}


def net(body, definitions=""):
    return f"{definitions}\nnet N(x: [b, i, j], s: [b, i], m: [b, j, i]) -> y: [...] {{\n{body}\n}}"


def value(bench, body, definitions=""):
    return bench.predict(net(body, definitions), COLUMNS)["y"]


def test_a_smaller_tensor_goes_where_its_labels_are(bench):
    np.testing.assert_array_equal(value(bench, "y = x * s"), X * S[:, :, None])


def test_the_same_labels_in_another_order(bench):
    np.testing.assert_array_equal(value(bench, "y = x - m"), X - M.transpose(0, 2, 1))
    np.testing.assert_array_equal(value(bench, "y = m - x"), M - X.transpose(0, 2, 1))
    turned = X.transpose(0, 2, 1)
    np.testing.assert_array_equal(value(bench, "y = x if m > 9 else -x"), np.where(M > 9, turned, -turned))


def test_without_labels_the_last_dims_meet(bench):
    np.testing.assert_array_equal(value(bench, "weight w: [4] ~ ones\n y = x * (w + 1)"), X * 2)


def test_a_label_of_its_own(bench):
    np.testing.assert_array_equal(value(bench, "weight w: [i = 3] ~ ones\n y = x * (2 * w)"), X * 2)


def test_two_labels_that_meet_are_an_error(bench):
    problem = bench.problem(net("weight w: [k = 4] ~ ones\n y = x * w"), COLUMNS)
    assert problem.code == "B012"
    assert problem.title_text == "dim `j` meets dim `k`"


def test_one_label_twice_is_an_error(bench):
    problem = bench.problem(net("weight w: [j, j] ~ ones\n y = x @ w"), COLUMNS)
    assert problem.code == "B024"
    assert "[j, out = j]" in problem.help_text
    np.testing.assert_array_equal(value(bench, "weight w: [j, out = j] ~ ones\n y = x @ w"), X @ np.ones((4, 4)))


def test_a_dim_is_its_size_as_a_number(bench):
    np.testing.assert_allclose(value(bench, "y = x / sqrt(j) + b * i // 2"), X / 2 + 3)


def test_over_names_dims(bench):
    np.testing.assert_array_equal(value(bench, "y = sum(x, over = (i, j))"), X.sum((1, 2)))
    np.testing.assert_array_equal(value(bench, "y = sum(m, over = i)"), M.sum(2))
    problem = bench.problem(net("y = sum(s, over = j)"), COLUMNS)
    assert problem.code == "B013"
    assert problem.help_text == "its dims are [b, i]"


def test_the_result_gets_the_callers_label_back(bench):
    rows = "function rows(q: [a, c, d]) -> [a, c] { return mean(q, over = d) }"
    np.testing.assert_allclose(value(bench, "y = rows(x) * s", rows), X.mean(2) * S)
    double = "function double(q: [a, c, d]) -> [a, c, d] { return q * 2 }"
    np.testing.assert_array_equal(value(bench, "y = double(x) + m", double), X * 2 + M.transpose(0, 2, 1))


def test_a_label_of_a_definition_stays_inside(bench):
    """`d` inside is no `d` outside: the result's last dim is not aligned with another."""
    other = "function other(q: [a, c, d]) -> [a, c, 3] { weightless = q[..., 0..3]\n return weightless }"
    np.testing.assert_array_equal(value(bench, "y = other(x) + s[..., 0..1]", other), X[..., :3] + S[:, :1, None])


def test_dots_stand_for_the_other_dims(bench):
    definitions = "function plus(q: [a, ...]) -> [a, ...] { return q + zeros[...] + 1 }"
    np.testing.assert_array_equal(value(bench, "y = plus(x) + m", definitions), X + 1 + M.transpose(0, 2, 1))
    last = "function share(q: [..., n]) -> [..., n] { return q / n }"
    np.testing.assert_allclose(value(bench, "y = share(x)", last), X / 4)


def test_dots_are_the_same_dims_twice(bench):
    definitions = "function plus(q: [a, ...], r: [a, ...]) -> [a, ...] { return q + r }"
    problem = bench.problem(net("y = plus(x, s)", definitions), COLUMNS)
    assert problem.label_text == "`...` was [3, 4] before and is [3] here"


def test_a_dim_has_one_size(bench):
    definitions = "function plus(q: [a, n, p], r: [a, n, p]) -> [a, n, p] { return q + r }"
    problem = bench.problem(net("y = plus(x, m)", definitions), COLUMNS)
    assert problem.code == "B008"
    assert problem.label_text == "`n` is 3 there and 4 here"


def test_flatten_lays_out_each_example(bench):
    np.testing.assert_array_equal(value(bench, "y = x -> flatten"), X.reshape(2, 12))


def test_the_bound_of_a_column_is_a_number(bench):
    text = "net N(k: int[b] < classes) -> y: [b] { y = classes - k }"
    np.testing.assert_array_equal(bench.predict(text, {"k": np.array([0, 2, 4])})["y"], [5, 3, 1])


def test_a_class_that_a_table_has_no_row_for_is_refused(bench):
    text = "net N(k: int[b]) -> y: [...] {\n weight table: [3, 2] ~ ones\n y = table[k]\n}"
    problem = bench.problem(text, {"k": np.array([0, 2, 4])})
    assert problem.title_text == "rows up to 4 are asked for, and there are 3 (0 to 2)"


def test_a_size_is_a_whole_number_from_one_up(bench):
    for text, code in (("dense(-3)", "B002"), ("dense(2.5)", "B002"), ("dense(0)", "B026"), ("dense(2^31)", "B085")):
        problem = bench.problem(f"net N(x: [b, 3]) -> y: [...] {{\n  y = x -> {text}\n}}")
        assert problem.code == code
        assert problem.span.line == 6


def test_the_first_places_of_another_dim_are_a_dims_own(bench):
    """`place[0..j]` is named j, whether the table has as many rows as there are places or more."""
    for rows in (4, 7):
        body = f"weight place: [{rows}, 3] ~ ones\n named = place[0..j]\n y[b, i, j] = named[j, i] * x[b, i, j]"
        np.testing.assert_array_equal(value(bench, body), X)
        body = f"weight place: [rows = {rows}, i = 3] ~ ones\n y = x * place[0..j]"
        np.testing.assert_array_equal(value(bench, body), X)
    assert bench.problem(net("weight place: [rows = 4, i = 3] ~ ones\n y = x * place[0..4]"), COLUMNS).code == "B012"
