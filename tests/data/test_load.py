from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from dotnn import spec
from dotnn.data import check_sample, find_classes, load, open_source
from dotnn.data.tables import BLOCK

SPECS = Path(__file__).parents[2] / "specs"


def run(bench, raws, *, name="rows.csv", **settings):
    stratify = settings.pop("by", None)
    return load(bench.data(name, **settings), raws, bench.spans, bench.folder, stratify)


# ---- columns


def test_resolve(bench, refused):
    bench.write("rows.csv", "p0,p1,mean radius,p3\n1,2,3,4\n")
    table = open_source(bench.data("rows.csv"), bench.folder)
    assert table.resolve(bench.column("mean radius")) == ("mean radius",)
    assert table.resolve(bench.column("p1", "p3")) == ("p1", "mean radius", "p3")
    assert table.resolve(bench.column("p1", "p1")) == ("p1",)
    problem = refused("D030", lambda: table.resolve(bench.column("mean_radius")))
    assert problem.title_text == "the table has no column `mean_radius`"
    assert problem.help_text == "did you mean `mean radius`?"
    assert problem.span.line == 3
    assert "`p0`, `p1`" in refused("D030", lambda: table.resolve(bench.column("p0", "zzz"))).help_text
    assert "columns p0 to p3" in refused("D031", lambda: table.resolve(bench.column("p3", "p0"))).help_text


def test_arrays(bench):
    bench.write("rows.csv", "a,b,c,y,k,note\n1,2.5,-3e2,0,cat,x\n.5,5.,+6,9, dog ,y\n")
    raws = [
        bench.number("a", "b", "c"),
        bench.number("c", "a", name="turned"),
        bench.number("b", name="one"),
        bench.whole("y", 10),
        bench.kind("k", "cat", "dog", name="k"),
    ]
    rows = run(bench, raws).splits["train"]
    assert rows.count == 2
    assert list(rows.arrays) == ["x", "turned", "one", "y", "k"]
    assert rows.arrays["x"].dtype == np.float32
    assert rows.arrays["x"].tolist() == [[1, 2.5, -300], [0.5, 5, 6]]
    assert rows.arrays["turned"].tolist() == [[-300, 1], [6, 0.5]]
    assert rows.arrays["one"].tolist() == [2.5, 5]
    assert rows.arrays["y"].dtype == np.int64
    assert rows.arrays["y"].tolist() == [0, 9]
    assert rows.arrays["k"].tolist() == [0, 1]
    assert all(a.flags.c_contiguous for a in rows.arrays.values())


def test_whole_numbers_written_with_a_point(bench):
    bench.write("rows.csv", "y\n3.0\n4\n1e3\n9007199254740993\n")
    assert run(bench, [bench.whole("y")]).splits["train"].arrays["y"].tolist() == [3, 4, 1000, 9007199254740993]


# ---- cells that do not fit


@pytest.mark.parametrize(
    ("cell", "code", "title", "help_part"),
    [
        ("abc", "D023", "rows.csv:3: `abc` in the column `b` is not a number", "as class"),
        ('"3,5"', "D023", "rows.csv:3: `3,5` in the column `b` is not a number", "3.5"),
        ("1_000", "D023", "rows.csv:3: `1_000` in the column `b` is not a number", "digits"),
        ("٣", "D023", "rows.csv:3: `٣` in the column `b` is not a number", "digits"),
        ("0x10", "D023", "rows.csv:3: `0x10` in the column `b` is not a number", "digits"),
        ("5 cm", "D023", "rows.csv:3: `5 cm` in the column `b` is not a number", "digits"),
        ("\x1b[31m", "D023", "rows.csv:3: `\ufffd[31m` in the column `b` is not a number", ""),
        ("nan", "D024", "rows.csv:3: `nan` in the column `b` is no finite number", "remove the row"),
        ("-Inf", "D024", "rows.csv:3: `-Inf` in the column `b` is no finite number", "remove the row"),
        ("", "D025", "rows.csv:3: the column `b` has no value", "write the value"),
        ("  ", "D025", "rows.csv:3: the column `b` has no value", "write the value"),
        ("NA", "D025", "rows.csv:3: the column `b` has no value", "`NA` stands for nothing here; "),
        ("?", "D025", "rows.csv:3: the column `b` has no value", "`?` stands for nothing here; "),
        ("1e39", "D028", "rows.csv:3: `1e39` in the column `b` is too large", "3.4e+38"),
        ("1e999", "D028", "rows.csv:3: `1e999` in the column `b` is too large", "3.4e+38"),
    ],
)
def test_real_cells(bench, refused, cell, code, title, help_part):
    bench.write("rows.csv", f"a,b\n1,2\n3,{cell}\n5,oops\n")
    problem = refused(code, lambda: run(bench, [bench.number("a", "b")]))
    assert problem.title_text == title
    assert help_part in problem.help_text
    assert problem.span == bench.spans["x"]


