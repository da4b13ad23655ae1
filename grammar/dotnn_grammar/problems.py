"""What is said to a person whose file cannot be used: what is wrong, where, and what to do next.

A problem is a small frozen value: its facts are fields, its wording is a template over them. Each check defines its
problems beside itself:

    class UnknownStage(Problem):
        code = "B012"
        title = "`{name}` cannot stand in a chain"
        label = "this is a {kind}"
        help = "a chain goes through layers, functions and nets"
        name: str
        kind: str

    raise UnknownStage(span=stage.span, name="x", kind="number").error()
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from dotnn_grammar.source import Source, Span


class Note(BaseModel):
    """A second place that belongs to a problem: where a name was first bound, what an author's `require` says."""

    model_config = ConfigDict(frozen=True)

    span: Span
    text: str


class Problem(BaseModel):
    """One thing that is wrong with the user's input.

    Subclasses set ``code`` (stable: letter and three digits), ``title`` (what is wrong), ``label`` (written under the
    marked text) and ``help`` (what to do next) as templates over their fields; an empty text is left out.
    """

    model_config = ConfigDict(frozen=True)

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    label: ClassVar[str] = ""
    help: ClassVar[str] = ""

    registry: ClassVar[dict[str, type[Problem]]] = {}

    span: Span | None = None
    notes: tuple[Note, ...] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.code:
            return
        other = Problem.registry.setdefault(cls.code, cls)
        if other.__qualname__ != cls.__qualname__:
            raise TypeError(f"problem code {cls.code} is used by {other.__qualname__} and {cls.__qualname__}")

    @property
    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name not in ("span", "notes")}

    def say(self, template: str) -> str:
        return template.format(**self.facts)

    @property
    def title_text(self) -> str:
        return self.say(self.title)

    @property
    def label_text(self) -> str:
        return self.say(self.label)

    @property
    def help_text(self) -> str:
        return self.say(self.help)

    def error(self) -> ProblemError:
        """This problem as an exception: ``raise Problem(...).error()``."""
        return ProblemError((self,))


class ProblemError(Exception):
    """One or more problems with the user's input, to be shown and never to be seen as a traceback."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.sources: dict[str, Source] = {}
        """The texts that the problems point into, by name, as far as they were read."""
        super().__init__("; ".join(f"{p.code} {p.title_text}" for p in self.problems))


MOST_COMPARED = 2000
"""Letters of a name, and names that it is compared with: more would take longer than anybody waits."""


def many(count: int, word: str) -> str:
    """`1 epoch`, `1,257 rows`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that ``name`` may have been meant to be, best first."""
    if len(name) > MOST_COMPARED:
        return []
    known = [word for word in sorted(set(known)) if abs(len(word) - len(name)) <= len(name)][:MOST_COMPARED]
    return difflib.get_close_matches(name, known, n=most, cutoff=0.6)


def perhaps(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A line of help: the nearest known names, or ``otherwise``."""
    near = [f"`{word}`" for word in nearest(name, known)]
    if not near:
        return otherwise
    return f"did you mean {near[0]}?" if len(near) == 1 else f"did you mean {', '.join(near[:-1])} or {near[-1]}?"
