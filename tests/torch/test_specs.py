"""Every spec of the shelf as a PyTorch file: on fewer rows, for two epochs, it learns what `nn train` learns."""

import re
import shutil
from pathlib import Path

import pytest
from tests.sets import specs_folder
from tests.torch.beside import compare, learned
from tests.torch.conftest import ROOT, export, run

from dotnn.compiler import compile_file
from dotnn.read.files import read_file

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")


def blocks():
    """Each train block of each spec, as `file:block`."""
    for path in sorted((ROOT / "specs").glob("*.nn")):
        spec, _ = read_file(path)
        for train in spec.trains:
            yield f"{path.name}:{train.called or train.name or train.data}"


def shortened(path: Path, folder: Path) -> Path:
    """The spec beside the same tables: 400 rows where they are drawn, two epochs, a small GPT."""
    text = re.sub(r"generate [\d_]+", "generate 400", path.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^  (epochs|steps) +[\d_]+$", "  epochs 2", text)
    text = text.replace("param width = 128\nparam depth = 4\n", "param width = 16\nparam depth = 2\n")
    if path.stem == "gan":
        text = text.replace("train 90%, test 10%", "train 10%, val 80%, test 10%")
    text = text.replace("peak = 0.4", "peak = 0.004")  # large steps make much of what is rounded otherwise
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
    apart = {figure.name for figure in made.program.figures if figure.apart is not None}
    for split, figures in outcome.splits.items():
        for figure, value in figures.items():
            if figure in apart:
                continue
            shown = re.search(rf"{figure} ([^\s,]+)( %)?", told[split])
            assert shown is not None
            found = float(shown[1]) / (100 if shown[2] else 1)
            assert found == pytest.approx(value, rel=1e-3, abs=6e-4, nan_ok=True), (split, figure)
