"""`nn resume`: goes on with a run from its newest checkpoint, to the last bit as if it had never ended."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dotnn.commands.options import Epochs, Format, Run, Steps
from dotnn.commands.train import conduct

if TYPE_CHECKING:
    from dotnn.compiler import Compiled
    from dotnn.training.started import Started


def resume(
    run: Run,
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the spec is now.", show_default="where it was")
    ] = None,
    epochs: Epochs = None,
    steps: Steps = None,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Go on with other versions too, though the last bits may differ.")
    ] = False,
    format: Annotated[Format, typer.Option(help="Talk for people, or one JSON object a line on stdout.")] = Format.text,
) -> int:
    """Go on with a run, exactly where its newest checkpoint is."""
    return go_on(run, spec, epochs, steps, inexact, format is Format.json)


def go_on(folder: Path, spec: Path | None, epochs: int | None, steps: int | None, inexact: bool, as_json: bool) -> int:
    """The exit code, as `nn train` has it. epochs, steps: another end than the one it was started with."""
    from dataclasses import replace

    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.training import run, trial
    from dotnn.training.lock import locked
    from dotnn.training.loggers import open_loggers
    from dotnn.training.started import facts_of, read_started, refuse_other_data, refuse_other_versions
    from dotnn.training.store import newest, sweep

    program = run.read_program(folder)
    started = read_started(folder)
    path = spec or Path(started.spec)
    with locked(folder):
        sweep(folder)
        found = newest(folder)
        for note in found.notes:
            desk.say(note)
        compiled = _compiled(folder, path, started, program.fold)
        backend = plugins.backend(started.backend)
        before, now = found.manifest.facts, facts_of(program, compiled.dataset, backend)
        refuse_other_data(folder, before, now)
        if not inexact:
            refuse_other_versions(folder, before, now)
        if epochs is not None or steps is not None:
            started = started.model_copy(update={"epochs": epochs, "steps": steps})
        started = started.model_copy(update={"facts": now.model_copy(update={"graph": before.graph})})
        options = plugins.Options(target=started.target, device=before.device or "cpu")
        job = trial.Job(program, compiled.dataset, backend, options, folder, started)
        trial.refuse_finished(job, found.snapshot.position.step)
        compiled = replace(compiled, program=program)
        logs = open_loggers(started.log, folder, program, desk.say)
        _, code = conduct(job, compiled, _shown(path), as_json, partial(trial.resume, job, found, say=desk.say), logs)
    return code


def _compiled(folder: Path, path: Path, started: Started, fold: int | None) -> Compiled:
    """The spec as it is now, compiled for its data alone. Raises ``ProblemError`` where it is not the run's."""
    from dotnn.compiler import compile_file
    from dotnn.training.run import SPEC
    from dotnn.training.started import SpecChanged, SpecMoved, difference

    if not path.is_file():
        raise SpecMoved(folder=str(folder), spec=str(path)).error()
    compiled = compile_file(_shown(path), settings=started.settings, train=started.block, fold=fold)
    if compiled.program.sha256 != started.facts.spec:
        lines = difference((folder / SPEC).read_text(encoding="utf-8"), compiled.source)
        if not lines:
            return compiled  # comments mean nothing
        raise SpecChanged(spec=str(_shown(path)), folder=str(folder), difference=lines).error()
    return compiled


def _shown(path: Path) -> Path:
    """The path as a person would write it from here."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
