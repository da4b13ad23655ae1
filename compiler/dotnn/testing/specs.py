"""Small specs around a definition, so that it can be tried: found by trying the places where a definition can stand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from dotnn.compiler import compile_file
from dotnn.spec import Definition
from dotnn.testing.numbers import Sample
from dotnn.testing.report import FailedError
from dotnn_grammar.problems import ProblemError

TEXT = """
data rows {
  source table "rows.csv"
  x = columns a to d
  target = columns e to f
  kind = column kind as class
}

net Tried(x: [b, 4]) -> y: [b, 2] {
  weight V: [4, 4] ~ {start}
  h = x @ V
  {line}
  weight W: [4, 2] ~ {start}
  y = z @ W
}

train Tried on rows {
  loss {loss}
  {more}
  optimizer {optimizer}
  batch 8
  epochs 2
  seed 5
}
"""

PLAIN = {
    "start": "start_of()",
    "line": "z = h",
    "loss": "mean((y - target)^2)",
    "more": "",
    "optimizer": "plain()",
}

OWN = "\noptimizer plain(lr = 0.02)(w, g) { w = w - lr*g }\nfunction start_of()(shape) { return random(shape) - 0.5 }\n"

VALUES = ("", "4", "0.5", "0.5, 4", "4, 4")
"""Settings to try, where a definition does not do without."""


def places(definition: Definition) -> Iterator[tuple[str, str]]:
    """Where a definition could stand: a part of the text, and what to write there; the likeliest first."""
    name = definition.name
    inputs = [parameter.name for parameter in definition.inputs]
    calls = [f"{name}({values})" if definition.settings is not None or values else name for values in VALUES]
    if definition.word == "optimizer":
        yield from (("optimizer", f"{name}({values})") for values in ("", "lr = 0.1", "0.1"))
    elif "shape" in inputs:
        yield from (("start", call) for call in calls)
    elif "step" in inputs or (definition.word == "function" and definition.settings is not None):
        yield from (("optimizer", f"plain(lr = {call})") for call in calls)
        yield from (("optimizer", f"plain(lr = {call} then 0.02)") for call in calls)
    elif len(inputs) == 2 and all(parameter.default is None for parameter in definition.inputs):
        for truth in ("target", "kind"):
            yield "loss", f"{name}(y, {truth})"
            yield "loss", f"mean({name}(y, {truth}))"
        yield "more", f"metric tried = {name}(y, target)"
        yield "more", f"metric tried = {name}(y, kind)"
        yield "more", f"metric tried = {name}(argmax(y) == 1, kind == 1)"
        yield "more", f"metric tried = {name}(argmax(y), kind)"
        yield "line", f"z = {name}(h, h)"
    yield from (("line", f"z = h -> {call}") for call in calls)


@cache
def spec_around(definition: Definition, own: str = "") -> str:
    """The first spec of those that compiles. own: the text of the definition, where it is not in the library.

    Raises ``FailedError`` where there is none.
    """
    first: ProblemError | None = None
    with TemporaryDirectory() as folder:
        for part, words in places(definition):
            text = written({part: words}) + own
            try:
                sample_of(text, Path(folder))
            except ProblemError as wrong:
                first = first or wrong
                continue
            return text
    assert first is not None
    why = first.problems[0].title_text
    raise FailedError(f"no small spec was found in which `{definition.name}` can stand; in the first: {why}")


def written(parts: dict[str, str]) -> str:
    text = TEXT
    for name, words in {**PLAIN, **parts}.items():
        text = text.replace("{" + name + "}", words)
    return text + OWN


def sample_of(text: str, folder: Path, name: str = "tried") -> Sample:
    """A spec over small drawn rows, compiled. Raises ``ProblemError``."""
    return sample_file(write_sample(text, folder, name), name)


def write_sample(text: str, folder: Path, name: str) -> Path:
    """A spec as a file, and beside it the rows that it learns from."""
    draw = random.Random(7)
    lines = ["a,b,c,d,e,f,kind"]
    for row in range(24):
        lines.append(",".join([*(f"{draw.uniform(-1, 1):.3f}" for _ in range(6)), "up" if row % 3 else "down"]))
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / f"{name}.nn"
    path.write_text(text, encoding="utf-8")
    return path


def sample_file(path: Path, name: str = "", train: str | None = None) -> Sample:
    """A spec that is there, compiled with its rows. Raises ``ProblemError``."""
    made = compile_file(path, train=train)
    splits = {split: rows.arrays for split, rows in made.dataset.splits.items()}
    return Sample(name or path.name, made.program, splits)
