"""What the door knows by name without loading it: Python's own list of packages, and our own things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

import pluggy

API = 1
"""The version of the door. A plugin's module says for which it was written: `API = 1`."""

GROUP = "dotnn"
"""The entry-point group of plugins."""

KINDS = {
    "backend": "dotnn_backends",
    "operation": "dotnn_operations",
    "source": "dotnn_sources",
    "tokenizer": "dotnn_tokenizers",
    "logger": "dotnn_loggers",
    "command": "dotnn_commands",
    "std": "dotnn_std",
}
"""What a plugin may bring, and the hook by which its module offers it."""

EVERY = "*"
"""In the place of a name, for our own alone: all that the module offers."""

hook = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class Entry:
    """One thing that a package brings. The entry point is `KIND.NAME = "module"`."""

    kind: str
    name: str
    module: str
    package: str = "dotnn"
    version: str = ""
    built_in: bool = True

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}` of {self.package}" + (f" {self.version}" if self.version else "")


@dataclass(frozen=True)
class Command:
    """A verb of `nn`: ``run`` is a function as Typer reads it (its docstring is the help); what it returns is the exit
    code. ``settings``: more of Click's settings."""

    name: str
    run: Callable[..., Any]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return (self.run.__doc__ or "").strip().split("\n")[0]


BUILT_IN = (
    Entry("backend", "onnx", "dotnn_onnx.plugin"),
    Entry("backend", "reference", "dotnn_reference.plugin"),
    Entry("backend", "torch", "dotnn_torch.plugin"),
    Entry("backend", "training-info", "dotnn_training_info.plugin"),
    Entry("operation", EVERY, "dotnn.ops.plugin"),
    Entry("source", "table", "dotnn.data.source"),
    Entry("source", "idx", "dotnn.data.source"),
    Entry("source", "npz", "dotnn.data.source"),
    Entry("source", "mail", "dotnn.data.source"),
    Entry("source", "images", "dotnn.data.source"),
    Entry("source", "text", "dotnn.data.source"),
    Entry("tokenizer", "characters", "dotnn.data.tokenizers"),
    Entry("tokenizer", "words", "dotnn.data.tokenizers"),
    Entry("tokenizer", "bpe", "dotnn.data.tokenizers"),
    Entry("logger", "tensorboard", "dotnn.training.loggers"),
    Entry("command", EVERY, "dotnn.commands.plugin"),
    Entry("std", EVERY, "dotnn.elaborate.shelf"),
)


@cache
def strangers() -> tuple[Entry, ...]:
    """What installed packages bring, by package and name. Reads their metadata, and loads nothing of them."""
    found = {
        (point.name, point.value): Entry(
            *_split(point.name), point.value, point.dist.name if point.dist else "?", _version(point), False
        )
        for point in metadata.entry_points(group=GROUP)
    }
    return tuple(sorted(found.values(), key=lambda e: (e.package, e.kind, e.name, e.module)))


def entries(kind: str) -> Iterator[Entry]:
    """Everything of that kind, our own first."""
    yield from (entry for entry in (*BUILT_IN, *strangers()) if entry.kind == kind)


def _split(name: str) -> tuple[str, str]:
    """`backend.stack` as its kind and its name; the kind is empty where there is none."""
    kind, dot, rest = name.partition(".")
    return (kind, rest) if dot else ("", name)


def _version(point: metadata.EntryPoint) -> str:
    return point.dist.version if point.dist else ""
