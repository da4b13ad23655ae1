"""A spec as one text: with what it uses of other files written out below it."""

from __future__ import annotations

from dotnn.read.text import read_parts
from dotnn.spec import Spec
from dotnn.write import write_definition
from dotnn_grammar.source import Source


def whole_text(spec: Spec, source: Source) -> str:
    """The file as it stands, its `use` lines made comments, and the definitions that they bring in below."""
    lines = list(source.lines)
    for use in read_parts(source).uses:
        for number in range(use.span.line - 1, use.span.end_line):
            lines[number] = f"# {lines[number]}"
    used = [d for d in spec.definitions if d.span.file != source.name]
    return "\n".join(lines) + "".join(f"\n# From {d.span.file}.\n{write_definition(d).rstrip()}\n" for d in used)
