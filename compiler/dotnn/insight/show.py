"""Numbers for people: small tensors whole, large ones in a few words, pictures as shades of characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.insight import words
from dotnn.insight.ask import Answer

WHOLE = 64
"""Numbers of a tensor that are printed one by one."""
SHADES = " .:-=+*#%@"
"""From the least to the greatest."""
SIDES = range(4, 97)
"""Sizes of a side of what is drawn as a picture."""


def lines(answer: Answer, place: int, drawn: bool) -> Iterator[str]:
    """One answer for the example at that place. drawn: pictures as shades."""
    if answer.words:
        yield from words.lines(answer, place)
        return
    numbers = answer.numbers[place] if answer.each else answer.numbers
    picture = picture_in(numbers) if drawn and answer.each else None
    if picture is not None and answer.gradient:
        yield f"{answer.text} {list(numbers.shape)}, without signs: up to {one(abs(picture).max())}"
        yield from shaded(abs(picture))
    elif picture is not None:
        yield f"{answer.text} {list(numbers.shape)}, from {one(picture.min())} (blank) to {one(picture.max())}"
        yield from shaded(picture)
    elif numbers.ndim == 0:
        yield f"{answer.text}  {one(numbers)}{_class(answer, numbers)}"
    elif numbers.size <= WHOLE:
        yield f"{answer.text} {list(numbers.shape)}"
        yield from table(numbers)
    else:
        yield f"{answer.text} {list(numbers.shape)}  {summary(numbers)}"


def summary(numbers: Array) -> str:
    """What a large tensor holds, in a few words."""
    if numbers.dtype == np.bool_:
        return f"{numbers.mean():.1%} yes"
    real = numbers.astype(np.float64)
    fine = real[np.isfinite(real)]
    if not fine.size:
        return "not one finite number"
    words = [f"least {one(fine.min())}", f"mean {one(fine.mean())}", f"greatest {one(fine.max())}"]
    zeros, lost = (real == 0).mean(), real.size - fine.size
    words += [f"{zeros:.0%} are 0"] if zeros >= 0.005 else []
    words += [f"{lost:,} not finite"] if lost else []
    return ", ".join(words)


def table(numbers: Array) -> Iterator[str]:
    """A line for each row of the last dim, the numbers under each other."""
    rows = numbers.reshape(-1, numbers.shape[-1])
    cells = [[one(number) for number in row] for row in rows]
    width = max((len(cell) for row in cells for cell in row), default=0)
    for row in cells:
        yield "  " + "  ".join(f"{cell:>{width}}" for cell in row)


def picture_in(numbers: Array) -> Array | None:
    """The numbers as lines and columns, where they are a picture."""
    while numbers.ndim > 2 and numbers.shape[0] == 1:
        numbers = numbers[0]
    if numbers.ndim != 2 or numbers.dtype == np.bool_ or not all(side in SIDES for side in numbers.shape):
        return None
    real = numbers.astype(np.float64)
    return real if np.isfinite(real).all() else None


def shaded(picture: Array) -> Iterator[str]:
    """Each number twice, so that a picture is about as wide as it is high."""
    low, high = picture.min(), picture.max()
    steps = (picture - low) * ((len(SHADES) - 1) / (high - low) if high > low else 0.0)
    for row in np.rint(steps).astype(int):
        yield "  " + "".join(SHADES[step] * 2 for step in row)


def one(number: Any) -> str:
    """A number in four digits; a whole number whole."""
    value = number.item() if hasattr(number, "item") else number
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _class(answer: Answer, number: Array) -> str:
    if answer.classes is None or number.dtype.kind not in "iu":
        return ""
    return f" ({printable(answer.classes[int(number)])})"


def printable(text: str) -> str:
    """A text from the data, without what moves a terminal's cursor."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
