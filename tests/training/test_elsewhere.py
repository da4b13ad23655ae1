"""A trained net on other data of its spec: nothing is fitted there, and the split stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.commands import main
from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend
from dotnn.training.elsewhere import block_in, elsewhere
from dotnn.training.evaluate import measure
from dotnn_grammar.problems import ProblemError

TABLE = """
data here {
  source table "here.csv"
  x     = standardise(columns a to c)
  kind  = column kind as class
  split train 60%, test 40%  stratify kind
  seed  3
}
data brighter = here where { x = 2 * x + 1 }
data swapped = here where { kind = column other as class }
data there {
  source table "there.csv"
  x     = standardise(columns a to c)
  kind  = column kind as class
}
"""
TRAIN = """
net N(x: [b, 3]) -> logits: [b, 2] { logits = x -> dense(2) }
train N on here {
  loss cross_entropy(logits, kind)
  error argmax(logits) != kind
  optimizer sgd(lr = 0.1)
  batch 8
  epochs 2
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    generator = np.random.default_rng(4)
    for name, count, first in (("here", 50, "cat"), ("there", 20, "cat")):
        lines = ["a,b,c,kind,other"]
        for _ in range(count):
            numbers = generator.normal(3 if name == "there" else 1, 2, 3)
            kind = first if numbers[0] > 1 else "dog"
            lines.append(",".join([*(f"{n:.4f}" for n in numbers), kind, "dog" if kind == "cat" else "cat"]))
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "s.nn").write_text(TABLE + TRAIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def figures(made: Any, state: dict[str, Any], on: str, folder: Path) -> dict[str, Any]:
    from dotnn.read import read_text
    from dotnn_grammar.source import Source

    spec = read_text(Source(name="s.nn", text=made.source))
    program, rows = elsewhere(spec, made.program, made.dataset, folder, on)
    found = measure(program, state, rows, backend("onnx"), Options())
    return {name: one.figures for name, one in found.items()}


def start(made: Any) -> dict[str, Any]:
    return dict(backend("reference").start(made.program.graphs["init"], Options()).run({"seed": np.array(2)}))


def scored(x: Any, state: dict[str, Any]) -> Any:
    return (x @ state["N.logits.dense.W"] + state["N.logits.dense.b"]).argmax(-1)


def test_a_shift_of_a_table_is_computed_from_what_the_net_was_fitted_on(folder: Path) -> None:
    made = compile_file(folder / "s.nn")
    state, rows, learned = start(made), made.dataset.splits["test"], made.dataset.splits["train"].arrays["x"]
    x = (rows.arrays["x"] - learned.mean(0)) / learned.std(0)
    wrong = scored(2 * x + 1, state) != rows.arrays["kind"]
    assert figures(made, state, "brighter.test", folder)["brighter.test"]["error"] == pytest.approx(wrong.mean())


def test_other_rows_are_standardised_as_those_it_learned_from(folder: Path) -> None:
    made = compile_file(folder / "s.nn")
    state, learned = start(made), made.dataset.splits["train"].arrays["x"]
    cells = [line.split(",") for line in (folder / "there.csv").read_text(encoding="utf-8").splitlines()[1:]]
    x = (np.array([row[:3] for row in cells], np.float64) - learned.mean(0)) / learned.std(0)
    wrong = scored(x, state) != np.array([row[3] == "dog" for row in cells])
    assert figures(made, state, "there", folder)["there.train"]["error"] == pytest.approx(wrong.mean())


def test_classes_keep_the_numbers_that_the_net_knows(folder: Path) -> None:
    """`there` has one class only, which the net knows as number 1."""
    text = (folder / "there.csv").read_text(encoding="utf-8").replace("cat", "dog")
    (folder / "there.csv").write_text(text, encoding="utf-8")
    made = compile_file(folder / "s.nn")
    state = start(made)
    state["N.logits.dense.W"] = np.zeros((3, 2), np.float32)
    state["N.logits.dense.b"] = np.array([0, 1], np.float32)
    assert figures(made, state, "there.train", folder)["there.train"]["error"] == 0


def test_a_replaced_answer_is_read_from_the_same_rows(folder: Path) -> None:
    made = compile_file(folder / "s.nn")
    state = start(made)
    here, there = (
        figures(made, state, f"{name}.test", folder)[f"{name}.test"]["error"] for name in ("here", "swapped")
    )
    assert here + there == pytest.approx(1)


def test_the_block_itself_has_its_own_figures(folder: Path) -> None:
    made = compile_file(folder / "s.nn")
    state = start(made)
    own = measure(made.program, state, made.dataset.splits, backend("onnx"), Options())
    there = figures(made, state, "here", folder)
    assert list(there) == ["here.train", "here.test"]
    for part in ("train", "test"):
        assert there[f"here.{part}"] == own[part].figures


def test_a_net_may_learn_from_a_shift(folder: Path) -> None:
    (folder / "s.nn").write_text(TABLE + TRAIN.replace("on here", "on brighter"), encoding="utf-8")
    made = compile_file(folder / "s.nn")
    assert made.program.data == "brighter"
    assert [raw.columns for raw in made.program.inputs] == [("a", "b", "c"), ("kind",)]
    assert made.dataset.splits["train"].count == 30


# ---- the command


@pytest.fixture
def nn(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    def run(*words: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return (ended.value.code, *capsys.readouterr())

    return run


def test_eval_on_another_block(folder: Path, nn: Any) -> None:
    nn("train", "s.nn", "--out", "run")
    code, out, err = nn("eval", "run", "--on", "brighter", "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found) == ["run", "brighter.train", "brighter.test"]
    assert found["brighter.test"]["rows"] == 20
    _, out, _ = nn("eval", "run", "--on", "brighter.test", "--format", "json")
    assert json.loads(out)["brighter.test"] == found["brighter.test"]


@pytest.mark.parametrize(
    ("on", "code", "says"),
    [("brighter.val", "T080", "its parts are: train, test"), ("brihter", "T042", "did you mean `brighter`?")],
)
def test_a_part_that_is_not_there_is_named(folder: Path, nn: Any, on: str, code: str, says: str) -> None:
    nn("train", "s.nn", "--out", "run")
    ended, _, err = nn("eval", "run", "--on", on)
    assert ended == 1
    assert code in err
    assert says in err


def test_a_block_that_lacks_a_column_is_shown_in_the_spec(folder: Path, nn: Any) -> None:
    text = TABLE + '\ndata poor {\n  source table "there.csv"\n  kind = column kind as class\n}\n' + TRAIN
    (folder / "s.nn").write_text(text, encoding="utf-8")
    nn("train", "s.nn", "--out", "run")
    ended, _, err = nn("eval", "run", "--on", "poor")
    assert ended == 1
    assert "B051" in err
    assert "`poor`" in err


def test_block_in() -> None:
    from dotnn.read import read_text
    from dotnn_grammar.source import Source

    spec = read_text(Source(name="s.nn", text=TABLE))
    there, brighter = block_in(spec, "there.test"), block_in(spec, "brighter")
    assert there is not None
    assert there.name == "there"
    assert brighter is not None
    assert brighter.base == "here"
    assert block_in(spec, "test") is None
    assert block_in(spec, None) is None


def test_problems_are_problems(folder: Path) -> None:
    made = compile_file(folder / "s.nn")
    with pytest.raises(ProblemError):
        figures(made, start(made), "there.val", folder)
