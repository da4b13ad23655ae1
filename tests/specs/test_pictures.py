"""Convolutional nets on real pictures: a shortened run of each. The full runs' figures stand in specs/README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.sets import copy_data, needs
from tests.specs.lab import SPECS, figure

from dotnn.compiler import Compiled, compile_file
from dotnn.plugins import Options, backend
from dotnn.training.events import Outcome
from dotnn.training.loop import train


def run(
    folder: Path, name: str, changes: dict[str, str], drop: str = "no line", **settings: str
) -> tuple[Compiled, Outcome]:
    """A spec with some of its lines changed and one left out, trained on two threads."""
    text = (SPECS / f"{name}.nn").read_text(encoding="utf-8")
    text = re.sub(rf"(?m)^  {drop} .*\n", "", text)
    copy_data(folder, text)
    for line, instead in changes.items():
        text, count = re.subn(rf"(?m)^(  {line}\s+).*$", rf"\g<1>{instead}", text)
        assert count == 1, line
    path = folder / f"{name}.nn"
    path.write_text(text, encoding="utf-8")
    compiled = compile_file(path, settings=settings)
    return compiled, train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=2, target="cpu"))


def test_lenet_reads_digits_after_two_rounds(tmp_path):
    """The whole run of twenty comes to 1.5 % wrong; after two it is under one in ten."""
    needs("mnist")
    compiled, outcome = run(tmp_path, "lenet", {"epochs": "2"})
    assert compiled.program.parameters == 61_706  # a few more than the paper's 60,000: its C3 leaves some out
    assert figure(outcome) < 0.10


def test_resnet_tells_clothes_apart_after_a_glance(tmp_path):
    """3,000 of the pictures for the exam, four times through, and the other 7,000: a guess has nine in ten wrong."""
    needs("fashion")
    changes = {
        "source": 'idx "data/fashion/t10k-images.gz", "data/fashion/t10k-labels.gz"',
        "split": "train 30%, test 70%",
        "epochs": "4",
        "optimizer": "adam(lr = 3e-3)",
        "batch": "32",
    }
    compiled, outcome = run(tmp_path, "resnet", changes, drop="test", width="8")
    weights = {fed.name for fed in compiled.program.graphs["train"].inputs if fed.learned}
    assert "Clothes.stage[2].i[0].x.block.short.filter.conv.W" in weights
    assert figure(outcome) < 0.35


@pytest.mark.parametrize(("blocks", "count"), [("1", 77_754), ("3", 272_186)])
def test_the_size_of_the_residual_net(tmp_path, blocks, count):
    """With three blocks at each size it is the 20 layers of the paper's table 6, which has 0.27 million."""
    needs("fashion")
    copy_data(tmp_path, text := (SPECS / "resnet.nn").read_text(encoding="utf-8"))
    (tmp_path / "resnet.nn").write_text(text, encoding="utf-8")
    compiled = compile_file(tmp_path / "resnet.nn", settings={"blocks": blocks})
    assert compiled.program.parameters == count
