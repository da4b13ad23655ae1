"""Packages with plugins, installed into a folder of their own, and Pythons that see it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests" / "plugin"

SPEC = """
data rings {
  source jsonlines "rows.jsonl"
  place = columns a to b
  kind  = column kind as class
  split train 70%, test 30%
}

net Ring(place: [b, 2]) -> scores: [b, 2] {
  scores = place -> dense(16) -> gentle(width = 0.5) -> dense(8) -> squareplus -> dense(2)
}

train Ring on rings {
  loss      cross_entropy(scores, kind)
  error     argmax(scores) != kind
  optimizer adam(lr = 0.05)
  batch 20
  epochs 12
}
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Lab:
    """A folder with installed packages."""

    site: Path

    def add(self, name: str, points: Mapping[str, str], modules: Mapping[str, str] = {}, version: str = "1.0") -> None:
        """A package as an installer leaves it behind."""
        for module, text in modules.items():
            (self.site / f"{module}.py").write_text(text, encoding="utf-8")
        facts = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{point} = {value}\n" for point, value in points.items()]
        (facts / "entry_points.txt").write_text("".join(["[dotnn]\n", *lines]))

    def python(self, *words: str, folder: Path | None = None, patience: float = 120) -> Done:
        paths = [self.site, *(ROOT / room for room in ("compiler", "grammar", "backends"))]
        done = subprocess.run(
            [sys.executable, "-P", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=patience,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def nn(self, *words: str, folder: Path | None = None) -> Done:
        return self.python("-m", "dotnn", *words, folder=folder)

    def write_spec(self, folder: Path) -> None:
        draw = random.Random(1)
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as rows:
            for _ in range(300):
                a, b = draw.uniform(-1, 1), draw.uniform(-1, 1)
                kind = "in" if a * a + b * b < 0.6 else "out"
                rows.write(json.dumps({"a": round(a, 3), "b": round(b, 3), "kind": kind}) + "\n")
        (folder / "rings.nn").write_text(SPEC, encoding="utf-8")


@pytest.fixture(scope="session")
def with_plugin(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The package of tests/plugin, installed."""
    lab = Lab(tmp_path_factory.mktemp("site"))
    shutil.copytree(
        PLUGIN / "dotnn_straight", lab.site / "dotnn_straight", ignore=shutil.ignore_patterns("__pycache__")
    )
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lab.add(project["name"], project["entry-points"]["dotnn"], version=project["version"])
    return lab


@pytest.fixture
def new_lab(tmp_path: Path) -> Callable[[], Lab]:
    """An empty folder for packages."""

    def make() -> Lab:
        (tmp_path / "site").mkdir()
        return Lab(tmp_path / "site")

    return make


@pytest.fixture
def rings(tmp_path: Path, with_plugin: Lab) -> Path:
    """A folder with a spec that needs the plugin, and its rows."""
    folder = tmp_path / "rings"
    folder.mkdir()
    with_plugin.write_spec(folder)
    return folder
