"""The promised result of specs/arm.nn: the hand comes within 2 % of the arm's length of nearly every target."""

import numpy as np
import pytest
from tests.specs.lab import DECLARED, figure, probed, trained


@pytest.mark.parametrize("seeds", DECLARED[:2])
def test_the_hand_comes_to_the_target(tmp_path, seeds):
    compiled, outcome = trained(tmp_path, "arm", seeds)
    assert figure(outcome) < 0.05
    assert figure(outcome, "loss") < 0.02
    # The arm again, as a person would draw it: link after link, each from where the last one ended.
    turn = probed(tmp_path / "arm.nn", compiled, outcome, "turn")
    target = compiled.dataset.splits["test"].arrays["target"]
    heading, x, y = np.zeros(len(turn)), np.zeros(len(turn)), np.zeros(len(turn))
    for joint in turn.T:
        heading = heading + joint
        x, y = x + np.cos(heading), y + np.sin(heading)
    miss = np.hypot(x - target[:, 0], y - target[:, 1])
    assert (miss > 0.06).mean() == pytest.approx(figure(outcome), abs=1e-3)
