"""Rows larger than memory: the same numbers as in memory, bit for bit, from files that leave nothing behind."""

import math
import tempfile

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.data.passes import Passes
from dotnn.data.spill import Spill, gathered, room
from dotnn.inputs.sums import ExactSums
from dotnn.plugins import Options, backend
from dotnn.training.loop import train
from dotnn_grammar.limits import Limits, allowing

SPEC = """
data rows {
  source table "rows.csv"
  place = standardise(columns a to c)
  say   = column say as words(vocab = 12)
  kind  = column kind as class
  weigh = column c
  split train 60%, val 20%, test 20%  stratify kind
  seed 3
  on bad row skip
}
net N(place: [b, n], say: int[b, t] < vocab) -> s: [b, 2] {
  s = concat(place, mean(say -> embedding(vocab, 4), over = t)) -> dense(2)
}
train N on rows {
  loss cross_entropy(s, kind) weighted by balanced(kind) * weigh^2
  error argmax(s) != kind
  optimizer adam
  batch 16 drawn by balanced(kind)
  epochs 2
}
"""


@pytest.fixture
def rows(tmp_path):
    draw = np.random.default_rng(2)
    lines = ["a,b,c,say,kind"]
    for number in range(10_000):
        a, b, c = draw.normal(size=3)
        word = " ".join(f"w{n}" for n in draw.integers(0, 20, 3))
        kind = "yes" if a + b > 0.5 else "no"
        lines.append(f"{a:.5f},{b:.5f},{c:.5f},{word},{kind if number % 900 else ''}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "rows.nn").write_text(SPEC)
    return tmp_path / "rows.nn"


def test_the_same_numbers_bit_for_bit(rows):
    found = []
    for held in (2**30, 5_000):
        with allowing(Limits(held=held)):
            made = compile_file(rows)
            kept = train(made.program, made.dataset, backend("onnx"), Options(threads=1))
        found.append((made, kept))
    (there, straight), (here, streamed) = found
    for name, part in there.dataset.splits.items():
        for column, array in part.arrays.items():
            other = here.dataset.splits[name].arrays[column]
            assert isinstance(other, np.memmap), (name, column)
            assert not isinstance(array, np.memmap)
            assert array.dtype == other.dtype
            assert np.array_equal(array, other)
    assert here.program == there.program
    assert here.dataset.fingerprint == there.dataset.fingerprint
    for name, array in straight.state.items():
        assert array.tobytes() == streamed.state[name].tobytes(), name


def test_texts_are_gone_through_again_instead_of_kept(rows):
    from dotnn.data import training_texts
    from dotnn.job import Job, Text

    job = Job.of(Text.read(rows), None, {})
    data = job.block.lineage.root
    here, _ = training_texts(data, "say", data.span, rows.parent)
    with allowing(Limits(held=1_000)):
        there, whole = training_texts(data, "say", data.span, rows.parent)
    assert whole
    assert isinstance(here, list)
    assert isinstance(there, Passes)
    assert list(there) == list(there) == here


@pytest.mark.parametrize("held", [2**30, 1_000])
def test_generated_rows(tmp_path, held):
    path = tmp_path / "g.nn"
    path.write_text(
        "data g { source generate 3_000; x = uniform(0, 1)[4]; y = chance(50%); split train 80%, test 20% }\n"
        "net N(x: [b, n]) -> s: [b] { s = (x -> dense(1))[..., 0] }\n"
        "train N on g { loss bce(s, y); optimizer adam; batch 8; epochs 1 }\n"
    )
    with allowing(Limits(held=held)):
        made = compile_file(path).dataset
    x = made.splits["train"].arrays["x"]
    assert isinstance(x, np.memmap) == (held == 1_000)
    assert float(x.sum(dtype=np.float64)) == pytest.approx(4_808.4, abs=200)


def test_sums_are_those_of_fsum():
    draw = np.random.default_rng(0)
    for trial in range(60):
        count = int(draw.integers(1, 900))
        numbers = draw.normal(size=(count, 3))
        numbers = numbers * 10.0 ** draw.integers(-300, 300, (count, 3)) if trial % 3 else -np.abs(numbers)
        sums = ExactSums(3)
        for start in range(0, count, 200):
            sums.add(numbers[start : start + 200])
        assert sums.totals() == [math.fsum(column) for column in numbers.T]


def test_pieces():
    kept = Spill(100)
    own = np.arange(10, dtype=np.float32)
    assert kept.kept("a", [own]) == [own]
    assert kept.kept("a", [own, own, own]) == []
    whole = kept.whole("a", [own], "float32")
    assert isinstance(whole, np.memmap)
    assert whole.tolist() == [*own.tolist()] * 4
    part = gathered(whole.reshape(-1, 2), np.array([0, 3, 3]))
    assert part.tolist() == [[0, 1], [6, 7], [6, 7]]
    assert gathered(whole.reshape(-1, 2), np.array([], np.int64)).shape == (0, 2)
    assert room((3, 2), np.float32, 10).shape == (3, 2)


def test_a_full_disk(rows, refused, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    class Full:
        write = flush = truncate = full

        def close(self):
            pass

        def tell(self):
            return 0

    with allowing(Limits(held=5_000)):
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **more: Full())
        problem = refused("D081", lambda: compile_file(rows))
        assert "no space left" in problem.title_text
        assert "TMPDIR" in problem.help_text
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        refused("D081", lambda: compile_file(rows))


def test_nothing_is_left_behind(rows, tmp_path, monkeypatch):
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(below))
    with allowing(Limits(held=5_000)):
        made = compile_file(rows)
        assert list(below.iterdir()) == []
        assert made.dataset.splits["train"].count > 0
