"""A trained net on the rows of another `data` block: the same task at another clinic.

The net's graph is built anew on that block's columns. What was fitted when the net learned (means, spreads, names of
classes) stays as it was: nobody fits anything on the rows of an exam.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dotnn.build import Builder
from dotnn.data import Dataset, Rows
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import fitted_on
from dotnn.inputs.folds import folded
from dotnn.inputs.roles import labelled, raw_columns, weights_in
from dotnn.overrides import settled
from dotnn.plan import choose
from dotnn.program import Program
from dotnn.read import read_text
from dotnn.simplify import simplify
from dotnn.spec import Data, Spec
from dotnn.training.problems import no_run
from dotnn.training.run import SPEC
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Source


class NoSuchPart(Problem):
    code = "T080"
    title = "the data `{data}` has no part `{part}`"
    help = "{near}"
    data: str
    part: str
    near: str


def spec_of(run: Path) -> tuple[Spec, Source]:
    """The spec that a run keeps. Raises ``ProblemError``."""
    path = run / SPEC
    if not path.is_file():
        raise no_run(run, SPEC)
    source = Source(name=str(path), text=path.read_text(encoding="utf-8"))
    return read_text(source), source


def block_in(spec: Spec, on: str | None) -> Data | None:
    """The data block that `--on BLOCK` or `--on BLOCK.PART` names."""
    name = (on or "").partition(".")[0]
    return next((block for block in spec.data if block.name == name), None)


def elsewhere(spec: Spec, program: Program, learned: Dataset, folder: Path, on: str) -> tuple[Program, dict[str, Rows]]:
    """The program with its figures on that block's columns, and the rows: of the part, or each part by its name.

    ``learned``: what the net learned from. Raises ``ProblemError``.
    """
    name, _, part = on.partition(".")
    spec = folded(settled(spec, program.settings).spec, program.name, program.fold)
    train = choose(spec.trains, program.name, "train block", None, spec.file)
    fit = fitted_on(learned)
    own = DataBlock(choose(spec.data, train.data, "data block", train, spec.file), folder, spec, program.params)
    Builder(spec, train, own, program.params, fit).evaluation()
    there = DataBlock(choose(spec.data, name, "data block", None, spec.file), folder, spec, program.params)
    there.classes_of = {raw.columns[0]: raw.classes for raw in program.inputs if raw.classes}
    there.tokens_of = {raw.columns[0]: raw.tokens for raw in program.inputs if raw.tokens}
    builder = Builder(spec, train, there, program.params, fit)
    phase = builder.evaluation()
    read = {raw.name for raw in program.inputs if raw.role == "data"}
    raws, spans = raw_columns([phase], read)
    # As what is given to the net and not as what it learns: an exam may well have one right answer throughout.
    dataset = there.load({name: raw.model_copy(update={"role": "data"}) for name, raw in raws.items()}, spans)
    graphs = program.graphs | {"eval": simplify(labelled(phase.tape.graph(), read, weights_in([phase])))}
    figures = builder.figures()
    if figures is not None:
        graphs["figures"] = simplify(figures)
    moved = program.model_copy(update={"graphs": graphs, "inputs": tuple(raws.values()), "data": name})
    return moved, _parts(dataset, name, part)


def _parts(dataset: Dataset, name: str, part: str) -> dict[str, Rows]:
    if not part:
        return {f"{name}.{split}": rows for split, rows in dataset.splits.items()}
    if part not in dataset.splits:
        near = perhaps(part, dataset.splits, f"its parts are: {_listed(dataset.splits)}")
        raise NoSuchPart(data=name, part=part, near=near).error()
    return {f"{name}.{part}": dataset.splits[part]}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
