"""`nn plugins`: what is here, from whom, and what is broken and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dotnn.commands.options import Format

if TYPE_CHECKING:
    from dotnn.plugins.probe import Found

MANY = ("operation", "command", "std")
"""Kinds of which we have so many that a line for each of ours would hide the rest."""


def plugins(
    patience: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="SECONDS", help="How long a plugin may take to be imported.")
    ] = 10,
    format: Annotated[Format, typer.Option(help="A table for people, or one JSON object a line.")] = Format.text,
) -> int:
    """List what can be used here, from which package, and what is broken and why.

    Each package is tried in a Python of its own. A plugin is code that runs with your rights once it is used.
    """
    import json
    from dataclasses import asdict

    from dotnn.entries import BUILT_IN, strangers
    from dotnn.plugins.probe import probe

    found = probe((*BUILT_IN, *strangers()), patience)
    if format is Format.json:
        for one in found:
            print(json.dumps(asdict(one)))
        return 0
    for line in overview(found):
        print(line)
    return 0


def overview(found: Sequence[Found]) -> list[str]:
    """A line a thing: kind, name, from whom, what it is; and below, what does not work."""
    from dotnn import __version__

    rows = [("kind", "name", "from", "")]
    for kind in MANY:
        ours = [f for f in found if f.kind == kind and f.built_in and not f.why]
        rows += [(kind, f"({len(ours)})", f"dotnn {__version__}", _some([f.name for f in ours]))] if ours else []
    for one in found:
        if not one.why and not (one.built_in and one.kind in MANY):
            version = __version__ if one.built_in else one.version
            rows.append((one.kind, one.name, f"{one.package} {version}".strip(), one.summary))
    rows[1:] = sorted(rows[1:], key=lambda row: row[0])
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows
    ]
    broken = [one for one in found if one.why]
    if broken:
        lines += ["", "Not used:"]
        lines += [f"  {one.kind or '?'} {one.name} of {one.package} {one.version}: {one.why}" for one in broken]
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
