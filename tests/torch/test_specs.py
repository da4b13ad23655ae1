"""Every spec of the shelf as a PyTorch file: on fewer rows, for two epochs, it learns what `nn train` learns."""

import re
import shutil
from pathlib import Path

import pytest
from tests.sets import specs_folder
from tests.torch.beside import compare, learned
from tests.torch.conftest import ROOT, export, run

from dotnn.compiler import compile_file
from dotnn.measures.apart import is_apart
from dotnn.read.files import read_file

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")


def blocks():
    """Each train block of each spec, as `file:block`; a block with steps, rows that are windows and metrics of what
    the net writes have no PyTorch text, which is said."""
    for path in sorted((ROOT / "specs").glob("*.nn")):
        spec, _ = read_file(path)
        windows = {data.name for data in spec.data if data.windows is not None}
        for train in (block for block in spec.trains if not block.objectives and block.data not in windows):
            if any(is_apart(metric) for metric in train.metrics):
                continue
            yield f"{path.name}:{train.called or train.name}"


def shortened(path: Path, folder: Path) -> Path:
    """The spec beside the same tables: 400 rows where they are drawn, two epochs, no `augment`, which has no text."""
    text = re.sub(r"generate [\d_]+", "generate 400", path.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^  epochs +\d+$", "  epochs 2", text)
    text = text.replace("peak = 0.4", "peak = 0.004")  # large steps make much of what is rounded otherwise
    text = re.sub(r"(?m)^  augment .*\n", "", text)
    text = re.sub(r"where \{ augment (\w+) = [^}]*\}", r"where { \1 = \1 }", text)
    text = re.sub(r"(?m)^param rows = .*$", "param rows = 400", text)
    shutil.copytree(specs_folder() / "data", folder / "data")
    short = folder / path.name
    short.write_text(text, encoding="utf-8")
    return short


@pytest.mark.parametrize("name", list(blocks()))
def test_the_losses_are_ours(name, tmp_path):
    file, block = name.split(":")
    made = compile_file(shortened(ROOT / "specs" / file, tmp_path), train=block)
    ran = run(export(made, tmp_path / "script"))
    assert len(ran.history) == 2
    outcome = learned(made)
    compare(ran.history, outcome)
    told = {line.split(":")[0]: line for line in ran.said.splitlines() if re.match(r"\w+: ", line)}
    assert list(told) == list(made.dataset.splits)
    for split, figures in outcome.splits.items():
        for figure, value in figures.items():
            shown = re.search(rf"{figure} ([^\s,]+)( %)?", told[split])
            assert shown is not None
            found = float(shown[1]) / (100 if shown[2] else 1)
            assert found == pytest.approx(value, rel=1e-3, abs=6e-4, nan_ok=True), (split, figure)
