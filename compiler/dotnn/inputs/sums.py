"""Exact sums of very many numbers, in blocks: what ``math.fsum`` gives of all of them at once, to the last bit.

A double is m * 2^(e - 53) with a whole m below 2^53. For each e the m are summed as whole numbers, in two halves so
that no sum of a block passes 2^53; at the end all is one fraction, rounded once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

LOW = 1 << 27


class ExactSums:
    """Sums of the columns of tables ``f64[rows, columns]`` that come block by block. A block has 2^24 rows at most."""

    def __init__(self, columns: int) -> None:
        self._sums: list[dict[int, int]] = [{} for _ in range(columns)]
        self._odd = np.zeros(columns)
        """Sums of what is no finite number."""

    def add(self, block: npt.NDArray[Any]) -> None:
        fine = np.isfinite(block)
        if not fine.all():
            with np.errstate(invalid="ignore"):
                self._odd += np.where(fine, 0, block).sum(axis=0)
            block = np.where(fine, block, 0)
        mantissas, exponents = np.frexp(block.astype(np.float64))
        wholes = (mantissas * 2.0**53).astype(np.int64)
        high = np.floor_divide(wholes, LOW)
        low = (wholes - high * LOW).astype(np.float64)
        first = int(exponents.min()) if exponents.size else 0
        for column, sums in enumerate(self._sums):
            places = exponents[:, column] - first
            ups = np.bincount(places, weights=high[:, column].astype(np.float64))
            downs = np.bincount(places, weights=low[:, column])
            for place in np.flatnonzero((ups != 0) | (downs != 0)).tolist():
                exponent = first + place
                sums[exponent] = sums.get(exponent, 0) + int(ups[place]) * LOW + int(downs[place])

    def totals(self) -> list[float]:
        """The sum of each column, rounded once."""
        return [float(_exact(sums)) + float(odd) for sums, odd in zip(self._sums, self._odd, strict=True)]


def _exact(sums: dict[int, int]) -> Fraction:
    least = min(sums, default=53) - 53
    whole = sum(m << (e - 53 - least) for e, m in sums.items())
    return Fraction(whole * 2**least) if least >= 0 else Fraction(whole, 2**-least)
