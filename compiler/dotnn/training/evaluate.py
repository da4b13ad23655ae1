"""The figures of a run's weights, on the splits of its data or on a table that somebody gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotnn.data import Dataset, Rows, read_rows
from dotnn.data.given_windows import reads_text, text_of, whole_text
from dotnn.data.lengths import parts_of
from dotnn.inputs.block import DataBlock
from dotnn.inputs.folds import folded
from dotnn.overrides import settled
from dotnn.plugins import Arrays, Backend, Options
from dotnn.program import Program
from dotnn.read import read_text
from dotnn.training.apart import ApartFigures
from dotnn.training.figures import Reading, Tally, refuse_gathering
from dotnn.training.measure import columns, evaluation_batch
from dotnn.training.problems import BrokenRun, no_run, reason_of
from dotnn.training.run import SPEC
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Source


class NoSuchSplit(Problem):
    code = "T042"
    title = "`{name}` is neither a part of the data nor a file"
    help = "{near}"
    name: str
    near: str


class NothingToMeasure(Problem):
    code = "T043"
    title = "`{file}` has no rows"
    help = "give a table with the columns that the spec names, the right answers among them, and a row or more"
    file: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of some rows."""

    rows: int
    figures: Mapping[str, Reading]


CHANGED = "note: the tables have changed since this run learned from them; its parts may hold other rows"


def dataset_of(run: Path, program: Program, folder: Path) -> tuple[Dataset, Mapping[str, Source]]:
    """The rows that a run learned from, by the spec that it keeps; tables lie below ``folder``.

    Gives the texts of that spec as well, for messages. Raises ``ProblemError``.
    """
    path = run / SPEC
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise no_run(run, SPEC) from None
    except (OSError, ValueError) as error:
        why = reason_of(error) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BrokenRun(path=str(path), reason=why).error() from None
    source = Source(name=str(path), text=text)
    spec = folded(settled(read_text(source), program.settings).spec, program.name, program.fold)
    data = next((block for block in spec.data if block.name == program.data), None)
    if data is None:
        raise BrokenRun(path=str(path), reason=f"it has no data called `{program.data}`").error()
    block = DataBlock(data, folder, spec, program.params)
    spans = {column.name: column.span for column in block.data.columns}
    return block.load({raw.name: raw for raw in program.inputs}, spans), {source.name: source}


def labelled_rows(file: Path, program: Program) -> Rows:
    """The rows of a table with the right answers. Raises ``ProblemError``."""
    everything = [raw.model_copy(update={"role": "data"}) for raw in program.inputs]
    if program.windows is not None and reads_text(everything):
        return whole_text(text_of(file), everything, str(file), program.windows.by)
    arrays = read_rows(file, everything, program.windows.by if program.windows else None)
    count = max((len(array) for array in arrays.values()), default=0)
    if not count:
        raise NothingToMeasure(file=str(file)).error()
    return Rows(count, arrays)


def measure(
    program: Program, state: Arrays, rows: Mapping[str, Rows], backend: Backend, options: Options
) -> dict[str, Measured]:
    """The exact figures of each of these, with these weights. Raises ``ProblemError``."""
    refuse_gathering(program, {name: part.count for name, part in rows.items()})
    graph = program.graphs["eval"]
    executor = backend.start(backend.lower(graph, options), options)
    weights = {fed.name: state[fed.name] for fed in graph.inputs if fed.role == "state"}
    wanted, size = columns(graph), evaluation_batch(graph, program.plan.batch, program.inputs)
    found: dict[str, Measured] = {}
    apart = ApartFigures(program, backend, options, state)
    for name, part in rows.items():
        tally = Tally(program, graph)
        for _, batch in parts_of(program.inputs, {name: part.arrays[name] for name in wanted}, size):
            tally.add(executor.run({**weights, **batch}))
        more = apart.measure(apart.of(name), part) or {}
        found[name] = Measured(part.count, tally.figures() | more)
    return found


def chosen(dataset: Dataset, on: str | None, others: Sequence[str] = ()) -> dict[str, Rows]:
    """The split of that name, or all of them: train, val, test first. Raises ``ProblemError``.

    others: names of data blocks that could have been meant.
    """
    usual: tuple[str, ...] = ("train", "val", "test")
    order = [name for name in usual if name in dataset.splits]
    order += [name for name in dataset.splits if name not in order]
    if on is None:
        return {name: dataset.splits[name] for name in order}
    if on not in dataset.splits:
        listed = f"the parts of its data are: {', '.join(order)}; a table ends in .csv or .tsv"
        listed += f"; the spec has the data {', '.join(others)}" if len(others) > 1 else ""
        near = perhaps(on, (*order, *others), listed)
        raise NoSuchSplit(name=on, near=near).error()
    return {on: dataset.splits[on]}