@pytest.mark.parametrize(
    ("cell", "code", "title"),
    [
        ("10", "D027", "rows.csv:3: `10` in the column `y` is outside 0 to 9"),
        ("-1", "D027", "rows.csv:3: `-1` in the column `y` is outside 0 to 9"),
        ("2.5", "D026", "rows.csv:3: `2.5` in the column `y` is not a whole number"),
        ("nan", "D024", "rows.csv:3: `nan` in the column `y` is no finite number"),
        ("", "D025", "rows.csv:3: the column `y` has no value"),
        ("two", "D023", "rows.csv:3: `two` in the column `y` is not a number"),
        ("9223372036854775808", "D028", "rows.csv:3: `9223372036854775808` in the column `y` is too large"),
        ("1e30", "D028", "rows.csv:3: `1e30` in the column `y` is too large"),
        ("9" * 5000, "D028", f"rows.csv:3: `{'9' * 39}…` in the column `y` is too large"),
    ],
)
def test_whole_cells(bench, refused, cell, code, title):
    bench.write("rows.csv", f"x,y\n0,2\n0,{cell}\n0,77\n0,bad\n")
    problem = refused(code, lambda: run(bench, [bench.whole("y", 10)]))
    assert problem.title_text == title
    assert problem.span == bench.spans["y"]


