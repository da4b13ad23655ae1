"""Every operation knows the words of the spec that it came from, in its JSON too."""

from __future__ import annotations

from pathlib import Path

import pytest

from dotnn.compiler import ir
from dotnn.graph import At, Graph, Node, dump
from dotnn.program import Program

HERE = Path(__file__).parent


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(HERE)
    found = ir(Path("scan.nn"), "graph", "simplify")
    assert isinstance(found, Program)
    return found


def words(at: At) -> str:
    """What stands there in the file; of several lines the first."""
    span = at.span
    assert span.file == "scan.nn"
    lines = (HERE / "scan.nn").read_text(encoding="utf-8").split("\n")[span.line - 1 : span.end_line]
    assert span.end_column <= len(lines[-1]) + 1
    lines[-1] = lines[-1][: span.end_column - 1]
    return lines[0][span.column - 1 :]


def nodes_of(graph: Graph) -> list[Node]:
    return [*graph.nodes, *(node for body in graph.bodies() for node in body.nodes)]


def test_an_operation_knows_its_words(program: Program) -> None:
    nodes = nodes_of(program.graphs["predict"])
    said = {node.op: words(node.at) for node in nodes if node.at is not None}
    assert said["tanh"] == "tanh(w * x + u * h)"
    assert said["add"] == "w * x + u * h"
    assert {words(node.at) for node in nodes if node.op == "mul" and node.at} >= {"u * h"}
    for node in nodes_of(program.graphs["train"]):
        assert node.at is None or words(node.at).strip()


def test_the_words_survive_as_json(program: Program) -> None:
    assert Program.model_validate_json(dump(program)) == program


def test_what_was_written_before_knew_its_line_alone() -> None:
    at = At.model_validate_json('{"file": "a.nn", "line": 3, "part": "Net.y"}')
    assert (at.span.line, at.span.column, at.span.end_line, at.span.end_column) == (3, 1, 3, 1)
    assert str(at) == "a.nn:3 Net.y"
