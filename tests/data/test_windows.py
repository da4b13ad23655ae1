"""Windows of a long text and of a table in order of time: which steps they hold, what is fitted, what is refused."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.data import batches
from dotnn.data.steps import Cut, Passage, view
from dotnn.data.tokens import PAD, UNKNOWN, decoded
from dotnn.data.windows import bounds_of, read_book
from dotnn.inputs.survey import survey
from dotnn.read import read_text
from dotnn_grammar.source import Source

TEXT = """
param context = 4
data book {
  source text "book.txt"
  token  = characters
  next   = token shifted by 1
  window context
  split  train 60%, val 20%, test 20%  in order
}
net Next(token: int[b, t] < vocab) -> logits: [b, t, vocab] {
  weight table: [vocab, 4] ~ glorot
  weight place: [context, 4] ~ glorot
  logits = (table[token] + place[0..t]) -> dense(vocab)
}
train Next on book {
  loss   cross_entropy(logits, next)
  error  argmax(logits) != next
  answer argmax(logits) as next
  optimizer sgd(lr = 0.1)
  batch 2
  epochs 1
}
"""
SERIES = """
data air {
  source table "air.csv"
  x      = column x
  level  = standardise(x)
  growth = x / (x shifted by -1)
  next   = level shifted by 1
  coming = ahead(x)
  window  3
  horizon 2
  split train 50%, val 25%, test 25%  in order
}
net F(level: [b, t], growth: [b, t]) -> guess: [b, 2] { guess = concat(level, growth) -> dense(2) }
train F on air {
  loss   mse(guess, coming)
  metric rise = mean(next - level)
  optimizer sgd(lr = 0.01)
  batch 4
  epochs 1
}
"""
LETTERS = "abcdefghijklmnopqrstuvwxyz" * 4


def rows_of(count: int) -> str:
    return "x\n" + "".join(f"{step * step + 1}\n" for step in range(count))


@pytest.fixture
def book(bench):
    bench.write("book.txt", LETTERS + "\n")
    bench.write("book.nn", TEXT)
    return bench


@pytest.fixture
def air(bench):
    bench.write("air.csv", rows_of(40))
    bench.write("air.nn", SERIES)
    return bench


def made(bench: Any, name: str, **changed: tuple[str, str]) -> Any:
    """The program and its data, with some lines put otherwise."""
    path = bench.folder / name
    text = path.read_text()
    for old, new in changed.values():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return compile_file(path)


def spelt(program: Any, arrays: Any, name: str) -> list[str]:
    raw = next(raw for raw in program.inputs if raw.name == name)
    return [decoded(raw.tokens, row) for row in arrays[name].tolist()]


# ---- text


def test_windows_of_a_text(book):
    found = made(book, "book.nn")
    train = found.dataset.splits["train"]
    # 105 characters: 63, 21, 21
    assert train.count == 15
    assert spelt(found.program, train.arrays, "token")[:3] == ["abcd", "efgh", "ijkl"]
    assert spelt(found.program, train.arrays, "next")[:3] == ["bcde", "fghi", "jklm"]
    assert {name: rows.count for name, rows in found.dataset.splits.items()} == {"train": 15, "val": 5, "test": 5}
    val = spelt(found.program, found.dataset.splits["val"].arrays, "token")
    assert val[0] == LETTERS[63:67]
    test = spelt(found.program, found.dataset.splits["test"].arrays, "next")
    assert test[-1] == "xyz\ufffd"  # no line ends in the training part


def test_windows_are_views_of_one_array(book):
    arrays = made(book, "book.nn").dataset.splits["train"].arrays
    assert arrays["token"].base is not None
    assert np.shares_memory(arrays["token"], arrays["next"])
    with pytest.raises(ValueError, match="read-only"):
        arrays["token"][0, 0] = 1


def test_a_batch_of_windows_is_gathered(book):
    rows = made(book, "book.nn").dataset.splits["train"]
    order = np.array([3, 0, 7, 7, 2])
    found = list(batches(rows, order, 2))
    assert np.array_equal(np.concatenate([batch["token"] for batch in found]), np.asarray(rows.arrays["token"])[order])
    assert all(batch["token"].flags.c_contiguous for batch in found)


@pytest.mark.parametrize(("line", "starts"), [("window context by 2", "aceg"), ("window 6 by 1", "abcd")])
def test_windows_may_overlap(book, line, starts):
    found = made(book, "book.nn", a=("window context", line), b=("weight place: [context", "weight place: [6"))
    token = spelt(found.program, found.dataset.splits["train"].arrays, "token")
    assert "".join(window[0] for window in token[:4]) == starts


def test_the_vocabulary_is_that_of_the_training_part(book):
    book.write("book.txt", "abab" * 30 + "abzabz" * 10)
    found = made(book, "book.nn")
    token = next(raw for raw in found.program.inputs if raw.name == "token")
    assert token.tokens.pieces[4:] == ("a", "b")
    assert UNKNOWN in found.dataset.splits["test"].arrays["token"]
    assert "\ufffd" in "".join(spelt(found.program, found.dataset.splits["test"].arrays, "token"))


def test_all_vocabularies(book):
    pytest.importorskip("tokenizers", reason="needs the extra `text`")
    book.write("book.txt", "Once upon a time, in a wood.\n" * 40)
    for word in ("words(vocab = 20)", "words(lower = no)", "bpe(vocab = 300)", "characters(vocab = 9)"):
        found = made(book, "book.nn", a=("token  = characters", f"token  = {word}"))
        first = spelt(found.program, found.dataset.splits["train"].arrays, "token")[0]
        assert first.lower()[:1] in "on\ufffd"
        (book.folder / "book.nn").write_text(TEXT)


def test_files_follow_each_other(book):
    book.write("tales/b.txt.gz", gzip.compress(b"second\r\nline"))
    book.write("tales/a.txt", "\ufefffirst")
    data = read_text(Source(name="a.nn", text=TEXT.replace("book.txt", "tales/*"))).data[0]
    whole = data.model_copy(update={"split": None})
    assert "".join(read_book(whole, book.folder).training) == "first\nsecond\nline\n"


def test_a_text_of_many_chunks_is_the_same_text(book, monkeypatch):
    once = made(book, "book.nn").dataset
    monkeypatch.setattr("dotnn.data.text.CHUNK", 7)
    again = made(book, "book.nn").dataset
    for part, rows in once.splits.items():
        assert all(np.array_equal(array, again.splits[part].arrays[name]) for name, array in rows.arrays.items())
    assert once.fingerprint == again.fingerprint


def test_an_exam_of_its_own(book):
    book.write("exam.txt", "zyxwvutsrq")
    changed = {
        "a": ('source text "book.txt"', 'source text "book.txt"\n  test text "exam.txt"'),
        "b": ("split  train 60%, val 20%, test 20%  in order", "split train 80%, val 20% in order"),
    }
    found = made(book, "book.nn", **changed)
    assert spelt(found.program, found.dataset.splits["test"].arrays, "token") == ["zyxw", "vuts"]


def test_a_check_reads_only_the_beginning(book, monkeypatch):
    book.write("book.txt", LETTERS.encode() * 60_000 + b"\xff")
    assert check_file(book.folder / "book.nn").summary


def test_a_check_counts_as_training_does_or_says_about(book):
    path = book.folder / "book.nn"
    exact = check_file(path).summary
    assert exact == (f"Next learns {made(book, 'book.nn').program.parameters:,} numbers from book",)
    book.write("book.txt", LETTERS.encode() * 90_000)
    (large,) = check_file(path).summary
    assert large == exact[0].replace("learns ", "learns about ") + ", of which the beginning was read"


def test_bytes_that_are_no_text(book, refused):
    book.write("book.txt", b"one\ntwo \xff\n")
    problem = refused("D190", lambda: compile_file(book.folder / "book.nn"))
    assert "book.txt:2 is not UTF-8 text" in problem.title_text
    book.write("book.txt", b"")
    refused("D191", lambda: compile_file(book.folder / "book.nn"))


def test_a_text_that_is_too_short(book, refused):
    book.write("book.txt", "abcdefghij")
    problem = refused("D192", lambda: compile_file(book.folder / "book.nn"))
    assert "`val`" in problem.title_text


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("D063", "characters", "characters(length = 3)"),
        ("D063", "characters", "words(size = 3)"),
        ("B001", "token  = characters", "token  = character"),
        ("B193", "token  = characters", "token  = column text"),
        ("B192", "next   = token shifted by 1", "other = words\n  next = token shifted by 1\n  sum = other + token"),
        ("B002", "window context", 'window "a"'),
        ("B002", "window context", "window context - 4"),
        ("B002", "shifted by 1", "shifted by 0.5"),
        ("D192", "context = 4", "context = 50"),
    ],
)
def test_what_a_text_cannot_be(book, refused, code, old, new):
    error = "sum != next" if "sum" in new else "argmax(logits) != next"
    book.write("book.nn", TEXT.replace(old, new).replace("argmax(logits) != next", error))
    refused(code, lambda: compile_file(book.folder / "book.nn"))


def test_folds_of_a_text(book):
    path = book.folder / "book.nn"
    path.write_text(TEXT.replace("split  train 60%, val 20%, test 20%", "split folds 3, test 10%"))
    text = LETTERS + "\n"
    seen = []
    for fold in (1, 2, 3):
        found = compile_file(path, fold=fold)
        val = "".join(spelt(found.program, found.dataset.splits["val"].arrays, "token"))
        train = spelt(found.program, found.dataset.splits["train"].arrays, "token")
        assert val in text
        seen.append(text.index(val) if fold == 1 else len(val))
        assert all(window in text for window in train)
    assert seen[0] == 0


def test_what_is_shown(book):
    found = survey(book.folder / "book.nn", None)
    assert found.rows[0] == {"token": "abcd", "next": "bcde"}
    assert found.parts == {"train": 15, "val": 5, "test": 5}


# ---- series


def test_windows_of_a_series(air):
    found = made(air, "air.nn")
    x = np.arange(40.0) ** 2 + 1
    train, test = (found.dataset.splits[name].arrays for name in ("train", "test"))
    places = {raw.name: (raw.steps, raw.later) for raw in found.program.inputs}
    assert places == {"level": (3, 0), "growth": (3, -1), "coming": (2, 3), "next": (3, 1)}
    # `growth` looks one row back, `coming` two ahead: 1 … 15
    assert train["level"].tolist() == [x[start : start + 3].tolist() for start in range(1, 16)]
    assert train["growth"][0].tolist() == x[0:3].tolist()
    assert train["coming"].tolist() == [x[start + 3 : start + 5].tolist() for start in range(1, 16)]
    # All that is asked of the test part lies in it; what is looked at may begin before.
    assert test["next"][0].tolist() == x[30:33].tolist()
    assert test["level"][0].tolist() == x[29:32].tolist()
    assert test["coming"][-1].tolist() == x[38:40].tolist()


def test_it_is_standardised_by_the_training_steps_each_once(air):
    graph = made(air, "air.nn").program.graphs["eval"]
    x = np.arange(20.0) ** 2 + 1
    fitted = [node.attributes["values"] for node in graph.nodes if node.op == "array"]
    numbers = sorted(float(value) for values in fitted for value in values)
    assert len(numbers) == 2
    assert numbers == pytest.approx(sorted([x.mean(), x.std()]), rel=1e-6)


def test_only_what_comes_after_may_reach_far_back(air):
    found = made(
        air, "air.nn", a=("  next   = level shifted by 1\n", ""), b=("  metric rise = mean(next - level)\n", "")
    )
    x = np.arange(40.0) ** 2 + 1
    assert found.dataset.splits["test"].arrays["coming"][0].tolist() == x[30:32].tolist()
    assert found.dataset.splits["val"].arrays["coming"][0].tolist() == x[20:22].tolist()
    assert found.dataset.splits["train"].arrays["coming"][-1].tolist() == x[18:20].tolist()


def test_several_columns_are_a_dim_of_their_own(bench):
    bench.write("two.csv", "a,b,kind\n" + "".join(f"{n},{10 * n},{'up' if n % 2 else 'down'}\n" for n in range(12)))
    bench.write(
        "two.nn",
        """
