"""Where a name leads: the user's definitions, the standard library (text, read when it is first needed), operations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from dotnn import plugins
from dotnn.elaborate.values import Known, Primitive
from dotnn.elaborate.vocabulary import PRIMITIVES
from dotnn.read import read_definitions
from dotnn.spec import Definition
from dotnn_grammar.source import Source

STD = "std"
USER = "user"


@cache
def standard_names() -> tuple[str, ...]:
    """Every name that the standard library and plugins define: each is a file of that name."""
    return tuple(sorted(plugins.names("std")))


@cache
def standard_text(name: str) -> Source | None:
    """The file that defines ``name``: the standard library's own, or else a plugin's."""
    found = plugins.definition(name)
    if found is None:
        return None
    folder, file = found
    return Source(name=f"{folder}/{name}.nn", text=file.read_text("utf-8"))


@cache
def standard(name: str) -> Known | None:
    """The definition of that name in the standard library, if there is one."""
    source = standard_text(name)
    if source is None:
        return None
    found = next((d for d in read_definitions(source) if d.name == name), None)
    return Known(found, STD) if found else None


@cache
def brought() -> frozenset[str]:
    """The operations that plugins bring, which a spec calls by their names."""
    return frozenset(name for name in plugins.names("operation") if plugins.is_brought("operation", name))


def owner(name: str) -> str:
    """Whose a name is where the spec does not define it: `the standard library's`; empty where it is nobody's."""
    if name in standard_names():
        found = plugins.definition(name)
        folder = found[0] if found else STD
        return "the standard library's" if folder == STD else f"the package {folder}'s"
    return "the operation" if name in PRIMITIVES or name in brought() else ""


class Library:
    """The definitions that a spec can use."""

    def __init__(self, definitions: Iterable[Definition] = ()) -> None:
        self.user = {d.name: Known(d, USER) for d in definitions}

    def find(self, name: str, scope: str, inside: Known | None = None) -> Known | Primitive | None:
        """What ``name`` means to text of that scope. Inside its own definition a name means what it shadows."""
        within = inside.name if inside else None
        if scope == USER and name in self.user and not (inside and inside.scope == USER and within == name):
            return self.user[name]
        if not (inside and inside.scope == STD and within == name):
            known = standard(name)
            if known:
                return known
        return Primitive(name) if name in PRIMITIVES or name in brought() else None

    def names(self, scope: str) -> set[str]:
        """Every name that `find` knows."""
        return {*(self.user if scope == USER else ()), *standard_names(), *PRIMITIVES, *brought()}

    def shadowed(self) -> list[tuple[str, str]]:
        """The user's definitions that take the name of another, and whose that is: `the standard library's`."""
        owners = ((name, owner(name)) for name in self.user)
        return [(name, whose) for name, whose in owners if whose]
