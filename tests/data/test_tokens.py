"""Texts as numbers: what each tokenizer cuts, what is fitted and on which rows, sentences given to a trained net."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.data import read_values
from dotnn.data.tokenizers import Characters
from dotnn.data.tokens import CONSTANTS, PAD, UNKNOWN, decoded, encoder, fitted
from dotnn.entries import BUILT_IN
from dotnn.plugins import Vocabulary, registry
from dotnn.program import Tokens

TEXTS = ["The cat sat.", "A cat, a dog; don't!", "dog cat the"]


def fit(word, texts=TEXTS, **settings):
    return fitted(word, settings, texts, "text", None)


def test_words():
    tokens = fit("words")
    assert tokens.pieces == ("", "\ufffd", "", "", "cat", "a", "dog", "the", "!", ",", ".", ";", "don't", "sat")
    assert tokens.length == 8
    encode = encoder(tokens)
    assert encode("THE dog, zebra.") == [7, 6, 9, UNKNOWN, 10]
    assert decoded(tokens, [*encode("The cat sat."), PAD, PAD]) == "the cat sat."
    assert decoded(tokens, [CONSTANTS["start"], 4, CONSTANTS["end"], 5]) == "cat"


def test_settings():
    assert fit("words", vocab=6).pieces[4:] == ("cat", "a")
    assert fit("words", length=3).length == 3
    assert "The" in fit("words", lower=False).pieces
    assert fit("characters", ["abba", "b"]).pieces[4:] == ("b", "a")


def test_characters():
    tokens = fit("characters", ["héllo\u0301 日本"])
    encode = encoder(tokens)
    assert decoded(tokens, encode("日本 hello")) == "日本 h\ufffdllo"


def test_bpe():
    pytest.importorskip("tokenizers", reason="needs the extra `text`: pip install -e '.[text]'")
    tokens = fit("bpe", TEXTS * 20, vocab=280)
    encode = encoder(tokens)
    for text in (*TEXTS, "héllo 日本 \U0001f600"):
        assert UNKNOWN not in encode(text)
        assert decoded(tokens, encode(text)) == text
    assert len(encode("cat cat")) < len("cat cat")
    assert len(tokens.pieces) <= 280
    assert fit("bpe", TEXTS * 20, vocab=280) == tokens


def test_bpe_without_the_extra(refused, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    assert "dotnn[text]" in refused("D067", lambda: fit("bpe")).help_text


@pytest.mark.parametrize(
    ("word", "settings", "code"),
    [
        ("words", {"vocabulary": 5}, "D063"),
        ("characters", {"lower": True}, "D063"),
        ("words", {"vocab": 4}, "D064"),
        ("words", {"vocab": 4.5}, "D064"),
        ("words", {"vocab": True}, "D064"),
        ("words", {"length": 0}, "D064"),
        ("words", {"length": -3}, "D064"),
        ("words", {"length": 2**40}, "D064"),
        ("words", {"lower": 1}, "D064"),
        ("bpe", {"vocab": 100}, "D068"),
    ],
)
def test_settings_that_make_no_sense(refused, word, settings, code):
    if word == "bpe":
        pytest.importorskip("tokenizers", reason="needs the extra `text`")
    refused(code, lambda: fit(word, **settings))


def test_nothing_to_cut(refused):
    refused("D065", lambda: fit("words", [" ", "\t"]))


class Odd:
    """A stranger's tokenizer with a mistake."""

    name = "odd"
    summary = "wrong"

    def __init__(self, how):
        self.how, self.settings = how, {}

    def fit(self, texts, most, settings):
        if self.how == "fit":
            raise RuntimeError("no")
        return Vocabulary(tuple("abc") if self.how != "many" else tuple(map(str, range(most + 1))))

    def encoder(self, vocabulary, settings):
        return {"numbers": lambda text: [7], "raises": lambda text: 1 // 0}.get(self.how, lambda text: [0])

    def join(self, pieces):
        return ""


@pytest.mark.parametrize("how", ["fit", "many", "numbers", "raises"])
def test_a_strangers_tokenizer_is_looked_at(refused, monkeypatch, how):
    from dotnn.plugins import hook

    class Plugin:
        @hook
        def dotnn_tokenizers(self):
            return [Odd(how)]

    registry().manager.register(Plugin(), "odd plugin")
    try:
        problem = refused("D066", lambda: encoder(fitted("odd", {}, ["text"], "text", None))("text"))
        assert "`odd`" in problem.title_text
    finally:
        registry().manager.unregister(name="odd plugin")


@pytest.mark.parametrize("name", [entry.name for entry in BUILT_IN if entry.kind == "tokenizer"])
def test_our_own_pass_the_battery(name):
    from dotnn.testing import check_tokenizer

    if name == "bpe":
        pytest.importorskip("tokenizers", reason="needs the extra `text`")
    check_tokenizer(name).require()


class Forgetful(Characters):
    """Ties are broken by chance, unknown pieces have a number that is none."""

    turn = 0

    def fit(self, texts, most, settings):
        self.turn += 1
        pieces = super().fit(texts, most, settings).pieces
        return Vocabulary(pieces if self.turn % 2 else pieces[::-1])

    def encoder(self, vocabulary, settings):
        inner = super().encoder(vocabulary, settings)
        return lambda text: [n if n >= 0 else 10**6 for n in inner(text)]


def test_the_battery_sees_mistakes():
    from dotnn.testing import check_tokenizer

    report = check_tokenizer(Forgetful())
    assert [check.ok for check in report.checks] == [False, True, False, True]


# ---- in a spec


SPEC = """
data mail {
  source table "mail.csv"
  say  = column text as FORM
  kind = column kind as class
  split train 50%, test 50% in order
}
net Spam(say: int[b, t] < vocab) -> logits: [b, 2] {
  weight table: [vocab, 3] ~ glorot
  x = sum(table[say], over = 1) / t
  logits = x -> dense(2)
}
train Spam on mail {
  loss   cross_entropy(logits, kind)
  answer argmax(logits) as kind
  metric filled = mean(say != pad)
  optimizer sgd(lr = 0.1)
  batch 4
  epochs 1
}
"""
ROWS = 'text,kind\n"buy now, now",spam\nsee you soon,ham\nbuy it now or never,spam\nyou there,ham\n'


@pytest.fixture
def mail(bench):
    bench.write("mail.csv", ROWS)
    bench.write("mail.nn", SPEC.replace("FORM", "words"))
    return bench


def test_it_is_fitted_on_the_training_rows_alone(mail):
    made = compile_file(mail.folder / "mail.nn")
    (say,) = (raw for raw in made.program.inputs if raw.name == "say")
    assert say.tokens is not None
    assert say.tokens.pieces[4:] == ("now", ",", "buy", "see", "soon", "you")
    assert (say.tokens.length, say.dims, say.bound, say.dtype) == (4, (4,), 10, "i64")
    rows = made.dataset.splits
    assert rows["train"].arrays["say"].tolist() == [[6, 4, 5, 4], [7, 9, 8, PAD]]
    assert rows["test"].arrays["say"].tolist() == [[6, UNKNOWN, 4, UNKNOWN], [9, UNKNOWN, PAD, PAD]]
    # The net's sizes are solved.
    assert made.program.parameters == 10 * 3 + 3 * 2 + 2
    assert made.notes == ("note: 1 text of `say` is longer than its `length`, and cut there",)
    # And it stays with the program.
    again = Tokens.model_validate(json.loads(say.tokens.model_dump_json()))
    assert encoder(again)("buy now") == [6, 4]


def test_a_sentence(mail):
    made = compile_file(mail.folder / "mail.nn")
    inputs = made.program.inputs
    assert read_values(["Now, see!"], inputs)["say"].tolist() == [[4, 5, 7, UNKNOWN]]
    assert read_values(["text=now"], inputs)["say"].tolist() == [[4, PAD, PAD, PAD]]
    assert read_values(["1 = now"], inputs)["say"].tolist() == [[UNKNOWN, UNKNOWN, 4, PAD]]


def test_the_command(mail, capsys, monkeypatch):
    from dotnn.commands import main

    monkeypatch.chdir(mail.folder)

    def nn(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, capsys.readouterr()

    assert nn("train", "mail.nn", "--out", "run", "--device", "cpu")[0] == 0
    code, (out, _) = nn("predict", "run", "buy it now", "--format", "json")
    assert code == 0
    assert json.loads(out)["answer"] in ("spam", "ham")
    code, (out, _) = nn("predict", "run", "mail.csv", "--format", "json")
    assert len(out.splitlines()) == 4
    code, (_, err) = nn("predict", "run", "mial.csv")
    assert (code, "D011" in err) == (1, True)
    code, (out, _) = nn("data", "show", "mail.nn")
    assert "say buy now, now" in out
    assert nn("eval", "run")[0] == 0


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("wordz", "R025"),
        ("wordz(vocab = 3)", "R025"),
        ("words(vocab = 3)", "D064"),
        ("words(vocab = b)", "B001"),
        ("words(20)", "B002"),
        ("words(vocab = mean(2))", "B002"),
        ("words(vocab = relu)", "B002"),
        ("words(size = 3)", "D063"),
    ],
)
def test_forms_that_make_no_sense(mail, form, code):
    from dotnn_grammar.problems import ProblemError

    mail.write("mail.nn", SPEC.replace("FORM", form))
    with pytest.raises(ProblemError) as caught:
        check_file(mail.folder / "mail.nn")
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].span is not None


