"""Job: one train block of a spec, with what can be said of it before its data is read; and how specs come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dotnn.build import Builder
from dotnn.claims.build import Claims, ClaimsBuilder
from dotnn.data import Dataset
from dotnn.elaborate.library import standard_names, standard_text
from dotnn.generate.metric import ApartBuilder, Aparts
from dotnn.graph import Graph
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import Fit, no_fit
from dotnn.inputs.folds import folded
from dotnn.inputs.lengths import require_tokens
from dotnn.inputs.roles import raw_columns
from dotnn.overrides import settled
from dotnn.phase import Phase
from dotnn.plan import block_name, choose, figures_of, params_of
from dotnn.program import Figure, Program, RawColumn, Windows
from dotnn.read import read_file
from dotnn.read.stored import OnlyAProgram, read_json
from dotnn.read.whole import whole_text
from dotnn.spec import Data, Spec, Train
from dotnn.updates.turns import unmoved
from dotnn.write import write_spec
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source, Span


@dataclass(frozen=True)
class Text:
    """A spec that was read: what it says, the texts that its problems point into, and the one text that it makes."""

    spec: Spec
    sources: dict[str, Source]
    whole: str
    """The file, with what it uses of others."""
    folder: Path
    """From which its data is seen."""

    @classmethod
    def read(cls, path: Path) -> Text:
        """A `.nn` file, or the JSON of a Spec. Raises ``ProblemError``."""
        if path.suffix != ".json":
            spec, sources = read_file(path)
            return cls(spec, sources, whole_text(spec, sources[spec.file]), path.parent)
        stored = read_json(path)
        if isinstance(stored, Program):
            raise OnlyAProgram(file=str(path), what="this").error()
        return cls(stored, {}, stored.text if stored.text is not None else write_spec(stored), path.parent)

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Problems that leave here carry the texts that they point into."""
        try:
            yield
        except ProblemError as error:
            texts = dict(self.sources)
            spans = [s for p in error.problems for s in (p.span, *(note.span for note in p.notes))]
            places = {span.file for span in spans if span is not None}
            for name in standard_names():
                source = standard_text(name)
                if source and source.name in places:
                    texts[source.name] = source
            error.sources = texts
            raise


def same(graph: Graph) -> Graph:
    return graph


