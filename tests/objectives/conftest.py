"""What the tests of objectives share: a spec compiled from a text, its train graph step by step in double precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.job import Compiled
from dotnn.testing.numbers import exact

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


class Steps:
    """A compiled spec whose train graph is run by the judge, batch by batch, in the order of the rows."""

    def __init__(self, made: Compiled) -> None:
        self.program = made.program
        self.graph = made.program.graphs["train"]
        self.rows = made.dataset.splits["train"]
        self.state: Arrays = {}
        self.begin()

    def begin(self) -> None:
        first = exact(self.program.graphs["init"], {"seed": np.array(self.program.plan.seed)})
        self.state = {name: wide(array) for name, array in first.items()}

    def batch(self, number: int) -> Arrays:
        size = self.program.plan.batch
        columns = [fed.name for fed in self.graph.inputs if fed.role in ("data", "label", "weight")]
        return {name: wide(self.rows.arrays[name][number * size : (number + 1) * size]) for name in columns}

    def step(self, number: int) -> Arrays:
        """What the graph gives for that batch; the state goes on."""
        feeds = {**self.batch(number), **self.state}
        out = dict(exact(self.graph, {fed.name: feeds[fed.name] for fed in self.graph.inputs}))
        self.state |= {fed.name: out[after.name] for fed, after in self.graph.states()}
        return out


def wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Compiled]:
    def make(text: str, **settings: str) -> Compiled:
        (tmp_path / "s.nn").write_text(text, encoding="utf-8")
        return compile_file(tmp_path / "s.nn", {name.replace("__", "."): value for name, value in settings.items()})

    return make


@pytest.fixture
def steps(compiled: Callable[..., Compiled]) -> Callable[..., Steps]:
    def make(text: str, **settings: str) -> Steps:
        return Steps(compiled(text, **settings))

    return make


def same(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
