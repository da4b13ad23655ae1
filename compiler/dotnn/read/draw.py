"""`source draw 20_000 of 5 from digits`: each row is made of several rows of another block."""

from __future__ import annotations

from dotnn import spec
from dotnn.read.settings import Clause, Line, MalformedSetting, Settings, name_in

DRAW = "draw"
"""The source whose rows are made of rows of another block."""
FORM = "source draw 20_000 of 5 from digits"


ASKED = {"of": "how many of the other block's rows make one?", "from": "which data are they drawn from?"}


def read_draw(
    block: Settings, line: Line, role: str, kind: Clause, rest: list[Clause], several: bool
) -> spec.SourceLine:
    """The line. Raises ``ProblemError``."""
    given = {clause.word: clause for clause in rest}

    def wrong(reason: str, clause: Clause) -> Exception:
        return MalformedSetting(span=clause.span, word=role, reason=reason, form=FORM).error()

    if role != "source":
        raise wrong("an exam of drawn rows is a part of the split", kind)
    if kind.value is None or several:
        raise wrong("how many rows?" if kind.value is None else "one number of rows is enough", kind)
    stray = next((clause for clause in rest if clause.word not in ("of", "from")), None)
    if stray is not None:
        raise wrong(f"`{stray.word}` does not belong here", stray)
    for word, asked in ASKED.items():
        if word not in given or given[word].value is None:
            raise wrong(asked, given.get(word, kind))
    if len(rest) > 2:
        raise wrong("this is said twice", rest[-1])
    base = name_in(given["from"].value)
    if base is None:
        raise wrong("the name of a data block is needed", given["from"])
    return spec.SourceLine(
        span=line.span,
        role="source",
        reader=DRAW,
        files=(),
        count=block.reader.expression(kind.value),
        each=block.reader.expression(given["of"].value),
        base=base,
    )
