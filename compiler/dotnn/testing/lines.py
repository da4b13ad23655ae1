"""What the comment above a definition says beyond its prose: where it comes from, how it is tried, who must agree.

    # Keeps what is above zero, and a little of what is below.
    #
    #     x if x > 0 else slope * x
    #
    # source: who found it, and where it can be read
    # try:    lean(x)  for x: [4, 8]
    # torch:  where(x > 0, x, 0.01 * x)

A line that is indented deeper goes on with the one above. Each `try:` has one peer below it: `torch:`, `sklearn:` or
`numpy:`, an expression of Python that tests alone evaluate (``peer.py`` says what it may name). `holds:` is a truth
about the result, beside a peer or in its place. What a `try:` means for each kind of definition is said in
``std/README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from dotnn.testing.report import FailedError

WORDS = ("source", "try", "torch", "sklearn", "numpy", "holds")
PEERS = ("torch", "sklearn", "numpy")

_LINE = re.compile(rf"({'|'.join(WORDS)}):\s*(.*)")
_SENTENCE = re.compile(r"(.+?[.?!])(?=\s+[A-Z`(]|\s*$)", re.DOTALL)


@dataclass(frozen=True)
class Peer:
    """Who computes the same, and how: an expression of Python."""

    library: str
    text: str


@dataclass(frozen=True)
class Try:
    """One `try:` line, with what stands below it."""

    expression: str
    given: str
    """After `for`: `x: [4, 8]`, `100 steps`, `[16, 8]`; empty where nothing is said."""
    peer: Peer | None = None
    holds: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.expression}  for {self.given}" if self.given else self.expression


@dataclass(frozen=True)
class Told:
    """A comment, taken apart."""

    summary: str
    """Its first sentence."""
    formula: tuple[str, ...]
    """The lines that are set in."""
    sources: tuple[str, ...]
    tries: tuple[Try, ...]


def told(doc: str) -> Told:
    """The comment of a definition (without its signs). Raises ``FailedError`` where a line has no meaning."""
    lines = doc.split("\n")
    first = next((i for i, line in enumerate(lines) if _LINE.match(line)), len(lines))
    prose = lines[:first]
    opening = " ".join(line.strip() for line in _opening(prose))
    sentence = _SENTENCE.match(opening)
    labelled = list(_labelled(lines[first:]))
    return Told(
        summary=sentence[1] if sentence else opening,
        formula=_formula(prose),
        sources=tuple(text for word, text in labelled if word == "source"),
        tries=tuple(_tries(labelled)),
    )


def _opening(prose: list[str]) -> Iterator[str]:
    """The first paragraph, to the formula."""
    for line in prose:
        if not line.strip() or line.startswith("    "):
            return
        yield line


def _formula(prose: list[str]) -> tuple[str, ...]:
    return tuple(line.strip() for line in prose if line.startswith("    ") and line.strip())


def _labelled(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The labelled lines, each with those that go on with it."""
    word, texts = "", list[str]()
    for line in lines:
        head = _LINE.match(line)
        if head is not None:
            if word:
                yield word, " ".join(texts)
            word, texts = head[1], [head[2].strip()]
        elif line.startswith("  ") and line.strip():
            texts.append(line.strip())
        elif line.strip():
            raise FailedError(
                f"`{line}` stands below the labelled lines; prose goes above them, a continuation is set in"
            )
    if word:
        yield word, " ".join(texts)


def _tries(labelled: list[tuple[str, str]]) -> Iterator[Try]:
    current: Try | None = None
    for word, text in labelled:
        if word == "try":
            if current is not None:
                yield current
            current = _try(text)
        elif word in PEERS:
            if current is None or current.peer is not None:
                raise FailedError(f"`{word}: {text}` stands below no `try:` of its own")
            current = Try(current.expression, current.given, Peer(word, text), current.holds)
        elif word == "holds":
            if current is None:
                raise FailedError(f"`holds: {text}` stands below no `try:`")
            current = Try(current.expression, current.given, current.peer, (*current.holds, text))
    if current is not None:
        yield current


def _try(text: str) -> Try:
    """`EXPRESSION for GIVEN`, cut at the first `for` outside of brackets."""
    for place, word in outside(text):
        if word == "for":
            return Try(text[:place].strip(), text[place + len(word) :].strip())
    return Try(text.strip(), "")


def outside(text: str) -> Iterator[tuple[int, str]]:
    """Words and commas that stand outside of brackets and of texts in quotes, each with its place."""
    depth = 0
    for found in re.finditer(r'"[^"]*"|[\[({]|[\])}]|[A-Za-z_]\w*|,', text):
        mark = found[0]
        depth += (mark in "[({") - (mark in "])}")
        if depth == 0 and mark not in "])}" and not mark.startswith('"'):
            yield found.start(), mark


def items(text: str) -> list[str]:
    """Cut at the commas outside of brackets."""
    cuts = [place for place, mark in outside(text) if mark == ","]
    edges = [-1, *cuts, len(text)]
    return [text[a + 1 : b].strip() for a, b in pairwise(edges) if text[a + 1 : b].strip()]
