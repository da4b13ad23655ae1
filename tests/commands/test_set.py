"""`--set`: params, lines of train and data blocks, settings of the optimizer, by path; kept with the run."""

import json

import pytest

from dotnn.compiler import compile_file


@pytest.fixture
def plan(folder):
    """The plan and the train graph of the spec with these settings."""

    def made(**values):
        settings = {name.replace("__", "."): text for name, text in values.items()}
        program = compile_file(folder / "points.nn", settings).program
        return program.plan, program

    return made


def literals(program):
    return {node.attributes["value"] for node in program.graphs["train"].nodes if node.op == "literal"}


@pytest.mark.parametrize("name", ["batch", "train__batch", "Sides__batch"])
def test_a_line_by_each_of_its_paths(plan, name):
    assert plan(**{name: "8"})[0].batch == 8


def test_every_line_that_can_be_set(plan):
    assert plan(epochs="2")[0].epochs == 2
    made, _ = plan(steps="7")
    assert (made.steps, made.epochs) == (7, None)
    assert plan(seed="11")[0].seed == 11
    assert plan(accumulate="2")[0].accumulate == 2
    assert plan(precision="bf16")[0].precision == "bf16"
    assert 0.125 in literals(plan(clip__norm="0.125")[1])
    assert 0.125 in literals(plan(train__clip="0.125")[1])


def test_settings_of_the_optimizer(plan):
    assert 0.0625 in literals(plan(optimizer__lr="0.0625")[1])
    assert 0.0625 in literals(plan(Sides__optimizer__b1="0.0625")[1])
    assert "cos" in {n.op for n in plan(optimizer__lr="cosine(from = 0.1)")[1].graphs["train"].nodes}
    assert 0.0625 in literals(plan(optimizer="sgd(lr = 0.0625)")[1])


def test_the_seed_of_the_data(folder):
    def kinds(settings):
        return compile_file(folder / "points.nn", settings).dataset.splits["train"].arrays["place"].tolist()

    assert kinds({}) == kinds({"points.seed": "1"})
    assert kinds({}) != kinds({"points.seed": "2"}) == kinds({"data.seed": "2"})


def test_a_param_comes_first(folder, plan):
    text = (folder / "points.nn").read_text().replace("hidden", "batch")
    (folder / "points.nn").write_text(text)
    made, program = plan(batch="7")
    assert (made.batch, program.params) == (16, {"batch": 7})
    made, program = plan(train__batch="7")
    assert (made.batch, program.params) == (7, {"batch": 4})


@pytest.mark.parametrize(
    ("given", "said"),
    {
        "hiden=3": "did you mean `hidden`?",
        "epoch=3": "did you mean `epochs`?",
        "train.bach=3": "did you mean `train.batch`",
        "Side.batch=3": "did you mean `Sides.batch`",
        "optimizer.rate=3": "did you mean `optimizer.lr`",
        "optimizer.l=3": "did you mean `optimizer.lr`",
        "points.sed=3": "did you mean `points.seed`",
        "seed=many": "that is no value",
        "precision=f8": "that is no value",
        "batch=)": "that is no value",
        "batch=0": "a whole number above 0",
        "batch=2.5": "a whole number above 0",
        "optimizer=mean": "an optimizer is needed",
        "loss=3": "there is no param called `loss`",
        "a b=3": "gives nothing a value",
        ".batch=3": "gives nothing a value",
        "batch=": "gives nothing a value",
    }.items(),
)
def test_what_cannot_be_set_is_told(folder, nn, given, said):
    code, _, err = nn("train", "points.nn", "--set", given)
    assert code == 1
    assert err.startswith("error[")
    assert said in err


def test_a_name_that_is_two_things_is_refused(folder, nn):
    text = (folder / "points.nn").read_text().replace("train Sides on points {", "train Sides on points as points {")
    (folder / "points.nn").write_text(text)
    code, _, err = nn("check", "points.nn", "--set", "points.seed=3")
    assert code == 1
    assert "write train.seed or data.seed" in err
    assert nn("check", "points.nn", "--set", "train.seed=3")[0] == 0
    assert nn("check", "points.nn", "--set", "points.batch=3")[0] == 0


def test_it_is_kept_with_the_run_and_repeated(folder, nn):
    given = ("--set", "batch=8", "--set", "points.seed=4", "--set", "optimizer.lr=0.02", "--set", "hidden=3")
    assert nn("train", "points.nn", *given, "--epochs", 2, "--threads", 1, "--out", "r")[0] == 0
    assert nn("train", "points.nn", *given, "--threads", 1, "--out", "straight")[0] == 0
    assert nn("resume", "r", "--epochs", 6)[0] == 0
    one, other = ((folder / at / "weights.safetensors").read_bytes() for at in ("r", "straight"))
    assert one == other
    assert json.loads((folder / "r" / "started.json").read_text())["settings"] == {
        "batch": "8",
        "points.seed": "4",
        "optimizer.lr": "0.02",
        "hidden": "3",
    }
    listed = json.loads(nn("runs", ".", "--format", "json")[1].splitlines()[0])["settings"]
    assert {"points.seed", "optimizer.lr", "hidden"} <= set(listed)
    # What is measured afterwards is measured on the rows of that seed.
    done = json.loads((folder / "straight" / "result.json").read_text())["test"]
    found = json.loads(nn("eval", "straight", "--on", "test", "--format", "json")[1])["test"]
    assert found["loss"] == pytest.approx(done["loss"], rel=1e-6)


def test_several_blocks_are_set_together_or_one_by_one(folder, nn):
    text = (folder / "points.nn").read_text()
    more = text[text.index("train Sides") :].replace("on points {", "on points as other {").replace("adam", "sgd")
    (folder / "points.nn").write_text(text + "\n" + more)
    settings = {"batch": "9", "other.epochs": "2", "optimizer.b1": "0.5"}
    first, second = (compile_file(folder / "points.nn", settings, name).program for name in ("Sides", "other"))
    assert (first.plan.batch, first.plan.epochs) == (9, 6)
    assert (second.plan.batch, second.plan.epochs) == (9, 2)
    assert 0.5 in literals(first)  # the other has no such setting
    code, _, err = nn("check", "points.nn", "--set", "other.optimizer.b1=0.5")
    assert (code, "error[B069]" in err) == (1, True)
