"""The compiler on one screen: text -> spec -> graphs -> differentiated -> updated -> simplified -> program."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotnn import __version__
from dotnn.build import Builder, Phase, labelled, raw_columns, scores_of
from dotnn.columns import DataBlock, Fit, no_fit
from dotnn.data import Dataset, check_sample, load
from dotnn.differentiate import differentiate
from dotnn.elaborate.library import standard_names, standard_text
from dotnn.fit import fitted_on
from dotnn.graph import Graph
from dotnn.plan import answer_plan, block_name, choose, params_of, plan_of
from dotnn.program import Figure, Program, RawColumn
from dotnn.read import read_file
from dotnn.read.stored import NotStored, read_json
from dotnn.read.whole import whole_text
from dotnn.simplify import simplify
from dotnn.spec import Spec, Train
from dotnn.update import slots, update
from dotnn.write import write_expression, write_spec
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source, Span

PASSES = ("build", "differentiate", "update", "simplify")


@dataclass(frozen=True)
class Compiled:
    """A program, the data that it learns from, the text that it came from."""

    program: Program
    dataset: Dataset
    source: str
    sources: Mapping[str, Source]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What a spec that is fine says of itself, one line a train block."""

    summary: tuple[str, ...]
    notes: tuple[str, ...] = ()


# ---- the way through the passes


def lower(builder: Builder, train: Train, steps: int, epoch: int, after: str = PASSES[-1]) -> dict[str, Graph]:
    """The graphs of one train block, as they are after the pass of that name.

    steps: how many there will be; epoch: how many make one.
    """
    done = PASSES.index(after)
    training = builder.training()
    step = training.tape.graph()
    if done >= PASSES.index("differentiate"):
        step = differentiate(step)
    if done >= PASSES.index("update"):
        step = update(step, training.machine, train, steps, epoch)

    init = builder.init()
    if done >= PASSES.index("update"):
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
    return {name: simplify(graph) for name, graph in graphs.items()} if after == "simplify" else graphs


@dataclass(frozen=True)
class Job:
    """One train block of a spec, with what is known of it before its data is read."""

    spec: Spec
    train: Train
    params: dict[str, Any]
    block: DataBlock

    @classmethod
    def of(cls, spec: Spec, folder: Path, train: str | None, values: Mapping[str, str]) -> Job:
        params = params_of(spec, values)
        chosen = choose(spec.trains, train, "train block", None, spec.file)
        data = choose(spec.data, chosen.data, "data block", chosen, spec.file)
        return cls(spec, chosen, params, DataBlock(data, folder))

    def builder(self, fit: Fit) -> Builder:
        return Builder(self.spec, self.train, self.block, self.params, fit)

    def draft(self) -> tuple[Phase, ...]:
        """Every phase with nothing fitted: shows what is wrong, and which columns are read."""
        builder = self.builder(no_fit)
        return builder.init(), builder.training(), builder.evaluation(), builder.prediction()

    def inputs(self, draft: tuple[Phase, ...]) -> tuple[dict[str, RawColumn], dict[str, Span]]:
        return raw_columns(list(draft), set(draft[-1].columns.raws))

    def dataset(self, raws: dict[str, RawColumn], spans: dict[str, Span]) -> Dataset:
        split = self.block.data.split
        stratify = split.stratify if split and split.stratify in raws else None
        return load(self.block.data, tuple(raws.values()), spans, self.block.folder, stratify)

    def figures(self) -> tuple[Figure, ...]:
        lines = [("loss", self.train.loss.value)] + ([("error", self.train.error.value)] if self.train.error else [])
        metrics = [Figure(name=m.name, role="metric", text=write_expression(m.value)) for m in self.train.metrics]
        return (
            *(Figure.model_validate({"name": n, "role": n, "text": write_expression(e)}) for n, e in lines),
            *metrics,
        )

    def program(self, after: str = PASSES[-1]) -> tuple[Program, Dataset]:
        """The whole way: what the spec says, its data, its graphs."""
        draft = self.draft()
        raws, spans = self.inputs(draft)
        dataset = self.dataset(raws, spans)
        plan = plan_of(self.spec, self.train, self.params, tuple(dataset.splits), self.figures())
        rows = dataset.splits["train"].count if "train" in dataset.splits else 0
        epoch = max(math.ceil(rows / plan.batch), 1)
        steps = plan.steps if plan.steps is not None else (plan.epochs or 1) * epoch
        builder = self.builder(fitted_on(dataset))
        graphs = lower(builder, self.train, steps, epoch, after)
        has_shares = self.train.answer is not None and scores_of(self.train.answer.value) is not None
        program = Program(
            dotnn=__version__,
            name=block_name(self.train),
            spec=Path(self.spec.file).name,
            sha256=hashlib.sha256(write_spec(self.spec).encode()).hexdigest(),
            data=self.train.data,
            inputs=tuple(raws.values()),
            outputs=tuple(draft[-1].outputs),
            figures=tuple(builder.with_totals(figure) for figure in self.figures()),
            answer=answer_plan(self.train, raws, has_shares),
            plan=plan,
            parameters=parameters(graphs["train"]),
            params=self.params,
            graphs=graphs,
        )
        return program, dataset


