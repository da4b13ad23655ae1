"""The promised result of specs/autoencoder.nn: two numbers hold more than any two directions can, and make a map."""

import numpy as np
import pytest
from tests.specs.lab import DECLARED, figure, probed, trained


def explained_by_directions(train, test, count=2):
    """The same share for the best straight way: principal components, by their definition."""
    mean = train.mean(0)
    _, _, directions = np.linalg.svd(train - mean, full_matrices=False)
    kept = directions[:count]
    back = (test - mean) @ kept.T @ kept + mean
    return 1 - ((test - back) ** 2).sum() / ((test - test.mean(0)) ** 2).sum()


@pytest.mark.parametrize("seeds", DECLARED[:3])
def test_two_numbers_hold_a_digit(tmp_path, seeds):
    compiled, outcome = trained(tmp_path, "autoencoder", seeds)
    parts = compiled.dataset.splits
    train, test = (parts[name].arrays["image"].reshape(-1, 64) / 16 for name in ("train", "test"))
    assert figure(outcome, "explained") > 0.5
    assert figure(outcome, "explained") > explained_by_directions(train, test) + 0.2


def test_what_is_alike_lies_close_together(tmp_path):
    """The nearest point on the map is mostly one of the same digit, though nobody told the net which digit it was."""
    compiled, outcome = trained(tmp_path, "autoencoder")
    path = tmp_path / "autoencoder.nn"
    learned, new = (probed(path, compiled, outcome, "code", split) for split in ("train", "test"))
    assert new.shape[1:] == (2,)
    from dotnn.data import read_rows
    from dotnn.program import RawColumn

    # The labels are no column of the net: they are read beside it, in the rows that carry the same picture.
    raws = [
        RawColumn(name="image", columns=tuple(f"p{i}" for i in range(64)), dtype="f32", dims=(64,)),
        RawColumn(name="digit", columns=("digit",), dtype="i64"),
    ]
    table = read_rows(tmp_path / "data" / "digits.csv.gz", raws)
    digit = {row.tobytes(): int(d) for row, d in zip(table["image"], table["digit"], strict=True)}
    parts = compiled.dataset.splits
    told = {
        s: np.array([digit[r.tobytes()] for r in parts[s].arrays["image"].reshape(-1, 64)]) for s in ("train", "test")
    }
    nearest = ((new[:, None] - learned[None]) ** 2).sum(2).argmin(1)
    assert (told["train"][nearest] == told["test"]).mean() > 0.6
