"""The PyTorch file of a spec as text: what a person reads. Nothing here needs PyTorch."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.objectives.test_steps import TWO
from tests.torch.conftest import HERE, ROOT, compiled, export

from dotnn.plugins import Options, backend
from dotnn_grammar.problems import ProblemError
from dotnn_torch.script.write import module_name, script_text

SPECS = ("blocks", "line", "own", "words")


def text_of(path: Path, text: str | None = None, **settings) -> str:
    made = compiled(path, text, **settings)
    return script_text(made.program, made.source)


def same(golden: Path, text: str, update: bool) -> None:
    if update:
        golden.write_text(text, encoding="utf-8", newline="\n")
    assert text == golden.read_text(encoding="utf-8")


def test_digits_reads_as_a_person_would_have_written_it(update_goldens):
    same(HERE / "digits.py.golden", text_of(ROOT / "specs/digits.nn"), update_goldens)


@pytest.mark.parametrize("name", SPECS)
def test_the_text_is_as_it_was(name, folder, update_goldens):
    same(HERE / f"{name}.py.golden", text_of(folder / f"{name}.nn"), update_goldens)


def test_the_file_is_short():
    text = (HERE / "digits.py.golden").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    tree = ast.parse(text)
    said = {id(n.body[0]) for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
            and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    lines = {line for n in ast.walk(tree) if isinstance(n, ast.stmt) and id(n) not in said
             for line in range(n.lineno, (n.body[0].lineno if hasattr(n, "body") else n.end_lineno or n.lineno + 1)
                               + (not hasattr(n, "body")))}  # fmt: skip
    assert len(lines) <= 160


@pytest.mark.parametrize("name", ["digits", *SPECS])
def test_it_is_python_that_formatters_and_linters_leave_alone(name, tmp_path):
    path = tmp_path / "script.py"
    path.write_text((HERE / f"{name}.py.golden").read_text(encoding="utf-8"), encoding="utf-8")
    ast.parse(path.read_text(encoding="utf-8"))
    beside = Path(sys.executable).with_name("ruff")
    if not beside.exists():
        pytest.skip("ruff is not installed (pip install -e '.[dev]')")
    for words in (("format", "--check"), ("check", "--select", "E,F,W,B,UP")):
        done = subprocess.run(
            [beside, *words, "--isolated", "--line-length", "120", str(path)],
            capture_output=True, text=True, check=False, env={**os.environ, "RUFF_NO_CACHE": "true"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_spec_gives_the_same_bytes(folder, tmp_path):
    made = compiled(folder / "blocks.nn")
    first, second = (export(made, tmp_path / name).parent for name in ("first", "second"))
    names = sorted(p.name for p in first.iterdir())
    assert names == ["blocks.py", "squares.py", "test.npz", "train.npz", "val.npz"]
    assert all((first / n).read_bytes() == (second / n).read_bytes() for n in names)


def test_write_gives_the_script_without_rows(folder, tmp_path):
    made = compiled(folder / "line.nn")
    paths = backend("torch").write(made.program, made.source, tmp_path, Options())
    assert [p.name for p in paths] == ["line.py", "squares.py"]


def test_no_script_hides_a_module_of_python(folder):
    made = compiled(folder / "line.nn")
    assert module_name(made.program) == "line"
    for name in ("Random", "Torch", "Squares", "Copy"):
        assert module_name(made.program.model_copy(update={"name": name})) == f"{name.lower()}_net"


def test_params_are_constants_and_their_value_is_the_one_asked_for():
    text = text_of(ROOT / "specs/digits.nn", hidden=12)
    assert re.search(r"^HIDDEN = 12$", text, re.MULTILINE)
    assert "Dense(64, HIDDEN" in text


def test_what_cannot_be_written_is_refused_at_its_place(folder):
    text = (folder / "line.nn").read_text(encoding="utf-8")
    text = text.replace("dropout(0.2)", "kept").replace("function flat", STATES + "function flat")
    with pytest.raises(ProblemError) as caught:
        text_of(folder / "refused.nn", text)
    (problem,) = caught.value.problems
    assert problem.code == "Q010"
    assert problem.title_text == "a state inside a `repeat` has no PyTorch text in this version"
    assert problem.span is not None
    assert "state last" in text.splitlines()[problem.span.line - 1]
    assert "nn train" in problem.help_text
    assert problem.span.file in caught.value.sources


STATES = """
layer kept()(x: [..., n]) -> [..., n] {
  repeat 2 {
    state last: [n] = 0
    when training { last = mean(x, over = 0) }
    x = x + last
  }
  return x
}
"""

LOOK = """
data d {
  source generate 40
  x = normal(0, 1)[5, 4]
  y = normal(0, 1)
  split train 80%, val 20%
}
net N(x: [b, t, n]) -> z: [b] {
  seen = x -> dense(4) -> attend(2)
  z = mean(seen, over = t) -> dense(1) -> squeeze
}
train N on d {
  loss (z - y)^2
  optimizer sgd(lr = 0.1)
  precision bf16
  batch 8
  epochs 1
}
"""
BATCHED = "every batch first, second"
REFUSED = {
    "the library's text": (LOOK, "", "", "seen = x -> dense(4) -> attend(2)", "a product in short numbers"),
    "keep": (TWO, BATCHED, f"{BATCHED}\n keep best val.error", "keep best val.error", "`keep` beside steps"),
    "accumulate": (TWO, BATCHED, f"{BATCHED}\n accumulate 2", "accumulate 2", "`accumulate` beside steps"),
    "a state": (TWO, "a = x ->", "a = x -> batch_norm ->", "loss (A(x) - y)^2", "where a net has a `state`,"),
    "a rate": (TWO, "loss (B(x)", "rate 0.1 for *.b\n loss (B(x)", "rate 0.1 for *.b", "`rate` in a step"),
    "a schedule now and then": (
        TWO.replace(BATCHED, "every 2 batches first\n every batch second"),
        "optimizer sgd(lr = 0.1)",
        "optimizer sgd(lr = cosine(from = 0.1))",
        "optimizer sgd(lr = cosine(from = 0.1))",
        "a schedule in a step that is taken after several batches only",
    ),
    "an altered column": (
        TWO,
        "y = normal(0, 1)",
        "z[i] = x[i] for i in 0..3\n  y = normal(0, 1) + sum(z, over = -1)\n  augment x = 2 * x",
        "z[i] = x[i] for i in 0..3",
        "made of an altered one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_text_is_said_at_the_line_of_the_spec(name, tmp_path):
    text, before, after, line, what = REFUSED[name]
    text = text.replace(before, after, 1) if before else text
    with pytest.raises(ProblemError) as caught:
        text_of(tmp_path / "refused.nn", text)
    (problem,) = caught.value.problems
    assert problem.code == "Q010"
    assert what in problem.title_text
    assert problem.span is not None
    assert text.splitlines()[problem.span.line - 1].strip() == line
    assert [note.span.file for note in problem.notes] == (["std/attention.nn"] if text == LOOK else [])
