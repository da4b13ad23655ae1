"""Specs and programs that were written as JSON, read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dotnn.program import PASSES, Program
from dotnn.spec import Spec
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem


class NotStored(Problem):
    code = "R090"
    title = "`{file}` holds neither a spec nor a program: {why}"
    help = "`nn ir spec FILE --format json` and `nn ir graph FILE --format json` write them"
    file: str
    why: str


class OnlyAProgram(Problem):
    code = "R091"
    title = "`{file}` holds a program, and {what} needs the spec"
    help = "give the .nn file, or what `nn ir spec FILE --format json` writes of it"
    file: str
    what: str


def read_json(path: Path) -> Spec | Program:
    """The spec or program in a JSON file. Raises ``ProblemError``."""
    try:
        most = limits().stored
        if path.stat().st_size > most:
            why = f"it is larger than {most:,} bytes (`--limit stored=N` allows more)"
            raise NotStored(file=str(path), why=why).error()
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


def stored_program(path: Path, settings: Mapping[str, str] = {}, train: str | None = None) -> Program | None:
    """The finished program in a JSON file, None where the file is no such thing. Raises ``ProblemError``.

    settings, train: what is asked for beside it; a program can be written, but is what it is.
    """
    if path.suffix != ".json":
        return None
    stored = read_json(path)
    if not isinstance(stored, Program):
        return None
    if stored.after != PASSES[-1]:
        raise NotStored(file=str(path), why=f"its graphs are those after the pass `{stored.after}`").error()
    if settings:
        raise OnlyAProgram(file=str(path), what="`--set`").error()
    if train is not None and train != stored.name:
        raise OnlyAProgram(file=str(path), what=f"`:{train}`").error()
    return stored
