"""Answers as one picture: points in the plane, small pictures side by side, curves. Needs the extra `plot`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.insight.ask import Answer
from dotnn.insight.maps import draw_map, maps
from dotnn.insight.show import one, picture_in, printable
from dotnn_grammar.problems import Problem

TILES = 100
"""Small pictures that are drawn, at most."""
NAMED = 20
"""Classes that have a place in the legend."""


class NoPlots(Problem):
    code = "I012"
    title = "a picture needs matplotlib, which is not installed"
    help = "pip install 'dotnn[plot]'; or save the numbers: a name that ends in .npz, .csv or .json"


class NotDrawn(Problem):
    code = "I013"
    title = "`{text}` {dims} cannot be drawn"
    help = (
        "two numbers an example are points, [h, w] is a picture, one number or a list a curve; "
        ".npz and .json hold anything"
    )
    text: str
    dims: str


def draw(path: Path, answers: Sequence[Answer], examples: Sequence[int], by: Answer | None) -> None:
    """Each answer beside the other. Raises ``ProblemError``."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NoPlots().error() from None
    found = [each for answer in answers if answer.words and not answer.spoken for each in maps(answer, examples)]
    answers = [answer for answer in answers if not answer.words]
    count = len(found) + len(answers)
    across = len(answers) if not found else math.ceil(math.sqrt(count))
    down = math.ceil(count / max(across, 1))
    figure = Figure(figsize=(6.5 * max(across, 1), 6 * max(down, 1)), layout="constrained")
    places = np.atleast_1d(figure.subplots(max(down, 1), max(across, 1))).reshape(-1)
    for axes in places[count:]:
        axes.set_axis_off()
    for each, axes in zip(found, places[len(answers) :], strict=False):
        draw_map(axes, each)
    for answer, axes in zip(answers, places, strict=False):
        axes.set_title(printable(answer.text))
        numbers = answer.numbers.astype(np.float64) if answer.numbers.dtype != np.bool_ else answer.numbers * 1.0
        _one(axes, answer, numbers, examples, by)
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def _one(axes: Any, answer: Answer, numbers: Array, examples: Sequence[int], by: Answer | None) -> None:
    if answer.each and numbers.ndim == 2 and numbers.shape[1] == 2:
        return _points(axes, numbers, by)
    if answer.each and numbers.ndim > 2 and picture_in(numbers[0]) is not None:
        return _tiles(axes, numbers)
    if not answer.each and numbers.ndim == 2:
        axes.imshow(numbers, aspect="auto", cmap="gray")
        return None
    if answer.each and numbers.ndim == 2 and len(numbers) > 12:
        axes.imshow(numbers, aspect="auto", interpolation="nearest")
        axes.set_ylabel("example")
        return None
    if numbers.ndim in (1, 2):
        for place, row in enumerate(numbers if numbers.ndim == 2 else [numbers]):
            axes.plot(row, marker=".", label=f"example {examples[place]}" if numbers.ndim == 2 else None)
        if numbers.ndim == 2:
            axes.legend()
        return None
    raise NotDrawn(text=answer.text, dims=str(list(numbers.shape))).error()


def _points(axes: Any, numbers: Array, by: Answer | None) -> None:
    """Two numbers an example: a point, coloured by its class."""
    size = 9 if len(numbers) < 5000 else 4
    axes.set_aspect("equal", adjustable="datalim")
    if by is None:
        axes.scatter(*numbers.T, s=size)
        return
    kinds = by.numbers.reshape(-1)
    found = np.unique(kinds)
    if len(found) > NAMED:
        axes.figure.colorbar(axes.scatter(*numbers.T, s=size, c=kinds), label=printable(by.text))
        return
    for place, value in enumerate(found):
        name = by.classes[int(value)] if by.classes is not None else one(value)
        own = numbers[kinds == value]
        axes.scatter(*own.T, s=size, color=_colour(place, len(found)), label=printable(name))
    axes.legend(title=printable(by.text), loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False)


def _colour(place: int, count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["tab10" if count <= 10 else "tab20"](place)


def _tiles(axes: Any, numbers: Array) -> None:
    """Small pictures, side by side and below each other, each with its own scale."""
    pictures = [p for p in (picture_in(each) for each in numbers[:TILES]) if p is not None]
    height, width = pictures[0].shape
    across = math.ceil(math.sqrt(len(pictures)))
    sheet = np.full((math.ceil(len(pictures) / across) * (height + 1), across * (width + 1)), np.nan)
    for place, picture in enumerate(pictures):
        top, left = place // across * (height + 1), place % across * (width + 1)
        low, high = picture.min(), picture.max()
        sheet[top : top + height, left : left + width] = (picture - low) / (high - low if high > low else 1)
    axes.imshow(sheet, cmap="gray")
    axes.set_axis_off()
