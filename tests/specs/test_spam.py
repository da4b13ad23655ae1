"""spam.nn: it beats naive Bayes on mails that neither has met, given the same rows and the same words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sets import needs
from tests.specs.lab import figure, trained

VOCABULARY = 8_000


def counts(words: np.ndarray[Any, Any]) -> Any:
    """How often each word stands in each mail, ``[mails, words]``; what fills up is no word."""
    sparse = pytest.importorskip("scipy.sparse", reason="scikit-learn is not installed (pip install -e '.[peers]')")
    rows = np.repeat(np.arange(len(words)), words.shape[1])
    table = sparse.csr_matrix((np.ones(words.size), (rows, words.reshape(-1))), (len(words), VOCABULARY))
    return table[:, 1:]


@pytest.mark.peers
def test_it_beats_naive_bayes(tmp_path: Path) -> None:
    """One of the five declared pairs; specs/README.md has all."""
    needs("spam")
    bayes = pytest.importorskip(
        "sklearn.naive_bayes", reason="scikit-learn is not installed (pip install -e '.[peers]')"
    )
    metrics = pytest.importorskip("sklearn.metrics")
    compiled, outcome = trained(tmp_path, "spam", (2, 2))
    train, test = (compiled.dataset.splits[name].arrays for name in ("train", "test"))
    assert {name: part.count for name, part in compiled.dataset.splits.items()} == {
        "train": 4232,
        "val": 605,
        "test": 1209,
    }
    peer = bayes.MultinomialNB().fit(counts(train["words"]), train["kind"])
    says = peer.predict(counts(test["words"]))
    assert figure(outcome) < (says != test["kind"]).mean() < 0.05
    assert figure(outcome, "f1") > metrics.f1_score(test["kind"], says) > 0.9
    assert figure(outcome) < 0.03
    assert figure(outcome, "precision") > 0.93
    assert figure(outcome, "recall") > 0.93
