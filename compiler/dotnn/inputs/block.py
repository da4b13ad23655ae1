"""One `data` block as a whole: where its rows come from, and what is known of them before they are all read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dotnn.data import (
    Bad,
    Dataset,
    Form,
    SourceTable,
    check_sample,
    find_classes,
    load,
    open_source,
    sample_notes,
    training_texts,
)
from dotnn.data.tokens import CONSTANTS, fitted
from dotnn.data.windows import Book, check_series, load_series, load_text
from dotnn.inputs import windows
from dotnn.inputs.lineage import Lineage, lineage_of
from dotnn.inputs.pictures import sized
from dotnn.program import RawColumn, Setting, Tokens
from dotnn.read.data import FORMS, GENERATE
from dotnn.read.draw import DRAW
from dotnn.read.windows import RUNNING
from dotnn.spec import Data, Spec
from dotnn_grammar.source import Span

SAMPLE = 10_000
"""Rows of a file that a check looks at for the classes of a column."""


class DataBlock:
    """One `data` block: where its rows come from, and what is known of them without reading them all."""

    def __init__(self, data: Data, folder: Path, spec: Spec | None = None, params: Mapping[str, Any] = {}) -> None:
        self.spec = spec
        self.params = dict(params)
        self.folder = folder
        self.lineage: Lineage = sized(lineage_of(data, spec.data if spec else ()), spec, params)
        self.data = self.lineage.data
        self.columns = {column.name: column for column in self.data.columns}
        self.generated = any(line.reader in (GENERATE, DRAW) for line in self.data.sources)
        self.classes_of: Mapping[str, tuple[str, ...]] = {}
        """By column of the table: the classes that a net knows already, which holds whatever the rows hold."""
        self.tokens_of: Mapping[str, Tokens] = {}
        """The same, of columns of texts."""
        self.quick = False
        """Whether classes are those of the first rows of a large table, for a check that reads no more."""
        self.is_whole = True
        """Whether what classes and pieces were made of was all that there is."""
        self._classes: dict[tuple[str, Span], tuple[str, ...]] = {}
        self._tokens: dict[Any, Tokens] = {}
        self.by_length = False
        """Whether batches hold rows of like length, each batch as long as its rows."""
        self.running = any(line.reader in RUNNING for line in self.data.sources)
        """Whether it is one long text."""
        self.books: dict[bool, Book] = {}
        """The text: of all of it, and (True) of its beginning."""
        self.cut = windows.cut_of(self.lineage, spec, params)
        if not self.generated:
            assert self.table is not None  # what is wrong with its first line is said first

    @cached_property
    def table(self) -> SourceTable:
        return open_source(self.lineage.root, self.folder)

    @property
    def arrays(self) -> Mapping[str, Form]:
        """Columns of the source that are arrays, and so may be named without the word `column`."""
        return {} if self.generated else self.table.arrays

    def classes(self, name: str, span: Span) -> tuple[str, ...]:
        """The texts of an `as class` column, in order."""
        if name in self.classes_of:
            return self.classes_of[name]
        if (name, span) not in self._classes:
            most = SAMPLE if self.quick else None
            classes, is_whole = find_classes(self.lineage.root, name, span, self.folder, most)
            self._classes[name, span], self.is_whole = classes, self.is_whole and is_whole
        return self._classes[name, span]

    @property
    def constants(self) -> Mapping[str, int]:
        """`pad`, `start` and `end`, where texts are cut into pieces."""
        words = (column.type.word for column in self.columns.values() if column.type is not None)
        return CONSTANTS if self.running or any(word is not None and word not in FORMS for word in words) else {}

    def tokens(self, name: str, span: Span, word: str, settings: Mapping[str, Setting]) -> Tokens:
        """How the texts of a column become numbers, fitted on the training rows."""
        if name in self.tokens_of:
            return self.tokens_of[name]
        key = (name, word, tuple(sorted(settings.items())))
        if key not in self._tokens and self.running:
            self._tokens[key] = windows.tokens_of(self, word, settings, span)
        if key not in self._tokens:
            most = SAMPLE if self.quick else None
            texts, is_whole = training_texts(self.lineage.root, name, span, self.folder, most)
            self.is_whole = self.is_whole and is_whole
            self._tokens[key] = fitted(word, settings, texts, name, span)
        return self._tokens[key]

    def drawn(self, name: str, number: int) -> RawColumn:
        """What a host feeds for one wording of a generated column."""
        found: RawColumn = self.generator.raw(name, number)
        return found

    @cached_property
    def generator(self) -> Any:
        from dotnn.inputs.compose import Composer
        from dotnn.inputs.generate import Generator

        drawn = any(line.base is not None for line in self.data.sources)
        return Composer(self) if drawn else Generator(self)

    def load(self, raws: Mapping[str, RawColumn], spans: Mapping[str, Span]) -> Dataset:
        """Every row of it. Raises ``ProblemError``."""
        wanted = tuple(raws.values())
        if self.generated:
            generated: Dataset = self.generator.load(wanted, spans)
            return generated
        root = self.lineage.root
        if self.cut is not None and self.running:
            return load_text(root, windows.book_of(self), wanted, spans, self.cut)
        if self.cut is not None:
            return load_series(root, wanted, spans, self.folder, self.cut)
        by = root.split.stratify if root.split else None
        is_read = by in raws and len(self.lineage.wordings.get(str(by), ())) == 1
        return load(root, wanted, spans, self.folder, by if is_read else None)

    def sample(self, raws: Mapping[str, RawColumn], spans: Mapping[str, Span]) -> tuple[str, ...]:
        """Looks at its first rows; gives what is to be said of them. Raises ``ProblemError``."""
        wanted = tuple(raws.values())
        if self.generated:
            self.generator.sample(wanted, spans)
            return ()
        if self.running:
            return ()  # its beginning was cut into pieces already
        bad, root = Bad(), self.lineage.root
        if self.cut is not None:
            return sample_notes(bad, check_series(root, wanted, spans, self.folder, self.cut, bad))
        return sample_notes(bad, check_sample(root, wanted, spans, self.folder, bad=bad))
