"""What a net that writes says when it is asked, and its spec has no `answer`: its text, or what comes next.

A net that reads one text and writes another says what it writes: from the likeliest token to the likeliest token. One
that goes on from a text says which token comes next. Both with the share that the net gives to that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.data.tokens import END, PAD
from dotnn.generate.choose import NEVER
from dotnn.generate.search import likeliest
from dotnn.generate.texts import Speech, others_of, plan_of
from dotnn.generate.writer import Writer
from dotnn.plugins import Arrays
from dotnn.program import Program

AT_ONCE = 64
"""Texts that are written side by side."""


def goes_on(program: Program) -> bool:
    """Whether what comes next is all that it can be asked."""
    return program.generation is not None and program.answer is None and not translates(program)


def translates(program: Program) -> bool:
    """Whether it is given one text and asked for another."""
    plan = program.generation
    return plan is not None and program.answer is None and plan.begins is not None and bool(others_of(program))


def translations(program: Program, writer: Writer, given: Arrays) -> Iterator[dict[str, Any]]:
    """The text for each row of what the net reads: ``answer`` and ``probability``, the share of the whole text."""
    plan, speech = plan_of(program), Speech.of(program)
    count = len(next(iter(given.values())))
    for first in range(0, count, AT_ONCE):
        part = {name: array[first : first + AT_ONCE] for name, array in given.items()}
        begin = np.full((len(next(iter(part.values()))), 1), plan.begins, np.int64)
        for [text] in likeliest(writer, begin, 1, plan.length - 1, part):
            yield {"answer": speech.write(text.tokens), "probability": math.exp(text.likely)}


def what_comes_next(program: Program, out: Mapping[str, Array], given: Arrays) -> Iterator[dict[str, Any]]:
    """The likeliest token after each row, and its share. out: of the predict graph."""
    plan, speech = plan_of(program), Speech.of(program)
    tokens = np.asarray(given[plan.column])
    over = np.isin(tokens, (PAD, END)) if speech.tokens is not None else np.zeros(tokens.shape, bool)
    for row, filled in zip(out[plan.output], tokens.shape[1] - over.sum(1), strict=True):
        scores = row[max(int(filled) - 1, 0)].astype(np.float64)
        scores[list(plan.never)] = NEVER
        shares = np.exp(scores - scores.max())
        token = int(scores.argmax())
        said = "" if token == plan.ends else speech.write([token])
        yield {"answer": said, "probability": float(shares[token] / shares.sum())}
