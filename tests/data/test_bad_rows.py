"""`on bad row skip`: what does not fit is left out, counted and named; the other rows stay where they were dealt."""

from __future__ import annotations

import numpy as np
import pytest

from dotnn.data import Bad, check_sample, find_classes, load, sample_notes

TABLE = "x,y,k\n1,0,a\nten,1,b\n3\n4,2,a\n,3,b\n6,99,a\n7,1,\nnan,2,b\n9,3,a\n\n11,0,b\n"
"""Bad: not a number, ragged, no value, out of range, no class, NaN, blank."""


def skipping(bench, *files, **more):
    return bench.data(*files, **more).model_copy(update={"bad_rows": "skip"})


def raws(bench):
    return [bench.number("x"), bench.whole("y", 10), bench.kind("k", "a", "b", name="k")]


def test_rows_are_left_out_and_counted(bench):
    bench.write("rows.csv", TABLE)
    found = load(skipping(bench, "rows.csv"), raws(bench), bench.spans, bench.folder)
    rows = found.splits["train"]
    assert rows.count == 4
    assert rows.arrays["x"].tolist() == [1, 4, 9, 11]
    assert rows.arrays["y"].tolist() == [0, 2, 3, 0]
    assert rows.arrays["k"].tolist() == [0, 0, 0, 1]
    assert found.skipped is not None
    assert (found.skipped.count, found.skipped.of) == (7, 11)
    assert found.skipped.first[0] == "the row at rows.csv:4 has 1 cell, but the first line names 3 columns"
    assert found.skipped.missing == {"x": 1, "k": 1}
    (note,) = found.notes()
    assert note.startswith("note: 7 rows are left out, of 11: the row at rows.csv:4 has 1 cell")
    assert note.endswith("; and 4 more")


def test_without_the_line_the_first_is_an_error(bench, refused):
    bench.write("rows.csv", TABLE)
    data = bench.data("rows.csv")
    problem = refused("D020", lambda: load(data, raws(bench), bench.spans, bench.folder))
    assert "rows.csv:4" in problem.title_text
    bench.write("rows.csv", TABLE.replace("3\n4", "3,0,a\n4").replace("\n\n", "\n"))
    refused("D023", lambda: load(data, raws(bench), bench.spans, bench.folder))


def test_nothing_is_said_where_nothing_is_left_out(bench):
    bench.write("rows.csv", "x\n1\n2\n")
    found = load(skipping(bench, "rows.csv"), [bench.number("x")], bench.spans, bench.folder)
    assert (found.skipped, found.notes()) == (None, ())


def test_the_others_stay_where_they_were(bench):
    """Which rows are bad does not move the others into another part."""
    rows = [f"{i},{i % 3}" for i in range(3000)]
    bench.write("good.csv", "x,y\n" + "\n".join(rows) + "\n")
    for i in range(0, 3000, 7):
        rows[i] = f"oh,{i % 3}"
    bench.write("bad.csv", "x,y\n" + "\n".join(rows) + "\n")
    shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    given = [bench.number("x"), bench.whole("y", 3)]
    parts = [
        load(skipping(bench, name, shares=shares, stratify="y"), given, bench.spans, bench.folder, "y").splits
        for name in ("good.csv", "bad.csv")
    ]
    for part in shares:
        whole = parts[0][part].arrays["x"]
        assert parts[1][part].arrays["x"].tolist() == whole[whole % 7 != 0].tolist()


def test_a_class_that_training_does_not_know(bench):
    bench.write("rows.csv", "x,k\n1,a\n2,b\n")
    bench.write("exam.csv", "x,k\n3,a\n4,c\n")
    data = skipping(bench, "rows.csv", tests=["exam.csv"])
    classes, _ = find_classes(data, "k", bench.spans["y"], bench.folder)
    assert classes == ("a", "b")
    found = load(data, [bench.kind("k", *classes)], bench.spans, bench.folder)
    assert found.splits["test"].arrays["y"].tolist() == [0]
    assert "no class that training knows" in str(found.skipped)


def test_a_class_without_a_text_is_none(bench):
    bench.write("rows.csv", "x,k\n1,a\n2,\n3,b\n")
    assert find_classes(skipping(bench, "rows.csv"), "k", bench.spans["y"], bench.folder)[0] == ("a", "b")


def test_nothing_is_left_of_a_part(bench, refused):
    bench.write("rows.csv", "x\n1\n2\n")
    bench.write("exam.csv", "x\nno\n")
    data = skipping(bench, "rows.csv", tests=["exam.csv"])
    problem = refused("D061", lambda: load(data, [bench.number("x")], bench.spans, bench.folder))
    assert "`test`" in problem.title_text
    assert "exam.csv:2" in problem.help_text


