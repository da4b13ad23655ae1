"""A trained net, opened to be asked: its paths, its weights, and the rows that examples are taken from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotnn.build import Builder
from dotnn.data import Rows, read_rows
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import Fit, fitted_on
from dotnn.inputs.folds import folded
from dotnn.inputs.roles import raw_columns
from dotnn.insight.ask import graph_of
from dotnn.insight.paths import Asked, Paths
from dotnn.overrides import settled
from dotnn.plan import choose
from dotnn.plugins import Arrays
from dotnn.program import Program
from dotnn.spec import Spec
from dotnn.training.elsewhere import block_in, spec_of
from dotnn.training.evaluate import CHANGED, NothingToMeasure, chosen, dataset_of
from dotnn.training.run import read_program, read_weights
from dotnn.training.started import read_started
from dotnn_grammar.problems import ProblemError


@dataclass(frozen=True)
class Trained:
    """A run that can be asked. ``on``: where its examples come from: a file, a part of its data, another block."""

    paths: Paths
    state: Arrays
    block: DataBlock
    on: str
    file: Path | None = None
    others: tuple[str, ...] = ()
    """Names of the data blocks, for who misspells one."""

    def rows(self, asked: Sequence[Asked]) -> tuple[str, Rows]:
        """The columns that these need, and what the rows are called: `digits.test`. Raises ``ProblemError``."""
        phase = self.paths.phase
        raws, spans = raw_columns([phase], set(phase.columns.raws))  # nobody learns from them: all may be as they are
        needed = {fed.name for fed in graph_of(asked).inputs}
        if self.file is not None:
            wanted = [raw.model_copy(update={"role": "data"}) for name, raw in raws.items() if name in needed]
            arrays = read_rows(self.file, wanted)
            count = max((len(array) for array in arrays.values()), default=0)
            if not count:
                raise NothingToMeasure(file=str(self.file)).error()
            return str(self.file), Rows(count, arrays)
        dataset = self.block.load(raws, spans)
        name = self.on or next(split for split in ("test", "val", "train") if split in dataset.splits)
        return f"{self.block.data.name}.{name}", chosen(dataset, name, self.others)[name]


def trained(run: Path, on: str | None, folder: Path, say: Callable[[str], None]) -> Trained:
    """The run in that folder. ``folder``: where its spec's tables lie; ``say``: hears what else there is to know.

    Raises ``ProblemError``.
    """
    program, state = read_program(run), read_weights(run, say)
    learned, _ = dataset_of(run, program, folder)
    if learned.fingerprint != read_started(run).facts.data:
        say(CHANGED)
    text, source = spec_of(run)
    try:
        spec = folded(settled(text, program.settings).spec, program.name, program.fold)
        builder, part = _builder(spec, program, folder, on, fitted_on(learned))
        file = Path(on) if on is not None and part == on and on not in learned.splits and Path(on).is_file() else None
        others = tuple(block.name for block in spec.data)
        return Trained(Paths(builder), state, builder.block, part, file, others)
    except ProblemError as error:
        error.sources = {**error.sources, source.name: source}
        raise


def _builder(spec: Spec, program: Program, folder: Path, on: str | None, fit: Fit) -> tuple[Builder, str]:
    """The net on its own data, or on the block that ``on`` names; and the part of it that is meant."""
    train = choose(spec.trains, program.name, "train block", None, spec.file)
    own = DataBlock(choose(spec.data, train.data, "data block", train, spec.file), folder, spec, program.params)
    if on is None or block_in(spec, on) is None:
        return Builder(spec, train, own, program.params, fit), on or ""
    Builder(spec, train, own, program.params, fit).evaluation()  # what is fitted stays that of its own rows
    name, _, part = on.partition(".")
    there = DataBlock(choose(spec.data, name, "data block", None, spec.file), folder, spec, program.params)
    there.classes_of = {raw.columns[0]: raw.classes for raw in program.inputs if raw.classes}
    there.tokens_of = {raw.columns[0]: raw.tokens for raw in program.inputs if raw.tokens}
    return Builder(spec, train, there, program.params, fit), part
