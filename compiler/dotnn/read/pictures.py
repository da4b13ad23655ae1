"""`source images "photos/*/*.png" size [64, 64]`, and what the columns say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from dotnn import spec
from dotnn.read.settings import Clause, Line, MalformedSetting
from dotnn.words import names_in

if TYPE_CHECKING:
    from dotnn.read.data import DataBlock

IMAGES = "images"
PIXELS = "pixels"


def read_images(block: DataBlock, line: Line, role: Literal["source", "test"], kind: Clause) -> spec.SourceLine:
    """The line's files, the size of its pictures, and whether they are grey."""
    form = f'{role} images "photos/*/*.png" size [64, 64]'
    first, *more = line.phrases
    leaves = [kind.value, *(phrase.value for phrase in more)]
    clauses = [*first.clauses[1:], *(clause for phrase in more for clause in phrase.clauses)]
    files = tuple(block._file(line, leaf) for leaf in leaves)
    size: tuple[spec.Expression, ...] = ()
    grey = False
    for clause in clauses:
        value = None if clause.value is None else block.reader.expression(clause.value)
        if clause.word == "size" and isinstance(value, spec.List) and len(value.items) == 2:
            size = tuple(item.value for item in value.items)
        elif clause.word == "grey" and value is None:
            grey = True
        else:
            reason = "height and width are needed" if clause.word == "size" else f"`{clause.word}` does not belong here"
            raise MalformedSetting(span=clause.span, word=role, reason=reason, form=form).error()
    return spec.SourceLine(span=line.span, role=role, reader=IMAGES, files=files, size=size, grey=grey)


def greyed(sources: Sequence[spec.SourceLine], columns: Sequence[spec.Column]) -> tuple[spec.SourceLine, ...]:
    """The sources; their pictures are grey where the one column made of them is `as [1, h, w]`."""
    forms = [column.type for column in columns if PIXELS in names_in(column.value)]
    grey = bool(forms) and all(form is not None and _one_channel(form) for form in forms)
    return tuple(s.model_copy(update={"grey": True}) if grey and s.reader == IMAGES else s for s in sources)


def _one_channel(form: spec.TypeText) -> bool:
    first = form.dims[0] if form.dims else None
    return isinstance(first, spec.Dim) and isinstance(first.size, spec.Number) and first.size.value == 1
