"""The digits spec in a folder of its own, small enough to train in a moment, and `nn` run there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dotnn.commands import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with digits.nn and its data; the working folder is there."""
    shutil.copytree(ROOT / "specs", tmp_path / "specs", ignore=shutil.ignore_patterns("runs", "build"))
    monkeypatch.chdir(tmp_path / "specs")
    return tmp_path / "specs"


@pytest.fixture
def nn(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `nn WORDS` in this process; gives the exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run