def test_json_lines(bench):
    bench.write("rows.jsonl", '{"x": 1}\nnothing\n{"x": [2]}\n{"x": 4, "z": 1}\n\n{"x": 5}\n')
    found = load(skipping(bench, "rows.jsonl"), [bench.number("x")], bench.spans, bench.folder)
    assert found.splits["train"].arrays["x"].tolist() == [1, 5]
    assert found.skipped is not None
    assert (found.skipped.count, found.skipped.of) == (4, 6)


def test_arrays(bench):
    np.save(bench.folder / "x.npy", np.array([[1, 2], [np.nan, 3], [4, 5], [6, np.inf]]))
    data = skipping(bench, "x.npy", reader="npz")
    found = load(data, [bench.number("x").model_copy(update={"dims": (2,)})], bench.spans, bench.folder)
    assert found.splits["train"].arrays["x"].tolist() == [[1, 2], [4, 5]]
    assert found.skipped is not None
    assert found.skipped.first == (
        "x.npy, row 2: `nan` in the column `x` is no finite number",
        "x.npy, row 4: `inf` in the column `x` is no finite number",
    )


@pytest.mark.parametrize("content", ['x\n1\n"2\n', "x\n1\n" + "9" * 200_000 + "\n", b"x\n1\n\xff\n"])
def test_what_cannot_be_read_on_is_an_error_all_the_same(bench, content):
    from dotnn_grammar.problems import ProblemError

    bench.write("rows.csv", content)
    with pytest.raises(ProblemError):
        load(skipping(bench, "rows.csv"), [bench.number("x")], bench.spans, bench.folder)


def test_a_sample_says_what_it_would_leave_out(bench):
    bench.write("rows.csv", "x\n1\nno\n3\n")
    bad = Bad()
    assert check_sample(skipping(bench, "rows.csv"), [bench.number("x")], bench.spans, bench.folder, bad=bad) == 3
    (note,) = sample_notes(bad, 3)
    assert note.startswith("note: 1 row is left out, of 3: rows.csv:3: `no`")


def test_it_is_quick(bench):
    """A block with few bad rows is not read row by row."""
    from unittest.mock import patch

    from dotnn.data.columns import NumberReader

    bench.write("rows.csv", "x\n" + "1\n" * 2000 + "no\n" + "2\n" * 2000)
    calls = []
    before = NumberReader._block

    def counted(self, rows):
        calls.append(len(rows))
        return before(self, rows)

    with patch.object(NumberReader, "_block", counted):
        found = load(skipping(bench, "rows.csv"), [bench.number("x")], bench.spans, bench.folder)
    assert found.splits["train"].count == 4000
    assert len(calls) < 40


# ---- folds


def folds(bench, name, count, fold, **more):
    data = bench.data(name, shares={"train": 0.8 * (count - 1) / count, "val": 0.8 / count, "test": 0.2}, **more)
    return data.model_copy(update={"split": data.split.model_copy(update={"folds": count, "fold": fold})})


def test_folds(bench):
    bench.write("rows.csv", "x,y\n" + "".join(f"{i},{i % 4 == 0:d}\n" for i in range(200)))
    given = [bench.number("x"), bench.whole("y", 2)]
    data = [folds(bench, "rows.csv", 5, fold, stratify="y") for fold in range(1, 6)]
    parts = [load(one, given, bench.spans, bench.folder, "y").splits for one in data]
    exams = [set(p["val"].arrays["x"].tolist()) for p in parts]
    tests = [set(p["test"].arrays["x"].tolist()) for p in parts]
    assert all(t == tests[0] and len(t) == 40 for t in tests)
    assert [len(e) for e in exams] == [32] * 5
    assert set().union(*exams) | tests[0] == set(range(200))
    for part, exam in zip(parts, exams, strict=True):
        assert set(part["train"].arrays["x"].tolist()) == set(range(200)) - tests[0] - exam
        assert part["val"].arrays["y"].sum() == 8, "stratified: a quarter of each"
        assert part["train"].arrays["x"].tolist() == sorted(part["train"].arrays["x"].tolist())


def test_more_folds_than_rows(bench, refused):
    bench.write("rows.csv", "x\n1\n2\n3\n")
    refused("D034", lambda: load(folds(bench, "rows.csv", 9, 9), [bench.number("x")], bench.spans, bench.folder))


def test_spread():
    from dotnn.inputs.folds import spread

    assert spread([2, 4, 6]) == (4, 2)
    assert spread([5]) == (5, 0)