data d {
  source table "two.csv"
  x    = standardise(columns a to b)
  kind = column kind as class
  then = ahead(kind)
  window 4 by 2
  split train 70%, test 30% in order
}
net N(x: [b, t, n]) -> logits: [b, 2] { logits = flatten(x) -> dense(2) }
train N on d {
  loss cross_entropy(logits, then[0..b, 0])
  optimizer sgd(lr = 0.1)
  batch 2
  epochs 1
}
""",
    )
    found = compile_file(bench.folder / "two.nn")
    arrays = found.dataset.splits["train"].arrays
    assert arrays["x"].shape == (2, 4, 2)
    assert arrays["x"][1].tolist() == [[n, 10.0 * n] for n in range(2, 6)]
    assert arrays["then"].tolist() == [[0], [0]]
    assert next(raw.classes for raw in found.program.inputs if raw.name == "then") == ("down", "up")


def test_no_window_holds_a_bad_row(air, refused):
    rows = rows_of(40).splitlines()
    rows[9] = "oops"
    air.write("air.csv", "\n".join(rows) + "\n")
    refused("D023", lambda: compile_file(air.folder / "air.nn"))
    found = made(air, "air.nn", a=("  window  3\n", "  window  3\n  on bad row skip\n"))
    starts = [row[0] for row in found.dataset.splits["train"].arrays["level"].tolist()]
    # Row 8 (from 0) is bad: a window that begins at s looks at s - 1 … s + 4.
    assert starts == [s * s + 1.0 for s in range(1, 16) if not s - 1 <= 8 <= s + 4]
    assert found.dataset.skipped.count == 1


def test_folds_of_a_series(air):
    path = air.folder / "air.nn"
    path.write_text(SERIES.replace("split train 50%, val 25%, test 25%", "split folds 4"))
    found = compile_file(path, fold=2)
    starts = np.sqrt(found.dataset.splits["train"].arrays["level"][:, 0] - 1).astype(int).tolist()
    assert starts == [*range(1, 6), *range(21, 36)]  # nothing of 10 … 19, which is the exam


def test_data_made_from_a_series(air):
    text = SERIES + "\ndata steeper = air where { x = 2 * x }\n"
    path = air.folder / "air.nn"
    path.write_text(text.replace("train F on air", "train F on steeper"))
    assert compile_file(path).dataset.splits["train"].count == 15


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("B191", "coming = ahead(x)", "coming = ahead(ahead(x))"),
        ("B191", "coming = ahead(x)", "coming = ahead(x, 3)"),
        ("B015", "next   = level shifted by 1", "next   = next shifted by 1"),
        ("D192", "window  3", "window  16"),
        ("R191", "  window  3\n", ""),
        ("R192", "in order", ""),
        ("R193", "in order", "stratify x in order"),
        ("R012", "horizon 2", "horizon 1.5"),
        ("B002", "horizon 2", "horizon 3 / 2"),
    ],
)
def test_what_a_series_cannot_be(air, refused, code, old, new):
    air.write("air.nn", SERIES.replace(old, new))
    refused(code, lambda: compile_file(air.folder / "air.nn"))


# ---- with a pencil


def test_bounds():
    def split(line: str) -> Any:
        text = f'data d {{\n source table "a.csv"\n x = column x\n split {line} in order\n}}'
        return read_text(Source(name="a.nn", text=text)).data[0].split

    assert bounds_of(None, 7) == {"train": [(0, 7)]}
    assert bounds_of(split("train 50%, test 30%"), 10) == {"train": [(0, 5)], "test": [(5, 8)]}
    folds = split("folds 3, test 10%").model_copy(update={"fold": 2})
    assert bounds_of(folds, 10) == {"train": [(0, 3), (6, 9)], "val": [(3, 6)], "test": [(9, 10)]}
    assert bounds_of(folds.model_copy(update={"fold": 1}), 10)["train"] == [(3, 9)]


def test_stretches_and_views():
    cut = Cut(size=3, by=2, before=1, after=1, back=1)
    assert Passage(0, 10).windows(cut).tolist() == [1, 3, 5]
    assert Passage(4, 10).windows(cut).tolist() == [3, 5]
    assert Passage(4, 10, 4).windows(cut).tolist() == [5]
    holes = np.zeros(10, bool)
    holes[4] = True
    assert Passage(0, 10).windows(cut, holes).tolist() == []
    steps = np.arange(20).reshape(10, 2)
    assert view(steps, np.array([1, 3, 4]), -1, 2)[:, :, 0].tolist() == [[0, 2], [4, 6], [6, 8]]
    assert view(steps, np.array([], np.int64), 0, 2).shape == (0, 2, 2)


def test_pad_at_the_end_of_a_shorter_text(book, nn, monkeypatch):
    monkeypatch.chdir(book.folder)
    assert nn("train", "book.nn", "--out", "run")[0] == 0
    code, out, err = nn("predict", "run", "ab")
    assert (code, len(out.split()[0])) == (0, 1), err
    assert nn("predict", "run", "a", "b")[1] == nn("predict", "run", "a b")[1]
    assert nn("predict", "run", "book.txt")[0] == 0
    assert "error[D193]" in nn("predict", "run", "")[2]
    table = nn("eval", "run", "--on", "book.txt")[1]
    assert "26" in table  # 105 characters, four at a time and one more
    assert PAD == 0


def test_a_prediction_takes_the_last_window(air, nn, monkeypatch):
    monkeypatch.chdir(air.folder)
    assert nn("train", "air.nn", "--out", "run")[0] == 0
    first = nn("predict", "run", "air.csv")[1]
    x = [str(step * step + 1) for step in range(36, 40)]
    assert nn("predict", "run", *x)[1] == first
    assert nn("predict", "run", "1", *x)[1] == first
    code, _, err = nn("predict", "run", "4", "5")
    assert code != 0
    assert "error[D195]" in err
    assert nn("eval", "run", "--on", "air.csv")[0] == 0
