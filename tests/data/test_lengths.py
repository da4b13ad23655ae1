"""Texts of unequal length: shifted and ended rows, batches by length; no row depends on its neighbours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.data.lengths import Batcher, Sizes, length_of, parts_of, rounded, table_of
from dotnn.data.load import Rows
from dotnn.data.tokens import END, PAD, START
from dotnn.plugins import Options, backend
from dotnn.program import Plan, RawColumn

PAIRS = """
data pairs {
  source table "pairs.csv"
  from = column en as words(length = 3)
  to   = column sw as words(start = yes, end = yes)
  next = to shifted by 1
  was  = to shifted by -1
  split train 75%, test 25% in order
}
net N(from: int[b, s] < english, to: int[b, t] < swahili) -> logits: [b, t, swahili] {
  weight e: [english, 4] ~ glorot
  weight f: [swahili, 4] ~ glorot
  read = mean(e[from], over = s)
  x[b, t, d] = f[to][b, t, d] + read[b, d]
  logits = x -> dense(swahili)
}
train N on pairs {
  loss cross_entropy(logits, next)
  error argmax(logits) != next where next != pad
  metric before = mean(was == pad)
  optimizer sgd(lr = 0.1)
  batch 2
  epochs 1
}
"""
ROWS = "en,sw\nhow are you now,habari yako\ngood,mwema\nnight,usiku mwema sana\nyou,wewe\n"
MAIL = """
data mail {
  source table "mail.csv"
  say  = column text as words
  kind = column kind as class
  split train 80%, test 20%
}
net Spam(say: int[b, t] < vocab) -> logits: [b, 2] {
  weight table: [vocab, 4] ~ glorot
  keep = real(say != pad)
  x[b, d] = (table[say])[b, t, d] * keep[b, t]
  n = sum(keep, over = t)
  mean[b, d] = x[b, d] / n[b]
  logits = (mean -> dense(2)) + real(t > 100)
}
train Spam on mail {
  loss   cross_entropy(logits, kind)
  error  argmax(logits) != kind
  answer argmax(logits) as kind
  optimizer adam(lr = 0.05)
  batch 4 by length
  epochs 3
}
"""


def texts(count: int) -> str:
    generator = np.random.default_rng(3)
    lines = ["text,kind"]
    for _ in range(count):
        words = generator.choice(list("abcdefgh"), generator.choice([2, 5, 9, 11, 20, 40]))
        lines.append(f"{' '.join(words)},{'yes' if (words == 'a').mean() > 0.1 else 'no'}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def mail(bench, monkeypatch):
    bench.write("mail.csv", texts(90))
    bench.write("mail.nn", MAIL)
    monkeypatch.chdir(bench.folder)
    return bench


# ---- pairs


def test_shifted_texts_are_filled_up(bench):
    bench.write("pairs.csv", ROWS)
    bench.write("pairs.nn", PAIRS)
    made = compile_file(bench.folder / "pairs.nn")
    raws = {raw.name: raw for raw in made.program.inputs}
    tokens = raws["to"].tokens
    assert tokens is not None
    pieces = tokens.pieces
    to, following, was = (made.dataset.splits["train"].arrays[name] for name in ("to", "next", "was"))
    words = [[pieces.index(word) for word in row.split()] for row in ("habari yako", "mwema", "usiku mwema sana")]
    assert to.tolist() == [[START, *row, END, *[PAD] * (3 - len(row))] for row in words]
    assert following.tolist() == [[*row, END, *[PAD] * (4 - len(row))] for row in words]
    assert was.tolist() == [[PAD, START, *row, END, PAD][:5] for row in words]
    assert (raws["next"].later, raws["was"].later, raws["next"].tokens) == (1, -1, tokens)
    # `from` is cut: what is cut away is said once, and a text that is cut has no end.
    assert made.dataset.cut == {"from": 1, "to": 0, "next": 0, "was": 0}


def test_a_text_that_is_cut_does_not_end(bench):
    bench.write("pairs.csv", ROWS)
    bench.write("pairs.nn", PAIRS.replace("words(start = yes, end = yes)", "words(end = yes, length = 2)"))
    to = compile_file(bench.folder / "pairs.nn").dataset.splits["train"].arrays["to"]
    assert [END in row for row in to.tolist()] == [False, True, False]


# ---- sizes


def test_sizes_with_a_pencil():
    lengths = np.array([1, 8, 9, 12, 13, 16, 17, 24, 25, 33, 48, 49, 65, 97])
    assert rounded(lengths).tolist() == [8, 8, 12, 12, 16, 16, 24, 24, 32, 48, 48, 64, 96, 128]
    assert length_of(np.array([[3, 0, 4, 0], [0, 0, 0, 0], [1, 0, 0, 0]])).tolist() == [3, 0, 1]


def column(name: str, places: str, later: int = 0) -> RawColumn:
    return RawColumn(name=name, columns=(name,), dtype="i64", dims=(20,), places=places, later=later)


def test_texts_that_are_one_have_one_size():
    raws = [column("to", "t"), column("next", "t", 1), column("from", "s")]
    filled = np.arange(20) < np.array([[9], [3], [20]])
    arrays = {"to": filled * 5, "next": np.roll(filled, -1, 1) * filled * 5, "from": filled[::-1] * 5}
    sizes = Sizes.of(raws, arrays)
    assert sizes is not None
    assert sizes.symbols == ("s", "t")
    assert sizes.each.tolist() == [[20, 12], [8, 8], [12, 20]]


def some(count: int) -> tuple[list[RawColumn], Rows]:
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 21, count)
    say = (np.arange(20) < lengths[:, None]) * (1 + np.arange(count))[:, None]
    return [column("say", "t")], Rows(count, {"say": say, "row": np.arange(count)})


@pytest.mark.parametrize("plan", [Plan(batch=3, by_length=True), Plan(batch=2, tokens=50, by_length=True)])
def test_batches_by_length(plan):
    raws, rows = some(41)
    batcher = Batcher(plan, raws, rows)
    order = np.random.default_rng(2).permutation(41)
    found = list(batcher(order))
    assert len(found) == batcher.count
    assert sorted(np.concatenate([batch["row"] for _, batch in found]).tolist()) == list(range(41))
    for count, batch in found:
        size = batch["say"].shape[1]
        assert len(batch["row"]) == count
        assert size in (8, 12, 16, 20)
        assert count <= (plan.batch if plan.tokens is None else max(plan.tokens // size, 1))
        assert (batch["say"][np.arange(count), length_of(batch["say"]) - 1] == batch["row"] + 1).all()
        assert (length_of(rows.arrays["say"][batch["row"]]) <= size).all()
    # The same again, in the middle of an epoch too; and another order makes as many.
    again = list(batcher(order, 5))
    assert [b["row"].tolist() for _, b in again] == [b["row"].tolist() for _, b in found[5:]]
    assert len(list(batcher(np.arange(41)))) == batcher.count


def test_every_row_is_evaluated_at_its_own_size():
    raws, rows = some(30)
    seen = []
    for places, part in parts_of(raws, rows.arrays, 4):
        assert len(part["row"]) <= 4
        assert part["row"].tolist() == places.tolist()
        assert set(rounded(length_of(part["say"]))) <= {part["say"].shape[1], 24}
        seen += places.tolist()
    assert sorted(seen) == list(range(30))
    table = table_of(Plan(batch=3, by_length=True), raws, rows.arrays)
    assert table is not None
    assert (table[:, 0] == 3).all()


# ---- in a spec


def test_a_size_that_each_batch_decides(mail):
    made = compile_file(mail.folder / "mail.nn")
    plan = made.program.plan
    assert (plan.by_length, plan.batch, plan.tokens) == (True, 4, None)
    say = made.program.graphs["train"].inputs[0]
    assert (say.name, say.type.dims) == ("say", ("b", "say_length"))
    assert plan.per_epoch == Batcher(plan, made.program.inputs, made.dataset.splits["train"]).count


def test_what_is_filled_up_changes_nothing(mail):
    program = compile_file(mail.folder / "mail.nn").program
    rows = compile_file(mail.folder / "mail.nn").dataset.splits["test"].arrays
    for name in ("reference", "onnx"):
        chosen, options = backend(name), Options()
        init = chosen.start(chosen.lower(program.graphs["init"], options), options)
        state = init.run({"seed": np.array(1)})
        predict = chosen.start(chosen.lower(program.graphs["predict"], options), options)
        weights = {fed.name: state[fed.name] for fed in program.graphs["predict"].inputs if fed.role == "state"}
        whole = predict.run({**weights, "say": rows["say"]})["logits"]
        for places, part in parts_of(program.inputs, {"say": rows["say"]}, 3):
            found = predict.run({**weights, **part})["logits"]
            np.testing.assert_allclose(found, whole[places], atol=1e-5)


def test_it_learns_predicts_and_is_measured(mail, nn):
    assert nn("train", "mail.nn", "--out", "run")[0] == 0
    done = json.loads((mail.folder / "run" / "result.json").read_text())
    figures = json.loads(nn("eval", "run", "--format", "json")[1])
    assert figures["train"]["loss"] == pytest.approx(done["train"]["loss"])
    code, out, _ = nn("predict", "run", "mail.csv")
    one_by_one = [nn("predict", "run", line.partition(",")[0])[1] for line in texts(90).splitlines()[1:6]]
    assert code == 0
    assert out.splitlines()[:5] == [line.strip("\n") for line in one_by_one]
    assert nn("probe", "run", "logits", "--example", "0..3")[0] == 0


def test_it_goes_on_in_the_middle_of_an_epoch(mail, nn):
    often = ("--checkpoint-every", "10 steps", "--keep-checkpoints", "30")
    assert nn("train", "mail.nn", "--out", "run", *often)[0] == 0
    weights = mail.folder / "run" / "weights.safetensors"
    straight = weights.read_bytes()
    kept = sorted((mail.folder / "run").glob("ckpt-*"))
    middle = [path for path in kept if int(path.name.removeprefix("ckpt-")) <= 30]
    assert middle[-1].name == "ckpt-000030"
    assert middle[-1] not in kept[-2:]
    for path in kept[len(middle) :]:
        shutil.rmtree(path)
    for name in ("result.json", "weights.safetensors", "predict.onnx"):
        (mail.folder / "run" / name).unlink()
    assert nn("resume", "run")[0] == 0
    assert weights.read_bytes() == straight


def test_the_host_program_makes_the_same_batches(mail, nn):
    assert nn("train", "mail.nn", "--out", "run")[0] == 0
    assert nn("compile", "mail.nn", "-o", "build", "--host", "python")[0] == 0
    told = subprocess.run([sys.executable, "build/host.py", "1"], capture_output=True, text=True, check=True).stdout
    log = [json.loads(line) for line in (mail.folder / "run" / "log.jsonl").read_text().splitlines()]
    assert told.splitlines() == [f"epoch {e['epoch']}: loss {e['train']['loss']:.4f}" for e in log]


def test_as_many_tokens_as_fit(mail):
    path = mail.folder / "mail.nn"
    path.write_text(MAIL.replace("batch 4 by length", "batch 100 tokens"))
    plan = compile_file(path).program.plan
    assert (plan.tokens, plan.batch, plan.by_length) == (100, 2, True)
    # Where every text has its length, so have all batches.
    path.write_text(MAIL.replace("batch 4 by length", "batch 100 tokens").replace("as words", "as words(length = 16)"))
    plan = compile_file(path).program.plan
    assert (plan.tokens, plan.batch, plan.by_length, plan.per_epoch) == (100, 6, False, None)
    assert check_file(path).summary


def test_a_bound_holds_for_the_longest(mail, refused):
    path = mail.folder / "mail.nn"
    text = MAIL.replace("keep = real", 'require t <= 40: "too long"\n  keep = real')
    path.write_text(text)
    assert check_file(path).summary
    path.write_text(text.replace("t <= 40", "t <= 39"))
    with pytest.raises(Exception, match="too long"):
        check_file(path)
