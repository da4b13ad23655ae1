"""Metrics that are measured by themselves: on written texts, now and then, on one part of the data."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.generate.conftest import HERE

from dotnn.compiler import compile_file
from dotnn.data.tokens import decoded
from dotnn.generate.search import likeliest
from dotnn.generate.writer import Writer
from dotnn.plugins import Options, backend
from dotnn.program import Program
from dotnn.read import read_file
from dotnn.training.run import read_weights
from dotnn.write import write_spec


def test_it_is_measured_when_and_where_the_spec_says(pairs):
    epochs = [json.loads(line) for line in (pairs / "run/log.jsonl").read_text().splitlines()]
    assert [epoch["val"]["same"] is None for epoch in epochs] == [True, False, True, False, True]
    assert all("same" not in epoch["train"] for epoch in epochs)
    result = json.loads((pairs / "run/result.json").read_text())
    assert "same" not in result["train"]
    assert result["val"]["same"] > 0.9
    assert result["test"]["same"] > 0.9


def test_a_run_is_measured_again_with_the_same_figures(nn, pairs):
    result = json.loads((pairs / "run/result.json").read_text())
    found = json.loads(nn("eval", pairs / "run", "--format", "json")[1])
    for split in ("val", "test"):
        assert found[split]["same"] == pytest.approx(result[split]["same"], abs=1e-9)
    table = nn("eval", pairs / "run")[1]
    assert "same" in table.splitlines()[0]


def test_it_is_the_figure_of_the_texts_that_are_written(pairs):
    """Each sentence written by itself, word for word, and compared by the rules of the paper."""
    run = pairs / "run"
    program: Any = Program.model_validate_json((run / "program.json").read_bytes())
    data = compile_file(pairs / "pairs.nn").dataset.splits["test"].arrays
    target = next(raw.tokens for raw in program.inputs if raw.name == "to")
    pen = Writer(program, backend("onnx"), Options(threads=1), read_weights(run))
    written, meant = [], []
    for row in range(len(data["from"])):
        begin, others = np.array([[program.generation.begins]]), {"from": data["from"][row : row + 1]}
        [texts] = likeliest(pen, begin, 2, 10, others)
        written.append(decoded(target, texts[0].tokens).split())
        meant.append(decoded(target, data["to"][row].tolist()).split())
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["same"] == pytest.approx(by_hand(written, meant), abs=1e-9)


def test_a_claim_speaks_of_it(nn, pairs):
    """After training, and by `nn claims`; its rows are those of the place, on which the net writes anew."""
    result = json.loads((pairs / "run/result.json").read_text())
    code, told, _ = nn("claims", pairs / "run", "--format", "json")
    assert code == 0
    assert json.loads(told)["claims"] == result["claims"]
    first, second, third = result["claims"]
    same = {split: result[split]["same"] for split in ("val", "test")}
    assert (first["figure"], first["on"], first["holds"]) == (pytest.approx(same["test"], abs=1e-9), "test", True)
    assert second["figure"] == pytest.approx(same["test"] - same["val"], abs=1e-9)
    assert third["figure"] == pytest.approx(result["val"]["error"], abs=1e-6)
    program = Program.model_validate_json((pairs / "run/program.json").read_bytes())
    assert [claim.share for claim in program.claims] == [False, False, True]
    assert {place.graph: place.graph in program.graphs for place in program.claimed_on} == {
        "claims.pairs.test": False,  # nothing but texts is measured there
        "claims.pairs.val": True,
    }


def by_hand(written, meant):
    """Papineni et al. 2002, with a Counter for each sentence."""
    from collections import Counter

    logs = 0.0
    for n in range(1, 5):
        kept = every = 0
        for ours, theirs in zip(written, meant, strict=True):
            mine, yours = (
                Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for words in (ours, theirs)
            )
            kept += sum((mine & yours).values())
            every += sum(mine.values())
        logs += np.log(kept / every) / 4
    return float(np.exp(logs + min(0.0, 1 - sum(map(len, meant)) / sum(map(len, written)))))


SENTENCES = [
    ("the cat is on the mat today", "the cat is on the mat"),
    ("there is a cat on a mat here", "there is a cat on the mat here"),
    ("the the the the the the", "a dog runs to the sea"),
    ("it rains", "it rains in the north of the land"),
]
SACREBLEU = 0.42564236601003563
"""What sacrebleu 2.6 gives: `corpus_bleu(written, [meant], tokenize="none", smooth_method="none")`, over 100."""


def test_it_agrees_with_sacrebleu():
    written, meant = ([pair[n].split() for pair in SENTENCES] for n in (0, 1))
    assert by_hand(written, meant) == pytest.approx(SACREBLEU, abs=1e-12)


def test_a_metric_that_writes_nothing_may_be_measured_now_and_then(nn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(HERE / "lines.csv", tmp_path)
    text = (HERE / "nets.nn").read_text()
    line = "loss cross_entropy(logits, next)\n"
    metric = "  metric right = mean(argmax(logits) == next)  on val every 2 epochs\n"
    rows = "  metric apart = sum(argmax(logits) == next) / sum(next == next)  every 3 epochs\n"
    begin = text.index("train Learned")
    text = text[:begin] + text[begin:].replace(line, line + metric + rows, 1).replace("epochs 1\n", "epochs 4\n", 1)
    Path("nets.nn").write_text(text)
    assert nn("train", "nets.nn:Learned", "--out", "run")[0] == 0
    epochs = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert [epoch["val"]["right"] is None for epoch in epochs] == [True, False, True, False]
    assert [epoch["val"]["apart"] is None for epoch in epochs] == [True, True, False, True]
    assert [epoch["train"]["apart"] is None for epoch in epochs] == [True, True, False, True]
    assert "right" not in epochs[1]["train"]
    result = json.loads(Path("run/result.json").read_text())
    assert result["val"]["right"] == pytest.approx(result["val"]["apart"], abs=1e-12)
    assert 0 < result["val"]["right"] < 1


def test_the_line_is_written_as_it_was_read():
    spec, _ = read_file(HERE / "pairs.nn")
    assert "metric same = bleu(generate(Translate, from, beam = 2), to) on val every 2 epochs" in write_spec(spec)
    metric: Any = spec.trains[0].metrics[0]
    assert (metric.on, metric.every.value) == ("val", 2)
