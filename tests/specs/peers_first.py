"""What scikit-learn makes of the rows of perceptron, xor and tumour: `python -m tests.specs.peers_first`.

For the ten pairs of seeds that specs/README.md declares: the same split, the same rows to learn from. Needs the
extra `peers`.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tests.specs.lab import figure, trained

TEN = [(seed, seed) for seed in range(1, 11)]
Figures = dict[str, float]
Rows = dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def rows(compiled: Any) -> Rows:
    """Of each split what is measured, and the truth."""
    found = {}
    for split, part in compiled.dataset.splits.items():
        wide = [array for array in part.arrays.values() if array.ndim == 2]
        truth = [array for array in part.arrays.values() if array.ndim == 1]
        found[split] = (np.asarray(wide[0], np.float64), np.asarray(truth[0]))
    return found


def perceptron(of: Rows, seed: int) -> Figures:
    model = Perceptron(random_state=seed).fit(*of["train"])
    return {"error": 1 - model.score(*of["test"])}


def logistic(of: Rows, seed: int) -> Figures:
    scale = StandardScaler().fit(of["train"][0])
    model = LogisticRegression(max_iter=5000).fit(scale.transform(of["train"][0]), of["train"][1])
    chance, truth = model.predict_proba(scale.transform(of["test"][0]))[:, 1], of["test"][1]
    says, bins = chance > 0.5, np.ceil(chance * 10)
    off = [abs((chance - truth)[bins == m].sum()) for m in range(1, 11)]
    return {
        "error": float(np.mean(says != truth)),
        "loss": float(log_loss(truth, chance)),
        "sensitivity": float(np.mean(says[truth == 1])),
        "specificity": float(np.mean(~says[truth == 0])),
        "calibration": float(sum(off) / len(truth)),
        "ranking": float(roc_auc_score(truth, chance)),
    }


def layers(of: Rows, seed: int) -> Figures:
    pair, differ = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    net = MLPClassifier((2,), activation="tanh", solver="lbfgs", random_state=seed, max_iter=1000).fit(pair, differ)
    return {"error": 1 - net.score(pair, differ)}


def mean(figures: list[Figures]) -> str:
    return ", ".join(f"{name} {np.mean([f[name] for f in figures]):.4f}" for name in figures[0])


def compare(name: str, block: str | None, split: str, peer: Callable[[Rows, int], Figures]) -> None:
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seeds in TEN:
            compiled, outcome = trained(Path(folder), name, seeds, block)
            theirs.append(peer(rows(compiled), seeds[1]))
            ours.append({word: figure(outcome, word, split) for word in theirs[-1]})
    errors = [[round(1000 * f["error"]) / 10 for f in figures] for figures in (ours, theirs)]
    print(f"{name} {block or ''}\n  ours    {mean(ours)}\n          errors in % {errors[0]}")
    print(f"  theirs  {mean(theirs)}\n          errors in % {errors[1]}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compare("perceptron", None, "test", perceptron)
    compare("xor", "Two", "train", layers)
    compare("tumour", None, "test", logistic)
