"""The digits spec in a folder of its own, small enough to train in a moment, and `nn` run there."""

import shutil
from pathlib import Path

import pytest
from tests.sets import NOT_COPIED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with digits.nn and its data; the working folder is there."""
    shutil.copytree(ROOT / "specs", tmp_path / "specs", ignore=NOT_COPIED)
    monkeypatch.chdir(tmp_path / "specs")
    return tmp_path / "specs"
