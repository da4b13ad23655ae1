"""A small spec in a folder of its own, and `nn` run there."""

import random
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(HERE / "points.nn", tmp_path / "points.nn")
    numbers = random.Random(4)
    rows = ["a,b,kind"]
    for _ in range(120):
        a, b = numbers.uniform(-1, 1), numbers.uniform(-1, 1)
        rows.append(f"{a:.4f},{b:.4f},{'left' if a + 0.2 * b < 0.1 else 'right'}")
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
