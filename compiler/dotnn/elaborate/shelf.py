"""The standard library's folder, as it comes in by the hooks."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from dotnn.entries import hook

API = 1


@hook
def dotnn_std() -> Sequence[Traversable]:
    return (resources.files("dotnn") / "std",)
