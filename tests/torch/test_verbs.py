"""The backend asked for on the command line."""

import subprocess
import sys

import pytest

from dotnn.commands import main

pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")
pytestmark = pytest.mark.peers


def nn(capfd, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


def test_compile_writes_a_folder_that_stands_by_itself(folder, tmp_path, capfd):
    words = ("compile", folder / "line.nn", "--backend", "torch", "-o", tmp_path / "line")
    code, out, err = nn(capfd, *words)
    assert code == 0, err
    assert [line.rsplit("/", 1)[-1] for line in out.splitlines()] == ["line.py", "squares.py", "train.npz", "val.npz"]
    assert nn(capfd, *words)[0] == 0, "the same folder may be written again"
    done = subprocess.run(
        [sys.executable, "line.py"], cwd=tmp_path / "line", capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("epoch   train loss  train error     val loss    val error\n    1  ")
    assert (tmp_path / "line" / "weights.pt").exists()


def test_a_folder_with_other_things_is_left_alone(folder, tmp_path, capfd):
    (tmp_path / "letter.txt").write_text("dear reader")
    code, _, err = nn(capfd, "compile", folder / "line.nn", "--backend", "torch", "-o", tmp_path)
    assert code != 0
    assert "holds other files" in err


def test_train_by_torch(folder, tmp_path, capfd):
    code, _, err = nn(capfd, "train", folder / "line.nn", "--backend", "torch", "--out", tmp_path / "run")
    assert code == 0, err
    assert (tmp_path / "run").is_dir()
