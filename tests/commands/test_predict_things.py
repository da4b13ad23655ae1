"""`nn predict` with things as a person has them: pictures, e-mails, sentences, tables, several of them, folders."""

import json

import numpy as np
import pytest
from tests.data.test_mail import PLAIN
from tests.data.test_mail import SPEC as MAILS
from tests.data.test_pictures import SPEC as PHOTOS
from tests.data.test_pictures import saved

Image = pytest.importorskip("PIL.Image", reason="needs the extra `pictures`: pip install -e '.[pictures]'")


@pytest.fixture
def photos(tmp_path, monkeypatch, nn):
    """A run of a net that tells red from blue, and pictures of other sizes."""
    for kind, colour in (("red", (250, 9, 9)), ("blue", (9, 9, 250))):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(8):
            (tmp_path / "photos" / kind / f"{number}.png").write_bytes(saved(Image.new("RGB", (9, 9), colour)))
    (tmp_path / "see.nn").write_text(PHOTOS.replace("adam;", "adam(lr = 0.05);").replace("epochs 1", "epochs 30"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new/a rose.jpg").write_bytes(saved(Image.new("RGB", (90, 40), (240, 30, 20)), "JPEG"))
    (tmp_path / "new/sky.webp").write_bytes(saved(Image.new("RGB", (30, 40), (20, 30, 240)), "PNG"))
    monkeypatch.chdir(tmp_path)
    assert nn("train", "see.nn", "--out", "run")[0] == 0
    return tmp_path


def test_pictures(photos, nn):
    code, out, err = nn("predict", "run", "new/a rose.jpg")
    assert (code, err) == (0, "")
    assert out.startswith("red  ")
    assert out.endswith(" %\n")
    code, out, _ = nn("predict", "run", "new", "photos/red/1.png")
    assert [line.split("  ")[:2] for line in out.splitlines()] == [
        ["new/a rose.jpg", "red"],
        ["new/sky.webp", "blue"],
        ["photos/red/1.png", "red"],
    ]
    code, out, _ = nn("predict", "run", "new", "--format", "json")
    told = [json.loads(line) for line in out.splitlines()]
    assert [(t["file"], t["answer"]) for t in told] == [("new/a rose.jpg", "red"), ("new/sky.webp", "blue")]
    assert all(0.5 < t["probability"] <= 1 for t in told)
    code, out, _ = nn("predict", "run", "new", "--format", "csv")
    assert out.splitlines()[0] == "file,answer,probability"
    assert out.splitlines()[2].startswith("new/sky.webp,blue,")


def test_arrays_of_pictures(photos, nn):
    red = np.zeros((2, 3, 8, 8), np.uint8)
    red[:, 0] = 250
    np.savez("rows.npz", pixels=red)
    code, out, _ = nn("predict", "run", "rows.npz")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["red", "red"])
    code, out, _ = nn("predict", "run", "rows.npz", "new/sky.webp")
    assert [line.split("  ")[:2] for line in out.splitlines()] == [["rows.npz", "red"]] * 2 + [["new/sky.webp", "blue"]]


def test_what_is_no_picture(photos, nn):
    (photos / "empty").mkdir()
    (photos / "nested" / "red").mkdir(parents=True)
    assert "holds no file, but folders: `red`" in nn("predict", "run", "nested")[2]
    for words, code in (
        (["new/rose.jpg"], "D077"),
        (["new/a rose.jpg", "gone.png"], "D077"),
        (["see.nn"], "D074"),
        (["empty"], "D078"),
        (["1", "2", "3"], "D062"),
    ):
        ended, _, err = nn("predict", "run", *words)
        assert (ended, code in err) == (1, True), err


@pytest.fixture
def mails(tmp_path, monkeypatch, nn):
    for kind, words in (("good", b"see you at the meeting"), ("bad", b"free money click now")):
        (tmp_path / "box" / kind).mkdir(parents=True)
        for number in range(8):
            (tmp_path / "box" / kind / f"{number}.eml").write_bytes(PLAIN.partition(b"\n\n")[0] + b"\n\n" + words)
    (tmp_path / "mails.nn").write_text(MAILS.replace("adam;", "adam(lr = 0.1);").replace("epochs 1", "epochs 20"))
    monkeypatch.chdir(tmp_path)
    assert nn("train", "mails.nn", "--out", "run")[0] == 0
    return tmp_path


def test_mails_and_sentences(mails, nn):
    (mails / "new").write_bytes(b"Subject: x\nContent-Type: text/html\n\n<b>free</b> money")
    assert nn("predict", "run", "new")[1].split()[0] == "bad"
    assert nn("predict", "run", "a meeting, you see")[1].split()[0] == "good"
    code, out, _ = nn("predict", "run", "new", "box/good/1.eml")
    assert [line.split("  ")[:2] for line in out.splitlines()] == [["new", "bad"], ["box/good/1.eml", "good"]]
    (mails / "rows.csv").write_text("text\nfree money\nat the meeting\n")
    code, out, _ = nn("predict", "run", "rows.csv")
    assert [line.split()[0] for line in out.splitlines()] == ["bad", "good"]
    (mails / "sky.png").write_bytes(saved(Image.new("RGB", (3, 4))))
    code, _, err = nn("predict", "run", "sky.png")
    assert (code, "D079" in err) == (1, True)


def test_a_table_that_is_a_row_of_numbers(folder, nn):
    assert nn("train", "points.nn", "--out", "run")[0] == 0
    one = nn("predict", "run", "points.csv")[1].splitlines()
    two = nn("predict", "run", "points.csv", "points.csv")[1].splitlines()
    assert [f"points.csv  {line}" for line in one * 2] == two
    assert len(nn("predict", "run", "0.5", "-0.25")[1].splitlines()) == 1
    (folder / "sky.png").write_bytes(saved(Image.new("RGB", (3, 4))))
    code, _, err = nn("predict", "run", "sky.png")
    assert (code, "D079" in err) == (1, True)
    assert "D011" in nn("predict", "run", "pionts.csv")[2]
