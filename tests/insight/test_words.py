"""Numbers that belong to the words of a text are shown beside them; which text that is follows from the graph."""

import numpy as np
import pytest

from dotnn.graph import Type
from dotnn.insight import words
from dotnn.insight.ask import Answer
from dotnn.insight.maps import MAPS, maps
from dotnn.insight.places import columns_along
from dotnn.program import RawColumn, Tokens
from dotnn.tape import Tape


def column(name, length):
    tokens = Tokens(tokenizer="words", pieces=("", "", "", "", "river", "bank"), length=length)
    return RawColumn(name=name, columns=(name,), dtype="i64", dims=(length,), tokens=tokens)


TEXTS = {"read": column("read", 7), "write": column("write", 5)}


def built():
    """A tape on which one text looks at another: its values by name."""
    tape = Tape("looks")
    table = tape.input("table", Type(dtype="f32", dims=(6, 8)), "state", learned=True)
    tokens = {n: tape.input(n, Type(dtype="i64", dims=("b", t.dims[0])), "data") for n, t in TEXTS.items()}
    other = tape.input("other", Type(dtype="f32", dims=("b", 5)), "data")
    x, y = (tape.add("gather", table, tokens[n]) for n in ("write", "read"))
    q = tape.add("normalise", x, eps=1e-5).reshape(("b", 5, 2, 4)).transpose((0, 2, 1, 3))
    k = (y * 2).reshape(("b", 7, 2, 4)).transpose((0, 2, 3, 1))
    look = tape.add("softmax", q @ k)
    seen = (look @ y.reshape(("b", 7, 2, 4)).transpose((0, 2, 1, 3))).transpose((0, 2, 1, 3)).reshape(("b", 5, 8))
    cut = tape.add("slice", look, axis=2, start=1, stop=5)
    made = {"look": look, "seen": seen + x, "mean": look.mean((1,)), "kept": look.sum((3,), keep=True), "cut": cut}
    made |= {"best": tape.add("argmax", look, axis=3), "table": table, "other": other, "tokens": tokens["read"]}
    together = other.reshape(("b", 1, 5)) + look.sum((1, 3)).reshape(("b", 1, 5))
    return made | {"merged": look.reshape(("b", 2, 35)), "together": together}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("look", [None, None, "write", "read"]),
        ("seen", [None, "write", None]),
        ("mean", [None, "write", "read"]),
        ("kept", [None, None, "write", None]),
        ("cut", [None, None, "write", "read"]),
        ("best", [None, None, "write"]),
        ("table", [None, None]),
        ("other", [None, None]),
        ("tokens", [None, "read"]),
        ("merged", [None, None, None]),
        ("together", [None, None, "write"]),
    ],
)
def test_a_dim_leads_back_to_its_text(name, wanted):
    found = columns_along(built()[name], TEXTS)
    assert [raw and raw.name for raw in found] == wanted


def answer(numbers, *texts, spoken=False):
    return Answer("look", np.asarray(numbers), True, words=tuple(t and (tuple(t),) for t in texts), spoken=spoken)


def told(*given, **named):
    return "\n".join(words.lines(answer(*given, **named), 0))


def test_a_map_is_a_table_with_words_at_its_sides():
    assert told([[[0.25, 0.75, 0], [1, 0, 0], [0, 0, 0]]], ["by", "river"], ["by", "river"]) == (
        "look [2 words, 2 words]\n"
        "           by  river\n"
        "     by  0.25   0.75\n"
        "  river  1.00   0.00"
    )  # fmt: skip


def test_each_head_has_a_table_and_a_lone_row_one_line():
    made = told(np.full((1, 2, 1, 2), 0.5), None, ["a"], ["a", "b"])
    assert made.count("look[0] [1 word, 2 words]") == made.count("look[1] [1 word, 2 words]") == 1
    assert told([[0.5, 0.25, 0]], ["a", "b"]) == "look [2 words]\n       a     b\n    0.50  0.25"
    assert told([[4, 5, 0]], ["river", "bank"], spoken=True) == "look  river bank"
    assert told([[[0.5, 1], [0.25, 2]]], ["a", "b"], None) == (
        "look [2 words, 2]\n        0     1\n  a  0.50  1.00\n  b  0.25  2.00"
    )


def test_of_many_words_the_greatest_are_named():
    many = [f"w{n}" for n in range(30)]
    row = np.zeros(30)
    row[[3, 7, 12]] = 0.5, 0.3, 0.2
    assert told(row[None, None], ["a"], many).splitlines()[1] == "  a  w3 0.50, w7 0.30, w12 0.20, w0 0.00, w1 0.00"


def test_maps_for_a_picture():
    numbers = np.zeros((3, 8, 4, 6))
    given = Answer("look", numbers, True, words=(None, (("a", "b"),) * 3, (("x", "y", "z"),) * 3))
    found = list(maps(given, [4, 5, 6]))
    assert len(found) == MAPS
    assert found[9].title == "look, example 5, 1"
    assert (found[0].numbers.shape, found[0].down, found[0].across) == ((2, 3), ("a", "b"), ("x", "y", "z"))
    one = next(maps(Answer("gaze", numbers[0, 0], True, words=((("x",),) * 4,)), [2]))
    assert (one.title, one.down, one.across) == ("gaze, example 2", ("",), ("x",))
