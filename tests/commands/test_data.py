"""`nn data show`, and `nn train` over folds and with bad rows."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def points(folder):
    """The table with a row twice, a missing value, and a number that is none."""
    path = folder / "points.csv"
    lines = path.read_text().splitlines()
    lines += [lines[1]] * 12 + ["0.5,,left", "0.5,ten,right"]
    path.write_text("\n".join(lines) + "\n")
    return folder


def spec(folder, old, new):
    text = (folder / "points.nn").read_text()
    assert old in text
    (folder / "points.nn").write_text(text.replace(old, new))


def test_show(points, nn):
    code, out, err = nn("data", "show", "points.nn")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "points: 132 rows"
    for part in (
        "  train         80   60.6 %",
        "place   [b, 2]",
        "columns a to b",
        "kind: 2 classes",
        "2 rows do not fit what the spec says of its columns; `nn train` will refuse them:",
        "  points.csv:134: the column `b` has no value",
        "  points.csv:135: `ten` in the column `b` is not a number",
        "missing: `b` has no value in 1 row",
        "are also in `train`, by place",
        "repeated: 12 rows stand there more than once",
        "The first rows\n  1  place [",
        "kind left",
    ):
        assert part in out, out
    assert "\x1b" not in out


def test_show_as_json(points, nn):
    code, out, _ = nn("data", "show", "points.nn:points", "--format", "json", "--rows", 1)
    found = json.loads(out)
    assert code == 0
    assert sum(found["parts"].values()) == 132
    assert found["columns"][0]["type"] == "[b, 2]"
    assert found["columns"][1]["classes"]["left"] + found["columns"][1]["classes"]["right"] == 132
    assert found["columns"][1]["mean"] is None
    assert (found["bad"], found["bad_end"], found["missing"]) == (2, True, {"b": 1})
    assert sum(found["shared"].values()) >= 1
    assert len(found["rows"]) == 1
    assert found["compared"] == ["place"]


def test_show_is_clear_where_nothing_is_wrong(folder, nn):
    spec(folder, "split train 60%, val 20%, test 20%", "split folds 4, test 20%")
    code, out, _ = nn("data", "show", "points.nn")
    assert code == 0
    assert "points: 120 rows, 4 folds" in out
    assert "missing: no value; every row fits" in out
    assert "leak: none" in out


def test_show_of_nothing(folder, nn):
    code, _, err = nn("data", "show", "points.nn:pints")
    assert (code, "did you mean `points`?" in err) == (1, True)
    assert nn("data", "paint", "points.nn")[0] == 2
    (folder / "points.csv").unlink()
    assert nn("data", "show", "points.nn")[0] == 1


def test_what_comes_from_data_does_not_move_the_cursor(folder, nn):
    path = folder / "points.csv"
    path.write_text(path.read_text().replace("left", "le\x1b[2Jft"))
    _, out, _ = nn("data", "show", "points.nn")
    assert "\x1b" not in out
    assert "le\ufffd[2Jft" in out


def test_bad_rows_are_said_by_check_and_train_and_kept_with_the_run(points, nn):
    code, _, err = nn("check", "points.nn")
    assert (code, "D025" in err) == (1, True)
    spec(points, "  seed  1\n", "  seed  1\n  on bad row skip\n")
    code, out, err = nn("check", "points.nn")
    assert (code, "points.nn: fine" in out) == (0, True)
    assert "note: 2 rows are left out, of 134: points.csv:134: the column `b` has no value" in err
    code, _, err = nn("train", "points.nn", "--out", "run")
    assert code == 0
    assert "note: 2 rows are left out, of 134: points.csv:134" in err
    left = json.loads((points / "run" / "started.json").read_text())["left_out"]
    assert left.startswith("2 rows are left out, of 134: points.csv:134: the column `b` has no value; points.csv:135")
    code, out, _ = nn("eval", "run", "--on", "test")
    assert code == 0


def test_folds_one_after_the_other(folder, nn):
    spec(folder, "split train 60%, val 20%, test 20%", "split folds 3, test 20%")
    code, out, _ = nn("train", "points.nn", "--format", "json", "--out", "all", "--threads", 1)
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    done = [event for event in events if event["event"] == "done"]
    assert [event["run"] for event in done] == ["all/fold-1", "all/fold-2", "all/fold-3"]
    last = events[-1]
    assert (last["event"], last["name"], last["folds"]) == ("folds", "Sides", 3)
    losses = [event["val"]["loss"] for event in done]
    assert last["val"]["loss"]["mean"] == pytest.approx(sum(losses) / 3)
    assert last["val"]["loss"]["spread"] > 0
    assert len(set(losses)) == 3
    # One alone is the same as in its turn, and its run knows which it was.
    code, out, _ = nn("train", "points.nn", "--format", "json", "--out", "one", "--fold", 2, "--threads", 1)
    alone = json.loads(out.splitlines()[-1])
    assert (alone["event"], alone["val"]) == ("done", done[1]["val"])
    assert json.loads((folder / "one" / "program.json").read_text())["fold"] == 2
    code, out, _ = nn("eval", "one", "--on", "val", "--format", "json")
    assert json.loads(out)["val"]["loss"] == pytest.approx(alone["val"]["loss"], rel=1e-5)


def test_folds_are_summed_up_for_people(folder, nn):
    spec(folder, "split train 60%, val 20%, test 20%", "split folds 2")
    code, _, err = nn("train", "points.nn")
    assert code == 0
    assert "Sides, fold 1:" in err
    assert "Sides over 2 folds, mean and spread (one standard deviation):" in err
    assert " ± " in err


def test_a_run_over_folds_goes_on_with_its_own(folder, nn):
    spec(folder, "split train 60%, val 20%, test 20%", "split folds 3")
    assert nn("train", "points.nn", "--out", "run", "--fold", 3, "--epochs", 3, "--threads", 1)[0] == 0
    assert nn("resume", "run", "--epochs", 6)[0] == 0
    assert nn("train", "points.nn", "--out", "straight", "--fold", 3, "--threads", 1)[0] == 0
    one, other = (json.loads((folder / name / "result.json").read_text()) for name in ("run", "straight"))
    assert one["val"] == other["val"]


def test_folds_that_are_not_there(folder, nn):
    code, _, err = nn("train", "points.nn", "--fold", 1)
    assert (code, "B075" in err) == (1, True)
    spec(folder, "split train 60%, val 20%, test 20%", "split folds 3")
    code, _, err = nn("train", "points.nn", "--fold", 4)
    assert (code, "B076" in err, "points.nn:8" in err) == (1, True, True)
