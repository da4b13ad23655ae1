"""A folder with a small spec that is fine, to be made hostile."""

from __future__ import annotations

from pathlib import Path

import pytest

TABLE = "x_0,x_1,x_2,kind\n" + "".join(f"{i},{i % 3},{i % 5},{'ab'[i % 2]}\n" for i in range(40))

DATA = 'data d {\n  source table "d.csv"\n  x = columns x_0 to x_2\n}\n'
NET = "net N(x: [b, 3]) -> y: [b, 3] {\n  y = x -> dense(3)\n}\n"
TRAIN = "train N on d {\n  loss mean(y^2)\n  optimizer sgd(lr = 0.1)\n  batch 4\n  epochs 1\n}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the spec, with a table; it is the working folder. Its parent holds secrets."""
    (tmp_path / "secret.csv").write_text(TABLE)
    (tmp_path / "secret.nn").write_text("function secret(x) { return x }\n")
    made = tmp_path / "spec"
    made.mkdir()
    (made / "d.csv").write_text(TABLE)
    monkeypatch.chdir(made)
    return made
