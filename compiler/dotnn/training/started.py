"""With what a run was started: enough to do the same again, and to see what has changed since."""

from __future__ import annotations

import difflib
import hashlib
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dotnn import __version__
from dotnn.data import Dataset
from dotnn.graph import dump
from dotnn.plugins import Backend, Versioned
from dotnn.program import Program
from dotnn.training.checkpoint import Facts
from dotnn.training.problems import BrokenRun, no_run, reason_of
from dotnn_grammar.problems import Problem, ProblemError

STARTED = "started.json"


class SpecChanged(Problem):
    code = "T030"
    title = "`{spec}` has changed since `{folder}` was started"
    help = (
        "a run goes on with its own spec: undo the change, or start a new run from these weights with --warm-start\n"
        "{difference}"
    )
    spec: str
    folder: str
    difference: str


class DataChanged(Problem):
    code = "T031"
    title = "the data of `{folder}` has changed since it was started"
    help = (
        "put the tables back as they were (their fingerprint was {before}…, and is {now}…), "
        "or start a new run from these weights with --warm-start"
    )
    folder: str
    before: str
    now: str


class VersionsChanged(Problem):
    code = "T032"
    title = "`{folder}` was started with {before}, and here is {now}"
    help = "install what it was started with, or say --inexact: it goes on, but not to the last bit as it would have"
    folder: str
    before: str
    now: str


class SpecMoved(Problem):
    code = "T033"
    title = "the spec of `{folder}` is no longer at `{spec}`"
    help = "say where it is now: nn resume {folder} --spec FILE"
    folder: str
    spec: str


class Started(BaseModel):
    """`started.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    spec: str
    """The path of the spec, whole."""
    block: str
    settings: dict[str, str] = {}
    """Of `--set`."""
    seed: int | None = None
    epochs: int | None = None
    steps: int | None = None
    """`--seed`, `--epochs`, `--steps`; None where they were left away."""
    backend: str = "onnx"
    target: str = "portable"
    every: str = ""
    keep: int = 2
    """How checkpoints were asked for."""
    log: tuple[str, ...] = ()
    """Of `--log`."""
    warm: str = ""
    """The run whose weights it began with; empty for new ones."""
    left_out: str = ""
    """What `on bad row skip` left out: how many rows of how many, and what is wrong with the first of them."""
    facts: Facts


def facts_of(program: Program, dataset: Dataset, backend: Backend) -> Facts:
    """What a run belongs to; the device and the threads are known when it starts."""
    versions = {"dotnn": __version__, "numpy": version("numpy"), "processor": platform.machine()}
    return Facts(
        spec=program.sha256,
        graph=hashlib.sha256(dump(program.graphs["train"]).encode()).hexdigest(),
        data=dataset.fingerprint,
        versions=versions | (backend.versions() if isinstance(backend, Versioned) else {}),
        device="",
        threads={},
    )


def read_started(folder: Path) -> Started:
    """`started.json` of a run. Raises ``ProblemError``."""
    path = folder / STARTED
    try:
        return Started.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise no_run(folder, STARTED) from None
    except OSError as error:
        raise BrokenRun(path=str(path), reason=reason_of(error)).error() from None
    except ValidationError:
        raise BrokenRun(path=str(path), reason="it is not as it was written").error() from None


def refuse_other_data(folder: Path, before: Facts, now: Facts) -> None:
    """Raises ``ProblemError`` where the tables are not those of before."""
    if before.data != now.data:
        raise DataChanged(folder=str(folder), before=before.data[:12], now=now.data[:12]).error()


def refuse_other_versions(folder: Path, before: Facts, now: Facts) -> None:
    """Raises ``ProblemError`` where anything else computes than before."""
    names = [name for name in before.versions if before.versions[name] != now.versions.get(name)]
    if names:
        olds, news = (", ".join(_version(facts, name) for name in names) for facts in (before, now))
        raise VersionsChanged(folder=str(folder), before=olds, now=news).error()


def _version(facts: Facts, name: str) -> str:
    found = facts.versions.get(name)
    return f"{name} {found}" if found else f"no {name}"


def difference(before: str, now: str) -> str:
    """What was changed between two specs, each in its one canonical form: the lines of a unified diff."""
    old, new = canonical(before).splitlines(), canonical(now).splitlines()
    lines = difflib.unified_diff(old, new, "as it was started", "as it is now", lineterm="", n=1)
    return "\n".join(f"    {line}" for line in lines)


def canonical(text: str) -> str:
    """A spec without what means nothing: its comments and its layout; as it is, where it cannot be read alone."""
    from dotnn.read import read_text
    from dotnn.write import write_spec
    from dotnn_grammar.source import Source

    with suppress(ProblemError):
        text = write_spec(read_text(Source(name="spec.nn", text=text)))
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
