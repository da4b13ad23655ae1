"""`augment`: in the train graph alone, drawn anew at each step, with whatever reads the column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend
from dotnn.program import Program
from dotnn.simplify import only
from dotnn.spec import Spec
from dotnn.training.events import Limits
from dotnn.training.figures import number_of
from dotnn.training.loop import train
from dotnn.write import write_spec

Array = np.ndarray[Any, Any]
Nn = Callable[..., tuple[int, str, str]]

TABLE = """
data d {
  source table "d.csv"
  x      = columns a to d as [2, 2]
  kind   = column kind as int < 2
  level  = standardise(x)
  double = 2 * x
  AUGMENT
  split  train 80%, test 20%
}
net N(level: [b, 2, 2], double: [b, 2, 2], x: [b, 2, 2]) -> y: [b, 12] {
  y = concat(flatten(level), flatten(double), flatten(x))
}
train N on d {
  weighed   = sum(y * [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], over = -1)
  loss      mean((weighed * mean(N2(x)) - kind)^2)
  metric    first = mean(y)
  optimizer sgd(lr = 1e-9)
  batch     10
  epochs    2
}
net N2(x: [b, 2, 2]) -> z: [b] { z = x -> flatten -> dense(1) -> squeeze }
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Any]:
    rows = np.random.default_rng(3).normal(size=(50, 4)).round(3)
    lines = ["a,b,c,d,kind", *(",".join([*map(str, row), str(n % 2)]) for n, row in enumerate(rows.tolist()))]
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def compiled(lines: str) -> Any:
        path = tmp_path / "d.nn"
        path.write_text(TABLE.replace("AUGMENT", lines), encoding="utf-8")
        return compile_file(path)

    return compiled


def values(program: Program, graph: str, feeds: Mapping[str, Array]) -> list[Array]:
    """The results `y` of the net, in a graph that has no output for them: found as what the metric sums."""
    whole = program.graphs[graph]
    narrow = only(whole, {"y": next(n.name for n in whole.nodes if n.op == "concat" and n.type.dims == ("b", 12))})
    runner, options = backend("reference"), Options()
    made = runner.start(runner.lower(narrow, options), options).run(
        {fed.name: feeds[fed.name] for fed in narrow.inputs}
    )["y"]
    return np.split(made, [4, 8], axis=1)


def test_what_reads_the_column_reads_the_altered_one(program: Callable[[str], Any]) -> None:
    made = program("augment x = 10 * x + 1").program
    raw = np.arange(12, dtype=np.float32).reshape(3, 4)
    feeds: dict[str, Array] = {"x": raw, "kind": np.zeros(3, np.int64)}
    plain_level, plain_double, plain = values(made, "eval", feeds)
    level, double, x = values(made, "train", feeds)
    np.testing.assert_allclose(plain, raw)
    np.testing.assert_allclose(x, 10 * raw + 1)
    np.testing.assert_allclose(double, 2 * (10 * raw + 1))
    np.testing.assert_allclose(plain_double, 2 * raw)
    # What is fitted is that of the rows as they are.
    spread = (plain_level[1] - plain_level[0]) / (raw[1] - raw[0])
    np.testing.assert_allclose(level - plain_level, (x - plain) * spread, rtol=1e-5)


def test_lines_follow_each_other_and_share_their_draws(program: Callable[[str], Any]) -> None:
    lines = "augment turned = chance(50%)\n  augment x = x + 100\n  augment x = -x if turned else x"
    compiled = program(lines)
    made = compiled.program
    raw = np.ones((64, 4), np.float32)
    feeds: dict[str, Array] = {
        "x": raw,
        "kind": np.zeros(64, np.int64),
        "key": np.array(77, np.uint64),
        "step": np.array(0),
    }
    _, _, first = values(made, "train", feeds)
    _, _, again = values(made, "train", feeds)
    _, _, later = values(made, "train", feeds | {"step": np.array(1)})
    assert set(np.unique(first)) == {-101.0, 101.0}
    assert (first == first[:, :1]).all()  # one coin a row
    assert (first == again).all()
    assert (first != later).any()
    assert "key" not in {fed.name for graph in ("eval", "predict") for fed in made.graphs[graph].inputs}


def test_without_draws_the_graphs_that_measure_stay_as_they_are(program: Callable[[str], Any]) -> None:
    bare, altered = program("").program, program("augment x = x -> jitter(1) -> mirror(over = -1)").program
    for name in ("eval", "predict", "order"):
        same = [node.model_copy(update={"at": None}) for node in bare.graphs[name].nodes]
        assert [node.model_copy(update={"at": None}) for node in altered.graphs[name].nodes] == same
    assert bare.graphs["train"] != altered.graphs["train"]