def test_a_param_may_say_how_many(mail):
    mail.write("mail.nn", "param most = 6\n" + SPEC.replace("FORM", "words(vocab = most, length = 2)"))
    made = compile_file(mail.folder / "mail.nn", {"most": "7"})
    assert made.program.parameters == 7 * 3 + 3 * 2 + 2


def test_an_empty_text(mail, refused):
    mail.write("mail.csv", ROWS.replace("see you soon", ""))
    refused("D025", lambda: compile_file(mail.folder / "mail.nn"))
    mail.write("mail.nn", SPEC.replace("FORM", "words").replace("  split", "  on bad row skip\n  split"))
    assert "1 row is left out" in compile_file(mail.folder / "mail.nn").notes[0]


def test_written_and_read_again():
    from dotnn.read import read_text
    from dotnn.write import write_spec
    from dotnn_grammar.source import Source

    made = read_text(Source(name="x.nn", text=SPEC.replace("FORM", "words(vocab = 4_000, length = 32)")))
    again = write_spec(made)
    assert "say = column text as words(vocab = 4000, length = 32)" in again
    assert write_spec(read_text(Source(name="x.nn", text=again))) == again


def test_numbers_are_whole(mail):
    made = compile_file(mail.folder / "mail.nn")
    assert made.dataset.splits["train"].arrays["say"].dtype == np.int64
