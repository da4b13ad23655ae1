"""What the reader makes of `source`, `split` and `on` lines, and how they are written again."""

from __future__ import annotations

import pytest

from dotnn.read import read_text
from dotnn.write import write_spec
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source


def block(*lines):
    return "data d {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def read(*lines):
    return read_text(Source(name="x.nn", text=block('source table "a.csv"', "x = column a", *lines))).data[0]


def code(*lines):
    with pytest.raises(ProblemError) as caught:
        read(*lines)
    return [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "reader", "files"),
    [
        ('source table "a*.csv"', "table", ("a*.csv",)),
        ('source table "a.jsonl.xz", "b.parquet"', "table", ("a.jsonl.xz", "b.parquet")),
        ('source idx "a.gz", "b"', "idx", ("a.gz", "b")),
        ('source npz "a.npz"', "npz", ("a.npz",)),
    ],
)
def test_sources(line, reader, files):
    text = block(line, "x = column a")
    (made,) = read_text(Source(name="x.nn", text=text)).data[0].sources
    assert (made.reader, made.files) == (reader, files)
    assert line in write_spec(read_text(Source(name="x.nn", text=text)))


@pytest.mark.parametrize("word", ["csv", "jsonl", "parquet", "arrow", "feather"])
def test_ends_of_names_are_no_words(word):
    with pytest.raises(ProblemError) as caught:
        read_text(Source(name="x.nn", text=block(f'source {word} "a"', "x = column a")))
    assert "source table" in caught.value.problems[0].help_text


def test_folds():
    split = read("split folds 5, test 20%  stratify x").split
    assert (split.folds, split.fold, split.stratify) == (5, 1, "x")
    assert [(s.name, round(s.share, 10)) for s in split.shares] == [("train", 0.64), ("val", 0.16), ("test", 0.2)]
    split = read("split folds 10 in order").split
    assert (split.folds, split.in_order) == (10, True)
    assert [(s.name, round(s.share, 10)) for s in split.shares] == [("train", 0.9), ("val", 0.1)]


@pytest.mark.parametrize(
    "line", ["split folds 5, test 20% stratify x", "split folds 3 in order", "split folds 1000", "on bad row skip"]
)
def test_written_and_read_again(line):
    made = read_text(Source(name="x.nn", text=block('source table "a.csv"', "x = column a", line)))
    again = write_spec(made)
    assert line in again
    assert write_spec(read_text(Source(name="x.nn", text=again))) == again


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("split folds 1", ["R065"]),
        ("split folds 1001", ["R065"]),
        ("split folds 0", ["R065"]),
        ("split folds 20%", ["R012"]),
        ("split folds", ["R012"]),
        ("split folds 2.5", ["R012"]),
        ("split folds 5, train 60%", ["R066"]),
        ("split folds 5, val 10%", ["R066"]),
        ("split folds 5, test 100%", ["R024"]),
        ("split folds 5, test 20% often", ["R012"]),
        ("on bad row", ["R012"]),
        ("on bad row drop", ["R012"]),
        ("on bad rows skip", ["R012"]),
        ("on bad", ["R012"]),
        ("on", ["R012"]),
        ("on good row skip", ["R012"]),
        ("on bad row skip, error", ["R012"]),
        ("on bad row skip now", ["R012"]),
    ],
)
def test_lines_that_make_no_sense(line, expected):
    assert code(line) == expected


def test_bad_rows():
    assert read().bad_rows == "error"
    assert read("on bad row skip").bad_rows == "skip"
    assert read("on bad row error").bad_rows == "error"