@pytest.mark.parametrize("number", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_the_line_is_right_in_every_block(bench, refused, number):
    cells = ["1,2"] * (2 * BLOCK + 4)
    cells[number] = "1,bad"
    bench.write("rows.csv", 'a,b\n"1",2\n' + "\n".join(cells) + "\n")
    assert f"rows.csv:{number + 3}: " in refused("D023", lambda: run(bench, [bench.number("a", "b")])).title_text


def test_the_line_is_right_after_cells_of_several_lines(bench, refused):
    bench.write("rows.csv", 'a,note\n1,"two\nlines"\n2,"\n\n"\n3,\nbad,\n')
    assert "rows.csv:8: " in refused("D023", lambda: run(bench, [bench.number("a")])).title_text


def test_the_file_is_named_among_several(bench, refused):
    bench.write("a.csv", "x\n1\n")
    bench.write("b.csv", "x\n1\nbad\n")
    assert "b.csv:3: " in refused("D023", lambda: run(bench, [bench.number("x")], name="*.csv")).title_text


def test_columns_that_are_not_asked_for_may_hold_anything(bench):
    bench.write("rows.csv", "x,note\n1,\n2,NaN\n")
    assert run(bench, [bench.number("x")]).splits["train"].count == 2


def test_a_column_that_went_missing_since_the_program_was_compiled(bench, refused):
    bench.write("rows.csv", "a,z\n1,2\n")
    problem = refused("D030", lambda: run(bench, [bench.number("a", "b")]))
    assert "`b`" in problem.title_text
    assert problem.span == bench.spans["x"]


# ---- classes


def test_classes_are_those_of_the_training_rows(bench):
    bench.write("rows.csv", "x,k\n" + "".join(f"{i},{['b', 'a'][i % 2]}\n" for i in range(10)) + "10,rare\n")
    data = bench.data("rows.csv", shares={"train": 10 / 11, "test": 1 / 11}, in_order=True)
    assert find_classes(data, "k", bench.spans["y"], bench.folder)[0] == ("a", "b")


def test_classes_are_stripped_and_sorted(bench):
    bench.write("rows.csv", "k\n b \na\nb\nÄ\n")
    assert find_classes(bench.data("rows.csv"), "k", bench.spans["y"], bench.folder)[0] == ("a", "b", "Ä")


def test_unseen_class(bench, refused):
    bench.write("rows.csv", "x,k\n1,cat\n2,dog\n3,dag\n")
    raws = [bench.kind("k", "cat", "dog")]
    problem = refused("D029", lambda: run(bench, raws))
    assert problem.title_text == "rows.csv:4: `dag` in the column `k` is no class that training knows"
    assert problem.help_text == "did you mean `dog`?"
    bench.write("rows.csv", "x,k\n1,cat\n2,elephant\n")
    assert refused("D029", lambda: run(bench, raws)).help_text == "the classes are `cat`, `dog`"
    bench.write("rows.csv", "x,k\n1,cat\n2, \n")
    assert "rows.csv:3: " in refused("D025", lambda: run(bench, raws)).title_text


def test_one_class(bench, refused):
    bench.write("rows.csv", "x,k\n1,cat\n2, cat\n")
    problem = refused("D032", lambda: find_classes(bench.data("rows.csv"), "k", bench.spans["y"], bench.folder))
    assert problem.title_text == "every training row has `cat` in the column `k`"
    bench.write("rows.csv", "x,k\n1,7\n2,7\n")
    assert "`7`" in refused("D032", lambda: run(bench, [bench.whole("k", 10)])).title_text
    assert run(bench, [bench.whole("k", 10).model_copy(update={"role": "data"})]).splits["train"].count == 2


def test_a_class_without_a_name(bench, refused):
    bench.write("rows.csv", "x,k\n1,cat\n2,\n")
    problem = refused("D025", lambda: find_classes(bench.data("rows.csv"), "k", bench.spans["y"], bench.folder))
    assert "rows.csv:3: " in problem.title_text


def test_classes_of_a_column_that_is_not_there(bench, refused):
    bench.write("rows.csv", "x,kind\n1,cat\n")
    problem = refused("D030", lambda: find_classes(bench.data("rows.csv"), "kid", bench.spans["y"], bench.folder))
    assert problem.help_text == "did you mean `kind`?"


def test_find_classes_and_load_agree_on_the_split(bench):
    """Were the two to split differently, a class of the training rows would be missing from the list."""
    kinds = [["a", "b", "c", "d", "e", "f"][i * i % 6] for i in range(60)]
    bench.write("rows.csv", "x,k\n" + "".join(f"{i},{k}\n" for i, k in enumerate(kinds)))
    shares = {"train": 0.1, "val": 0.9}
    column = bench.line("kind", "k", "class")
    for stratify in (None, "kind"):
        for seed in range(5):
            data = bench.data("rows.csv", shares=shares, stratify=stratify, seed=seed, columns=(column,))
            classes, _ = find_classes(data, "k", bench.spans["y"], bench.folder)
            everything = bench.kind("k", *sorted(set(kinds)), name="y")
            found = load(data, [everything], bench.spans, bench.folder, "y" if stratify else None)
            seen = {sorted(set(kinds))[i] for i in found.splits["train"].arrays["y"].tolist()}
            assert tuple(sorted(seen)) == classes
            again = load(data, [everything], bench.spans, bench.folder)
            assert again.splits["train"].arrays["y"].tolist() == found.splits["train"].arrays["y"].tolist()


def test_classes_where_the_split_is_stratified_by_another_column(bench):
    rows = "".join(f"{'ab'[i % 2]},{i % 3}\n" for i in range(30))
    bench.write("rows.csv", "k,digit\n" + rows)
    column = bench.line("label", "digit", "int")
    data = bench.data("rows.csv", shares={"train": 0.5, "val": 0.5}, stratify="label", columns=(column,))
    assert find_classes(data, "k", bench.spans["y"], bench.folder)[0] == ("a", "b")


# ---- parts


def test_without_a_split_all_is_train(bench):
    bench.write("rows.csv", "x\n3\n1\n2\n")
    found = run(bench, [bench.number("x")])
    assert list(found.splits) == ["train"]
    assert found.splits["train"].arrays["x"].tolist() == [3, 1, 2]


def test_a_test_table_is_the_part_test(bench):
    bench.write("rows.csv", "x\n" + "".join(f"{i}\n" for i in range(10)))
    bench.write("exam/a.csv", "x\n100\n")
    bench.write("exam/b.csv", "x\n101\n")
    found = run(bench, [bench.number("x")], tests=["exam/*.csv"], shares={"train": 0.8, "val": 0.2}, in_order=True)
    assert {name: rows.arrays["x"].tolist() for name, rows in found.splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5, 6, 7],
        "val": [8, 9],
        "test": [100, 101],
    }
    counts = {n: rows.count for n, rows in run(bench, [bench.number("x")], tests=["exam/*.csv"]).splits.items()}
    assert counts == {"train": 10, "test": 2}


def test_a_test_table_beside_a_part_test(bench, refused):
    bench.write("rows.csv", "x\n1\n2\n")
    bench.write("exam.csv", "x\n1\n2\n")
    shares = {"train": 0.5, "test": 0.5}
    assert refused("D036", lambda: run(bench, [bench.number("x")], tests=["exam.csv"], shares=shares)).span.line == 5


def test_too_much(bench, refused):
    bench.write("rows.csv", "x\n1\n2\n")
    problem = refused("D033", lambda: run(bench, [bench.number("x")], shares={"train": 0.9, "val": 0.15}))
    assert problem.title_text == "the parts of the split make 105 %"


def test_thirds_and_tenths_are_not_too_much(bench):
    bench.write("rows.csv", "x\n" + "1\n" * 20)
    shares = {f"p{i}": 0.1 for i in range(10)}
    assert [rows.count for rows in run(bench, [bench.number("x")], shares=shares).splits.values()] == [2] * 10


def test_an_empty_part(bench, refused):
    bench.write("rows.csv", "x\n1\n2\n3\n")
    problem = refused("D034", lambda: run(bench, [bench.number("x")], shares={"train": 0.9, "val": 0.1}))
    assert problem.title_text == "the part `val` would have no row"
    assert "3 rows" in problem.label_text


