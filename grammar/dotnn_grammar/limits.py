"""How much one file may ask for. Everything is counted before it is made, and each count has its limit here.

with allowing(Limits(layers=200_000)):
    compile_file(path)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dotnn_grammar.problems import Problem, perhaps

Count = Annotated[int, Field(ge=1, le=2**62)]


class Limits(BaseModel):
    """What is allowed unless the person at the command line says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Count = 2**20
    """Bytes of one file of the language."""
    words: Count = 40_000
    """Words, signs and ends of lines of a file and all that it uses, together."""
    token: Count = 64 * 2**10
    """Characters of one name, number or text."""
    depth: Count = 64
    """Brackets within brackets."""
    levels: Count = 120
    """Levels of the tree of a file: what later passes may recurse into, and what JSON readers take."""
    imports: Count = 16
    """Files that use files."""
    files: Count = 256
    """Files of one spec."""
    layers: Count = 100_000
    """Places that own weights."""
    turns: Count = 100_000
    """Turns of repeats, those inside others multiplied."""
    lines: Count = 100_000
    """Lines that are written out, each counted as often as it stands in the graph."""
    calls: Count = 64
    """Definitions within definitions."""
    nodes: Count = 1_000_000
    """Operations of one graph."""
    rank: Count = 16
    """Dims of a tensor."""
    dim: Count = 2**31
    """Where the size of one dim must stop, and the number of a batch or of epochs."""
    numbers: Count = 2**32
    """Numbers in one tensor (of one example), and in all weights and states together: 16 GiB."""
    ratio: Count = 200
    """How many times its packed size a table may become."""
    columns: Count = 2**16
    """Columns of a table."""
    cell: Count = 2**17
    """Characters of one cell of a table."""
    stored: Count = 2**28
    """Bytes of a spec or program that is stored as JSON."""
    gathered: Count = 2**30
    """Bytes that a figure may take which needs all rows of a split at once."""
    held: Count = 2**30
    """Bytes of rows that are held in memory; what is more is read from temporary files."""
    outside: bool = False
    """Whether files may lie outside the folder of the spec: absolute paths, `..`, links, devices (`--allow-path`)."""


class NotALimit(Problem):
    code = "G040"
    title = "`--limit {text}` sets no limit: {why}"
    help = "{advice}"
    text: str
    why: str
    advice: str


_LIMITS: ContextVar[Limits | None] = ContextVar("_LIMITS", default=None)
_DEFAULT = Limits()


def limits() -> Limits:
    """Those that hold now."""
    return _LIMITS.get() or _DEFAULT


@contextmanager
def allowing(those: Limits) -> Iterator[Limits]:
    """Inside, those limits hold."""
    token = _LIMITS.set(those)
    try:
        yield those
    finally:
        _LIMITS.reset(token)


def limits_of(pairs: Sequence[str], outside: bool = False) -> Limits:
    """The limits with these changes, as in ``layers=200_000``. Raises ``ProblemError``."""
    known = names()
    given: dict[str, int] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in known:
            advice = perhaps(name, known, f"there are: {', '.join(known)}")
            raise NotALimit(text=pair, why=f"there is no limit called `{name}`", advice=advice).error()
        digits = value.replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            why = "it needs a whole number"
            raise NotALimit(text=pair, why=why, advice=f"write it without spaces: --limit {name}=1_000_000").error()
        given[name] = int(digits)
    try:
        return Limits.model_validate({**given, "outside": outside})
    except ValidationError:
        why, advice = "a limit is a number from 1 up", "leave the option out to keep the limit that is there"
        raise NotALimit(text=" ".join(pairs), why=why, advice=advice).error() from None


def names() -> tuple[str, ...]:
    """The names that `--limit` knows."""
    return tuple(name for name in Limits.model_fields if name != "outside")
