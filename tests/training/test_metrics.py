"""The library's metrics beside scikit-learn's, of a whole split at once and put together from batches of any size."""

import numpy as np
import pytest
from tests.training.test_figures import ROWS, measured, write

from dotnn.training.figures import gathering

__all__ = ["write"]

SIZES = (1, 7, ROWS)
GUESS, TRUTH = "argmax(scores)", "kind"
WRONG = f"{GUESS} == 2, {TRUTH} == 2"

METRICS = {
    f"accuracy(scores, {TRUTH})": lambda m, g, t, x: m.accuracy_score(t, g),
    f"precision({WRONG})": lambda m, g, t, x: m.precision_score(t == 2, g == 2),
    f"recall({WRONG})": lambda m, g, t, x: m.recall_score(t == 2, g == 2),
    f"specificity({WRONG})": lambda m, g, t, x: m.recall_score(t != 2, g != 2),
    f"f1({WRONG})": lambda m, g, t, x: m.f1_score(t == 2, g == 2),
    f"macro_f1({GUESS}, {TRUTH})": lambda m, g, t, x: m.f1_score(t, g, average="macro"),
    f"balanced_accuracy({GUESS}, {TRUTH})": lambda m, g, t, x: m.balanced_accuracy_score(t, g),
    f"confusion({GUESS}, {TRUTH})": lambda m, g, t, x: m.confusion_matrix(t, g),
    f"class_recall({GUESS}, {TRUTH})": lambda m, g, t, x: m.recall_score(t, g, average=None),
    f"class_precision({GUESS}, {TRUTH})": lambda m, g, t, x: m.precision_score(t, g, average=None),
    "r2(9 * place[0..b, 0], year - 2000)": lambda m, g, t, x: m.r2_score(x["year"] - 2000, 9 * x["place"][:, 0]),
    "rmse(9 * place[0..b, 0] + 2000, year)": lambda m, g, t, x: m.root_mean_squared_error(
        x["year"], 9 * x["place"][:, 0] + 2000
    ),
    f"auc(place[0..b, 1], {TRUTH} == 2)": lambda m, g, t, x: m.roc_auc_score(t == 2, x["place"][:, 1]),
    f"auc(round(4 * place[0..b, 1]), {TRUTH} == 2)": lambda m, g, t, x: m.roc_auc_score(
        t == 2, np.round(4 * x["place"][:, 1])
    ),
    f"ece(abs(place[0..b, 1]), {TRUTH} == 2, bins = 10)": lambda m, g, t, x: calibration(
        np.abs(x["place"][:, 1]), t == 2, 10
    ),
}


def calibration(sure, right, bins):
    """Equation 3 of Guo et al. 2017 as it stands: shares of the bins, times how far sure and right are apart."""
    total = 0.0
    for low, high in zip(np.linspace(0, 1, bins + 1)[:-1], np.linspace(0, 1, bins + 1)[1:], strict=True):
        inside = (sure > low) & (sure <= high) | ((sure == 0) & (low == 0))
        if inside.any():
            total += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return total


@pytest.mark.peers
@pytest.mark.parametrize("text", METRICS)
def test_it_is_what_scikit_learn_says_at_any_size_of_batch(write, text):
    metrics = pytest.importorskip("sklearn.metrics")
    path = write("metric age = mean(year * place[0..b, 0])", f"metric m = {text}")
    program, found, scores, columns = measured(path, sizes=SIZES)
    columns = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in columns.items()}
    expected = METRICS[text](metrics, scores.argmax(1), columns["kind"], columns)
    for figures in found:
        assert np.array(figures["m"]) == pytest.approx(np.array(expected), rel=1e-12, abs=1e-14)
    assert [f.name for f in gathering(program)] == (["m"] if text.startswith("auc") else [])


@pytest.mark.peers
def test_the_area_by_onnx_is_the_same(write):
    metrics = pytest.importorskip("sklearn.metrics")
    path = write("metric age = mean(place[0..b, 0])", f"metric m = auc(scores[0..b, 1], {TRUTH} == 1)")
    _, found, scores, columns = measured(path, "onnx", SIZES)
    expected = metrics.roc_auc_score(columns["kind"] == 1, scores[:, 1])
    assert [f["m"] for f in found] == pytest.approx([expected] * 3, abs=1e-12)
