"""Index equations: what they are worth beside numpy.einsum, their gradients, and what they refuse."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

A = np.arange(12.0).reshape(4, 3) / 7 - 0.5
B = np.arange(24.0).reshape(4, 2, 3) / 5 - 1
C = np.array([2.0, -1, 3, 0.5])
ROW, COLUMN = np.arange(3)[:, None], np.arange(3)[None]

# The columns a: [b, n], q: [b, t, n], c: [b].
NET = "net N(a: [b, n], q: [b, t, n], c: [b]) -> y: [...] {{\n{}\n}}\n"

EQUATIONS = {
    "y[b] = a[b, i] * a[b, i]": np.einsum("bi,bi->b", A, A),
    "y[i] = a[b, i]": A.sum(0),
    "y[i, b] = a[b, i]": A.T,
    "y[b, i, j] = a[b, i] * a[b, j]": np.einsum("bi,bj->bij", A, A),
    "y[b, t] = q[b, t, i] * a[b, i]": np.einsum("bti,bi->bt", B, A),
    "y[t, b] = q[b, t, i] * a[b, i] / sqrt(i)": np.einsum("bti,bi->tb", B, A) / np.sqrt(3),
    "y[b, s, t] = q[b, s, i] * q[b, t, i] / i": np.einsum("bsi,bti->bst", B, B) / 3,
    "y[b, i] = q[b, t, i] * a[b, i] + c[b]": np.einsum("bti,bi->bi", B, A) + C[:, None],
    "y[b] = a[b, i] * a[b, i] - c[b] * c[b] + 2": (A * A).sum(1) - C * C + 2,
    "y[b] = -(a[b, i] * a[b, i] + c[b]) / 3": -((A * A).sum(1) + C) / 3,
    "y[b] = c[b] * (a[b, i] * a[b, i] + c[b])": C * ((A * A).sum(1) + C),
    "y[i] = c[b] * (a[b, i] - c[b])": (C[:, None] * (A - C[:, None])).sum(0),
    "y[b] = (a[b, i] - a[b, i]^2)^2": ((A - A**2) ** 2).sum(1),
    "y[b, d] = (a[b, i] - a[d, i])^2": ((A[:, None] - A[None]) ** 2).sum(-1),
    "y[b] = a[b, i]^2 / c[b]": (A**2).sum(1) / C,
    "y[i] = a[b, i] / c[b]": (A / C[:, None]).sum(0),
    "y[b, i] = tanh(a[b, i]) * c[b]": np.tanh(A) * C[:, None],
    "y[b, i] = a[b, i] if a[b, i] > c[b] else c[b]": np.maximum(A, C[:, None]),
    "y[b, i] = max(a[b, i], c[b])": np.maximum(A, C[:, None]),
    "y[i, j] = max(a[b, i] * c[b], 0) - 0 * a[b, j]": None,
    "y[b] = sum(exp(a[b, i]) * a[b, i], over = i)": (np.exp(A) * A).sum(1),
    "y[b, i] = exp(a[b, i]) / sum(exp(a[b, j]), over = j)": np.exp(A) / np.exp(A).sum(1, keepdims=True),
    "y[b] = q[b, 1, i] * a[b, i]": (B[:, 1] * A).sum(1),
    "y[b, i] = q[b, t, i] * q[b, t, j] * a[b, j] * c[b]": np.einsum("bti,btj,bj,b->bi", B, B, A, C),
    "y[b] = a[b, i] * -q[b, t, i] * -2": 2 * np.einsum("bi,bti->b", A, B),
    "y[b] = 1 - -a[b, i] / -c[b]": 1 - A.sum(1) / C,
    "y[b] = a[b, i] * (a[b, i] > 0)": (A * (A > 0)).sum(1),
    "y[b] = (not a[b, i] > 0) * a[b, i]": (A * (A <= 0)).sum(1),
    "y[b, i] = 3 * c[b]": np.repeat(3 * C[:, None], 3, 1),
    "y[b, i] = (a[b, i] > 0) * q[b, t, i]": (A > 0) * B.sum(1),
    "y[b] = c * (a[b, i] * 1)": C * A.sum(1),
    "y[i, j] = j > i  for i in 0..3, j in 0..3": COLUMN > ROW,
    "y[i, j] = (i - j)^2 / 2  for i in 0..3, j in 0..3": (ROW - COLUMN) ** 2 / 2,
    "y[i] = i * 2  for i in 2..5": [4, 6, 8],
    "y[i, b] = a[b, i] * i  for i in 1..3": (A * np.arange(3)).T[1:],
    "y[b] = a[b, i] * i  for i in 0..3": (A * np.arange(3)).sum(1),
    "y[b, i] = exp(-(i - c[b])^2)  for i in 0..5": np.exp(-((np.arange(5) - C[:, None]) ** 2)),
    "y[i] = 1  for i in 0..4": np.ones(4),
    "y[i] = i  for i in 3": [0, 1, 2],
}
del EQUATIONS["y[i, j] = max(a[b, i] * c[b], 0) - 0 * a[b, j]"]


@pytest.mark.parametrize("text", EQUATIONS)
def test_an_equation(bench, text):
    # `i` on the left alone takes its size from nowhere: a dim of that name has one.
    before = "  z[b, i] = a[b, i]\n" if "= 3 * c" in text else ""
    body = f"{before}  {text}" + ("  for i in 0..3" if before else "")
    made = bench.predict(NET.format(body), {"a": A, "q": B, "c": C})["y"]
    np.testing.assert_allclose(made, EQUATIONS[text], rtol=1e-5, atol=1e-6)


MORE = {
    "  later[i, j] = j > i for i in 0..t, j in 0..t\n  s[b, i, j] = q[b, i, e] * q[b, j, e]\n"
    "  look = softmax(hide(s, where = later), over = j)\n  y[b, i, e] = look[b, i, j] * q[b, j, e]": "attention",
    "  s[b, i, j] = q[b, i, e] * q[b, j, e]\n  y[b, i] = s[b, i, i]": np.einsum("bie,bie->bi", B, B),
    "  s[b, i, j] = q[b, i, e] * q[b, j, e]\n  y[b] = s[b, i, i]": np.einsum("bie,bie->b", B, B),
    "  y[b, i], z[b] = a[b, i] + 1, a[b, i]\n": A + 1,
    "  s[i, j] = a[b, i] * a[b, j] * c[b]\n  y[i, j] = s[i, j] - s[j, i]": np.zeros((3, 3)),
    "  weight W: [n, units = 3] ~ ones\n  y[b, u] = a[b, n] * W[n, u]": np.repeat(A.sum(1)[:, None], 3, 1),
    "  i = 3\n  y[b, i] = a[b, i]": A,
}


def attention():
    scores = np.where(np.triu(np.ones((2, 2)), 1), -np.inf, np.einsum("bie,bje->bij", B, B))
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bij,bje->bie", shares / shares.sum(-1, keepdims=True), B)


@pytest.mark.parametrize("text", MORE)
def test_several_equations(bench, text):
    want = attention() if isinstance(MORE[text], str) else MORE[text]
    made = bench.predict(NET.format(text), {"a": A, "q": B, "c": C})["y"]
    np.testing.assert_allclose(made, want, rtol=1e-5, atol=1e-6)


def test_an_equation_in_a_function_a_layer_and_a_train_block(bench):
    text = """
