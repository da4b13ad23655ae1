"""Texts are found as they should be: the likeliest of all where all are looked at, and drawn ones by seed and place."""

import itertools
from typing import Any

import numpy as np
import pytest
from tests.generate.conftest import compiled, run

from dotnn import plugins
from dotnn.generate.search import LENGTHS, _highest, drawn, likeliest
from dotnn.generate.writer import Way, Writer
from dotnn.program import Generation

WORDS, END = 4, 3


class Table(Writer):
    """Writes by a table: what comes next hangs on the last two tokens. Stands in for a ``Writer``."""

    def __init__(self, seed, ends=END, room=99):
        self.scores = np.random.default_rng(seed).normal(size=(WORDS, WORDS, WORDS)) * 1.5
        self.plan = Generation(column="", output="", length=room, never=(0,), ends=ends)
        self.room = room
        self.asked = 0

    @property
    def full(self):
        return self.tokens.shape[1] >= self.room

    def begin(self, tokens, others=None):
        self.tokens = np.concatenate([np.ones((len(tokens), 1), int), tokens], axis=1)
        return self._scores()

    def go_on(self, chosen):
        self.tokens = np.concatenate([self.tokens, chosen[:, None]], axis=1)
        return self._scores()

    def reorder(self, parents):
        self.tokens = self.tokens[parents]

    def _scores(self):
        self.asked += 1
        return self.scores[self.tokens[:, -2], self.tokens[:, -1]]

    def logs(self, before, last):
        scores = self.scores[before, last].copy()
        scores[0] = -1e30
        return scores - np.log(np.exp(scores).sum())


def best_of_all(table, length):
    """Every text there is, compared as beam search compares them."""
    found: list[Any] = []
    for count in range(length + 1):
        for words in itertools.product((1, 2), repeat=count):
            path, before, last = 0.0, 1, 2
            for word in words:
                path += table.logs(before, last)[word]
                before, last = last, word
            if count < length:
                whole = path + table.logs(before, last)[END]
                found.append((whole / ((5 + count + 1) / 6) ** LENGTHS, list(words), whole))
            else:
                found.append((path / ((5 + count) / 6) ** LENGTHS, list(words), path))
    _, words, likely = max(found)
    return words, likely


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_search_finds_the_likeliest_of_all(seed):
    table = Table(seed)
    words, likely = best_of_all(table, 4)
    [texts] = likeliest(table, np.array([[2]]), 40, 4)
    assert texts[0].tokens == words
    assert texts[0].likely == pytest.approx(likely)


def test_a_search_of_width_1_takes_the_likeliest_word_each_time():
    table = Table(7, ends=None)
    [[text]] = likeliest(table, np.array([[2]]), 1, 6)
    before, last, expected = 1, 2, list[int]()
    for _ in range(6):
        expected.append(int(table.logs(before, last).argmax()))
        before, last = last, expected[-1]
    assert text.tokens == expected
    assert not text.ended


def test_several_beginnings_are_searched_side_by_side():
    begins = np.array([[1], [2], [1]])
    together = likeliest(Table(3), begins, 3, 5)
    for number, begin in enumerate(begins):
        [alone] = likeliest(Table(3), begin[None], 3, 5)
        assert [t.tokens for t in together[number]] == [t.tokens for t in alone]
        assert [t.likely for t in together[number]] == pytest.approx([t.likely for t in alone])


def test_texts_are_told_best_first_and_differ():
    [texts] = likeliest(Table(5), np.array([[2]]), 4, 6)
    worth = [t.likely / ((5 + len(t.tokens) + t.ended) / 6) ** LENGTHS for t in texts]
    assert worth == sorted(worth, reverse=True)
    assert len({(tuple(t.tokens), t.ended) for t in texts}) == len(texts) == 4


def test_it_ends_where_the_window_does():
    table = Table(1, ends=None, room=5)
    [[text]] = likeliest(table, np.array([[2]]), 1, 50)
    assert len(text.tokens) == 4  # begins with two, has room for three more, and the last need not be read again
    assert table.asked == 4


def test_the_highest_are_found_as_by_putting_all_in_order():
    numbers = np.random.default_rng(0)
    for size, most in [(1, 1), (7, 3), (50, 5), (400, 20)]:
        scores = numbers.integers(0, most, size).astype(float)
        scores[numbers.integers(0, size, size // 3)] = -np.inf
        for count in (1, 4, 60):
            assert _highest(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()
    broken = np.array([1.0, np.nan, 3.0, np.nan])
    assert _highest(broken, 3).tolist()[:2] == [2, 0]


def writer(name="Learned", **words):
    net = compiled(name)
    options = plugins.Options(threads=1)
    return Writer(net.program, plugins.backend("onnx"), options, net.state, **words)


def texts_of(count, way, length=30):
    net = compiled("Learned")
    begin = np.repeat(net.tokens[:1, :3], count, axis=0)
    last = list(drawn(writer(), begin, length, way))[-1]
    return [text.tokens for text in last]


def test_a_text_does_not_hang_on_how_many_are_written():
    way = Way(temperature=1.0, seed=5)
    three = texts_of(3, way)
    assert texts_of(1, way) == three[:1]
    assert three[0] != three[1]
    assert texts_of(1, Way(temperature=1.0, seed=6)) != three[:1]
    assert all(0 not in text and 1 not in text for text in three)


def test_beyond_the_window_the_last_half_is_read_anew():
    net = compiled("Rotary")
    plan, pen = net.plan, writer("Rotary")
    tokens = np.concatenate([net.tokens, net.tokens[:, ::-1]], axis=1)
    scores = pen.begin(tokens[:, :2])
    for count in range(3, 20):
        scores = pen.go_on(tokens[:, count - 1])
        seen = count if count <= plan.length else plan.length // 2 + (count - plan.length - 1) % (plan.length // 2 + 1)
        window = np.zeros((3, plan.length), np.int64)
        window[:, :seen] = tokens[:, count - seen : count]
        feeds = {**net.state, plan.column: window}
        whole = run(net.program.graphs["predict"], feeds, "onnx", float64=False)[plan.output]
        assert np.abs(scores - whole[:, seen - 1]).max() < 1e-4


def test_of_a_long_beginning_the_last_places_are_seen():
    net = compiled("Rotary")
    long = np.concatenate([net.tokens, net.tokens[:, ::-1]], axis=1)
    seen = writer("Rotary").begin(long)
    assert np.abs(seen - writer("Rotary").begin(long[:, -net.plan.length :])).max() < 1e-6


def test_rows_go_on_from_their_parents():
    pen, net = writer("Both"), compiled("Both")
    pen.begin(net.tokens[:, :4], net.others)
    pen.go_on(net.tokens[:, 4])
    pen.reorder(np.array([2, 2, 0]))
    found = pen.go_on(net.tokens[:, 5])
    parents = net.tokens[[2, 2, 0]].copy()
    parents[:, 5] = net.tokens[:, 5]
    window = np.where(np.arange(net.plan.length) < 6, parents, 0)
    others = {name: array[[2, 2, 0]] for name, array in net.others.items()}
    feeds = {**net.state, **others, net.plan.column: window}
    own = run(net.program.graphs["predict"], feeds, "onnx", float64=False)[net.plan.output][:, 5]
    assert np.abs(found - own).max() < 1e-5
