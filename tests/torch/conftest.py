"""Specs that together use every form, over a small table that is made up here; their scripts, run in place."""

import contextlib
import importlib.util
import io
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dotnn.compiler import compile_file
from dotnn.plugins import Exporting, Options, backend

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def rows() -> str:
    """150 rows: four numbers, a word, a class, a size."""
    draw = random.Random(3)
    lines = ["a,b,c,d,word,kind,size"]
    for _ in range(150):
        a, b, c, d = (round(draw.gauss(0, 2) + 1, 3) for _ in range(4))
        word = draw.randrange(5)
        kind = "yes" if a * b + c - word / 2 > 0 else "no"
        lines.append(f"{a},{b},{c},{d},{word},{kind},{round(a + b * d, 3)}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The specs with their table."""
    made = tmp_path_factory.mktemp("specs")
    for path in sorted((HERE / "specs").glob("*.nn")):
        (made / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (made / "rows.csv").write_text(rows(), encoding="utf-8")
    return Path(made)


def compiled(path: Path, text: str | None = None, **settings):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return compile_file(path, settings={name: str(value) for name, value in settings.items()})


def export(made, out: Path) -> Path:
    """The script of a compiled spec, with its rows."""
    out.mkdir(parents=True, exist_ok=True)
    splits = {name: rows.arrays for name, rows in made.dataset.splits.items()}
    chosen = backend("torch")
    assert isinstance(chosen, Exporting)
    return chosen.export(made.program, made.source, out, Options(), splits)[0]


def run(script: Path) -> SimpleNamespace:
    """The script imported and run: its module, what `main` gives, what it says."""
    modules, path = dict(sys.modules), list(sys.path)
    sys.path.insert(0, str(script.parent))
    sys.modules.pop("squares", None)
    try:
        spec = importlib.util.spec_from_file_location("script_under_test", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            history = module.main()
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - set(modules):
            if name == "squares":
                del sys.modules[name]
    return SimpleNamespace(module=module, history=history, said=said.getvalue())