function gram(x: [b, n]) -> [n, m] { y[n, m] = x[b, n] * x[b, m] ; return y }
layer mix()(x: [b, n]) -> [b, m] {
  weight W: [n, m = n] ~ ones
  y[b, m] = x[b, n] * W[n, m]
  return y
}
net N(a: [b, n]) -> y: [b, n] { y = mix()(a) }
train N on d {
  both[i, j] = y[b, i] * a[b, j]
  loss mean(both) + sum(gram(y))
  optimizer sgd(lr = 0)
  batch 4
  epochs 1
}
"""
    graphs = bench.graphs(text, {"a": A})
    state = bench.run(graphs["init"], {"seed": 0})
    y = np.repeat(A.sum(1)[:, None], 3, 1)
    want = (y.T @ A).mean() + (y.T @ y).sum()
    assert bench.run(graphs["train"], {**state, "a": A})["loss"] == pytest.approx(want, rel=1e-5)


def test_a_part_that_is_looked_at_twice_is_one_layer_and_one_draw(bench):
    text = NET.format("  y[b] = c[b] * ((a -> dense(2))[b, i] + sum(a[b, j], over = j) / 2)")
    graph = bench.builder(text, {"a": A, "q": B, "c": C}).prediction().tape.graph()
    assert [fed.name for fed in graph.inputs if fed.learned] == ["N.y.dense.W", "N.y.dense.b"]


# ---- beside einsum, equations drawn

LETTERS = "ijklm"
SIZES = {"b": 4, "i": 2, "j": 3, "k": 1, "l": 2, "m": 3}


@st.composite
def equations(draw):
    factors = [
        draw(st.lists(st.sampled_from("bijklm"), min_size=1, max_size=4, unique=True))
        for _ in range(draw(st.integers(1, 3)))
    ]
    met = sorted({letter for f in factors for letter in f})
    left = draw(st.permutations([letter for letter in met if draw(st.booleans())] or met[:1]))
    return tuple(tuple(f) for f in factors), tuple(left)


@settings(derandomize=True, database=None, deadline=None, max_examples=60,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(drawn=equations())
def test_products_are_what_einsum_makes_of_them(drawn):
    from dotnn.differentiate import gradients
    from dotnn.elaborate.contract import Order, arrange, contract
    from dotnn.elaborate.values import Tensor
    from dotnn.graph import Type
    from dotnn.tape import Tape
    from dotnn_reference.evaluate import evaluate

    factors, left = drawn
    tape, feeds, tensors = Tape("drawn"), {}, []
    generator = np.random.default_rng(0)
    for number, labels in enumerate(factors):
        dims = tuple("b" if letter == "b" else SIZES[letter] for letter in labels)
        feeds[f"x{number}"] = generator.normal(size=[SIZES[letter] for letter in labels])
        tensors.append(Tensor(tape.input(f"x{number}", Type(dtype="f32", dims=dims), "data"), labels))
    order = Order()
    for letter in left:
        order.place(letter)
    made = contract(tape, tensors, order, left)
    made = arrange(made, left, ["b" if letter == "b" else SIZES[letter] for letter in left])
    tape.output("y", made.value, "output")
    seed = tape.input("g", made.value.type, "data")
    feeds["g"] = generator.normal(size=[SIZES[letter] for letter in left])
    for number, flow in enumerate(gradients((made.value * seed).sum(), [t.value for t in tensors])):
        tape.output(f"d{number}", flow, "output")
    found = evaluate(tape.graph(), feeds, float64=True)
    words = ["".join(labels) for labels in factors]
    arrays = [feeds[f"x{number}"] for number in range(len(factors))]
    np.testing.assert_allclose(found["y"], np.einsum(f"{','.join(words)}->{''.join(left)}", *arrays), atol=1e-12)
    for number, word in enumerate(words):
        others = [w for i, w in enumerate(words) if i != number]
        rest = [a for i, a in enumerate(arrays) if i != number]
        ones = [np.ones(SIZES[letter]) for letter in word]  # an index that nothing else has is a plain sum
        text = ",".join([*others, "".join(left), *word]) + "->" + word
        np.testing.assert_allclose(found[f"d{number}"], np.einsum(text, *rest, feeds["g"], *ones), atol=1e-12)


def test_a_sum_of_products_becomes_matrix_products(bench):
    graph = bench.builder(NET.format("  y[b, s, t] = q[b, s, i] * q[b, t, i] / sqrt(i)"), {"a": A, "q": B, "c": C})
    nodes = [node.op for node in graph.prediction().tape.graph().nodes]
    assert nodes.count("matmul") == 1
    assert "sum" not in nodes
    assert "expand" not in nodes


# ---- what is refused

REFUSED = {
    "y[b, i] = a[b, i] + q[b, t, i] * a[b, t]": ("B090", "`t` is 3 here, and 2 in `q[b, t, i]`"),
    "y[b] = a[b, n] * a[n, b]": ("B090", "`n` is b here, and 3 in `a[b, n]`"),
    "y[b] = a[b]": ("B091", "`a` has 2 dims, and is given 1 index"),
    "y[b, i] = q[b, i + 1, j]": ("B092", "`i + 1` cannot be a subscript in an index equation"),
    "y[b, j] = q[b, 0..1, j]": ("B092", "`0..1` beside an index cannot be a subscript in an index equation"),
    "y[b, j] = q[b, 2, j]": ("B003", "place 2 is asked for, and there are 2, counted from 0"),
    "y[i] = a[b, i] * q": ("B093", "`q` has the dims [b, t, n], and nothing says which index each of them is"),
    "y[t] = q[b, t, i] * a": ("B093", "`a` has the dims [b, n], and nothing says which index each of them is"),
    "y[b] = exp(a[b, i])": ("B094", "the index `i` is neither on the left, [b], nor summed here"),
    "y[b] = a[b, i] > 0": ("B094", "the index `i` is neither on the left, [b], nor summed here"),
    "y[b] = a[b, i] * exp(a[b, i])": ("B094", "the index `i` is neither on the left, [b], nor summed here"),
    "y[b] = (a[b, i] > 0) * (a[b, i] < 9)": ("B094", "the index `i` is neither on the left, [b], nor summed here"),
    "y[b] = a[b, i] * (a[b, i] + c[b])": (
        "B095",
        "one part of this sum has the index `i`, which the left side [b] lacks, and another has not",
    ),
    "y[b] = (a[b, i] - c[b])^2": (
        "B095",
        "one part of this sum has the index `i`, which the left side [b] lacks, and another has not",
    ),
    "y[b, k] = c[b]": ("B096", "nothing says how large the index `k` is"),
    "y = a[b, n]": ("B097", "the dim `b` is an index here, and the left side has none"),
    "y[b, b] = c[b]": ("B024", "the dim `b` stands twice in y[b, b]"),
    "y[b, c] = a[b, c]": ("B017", "`c` is a tensor already"),
    "y[i] = a[i, c] * a[b, c]": ("B017", "`c` is a tensor already"),
    "y[i] = i for i in 0..3, i in 0..2": ("B017", "`i` is a coordinate already"),
    "y[i] = c for c in 0..3": ("B017", "`c` is a tensor already"),
    "y[b] = b for b in 0..3": ("B017", "`b` is a dim already"),
    "y[i] = i for i in 1..b": ("B010", "the end of this range must be known before the net runs"),
    "y[i] = i for i in 2.5": ("B002", "a range is needed here, and this is the number 2.5"),
    "y[i, b] = a[b, i] for i in 1..5": ("B090", "`i` is 3 here, and goes up to 5 in `i in 1..5`"),
    "y = i for i in 0..3": ("B018", "`y` without subscripts in an index equation cannot stand here"),
    "y[b], z[b] = c[b]": ("B014", "2 equations on the left, and 1 value on the right"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(bench, text):
    problem = bench.problem(NET.format(f"  {text}"), {"a": A, "q": B, "c": C})
    assert (problem.code, problem.title_text) == REFUSED[text]
