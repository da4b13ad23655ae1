"""What keeps the house in order: sizes of files, reasons for exceptions, what the wheel holds."""

import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("grammar", "compiler", "backends", "tests")

MOST_LINES = 510
"""A file that is larger usually holds two rooms."""


def python_files() -> list[Path]:
    return sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py") if "__pycache__" not in p.parts)


def test_no_file_holds_two_rooms() -> None:
    lines = {p.relative_to(ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    assert {path: n for path, n in lines.items() if n > MOST_LINES} == {}


def test_the_grammar_is_short() -> None:
    assert len((ROOT / "grammar/dotnn_grammar/nn.lark").read_text(encoding="utf-8").splitlines()) < 200


def test_an_exception_from_a_check_names_which() -> None:
    """`# type: ignore[code]` and `# noqa: CODE`, never a bare one."""
    bare = re.compile(r"#\s*type:\s*ignore(?!\[[a-z-]+\])|#\s*noqa(?!:\s*[A-Z]+[0-9]+)|#\s*mypy:\s*ignore-errors")
    texts = [(p, p.read_text(encoding="utf-8")) for p in python_files() if p != Path(__file__)]
    found = [
        f"{p.relative_to(ROOT)}:{n}" for p, t in texts for n, line in enumerate(t.splitlines(), 1) if bare.search(line)
    ]
    assert found == []
    assert bare.search("x = 1  # type: ignore")
    assert not bare.search("x = 1  # noqa: E731")


def read_at_run_time() -> set[str]:
    """Paths in the wheel that the package cannot do without."""
    paths = [p for room in ROOMS[:3] for p in (ROOT / room).glob("*/**/*") if "__pycache__" not in p.parts]
    wanted = {p.relative_to(ROOT) for p in paths if p.suffix in (".py", ".nn", ".lark", ".typed")}
    return {p.relative_to(p.parts[0]).as_posix() for p in wanted}


def test_the_wheel_takes_each_package_whole() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    packages = [p.parent.relative_to(ROOT) for room in ROOMS[:3] for p in (ROOT / room).glob("*/__init__.py")]
    assert all(any(fnmatch(p.as_posix(), pattern) for pattern in wheel["include"]) for p in packages)
    assert {p.parts[0] for p in packages} == set(wheel["sources"]) == set(build["dev-mode-dirs"])
    assert "exclude" not in wheel
    assert all((ROOT / p / "py.typed").is_file() for p in packages)


def test_git_ignores_nothing_that_the_wheel_needs() -> None:
    """Hatchling leaves out what git ignores: a bare `data/` would drop dotnn/data without a word."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    anywhere = [line for line in lines if line and not line.startswith(("#", "/"))]
    parts = {part for path in read_at_run_time() for part in Path(path).parts}
    assert [p for p in anywhere if any(fnmatch(part, p.rstrip("/")) for part in parts)] == []
    assert "data" in parts


def test_the_wheel_holds_what_is_read_at_run_time(tmp_path: Path) -> None:
    """With the builder itself, where it is installed (`pip install .` in the README's first command always has it)."""
    pytest.importorskip("hatchling")
    build = (
        "import sys; from hatchling.builders.wheel import WheelBuilder; "
        "print(next(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=['standard'])))"
    )
    words = [sys.executable, "-c", build, str(ROOT), str(tmp_path)]
    made = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    names = set(zipfile.ZipFile(made.stdout.strip().splitlines()[-1]).namelist())
    assert {"dotnn/std/adam.nn", "dotnn_grammar/nn.lark", "dotnn_onnx/py.typed", "dotnn/data/load.py"} <= names
    assert read_at_run_time() - names == set()
    assert [name for name in names if not name.startswith("dotnn")] == []
