"""`nn train`: trains a spec and keeps everything about it in a run's folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dotnn.commands.options import BackendName, Epochs, Format, Steps, Threads

if TYPE_CHECKING:
    from dotnn.compiler import Compiled
    from dotnn.program import Program
    from dotnn.training.checkpoint import State
    from dotnn.training.events import Observer, Outcome
    from dotnn.training.loggers import Guarded
    from dotnn.training.measure import Flag
    from dotnn.training.trial import Job
    from dotnn_grammar.problems import Problem
    from dotnn_grammar.source import Source

DIVERGED = 4


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def train(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE[:NAME]", help="The spec, and one train block of it.")
    ] = None,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a param or a line.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder.", show_default="a new one, runs/NAME-NNN")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    threads: Threads = None,
    backend: BackendName = "onnx",
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Another seed than the spec's.")] = None,
    epochs: Epochs = None,
    steps: Steps = None,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(
            metavar="DISTANCE",
            help="A checkpoint this often and at each epoch's end: 500 steps, 30 s, 5 min.",
            show_default="at epochs' ends, as often as costs little",
        ),
    ] = None,
    keep_checkpoints: Annotated[int, typer.Option(min=2, metavar="N", help="Keep the N newest checkpoints.")] = 2,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with this run, as `nn resume RUN` does.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Examine this fold alone.", show_default="each of `split folds` in turn"),
    ] = None,
    log: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Write for another program too: tensorboard.")
    ] = None,
    warm_start: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Begin with the weights of this run, as far as they fit.")
    ] = None,
    format: Annotated[Format, typer.Option(help="Talk for people, or one JSON object a line on stdout.")] = Format.text,
) -> int:
    """Train a spec, and watch it learn."""
    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.commands.several import Side, side_by_side
    from dotnn.compiler import program_names
    from dotnn.training import run
    from dotnn.training.loggers import open_loggers
    from dotnn.training.started import Started, facts_of
    from dotnn.training.store import every
    from dotnn.training.trial import Job, begin, begun

    if resume is not None:
        from dotnn.commands.resume import go_on

        refuse_with_resume(set, out, seed, checkpoint_every, warm_start, fold)
        return go_on(resume, Path(file) if file else None, epochs, steps, False, format is Format.json)
    if file is None:
        raise typer.BadParameter("Name a spec, such as specs/digits.nn, or a run to go on with after --resume.")
    path, name = desk.target(file)
    values = desk.settings(set or [])
    chosen = plugins.backend(backend)
    options = desk.options(device.value, threads)
    names = [name] if name else program_names(path)
    turns = [(block, number) for block in names for number in folds_to_train(path, block, fold)]
    done: list[tuple[str, Program, Outcome]] = []
    beside: list[Side] = []
    together = len(names) > 1 and all(number is None for _, number in turns)
    try:
        for block, number in turns:
            label = block if number is None else f"{block}, fold {number}"
            where = out
            if out is not None and len(names) > 1:
                where = out / block
            if where is not None and number is not None and fold is None:
                where = where / f"fold-{number}"
            if number is not None and format is Format.text:
                desk.say(f"{label}:")
            compiled = _compiled(path, block, values, seed, number)
            earlier = earlier_run(compiled.program, path, warm_start)
            started = Started(
                spec=str(path.resolve()),
                block=block,
                settings=values,
                seed=seed,
                epochs=epochs,
                steps=steps,
                backend=backend,
                target=options.target,
                every=str(every(checkpoint_every)),
                keep=keep_checkpoints,
                log=tuple(log or ()),
                warm=str(earlier or ""),
                left_out=str(compiled.dataset.skipped or ""),
                facts=facts_of(compiled.program, compiled.dataset, chosen),
            )
            folder = run.make_folder(compiled.program, where)
            job = Job(compiled.program, compiled.dataset, chosen, options, folder, started)
            work = partial(begin, job, compiled.source, first=first_weights(earlier))
            course = partial(begun, job, compiled.source, first=first_weights(earlier))
            try:
                logs = open_loggers(started.log, folder, job.program, desk.say)
            except BaseException:
                run.discard(folder)
                raise
            if together:
                beside.append(Side(block, job, compiled, course, logs))
                continue
            outcome, code = conduct(job, compiled, path, format is Format.json, work, logs)
            done.append((label, compiled.program, outcome))
            if code:
                return code
    except BaseException:
        for side in beside:
            run.discard(side.job.folder)
        raise
    if together:
        return side_by_side(beside, path, format is Format.json)
    if len(done) > 1 and len(names) > 1 and format is Format.text:
        desk.say()
        for line in compared(done):
            desk.say(line)
    for block in names:
        tell_folds(block, [(p, o) for _, p, o in done if p.name == block and p.fold is not None], format is Format.json)
    return 0


def folds_to_train(path: Path, block: str, fold: int | None) -> list[int | None]:
    """The folds that are examined, one after the other; [None] where the rows are in none."""
    from dotnn.inputs.folds import folds_of
    from dotnn.job import Text
    from dotnn.read.stored import stored_program

    if fold is not None or stored_program(path) is not None:
        return [fold]
    text = Text.read(path)
    with text.placed():
        count = folds_of(text.spec, block)
    return [None] if count is None else list(range(1, count + 1))


def tell_folds(block: str, done: Sequence[tuple[Program, Outcome]], as_json: bool) -> None:
    """Mean and spread over the folds: what a single exam cannot tell."""
    import json

    from dotnn.commands import desk
    from dotnn.inputs.folds import spread
    from dotnn.training.display import is_share, shown

    if len(done) < 2:
        return
    program = done[0][0]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for split in ("val", "test"):
        for name in done[0][1].splits.get(split, {}):
            given = [outcome.splits[split][name] for _, outcome in done]
            numbers = [number for number in given if isinstance(number, int | float)]
            if len(numbers) == len(given):
                mean, wide = spread(numbers)
                found.setdefault(split, {})[name] = {"mean": mean, "spread": wide}
    if as_json:
        print(json.dumps({"event": "folds", "name": block, "folds": len(done), **found}), flush=True)
        return
    desk.say(f"\n{block} over {len(done)} folds, mean and spread (one standard deviation):")
    for split, figures in found.items():
        cells = []
        for name, figure in figures.items():
            usual, around = (shown(figure[word], is_share(program, name)) for word in ("mean", "spread"))
            cells.append(f"{name} {usual} ± {around}")
        desk.say(f"  {split:<6} {'   '.join(cells)}")


def earlier_run(program: Program, path: Path, given: Path | None) -> Path | None:
    """The run whose weights this one begins with: the one that is given, or else the one that the spec names."""
    from dotnn.training.warm import start_folder

    if given is not None or program.plan.start is None:
        return given
    return start_folder(program.plan.start, path.parent)


def first_weights(earlier: Path | None) -> Callable[[State], State] | None:
    """Puts the weights of an earlier run in the place of new ones, and says what did not fit."""
    from dotnn.commands import desk
    from dotnn.training.warm import begin_from

    if earlier is None:
        return None

    def take(state: State) -> State:
        made, notes = begin_from(earlier, state)
        for note in notes:
            desk.say(note)
        return made

    return take


def refuse_with_resume(*given: object) -> None:
    """Raises where something is set that a run going on has settled already."""
    if any(given):
        said = "--resume goes on with what the run was started with; only --epochs and --steps may set another end."
        raise typer.BadParameter(said)


def _compiled(path: Path, block: str, values: dict[str, str], seed: int | None, fold: int | None) -> Compiled:
    from dotnn.commands import desk
    from dotnn.compiler import compile_file

    compiled = compile_file(path, settings=values, train=block, fold=fold)
    for note in compiled.notes:
        desk.say(note)
    if seed is None:
        return compiled
    program = compiled.program
    plan = program.plan.model_copy(update={"seed": seed})
    return replace(compiled, program=program.model_copy(update={"plan": plan}))


def conduct(
    job: Job,
    compiled: Compiled,
    path: Path,
    as_json: bool,
    work: Callable[[Sequence[Observer], Flag], tuple[Outcome, list[str]]],
    logs: Sequence[Guarded] = (),
) -> tuple[Outcome, int]:
    """Does the work before the user's eyes, and says how it ended. logs: loggers that are told too.

    The exit code is 0, 4 (diverged), 130 or 143 (interrupted).
    """
    from dotnn.training.measure import Flag
    from dotnn.training.signals import attended

    flag = Flag()
    display = _display(job.program.name, as_json)

    def all_of_it() -> Outcome:
        try:
            outcome, files = work([display, *logs], flag)
        finally:
            for log in logs:
                log.close()
            if hasattr(display, "close"):
                display.close()
        _tell(job, compiled, path, as_json, outcome, files, bool(flag.raised))
        return outcome

    outcome = attended(all_of_it, flag)
    if outcome.problem is not None:
        return outcome, DIVERGED
    return outcome, 128 + flag.raised if flag.raised else 0


def _tell(
    job: Job, compiled: Compiled, path: Path, as_json: bool, outcome: Outcome, files: list[str], quick: bool
) -> None:
    """The end of a run: for programs on stdout, for people on stderr."""
    import json

    from dotnn.commands import desk
    from dotnn.generate.texts import example
    from dotnn.training.baseline import baseline
    from dotnn.training.run import done_event, named
    from dotnn.training.summary import summary

    if as_json:
        print(json.dumps(named(job.program.name, done_event(job.folder, outcome))), flush=True)
    else:
        split = next((s for s in ("test", "val", "train") if s in outcome.splits), "train")
        guess = None if quick else baseline(job.program, job.dataset, job.backend, job.options, split)
        tries = _tries(path, job.folder, job.started.settings, outcome, job.program)
        if job.program.generation is not None and outcome.ending in ("done", "stopped"):
            rows = job.dataset.splits[split].arrays
            tries = [f"nn generate {job.folder} --prompt {example(job.program, rows)}", *tries]
        desk.say("\n" + summary(job.program, outcome, job.folder, files, guess, tries))
    if outcome.problem is not None:
        desk.tell(placed(outcome.problem, compiled.sources).error(), compiled.sources)


def placed(problem: Problem, sources: Mapping[str, Source]) -> Problem:
    """The problem under its file's whole name, its words marked; its line, where no more is known."""
    span = problem.span
    if span is None:
        return problem
    for name, source in sources.items():
        if name == span.file or name.endswith(f"/{span.file}"):
            found: dict[str, object] = {"file": name}
            if (span.line, span.column) == (span.end_line, span.end_column):
                text = source.line(span.line)
                first = len(text) - len(text.lstrip()) + 1
                found |= {"column": first, "end_column": max(len(text.split("#")[0].rstrip()), first) + 1}
            return problem.model_copy(update={"span": span.model_copy(update=found)})
    return problem