def test_stratified(bench):
    bench.write("rows.csv", "x,y\n" + "".join(f"{i},{int(i % 10 == 0)}\n" for i in range(200)))
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    found = run(bench, [bench.number("x"), bench.whole("y", 2)], shares=shares, stratify="label", by="y")
    assert [int(rows.arrays["y"].sum()) for rows in found.splits.values()] == [14, 3, 3]
    assert [rows.count for rows in found.splits.values()] == [140, 30, 30]


def test_stratified_by_a_column_that_the_program_does_not_read(bench):
    bench.write("rows.csv", "x,y\n" + "".join(f"{i},{int(i % 10 == 0)}\n" for i in range(200)))
    shares = {"train": 0.7, "val": 0.3}
    for word in ("int", "class"):
        column = bench.line("label", "y", word)
        alone = run(bench, [bench.number("x")], shares=shares, stratify="label", columns=(column,))
        both = run(bench, [bench.number("x"), bench.whole("y", 2)], shares=shares, stratify="label", by="y")
        assert alone.splits["train"].arrays["x"].tolist() == both.splits["train"].arrays["x"].tolist()


def test_cannot_stratify(bench, refused):
    bench.write("rows.csv", "x,y\n1,2\n2,3\n")
    shares = {"train": 0.5, "val": 0.5}
    x = bench.number("x")
    assert refused("D035", lambda: run(bench, [x], shares=shares, stratify="weight", by="x")).span.line == 5
    assert "`gone`" in refused("D035", lambda: run(bench, [x], shares=shares, stratify="gone")).title_text
    column = bench.line("real", "y")
    refused("D035", lambda: run(bench, [x], shares=shares, stratify="real", columns=(column,)))
    column = bench.line("label", "yy", "int")
    refused("D030", lambda: run(bench, [x], shares=shares, stratify="label", columns=(column,)))


def test_rows_stand_in_the_order_of_the_table(bench):
    bench.write("rows.csv", "x\n" + "".join(f"{i}\n" for i in range(50)))
    for rows in run(bench, [bench.number("x")], shares={"train": 0.5, "val": 0.5}).splits.values():
        assert rows.arrays["x"].tolist() == sorted(rows.arrays["x"].tolist())


# ---- fingerprint, sample


def test_fingerprint(bench):
    content = b"x\n1\n2\n"
    bench.write("rows.csv", content)
    bench.write("packed/rows.csv.gz", gzip.compress(content))
    raws = [bench.number("x")]
    expected = hashlib.sha256(b"source" + hashlib.sha256(content).digest()).hexdigest()
    assert run(bench, raws).fingerprint == expected
    assert run(bench, raws, name="packed/rows.csv.gz").fingerprint == expected
    bench.write("rows.csv", b"x\n1\n3\n")
    assert run(bench, raws).fingerprint != expected


def test_sample_looks_at_the_first_rows_alone(bench, refused):
    bench.write("rows.csv", "x\n" + "1\n" * 200 + "bad\n")
    data = bench.data("rows.csv")
    assert check_sample(data, [bench.number("x")], bench.spans, bench.folder) == 200
    problem = refused("D023", lambda: check_sample(data, [bench.number("x")], bench.spans, bench.folder, rows=201))
    assert "rows.csv:202: " in problem.title_text
    bench.write("rows.csv", "x\n1\n2\n")
    assert check_sample(data, [bench.number("x")], bench.spans, bench.folder) == 2


def test_sample_finds_a_split_that_cannot_be(bench, refused):
    bench.write("rows.csv", "x\n1\n2\n")
    data = bench.data("rows.csv", shares={"train": 0.9, "val": 0.2})
    refused("D033", lambda: check_sample(data, [bench.number("x")], bench.spans, bench.folder))


# ---- the digits that come with the program


def test_digits(bench):
    files = ("data/digits.csv.gz",)
    source = spec.SourceLine(span=bench.spans["x"], role="source", reader="table", files=files)
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    data = bench.data("unused", shares=shares, stratify="label").model_copy(update={"sources": (source,)})
    raws = [bench.number(*(f"p{i}" for i in range(64))), bench.whole("digit", 10)]
    splits = load(data, raws, bench.spans, SPECS, "y").splits
    assert {name: rows.count for name, rows in splits.items()} == {"train": 1258, "val": 270, "test": 269}
    every = sum(np.bincount(rows.arrays["y"], minlength=10) for rows in splits.values())
    for name, share in shares.items():
        assert np.abs(np.bincount(splits[name].arrays["y"], minlength=10) - share * every).max() < 1
    image = splits["train"].arrays["x"]
    assert image.shape == (1258, 64)
    assert (image.min(), image.max()) == (0, 16)
