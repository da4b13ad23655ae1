"""Params, scope, and the lines of `data` and `train`."""

from pathlib import Path

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file, ir
from dotnn_grammar.problems import ProblemError

X = np.arange(12.0).reshape(4, 3)
NET = "net N(x: [b, 3]) -> y: [b, 3] {\n"


# ---- params


def test_a_param_can_be_set(bench):
    text = "param by = 2\nparam twice = by * 2\n" + NET + "  y = x * twice\n}"
    for params, factor in (({}, 4), ({"by": "3"}, 6), ({"twice": "5"}, 5), ({"by": "-2 ^ 2"}, -8)):
        np.testing.assert_array_equal(bench.predict(text, {"x": X}, params=params)["y"], factor * X)


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"hiden": "3"}, "B060", "did you mean `hidden`?"),
        ({"hidden": "3 3"}, "B061", "a text in quotes"),
        ({"hidden": "relu"}, "B062", "a param is a number"),
        ({"hidden": "1 / 0"}, "B061", "a text in quotes"),
    ],
)
def test_a_param_that_cannot_be_set(bench, settings, code, said):
    bench.builder("param hidden = 2\n" + NET + "  y = x -> dense(3)\n}")
    with pytest.raises(ProblemError) as caught:
        check_file(bench.folder / "spec.nn", settings)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert said in problem.help_text


def test_a_file_without_train_says_so(tmp_path):
    (tmp_path / "a.nn").write_text("function f(x) { return x }\n")
    with pytest.raises(ProblemError) as caught:
        check_file(tmp_path / "a.nn")
    assert [problem.code for problem in caught.value.problems] == ["B063"]


# ---- scope


def test_the_library_does_not_see_the_users_names(bench):
    own = "param n = 9\nparam units = 9\nfunction glorot()(shape) { return fill(7, shape) }\n"
    text = (
        own + NET + "  weight w: [3] ~ glorot\n  y = x * w -> dense\n}".replace("x * w -> dense", "(x * w) -> dense(3)")
    )
    weight = bench.run(bench.graphs(text)["init"], {"seed": 1})
    np.testing.assert_array_equal(weight["N.w"], [7, 7, 7])
    assert np.abs(weight["N.y.dense.W"]).max() <= 1


def test_ones_own_definition_hides_the_librarys_and_can_use_it(bench):
    text = "function softmax(x) { return 2 * softmax(x) }\n"
    assert bench.value("sum(softmax(x), over = -1)", {"x": X}, text) == pytest.approx(np.full(4, 2))
    bench.builder(text + NET + "  y = (x -> dense(3)) * sum(softmax(x))\n}")
    assert "`softmax` is your own" in check_file(bench.folder / "spec.nn").notes[0]


def test_a_params_name_is_no_new_dim(bench):
    text = "param n = 4\nlayer same()(x: [b, n]) -> [b, n] { return x }\n" + NET + "  y = x -> same -> dense(3)\n}"
    problem = bench.problem(text)
    assert problem.label_text == "`n` is the param n = 4, and 3 here"


def test_a_setting_may_be_a_dim(bench):
    text = "layer same(n)(x: [b, n]) -> [b, n] { return x * n }\n" + NET + "  y = x -> same(3)\n}"
    np.testing.assert_array_equal(bench.predict(text, {"x": X})["y"], 3 * X)
    problem = bench.problem(text.replace("same(3)", "same(4)"))
    assert problem.label_text == "`n` is 4 there and 3 here"


def test_a_dim_is_not_bound_again(bench):
    for line in ("n = x * 2", "n = 3", "repeat n in 0..2 { x = x * n }"):
        text = f"layer f()(x: [b, n]) -> [b, n] {{\n  {line}\n  return x\n}}\n{NET}  y = x -> f -> dense(3)\n}}"
        assert bench.problem(text).code == "B017"


def test_a_mistake_within_the_library_points_to_the_users_line(bench):
    problem = bench.problem(NET + "  y = x -> dense(2.5)\n}")
    assert (problem.span.line, problem.span.column) == (6, 12)
    assert [note.span.file for note in problem.notes] == ["std/dense.nn"]


# ---- data and train

