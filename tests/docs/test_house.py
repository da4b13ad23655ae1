"""The tables of files: each file and folder has its line, and nothing has one that is not there.

`pytest tests/docs --update-goldens` writes a line for a new file: what it says of itself.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

ROOMS = (
    "grammar/dotnn_grammar",
    "compiler/dotnn",
    "compiler/dotnn/plugins",
    "compiler/dotnn/testing",
    "compiler/dotnn/recipes",
    "compiler/dotnn/read",
    "compiler/dotnn/elaborate",
    "compiler/dotnn/ops",
    "compiler/dotnn/scans",
    "compiler/dotnn/inputs",
    "compiler/dotnn/measures",
    "compiler/dotnn/claims",
    "compiler/dotnn/updates",
    "compiler/dotnn/generate",
    "compiler/dotnn/data",
    "compiler/dotnn/fetch",
    "compiler/dotnn/insight",
    "compiler/dotnn/training",
    "compiler/dotnn/commands",
    "backends/dotnn_onnx",
    "backends/dotnn_onnx/spelling",
    "backends/dotnn_reference",
    "backends/dotnn_torch",
    "backends/dotnn_torch/script",
    "backends/dotnn_training_info",
)


def first_sentence(path: Path) -> str:
    """What a file says of itself."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        said = " ".join(line.lstrip("#/ ") for line in text.splitlines() if line.startswith(("#", "//")))
    return re.split(r"(?<=\.)\s", " ".join(said.split()))[0].rstrip(".").replace("|", "\\|")


def house_of(told: dict[str, str]) -> str:
    """The lines of the house: as they were told, and for a new file what it says of itself."""
    parts = []
    for room in ROOMS:
        files = [p for p in sorted((ROOT / room).iterdir()) if p.suffix in (".py", ".lark")]
        keys = [(p, f"{room}/{p.name}") for p in files if p.name != "__init__.py"]
        rows = "\n".join(f"| `{p.name}` | {told.get(key) or first_sentence(p)} |" for p, key in keys)
        parts.append(f"**`{room}`**\n\n| file | what is in it |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def test_the_house_has_a_line_for_every_file(update_goldens: bool) -> None:
    """Told once, under its folder; nothing is told that is not there. (`__init__.py` is the folder itself.)

    Definitions of the standard library are told on its own page, which tests/shelf holds true.
    """
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    start = text.index("\n**`", text.index("\n## The house")) + 1
    house = text[start : text.index("\n## ", start)]
    told: list[tuple[str, str]] = []
    folder = ""
    for line in house.splitlines():
        if heading := re.match(r"\*\*`([\w/]+)`\*\*", line):
            folder = heading[1]
        elif row := re.match(r"\| `([\w.]+)` \| (.+) \|$", line):
            told.append((f"{folder}/{row[1]}", row[2]))
    if update_goldens:
        page.write_text(text.replace(house, house_of(dict(told))), encoding="utf-8")
        return
    rooms = [p for room in ("grammar", "compiler", "backends") for p in (ROOT / room).rglob("*")]
    kept = [p for p in rooms if p.suffix in (".py", ".lark") and "__pycache__" not in p.parts]
    there = {p.relative_to(ROOT).as_posix() for p in kept if p.name != "__init__.py"}
    assert len(told) == len(dict(told)), "a file is told twice"
    assert dict(told).keys() - there == set(), "these are not there"
    assert there - dict(told).keys() == set(), "these have no line: pytest tests/docs --update-goldens writes them"


def test_every_folder_of_tests_has_its_row() -> None:
    told = re.findall(r"^\| `(\w+)/` \|", (ROOT / "tests/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    there = [p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and p.name[0] not in "._"]
    assert sorted(told) == sorted(there)
