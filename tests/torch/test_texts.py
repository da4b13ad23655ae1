"""Texts and series in windows and pairs of texts as PyTorch files: the same losses as ours; the rest is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data.test_lengths import MAIL, PAIRS, texts
from tests.data.test_lengths import ROWS as FEW
from tests.data.test_windows import LETTERS, SERIES, TEXT, rows_of

pytest.importorskip("torch", reason="needs PyTorch")

FILES = {"book.txt": LETTERS + "\n", "pairs.csv": FEW, "air.csv": rows_of(40), "mail.csv": texts(30)}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "spec", [TEXT, PAIRS, SERIES.replace("standardise(x)", "x / 10")], ids=["windows", "pairs", "series"]
)
def test_the_same_losses(bench: Path, nn, spec: str) -> None:
    (bench / "text.nn").write_text(spec.replace("epochs 1", "epochs 3"), encoding="utf-8")
    assert nn("train", "text.nn", "--out", "run")[0] == 0
    assert nn("compile", "text.nn", "-o", "build", "--backend", "torch")[0] == 0
    (script,) = [path for path in (bench / "build").glob("*.py") if path.name != "squares.py"]
    told = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    done = json.loads((bench / "run" / "result.json").read_text())
    for part in ("train", "test"):
        assert f"{part}: loss {done[part]['loss']:.4g}"[:17] in told


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (MAIL, "`batched` in a train block"),
        (SERIES, "what is fitted on rows that are windows"),
        (
            TEXT.replace("  next   = token shifted by 1", "  next   = (token shifted by 1) // 2 * 2"),
            "computed of texts",
        ),
    ],
    ids=["lengths", "fitted", "computed"],
)
def test_what_has_no_text_there(bench: Path, nn, spec: str, what: str) -> None:
    (bench / "text.nn").write_text(spec, encoding="utf-8")
    code, _, err = nn("compile", "text.nn", "-o", "build", "--backend", "torch")
    assert code == 1
    assert "error[Q010]" in err
    assert what in err