DATA = """
data points {
  source table "points.csv"
  place = standardise(columns a to b)
  kind  = column kind as class
  level = column level as int < 4
  split train 50%, val 50%
  seed 3
}
net Net(place: [b, 2]) -> scores: [b, 2] { scores = place -> dense(2) }
train Net on points {
  LINES
  loss cross_entropy(scores, kind)
  optimizer sgd(lr = 1)
  batch 4
  epochs 1
}
"""


@pytest.fixture
def points(tmp_path):
    rows = [f"{i},{i * i},{'xy'[i % 2]},{i % 4}" for i in range(20)]
    (tmp_path / "points.csv").write_text("\n".join(["a,b,kind,level", *rows]) + "\n")

    def write(lines="", text=DATA):
        (tmp_path / "points.nn").write_text(text.replace("LINES", lines))
        return tmp_path / "points.nn"

    return write


def constants(graph):
    return [np.array(node.attributes["values"]) for node in graph.nodes if node.op == "array"]


def test_standardise_is_fitted_on_the_training_rows_alone(points):
    made = compile_file(points())
    train, val = (made.dataset.splits[name].arrays["place"].astype(np.float64) for name in ("train", "val"))
    for phase in ("train", "eval", "predict"):
        fitted = constants(made.program.graphs[phase])
        assert any(np.allclose(each, train.mean(0), rtol=1e-6) for each in fitted)
        assert any(
            np.allclose(each, train.std(0), rtol=1e-6) or np.allclose(1 / each, train.std(0), rtol=1e-6)
            for each in fitted
        )
    assert not np.allclose(train.mean(0), val.mean(0))


def test_classes_are_texts_in_order(points):
    program = compile_file(points("answer argmax(scores) as kind")).program
    (kind,) = [raw for raw in program.inputs if raw.name == "kind"]
    assert (kind.dtype, kind.classes, kind.bound, kind.role) == ("i64", ("x", "y"), 2, "label")
    assert program.answer is not None
    assert (program.answer.classes, program.answer.shares) == (("x", "y"), "shares")


def test_error_where_counts_only_what_is_kept(points, bench):
    graph = compile_file(points("error level > 1 where level != 0")).program.graphs["eval"]
    feeds = {fed.name: np.zeros([int(d) for d in fed.type.dims]) for fed in graph.inputs if fed.role == "state"}
    batch = {"place": np.zeros((4, 2)), "kind": np.zeros(4), "level": np.array([0, 1, 2, 3])}
    made = bench.run(graph, {**feeds, **batch})
    assert (made["error.total"], made["error.count"]) == (2, 3)
    assert made["loss.count"] == 4


def test_what_is_left_out_may_be_no_number(points, bench):
    lines = "error log(level) where level > 0"
    graph = compile_file(points(lines)).program.graphs["eval"]
    feeds = {fed.name: np.zeros([int(d) for d in fed.type.dims]) for fed in graph.inputs if fed.role == "state"}
    batch = {"place": np.zeros((4, 2)), "kind": np.zeros(4), "level": np.array([0, 1, 1, 3])}
    made = bench.run(graph, {**feeds, **batch})
    assert made["error.total"] == pytest.approx(np.log(3))
    assert made["error.count"] == 3


def test_names_of_the_block_are_for_its_lines(points):
    program = compile_file(
        points("guess = argmax(scores)\n  error guess != kind\n  metric right = guess == kind")
    ).program
    assert [(figure.name, figure.role) for figure in program.figures] == [
        ("loss", "loss"), ("error", "error"), ("right", "metric"),
    ]  # fmt: skip


def test_a_label_is_not_asked_for_in_prediction(points):
    program = compile_file(points("wrong = argmax(scores) != kind\n  error wrong\n  answer argmax(scores)")).program
    fed = {i.name for i in program.graphs["predict"].inputs if i.role != "state"}
    assert fed == {"place"}
    assert {raw.name: raw.role for raw in program.inputs} == {"place": "data", "kind": "label"}


def test_the_spec_and_its_json_compile_to_the_same_graphs(points):
    path = points("error argmax(scores) != kind")
    stored = path.with_suffix(".json")
    stored.write_text(ir(Path(path), "spec").model_dump_json())
    one, other = compile_file(path).program, compile_file(stored).program
    assert one.graphs == other.graphs
