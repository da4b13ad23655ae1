"""Everything in the standard library, because it is there: beside PyTorch, or beside its formula in NumPy."""

import math

import numpy as np
import pytest
from tests.peers import goldens, shelf
from tests.peers.optimizers import CASES as OPTIMIZERS

from dotnn.compiler import compile_file
from dotnn.elaborate.library import standard_names
from dotnn.plugins import Options, backend
from dotnn.squares import derive_key, uniform16, uniform24

LAYERS = {case.name for case in shelf.CASES}
STEPPED = {"sgd", "adam", "adamw", "constant", "cosine", "warmup"}
"""Compared over a hundred steps, in test_optimizers.py."""
WHOLE = {"precision", "recall", "specificity", "f1", "r2", "rmse"}
"""Figures of a whole split, compared with their formulas in tests/training/test_figures.py."""
SEED = 11
SHAPE = (300, 200)
W = "Start.W"


def first(use):
    return uniform24(derive_key(SEED), 0, SHAPE, f"{W}#{use}").astype(np.float64)


def bell():
    return np.sqrt(-2 * np.log(1 - first(0))) * np.cos(2 * math.pi * first(1))


LIMIT = math.sqrt(6 / (SHAPE[0] + SHAPE[1]))
STARTS = {
    # name: (as it is written, its formula, mean, spread, least, greatest)
    "zeros": ("zeros", lambda: np.zeros(SHAPE), 0, 0, 0, 0),
    "ones": ("ones", lambda: np.ones(SHAPE), 1, 0, 1, 1),
    "uniform": ("uniform(-2, 3)", lambda: -2 + 5 * first(0), 0.5, 5 / math.sqrt(12), -2, 3),
    "normal": ("normal(1, 0.5)", lambda: 1 + 0.5 * bell(), 1, 0.5, -math.inf, math.inf),
    "glorot": ("glorot", lambda: (2 * first(0) - 1) * LIMIT, 0, LIMIT / math.sqrt(3), -LIMIT, LIMIT),
    "he": ("he", lambda: bell() * math.sqrt(2 / SHAPE[0]), 0, math.sqrt(2 / SHAPE[0]), -math.inf, math.inf),
    "chance": (
        "chance(30%)",
        lambda: (uniform16(derive_key(SEED), 0, SHAPE, f"{W}#0").astype(np.float64) < 0.3) * 1.0,
        0.3,
        math.sqrt(0.21),
        0,
        1,
    ),
}


def test_everything_in_the_library_is_compared():
    lines = " ".join(case.line for case in OPTIMIZERS)
    assert {*LAYERS, *STARTS, *STEPPED, *WHOLE} == set(standard_names())
    assert all(name in lines for name in STEPPED)


# ---- layers, functions, losses, metrics

ARRAYS, TEXTS = goldens.load("shelf")


def distance(made, expected):
    """The length of the difference over the length of what is expected; that itself where nothing is expected."""
    return float(np.linalg.norm(made - expected) / (np.linalg.norm(expected) or 1))


@pytest.mark.parametrize("case", shelf.CASES, ids=lambda case: case.key)
def test_what_it_computes_and_its_gradients_are_those_of_pytorch(case, tmp_path):
    assert TEXTS[case.key] == shelf.text(case), "the cases have changed: run make_goldens (its documentation says how)"
    graph = shelf.graph_of(case, tmp_path)
    weights = goldens.part(ARRAYS, f"{case.key}/weights/")
    expected = goldens.part(ARRAYS, f"{case.key}/made/")
    for name, float64, allowed in (("reference", True, 1e-12), ("onnx", False, 1e-6)):
        made = shelf.ours(graph, weights, name, float64)
        assert set(made) == set(expected)
        for what in expected:
            assert made[what].shape == expected[what].shape
            off = distance(made[what], expected[what])
            assert off <= allowed, f"{name}: {what} is off by {off:.1e}"


@pytest.mark.parametrize("case", shelf.CASES, ids=lambda case: case.key)
def test_something_is_compared(case):
    expected = goldens.part(ARRAYS, f"{case.key}/made/")
    assert np.any(expected["mix"] != 0)
    flat = {"accuracy": {"given"}, "flatten": {"given"}}.get(case.name, set())
    for name, flow in expected.items():
        assert np.any(flow != 0) == (name not in flat), name


def test_what_is_wrong_by_a_millionth_is_seen():
    expected = goldens.part(ARRAYS, "layer_norm/made/")
    assert distance(expected["given"] * (1 + 2e-6), expected["given"]) > 1e-6
    assert distance(np.full(3, 1e-5), np.zeros(3)) > 1e-6


# ---- initialisers


@pytest.fixture
def started(tmp_path):
    def start(written, name, float64):
        (tmp_path / "points.csv").write_text(
            f"{','.join(f'x{i}' for i in range(SHAPE[0]))}\n" + "0," * (SHAPE[0] - 1) + "1\n"
        )
        spec = tmp_path / "start.nn"
        spec.write_text(f"""data points {{
  source table "points.csv"
  x = columns x0 to x{SHAPE[0] - 1} as [{SHAPE[0]}]
}}
net Start(x: [b, {SHAPE[0]}]) -> y: [b, {SHAPE[1]}] {{
  weight W: [{SHAPE[0]}, {SHAPE[1]}] ~ {written}
  y = x @ W
}}
train Start on points {{
  loss mean(y^2, over = -1)
  optimizer sgd
  batch 1
  steps 1
}}
""")
        chosen, options = backend(name), Options(threads=1, float64=float64)
        graph = compile_file(spec).program.graphs["init"]
        return chosen.start(chosen.lower(graph, options), options).run({"seed": np.asarray(SEED)})[W]

    return start


@pytest.mark.parametrize("name", STARTS)
def test_an_initialiser_is_its_formula(name, started):
    written, formula, *_ = STARTS[name]
    expected = formula()
    assert distance(started(written, "reference", True), expected) <= 1e-12
    assert distance(started(written, "onnx", False), expected) <= 1e-6


@pytest.mark.parametrize("name", STARTS)
def test_the_numbers_are_spread_as_they_should_be(name, started):
    written, _, mean, spread, least, greatest = STARTS[name]
    made = started(written, "onnx", False).astype(np.float64)
    # Five standard errors of 60,000 independent draws; the fourth moment of a bell is the widest.
    assert abs(made.mean() - mean) <= 5 * spread / math.sqrt(made.size)
    assert abs(made.var() - spread**2) <= 5 * spread**2 * math.sqrt(3 / made.size)
    if math.isinf(least):
        assert made.min() < mean - 3 * spread
        assert made.max() > mean + 3 * spread
    else:
        # Single precision may round the limit itself.
        assert np.nextafter(np.float32(least), np.float32(-9)) <= made.min() <= least + (greatest - least) / 1000
        assert np.nextafter(np.float32(greatest), np.float32(9)) >= made.max() >= greatest - (greatest - least) / 1000
    if spread:
        rows = np.corrcoef(made[::2].reshape(-1), made[1::2].reshape(-1))[0, 1]
        assert abs(rows) <= 5 / math.sqrt(made.size / 2)


@pytest.mark.peers
def test_the_goldens_are_what_pytorch_says():
    pytest.importorskip("torch")
    for case in shelf.CASES:
        expected = goldens.part(ARRAYS, f"{case.key}/made/")
        again = shelf.theirs(case, goldens.part(ARRAYS, f"{case.key}/weights/"))
        assert set(again) == set(expected)
        for name, array in again.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-14)
