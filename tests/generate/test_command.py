"""`nn generate` as a person uses it."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.generate.conftest import HERE

from dotnn.commands.predict import _short
from dotnn.program import Program

PROMPT = "two old dog sees one small house"
SAID = "mbwa zee mbili aona nyumba dogo moja"


def test_a_sentence_is_translated(nn, pairs):
    code, out, _ = nn("generate", pairs / "run", "--prompt", PROMPT)
    assert (code, out) == (0, f"{SAID}\n")
    code, out, _ = nn("generate", pairs / "run", "--prompt", PROMPT, "--beam", 3, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert found["text"] == SAID
    assert found["ended"] is True
    assert -2 < found["log_share"] < 0
    assert len(found["tokens"]) == 7


def test_the_reference_writes_the_same(nn, pairs):
    words = ("generate", pairs / "run", "--prompt", PROMPT, "--temperature", 1.5, "--count", 3, "--seed", 4)
    assert nn(*words)[1] == nn(*words, "--backend", "reference")[1]
    assert nn(*words)[1].count("\n\n") == 2


def test_a_seed_repeats_a_text_and_another_does_not(nn, pairs):
    def text(seed):
        return nn("generate", pairs / "run", "--prompt", "one red cat likes", "--temperature", 4, "--seed", seed)[1]

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(4)}) > 1


def test_what_was_never_seen_is_said(nn, pairs):
    """A sentence goes in as any other text does: words that it does not know are all one to it."""
    code, out, err = nn("generate", pairs / "run", "--prompt", "two purple dog sees", "--length", 3)
    assert code == 0
    assert "note: training never saw purple; the net" in err
    assert len(out.split()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), 'give it what it reads, `en`: --prompt "'),
        (("--prompt", " "), 'give it what it reads, `en`: --prompt "'),
        (("--prompt", "a", "--seed", 2**63), f"`--seed {2**63}`: a seed has 64 bits"),
        (("--prompt", "a", "--with", "ex=b"), "the net reads no column `ex`"),
        (("--prompt", "a", "--temperature", -1), "`--temperature -1`: it must be 0 or more"),
        (("--prompt", "a", "--top-p", 1.5), "`--top-p 1.5`: it is a share"),
        (("--prompt", "a", "--beam", 3, "--top-k", 2), "it follows the likeliest texts, and draws nothing"),
        (("--prompt", "a", "--beam", 2, "--count", 3), "--beam 3"),
        (("--prompt", "a", "--column", "fro"), "did you mean `from`?"),
        (("--prompt", "a", "--column", "to", "--output", "logit"), "did you mean `logits`?"),
        (("--prompt", "a", "--column", "from"), "looks at tokens that come after its own"),
    ],
)
def test_mistakes_are_explained(nn, pairs, words, said):
    code, out, err = nn("generate", pairs / "run", *words)
    assert (code, out) == (1, "")
    assert said in " ".join(err.split())


def test_asked_it_says_what_it_writes(nn, pairs):
    """Its spec has no `answer`: it needs what it reads alone, and gives no table of scores."""
    code, out, _ = nn("predict", pairs / "run", PROMPT)
    assert code == 0
    assert out.startswith(f"{SAID}  ")
    assert out.endswith(" %\n")
    table = pairs / "asked.csv"
    table.write_text(f"en\n{PROMPT}\none red cat likes two small house\n")
    code, out, _ = nn("predict", pairs / "run", table, "--format", "json")
    first, second = map(json.loads, out.splitlines())
    assert (code, first["answer"]) == (0, SAID)
    alone = json.loads(nn("generate", pairs / "run", "--prompt", PROMPT, "--temperature", 0, "--format", "json")[1])
    assert math.log(first["probability"]) == pytest.approx(alone["log_share"], abs=1e-4)
    assert second["answer"].split()[0] != "mbwa"
    assert nn("predict", pairs / "run", table, "--format", "csv")[1].startswith(f"answer,probability\n{SAID},0.")


BOOK = """
data book {
  source text "tale.txt"
  token = characters
  next  = token shifted by 1
  window 12
  split train 80%, test 20%  in order
}
net Next(token: int[b, t] < vocab) -> logits: [b, t, vocab] { logits = token -> embedding(vocab, 8) -> dense(vocab) }
train Next on book {
  loss cross_entropy(logits, next)
  optimizer adam(lr = 0.03)
  batch 8
  epochs 2
}
"""


def test_asked_how_a_text_goes_on_it_says_the_next_token(nn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exam = "Once a sly fox met two brown dogs beside the river. "
    Path("tale.txt").write_text("The king had a cat, and the cat had a fine hat. " * 16 + exam * 4)
    Path("book.nn").write_text(BOOK)
    code, _, err = nn("train", "book.nn", "--out", "run")
    assert code == 0
    proposed = re.search(r'nn generate run --prompt "([\w ]+)"\n', err)
    assert proposed is not None, err
    assert proposed[1] in exam + exam
    code, out, _ = nn("predict", "run", "The ki", "--format", "json")
    said = json.loads(out)
    assert (code, list(said)) == (0, ["answer", "probability"])
    out = nn("generate", "run", "--prompt", "The ki", "--length", 1, "--temperature", 0, "--format", "json")[1]
    likeliest = json.loads(out)
    assert said["answer"] == likeliest["text"]
    assert math.log(said["probability"]) == pytest.approx(likeliest["log_share"], abs=1e-5)
    # Nothing is kept from token to token: what comes next hangs on one letter.
    out = nn("generate", "run", "--prompt", "The", "--length", 30, "--beam", 2)[1]
    assert out == nn("generate", "run", "--prompt", "The", "--length", 30, "--beam", 2, "--backend", "reference")[1]


def test_a_white_space_that_comes_next_is_seen():
    assert _short("\n") == '"\\n"'
    assert _short(" ") == '" "'
    assert _short("two words") == "two words"


@pytest.fixture
def lines(nn, tmp_path, monkeypatch):
    """A run that has not learned what comes next by its data's word."""
    for name in ("nets.nn", "lines.csv"):
        shutil.copy(HERE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert nn("train", "nets.nn:Learned", "--out", "run")[0] == 0
    return tmp_path


def test_the_column_can_be_named(nn, lines):
    code, _, err = nn("generate", "run", "--prompt", "abc")
    assert code == 1
    assert "`Learned` has not learned what comes next in a text" in err
    assert "--column NAME" in err
    code, out, _ = nn("generate", "run", "--prompt", "abc", "--column", "token", "--length", 40, "--top-k", 6)
    assert code == 0
    assert out.startswith("abc")
    code, out, err = nn("generate", "run", "--prompt", "aXYb", "--column", "token", "--length", 2)
    assert "note: training never saw X Y" in err
    assert out.startswith("aXYb")


def test_a_recurrent_net_writes_with_its_weights_inside(nn, lines):
    """The long loop over the beginning reads weights that stand outside of it."""
    assert nn("train", "nets.nn:Turns", "--out", "turns")[0] == 0
    words = ("turns", "--prompt", "abcabcabc", "--column", "token", "--length", 5, "--temperature", 0)
    code, out, err = nn("generate", *words)
    assert (code, out.startswith("abcabcabc"), len(out) > 9) == (0, True, True), err
    assert nn("generate", *words, "--backend", "reference")[1] == out


def test_a_net_that_looks_ahead_is_shown_its_line(nn, lines):
    assert nn("train", "nets.nn:Ahead", "--out", "ahead")[0] == 0
    code, _, err = nn("generate", "ahead", "--prompt", "abc", "--column", "token")
    assert code == 1
    assert "error[W001]: `logits` looks at tokens that come after its own" in err
    assert "y[b, i, group, each, f] = look[b, group, each, i, j] * v[b, j, group, f]" in err


def test_a_run_keeps_what_any_runtime_needs(pairs):
    """start.onnx, next.onnx and choose.onnx, with the weights inside, write as `nn generate` does."""
    import numpy as np
    import onnxruntime as ort

    run = pairs / "run"
    program: Any = Program.model_validate_json((run / "program.json").read_bytes())
    plan = program.generation
    source = next(raw.tokens for raw in program.inputs if raw.name == "from")
    target = next(raw.tokens for raw in program.inputs if raw.name == "to")
    start, following, choose = (ort.InferenceSession(run / f"{name}.onnx") for name in ("start", "next", "choose"))
    sentence = np.zeros((1, source.length), np.int64)
    sentence[0, :7] = [source.pieces.index(word) for word in PROMPT.split()]
    window = np.zeros((1, plan.length), np.int64)
    window[0, 0] = plan.begins
    feeds = {"from": sentence, "to": window, "position": np.array(0)}
    settings = {"seed": np.array(0), "temperature": np.array(0, np.float32)}
    settings |= {"top_n": np.array(0), "top_p": np.array(1, np.float32)}
    words, session = [], start
    for place in range(plan.length):
        names = [output.name for output in session.get_outputs()]
        made = dict(zip(names, session.run(names, {i.name: feeds[i.name] for i in session.get_inputs()}), strict=True))
        draw = {"scores": made["logits"], "draw": np.array([place]), **settings}
        [token] = choose.run(["chosen"], {i.name: draw[i.name] for i in choose.get_inputs()})[0]
        if token == plan.ends:
            break
        words.append(target.pieces[token])
        feeds |= {name.removesuffix(".next"): array for name, array in made.items()}
        feeds |= {"to": np.array([token]), "position": np.array(place + 1)}
        session = following
    assert " ".join(words) == SAID
