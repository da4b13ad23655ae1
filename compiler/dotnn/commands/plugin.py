"""Our verbs, as they come in by the hooks."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from dotnn.entries import Command, hook

API = 1

VERBS = (
    "check", "compile", "train", "resume", "eval", "claims", "predict", "generate", "probe", "data", "runs", "show",
    "ir", "plugins",
)  # fmt: skip


@hook
def dotnn_commands() -> Sequence[Command]:
    return [_command(verb) for verb in VERBS]


def _command(verb: str) -> Command:
    module = importlib.import_module(f"dotnn.commands.{verb}")
    return Command(verb, getattr(module, verb), getattr(module, "SETTINGS", {}))