# ---- what the commands ask for


def compile_file(path: Path, settings: Mapping[str, str] = {}, train: str | None = None) -> Compiled:
    """One train block of a spec (`.nn`, or the JSON of a Spec), compiled. Raises ``ProblemError``."""
    spec, sources, text = _read(path)
    with _placed(sources):
        job = Job.of(spec, path.parent, train, settings)
        program, dataset = job.program()
        return Compiled(program, dataset, text, sources, _notes(job))


def check_file(path: Path, settings: Mapping[str, str] = {}) -> Checked:
    """Everything that can be seen without reading more of the data than its first rows. Raises ``ProblemError``."""
    spec, sources, _ = _read(path)
    lines: list[str] = []
    notes: list[str] = []
    with _placed(sources):
        for block in spec.trains or (None,):
            job = Job.of(spec, path.parent, block_name(block) if block else None, settings)
            draft = job.draft()
            raws, spans = job.inputs(draft)
            check_sample(job.block.data, tuple(raws.values()), spans, job.block.folder)
            split = job.block.data.split
            splits = ("train", *(share.name for share in split.shares)) if split else ("train",)
            tests = ("test",) if any(s.role == "test" for s in job.block.data.sources) else ()
            plan_of(spec, job.train, job.params, (*splits, *tests), job.figures())
            answer_plan(job.train, raws, False)
            lower(job.builder(no_fit), job.train, 1, 1)
            count = parameters(draft[1].tape.graph())
            lines.append(f"{block_name(job.train)} learns {count:,} numbers from {job.train.data}")
            notes.extend(note for note in _notes(job) if note not in notes)
    return Checked(tuple(lines), tuple(notes))


def check(path: Path) -> Checked:
    return check_file(path)


def program_names(path: Path) -> list[str]:
    """The names of the train blocks of a spec, in order. Raises ``ProblemError``."""
    spec, sources, _ = _read(path)
    with _placed(sources):
        choose(spec.trains, None, "train block", None, spec.file)
        return [block_name(train) for train in spec.trains]


def ir(
    path: Path, what: str, after: str | None = None, settings: Mapping[str, str] = {}, train: str | None = None
) -> Spec | Program:
    """The spec as it was read, or the program with its graphs as they are after a pass. Raises ``ProblemError``."""
    spec, sources, _ = _read(path)
    if what == "spec":
        return spec
    with _placed(sources):
        return Job.of(spec, path.parent, train, settings).program(after or PASSES[-1])[0]


# ---- help for these


def parameters(graph: Graph) -> int:
    """How many numbers are learned."""
    return sum(math.prod(int(d) for d in fed.type.dims) for fed in graph.inputs if fed.learned)


def _read(path: Path) -> tuple[Spec, dict[str, Source], str]:
    if path.suffix == ".json":
        stored = read_json(path)
        if not isinstance(stored, Spec):
            raise NotStored(file=str(path), why="it is a program, and a spec is needed here").error()
        return stored, {}, write_spec(stored)
    spec, sources = read_file(path)
    return spec, sources, whole_text(spec, sources[spec.file])


def _notes(job: Job) -> tuple[str, ...]:
    shadowed = job.builder(no_fit).library.shadowed()
    return tuple(f"note: `{known.name}` is your own here, and not the standard library's" for known in shadowed)


@contextmanager
def _placed(sources: Mapping[str, Source]) -> Iterator[None]:
    """Problems that leave here carry the texts that they point into."""
    try:
        yield
    except ProblemError as error:
        texts = dict(sources)
        for name in standard_names():
            source = standard_text(name)
            if source and any(note.span.file == source.name for p in error.problems for note in p.notes):
                texts[source.name] = source
        error.sources = texts
        raise
