"""The words that join, cut, reshape, sort and convert: their numbers, their labels, and what they refuse."""

import numpy as np
import pytest

from dotnn.elaborate.vocabulary import PRIMITIVES
from dotnn.graph import divide
from dotnn.operation import known

X = np.arange(12.0).reshape(4, 3)
Z = np.arange(48.0).reshape(4, 2, 6)
SIGNS = np.array([[3.0, -1, 2], [0, 0, -5], [1, 1, 1], [-2, 7, -2]])
WORDS = {
    "concat(x, x + 100)": np.concatenate([X, X + 100], 1),
    "concat(split(x, 3), over = -1)": X,
    "stack(x, 2 * x)": np.stack([X, 2 * X], -1),
    "stack(x, x, over = -1)": np.stack([X, X], -1),
    "stack(x > 3, x)": np.stack([X > 3, X], -1),
    "unstack(x)": X[:, 0],
    "cumulate(x)": np.cumsum(X, 1),
    "cumulate(x, back = yes)": np.cumsum(X[:, ::-1], 1)[:, ::-1],
    "cumulate(x, over = 0)": np.cumsum(X, 0),
    "cumulate(x > 4)": np.cumsum(X > 4, 1),
    "variance(x)": X.var(),
    "variance(x, over = -1)": X.var(1),
    "norm(x)": np.sqrt((X**2).sum(1)),
    "norm(x, over = (0, 1))": np.sqrt((X**2).sum()),
    "round(x / 2)": np.rint(X / 2),
    "int(x / 2 - 3)": np.trunc(X / 2 - 3),
    "real(x > 4) / 2": (X > 4) / 2,
    "bool(x - 4) and yes": X != 4,
    "int(bool(x))": X != 0,
    "softmax(hide(x, where = x % 3 == 1))": np.tile(np.array([1, 0, np.e**2]) / (1 + np.e**2), (4, 1)),
    "softmax(hide(x, where = x > -1))": np.full((4, 3), 1 / 3),
    "hide(x, where = x > 2)": np.where(X > 2, -1e30, X),
}


@pytest.mark.parametrize("text", WORDS)
def test_a_word(bench, text):
    before = "" if not text.startswith("unstack") else "function first(x) { p, q, r = unstack(x) ; return p }"
    made = bench.value(text.replace("unstack(", "first("), {"x": X}, before)
    np.testing.assert_allclose(made, WORDS[text], rtol=1e-6)


ORDERED = {
    "sort(x)": np.sort(SIGNS, 1),
    "sort(x, falling = yes)": -np.sort(-SIGNS, 1),
    "sort(x, over = 0)": np.sort(SIGNS, 0),
    "argsort(x)": np.argsort(SIGNS, 1, kind="stable"),
    "argsort(x, falling = yes)": np.argsort(-SIGNS, 1, kind="stable"),
    "take(x, argsort(x))": np.sort(SIGNS, 1),
    "largest(x)": -np.sort(-SIGNS, 1)[:, :2],
    "where(x)": np.argsort(-SIGNS, 1, kind="stable")[:, :2],
}
TOP = "function largest(x) { v, p = top(x, 2) ; return v }\nfunction where(x) { v, p = top(x, 2) ; return p }"


@pytest.mark.parametrize("text", ORDERED)
def test_an_order(bench, text):
    np.testing.assert_array_equal(bench.value(text, {"x": SIGNS}, TOP), ORDERED[text])


def net(body, takes="x: [b, t, n]", gives="y: [...]"):
    return f"net N({takes}) -> {gives} {{\n{body}\n}}"


def test_an_open_size_is_found_and_is_a_number_afterwards(bench):
    body = "  h = unfold(x, [head = 2, e])\n  y = sum(h, over = head) * e"
    np.testing.assert_array_equal(bench.predict(net(body), {"x": Z})["y"], Z.reshape(4, 2, 2, 3).sum(2) * 3)


