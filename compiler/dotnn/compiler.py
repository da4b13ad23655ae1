"""The compiler on one screen: text -> spec -> graphs -> differentiated -> updated -> simplified -> program."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from dotnn import __version__
from dotnn.build import Builder, scores_of
from dotnn.data import Dataset
from dotnn.differentiate import differentiate
from dotnn.generate.plan import can_write, writing
from dotnn.graph import Graph
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import fitted_on, no_fit
from dotnn.inputs.lengths import by_lengths
from dotnn.inputs.roles import labelled, weights_in
from dotnn.inputs.survey import sampled
from dotnn.job import Checked, Compiled, Job, Text
from dotnn.plan import answer_plan, block_name, choose, plan_of, steps_of
from dotnn.precision import rounded
from dotnn.program import PASSES, Pass, Program
from dotnn.read.stored import stored_program
from dotnn.simplify import simplify
from dotnn.spec import Spec, Train
from dotnn.update import slots, update
from dotnn.updates import scaling
from dotnn.updates.average import averaged, counters
from dotnn.updates.join import joined, with_key
from dotnn.updates.patterns import held
from dotnn.updates.turns import Turn, still
from dotnn.write import write_spec


def lower(builder: Builder, train: Train, steps: int, epoch: int, after: Pass = "simplify") -> dict[str, Graph]:
    """The graphs of one train block, as they are after the pass of that name.

    steps: how many there will be; epoch: how many make one.
    """
    done = PASSES[: PASSES.index(after) + 1]
    trainings = [builder.training(turn) for turn in builder.turns]
    narrow = train.precision or "f32"
    made: list[tuple[Turn, Graph]] = []
    moving: list[tuple[Turn, frozenset[str]]] = []
    for turn, training in zip(builder.turns, trainings, strict=True):
        quiet = still(turn, training.machine.weights)
        moving.append((turn, frozenset(training.machine.weights) - quiet))
        step = held(training.tape.graph(), quiet)
        if "differentiate" in done:
            scaled = narrow == "f16" and "precision" in done
            step = differentiate(step, scaling.forth(turn)) if scaled else differentiate(step)
        if "precision" in done:
            step = rounded(step, narrow)
        if "update" in done:
            step = update(step, training.machine, turn, steps, epoch)
        made.append((turn, step))
    step = joined(made)
    if "update" in done:
        step = averaged(step, trainings[-1].machine, train, counters(moving))

    init = builder.init()
    quiet = frozenset(init.machine.weights).difference(*(paths for _, paths in moving))
    if "update" in done:
        slots(init.machine, moving)

    predicting, evaluating = builder.prediction(), builder.evaluation()
    step = with_key(step, (evaluating.tape.graph(), predicting.tape.graph()))
    if any(fed.name == "key" for fed in step.inputs):
        init.machine.give_key()
    graphs = {
        "init": init.tape.graph(),
        "train": step,
        "eval": evaluating.tape.graph(),
        "predict": predicting.tape.graph(),
        "order": builder.order(),
    }
    figures = builder.figures()
    if figures is not None:
        graphs["figures"] = figures
    if "precision" in done:
        graphs |= {name: rounded(graphs[name], narrow) for name in ("eval", "predict")}
    read, weights = set(predicting.columns.raws), weights_in((*trainings, evaluating))
    graphs = {name: held(labelled(graph, read, weights), quiet) for name, graph in graphs.items()}
    return {name: simplify(graph) for name, graph in graphs.items()} if "simplify" in done else graphs


def claimed(graph: Graph, train: Train, after: Pass) -> Graph:
    """What a claim measures of a batch, as it is after the pass of that name."""
    done = PASSES[: PASSES.index(after) + 1]
    graph = rounded(graph, train.precision or "f32") if "precision" in done else graph
    return simplify(graph) if "simplify" in done else graph


def compiled(job: Job, after: Pass = "simplify") -> tuple[Program, Dataset]:
    """The whole way: what the spec says, its data, its graphs. Raises ``ProblemError``."""
    draft = job.draft()
    dataset = job.dataset(draft)
    plan = plan_of(job.spec, job.train, job.params, tuple(dataset.splits), job.figures())
    rows = dataset.splits["train"].count if "train" in dataset.splits else 0
    plan = by_lengths(plan, tuple(draft.raws.values()), dataset)
    fit = fitted_on(dataset)
    builder = job.builder(fit)
    aparts = job.aparts(fit, {raw.name for raw in draft.raws.values() if raw.role == "data"})
    builder.apart = aparts.measured
    graphs = lower(builder, job.train, *steps_of(plan, rows), after)
    claims = job.claims(fit, draft.raws, aparts, lambda graph: claimed(graph, job.train, after))
    has_shares = job.train.answer is not None and scores_of(job.train.answer.value) is not None
    program = Program(
        dotnn=__version__,
        name=job.name,
        spec=Path(job.spec.file).name,
        sha256=hashlib.sha256(write_spec(job.spec).encode()).hexdigest(),
        text=job.text.whole,
        data=job.train.data,
        inputs=tuple(draft.raws.values()),
        windows=job.windows,
        outputs=draft.outputs,
        figures=tuple(aparts.with_plan(builder.with_totals(figure)) for figure in job.figures()),
        answer=answer_plan(job.train, draft.raws, has_shares),
        plan=plan,
        parameters=parameters(graphs["train"]),
        params=job.params,
        settings=dict(job.settings),
        fold=job.fold,
        after=after,
        claims=tuple(claims.claims),
        claimed_on=tuple(claims.places),
        graphs=graphs | claims.graphs | aparts.graphs,
    )
    return program, dataset


def parameters(graph: Graph) -> int:
    """How many numbers are learned."""
    return sum(math.prod(int(d) for d in fed.type.dims) for fed in graph.inputs if fed.learned)


# ---- what the commands ask for


def compile_file(
    path: Path, settings: Mapping[str, str] = {}, train: str | None = None, fold: int | None = None
) -> Compiled:
    """One train block of a spec (`.nn`, or the JSON of a Spec), or a stored Program. Raises ``ProblemError``.

    fold: which fold of its rows is `val`, where they are dealt into folds.
    """
    stored = stored_program(path, settings, train)
    if stored is not None:
        return Compiled(stored, None, {})
    text = Text.read(path)
    with text.placed():
        job = Job.of(text, train, settings, fold)
        program, dataset = compiled(job)
        program, told = writing(program)
        return Compiled(program, dataset, text.sources, (*job.notes(), *dataset.notes(), *told))


def check_file(path: Path, settings: Mapping[str, str] = {}, train: str | None = None) -> Checked:
    """Everything that can be seen without reading more of the data than its first rows. Raises ``ProblemError``.

    train: the one block that is looked at; all of them, where it is left away.
    """
    text = Text.read(path)
    lines: list[str] = []
    notes: dict[str, None] = {}
    with text.placed():
        names: list[str | None] = [train] if train else [block_name(block) for block in text.spec.trains]
        for name in names or [None]:
            job = Job.of(text, name, settings)
            job.block.quick = True
            draft = job.draft()
            seen = job.check_data(draft)
            plan_of(job.spec, job.train, job.params, job.splits(), job.figures())
            answer_plan(job.train, draft.raws, False)
            graphs = lower(job.builder(no_fit), job.train, steps=1, epoch=1)
            count = parameters(graphs["train"])
            about, read = ("", "") if job.block.is_whole else ("about ", ", of which the beginning was read")
            lines.append(f"{job.name} learns {about}{count:,} numbers from {job.train.data}{read}")
            figures = tuple(draft.aparts.with_plan(figure) for figure in job.figures())
            told = can_write(job.name, tuple(draft.raws.values()), figures, graphs)
            notes |= dict.fromkeys((*job.notes(), *seen, *told))
        if train is None:
            learned = {block.data for block in job.spec.trains}
            for data in (block for block in job.spec.data if block.name not in learned):
                sampled(job.spec, DataBlock(data, text.folder, job.spec, job.params), job.params)
    return Checked(tuple(lines), tuple(notes))


check = check_file


def program_names(path: Path) -> list[str]:
    """The names of the train blocks of a spec, in order. Raises ``ProblemError``."""
    stored = stored_program(path)
    if stored is not None:
        return [stored.name]
    text = Text.read(path)
    with text.placed():
        choose(text.spec.trains, None, "train block", None, text.spec.file)
    return [block_name(train) for train in text.spec.trains]


def ir(
    path: Path, what: str, after: Pass | None = None, settings: Mapping[str, str] = {}, train: str | None = None
) -> Spec | Program:
    """The spec as it was read, or the program with its graphs as they are after a pass. Raises ``ProblemError``."""
    text = Text.read(path)
    if what == "spec":
        return text.spec.model_copy(update={"text": text.whole})
    with text.placed():
        program, _ = compiled(Job.of(text, train, settings), after or "simplify")
        return writing(program)[0] if program.after == "simplify" else program


__all__ = ["Checked", "Compiled", "check", "check_file", "compile_file", "ir", "lower", "parameters", "program_names"]
