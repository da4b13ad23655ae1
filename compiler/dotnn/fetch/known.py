"""The names of the sets that `nn data get` knows, and the folders that they are written into."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

NAMES = ("mnist", "fashion", "spam", "swahili", "grimm")
FOLDER = "data"
"""Each set has a folder of its name in here."""


def set_of(parts: Sequence[str]) -> str | None:
    """The set that a path such as `data/mnist/images.idx.gz` belongs to, by its folders."""
    return next((name for folder, name in pairwise(parts) if folder == FOLDER and name in NAMES), None)


def default_folder(here: Path) -> Path:
    """Where sets go: where the specs are, which see their data from their own folder."""
    return here / "specs" / "data" if (here / "specs").is_dir() else here / "data"