def test_a_dim_unfolds_where_it_stands_and_folds_again(bench):
    body = "  y = x -> unfold([p, q = 2], over = n) -> fold([t, p])"
    np.testing.assert_array_equal(bench.predict(net(body), {"x": Z})["y"], Z.reshape(4, 2, 3, 2).reshape(4, 6, 2))


def test_dims_that_do_not_stand_side_by_side_are_brought_together(bench):
    body = "  y = x -> unfold([p = 3, q]) -> fold([p, t])"
    want = Z.reshape(4, 2, 3, 2).transpose(0, 2, 1, 3).reshape(4, 6, 2)
    np.testing.assert_array_equal(bench.predict(net(body), {"x": Z})["y"], want)
    over = "  y = x -> unfold([p = 3, q]) -> fold(over = (p, q))"
    np.testing.assert_array_equal(bench.predict(net(over), {"x": Z})["y"], Z)


def test_the_batch_unfolds_and_folds_too(bench):
    body = "  y = fold(x, [b, t]) -> unfold([pair = b, t], over = 0)"
    np.testing.assert_array_equal(bench.predict(net(body), {"x": Z})["y"], Z)


def test_slices_of_a_named_dim(bench):
    body = "  q, k, v = x -> unfold([part = 3, e]) -> unstack(over = part)\n  y = q - k + 2 * v"
    parts = Z.reshape(4, 2, 3, 2)
    want = parts[:, :, 0] - parts[:, :, 1] + 2 * parts[:, :, 2]
    np.testing.assert_array_equal(bench.predict(net(body), {"x": Z})["y"], want)


def test_what_is_stacked_is_found_by_its_new_name(bench):
    made = bench.predict(net("  y = sum(stack(x, 2 * x, over = twice), over = twice)"), {"x": Z})["y"]
    np.testing.assert_array_equal(made, 3 * Z)


def test_what_is_joined_is_aligned_by_its_names(bench):
    body = "  turned = a(x)\n  y = concat(x, turned)"
    before = "layer a()(x: [b, t, n]) -> [b, t, n] { return x }\n"
    np.testing.assert_array_equal(
        bench.predict(before.replace("layer a()(", "function a(") + net(body), {"x": Z})["y"],
        np.concatenate([Z, Z], -1),
    )


@pytest.mark.parametrize(
    ("settings", "axes"), [("keep = n", (0, 1)), ("keep = (b, n)", (1,)), ("over = t", (1,)), ("", (0, 1, 2))]
)
def test_moments(bench, settings, axes):
    body = f"  m, v = moments(x{', ' if settings else ''}{settings})\n  y = x - m + 0 * v\n"
    want = Z - Z.mean(axes, keepdims=True)
    if settings != "over = t":  # without t the rest is not aligned from the last dim
        np.testing.assert_allclose(bench.predict(net(body), {"x": Z})["y"], want, rtol=1e-6)
    text = f"  m, v = moments(x{', ' if settings else ''}{settings})\n  y = v"
    np.testing.assert_allclose(bench.predict(net(text), {"x": Z})["y"], Z.var(axes), rtol=1e-6)


def test_moments_are_aligned_by_the_dim_that_stays(bench):
    body = "  m, v = moments(x, keep = t)\n  y = (x - m) / sqrt(v)"
    want = (Z - Z.mean((0, 2), keepdims=True)) / Z.std((0, 2), keepdims=True)
    np.testing.assert_allclose(bench.predict(net(body), {"x": Z})["y"], want, rtol=1e-6)


