"""`nn train`: trains a spec and keeps everything about it in a run's folder."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dotnn.program import Program
    from dotnn.training.loop import Observer, Outcome

DIVERGED = 4


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Format(StrEnum):
    text = "text"
    json = "json"


def train(
    file: Annotated[str, typer.Argument(metavar="FILE[:NAME]", help="The spec, and one train block of it.")],
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Give a param a value.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder.", show_default="a new one, runs/NAME-NNN")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=1024, metavar="N", help="Threads.", show_default="one a core"),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="What runs the graphs: onnx, reference.")] = "onnx",
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Another seed than the spec's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N epochs at the latest.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N steps at the latest.")] = None,
    format: Annotated[Format, typer.Option(help="Talk for people, or one JSON object a line on stdout.")] = Format.text,
) -> int:
    """Train a spec, and watch it learn."""
    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.compiler import program_names
    from dotnn.training.loop import Limits

    path, name = desk.target(file)
    values = desk.settings(set or [])
    chosen = plugins.backend(backend)
    options = desk.options(device.value, threads)
    names = [name] if name else program_names(path)
    done: list[tuple[str, Program, Outcome]] = []
    for block in names:
        where = out / block if out is not None and len(names) > 1 else out
        program, outcome, code = _one(
            path, block, values, where, chosen, options, seed, Limits(epochs, steps), format is Format.json
        )
        done.append((block, program, outcome))
        if code:
            return code
    if len(done) > 1 and format is Format.text:
        desk.say()
        for line in compared(done):
            desk.say(line)
    return 0


def _one(
    path: Path,
    name: str,
    values: dict[str, str],
    out: Path | None,
    backend: Any,
    options: Any,
    seed: int | None,
    limits: Any,
    as_json: bool,
) -> tuple[Program, Outcome, int]:
    """Trains one block. The exit code is 0, 4 (diverged), 130 or 143 (interrupted)."""
    import json

    from dotnn.commands import desk
    from dotnn.compiler import compile_file
    from dotnn.training import run
    from dotnn.training.baseline import baseline
    from dotnn.training.loop import Flag
    from dotnn.training.loop import train as learn
    from dotnn.training.signals import listening
    from dotnn.training.summary import summary

    compiled = compile_file(path, settings=values, train=name)
    program = compiled.program
    if seed is not None:
        program = program.model_copy(update={"plan": program.plan.model_copy(update={"seed": seed})})
    for note in compiled.notes:
        desk.say(note)
    folder = run.make_folder(program, out)
    run.begin(folder, program, compiled.source)
    flag, log = Flag(), run.Log(folder)
    display = _display(folder, as_json)
    try:
        with listening(flag):
            outcome = learn(program, compiled.dataset, backend, options, [log, display], flag, limits)
    except BaseException:
        log.close()
        run.discard(folder)
        raise
    finally:
        if hasattr(display, "close"):
            display.close()
    files = [run.LOG, *run.finish(folder, program, outcome, backend, options)]
    if as_json:
        print(json.dumps(run.done_event(folder, outcome)), flush=True)
    else:
        split = next((s for s in ("test", "val", "train") if s in outcome.splits), "train")
        quick = outcome.ending == "interrupted"
        guess = None if quick else baseline(program, compiled.dataset, backend, options, split)
        desk.say("\n" + summary(program, outcome, folder, files, guess, _tries(path, folder, values, outcome)))
    if outcome.problem is not None:
        desk.tell(outcome.problem.error(), compiled.sources)
        return program, outcome, DIVERGED
    return program, outcome, 128 + flag.raised if outcome.ending == "interrupted" else 0


def _display(folder: Path, as_json: bool) -> Observer:
    from dotnn.training.display import Lines, Screen, colored
    from dotnn.training.run import Events

    if as_json:
        return Events(folder)
    if not colored(sys.stderr):
        return Lines()
    from rich.console import Console

    return Screen(Console(stderr=True))


def _tries(path: Path, folder: Path, values: dict[str, str], outcome: Outcome) -> list[str]:
    """Commands that make sense next."""
    if outcome.ending == "diverged":
        return [f"nn show {path}"]
    tables = _tables(path)
    tries = [f"nn predict {folder} {tables[0]}"] if tables else []
    params = [p for p in _params(path) if p[0] not in values]
    tries += [f"nn train {path} --set {name}={value}" for name, value in params[:1]]
    return [*tries, f"nn show {path}"]


def _tables(path: Path) -> list[Path]:
    """The tables that the spec names, as far as they are there."""
    import re

    found = re.findall(r'^\s*source\s+table\s+"([^"*?]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    return [path.parent / name for name in found if (path.parent / name).is_file()]


def _params(path: Path) -> list[tuple[str, str]]:
    """Whole-number params of the spec, each with twice its value."""
    import re

    found = re.findall(r"^param\s+(\w+)\s*=\s*(\d+)\s*(?:#.*)?$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [(name, str(2 * int(value))) for name, value in found]


def compared(done: list[tuple[str, Program, Outcome]]) -> list[str]:
    """Several train blocks side by side, by their test figures (or val's, or train's)."""
    from dotnn.training.display import is_share, shown

    lines = []
    width = max(len(name) for name, _, _ in done)
    for name, program, outcome in done:
        split = next((s for s in ("test", "val", "train") if s in outcome.splits), "train")
        figures = outcome.splits.get(split, {})
        cells = "   ".join(f"{split} {n} {shown(v, is_share(program, n))}" for n, v in figures.items())
        lines.append(f"  {name:<{width}}  {cells}   {program.parameters:,} numbers learned")
    return ["Side by side:", *lines]
