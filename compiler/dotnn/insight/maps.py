"""A map of who looks at whom as a picture: a row and a column for each word, the darker the more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.insight.ask import Answer, Words

MAPS = 16
"""Maps in one picture, at most."""
LETTERS = 14
"""Of a word."""


@dataclass(frozen=True)
class Map:
    """Numbers for each pair of words. Sides without words are numbered."""

    title: str
    numbers: Array
    down: Words
    across: Words


def maps(answer: Answer, examples: Sequence[int]) -> Iterator[Map]:
    """The maps in an answer, one for each example and each head, up to MAPS of them."""
    count = 0
    for place, example in enumerate(examples):
        numbers, words = answer.numbers[place], answer.words_of(place)
        rows = numbers[None] if numbers.ndim == 1 else numbers
        sides = [words[-2] if len(words) > 1 else ("",), words[-1]]
        for which in np.ndindex(rows.shape[:-2]):
            if count == MAPS:
                return
            count += 1
            named = [side if side is not None else _numbered(n) for side, n in zip(sides, rows.shape[-2:], strict=True)]
            heads = "".join(f", {number}" for number in which) if rows.shape[:-2] != (1,) * len(which) else ""
            held = rows[which][: len(named[0]), : len(named[1])]
            yield Map(f"{answer.text}, example {example}{heads}", held, *named)


def _numbered(count: int) -> Words:
    return tuple(str(number) for number in range(count))


def draw_map(axes: Any, drawn: Map) -> None:
    """One map on one pair of axes."""
    axes.imshow(drawn.numbers.astype(np.float64), cmap="Blues", aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(drawn.across)), [_short(word) for word in drawn.across], rotation=90)
    axes.set_yticks(range(len(drawn.down)), [_short(word) for word in drawn.down])
    axes.set_title(drawn.title, fontsize=10)


def _short(word: str) -> str:
    shown = "".join(c if c.isprintable() else "\ufffd" for c in word)
    return shown if len(shown) <= LETTERS else shown[: LETTERS - 1] + "…"
