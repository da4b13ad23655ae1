"""`augment image = image -> mirror(over = w) -> jitter(2)`: a line of a `data` block."""

from __future__ import annotations

from dotnn import spec
from dotnn.read.settings import Line, Settings, name_in

FORM = "augment image = image + normal(0, 0.1)[8, 8]"


def read_augment(block: Settings, line: Line) -> list[spec.Column]:
    """What one line alters. Raises ``ProblemError``."""
    if not line.phrases:
        raise block.malformed(line, "which column is altered, and how?", line.head)
    found: list[spec.Column] = []
    for phrase in line.phrases:
        name = name_in(phrase.value)
        if name is None:
            raise block.malformed(line, "the name of a column is needed", phrase.span)
        if len(phrase.clauses) != 1 or phrase.clauses[0].word != "=" or phrase.form is not None:
            stray = next((c for c in phrase.clauses if c.word != "="), None)
            reason = f"`=` and what becomes of `{name}` are missing"
            reason = f"`{stray.word}` does not belong here" if stray else reason
            raise block.malformed(line, reason, stray.span if stray else phrase.span)
        value = block.reader.expression(phrase.clauses[0].value)
        found.append(spec.Column(span=phrase.span, name=name, value=value))
    return found
