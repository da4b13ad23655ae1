"""`nn runs`: a table of runs with their settings and results; two of them side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnn.commands.options import Format

if TYPE_CHECKING:
    from dotnn.training.records import Record


def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FOLDER] | compare RUN RUN", help="The folder of the runs (runs), or two to compare."),
    ] = None,
    format: Annotated[Format, typer.Option(help="A table for people, or one JSON object a line.")] = Format.text,
) -> int:
    """List runs with their settings and results, the newest last; or compare two."""
    import json

    from dotnn.training.records import records

    given = list(words or [])
    if given[:1] == ["compare"]:
        if len(given) != 3:
            raise typer.BadParameter("name two runs: nn runs compare RUN RUN")
        return compare(Path(given[1]), Path(given[2]), format is Format.json)
    if len(given) > 1:
        raise typer.BadParameter("name one folder, or two runs after `compare`")
    found = records(Path(given[0] if given else "runs"))
    if format is Format.json:
        for record in found:
            print(json.dumps(facts(record)))
        return 0
    for line in overview(found):
        print(line)
    return 0


def facts(record: Record) -> dict[str, Any]:
    """A run for programs."""
    return {
        "run": str(record.folder),
        "state": record.state,
        "reason": record.reason,
        "name": record.name,
        "spec": record.spec,
        "settings": record.settings(),
        "parameters": record.parameters,
        "epochs": record.epochs,
        "steps": record.steps,
        "seconds": record.seconds,
        **({"claims": {"held": sum(record.claims), "of": len(record.claims)}} if record.claims else {}),
        **(record.figures or {}),
    }


def overview(found: Sequence[Record]) -> list[str]:
    """One line a run: how it ended, what was set, the figures of its most telling split."""
    from dotnn.training.records import figure_names
    from dotnn_grammar.problems import many

    names = [
        n
        for n in figure_names(found)
        if any(isinstance((r.figures or {}).get(r.best_split(), {}).get(n), int | float) for r in found)
    ]
    varied = _varied(found)
    claims = ["claims held"] if any(record.claims for record in found) else []
    heads = ["run", "state", "epochs", "numbers", *varied, "on", *names, *claims]
    lines = [heads]
    for record in found:
        split = record.best_split()
        own = (record.figures or {}).get(split) or {}
        settings = record.settings()
        lines.append(
            [
                str(record.folder),
                record.state,
                f"{record.epochs:,}",
                f"{record.parameters:,}",
                *(_plain(settings.get(name)) for name in varied),
                split if own else "-",
                *(_figure(record, name, own.get(name)) for name in names),
                *([_held(record)] if claims else []),
            ]
        )
    told = columns(lines)
    waiting = [r for r in found if r.state in ("unfinished", "interrupted")]
    if waiting:
        told += ["", f"{many(len(waiting), 'run')} can go on: nn resume {waiting[-1].folder}"]
    return told


def _varied(found: Sequence[Record]) -> list[str]:
    """The params, and the other settings in which these runs differ: what a table needs to show."""
    params = list(dict.fromkeys(name for r in found for name in r.params or ()))
    told = [*params, "seed"]
    for name in ("batch", "accumulate", "precision", *_set(found), "backend", "device"):
        if len({str(r.settings().get(name)) for r in found if r.plan}) > 1:
            told.append(name)
    return told


def _set(found: Sequence[Record]) -> list[str]:
    """The paths that `--set` has changed, but those that a plain name tells of already."""
    told = {name: text for r in found for name, text in (r.set or {}).items()}
    plans = [{str(k): str(v) for k, v in (r.plan or {}).items()} for r in found]
    return [name for name in told if not any(p.get(name.rpartition(".")[2]) == told[name] for p in plans)]


def compare(one: Path, other: Path, as_json: bool) -> int:
    """Two runs side by side: what was set otherwise, what the specs say otherwise, and the figures."""
    import json

    from dotnn.training.problems import no_run
    from dotnn.training.records import changed_settings, changed_spec, figure_names, read_record

    found: list[Record] = []
    for path in (one, other):
        record = read_record(path)
        if record is None:
            raise no_run(path)
        found.append(record)
    a, b = found
    settings, spec = changed_settings(a, b), changed_spec(a, b)
    if as_json:
        changed = {name: [x, y] for name, x, y in settings}
        print(json.dumps({"runs": [facts(a), facts(b)], "settings": changed, "spec": spec.splitlines()}))
        return 0
    lines = [["", str(one), str(other)], ["state", a.state, b.state]]
    lines += [["epochs", f"{a.epochs:,}", f"{b.epochs:,}"], ["seconds", f"{a.seconds:.1f}", f"{b.seconds:.1f}"]]
    for split in ("train", "val", "test"):
        parts = [(r.figures or {}).get(split) or {} for r in found]
        for name in figure_names(found):
            cells = [_figure(r, name, part.get(name)) for r, part in zip(found, parts, strict=True)]
            if cells != ["-", "-"] and not any(isinstance(part.get(name), list) for part in parts):
                lines.append([f"{split} {name}", *cells])
    if any(record.claims for record in found):
        lines.append(["claims held", *map(_held, found)])
    for line in [*columns(lines), *_tables(found)]:
        print(line)
    print()
    if settings:
        print("Set otherwise")
        for line in columns([[f"  {name}", _plain(x), _plain(y)] for name, x, y in settings]):
            print(line)
    else:
        print("Everything is set alike.")
    print("\nThe specs differ\n" + spec if spec else "The specs say the same.")
    return 0


def _tables(found: Sequence[Record]) -> Iterator[str]:
    """The figures that are tables, those of one run above those of the other, where they differ."""
    from dotnn.training.figures import read_reading
    from dotnn.training.tables import drawn

    for split in ("val", "test"):
        parts = [(r.figures or {}).get(split) or {} for r in found]
        for name in dict.fromkeys(name for part in parts for name in part):
            readings = [read_reading(part.get(name)) for part in parts]
            if readings[0] == readings[1]:
                continue
            for record, reading in zip(found, readings, strict=True):
                if isinstance(reading, tuple):
                    yield from ["", f"{split} {name} of {record.folder}", *drawn(reading)]


def _held(record: Record) -> str:
    """How many of its claims hold, where they were checked."""
    return f"{sum(record.claims)} of {len(record.claims)}" if record.claims else "-"


def _figure(record: Record, name: str, value: Any) -> str:
    from dotnn.training.display import reads_as_share, shown
    from dotnn.training.figures import read_reading

    return shown(read_reading(value), reads_as_share((record.texts or {}).get(name, "")))


def _plain(value: Any) -> str:
    """A setting for a table: on one line."""
    if isinstance(value, Mapping):
        return " ".join(f"{k}:{v}" for k, v in value.items())
    text = "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells as a table: the first column and words to the left, what looks like a number to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    right = [i > 0 and all(line[i][:1] in "-0123456789" for line in lines[1:]) for i in range(len(widths))]
    return [
        "  ".join(f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    ]
