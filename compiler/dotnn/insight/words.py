"""Numbers that belong to the words of a text, shown beside these words: who looks at whom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dotnn.arrays import Array
from dotnn.insight.ask import Answer, Words

COLUMNS = 20
"""Words across, at most; of more only those with the greatest numbers are named."""
GREATEST = 5
"""That many."""
WIDEST = 10
"""Letters of a word at the head of a column."""


def lines(answer: Answer, place: int) -> Iterator[str]:
    """The numbers of one example beside the words of its text."""
    numbers, words = answer.numbers[place], answer.words_of(place)
    if answer.spoken:
        yield f"{answer.text}  {' '.join(words[0] or ())}"
        return
    *outer, across = words
    down = outer[-1] if outer else None
    for which in np.ndindex(numbers.shape[: max(numbers.ndim - 2, 0)]):
        part = "".join(f"[{number}]" for number in which) if numbers.shape[:-2] != (1,) * len(which) else ""
        yield f"{answer.text}{part} {_sizes(numbers[which], down, across)}"
        yield from _table(numbers[which], down, across)


def _sizes(numbers: Array, down: Words | None, across: Words | None) -> str:
    """How many words, or numbers, there are, padding left out: `[8 words, 8 words]`."""
    sides = ([] if numbers.ndim == 1 else [(down, numbers.shape[0])]) + [(across, numbers.shape[-1])]
    told = [str(size) if words is None else f"{len(words)} word{'s' * (len(words) != 1)}" for words, size in sides]
    return f"[{', '.join(told)}]"


def _table(numbers: Array, down: Words | None, across: Words | None) -> Iterator[str]:
    """A line for each word, or number, of the first dim; padding is left out."""
    rows = numbers[None] if numbers.ndim == 1 else numbers
    names = [""] if numbers.ndim == 1 else list(down) if down is not None else [str(n) for n in range(len(rows))]
    rows = rows[: len(names), : None if across is None else len(across)]
    margin = max(len(name) for name in names)
    if across is not None and len(across) > COLUMNS:
        for name, row in zip(names, rows, strict=True):
            best = np.argsort(-row, kind="stable")[:GREATEST]
            yield f"  {name:>{margin}}  " + ", ".join(f"{across[i]} {row[i]:.2f}" for i in best)
        return
    heads = [word[:WIDEST] for word in across] if across is not None else [str(n) for n in range(rows.shape[1])]
    widths = [max(len(head), 4) for head in heads]
    yield "  " + " " * margin + "  " + "  ".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))
    for name, row in zip(names, rows, strict=True):
        cells = (f"{number:>{width}.2f}" for number, width in zip(row, widths, strict=True))
        yield f"  {name:>{margin}}  " + "  ".join(cells)
