"""Which row goes into which part: decided by the seed, and easily checked with a pencil.

Say there are n rows, numbered from 0 in the order of the table, and parts with shares (70 %, 15 %, 15 %).

1.  *Shuffle.* Row i gets the number squares(i, key + use_of("split")), with the key of the data's seed
    (``squares.py``). The rows are put in order of their numbers, the lower row first among equals. With `in order`
    this step is left out.
2.  *Group.* With `stratify` the rows of one value form a group, the groups in order of their value; the order of step 1
    holds within each. Without, all rows are one group. If the shares make less than 100 %, what remains is a part too,
    the last one, whose rows are not used.
3.  *Count.* A group of m rows owes each part its share of m. Each part gets the whole rows of it at once. The rows left
    over go to those parts, one each, that are furthest behind in what all groups up to here owe them (the part named
    first among equals; none to a part that the group owes a whole number of rows).
4.  *Even out.* So each part gets from each group what is owed, rounded up or down. Should a part as a whole still be a
    row or more off its share (which takes four parts or more), left-over rows of single groups change places until
    none is.
5.  *Deal.* From each group the first rows go to the first part, the next ones to the second, and so on. Within a part
    the rows stand in the order of the table again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.ops.random import use_of
from dotnn.squares import derive_key, squares

Places = npt.NDArray[np.int64]


def split_rows(
    count: int,
    shares: Mapping[str, float],
    seed: int,
    groups: npt.NDArray[Any] | None = None,
    in_order: bool = False,
) -> dict[str, Places]:
    """The rows of each part, i64, rising; a row that no part gets is in none.

    ``groups`` holds one value a row, to stratify by. The shares are above 0 and make at most 1.
    """
    order = np.arange(count) if in_order else _shuffled(count, seed)
    exact = exact_shares(shares.values())
    if groups is None:
        members = [order]
    else:
        values, group_of = np.unique(groups, return_inverse=True)
        # A stable sort keeps the order of step 1 within each group.
        by_group = order[np.argsort(group_of[order], kind="stable")]
        ends = np.cumsum(np.bincount(group_of, minlength=len(values)))
        members = np.split(by_group, ends[:-1])
    counts = apportion([len(rows) for rows in members], exact)
    parts: list[list[Places]] = [[] for _ in exact]
    for rows, given in zip(members, counts, strict=True):
        for part, dealt in zip(parts, np.split(rows, np.cumsum(given)[:-1]), strict=True):
            part.append(dealt)
    return {
        name: np.sort(np.concatenate(part)).astype(np.int64)
        for name, part in zip(shares, parts[: len(shares)], strict=True)
    }


def apportion(sizes: Sequence[int], shares: Sequence[Fraction]) -> list[list[int]]:
    """How many rows each group gives to each part (steps 3 and 4). ``shares`` make exactly 1.

    Each entry is ``size * share`` rounded up or down, and so is each part's total.
    """
    whole = [[math.floor(size * share) for share in shares] for size in sizes]
    rest = [
        [size * share - n for share, n in zip(shares, given, strict=True)]
        for size, given in zip(sizes, whole, strict=True)
    ]
    extra = [[0] * len(shares) for _ in sizes]
    behind = [Fraction(0)] * len(shares)
    for left, more in zip(rest, extra, strict=True):
        behind = [b + r for b, r in zip(behind, left, strict=True)]
        open_to = sorted((j for j, r in enumerate(left) if r), key=lambda j: (-behind[j], j))
        for j in open_to[: int(sum(left))]:
            more[j] = 1
            behind[j] -= 1
    while _even_out(rest, extra, behind):
        pass
    return [[n + m for n, m in zip(given, more, strict=True)] for given, more in zip(whole, extra, strict=True)]


def _even_out(rest: list[list[Fraction]], extra: list[list[int]], behind: list[Fraction]) -> bool:
    """One left-over row less for a part with a row or more too many, or one more for one with a row too few.

    Such a row may have to pass through other parts; a way always exists, since rounding a table of fractions so that
    every entry, row and column goes up or down is always possible (Bacharach, 1966).
    """
    parts = range(len(behind))
    for j in parts:
        if abs(behind[j]) < 1:
            continue
        over = behind[j] < 0
        came: dict[int, tuple[int, int]] = {}
        queue = deque([j])
        while queue:
            here = queue.popleft()
            if here != j and (behind[here] > 0 if over else behind[here] < 0):
                while here != j:
                    before, group = came[here]
                    giver, taker = (before, here) if over else (here, before)
                    extra[group][giver], extra[group][taker] = 0, 1
                    behind[giver] += 1
                    behind[taker] -= 1
                    here = before
                return True
            for there in parts:
                if there in came or there == j:
                    continue
                giver, taker = (here, there) if over else (there, here)
                for group, left in enumerate(rest):
                    if left[taker] and extra[group][giver] and not extra[group][taker]:
                        came[there] = (here, group)
                        queue.append(there)
                        break
    return False


def exact_shares(shares: Any) -> list[Fraction]:
    """The shares as written (0.15 is 15/100 and not the double beside it), with the part that is not used, if any."""
    exact = [Fraction(str(share)).limit_denominator(10**9) for share in shares]
    unused = 1 - sum(exact, Fraction(0))
    return [*exact, unused] if unused > 0 else exact


def _shuffled(count: int, seed: int) -> Places:
    numbers = squares(np.arange(count), derive_key(seed) + use_of("split"))
    return np.argsort(numbers, kind="stable").astype(np.int64)
