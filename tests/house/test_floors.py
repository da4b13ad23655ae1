"""Who may import whom: a room knows only the floors below it, and each third-party package has its rooms."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OURS = ("dotnn_grammar", "dotnn", "dotnn_onnx", "dotnn_reference", "dotnn_torch")

FLOORS = {
    "grammar/dotnn_grammar": {"dotnn_grammar", "lark", "pydantic"},
    "compiler/dotnn": {
        *("dotnn_grammar", "dotnn", "lark", "numpy", "pluggy", "pydantic", "rich", "safetensors", "typer"),
        "tensorboardX",  # an extra, imported by the logger of that name alone
        "pyarrow",  # an extra, imported where a Parquet or Arrow file is read
        "PIL",  # an extra, imported where a picture is read
        "tokenizers",  # an extra, imported by the tokenizer that needs it
        "matplotlib",  # an extra, imported where an answer is drawn alone
    },
    "backends/dotnn_onnx": {"dotnn_grammar", "dotnn", "dotnn_onnx", "numpy", "onnx", "onnxruntime", "pydantic"},
    "backends/dotnn_reference": {"dotnn_grammar", "dotnn", "dotnn_reference", "numpy"},
    "backends/dotnn_torch": {"dotnn_grammar", "dotnn", "dotnn_torch", "numpy", "torch"},
    # A dialect of ONNX: it spells operations as the ONNX backend does, and builds on that backend and no other.
    "backends/dotnn_training_info": {"dotnn_grammar", "dotnn", "dotnn_onnx", "dotnn_training_info", "numpy", "onnx"},
}
"""What each room may import beside Python's own library. A new entry needs a reason in the change that brings it."""


def imported(text: str) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions included; also ``import_module("…")`` with a text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def strays(room: str, text: str) -> list[str]:
    allowed = FLOORS[room] | set(sys.stdlib_module_names)
    return [f"line {line}: {module}" for line, module in imported(text) if module.split(".")[0] not in allowed]


def files() -> list[tuple[str, Path]]:
    return [(room, path) for room in FLOORS for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_from_the_floors_below_it_alone(room: str) -> None:
    paths = [path for own, path in files() if own == room]
    assert paths
    assert [f"{p.relative_to(ROOT)}, {s}" for p in paths for s in strays(room, p.read_text(encoding="utf-8"))] == []


def test_the_rooms_are_all_there_are() -> None:
    found = [p.parent for top in ("grammar", "compiler", "backends") for p in (ROOT / top).glob("*/__init__.py")]
    assert {p.relative_to(ROOT).as_posix() for p in found} == set(FLOORS)


def test_nothing_is_allowed_that_is_not_used() -> None:
    used: dict[str, set[str]] = {room: set() for room in FLOORS}
    for room, path in files():
        used[room] |= {module.split(".")[0] for _, module in imported(path.read_text(encoding="utf-8"))}
    assert {room: FLOORS[room] - used[room] for room in FLOORS} == {room: set() for room in FLOORS}


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("grammar/dotnn_grammar", "from dotnn.spec import Spec"),
        ("compiler/dotnn", "def f():\n    import onnxruntime.capi"),
        ("compiler/dotnn", "import importlib\nimportlib.import_module('dotnn_onnx.plugin')"),
        ("backends/dotnn_onnx", "from dotnn_reference import backend"),
        ("backends/dotnn_reference", "from . import backend"),
        ("backends/dotnn_training_info", "import onnxruntime"),
    ],
)
def test_an_import_from_above_is_seen(room: str, line: str) -> None:
    assert len(strays(room, line)) == 1
