"""Looks at plugins in a Python of their own: one that raises, ends Python or never comes back harms nobody there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources.abc import Traversable
from itertools import groupby

from dotnn.entries import EVERY, Entry

PATIENCE = 10.0
"""Seconds after which a plugin that is still being imported counts as broken."""


@dataclass(frozen=True)
class Found:
    """One thing that is there, or should be. why: what is broken; empty where it works."""

    kind: str
    name: str
    package: str
    version: str
    built_in: bool
    summary: str = ""
    why: str = ""


def probe(entries: Sequence[Entry], patience: float = PATIENCE) -> list[Found]:
    """What each entry brings, and whether it works; our own first. Every module of a stranger's is tried by itself."""
    groups = [list(group) for _, group in groupby(entries, lambda e: "" if e.built_in else (e.package, e.module))]
    with ThreadPoolExecutor(max_workers=4) as pool:
        seen = [found for group in pool.map(lambda g: _apart(g, patience), groups) for found in group]
    return list(_with_clashes(seen))


def _with_clashes(seen: Sequence[Found]) -> Sequence[Found]:
    first: dict[tuple[str, str], Found] = {}
    named = []
    for found in seen:
        owner = first.setdefault((found.kind, found.name), found)
        if owner is not found and not found.why:
            whose = "dotnn's own" if owner.built_in else f"that of {owner.package}"
            found = Found(**{**asdict(found), "why": f"not used, since {whose} has this name too"})
        named.append(found)
    return named


def _apart(entries: Sequence[Entry], patience: float) -> list[Found]:
    """These entries, as another Python sees them."""
    words = json.dumps([asdict(entry) for entry in entries])
    command = [sys.executable, "-P", "-m", "dotnn.plugins.probe"]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that what it may have started ends with it
    )
    try:
        said, _ = child.communicate(words.encode(), timeout=patience)
    except subprocess.TimeoutExpired:
        why = f"importing {entries[0].module} did not end within {patience:g} seconds"
        return [_broken(entry, why) for entry in entries]
    finally:
        _end(child)
    try:
        return [Found(**fields) for fields in json.loads(said)]
    except (ValueError, TypeError):
        why = f"importing {entries[0].module} ended Python (exit status {child.returncode})"
        return [_broken(entry, why) for entry in entries]


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (OSError, AttributeError):
        child.kill()
    child.wait()


def _broken(entry: Entry, why: str) -> Found:
    return Found(entry.kind, entry.name, entry.package, entry.version, entry.built_in, why=why)


def examine(entries: Sequence[Entry]) -> list[Found]:
    """What these entries bring, seen in this very process."""
    from dotnn.plugins.registry import BrokenError, Registry

    registry = Registry(entries)
    found: list[Found] = []
    for entry in entries:
        try:
            offered = registry.offers(entry)
            names = list(offered) if entry.name == EVERY else [entry.name]
            for name in names:
                thing = registry.thing(entry, name)
                about = _summary(thing)
                found.append(Found(entry.kind, name, entry.package, entry.version, entry.built_in, about))
        except BrokenError as broken:
            found.append(_broken(entry, str(broken)))
    return found


def _summary(thing: object) -> str:
    """A line about a thing; of a definition the first line of its comment."""
    if isinstance(thing, Traversable):
        text = thing.read_text(encoding="utf-8")
        return text.split("\n")[0].removeprefix("#").strip() if text.startswith("#") else ""
    return str(getattr(thing, "summary", ""))


def main() -> None:
    """Reads entries as JSON on stdin, and writes what it finds on stdout, which nobody else may write to."""
    answer = os.dup(1)
    os.dup2(2, 1)
    asked = [Entry(**fields) for fields in json.load(sys.stdin)]
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        json.dump([asdict(found) for found in examine(asked)], out)


if __name__ == "__main__":
    main()
