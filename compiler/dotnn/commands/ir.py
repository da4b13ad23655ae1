"""`nn ir`: what the compiler makes of a file, as text or as JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dotnn.commands.options import Format


class What(StrEnum):
    spec = "spec"
    graph = "graph"


class Pass(StrEnum):
    build = "build"
    differentiate = "differentiate"
    update = "update"
    simplify = "simplify"


def ir(
    what: Annotated[What, typer.Argument(help="The tree of the text, or the graphs that it becomes.")],
    file: Annotated[str | None, typer.Argument(metavar="FILE[:NAME]", help="The spec.")] = None,
    after: Annotated[Pass, typer.Option(help="Graphs as they are after this pass.")] = Pass.simplify,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a param or a line.")] = None,
    format: Annotated[Format, typer.Option(help="One line an operation, or JSON.")] = Format.text,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema instead.")] = False,
) -> int:
    """Print the compiler's own words for a spec."""
    import json

    from dotnn.commands import desk
    from dotnn.graph import describe, dump
    from dotnn.program import Program
    from dotnn.spec import Spec

    if schema:
        print(json.dumps(describe(Spec if what is What.spec else Program), indent=2))
        return 0
    if file is None:
        raise typer.BadParameter("name the spec, or ask for its --schema")
    from dotnn.compiler import ir as stages

    path, name = desk.target(file)
    found = stages(path, what.value, after.value, desk.settings(set or []), train=name)
    if isinstance(found, Spec) or format is Format.json:
        print(dump(found), end="")  # a spec has no other form
        return 0
    print("\n".join(str(graph) for graph in found.graphs.values()), end="")
    return 0
