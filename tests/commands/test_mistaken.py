"""Runs as a newcomer names them, and misnames them: every message says what there is in place of it."""

import shutil

import pytest


@pytest.fixture
def runs(folder, nn):
    """Two runs that are done, and one that was killed before it could end."""
    for name in ("points-1", "points-2"):
        assert nn("train", "points.nn", "--threads", 1, "--out", f"runs/{name}")[0] == 0
    words = ("train", "points.nn", "--threads", 1, "--out", "runs/killed", "--checkpoint-every", "2 steps")
    assert nn(*words)[0] == 0
    for name in ("weights.safetensors", "last.safetensors", "predict.onnx", "result.json"):
        (folder / "runs" / "killed" / name).unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("eval runs/point-1", "T019", "did you mean `runs/points-1`?"),
        ("predict points-2 points.csv", "T019", "did you mean `runs/points-2`?"),
        ("runs compare runs/points-1 runs/ponts-2", "T019", "did you mean `runs/points-2`?"),
        ("resume elsewhere", "T019", "there are: runs/killed, runs/points-1, runs/points-2"),
        ("train points.nn --warm-start runs/none-of-them", "T019", "there are: "),
        ("eval runs", "T012", "it holds runs: runs/killed, runs/points-1, runs/points-2; name one of them"),
        ("train points.nn --warm-start runs", "T012", "name one of them"),
        ("eval points.nn", "T012", "it is a spec: `nn train points.nn` makes a run of it"),
        ("predict points.nn points.csv", "T012", "it is a spec"),
        ("resume points.nn", "T012", "it is a spec"),
        ("runs compare runs/points-1 points.nn", "T012", "it is a spec"),
        ("train points.nn --warm-start points.nn", "T012", "it is a spec"),
        ("predict points.csv 1 2", "T012", "it is a file"),
        ("eval empty", "T012", "this one has no program.json"),
        ("runs runs/points-1", "T044", "it is a run itself: `nn eval runs/points-1` measures it, and `nn runs runs`"),
        ("predict runs/points-1 points.nn", "D010", "tables end in .csv"),
        ("predict runs/points-1 gone.csv", "D011", "no such file"),
        ("predict runs/points-1 1 2 3", "D039", "in this order: `a`, `b`"),
        ("predict runs/points-1 a=1 c=2", "D040", "`a`, `b`"),
        ("eval runs/points-1 --on tset", "T042", "did you mean `test`?"),
        ("eval runs/points-1 --on points.nn", "D010", "tables end in .csv"),
    ],
)
def test_what_was_meant_is_found(runs, nn, words, code, said):
    (runs / "empty").mkdir()
    ended, out, err = nn(*words.split())
    assert (ended, out) == (1, "")
    assert f"error[{code}]" in err
    assert said in err


def test_a_run_that_was_killed_is_used_as_far_as_it_came(runs, nn):
    before = sorted((runs / "runs" / "killed").iterdir())
    note = "note: runs/killed is not finished; used are its weights of epoch "
    for words in ("eval runs/killed", "predict runs/killed points.csv", "train points.nn --warm-start runs/killed"):
        code, _, err = nn(*words.split())
        assert code == 0
        assert err.count(note) == 1
    assert sorted((runs / "runs" / "killed").iterdir()) == before


def test_of_several_checkpoints_the_newest_whole_one(runs, nn):
    folder = runs / "runs" / "killed"
    newest, former = sorted((p for p in folder.iterdir() if p.name.startswith("ckpt-")), reverse=True)
    (newest / "tensors.safetensors").write_bytes(b"torn")
    assert nn("eval", "runs/killed")[0] == 0
    assert newest.exists()
    shutil.rmtree(former)
    code, _, err = nn("eval", "runs/killed")
    assert code == 1
    assert "this one has no weights.safetensors" in err


def test_a_wrong_word_for_an_option_is_told_in_plain_words(runs, nn):
    code, out, err = nn("check", "points.nn", "--format", "xml")
    assert (code, out) == (2, "")
    assert err.endswith("Invalid value for '--format': 'xml' is not one of 'text', 'json', 'github', 'sarif'.\n")
