"""Which weights a line of a train block speaks of: `freeze encoder.*`, `rate 0.1 for *.W`, `decay 0.01 for head`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from dotnn.elaborate.problems import DoesNotLearn
from dotnn.graph import Graph
from dotnn.spec import Freeze, Objective
from dotnn_grammar.problems import Note, Problem, perhaps
from dotnn_grammar.source import Span


class NothingMatches(Problem):
    code = "B040"
    title = "no weight matches `{pattern}`"
    label = "matches nothing"
    help = "{near}"
    pattern: str
    near: str


class Chosen(Protocol):
    """A line that ends with a pattern."""

    @property
    def pattern(self) -> str: ...
    @property
    def span(self) -> Span: ...


class Freezing(Protocol):
    """An objective that may hold some weights where they are."""

    @property
    def loss(self) -> Objective: ...
    @property
    def freezes(self) -> tuple[Freeze, ...]: ...


Line = TypeVar("Line", bound=Chosen)


def fits(pattern: str, path: str) -> bool:
    """Whether a weight's path is meant: `*` stands for anything, dots too.

    The net's own name may be left out (`hidden.W` is `Digits.hidden.W`), and the name of a part means all that is in
    it (`hidden` is `Digits.hidden.*`).
    """
    bare = "".join(f"[{c}]" if c in "[?" else c for c in pattern)
    own = path.partition(".")[2] or path
    return any(fnmatchcase(name, glob) for name in (path, own) for glob in (bare, f"{bare}.*"))


def matching(pattern: str, span: Span, paths: Iterable[str]) -> list[str]:
    """The paths that the pattern of a line fits, in their order. Raises ``ProblemError`` where there is none."""
    paths = list(paths)
    found = [path for path in paths if fits(pattern, path)]
    if not found:
        near = perhaps(pattern, _meant(paths), f"the weights are {shown_some(paths)}")
        raise NothingMatches(span=span, pattern=pattern, near=near).error()
    return found


def _meant(paths: Sequence[str]) -> list[str]:
    """What somebody may have meant: parts, with and without the net's name, and single weights."""
    parts: dict[str, None] = {}
    for path in paths:
        steps = path.split(".")
        for start in (1, 0):
            parts |= {f"{'.'.join(steps[start:end])}.*": None for end in range(start + 1, len(steps))}
    own = [path.partition(".")[2] for path in paths]
    return [*parts, *own, *paths]


def shown_some(paths: Sequence[str], most: int = 12) -> str:
    """The first of many names."""
    return ", ".join(paths[:most]) + (f", and {len(paths) - most} more" if len(paths) > most else "")


def last_of(lines: Sequence[Line], paths: Iterable[str]) -> Mapping[str, Line]:
    """For each path that lines of one kind speak of: the last line that does.

    So a general line may stand first and the exceptions below it. Raises ``ProblemError`` for a line that fits nothing.
    """
    paths = list(paths)
    return {path: line for line in lines for path in matching(line.pattern, line.span, paths)}


def frozen(train: Freezing, paths: Iterable[str]) -> frozenset[str]:
    """The weights that `freeze` lines hold where they are. Raises ``ProblemError``, also where no weight is left."""
    paths = list(paths)
    if not train.freezes:
        return frozenset()
    found = frozenset(last_of(train.freezes, paths))
    if found == set(paths):
        way = f"leave out of `freeze` what should be learned; the weights are {shown_some(paths)}"
        notes = tuple(Note(span=line.span, text="held here") for line in train.freezes[-1:])
        raise DoesNotLearn(span=train.loss.value.span, why="every weight is frozen", way=way, notes=notes).error()
    return found


def held(graph: Graph, still: frozenset[str]) -> Graph:
    """The graph in which these weights are states like any other: no gradient is built for them."""
    if not still:
        return graph
    inputs = tuple(f.model_copy(update={"learned": False}) if f.name in still else f for f in graph.inputs)
    return graph.model_copy(update={"inputs": inputs})
