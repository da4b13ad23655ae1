"""The door: what may come in, and how. Built-ins come in by the same hooks as strangers.

A package brings a thing by an entry point of the group `dotnn`, `KIND.NAME = "module"`: `backend.stack`,
`operation.bend`, `source.counting`, `tokenizer.mine`, `logger.mine`, `command.mine`, `std.gentle`. So names are known
without loading code; the module is imported when the name is first used. It says `API = 1`, and has the hook of that
kind.
"""

from __future__ import annotations

from importlib.resources.abc import Traversable
from typing import Any, cast

import pluggy

from dotnn.entries import API, BUILT_IN, GROUP, Command, hook
from dotnn.plugins.backend import (
    Arrays,
    Backend,
    Baker,
    Executor,
    Exporting,
    Former,
    Holding,
    Hosting,
    Inspecting,
    Interrupted,
    Interruptible,
    Keeping,
    Kept,
    Options,
    Session,
    Steady,
    Versioned,
)
from dotnn.plugins.hooks import (
    ArrayTable,
    DataSource,
    Hooks,
    Joining,
    Logger,
    NewOperation,
    Place,
    Table,
    Tokenizer,
    Vocabulary,
)
from dotnn.plugins.registry import BrokenPlugin, NoSuchBackend, NoSuchLogger, NoSuchTokenizer, lookup, registry, working

__all__ = [
    "API",
    "BUILT_IN",
    "GROUP",
    "ArrayTable",
    "Arrays",
    "Backend",
    "Baker",
    "BrokenPlugin",
    "Command",
    "DataSource",
    "Executor",
    "Exporting",
    "Former",
    "Holding",
    "Hooks",
    "Hosting",
    "Inspecting",
    "Interrupted",
    "Interruptible",
    "Joining",
    "Keeping",
    "Kept",
    "Logger",
    "NewOperation",
    "NoSuchBackend",
    "NoSuchLogger",
    "NoSuchTokenizer",
    "Options",
    "Place",
    "Session",
    "Steady",
    "Table",
    "Tokenizer",
    "Versioned",
    "Vocabulary",
    "backend",
    "backends",
    "bring",
    "command",
    "definition",
    "hook",
    "is_brought",
    "logger",
    "loggers",
    "lowering",
    "manager",
    "names",
    "registry",
    "source",
    "tokenizer",
]


def manager() -> pluggy.PluginManager:
    """Where modules are registered when they are loaded."""
    return registry().manager


def names(kind: str) -> list[str]:
    """Every name of that kind; loads nothing of a stranger's."""
    return registry().names(kind)


def backends() -> dict[str, Backend]:
    """Every backend that works, by its name."""
    return dict(working("backend"))


def backend(name: str) -> Backend:
    """The backend of that name. Raises ``ProblemError`` where there is none, or where it is broken."""
    return cast("Backend", lookup("backend", name, NoSuchBackend))


def loggers() -> dict[str, Logger]:
    """Every logger that works, by its name."""
    return dict(working("logger"))


def logger(name: str) -> Logger:
    """The logger of that name. Raises ``ProblemError`` where there is none, or where it is broken."""
    return cast("Logger", lookup("logger", name, NoSuchLogger))


def command(name: str) -> Command:
    """The verb of that name. Raises KeyError, and ``ProblemError`` where it is broken."""
    return cast("Command", registry().find("command", name))


def source(name: str) -> DataSource | None:
    """The reader of `source NAME`. Raises ``ProblemError`` where it is broken."""
    try:
        return cast("DataSource", registry().find("source", name))
    except KeyError:
        return None


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name. Raises ``ProblemError`` where there is none, or where it is broken."""
    return cast("Tokenizer", lookup("tokenizer", name, NoSuchTokenizer))


def new_operation(name: str) -> NewOperation:
    """An operation as it came in. Raises KeyError, and ``ProblemError`` where it is broken."""
    return cast("NewOperation", registry().find("operation", name))


def bring(name: str) -> None:
    """Puts a plugin's operation, and its recipes, among the others. Raises KeyError where nobody brings it."""
    from dotnn.operation import register
    from dotnn.recipes import RECIPES

    new = new_operation(name)
    register(new.operation)
    RECIPES.setdefault(name, []).extend(new.recipes)


def definition(name: str) -> tuple[str, Traversable] | None:
    """The file of a name that the standard library or a plugin defines, and whose it is: `std` or the package."""
    try:
        file = registry().find("std", name)
    except KeyError:
        return None
    return (next(registry().claims("std", name)).package if is_brought("std", name) else "std"), file


def is_brought(kind: str, name: str) -> bool:
    """A stranger brings it, and it is not ours."""
    return all(not entry.built_in for entry in registry().claims(kind, name))


def lowering(op: str, backend: str) -> Any:
    """What a backend needs to know of an operation that it does not know itself; None where nobody says."""
    try:
        return new_operation(op).lowerings.get(backend)
    except KeyError:
        return None
