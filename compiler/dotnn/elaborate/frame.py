"""What the names of one definition stand for while it is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from dotnn.elaborate.library import STD
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.values import Instance, Known, Label
from dotnn.graph import Dim
from dotnn.spec import Part
from dotnn_grammar.problems import Problem


@dataclass(frozen=True)
class Remainder:
    """The dims that `...` stands for."""

    dims: tuple[Dim, ...]
    labels: tuple[Label, ...]


@dataclass
class Frame:
    """One definition being built (or a train block): its names, its dims, and the path of what it makes."""

    machine: Machine
    scope: str
    path: str
    known: Known | None = None
    instance: Instance | None = None
    names: dict[str, Any] = field(default_factory=dict)
    dims: dict[str, Dim] = field(default_factory=dict)
    rest: Remainder | None = None
    states: dict[str, str] = field(default_factory=dict)
    """The path of each state that this definition has."""
    cells: dict[str, str] = field(default_factory=dict)
    """The path of the weight or state that a name was bound to."""
    issued: dict[str, int] = field(default_factory=dict)
    """How often each path was given out in this run of the definition."""
    left: str = ""
    """The name on the left of the statement being built."""
    turns: str = ""
    """The turns of the `repeat`s around it: `block[2]`."""
    in_training: bool = False
    """Inside `when training`."""
    in_data: bool = False
    """In the line of a column."""
    equation: Any = None
    """In an index equation: what is known of its indices."""
    draw: Any = None
    """In the line of a column that is generated: makes of a distribution without a shape one draw a row."""
    sizing: bool = False
    """In the size of a dim."""
    deciding: bool = False
    """In the condition of an `if` or a `require`."""
    results: tuple[Any, ...] | None = None
    """What `return` gave."""
    columns: Any = None
    """In a train block: gives a column of the data by its name."""

    @property
    def here(self) -> str:
        """The path of the statement being built."""
        return ".".join(word for word in (self.path, self.turns, self.left) if word)

    @property
    def users(self) -> bool:
        """Whether this is the user's text, which sees the file's params."""
        return self.scope != STD

    def fail(self, problem: type[Problem], part: Part, **facts: Any) -> NoReturn:
        """Raises the problem at this part of the definition's text."""
        self.machine.fail(problem, part, self.scope, **facts)

    def path_of(self, name: str) -> str:
        """The path of something with a name of its own in this definition."""
        return ".".join(word for word in (self.path, self.turns, name) if word)

    def remember(self, name: str, value: Any) -> None:
        """Keeps a tensor by its path; what has a name inside a function of the library stays inside."""
        if self.known is None or self.instance is not None:
            self.machine.remember(self.path_of(name), value)
        elif self.scope != STD:
            self.machine.remember(self.path_of(f"{self.known.name}.{name}"), value)

    def part(self, definition: str, name: str | None) -> str:
        """The path of a part: by its `as` name, else by the statement and the definition, counted where needed."""
        return self._issue(f"{self.here}.{definition}" if self.here else definition, name)

    def _issue(self, base: str, name: str | None) -> str:
        number = self.issued[base] = self.issued.get(base, -1) + 1
        if name is None:
            return f"{base}[{number}]" if number else base
        return self._issue(self.path_of(name), None)
