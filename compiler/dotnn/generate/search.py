"""How a text is found token by token: drawn, or as the likeliest of several that are followed side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dotnn.arrays import Array
from dotnn.generate.choose import NEVER, TEXTS
from dotnn.generate.writer import Way, Writer
from dotnn.plugins import Arrays

LENGTHS = 0.6
"""How much longer texts are favoured (Wu et al. 2016, arXiv:1609.08144, equation 14)."""


@dataclass
class Written:
    """One text: its tokens after the beginning, without the one that ends it, and the logarithm of its share."""

    tokens: list[int] = field(default_factory=list)
    likely: float = 0.0
    ended: bool = False


def drawn(writer: Writer, begin: Array, length: int, way: Way, others: Arrays | None = None) -> Iterator[list[Written]]:
    """Texts that go on from these beginnings, i64[b, n], after each token as they are by then.

    length: how many tokens there are at most. Text number r at place p draws from (seed, r, p) alone, so that it does
    not matter how many are written.
    """
    texts = [Written() for _ in begin]
    scores = writer.begin(begin, others)
    for place in range(length):
        draws = np.arange(len(begin), dtype=np.int64) * TEXTS + place
        chosen, shares = writer.choose(scores, way, draws)
        for text, token, share in zip(texts, chosen.tolist(), shares.tolist(), strict=True):
            if not text.ended:
                text.likely += float(np.log(max(share, 1e-45)))
                text.ended = token == writer.plan.ends
                text.tokens += [] if text.ended else [token]
        yield texts
        if all(text.ended for text in texts) or writer.full or place + 1 == length:
            return
        scores = writer.go_on(chosen)


def likeliest(
    writer: Writer, begin: Array, width: int, length: int, others: Arrays | None = None
) -> list[list[Written]]:
    """For each beginning, i64[n, m], the ``width`` likeliest texts that were found, the best first (beam search).

    Of all ways to go on from ``width`` texts the ``width`` likeliest are followed. A text that has ended is compared
    by log(share) / ((5 + tokens) / 6)^0.6, else short ones would win. others: for each beginning a row.
    """
    count = len(begin)
    rows = np.repeat(np.arange(count), width)
    given = {name: np.asarray(array)[rows] for name, array in (others or {}).items()}
    scores = writer.begin(np.asarray(begin)[rows], given)
    likely = np.full((count, width), -np.inf)
    likely[:, 0] = 0.0
    done: list[list[Written]] = [[] for _ in range(count)]
    open_ = [[Written() for _ in range(width)] for _ in range(count)]
    over = np.zeros(count, bool)
    for place in range(length):
        shares = _logs(scores, writer.plan.never).reshape(count, width, -1)
        total = likely[:, :, None] + shares
        parents, chosen = np.zeros((count, width), np.int64), np.zeros((count, width), np.int64)
        for n in range(count):
            if not over[n]:
                _follow(n, total[n], open_, done, likely, parents, chosen, width, writer.plan.ends)
                over[n] = _settled(done[n], likely[n], width, length)
        if over.all() or writer.full or place + 1 == length:
            break
        writer.reorder((np.arange(count)[:, None] * width + parents).reshape(-1))
        scores = writer.go_on(chosen.reshape(-1))
    for n in range(count):
        left = [text for text in open_[n] if np.isfinite(text.likely)] if len(done[n]) < width else []
        done[n] = sorted((*done[n], *left), key=_worth, reverse=True)[:width]
    return done


def _follow(
    n: int,
    total: Array,
    open_: list[list[Written]],
    done: list[list[Written]],
    likely: Array,
    parents: Array,
    chosen: Array,
    width: int,
    ends: int | None,
) -> None:
    """The texts of one beginning, each with one token more."""
    vocab = total.shape[1]
    flat = total.reshape(-1)
    best = _highest(flat, 2 * width)
    following: list[Written] = []
    for place in best.tolist():
        parent, token = divmod(place, vocab)
        before, worth = open_[n][parent], float(flat[place])
        if token == ends:
            if len(following) < width and np.isfinite(worth):
                done[n].append(Written(list(before.tokens), worth, True))
        elif len(following) < width:
            number = len(following)
            following.append(Written([*before.tokens, token], worth))
            parents[n, number], chosen[n, number], likely[n, number] = parent, token, worth
    open_[n] = following


def _highest(numbers: Array, count: int) -> Array:
    """Where the ``count`` highest numbers are, the highest first, of equals the first first."""
    falling = -numbers
    count = min(count, falling.size)
    near = np.flatnonzero(falling <= np.partition(falling, count - 1)[count - 1])
    if near.size < count:  # some are no numbers
        return np.argsort(falling, kind="stable")[:count]
    return near[np.argsort(falling[near], kind="stable")[:count]]


def _worth(text: Written) -> float:
    """What texts of unlike length are compared by."""
    return text.likely / _long(len(text.tokens) + text.ended)


def _long(tokens: int) -> float:
    return math.pow((5 + tokens) / 6, LENGTHS)


def _settled(done: list[Written], likely: Array, width: int, length: int) -> bool:
    """Whether nothing that is still open can become better than what has ended."""
    if len(done) < width:
        return False
    worst = sorted((_worth(text) for text in done), reverse=True)[width - 1]
    return float(likely.max()) / _long(length) <= worst


def _logs(scores: Array, never: tuple[int, ...]) -> Array:
    """Logarithms of the shares, f64."""
    wide = scores.astype(np.float64)
    wide[:, list(never)] = NEVER
    wide -= wide.max(axis=1, keepdims=True)
    shares: Array = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return shares