def _display(name: str, as_json: bool) -> Observer:
    from dotnn.training.display import Lines, Screen, colored
    from dotnn.training.run import Events

    if as_json:
        return Events(name)
    if not colored(sys.stderr):
        return Lines()
    from rich.console import Console

    return Screen(Console(stderr=True))


def _tries(path: Path, folder: Path, values: dict[str, str], outcome: Outcome, program: Program) -> list[str]:
    """Commands that make sense next."""
    if outcome.ending == "diverged":
        return [f"nn show {path}"]
    if outcome.ending == "interrupted":
        return [f"nn resume {folder}"]
    tables = [] if _drawn(path, program.data) else _tables(path)
    tries = [f"nn predict {folder} {tables[0]}"] if tables else []
    if not any(fed.role in ("data", "label") for fed in program.graphs["predict"].inputs):
        tries = [f"nn predict {folder}"]  # what is drawn is asked about nothing
    params = [p for p in _params(path) if p[0] not in values]
    tries += [f"nn train {path} --set {name}={value}" for name, value in params[:1]]
    return [*tries, f"nn show {path}"]


def _drawn(path: Path, data: str) -> bool:
    """Whether the spec makes the rows of this block itself: no table holds what the net reads."""
    import re

    begins = rf"^data\s+{re.escape(data)}\s*\{{\s*(?:#.*\s+)*source\s+(?:draw|generate)\b"
    return re.search(begins, path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _tables(path: Path) -> list[Path]:
    """The tables that the spec names, as far as they are there; else one of the pictures or e-mails."""
    import re

    found = re.findall(r'^\s*source\s+table\s+"([^"*?]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    tables = [path.parent / name for name in found if (path.parent / name).is_file()]
    things = re.findall(r'^\s*source\s+(?:mail|images)\s+"([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    for pattern in things if not tables else ():
        tables += sorted(path.parent.glob(pattern))[:1] if not pattern.startswith(("/", "..")) else []
    return tables


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
        numbers = {n: v for n, v in figures.items() if not isinstance(v, tuple)}
        cells = "   ".join(f"{split} {n} {shown(v, is_share(program, n))}" for n, v in numbers.items())
        lines.append(f"  {name:<{width}}  {cells}   {program.parameters:,} numbers learned")
    return ["Side by side:", *lines]
