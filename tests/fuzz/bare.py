"""A part of a spec without its places, to be compared."""

from __future__ import annotations

from dotnn import spec
from dotnn.read import read_text
from dotnn_grammar.source import Source


def bare(part: object) -> object:
    if isinstance(part, tuple):
        return [bare(p) for p in part]
    if isinstance(part, spec.Part | spec.Spec):
        kept = {n: bare(getattr(part, n)) for n in type(part).model_fields if n not in ("span", "file")}
        return (type(part).__name__, kept)
    # 1 and 1.0 are equal, and are not the same number.
    return (type(part).__name__, part)


def read(text: str) -> spec.Spec:
    return read_text(Source(name="x", text=text))
