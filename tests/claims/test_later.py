"""Claims that were written after a net had learned are checked on its run; of another net they are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.claims.test_claims import BLOCK, DATA

Nn = Callable[..., tuple[int, str, str]]
CLAIM = 'claim "it learns": error < 99% on test\n'
MORE = """claim "it has not gone mad": max(abs(score)) < 100 on wide
claim "it is perfect": error <= 0% on others.test
"""
WIDE = "data wide = dots where { x = 2*x }\n"


@pytest.fixture
def run(nn: Nn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "tell.nn").write_text(DATA + BLOCK + CLAIM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert nn("train", "tell.nn")[0] == 0
    return "runs/tell-001"


def test_new_claims_are_checked_on_an_old_run(nn: Nn, run: str) -> None:
    Path("tell.nn").write_text(WIDE + DATA + BLOCK + "# Said later.\n" + CLAIM + MORE, encoding="utf-8")
    code, out, told = nn("claims", run)
    assert (code, len(out.splitlines())) == (0, 1)
    assert "claims other things by now" in told
    assert "--spec" in told
    code, out, told = nn("claims", run, "--spec", "tell.nn")
    assert (code, told) == (1, "")
    assert [line.split()[0] for line in out.splitlines()] == ["holds", "holds", "FAILS"]
    # As a net that is trained on them has them.
    assert nn("train", "tell.nn", "--out", "again")[0] == 0
    fresh = json.loads(nn("claims", "again", "--format", "json")[1])["claims"]
    assert json.loads(nn("claims", run, "--spec", "tell.nn", "--format", "json")[1])["claims"] == fresh


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dense(1)", "dense(1, bias = no)"),
        ("split train 50%, test 50%", "split train 60%, test 40%"),
        ("optimizer sgd(lr = 0.1)", "optimizer sgd(lr = 0.2)"),
        ("net Tell", "param n = 3\nnet Tell"),
    ],
)
def test_claims_of_another_net_are_refused(nn: Nn, run: str, old: str, new: str) -> None:
    text = DATA + BLOCK + CLAIM
    assert old in text
    Path("tell.nn").write_text((text + MORE.splitlines()[1] + "\n").replace(old, new), encoding="utf-8")
    code, out, told = nn("claims", run, "--spec", "tell.nn")
    assert (code, out) == (1, "")
    assert "error[T047]" in told
    changed = [line.split("+", 1)[1] for line in told.splitlines() if line.startswith("    +")]
    added = [line.strip() for line in changed if line.strip() and not line.startswith("++")]
    assert len(added) == 1
    assert new.splitlines()[0] in added[0]
    assert "nn train tell.nn" in told


def test_a_spec_that_only_moved_is_where_its_tables_lie(nn: Nn, run: str) -> None:
    Path("tell.nn").rename("moved.nn")
    code, out, told = nn("claims", run, "--spec", "moved.nn")
    assert (code, told) == (0, "")
    assert "it learns" in out


def test_what_is_wrong_with_a_new_claim_is_shown(nn: Nn, run: str) -> None:
    Path("tell.nn").write_text(DATA + BLOCK + 'claim "so so": eror < 5% on test\n', encoding="utf-8")
    code, _, told = nn("claims", run, "--spec", "tell.nn")
    assert code == 1
    assert "eror" in told
    assert "tell.nn:" in told
    assert "^^^^" in told
