"""What the verbs share: reading their arguments, and telling of problems."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source

if TYPE_CHECKING:
    from dotnn.plugins import Options


class NoSuchFile(Problem):
    code = "C001"
    title = "there is no file `{path}`"
    help = "{near}"
    path: str
    near: str


class NotAFile(Problem):
    code = "C002"
    title = "`{path}` is {kind}, not a .nn file"
    help = "{advice}"
    path: str
    kind: str
    advice: str


class BadSetting(Problem):
    code = "C003"
    title = "`--set {text}` gives nothing a value"
    help = "write a name, `=` and its value, without spaces: --set hidden=128, --set train.batch=64"
    text: str


class NotEmpty(Problem):
    code = "C004"
    title = "`{folder}` holds other files"
    help = "name a new folder, or one that holds an older bundle"
    folder: str


class Unreadable(Problem):
    code = "C005"
    title = "`{path}` cannot be read: {reason}"
    help = "see who may read it, or copy it to where you may"
    path: str
    reason: str


class UnknownName(Problem):
    code = "C006"
    title = "nothing is called `{name}`"
    help = "{near}"
    name: str
    near: str


class NoHost(Problem):
    code = "C007"
    title = "the backend {backend} writes no training loop in {language}"
    help = "leave --host away: manifest.json says all that a host program needs"
    backend: str
    language: str


class NoSuchExample(Problem):
    code = "C030"
    title = "`--example {text}`: {why}"
    help = "examples are counted from 0: --example 3, or --example 0..8 for the first eight"
    text: str
    why: str


class SpecGone(Problem):
    code = "C020"
    title = "the spec of `{run}` is no longer at `{spec}`, and its tables are looked for beside it"
    help = "say where it lies now: nn {verb} {run} --spec FILE"
    run: str
    spec: str
    verb: str


def target(text: str) -> tuple[Path, str | None]:
    """`digits.nn` or `xor.nn:Deep` as a file that can be read and the train block's name. Raises ``ProblemError``."""
    path, name = Path(text), None
    if not path.exists() and ":" in text:
        file, _, block = text.rpartition(":")
        path, name = Path(file), block or None
    return spec_file(path), name


def spec_file(path: Path) -> Path:
    """The path, when a spec can be read there. Raises ``ProblemError``."""
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.nn"))
        advice = f"name one of the files in it: {', '.join(inside[:5])}" if inside else "name a file that ends in .nn"
        raise NotAFile(path=str(path), kind="a folder", advice=advice).error()
    if not path.exists():
        raise missing(path).error()
    if not path.is_file():
        raise NotAFile(path=str(path), kind="a device or a pipe", advice="name a file that ends in .nn").error()
    if not os.access(path, os.R_OK):
        raise Unreadable(path=str(path), reason="it is closed to you").error()
    return path


@contextmanager
def beside_spec(verb: str, run: Path, spec: Path | None) -> Iterator[Path]:
    """The folder where a run's tables are looked for: beside its spec, or beside where ``spec`` says that this is now.

    Raises ``ProblemError``: what goes wrong within, and that the spec has gone in place of it, where that is why.
    """
    from dotnn.training.started import read_started

    place = spec or Path(read_started(run).spec)
    try:
        yield place.parent
    except ProblemError:
        if spec is None and not place.exists():
            raise SpecGone(run=str(run), spec=str(place), verb=verb).error() from None
        raise


def missing(path: Path) -> NoSuchFile:
    """The problem of a file that is not there, with files beside it that may have been meant."""
    from dotnn_grammar.problems import nearest

    folder = path.parent
    known = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    specs = sorted(name for name in known if name.endswith(".nn"))
    near = nearest(path.name, known)
    if near:
        help = f"did you mean `{folder / near[0]}`?"
    elif specs:
        help = f"in that folder there are: {', '.join(specs[:8])}"
    elif not folder.is_dir():
        help = f"there is no folder `{folder}` either; you are in {Path.cwd()}"
    else:
        help = f"you are in {Path.cwd()}"
    return NoSuchFile(path=str(path), near=help)


def settings(pairs: Sequence[str]) -> dict[str, str]:
    """`--set name=value` pairs. Raises ``ProblemError``."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not all(part.isidentifier() for part in name.strip().split(".")) or not value.strip():
            raise BadSetting(text=pair).error()
        found[name.strip()] = value.strip()
    return found


def options(device: str, threads: int | None) -> Options:
    """What is asked of the backend for training on this device."""
    from dotnn.plugins import Options

    return Options(target="device", device=device, threads=threads)


def tell(error: ProblemError, sources: Mapping[str, Source] | None = None) -> None:
    """Every problem on stderr, each with its place in the file."""
    from dotnn.training.display import colored
    from dotnn_grammar.show import render_all

    known = dict(sources or error.sources)
    color = colored(sys.stderr) and not os.environ.get("NO_COLOR")
    for problem in error.problems:
        for span in [problem.span, *(note.span for note in problem.notes)]:
            if span is not None and span.file not in known:
                known |= _source(span.file)
    print(render_all(error.problems, known, color), file=sys.stderr, end="", flush=True)


def _source(name: str) -> dict[str, Source]:
    try:
        return {name: Source(name=name, text=Path(name).read_text(encoding="utf-8"))}
    except (OSError, ValueError):
        return {}


def say(text: str = "") -> None:
    """Talk: on stderr."""
    print(text, file=sys.stderr, flush=True)
