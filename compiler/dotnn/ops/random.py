"""Numbers that look random and can be repeated: the counter-based generator *squares*.

Source: B. Widynski, "Squares: a fast counter-based RNG", arXiv:2004.06278 (the 32-bit form, four rounds). Written with
multiplication, addition and division of u64 alone, since CUDA has no bitwise kernels; the bits are the same everywhere.

    squares(counter, key): x = y = counter * key;  z = y + key
        x = swap(x*x + y);  x = swap(x*x + z);  x = swap(x*x + y);  (x*x + z) >> 32        all modulo 2^64
    swap exchanges the upper and the lower 32 bits.
"""

from __future__ import annotations

import hashlib

from dotnn.graph import Dim, Type
from dotnn.operation import MisfitError, Operation, register

ROUNDS_KEY = 0xC58EFD154CE32F6D
"""The key with which seeds are turned into keys: odd, its hexadecimal digits well spread (Widynski, section 4)."""


def use_of(name: str) -> int:
    """The offset of the key for one use of the generator: even, so that an odd key stays odd; decided by its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") & ~1


def _derive_key(seed: Type) -> Type:
    if seed.dims or seed.dtype != "i64":
        raise MisfitError("a seed is one whole number")
    return Type(dtype="u64")


def _random(key: Type, step: Type, *, dims: tuple[Dim, ...], use: str, bits: int) -> Type:
    if bits not in (16, 24):
        raise MisfitError("random numbers have 16 or 24 bits")
    if step.rank > 1 or step.dims != dims[: step.rank]:
        raise MisfitError("random numbers have one step, or one for each row of them")
    return Type(dtype="f32", dims=dims)


def _shuffle(key: Type, epoch: Type, count: Type) -> Type:
    return Type(dtype="i64", dims=("n",))


derive_key = register(
    Operation(
        "derive_key",
        _derive_key,
        doc="seed i64 -> key u64: h(2*seed) * 2^32 + h(2*seed + 1), made odd, with h(c) = squares(c, ROUNDS_KEY)",
    )
)
random = register(
    Operation(
        "random",
        _random,
        doc="""uniform in [0, 1), f32 with `dims`, from key u64 and step i64.
Number i (counted in rows) is, with k = key + use_of(use) and c = step * 2^32:
for 24 bits the upper 24 of squares(c + i, k), times 2^-24;
for 16 bits, with w = squares(c + i // 2, k), the upper half of w
where i is even, the lower where it is odd, times 2^-16.
With a step for each row, i64[n], each row is drawn by itself, and i counts within it.""",
    )
)
shuffle = register(
    Operation(
        "shuffle",
        _shuffle,
        doc="""key u64, epoch i64, n i64 -> the order of n rows in that epoch, i64[n]: the rows sorted by
squares(epoch * 2^32 + row, key + use_of("shuffle")), the lower row first among equals.""",
    )
)
