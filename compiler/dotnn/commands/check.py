"""`nn check`: reads specs and says what is wrong with them, or what they are; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dotnn.testing.slopes import SpecSlopes


class Format(StrEnum):
    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Specs to read.")],
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a param or a line.")] = None,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Compare the net's gradients with finite differences, on a few rows.")
    ] = False,
    format: Annotated[
        Format, typer.Option(help="Talk for people, one JSON object a line, or problems for GitHub or as SARIF.")
    ] = Format.text,
) -> int:
    """Read specs and say what is wrong with them, without training."""
    import json

    from dotnn.commands import desk
    from dotnn_grammar.problems import Problem, ProblemError
    from dotnn_grammar.show import to_github, to_json, to_sarif

    values = desk.settings(set or [])
    wrong: list[Problem] = []
    for file in files:
        try:
            for event in checked(file, values, gradients):
                if format is Format.json:
                    print(json.dumps(event), flush=True)
                elif format is Format.text:
                    tell(event)
        except ProblemError as error:
            wrong += error.problems
            match format:
                case Format.text:
                    desk.tell(error)
                case Format.json:
                    print(*(json.dumps(to_json(problem)) for problem in error.problems), sep="\n", flush=True)
                case Format.github:
                    print(*map(to_github, error.problems), sep="\n", flush=True)
    if format is Format.sarif:
        from dotnn import __version__

        print(json.dumps(to_sarif(wrong, __version__), indent=2))
    return 1 if wrong else 0


def checked(file: str, values: Mapping[str, str], gradients: bool) -> Iterator[dict[str, Any]]:
    """What there is to be said of a spec that is fine. Raises ``ProblemError`` where it is not."""
    from dotnn.commands import desk
    from dotnn.compiler import check_file, program_names

    path, name = desk.target(file)
    found = check_file(path, values, name)
    yield {"event": "checked", "file": file, "notes": list(found.notes), "summary": list(found.summary)}
    if not gradients:
        return
    from dotnn.testing.slopes import check_slopes

    for block in [name] if name else program_names(path):
        slopes = check_slopes(path, values, block)
        yield facts(file, slopes)
        slopes.require()


def tell(event: Mapping[str, Any]) -> None:
    """The same for people."""
    from dotnn.commands import desk

    if event["event"] == "checked":
        for note in event["notes"]:
            desk.say(note)
        print(f"{event['file']}: fine")
        for line in event["summary"]:
            print(f"  {line}")
        return
    print(*table(event), sep="\n")


def facts(file: str, found: SpecSlopes) -> dict[str, Any]:
    """A gradient check for programs: of each weight its worst number."""
    weights = [
        {
            "name": weight.name,
            "shape": list(weight.shape),
            "compared": len(weight.slopes),
            "bends": weight.bends,
            "at": None if weight.worst.at is None else list(weight.worst.at),
            "gradient": weight.worst.says,
            "difference": weight.worst.measured,
            "off": weight.worst.off,
            "ok": weight.ok,
        }
        for weight in found.weights
    ]
    return {
        "event": "gradients",
        "file": file,
        "name": found.train,
        "rows": found.rows,
        "loss": found.loss,
        "ok": found.ok,
        "worst": found.worst.name if found.weights else None,
        "weights": weights,
    }


def table(event: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    from dotnn.commands.runs import columns
    from dotnn_grammar.problems import many

    lines = [["  weight", "compared", "worst at", "gradient", "difference", "apart"]]
    for weight in event["weights"]:
        place = "along a line" if weight["at"] is None else str(weight["at"])
        cells = [f"  {weight['name']}", str(weight["compared"]), place]
        lines.append([*cells, f"{weight['gradient']:.6g}", f"{weight['difference']:.6g}", f"{weight['off']:.1e}"])
    rows = many(event["rows"], "row")
    head = f"  The gradient of {event['name']} beside finite differences, on {rows}, in double precision:"
    bends = sum(weight["bends"] for weight in event["weights"])
    end = [f"  {bends} of them stood at a bend, where there is no derivative."] if bends else []
    if event["ok"]:
        worst = next(weight for weight in event["weights"] if weight["name"] == event["worst"])
        end.append(f"  It is right: in {worst['name']}, the worst, they are {worst['off']:.1e} of their size apart.")
    return [head, *(f"  {line}" for line in columns(lines)), *end]
