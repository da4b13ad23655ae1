"""`nn check`: reads specs and says what is wrong with them, or what they are; nothing is trained."""

from __future__ import annotations

from typing import Annotated

import typer


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Specs to read.")],
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Give a param a value.")] = None,
) -> int:
    """Read specs and say what is wrong with them, without training."""
    from dotnn.commands import desk
    from dotnn.compiler import check_file
    from dotnn_grammar.problems import ProblemError

    values = desk.settings(set or [])
    wrong = 0
    for file in files:
        try:
            path, _ = desk.target(file)
            checked = check_file(path, values)
        except ProblemError as error:
            desk.tell(error)
            wrong += 1
            continue
        for note in checked.notes:
            desk.say(note)
        print(f"{file}: fine")
        for line in checked.summary:
            print(f"  {line}")
    return 1 if wrong else 0
