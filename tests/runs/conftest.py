"""A small spec that has all that a run can carry along, and `nn` run beside it."""

import json
import random
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMES = ("seconds", "rows_per_second", "memory")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with small.nn and its table; the working folder is there."""
    shutil.copy(HERE / "small.nn", tmp_path / "small.nn")
    numbers = random.Random(4)
    points = [(numbers.uniform(-1, 1), numbers.uniform(-1, 1)) for _ in range(150)]
    rows = [f"{a:.4f},{b:.4f},{'left' if a + 0.2 * b < 0.1 else 'right'}" for a, b in points]
    (tmp_path / "points.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def left():
    """What a run leaves, without its times: bytes of the tensors, lines of the log, the result."""

    def of(folder):
        tensors = {n: (folder / n).read_bytes() for n in ("weights.safetensors", "last.safetensors", "predict.onnx")}
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        lines.append(json.loads((folder / "result.json").read_text()))
        return tensors, [{k: v for k, v in line.items() if k not in TIMES} for line in lines]

    return of


@pytest.fixture
def kills(request):
    """How many runs are to be ended; 0 for the few of the ordinary tests."""
    return request.config.getoption("--kills")
