"""What the folders of runs tell of them, without compiling anything: for tables of runs and for comparisons."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotnn.training.lock import LOCK
from dotnn.training.run import PROGRAM, RESULT, SPEC
from dotnn.training.started import STARTED, canonical
from dotnn.training.store import LOG
from dotnn_grammar.problems import Problem

SPLITS = ("train", "val", "test")


class NoRuns(Problem):
    code = "T044"
    title = "`{folder}` holds no runs"
    help = "{way}"
    folder: str
    way: str


@dataclass(frozen=True, slots=True)
class Record:
    """One run, as its folder tells it."""

    folder: Path
    state: str
    """`done`, `stopped`, `interrupted`, `diverged`; `running`, `unfinished` without a result; `broken`."""
    reason: str = ""
    name: str = ""
    spec: str = ""
    params: Mapping[str, Any] | None = None
    set: Mapping[str, Any] | None = None
    """Lines of the spec that `--set` has changed, by their path."""
    plan: Mapping[str, Any] | None = None
    began: Mapping[str, Any] | None = None
    """`started.json`."""
    roles: Mapping[str, str] | None = None
    texts: Mapping[str, str] | None = None
    """Of each figure: its role, and what the spec says that it is."""
    parameters: int = 0
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    figures: Mapping[str, Mapping[str, Any]] | None = None
    claims: tuple[bool, ...] = ()
    """Of each claim whether it holds, where that is known."""
    when: float = 0.0
    """When it was started, in seconds since 1970."""

    @property
    def facts(self) -> Mapping[str, Any]:
        found = (self.began or {}).get("facts")
        return found if isinstance(found, dict) else {}

    def best_split(self) -> str:
        """The split whose figures count most of those that are there."""
        return next((name for name in ("test", "val", "train") if (self.figures or {}).get(name)), "train")

    def settings(self) -> dict[str, Any]:
        """Everything that a person can choose, by name."""
        plan = self.plan or {}
        began = self.began or {}
        chosen = {key: plan.get(key) for key in ("batch", "epochs", "steps", "seed")}
        chosen["accumulate"] = plan.get("accumulate") if plan.get("accumulate") != 1 else None
        chosen["precision"] = plan.get("precision") if plan.get("precision") != "f32" else None
        chosen["start from"] = began.get("warm") or plan.get("start")
        facts = self.facts
        asked = {f"--{key}": began.get(key) for key in ("epochs", "steps")}
        where = {"backend": began.get("backend"), "device": facts.get("device"), "threads": facts.get("threads")}
        versions = {f"version of {k}" if k != "processor" else k: v for k, v in (facts.get("versions") or {}).items()}
        data = {"data": (facts.get("data") or "")[:12]}
        whole = {**(self.params or {}), **(self.set or {}), **chosen, **asked, **where, **versions, **data}
        return {key: value for key, value in whole.items() if value not in (None, "", {})}


def records(folder: Path) -> list[Record]:
    """Every run in a folder, the newest last. Raises ``ProblemError`` where there is none."""
    if not folder.is_dir():
        way = "`nn train` makes runs, in a folder `runs` where you are; name the one that holds yours: nn runs FOLDER"
        raise NoRuns(folder=str(folder), way=way).error()
    found = [record for path in sorted(folder.iterdir()) if (record := read_record(path)) is not None]
    if not found:
        way = "each run is a folder in it; `nn train FILE.nn` makes one"
        if read_record(folder) is not None:
            way = f"it is a run itself: `nn eval {folder}` measures it, and `nn runs {folder.parent}` lists it"
        raise NoRuns(folder=str(folder), way=way).error()
    return sorted(found, key=lambda record: record.when)


def read_record(folder: Path) -> Record | None:
    """What a run's folder tells; None where it is no run's."""
    program = folder / PROGRAM
    if not program.is_file():
        return None
    when = program.stat().st_mtime
    known = _json(program)
    if not isinstance(known, dict) or not isinstance(known.get("plan"), dict):
        return Record(folder, "broken", reason=f"{PROGRAM} cannot be read", when=when)
    figures = [f for f in known.get("figures", ()) if isinstance(f, dict)]
    made = {
        "name": str(known.get("name", "")),
        "spec": str(known.get("spec", "")),
        "params": known.get("params") or {},
        "set": known.get("settings") or {},
        "plan": known["plan"],
        "began": _json(folder / STARTED) or {},
        "roles": {str(f.get("name")): str(f.get("role")) for f in figures},
        "texts": {str(f.get("name")): str(f.get("text")) for f in figures},
        "parameters": int(known.get("parameters") or 0),
        "when": when,
    }
    result = _json(folder / RESULT)
    if isinstance(result, dict):
        splits = {name: result[name] for name in SPLITS if isinstance(result.get(name), dict)}
        return Record(
            folder,
            str(result.get("ending", "broken")),
            reason=str(result.get("reason") or ""),
            epochs=int(result.get("epochs") or 0),
            steps=int(result.get("steps") or 0),
            seconds=float(result.get("seconds") or 0),
            figures=splits,
            claims=_held(result.get("claims")),
            **made,
        )
    state = "running" if _alive(folder / LOCK) else "unfinished"
    if (folder / RESULT).exists():
        state = "broken"
    last = _last_line(folder / LOG)
    return Record(
        folder,
        state,
        epochs=int(last.get("epoch") or 0),
        steps=int(last.get("step") or 0),
        seconds=float(last.get("seconds") or 0),
        figures={name: last[name] for name in SPLITS if isinstance(last.get(name), dict)},
        **made,
    )


def _held(claims: Any) -> tuple[bool, ...]:
    """Of each claim that a result tells of, whether it holds."""
    listed = claims if isinstance(claims, list) else []
    return tuple(claim.get("holds") is True for claim in listed if isinstance(claim, dict))


def changed_settings(one: Record, other: Record) -> list[tuple[str, Any, Any]]:
    """The settings in which two runs differ: name, that of the one, that of the other (None: it has none)."""
    a, b = one.settings(), other.settings()
    return [(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]


def changed_spec(one: Record, other: Record) -> str:
    """What differs between the specs of two runs, without comments and layout; empty where nothing does."""
    texts = [_text(record.folder / SPEC) for record in (one, other)]
    old, new = (canonical(text).splitlines() for text in texts)
    lines = difflib.unified_diff(old, new, str(one.folder), str(other.folder), lineterm="", n=1)
    return "\n".join(f"  {line}" for line in lines)


def figure_names(found: Sequence[Record]) -> list[str]:
    """Every figure of these runs, in order."""
    return list(dict.fromkeys(name for record in found for name in record.roles or ()))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _last_line(path: Path) -> Mapping[str, Any]:
    """The last whole line of a log."""
    for line in reversed(_text(path).splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _alive(lock: Path) -> bool:
    """Whether the process that a lock names is there. The lock is left alone: a trainer may be taking it."""
    owner = _text(lock).strip()
    if not owner.isdigit():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