@dataclass(frozen=True)
class Job:
    """One train block, its params and its data block."""

    text: Text
    train: Train
    params: dict[str, Any]
    block: DataBlock
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of `--set`, beside the params."""

    @classmethod
    def of(cls, text: Text, train: str | None, settings: Mapping[str, str], fold: int | None = None) -> Job:
        """The block of that name, or the first; ``settings``: of `--set`, by path; ``fold``: which one is `val`.

        Raises ``ProblemError``.
        """
        by_hand = settled(text.spec, settings)
        text.sources.update(by_hand.sources)
        spec = folded(by_hand.spec, train, fold)
        text = replace(text, spec=spec)
        params = params_of(spec, by_hand.params)
        chosen = choose(spec.trains, train, "train block", None, spec.file)
        data = choose(spec.data, chosen.data, "data block", chosen, spec.file)
        return cls(text, chosen, params, DataBlock(data, text.folder, spec, params), by_hand.settings)

    @property
    def name(self) -> str:
        return block_name(self.train)

    @property
    def spec(self) -> Spec:
        return self.text.spec

    @property
    def fold(self) -> int | None:
        """Which fold is `val`, where the rows are dealt into folds."""
        split = self.block.data.split
        return split.fold if split is not None and split.folds is not None else None

    def builder(self, fit: Fit) -> Builder:
        return Builder(self.spec, self.train, self.block, self.params, fit)

    def aparts(self, fit: Fit, read: set[str]) -> Aparts:
        """The metrics that are measured by themselves. read: the columns of the net. Raises ``ProblemError``."""
        builder = ApartBuilder(self.spec, self.train, self.block, self.params, fit)
        return builder.aparts(self.splits(), read)

    def claims(
        self, fit: Fit, known: Mapping[str, RawColumn], aparts: Aparts, finish: Callable[[Graph], Graph] = same
    ) -> Claims:
        """What is claimed of this block. known: the columns that its graphs read. Raises ``ProblemError``."""
        return ClaimsBuilder(self.spec, self.train, self.block, self.text.folder, fit, known, aparts, finish).build()

    def draft(self) -> Draft:
        """Every phase with nothing fitted. Raises ``ProblemError``."""
        builder = self.builder(no_fit)
        trained = (builder.training(turn) for turn in builder.turns)
        phases = (builder.init(), *trained, builder.evaluation(), builder.prediction())
        read = set(phases[-1].columns.raws)
        raws, spans = raw_columns(phases, read)
        require_tokens(self.train, raws.values())
        aparts = self.aparts(no_fit, read)
        claims = self.claims(no_fit, raws, aparts)
        others = {**claims.raws, **aparts.raws}
        more = {name: raw.model_copy(update={"role": "label"}) for name, raw in others.items() if name not in raws}
        return Draft(phases, raws | more, claims.spans | aparts.spans | spans, aparts)

    def dataset(self, draft: Draft) -> Dataset:
        """All the data that is read. Raises ``ProblemError``."""
        return self.block.load(draft.raws, draft.spans)

    def check_data(self, draft: Draft) -> tuple[str, ...]:
        """Reads the first rows; gives what is to be said of them. Raises ``ProblemError``."""
        return self.block.sample(draft.raws, draft.spans)

    def splits(self) -> tuple[str, ...]:
        """The parts of the data, as its block names them."""
        split = self.block.data.split
        named = (share.name for share in split.shares) if split else ()
        tests = (source.role for source in self.block.data.sources if source.role == "test")
        return ("train", *named, *tests)

    @property
    def windows(self) -> Windows | None:
        """How a text or a series is cut."""
        cut, named = self.block.cut, self.block.data.windows
        if cut is None:
            return None
        return Windows(size=cut.size, by=cut.by, horizon=cut.horizon if named and named.horizon else None)

    def figures(self) -> tuple[Figure, ...]:
        return figures_of(self.train)

    def notes(self) -> tuple[str, ...]:
        """What the author should know though nothing is wrong."""
        shadowed = self.builder(no_fit).library.shadowed()
        own = (f"note: `{name}` is your own here, and not {whose}" for name, whose in shadowed)
        still = (f"note: no step updates `{name}`: it stays as it begins" for name in unmoved(self.spec, self.train))
        return (*own, *still, *unnamed_rows(self.block.data))


def unnamed_rows(data: Data) -> tuple[str, ...]:
    """What to say of rows that no part of a `split` takes."""
    split = data.split
    if split is None or split.folds is not None:
        return ()
    left = 1 - sum(share.share for share in split.shares)
    return (f"note: {100 * left:.3g}% of the rows of `{data.name}` are in no part of its split",) if left > 1e-6 else ()


@dataclass(frozen=True)
class Draft:
    """A job's phases with nothing fitted: they show what is wrong, and which columns are read."""

    phases: tuple[Phase, ...]
    """init, train, eval, predict."""
    raws: dict[str, RawColumn]
    spans: dict[str, Span]
    """For each column: where the spec names it."""
    aparts: Aparts

    @property
    def outputs(self) -> tuple[str, ...]:
        """The net's results."""
        return tuple(self.phases[-1].outputs)


# ---- what becomes of it


@dataclass(frozen=True)
class Compiled:
    """A program, the data that it learns from, the text that it came from."""

    program: Program
    data: Dataset | None
    """None where the program was read from its JSON."""
    sources: Mapping[str, Source]
    notes: tuple[str, ...] = ()

    @property
    def dataset(self) -> Dataset:
        """The data. Raises ``ProblemError`` where there is none."""
        if self.data is None:
            raise OnlyAProgram(file=self.program.name, what="this").error()
        return self.data

    @property
    def source(self) -> str:
        """The spec, with what it uses."""
        return self.program.text


@dataclass(frozen=True)
class Checked:
    """What a spec that is fine says of itself, one line a train block."""

    summary: tuple[str, ...]
    notes: tuple[str, ...] = ()
