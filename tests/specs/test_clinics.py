"""The promised results of specs/ruler.nn and specs/shift.nn: fine at home, lost at the other clinic, and found out."""

import numpy as np
import pytest
from tests.specs.lab import DECLARED, elsewhere, figure, probed, trained

from dotnn.plugins import Options, backend
from dotnn.training.baseline import baseline


@pytest.mark.parametrize("seeds", DECLARED[:2])
def test_the_net_learned_the_ruler(tmp_path, seeds):
    compiled, outcome = trained(tmp_path, "ruler", seeds)
    path = tmp_path / "ruler.nn"
    assert figure(outcome) < 0.1
    there = elsewhere(path, compiled, outcome, "other_clinic.test")
    assert there["error"] > 0.4
    assert there["follows"] > 0.95
    # Saliency finds it out at home already: the three lower rows of 32 hold the ruler.
    slopes = np.abs(probed(path, compiled, outcome, "grad(score, image)"))
    ruler = np.zeros((32, 32), bool)
    ruler[29:, ::4] = True
    assert slopes[:, ruler].mean() > 5 * slopes[:, ~ruler].mean()
    assert ruler.ravel()[slopes.reshape(len(slopes), -1).argmax(1)].mean() > 0.95


@pytest.mark.parametrize("seeds", DECLARED[:2])
def test_another_camera_moves_the_line_and_not_the_ranking(tmp_path, seeds):
    compiled, outcome = trained(tmp_path, "shift", seeds)
    assert figure(outcome) < 0.2
    assert figure(outcome, "calibration") < 0.1
    there = elsewhere(tmp_path / "shift.nn", compiled, outcome, "clinic_b.test")
    assert there["error"] > 0.4
    assert there["calibration"] > 0.4
    assert there["ranking"] == pytest.approx(figure(outcome, "ranking"), abs=0.03)
    # What one gets without a look: the chance of a yes, always.
    guess = baseline(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1), "test")
    assert guess is not None
    share = compiled.dataset.splits["test"].arrays["malignant"].mean()
    assert guess.figures["loss"] == pytest.approx(-np.log(0.5), abs=0.01)
    assert guess.figures["error"] in (pytest.approx(share), pytest.approx(1 - share))
    assert guess.figures["ranking"] == 0.5
