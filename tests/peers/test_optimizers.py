"""Chains of schedules, clip and decay: a hundred steps beside PyTorch's."""

import numpy as np
import pytest
from tests.peers import goldens, optimizers
from tests.peers.optimizers import CASES, SEEN, STEPS

ARRAYS, TEXTS = goldens.load("optimizers")


def distance(made, expected):
    """The length of the difference over the length of what is expected."""
    return float(np.linalg.norm(made - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_a_hundred_steps_are_those_of_pytorch(case, tmp_path):
    assert TEXTS[case.label] == optimizers.text(case), "the cases have changed: run make_goldens"
    expected = goldens.part(ARRAYS, f"{case.label}/")
    made = optimizers.compiled(case, tmp_path)
    exact, rates = optimizers.ours(made, "reference", float64=True)
    assert set(exact) == set(expected)
    for name in expected:
        assert distance(exact[name], expected[name]) <= 1e-12, name
    wanted = [case.rate(step) if case.rate else case.settings["lr"] for step in range(1, STEPS + 1)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-12, atol=1e-17)

    single, rates = optimizers.ours(made, "onnx", float64=False)
    for name in expected:
        assert distance(single[name], exact[name]) <= 1e-6, name
    np.testing.assert_allclose(rates, wanted, rtol=1e-6, atol=1e-9)


def test_the_cases_differ_and_move_every_weight():
    for name in (f"{step}/{weight}" for step in SEEN[2:] for weight in ("table", "shift")):
        ends = [ARRAYS[f"{case.label}/{name}"] for case in CASES]
        assert all(np.all(end != optimizers.first_weights()[name.split("/")[1]]) for end in ends)
        for i, one in enumerate(ends):
            for other in ends[:i]:
                assert distance(one, other) > 1e-5


@pytest.mark.peers
def test_the_goldens_are_what_pytorch_says():
    pytest.importorskip("torch")
    for case in CASES:
        for name, array in optimizers.theirs(case).items():
            np.testing.assert_allclose(array, ARRAYS[f"{case.label}/{name}"], rtol=1e-12, atol=1e-14)
