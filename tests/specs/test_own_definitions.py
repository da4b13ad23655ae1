"""A file with its own layer, loss, optimizer, schedule and initialiser: the same graphs as with the library's, to the
last operation, and so as fast and as exact."""

import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from tests.sets import NOT_COPIED

from dotnn.compiler import compile_file
from dotnn.graph import Graph
from dotnn.plugins import Options, backend
from dotnn.training.loop import train

SPECS = Path(__file__).parents[2] / "specs"
OWN = ("dense", "dropout", "cross_entropy", "adamw", "cosine", "glorot", "relu")
"""Copied under other names: `my_dense`, …"""


def own(text: str) -> str:
    """The spec with the library's definitions written out in it, each under a name of the file's own."""
    library = "\n".join((files("dotnn") / "std" / f"{name}.nn").read_text(encoding="utf-8") for name in OWN)
    code = re.sub(r"#.*", "", library + "\n" + text)
    return re.sub(rf"\b({'|'.join(OWN)})\b", r"my_\1", code)


def plain(graph: Graph) -> str:
    """The graph without the lines that it came from, the library's names in place of the file's own."""
    nodes = (node.model_copy(update={"at": None}) for node in graph.nodes)
    return str(graph.model_copy(update={"nodes": tuple(nodes)})).replace("my_", "")


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """The spec as it is shipped, and with definitions of its own."""
    shutil.copytree(SPECS / "data", tmp_path / "data", ignore=NOT_COPIED)
    text = (SPECS / "digits.nn").read_text(encoding="utf-8").replace("epochs 60", "epochs 2")
    paths = tmp_path / "digits.nn", tmp_path / "own.nn"
    paths[0].write_text(text, encoding="utf-8")
    paths[1].write_text(own(text), encoding="utf-8")
    return paths


def test_the_graphs_are_the_same(both: tuple[Path, Path]) -> None:
    theirs, mine = (compile_file(path).program.graphs for path in both)
    assert theirs.keys() == mine.keys()
    # What is drawn depends on the path of the weight or layer that draws, and so on its name.
    uses = re.compile(r"(use|bits)=[^,)]+")
    for name in theirs:
        assert uses.sub("", plain(mine[name])) == uses.sub("", plain(theirs[name])), name
    assert "my_adamw" in str(mine["train"])
    assert "my_adamw" not in str(theirs["train"])


def test_a_definition_of_the_same_name_trains_to_the_same_bits(both: tuple[Path, Path]) -> None:
    """With the library's own names in the file, nothing at all may differ but the lines."""
    path = both[1]
    path.write_text(path.read_text(encoding="utf-8").replace("my_", ""), encoding="utf-8")
    ends = []
    for spec in both:
        compiled = compile_file(spec)
        ends.append(train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1)))
    theirs, mine = ends
    assert mine.splits == theirs.splits
    for name, value in theirs.state.items():
        np.testing.assert_array_equal(mine.state[name], value, err_msg=name)
