"""Specs and programs that were written as JSON, read back."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from dotnn.program import Program
from dotnn.spec import Spec
from dotnn_grammar.problems import Problem

MOST = 256 * 2**20
"""Bytes of a file that is read."""


class NotStored(Problem):
    code = "R090"
    title = "`{file}` holds neither a spec nor a program: {why}"
    help = "`nn ir spec FILE --format json` and `nn ir graph FILE --format json` write them"
    file: str
    why: str


def read_json(path: Path) -> Spec | Program:
    """The spec or program in a JSON file. Raises ``ProblemError``."""
    try:
        if path.stat().st_size > MOST:
            raise NotStored(file=str(path), why=f"it is larger than {MOST:,} bytes").error()
        text = path.read_bytes()
    except OSError as error:
        raise NotStored(file=str(path), why=f"it cannot be read ({error.strerror})").error() from None
    model: type[BaseModel] = Program if b'"graphs"' in text else Spec
    try:
        made = model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotStored(file=str(path), why=f"{where or 'the file'}: {first['msg']}").error() from None
    assert isinstance(made, Spec | Program)
    return made