REFUSED = {
    "split(x, 4)": "6 does not divide into 4 equal chunks",
    "split(x, 2, over = b)": "dim b cannot be cut: its size is known only when the graph runs",
    "split(x, 0)": "`split` takes a tensor and into how many chunks it is cut: split(x, 4)",
    "concat(x, x, over = b)": "[b, 2, 6] cannot be joined to [b, 2, 6] along dim 0",
    "concat(x, sum(x, over = t))": "[b, 6] and [b, 2, 6] have not as many dims",
    "stack(x, x, over = t)": "`t` names a dim of these already: give the new one another name",
    "stack(x, sum(x, over = t))": "[b, 6] and [b, 2, 6] have not as many dims",
    "unfold(x, [p = 4, e])": "a dim of size 6 does not unfold into 4 and one more",
    "unfold(x, [p, e])": "`p` and `e` are both left open, and only one size can be found",
    "unfold(x, [p = 4, 2])": "6 does not unfold into [4, 2], which is 8",
    "unfold(x, [t, e])": "`t` would name two dims of this: give one of them another name",
    "fold(x, [t = 3, 6])": "the last dims of [b, 2, 6] are not [3, 6]",
    "fold(x, [6, 6], over = (t, n))": "the dims that `over` names are [2, 6], not [6, 6]",
    "unstack(x, over = b)": "dim b cannot be cut: its size is known only when the graph runs",
    "top(x, 7)": "the first 7 are asked for, and there are 6",
    "top(x, 0)": "`top` takes a tensor and how many of its greatest numbers are wanted: top(x, 5)",
    "sort(x, falling = 2)": "`falling` is yes or no",
    "take(x, x)": "a place is a whole number, and this is real",
    "moments(x, keep = n, over = t)": (
        "`moments` is given either the dims that stay (keep) or those that it works over (over)"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(bench, text):
    assert bench.problem(net(f"  y = {text}"), {"x": Z}).title_text == REFUSED[text]


def test_sizes_divide():
    assert divide("16*b", 8) == "2*b"
    assert divide("6*b*t", "3*b") == "2*t"
    assert divide(12, 4) == 3
    assert divide("b", 2) is None
    assert divide(12, "b") is None
    assert divide(12, 0) is None


def learned_from(bench, loss, weight="zeros"):
    """The weights w: [4, 3] after one step of size 1."""
    text = f"""
net N(x: [b, 3]) -> y: [4] {{
  weight w: [4, 3] ~ {weight}
  y = {loss} + 0 * sum(x)
}}
train N on d {{
  loss sum(y)
  optimizer sgd(lr = 1)
  batch 4
  epochs 1
}}
"""
    graphs = bench.graphs(text, {"x": X})
    state = bench.run(graphs["init"], {"seed": 0})
    return bench.run(graphs["train"], {**state, "x": X})["N.w.next"]


def test_an_arrow_without_length_has_the_slope_0(bench):
    np.testing.assert_array_equal(learned_from(bench, "norm(w)"), np.zeros((4, 3)))


def test_nothing_is_learned_from_what_is_hidden_as_a_whole(bench):
    shares = "sum(softmax(hide(w, where = w > -1)) * exp(w - stop(w)), over = -1)"
    np.testing.assert_allclose(learned_from(bench, shares), np.full((4, 3), -1 / 3), rtol=1e-6)


def test_a_setting_may_be_called_as_a_word_of_a_train_line(bench):
    text = """
net N(x: [b, 3]) -> y: [b, 3] { y = x }
train N on d {
  loss mean(softmax(hide(y, where = y > 100))) where y > 4
  optimizer sgd(lr = 1)
  batch 4
  epochs 1
}
"""
    assert bench.problem(text, {"x": X}).code == "B022"  # it was read; there is only nothing to learn


@pytest.mark.parametrize("name", [name for name in PRIMITIVES if not known(name)])
def test_every_word_says_what_it_does(name):
    assert f"{name}(" in (PRIMITIVES[name].__doc__ or "")


def test_the_gradient_of_a_cut_is_joined_at_once(bench):
    text = """
net N(x: [b, 3]) -> y: [b, 2] {
  weight W: [3, 8] ~ ones
  i, f, g, o = split(x @ W, 4)
  y = tanh(i) * f + sigmoid(g) * o
}
train N on d {
  loss mean(y)
  optimizer sgd(lr = 1)
  batch 4
  epochs 1
}
"""
    nodes = [node.op for node in bench.graphs(text, {"x": X})["train"].nodes]
    assert nodes.count("concat") == 1
    assert "pad" not in nodes
