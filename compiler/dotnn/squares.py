"""The generator of ``ops/random.py`` on the host, in NumPy: the same numbers, bit for bit.

Everything is u64 and wraps modulo 2^64. The formulas stand in ``ops/random.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dotnn.ops.random import ROUNDS_KEY, use_of

Words = npt.NDArray[np.uint64]
Steps = int | npt.NDArray[np.int64]
"""One step, or i64[n]: one for each row."""

_HALF = np.uint64(32)
_MODULUS = 1 << 64


def _word(number: int) -> np.uint64:
    """A whole number of any sign, modulo 2^64."""
    return np.uint64(int(number) % _MODULUS)


def _swap(x: Words) -> Words:
    return (x >> _HALF) | (x << _HALF)


def squares(counter: npt.ArrayLike, key: int) -> Words:
    """32 random bits (in u64, shape of ``counter``) for each counter u64 or i64, under ``key``."""
    # One dim at least: NumPy warns when a scalar wraps, and keeps silent for arrays, which is what is meant here.
    c = np.atleast_1d(np.asarray(counter)).astype(np.uint64)
    k = np.array([_word(key)])
    x = c * k
    y = x
    z = y + k
    x = _swap(x * x + y)
    x = _swap(x * x + z)
    x = _swap(x * x + y)
    bits: Words = np.reshape((x * x + z) >> _HALF, np.shape(counter))
    return bits


def derive_key(seed: int) -> int:
    """The key u64 of a seed (any whole number, modulo 2^64): odd."""
    counters = np.array([_word(2 * seed), _word(2 * seed + 1)])
    high, low = (int(h) for h in squares(counters, ROUNDS_KEY))
    return (high << 32 | low) | 1


def _counters(step: Steps, count: int) -> Words:
    """u64[count], or u64[n, count] where there are n steps."""
    first = np.asarray(step, np.int64).astype(np.uint64)[..., None] << _HALF
    counters: Words = np.arange(count, dtype=np.uint64) + first
    return counters


def _each(step: Steps, dims: tuple[int, ...]) -> int:
    """How many numbers are drawn for one step."""
    return int(np.prod(dims[np.ndim(step) :], dtype=np.int64))


def uniform24(key: int, step: Steps, dims: tuple[int, ...], use: str) -> npt.NDArray[np.float32]:
    """f32 of shape ``dims`` in [0, 1): multiples of 2^-24. With n steps the first of ``dims`` is n."""
    bits = squares(_counters(step, _each(step, dims)), key + use_of(use)) >> np.uint64(8)
    return (bits.astype(np.float32) * np.float32(2.0**-24)).reshape(dims)


def uniform16(key: int, step: Steps, dims: tuple[int, ...], use: str) -> npt.NDArray[np.float32]:
    """f32 of shape ``dims`` in [0, 1): multiples of 2^-16, two out of each word, the upper half first."""
    count = _each(step, dims)
    words = squares(_counters(step, (count + 1) // 2), key + use_of(use))
    both = np.stack([words >> np.uint64(16), words & np.uint64(0xFFFF)], axis=-1)
    halves = both.reshape(*words.shape[:-1], -1)[..., :count]
    return (halves.astype(np.float32) * np.float32(2.0**-16)).reshape(dims)


def shuffle(key: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """The order i64[count] of the rows in this epoch."""
    numbers = squares(_counters(epoch, count), key + use_of("shuffle"))
    return np.argsort(numbers, kind="stable").astype(np.int64)
