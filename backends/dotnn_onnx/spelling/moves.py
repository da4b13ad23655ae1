"""How a window moves over the places of a picture, and what it sees there: what convolution and pools share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from dotnn.graph import Dim, Node, Type
from dotnn_onnx.writer import Writer

Each = tuple[int, ...]


@dataclass(frozen=True)
class Moves:
    """How a window moves over the places: a number for each dim."""

    size: Each
    stride: Each
    dilation: Each
    before: Each
    after: Each

    @classmethod
    def of(cls, node: Node, size: Each) -> Moves:
        found = (each(node, name) for name in ("stride", "dilation", "before", "after"))
        return cls(size, *found)

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def taps(self) -> int:
        return math.prod(self.size)

    @property
    def reach(self) -> Each:
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.size, strict=True))

    @property
    def apart(self) -> bool:
        """The windows stand side by side: none sees what another does, or what is beside the picture."""
        return self.stride == self.size and set(self.dilation) == {1} and not any((*self.before, *self.after))

    def rest(self, places: Each) -> Each:
        """The places after the last window, in each dim."""
        room = zip(places, self.before, self.after, self.reach, self.stride, strict=True)
        return tuple((n + b + a - r) % s for n, b, a, r, s in room)

    def attributes(self) -> dict[str, Any]:
        """As ONNX says it."""
        return {
            "kernel_shape": list(self.size),
            "strides": list(self.stride),
            "dilations": list(self.dilation),
            "pads": [*self.before, *self.after],
        }


def each(node: Node, name: str) -> Each:
    return cast("Each", node.attributes[name])


def places(type: Type) -> Each:
    """The dims after the first two."""
    return cast("Each", type.dims[2:])


def groups_of(node: Node) -> int:
    return cast(int, node.attributes["groups"])


# ---- what is beside a picture, and what a window sees


def beside(w: Writer, x: str, before: Each, after: Each, value: float, like: Type) -> str:
    """The picture with so many numbers beside it; below 0 so many of its own are cut off."""
    if not any((*before, *after)):
        return x
    axes = range(like.rank - len(before), like.rank)
    filler = w.number(value, like.dtype)
    return w.emit("Pad", x, w.numbers([*before, *after]), filler, w.numbers(list(axes)))


def evened(w: Writer, x: str, moves: Moves, value: float, like: Type, pool: bool = False) -> tuple[str, Moves]:
    """What operators do not take beside a picture is put there first.

    CUDA takes only as many numbers before as after, a pool only fewer than its windows have.
    """
    few = not pool or all(b < k and a < k for b, a, k in zip(moves.before, moves.after, moves.size, strict=True))
    if few and (moves.before == moves.after or w.target == "cpu"):
        return x, moves
    none = (0,) * moves.rank
    return beside(w, x, moves.before, moves.after, value, like), Moves(
        moves.size, moves.stride, moves.dilation, none, none
    )


def views(w: Writer, x: str, moves: Moves, made: Each) -> list[str]:
    """What all windows see at their first place, their second, …, in a picture that has everything beside it."""
    axes = w.numbers([2 + axis for axis in range(moves.rank)])
    found = []
    for k in product(*(range(n) for n in moves.size)):
        starts = [d * i for d, i in zip(moves.dilation, k, strict=True)]
        stops = [at + s * (n - 1) + 1 for at, s, n in zip(starts, moves.stride, made, strict=True)]
        found.append(w.emit("Slice", x, w.numbers(starts), w.numbers(stops), axes, w.numbers(list(moves.stride))))
    return found


def dilated(w: Writer, g: str, type: Type, stride: Each) -> tuple[str, Type]:
    """With stride - 1 zeros after each place, in each dim."""
    if set(stride) == {1}:
        return g, type
    dims: list[Dim] = [*type.dims[:2]]
    for n, s in zip(places(type), stride, strict=True):
        dims += [n, s]
    split = [*type.dims[:2]]
    for n in places(type):
        split += [n, 1]
    apart = w.reshape(g, type.dims, split)
    ends = [0, *(n for s in stride for n in (0, s - 1))][1:]
    axes = list(range(2, len(dims)))
    pads = w.numbers([*[0] * len(axes), *ends])
    wide = w.emit("Pad", apart, pads, w.number(0, type.dtype), w.numbers(axes))
    made = type.shaped((*type.dims[:2], *(n * s for n, s in zip(places(type), stride, strict=True))))
    return w.reshape(wide, dims, made.dims), made
