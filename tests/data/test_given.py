from __future__ import annotations

import numpy as np
import pytest

from dotnn.data import read_rows, read_values
from dotnn.program import RawColumn

RAWS = (
    RawColumn(name="size", columns=("length", "width"), dtype="f32", dims=(2,)),
    RawColumn(name="floor", columns=("floor",), dtype="i64", bound=5),
    RawColumn(name="town", columns=("town",), dtype="i64", classes=("Bern", "Oslo")),
    RawColumn(name="price", columns=("price",), dtype="f32", role="label"),
)


def test_a_table_of_inputs(bench):
    path = bench.write("new.csv", "note,town,width,floor,length\nx,Oslo,2,3,1\ny, Bern,5,4,4\n")
    found = read_rows(path, RAWS)
    assert list(found) == ["size", "floor", "town"]
    assert found["size"].dtype == np.float32
    assert found["size"].tolist() == [[1, 2], [4, 5]]
    assert found["floor"].tolist() == [3, 4]
    assert found["town"].tolist() == [1, 0]


def test_a_user_may_name_any_file(bench):
    path = bench.write("real.csv", "length,width,floor,town\n1,2,3,Bern\n")
    link = bench.folder / "link.csv"
    link.symlink_to(path)
    assert read_rows(link, RAWS)["floor"].tolist() == [3]


def test_columns_that_are_missing(bench, refused):
    path = bench.write("new.csv", "length,widht,floor\n1,2,3\n")
    problem = refused("D038", lambda: read_rows(path, RAWS))
    assert problem.title_text == f"`{path}` has no column `width`, `town`"
    assert problem.help_text == "did you mean `widht`?"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("length,width,floor,town\n1,2,3,Rome\n", "D029"),
        ("length,width,floor,town\n1,2,5,Bern\n", "D027"),
        ("length,width,floor,town\n1,,3,Bern\n", "D025"),
        ("length,width,floor,town\n1,2,3\n", "D020"),
        ("length,width,floor,town\n", "D018"),
        ("", "D017"),
    ],
)
def test_rows_that_do_not_fit(bench, refused, content, code):
    path = bench.write("new.csv", content)
    problem = refused(code, lambda: read_rows(path, RAWS))
    assert "new.csv" in problem.title_text
    assert problem.span is None


def test_a_file_that_is_not_there(bench, refused):
    refused("D011", lambda: read_rows(bench.folder / "gone.csv", RAWS))
    refused("D011", lambda: read_rows(bench.folder / "gone.txt", RAWS))
    bench.write("there.txt", "x,y\n1,2\n")
    refused("D010", lambda: read_rows(bench.folder / "there.txt", RAWS))
    (bench.folder / "dir.csv").mkdir()
    refused("D006", lambda: read_rows(bench.folder / "dir.csv", RAWS))


@pytest.mark.parametrize("values", [["1", "2.5", "3", "Oslo"], ["town=Oslo", "floor=3", "length=1", "width= 2.5"]])
def test_values(values):
    found = read_values(values, RAWS)
    assert found["size"].tolist() == [[1, 2.5]]
    assert found["floor"].tolist() == [3]
    assert found["town"].tolist() == [1]
    assert list(found) == ["size", "floor", "town"]


@pytest.mark.parametrize(
    ("values", "code", "title"),
    [
        (["1", "2"], "D039", "the net needs 4 values, and 2 are given"),
        (["1"], "D039", "the net needs 4 values, and 1 is given"),
        ([], "D039", "the net needs 4 values, and none is given"),
        (["1", "2", "x", "Bern"], "D023", "values:1: `x` in the column `floor` is not a number"),
        (["lenght=1"], "D040", "`lenght` is no input of the net"),
        (["price=1"], "D040", "`price` is no input of the net"),
        (["length=1", "length=2"], "D041", "`length` is given twice"),
        (["length=1", "2"], "D042", "`2` has no name, though other values have one"),
        (["length=1", "town=Bern"], "D043", "no value is given for `width`, `floor`"),
    ],
)
def test_values_that_do_not_fit(refused, values, code, title):
    assert refused(code, lambda: read_values(values, RAWS)).title_text == title


def test_the_messages_name_the_inputs(refused):
    problem = refused("D039", lambda: read_values([], RAWS))
    assert problem.help_text == "in this order: `length`, `width`, `floor`, `town`"
    assert refused("D040", lambda: read_values(["lenght=1"], RAWS)).help_text == "did you mean `length`?"
