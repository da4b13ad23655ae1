"""A peer's numbers as a text that can be read: one block for each `try:` line, one line an array.

try:    max(x, 0)  for x: [2]
torch:  clamp(x, min = 0)
result [2]: 0 1.5
gradient x [2]: 0 -0.25
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dotnn.testing.lines import Try
from dotnn.testing.report import FailedError
from dotnn.testing.tried import Made

_ARRAY = re.compile(r"(.*) \[([\d, ]*)\]: ?(.*)")


def heading(tried: Try) -> str:
    """The lines that a block begins with."""
    assert tried.peer is not None
    return f"try:    {tried.text}\n{tried.peer.library + ':':<8}{tried.peer.text}"


def written(blocks: Mapping[str, Made]) -> str:
    """By its heading each block; 15 digits a number."""
    texts = []
    for head, made in blocks.items():
        lines = [head]
        for what, array in made.items():
            numbers = " ".join(f"{number:.15g}" for number in array.reshape(-1).tolist())
            lines.append(f"{what} {list(array.shape)}: {numbers}".rstrip())
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def read(path: Path) -> dict[str, Made]:
    """What ``written`` wrote; nothing where there is no such file. Raises ``FailedError``."""
    blocks: dict[str, Made] = {}
    for block in path.read_text("utf-8").strip().split("\n\n") if path.exists() else ():
        first, second, *lines = block.split("\n")
        made = blocks[f"{first}\n{second}"] = {}
        for line in lines:
            found = _ARRAY.fullmatch(line)
            if found is None:
                raise FailedError(f"{path.name}: this is no array: {line[:60]}")
            shape = [int(size) for size in re.findall(r"\d+", found[2])]
            made[found[1]] = np.array([float(number) for number in found[3].split()], np.float64).reshape(shape)
    return blocks
