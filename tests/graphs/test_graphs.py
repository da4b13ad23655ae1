"""Pairs: `x.nn` and `x.graph`, the operations of its train graph as they are after every pass."""

from pathlib import Path

import pytest

from dotnn.compiler import ir
from dotnn.program import Program

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.nn"))


def test_there_are_pairs() -> None:
    assert len(NAMES) >= 8
    assert {path.stem for path in HERE.glob("*.graph")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_train_graph(name: str, update_goldens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    program = ir(Path(f"{name}.nn"), "graph", "simplify")
    assert isinstance(program, Program)
    found = str(program.graphs["train"])
    golden = HERE / f"{name}.graph"
    if update_goldens:
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")
