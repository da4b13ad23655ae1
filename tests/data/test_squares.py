from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnn import squares
from dotnn.ops.random import ROUNDS_KEY, use_of

M = (1 << 64) - 1
WORDS = st.integers(0, M)


def by_hand(counter: int, key: int) -> int:
    """The paper's own listing, in whole numbers of Python."""
    x = y = counter * key & M
    z = y + key & M
    for add in (y, z, y):
        x = x * x + add & M
        x = (x >> 32 | x << 32) & M
    return (x * x + z & M) >> 32


@settings(derandomize=True, deadline=None)
@given(counters=st.lists(WORDS, min_size=1, max_size=5), key=WORDS)
def test_squares_by_hand(counters, key):
    found = squares.squares(np.array(counters, np.uint64), key)
    assert found.dtype == np.uint64
    assert found.tolist() == [by_hand(c, key) for c in counters]


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(-(2**63), 2**63 - 1))
def test_keys_by_hand(seed):
    high, low = by_hand(2 * seed & M, ROUNDS_KEY), by_hand(2 * seed + 1 & M, ROUNDS_KEY)
    key = squares.derive_key(seed)
    assert key == (high << 32 | low) | 1
    assert 0 <= key <= M


def test_a_scalar_counter_is_silent():
    assert squares.squares(np.int64(-3), 2**64 - 59).tolist() == by_hand(-3 & M, 2**64 - 59)


def test_uniform_by_hand():
    key = squares.derive_key(7)
    k = key + use_of("Digits.drop") & M
    c = 5 << 32
    wide = squares.uniform24(key, 5, (3, 5), "Digits.drop")
    narrow = squares.uniform16(key, 5, (3, 5), "Digits.drop")
    assert wide.dtype == narrow.dtype == np.float32
    assert wide.reshape(-1).tolist() == [(by_hand(c + i, k) >> 8) / 2**24 for i in range(15)]
    halves = [h for i in range(8) for w in (by_hand(c + i, k),) for h in (w >> 16, w & 0xFFFF)]
    assert narrow.reshape(-1).tolist() == [h / 2**16 for h in halves[:15]]


def test_uniform_of_no_dims_and_no_numbers():
    assert squares.uniform24(1, 0, (), "a").shape == ()
    assert squares.uniform16(1, 0, (0, 4), "a").shape == (0, 4)


def test_shuffle_by_hand():
    key = squares.derive_key(3)
    k = key + use_of("shuffle") & M
    order = squares.shuffle(key, 2, 100)
    assert order.dtype == np.int64
    assert order.tolist() == sorted(range(100), key=lambda row: (by_hand((2 << 32) + row, k), row))
    assert order.tolist() != squares.shuffle(key, 3, 100).tolist()
    assert squares.shuffle(key, 0, 0).tolist() == []


def test_numbers_are_even_over_the_interval():
    sample = squares.uniform24(squares.derive_key(1), 0, (100_000,), "even")
    counts = np.bincount((sample * 10).astype(int), minlength=10)
    # Standard deviation of a count: sqrt(100000 * 0.1 * 0.9) = 95.
    assert len(counts) == 10
    assert abs(counts - 10_000).max() < 500
