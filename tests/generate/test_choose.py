"""A token is drawn as its scores say, and the same again by the same seed."""

import numpy as np
import pytest
from tests.generate.conftest import started

from dotnn.generate.choose import TEXTS, choose

COUNT = 12
SCORES = np.array([3.0, 9.0, 0.5, 1.0, 2.0, -1.0, 0.0, 1.5, -2.0, 2.5, -9.0, 0.7], np.float32)
NEVER = (1, 10)


def draw(backend="onnx", rows=6000, scores=SCORES, first=0, **settings):
    feeds = {"scores": np.tile(scores, (rows, 1)), "seed": np.array(settings.pop("seed", 3))}
    feeds["draw"] = first + np.arange(rows, dtype=np.int64)
    usual = {"temperature": 1.0, "top_n": 0, "top_p": 1.0, **settings}
    feeds |= {name: np.array(usual[name], np.float32) for name in ("temperature", "top_p")}
    feeds["top_n"] = np.array(usual["top_n"], np.int64)
    return started(choose(COUNT, NEVER), backend, float64=False).run(feeds)


def shares(temperature=1.0):
    found = np.exp(SCORES.astype(np.float64) / temperature)
    found[list(NEVER)] = 0
    return found / found.sum()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_share_says(temperature):
    found = np.bincount(draw(temperature=temperature)["chosen"], minlength=COUNT)
    expected = 6000 * shares(temperature)
    likely = expected > 0
    assert not found[~likely].any()
    chi = ((found[likely] - expected[likely]) ** 2 / expected[likely]).sum()
    assert chi < 30  # of 9 degrees of freedom: 30 is met once in 2,000 times


def test_at_temperature_0_the_likeliest():
    made = draw(temperature=0.0, rows=5)
    assert made["chosen"].tolist() == [0] * 5
    assert np.allclose(made["share"], shares()[0], rtol=1e-5)


def test_the_first_few():
    assert set(draw(top_n=3)["chosen"].tolist()) == {0, 4, 9}
    assert set(draw(top_n=1)["chosen"].tolist()) == {0}


def test_those_that_reach_a_share_together():
    """0 has 0.39, 9 has 0.23, 4 has 0.14: the first two reach 0.5, and three 0.7."""
    assert np.cumsum(np.sort(shares())[::-1])[:3] == pytest.approx([0.386, 0.620, 0.762], abs=0.001)
    assert set(draw(top_p=0.5)["chosen"].tolist()) == {0, 9}
    assert set(draw(top_p=0.7)["chosen"].tolist()) == {0, 4, 9}
    assert set(draw(top_p=1e-6)["chosen"].tolist()) == {0}


def test_the_same_seed_draws_the_same_whatever_is_beside_it():
    whole = draw()["chosen"]
    assert draw(rows=10)["chosen"].tolist() == whole[:10].tolist()
    assert draw(rows=10, first=100)["chosen"].tolist() == whole[100:110].tolist()
    assert draw(seed=4)["chosen"].tolist() != whole.tolist()
    assert draw(backend="reference")["chosen"].tolist() == whole.tolist()
    assert TEXTS > 10**6


def test_one_token_alone_is_always_drawn():
    """Rounding never leaves nothing to choose."""
    scores = np.full(COUNT, -80.0, np.float32)
    scores[7] = 80.0
    assert set(draw(scores=scores)["chosen"].tolist()) == {7}
