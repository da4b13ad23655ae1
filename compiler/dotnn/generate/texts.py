"""Texts in, texts out: what a person gives to a net that writes, and what it has written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.data.given import read_values
from dotnn.data.tokens import OWN, UNKNOWN, Encode, decoded, encoder
from dotnn.generate.problems import NoPrompt, NotAToken, NotTokens
from dotnn.program import Generation, Program, RawColumn, Tokens
from dotnn_grammar.problems import perhaps

LOOKED_AT = 200
"""Rows among which an example is looked for."""
WORDS = 3
"""About as many has an example."""
BROKEN = "\ufffd"
"""What stands for a part of a character, until its other bytes are there."""


@dataclass(frozen=True)
class Beginning:
    """What the net goes on from: tokens i64[1, n], the other inputs with one row each, and the text as it is shown."""

    tokens: Array
    others: Mapping[str, Array]
    shown: str
    unknown: tuple[str, ...] = ()
    """Pieces of it that training never saw."""


@dataclass(frozen=True)
class Speech:
    """How tokens are texts."""

    tokens: Tokens | None
    name: str
    bound: int

    @classmethod
    def of(cls, program: Program) -> Speech:
        raw = column_of(program)
        return cls(raw.tokens, raw.name, raw.bound or 0)

    def read(self, text: str) -> list[int]:
        """A text's tokens. Raises ``ProblemError``."""
        if self.tokens is not None:
            return encoder(self.tokens)(text)
        for word in text.split():
            if not word.isdecimal() or (self.bound and int(word) >= self.bound):
                raise NotAToken(value=word, name=self.name, last=self.bound - 1).error()
        return [int(word) for word in text.split()]

    def write(self, tokens: Sequence[int]) -> str:
        """The text of these tokens."""
        return decoded(self.tokens, tokens) if self.tokens is not None else " ".join(str(n) for n in tokens)


def plan_of(program: Program) -> Generation:
    """How it writes; of a program that does (``plan.written``)."""
    assert program.generation is not None
    return program.generation


def column_of(program: Program) -> RawColumn:
    """The column that is continued."""
    name = plan_of(program).column
    return next(raw for raw in program.inputs if raw.name == name)


def others_of(program: Program) -> list[RawColumn]:
    """What else the net is given."""
    plan, needed = plan_of(program), {fed.name for fed in program.graphs["start"].inputs}
    return [raw for raw in program.inputs if raw.name in needed and raw.name != plan.column]


def beginning(program: Program, prompt: str | None, given: Sequence[str]) -> Beginning:
    """What a person gives: of a net that reads one thing and writes another, the prompt is what it reads.

    given: `NAME=VALUE`, for nets that read several. Raises ``ProblemError`` (W004, W006, W008, as ``read_values``).
    """
    plan, speech, others = plan_of(program), Speech.of(program), others_of(program)
    named = _named(given, others)
    reads = plan.begins is not None and prompt is not None and len(others) - len(given) == 1
    values, free = [*given], None
    if reads:
        free = next(raw for raw in others if raw.columns[0] not in named)
        values.append(f"{free.columns[0]}={prompt}")
    if (others and not values) or (plan.begins is None and not prompt) or (reads and not (prompt or "").strip()):
        names = ", ".join(f"`{raw.columns[0]}`" for raw in others)
        shown = f"--prompt {example(program)}"
        way = f"give it what it reads, {names}: {shown}" if plan.begins is not None else shown
        if plan.begins is None and prompt:
            way = f"the net reads {names} too: --with NAME=VALUE"
        raise NoPrompt(way=way).error()
    arrays = read_values(values, others) if others else {}
    start = [] if plan.begins is None else [plan.begins]
    tokens = [*start, *(speech.read(prompt or "") if not reads else ())]
    if not tokens:
        raise NoPrompt(way=f"there is no piece of a text in it: --prompt {example(program)}").error()
    seen = free.tokens if free is not None else speech.tokens
    unknown = () if seen is None else _unknown(prompt or "", encoder(seen))
    return Beginning(np.array([tokens], np.int64), arrays, "" if reads else prompt or "", unknown)


def _named(given: Sequence[str], others: Sequence[RawColumn]) -> set[str]:
    """The columns that are given by name. Raises ``ProblemError`` (W004)."""
    columns = [name for raw in others for name in raw.columns]
    names = [value.partition("=")[0].strip() for value in given]
    for name in names:
        if name not in columns:
            beside = f"it reads: {', '.join(columns)}" if columns else "beside the text it reads nothing"
            raise NotTokens(name=name, near=perhaps(name, columns, beside)).error()
    return set(names)


def _unknown(text: str, read: Encode) -> tuple[str, ...]:
    """The words, or the characters where these are read one by one, that stand for something that was never seen."""
    found: dict[str, None] = {}
    for word in re.findall(r"\w+|[^\w\s]", text):
        numbers = read(word)
        if UNKNOWN in numbers:
            found |= dict.fromkeys([word] if len(numbers) == 1 else [c for c in word if UNKNOWN in read(c)])
    return tuple(found)


class Stream:
    """A text that grows, told in parts which are never taken back."""

    def __init__(self, speech: Speech, before: Sequence[int], shown: str) -> None:
        self._speech = speech
        own = range(len(OWN)) if speech.tokens is not None else ()
        self._before = [n for n in before if n not in own]
        self._said = speech.write(self._before)
        self.shown = shown

    def more(self, tokens: Sequence[int], last: bool = False) -> str:
        """What is new in the text, given all tokens after the beginning; with ``last`` also what may not be whole."""
        whole = self._speech.write([*self._before, *tokens])
        if not last:
            whole = whole.rstrip(BROKEN)
        if not whole.startswith(self._said):
            return ""
        new = whole[len(self._said) :]
        self._said = whole
        return new


def example(program: Program, rows: Mapping[str, Array] | None = None) -> str:
    """A beginning that makes sense to the net, in quotes: out of rows that it was not shown, where some are given."""
    plan, others = plan_of(program), others_of(program)
    reads = plan.begins is not None and len(others) == 1
    raw = others[0] if reads else column_of(program)
    for row in (rows or {}).get(raw.name, ())[:LOOKED_AT]:
        found = _said(raw, row.tolist(), whole=reads)
        if found:
            return f'"{found}"'
    if raw.tokens is None:
        return '"1 2"'
    pieces = [piece for piece in raw.tokens.pieces[len(OWN) :] if piece.isalpha()]
    if raw.tokens.tokenizer == "words":
        return '"' + " ".join(pieces[:3]) + '"'
    return '"The"' if UNKNOWN not in encoder(raw.tokens)("The") else f'"{"".join(pieces[:1])}"'


def _said(raw: RawColumn, row: Sequence[int], whole: bool) -> str:
    """A text of a few words, all of it or how it goes on after its first words; empty where none can be typed so."""
    if raw.tokens is None:
        return " ".join(str(n) for n in row[:3])
    own = range(len(OWN))
    if UNKNOWN in row:
        return ""
    text = decoded(raw.tokens, [n for n in row if n not in own])
    words = text.split() if whole else text.split()[1:-1][:WORDS]  # a window cuts words
    fits = WORDS <= len(words) <= 2 * WORDS if whole else bool(words)
    plain = all(word.isalnum() for word in words)
    return " ".join(words) if fits and plain else ""
