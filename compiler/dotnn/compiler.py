"""The compiler on one screen: text -> spec -> graphs -> differentiated -> updated -> simplified -> program."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from dotnn import __version__
from dotnn.build import Builder, labelled, scores_of
from dotnn.columns import no_fit
from dotnn.data import Dataset
from dotnn.differentiate import differentiate
from dotnn.fit import fitted_on
from dotnn.graph import Graph
from dotnn.job import Checked, Compiled, Job, Text
from dotnn.plan import answer_plan, block_name, choose, plan_of, steps_of
from dotnn.program import PASSES, Pass, Program
from dotnn.read.stored import stored_program
from dotnn.simplify import simplify
from dotnn.spec import Spec, Train
from dotnn.update import slots, update
from dotnn.write import write_spec


def lower(builder: Builder, train: Train, steps: int, epoch: int, after: Pass = "simplify") -> dict[str, Graph]:
    """The graphs of one train block, as they are after the pass of that name.

    steps: how many there will be; epoch: how many make one.
    """
    done = PASSES[: PASSES.index(after) + 1]
    training = builder.training()
    step = training.tape.graph()
    if "differentiate" in done:
        step = differentiate(step)
    if "update" in done:
        step = update(step, training.machine, train, steps, epoch)

    init = builder.init()
    if "update" in done:
        slots(init.machine, train, init.machine.weights)
    if any(fed.name == "key" for fed in step.inputs):
        init.machine.give_key()

    predicting = builder.prediction()
    graphs = {
        "init": init.tape.graph(),
        "train": step,
        "eval": builder.evaluation().tape.graph(),
        "predict": predicting.tape.graph(),
        "order": builder.order(),
    }
    figures = builder.figures()
    if figures is not None:
        graphs["figures"] = figures
    graphs = {name: labelled(graph, set(predicting.columns.raws)) for name, graph in graphs.items()}
    return {name: simplify(graph) for name, graph in graphs.items()} if "simplify" in done else graphs


def compiled(job: Job, after: Pass = "simplify") -> tuple[Program, Dataset]:
    """The whole way: what the spec says, its data, its graphs. Raises ``ProblemError``."""
    draft = job.draft()
    dataset = job.dataset(draft)
    plan = plan_of(job.spec, job.train, job.params, tuple(dataset.splits), job.figures())
    rows = dataset.splits["train"].count if "train" in dataset.splits else 0
    builder = job.builder(fitted_on(dataset))
    graphs = lower(builder, job.train, *steps_of(plan, rows), after)
    has_shares = job.train.answer is not None and scores_of(job.train.answer.value) is not None
    program = Program(
        dotnn=__version__,
        name=job.name,
        spec=Path(job.spec.file).name,
        sha256=hashlib.sha256(write_spec(job.spec).encode()).hexdigest(),
        text=job.text.whole,
        data=job.train.data,
        inputs=tuple(draft.raws.values()),
        outputs=draft.outputs,
        figures=tuple(builder.with_totals(figure) for figure in job.figures()),
        answer=answer_plan(job.train, draft.raws, has_shares),
        plan=plan,
        parameters=parameters(graphs["train"]),
        params=job.params,
        after=after,
        graphs=graphs,
    )
    return program, dataset


def parameters(graph: Graph) -> int:
    """How many numbers are learned."""
    return sum(math.prod(int(d) for d in fed.type.dims) for fed in graph.inputs if fed.learned)


# ---- what the commands ask for


def compile_file(path: Path, settings: Mapping[str, str] = {}, train: str | None = None) -> Compiled:
    """One train block of a spec (`.nn`, or the JSON of a Spec), or a stored Program. Raises ``ProblemError``."""
    stored = stored_program(path, settings, train)
    if stored is not None:
        return Compiled(stored, None, {})
    text = Text.read(path)
    with text.placed():
        job = Job.of(text, train, settings)
        return Compiled(*compiled(job), text.sources, job.notes())


def check_file(path: Path, settings: Mapping[str, str] = {}) -> Checked:
    """Everything that can be seen without reading more of the data than its first rows. Raises ``ProblemError``."""
    text = Text.read(path)
    lines: list[str] = []
    notes: dict[str, None] = {}
    with text.placed():
        for block in text.spec.trains or (None,):
            job = Job.of(text, block_name(block) if block else None, settings)
            draft = job.draft()
            job.check_data(draft)
            plan_of(job.spec, job.train, job.params, job.splits(), job.figures())
            answer_plan(job.train, draft.raws, False)
            count = parameters(lower(job.builder(no_fit), job.train, steps=1, epoch=1)["train"])
            lines.append(f"{job.name} learns {count:,} numbers from {job.train.data}")
            notes |= dict.fromkeys(job.notes())
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
        return compiled(Job.of(text, train, settings), after or "simplify")[0]


__all__ = ["Checked", "Compiled", "check", "check_file", "compile_file", "ir", "lower", "parameters", "program_names"]
