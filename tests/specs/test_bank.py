"""What bank.nn promises: the word that decides gets the look of "bank", in sentences that were never met."""

import json

import numpy as np
import pytest
from tests.specs.lab import figure, trained

SEEDS = [(seed, seed) for seed in range(1, 6)]
"""(data, training), declared before any of them was tried."""


@pytest.mark.parametrize("seeds", SEEDS)
def test_every_sense_is_told_and_by_the_word_that_decides(seeds, tmp_path):
    _, outcome = trained(tmp_path, "bank", seeds)
    assert figure(outcome) == 0
    assert figure(outcome, "found") > 0.85


def test_the_map_is_shown_word_by_word_and_as_a_picture(nn, tmp_path):
    run = tmp_path / "run"
    code, _, err = nn("train", "specs/bank.nn", "--out", str(run), "--threads", "1")
    assert code == 0, err
    code, out, err = nn("probe", str(run), "look", "gaze", "place", "--all", "--format", "json")
    assert code == 0, err
    look, gaze, place = (np.array(numbers) for numbers in list(json.loads(out).values())[1:])
    np.testing.assert_allclose(look.sum(2), 1, atol=1e-5)
    assert (gaze.argmax(1) == place).all(), "in each sentence the word that decides gets more than any other"

    code, out, err = nn("probe", str(run), "word", "look", "--example", "3")
    assert code == 0, err
    head, sentence, title, words, *rows = out.splitlines()
    assert head == "example 3 of sentences.test"
    said = sentence.split()[1:]
    assert "bank" in said
    assert "<pad>" not in said
    assert title == f"look [{len(said)} words, {len(said)} words]"
    assert words.split() == said
    assert [row.split()[0] for row in rows] == said
    bank = rows[said.index("bank")].split()[1:]
    np.testing.assert_allclose([float(n) for n in bank], look[3][said.index("bank")][: len(said)], atol=0.0051)

    pytest.importorskip("matplotlib", reason="pictures need the extra plot")
    code, out, err = nn("probe", str(run), "look", "--example", "0..3", "--save", str(tmp_path / "bank.png"))
    assert (code, out) == (0, f"{tmp_path / 'bank.png'}\n"), err
    assert (tmp_path / "bank.png").read_bytes().startswith(b"\x89PNG")
