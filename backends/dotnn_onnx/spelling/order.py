"""Operations that put numbers in order along a dim, and take them from places of their own in each row."""

from __future__ import annotations

from typing import cast

import numpy as np

from dotnn.graph import Dim, Dtype, Node
from dotnn_onnx.spelling.index import place_of
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.spelling.shape import whole, zeros
from dotnn_onnx.writer import Writer

SORTED: dict[Dtype, Dtype] = {"u8": "i32", "u64": "i64"}
"""By way of which types whole numbers are sorted."""


@spelling("argsort")
def argsort(w: Writer, node: Node) -> None:
    x = node.inputs[0]
    way = SORTED.get(w.view.types[x].dtype)
    count = w.shape((cast(Dim, node.attributes["size"]),))
    largest = int(bool(node.attributes["falling"]))
    given = w[x] if way is None else w.cast(w[x], way)
    w.emit_many("TopK", (given, count), (None, node.name), axis=whole(node, "axis"), largest=largest, sorted=1)


@spelling("take")
def take(w: Writer, node: Node) -> None:
    x, index = node.inputs
    w.emit("GatherElements", w[x], place_of(w, index), to=node.name, axis=whole(node, "axis"))


@spelling("put")
def put(w: Writer, node: Node) -> None:
    x, index = node.inputs
    axis = whole(node, "axis")
    if node.type.is_float:
        # One thread adds to one place: ScatterND(add) is quicker and races.
        w.emit("ScatterElements", zeros(w, node), place_of(w, index), w[x], to=node.name, axis=axis, reduction="add")
        return
    # CUDA adds whole numbers wrongly; f64 is exact up to 2^53.
    start = w.cast(zeros(w, node), "f64")
    added = w.emit("ScatterElements", start, place_of(w, index), w.cast(w[x], "f64"), axis=axis, reduction="add")
    w.cast(added, node.type.dtype, to=node.name)


@spelling("overwrite")
def overwrite(w: Writer, node: Node) -> None:
    x, row, place = node.inputs
    before = node.type.dims[: whole(node, "axis")]
    # Whole rows are moved; ScatterElements moves each number by itself, and Where writes all places.
    w.emit("ScatterND", w[x], _coordinates(w, place, before), w[row], to=node.name)


def _coordinates(w: Writer, place: str, before: tuple[Dim, ...]) -> str:
    """Where the place is of each row, i64[…, 1, rank]; ``before``: the dims before its axis."""
    key = ("coordinates", place, before)
    shared = w.shared(key)
    if shared is not None:
        return shared[0]
    shape, parts = w.shape((*before, 1, 1)), list[str]()
    for dim, size in enumerate(before):
        along = [-1 if i == dim else 1 for i in range(len(before) + 2)]
        if isinstance(size, int):
            counted = w.constant(np.arange(size, dtype=np.int64).reshape(along))
        else:
            every = w.emit("Range", w.number(0, "i64"), w.size(size), w.number(1, "i64"))
            counted = w.emit("Reshape", every, w.numbers(along))
        parts.append(w.emit("Expand", counted, shape))
    index = w[place] if w.view.types[place].dtype == "i64" else w.cast(w[place], "i64")
    parts.append(w.emit("Expand", index, shape))
    made = w.emit("Concat", *parts, axis=-1) if before else parts[0]
    w.share(key, made)
    return made
