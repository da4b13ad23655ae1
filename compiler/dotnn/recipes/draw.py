"""Drawing small inputs for an operation: choices, a tape and what is fed to it; and the register of recipes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dotnn.arrays import Array
from dotnn.graph import Dim, Dtype, Role, Type, measure
from dotnn.operation import Operation
from dotnn.tape import Tape, Value

T = TypeVar("T")

WHOLE: tuple[Dtype, ...] = ("i64", "i32")

GRID = 1e-3
"""Drawn reals are this far from each other, within an input."""
OFFSET = 1e-4
"""And at least this far from 0, whole numbers and those of the other inputs: no kink is met by chance."""


class Draw(ABC):
    """Choices, a tape and what is fed to it. Every choice is made by ``whole``."""

    def __init__(self) -> None:
        self.tape = Tape("case")
        self.feeds: dict[str, Array] = {}
        self._batch: int | None = None

    @abstractmethod
    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""

    @property
    def sizes(self) -> dict[str, int]:
        """The one named size, `b`: drawn when it is first needed."""
        if self._batch is None:
            self._batch = self.whole(1, 4)
        return {"b": self._batch}

    def chance(self) -> bool:
        return bool(self.whole(0, 1))

    def among(self, options: Sequence[T]) -> T:
        return options[self.whole(0, len(options) - 1)]

    def size(self) -> int:
        return self.among((1, 2, 3))

    def dims(self, least: int = 0, most: int = 4, named: bool = True) -> tuple[Dim, ...]:
        """Sizes of 1 to 3; the first may be the name `b`."""
        rank = self.whole(least, most)
        return tuple("b" if named and i == 0 and self.chance() else self.size() for i in range(rank))

    def part(self, dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """Dims that broadcast into these: some in front left out, some 1."""
        if self.chance():
            return dims
        return tuple(1 if self.whole(0, 2) == 0 else d for d in dims[self.whole(0, len(dims)) :])

    def numbers(self, dims: Sequence[Dim]) -> tuple[int, ...]:
        return tuple(measure(d, self.sizes) if isinstance(d, str) else d for d in dims)

    def feed(self, array: Array, dtype: Dtype, dims: Sequence[Dim], role: Role = "data") -> Value:
        name = f"x{len(self.feeds)}"
        self.feeds[name] = array
        return self.tape.input(name, Type(dtype=dtype, dims=tuple(dims)), role)

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.whole(0, 2**16))

    def real(self, dims: Sequence[Dim], low: float = -2.0, high: float = 2.0) -> Value:
        """A real input without equal numbers, between low and high."""
        shape = self.numbers(dims)
        steps = self.generator().choice(round((high - low) / GRID) - 1, int(np.prod(shape)), replace=False)
        array = low + GRID * steps.reshape(shape) + OFFSET * (1 + len(self.feeds) % 8)
        return self.feed(array.astype(np.float32), "f32", dims)

    def integer(self, dims: Sequence[Dim], low: int, high: int, dtype: Dtype = "i64") -> Value:
        """A whole-number input from low to high, both included."""
        array = self.generator().integers(low, high + 1, self.numbers(dims))
        return self.feed(array.astype({"i32": np.int32, "u64": np.uint64}.get(dtype, np.int64)), dtype, dims)

    def truth(self, dims: Sequence[Dim]) -> Value:
        return self.feed(self.generator().integers(0, 2, self.numbers(dims)).astype(np.bool_), "bool", dims)


@dataclass(frozen=True)
class Recipe:
    """One way to try an operation. smooth: whether it has a gradient to be compared at the drawn inputs."""

    label: str
    write: Callable[[Draw, Operation], Value]
    smooth: bool = True


RECIPES: dict[str, list[Recipe]] = {}

Written = Callable[[Draw, Operation], Value]


def draws(*names: str, smooth: bool = True) -> Callable[[Written], Written]:
    """Registers a recipe for these operations. ``smooth=False``: at ties and kinks, where there is no derivative."""

    def keep(write: Written) -> Written:
        label = write.__name__.strip("_").replace("_", " ")
        for name in names:
            RECIPES.setdefault(name, []).append(Recipe(label, write, smooth))
        return write

    return keep


def fixed_axis(draw: Draw) -> tuple[tuple[Dim, ...], int, int]:
    """Dims, and one of them whose size is a number."""
    dims = draw.dims(1)
    axis = draw.whole(0, len(dims) - 1)
    here = draw.size()
    return (*dims[:axis], here, *dims[axis + 1 :]), axis, here
