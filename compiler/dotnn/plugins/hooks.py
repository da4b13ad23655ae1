"""The hooks: what a plugin's module may offer, one function each, and what each of these things is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, Protocol, runtime_checkable

import pluggy

from dotnn.entries import GROUP, Command
from dotnn.plugins.backend import Backend

if TYPE_CHECKING:
    from dotnn.operation import Operation
    from dotnn.program import Program
    from dotnn.recipes import Recipe
    from dotnn.training.events import Observer

_specification = pluggy.HookspecMarker(GROUP)


@dataclass(frozen=True)
class NewOperation:
    """An operation with all that it needs to be run, and to be checked.

    operation: its type rule, gradient and cost (``dotnn.operation``).
    lowerings: what a backend needs to know of it, by the backend's name. `reference`: a NumPy function of the inputs
        (reals as float64) and attributes, which is the meaning of the operation. `onnx`: a spelling rule
        ``(writer, node)``, as in ``dotnn_onnx.spelling``; `training-info` uses it too. `torch`: a function of tensors.
        What another backend wants, its own documentation says.
    recipes: how to draw inputs for it (``dotnn.recipes.Recipe``); without one it cannot be checked.
    """

    operation: Operation
    lowerings: Mapping[str, Any] = field(default_factory=dict)
    recipes: Sequence[Recipe] = ()

    @property
    def name(self) -> str:
        return self.operation.name

    @property
    def summary(self) -> str:
        return self.operation.doc


class Logger(Protocol):
    """Writes down how training goes, in a form of its own."""

    name: str
    summary: str

    def open(self, folder: Path, program: Program) -> Observer:
        """Begins to write in the folder of a run (a run that goes on opens it again: ``Start.at`` says from where).

        Raises ``ProblemError`` where something that it needs is not installed.
        """


class Place(Protocol):
    """Where a source may read: the spec's folder, and below it."""

    def open(self, file: str) -> BinaryIO:
        """A plain file by the name that the spec gives it. A spec may be a stranger's: raises ``ProblemError`` where it
        lies elsewhere, or is a link, a device or not there. (With `--allow-path` files elsewhere are read too.)"""

    def fail(self, why: str, advice: str) -> NoReturn:
        """Raises the ``ProblemError`` that says so, at the line of the spec."""


class Table(Protocol):
    """Rows with named columns."""

    shown: str
    """Its name in messages."""

    def header(self) -> Sequence[str]:
        """The names of the columns."""

    def rows(self) -> Iterable[Sequence[str]]:
        """Every row from the first, each time that it is called: a text for each column, as a CSV file would have it.

        The same spec and files must give the same rows.
        """


class ArrayTable(Protocol):
    """Rows that are numbers already: what a source gives in the place of a ``Table``."""

    shown: str
    """Its name in messages."""

    def columns(self) -> Mapping[str, tuple[str, tuple[int, ...]]]:
        """Of each column its name, NumPy's name of its type (`uint8`; `text`), and the dims of one row. Reads no
        further than it must."""

    def arrays(self, names: Sequence[str], rows: int) -> Iterable[Sequence[Any]]:
        """The rows from the first, each time that it is called, so many at once: an array for each of these columns,
        ``[rows, *dims]``; texts as NumPy's."""


class DataSource(Protocol):
    """`source NAME "argument"` in a spec. An argument is a text or a whole number."""

    name: str
    summary: str

    def tables(self, argument: str, place: Place) -> Sequence[Table | ArrayTable]:
        """What one argument stands for; all of them have the same columns. Nothing is read yet that takes long."""


@runtime_checkable
class Joining(Protocol):
    """A source whose arguments belong together: `source idx "images.gz", "labels.gz"` is one table."""

    def join(self, arguments: Sequence[str], place: Place) -> Sequence[Table | ArrayTable]:
        """What all the arguments of a line stand for, instead of ``tables``."""


Setting = bool | int | float | str


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer keeps of the training texts: its pieces in order, and what else it needs, as a text."""

    pieces: tuple[str, ...]
    state: str = ""


class Tokenizer(Protocol):
    """`column text as NAME(vocab = 4_000, length = 32)` in a spec: cuts texts into pieces.

    How long a text may be, and the numbers for what fills up, what is unknown, and where a text begins and ends, are
    not its business.
    """

    name: str
    summary: str
    settings: Mapping[str, Setting]
    """What may be set beside `vocab` and `length`, and what holds where it is not."""

    def fit(self, texts: Iterable[str], most: int, settings: Mapping[str, Setting]) -> Vocabulary:
        """The pieces that occur in the training texts, so many at most; the same for the same texts."""

    def encoder(self, vocabulary: Vocabulary, settings: Mapping[str, Setting]) -> Callable[[str], Sequence[int]]:
        """What gives a text's pieces as their places in ``vocabulary.pieces``; -1 for one that is not among them."""

    def join(self, pieces: Sequence[str]) -> str:
        """The text of pieces."""


class Hooks:
    """What a plugin may offer."""

    @_specification
    def dotnn_backends(self) -> Sequence[Backend]:
        """Backends by which graphs are lowered and run: `nn train --backend NAME`."""
        return ()

    @_specification
    def dotnn_operations(self) -> Sequence[NewOperation]:
        """Operations, which a spec calls as functions of tensors."""
        return ()

    @_specification
    def dotnn_sources(self) -> Sequence[DataSource]:
        """Where rows come from: `source NAME "…"` in a spec."""
        return ()

    @_specification
    def dotnn_tokenizers(self) -> Sequence[Tokenizer]:
        """How texts become numbers: `column text as NAME` in a spec."""
        return ()

    @_specification
    def dotnn_loggers(self) -> Sequence[Logger]:
        """What may be asked for with `nn train --log NAME`."""
        return ()

    @_specification
    def dotnn_commands(self) -> Sequence[Command]:
        """Verbs: `nn NAME`."""
        return ()

    @_specification
    def dotnn_std(self) -> Sequence[Path | Traversable]:
        """Folders of definitions, each a file `NAME.nn` that defines NAME."""
        return ()