def test_a_run_that_goes_on_draws_what_a_straight_one_does(
    nn: Nn, program: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from dotnn.training.run import read_weights

    program("augment x = x + normal(0, 3)[2, 2]")
    monkeypatch.chdir(tmp_path)
    assert nn("train", "d.nn", "--out", "straight")[0] == 0
    assert nn("train", "d.nn", "--out", "parted", "--epochs", "1")[0] == 0
    assert nn("resume", "parted", "--epochs", "2")[0] == 0
    straight, parted = (read_weights(tmp_path / name) for name in ("straight", "parted"))
    for name, array in straight.items():
        assert array.tobytes() == parted[name].tobytes(), name


GENERATED = """
data d {
  source generate 200
  ruler = chance(90%)
  spot  = normal(0, 1)[4]
  image = spot + 50 * ruler
  label = chance(50%) as int < 2
  split train 50%, test 50%
}
data fair = d where { augment ruler = chance(20%) }
net N(image: [b, 4]) -> y: [b] { y = image -> dense(1) -> squeeze }
train N on fair {
  loss      mse(y, label)
  metric    laid = mean(mean(image, over = -1) > 25)
  optimizer sgd(lr = 1e-9)
  batch     100
  epochs    3
}
"""


def test_generated_columns_are_made_anew_from_what_is_altered(tmp_path: Path) -> None:
    path = tmp_path / "g.nn"
    path.write_text(GENERATED, encoding="utf-8")
    made = compile_file(path)
    fed = {i.name for i in made.program.graphs["train"].inputs if i.role in ("data", "label")}
    assert fed == {"spot", "label"}
    outcome = train(made.program, made.dataset, backend("onnx"), Options(threads=1), limits=Limits(epochs=3))
    assert number_of(outcome.splits["test"]["laid"]) > 0.8  # the exam stays as it was
    seen = [epoch.splits["train"]["laid"] for epoch in outcome.history]
    assert all(isinstance(share, float) and 0.05 < share < 0.4 for share in seen)
    assert len(set(seen)) > 1


def test_it_is_written_and_read_again(tmp_path: Path) -> None:
    from dotnn.read import read_text
    from dotnn_grammar.source import Source

    spec = read_text(Source(name="g.nn", text=GENERATED))
    again = read_text(Source(name="g.nn", text=write_spec(spec)))
    assert write_spec(again) == write_spec(spec)
    assert "augment ruler = chance(20%)" in write_spec(spec)
    assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_the_rows_can_be_looked_at_as_training_meets_them(nn: Nn, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "g.nn").write_text(GENERATED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, plain, _ = nn("data", "show", "g.nn:fair", "--rows", "8")
    assert code == 0
    code, altered, _ = nn("data", "show", "g.nn:fair", "--rows", "8", "--augmented")
    assert code == 0
    assert "as training meets them once" in altered
    laid = [text.split("The first rows")[1].count("ruler 1") for text in (plain, altered)]
    assert laid[0] > laid[1]
    assert altered.split("The first rows")[0] == plain.split("The first rows")[0]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("augment x = x[..., 0..1, 0..2]", "B171"),
        ("augment kind = kind + 0.5", "B171"),
        ("augment y = 2 * y", "B170"),
        ("augment x = standardise(x)", "B172"),
        ("augment x = level\n  augment level = x", "B0"),
    ],
)
def test_what_makes_no_sense(program: Callable[[str], Any], line: str, code: str) -> None:
    from dotnn_grammar.problems import ProblemError

    with pytest.raises(ProblemError) as caught:
        program(line)
    assert caught.value.problems[0].code.startswith(code)


def test_what_is_drawn_with_a_shape_is_drawn_for_each_row(tmp_path: Path) -> None:
    """A column that is drawn, and made anew of an altered one: its noise is another one in each row, as at home."""
    text = """
    data d {
      source generate 40
      lit   = chance(50%)
      far   = normal(0, 1)
      image = real(lit) + normal(0, 0.1)[4, 4]
      augment lit = chance(50%)
      augment image = image + uniform(0, 1)[4, 4]
      split train 80%, test 20%
    }
    net N(image: [b, 4, 4]) -> y: [b] { y = image -> flatten -> dense(1) -> squeeze }
    train N on d {
      loss (y - lit - far)^2
      optimizer sgd(lr = 0.1)
      batch 8
      epochs 1
    }
    """
    (tmp_path / "n.nn").write_text(text, encoding="utf-8")
    graph = compile_file(tmp_path / "n.nn").program.graphs["train"]
    drawn = {str(node.attributes["use"]): node.type.dims for node in graph.nodes if node.op == "random"}
    assert drawn["augment lit#0"] == ("b",)
    assert {dims for use, dims in drawn.items() if use.partition("#")[0] in ("image", "augment image")} == {("b", 4, 4)}
    assert len(drawn) == 4
