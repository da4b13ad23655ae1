"""What a name can stand for while a net is built: numbers known now, tensors known when the graph runs, definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dotnn.graph import Dim
from dotnn.spec import Definition, Part
from dotnn.tape import Value

Label = str | None


@dataclass(frozen=True)
class Tensor:
    """A value of the graph. Each dim may have a label, by which it is aligned with others.

    ``bound``: whole numbers that are known to lie in 0 up to but without it.
    """

    value: Value
    labels: tuple[Label, ...]
    bound: int | None = None

    @property
    def dims(self) -> tuple[Dim, ...]:
        return self.value.dims

    @property
    def rank(self) -> int:
        return len(self.value.dims)


@dataclass(frozen=True)
class Scheduled(Tensor):
    """A setting that a schedule gives: another number at each step, and so, where an `if` asks, equal to none."""


def plain(value: Value) -> Tensor:
    """A tensor whose dims have no labels."""
    return Tensor(value, (None,) * value.type.rank)


@dataclass(frozen=True)
class Size:
    """A size that is known when the graph runs, used as a number (`b`)."""

    dim: str


@dataclass(frozen=True)
class Shape:
    """Dims, as an initialiser gets them."""

    dims: tuple[Dim, ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Interval:
    """`a..b`, known now; None stands for an end left open."""

    start: int
    stop: Dim
    label: Label = None
    """`0..t`, of a dim t: these places are its own."""


@dataclass(frozen=True)
class Known:
    """A definition and whose words it uses: the user's file (`user`) or the standard library (`std`)."""

    definition: Definition
    scope: str

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def curried(self) -> bool:
        """Two lists: settings first, then the rest."""
        return self.definition.settings is not None


@dataclass
class Instance:
    """One place where a layer stands, or a net: it owns its weights and states, and is shared by all who call it."""

    path: str
    cells: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A name that is bound in the other branch of `when training` alone, or inside a `scan`."""

    name: str
    phase: str
    scan: str = ""
    """The dim of the scan."""


@dataclass(frozen=True)
class Bound:
    """A definition with its settings given: a layer ready for its tensor, an initialiser for its shape, a schedule."""

    known: Known
    settings: Mapping[str, Any]
    instance: Instance | None
    at: Part
    """Where it was written."""


@dataclass(frozen=True)
class Primitive:
    """An operation, by the name that the language has for it."""

    name: str


@dataclass(frozen=True)
class Native:
    """A word that only one place knows, as `standardise` in a `data` block: a function from one tensor to one."""

    name: str
    function: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Ask:
    """A word that only one place knows, as `generate` in a metric: a function of whatever it is given, and where."""

    name: str
    function: Callable[[Any, Part], Any]


@dataclass(frozen=True)
class Phase:
    """One stretch of a schedule: a value or schedule, and the epoch or step that it goes to (None: its own end)."""

    value: Any
    unit: str | None = None
    until: int | None = None


@dataclass(frozen=True)
class Sequence:
    """`a then b then c`."""

    phases: tuple[Phase, ...]


def next_step(value: Any) -> str:
    """What to do with something that is no tensor yet, where one is needed."""
    match value:
        case Known(definition) if definition.word == "layer":
            return f"give it its settings and its tensor: x -> {definition.name}(…)"
        case Bound(known) if known.definition.word == "layer":
            return f"give it its tensor: x -> {known.name}(…)"
        case Known() | Primitive() | Native():
            return f"give it what it works on: {value.name}(…)"
        case Bound(known):
            return f"give it its second list: {known.name}(…)(…), or a shape: {known.name}(…)[b, 10]"
    return ""


def kind(value: Any) -> str:
    """What a value is, in the user's words."""
    match value:
        case Tensor():
            return "a tensor"
        case bool():
            return "`yes`" if value else "`no`"
        case int() | float():
            return f"the number {value}"
        case str():
            return f'the text "{value}"'
        case Size(dim):
            return f"the size `{dim}`, known when the graph runs"
        case Shape():
            return "a shape"
        case Interval():
            return "a range"
        case Known(definition):
            return f"the {definition.word} `{definition.name}`"
        case Bound(known):
            return f"the {known.definition.word} `{known.name}`"
        case Primitive(name):
            return f"the operation `{name}`"
        case Native(name) | Ask(name):
            return f"`{name}`"
        case Sequence() | Phase():
            return "a schedule"
        case tuple():
            return f"{len(value)} things"
    return "something else"
