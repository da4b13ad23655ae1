"""Operations that take numbers from places that other numbers name, and put them there."""

from __future__ import annotations

from dotnn.graph import Node, multiply
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.spelling.shape import zeros
from dotnn_onnx.writer import Writer


def place_of(w: Writer, value: str) -> str:
    """An index as the operators take it."""
    return w[value] if w.view.types[value].dtype in ("i32", "i64") else w.cast(w[value], "i64")


@spelling("gather")
def gather(w: Writer, node: Node) -> None:
    table, index = node.inputs
    w.emit("Gather", w[table], place_of(w, index), to=node.name, axis=0)


@spelling("pick")
def pick(w: Writer, node: Node) -> None:
    x, index = node.inputs
    last = w.numbers([-1])
    column = w.emit("Unsqueeze", place_of(w, index), last)
    w.emit("Squeeze", w.emit("GatherElements", w[x], column, axis=-1), last, to=node.name)


@spelling("place")
def place(w: Writer, node: Node) -> None:
    x, index = node.inputs
    last = w.numbers([-1])
    column, value = w.emit("Unsqueeze", place_of(w, index), last), w.emit("Unsqueeze", w[x], last)
    # Comparing each place with the index takes one to three times as long, the more places the longer.
    w.emit("ScatterElements", zeros(w, node), column, value, to=node.name, axis=-1)


@spelling("scatter")
def scatter(w: Writer, node: Node) -> None:
    index, rows_of = node.inputs
    given = w.view.types[rows_of]
    rank = w.view.types[index].rank
    count, width = multiply(given.dims[:rank]), multiply(given.dims[rank:])
    wide = node.type.is_float
    rows = w.reshape(w[rows_of], given.dims, (count, width))
    rows = rows if wide else w.cast(rows, "f64")  # CUDA adds whole numbers wrongly; f64 is exact up to 2^53
    column = w.reshape(place_of(w, index), w.view.types[index].dims, (count, 1))
    places = w.emit("Expand", column, w.shape((count, width)))
    kind = node.type.dtype if wide else "f64"
    flat = (node.type.dims[0], width)
    start = w.emit("Expand", w.number(0, kind), w.shape(flat))
    # One thread adds to one place: ScatterND(add) is quicker and races.
    summed = w.emit("ScatterElements", start, places, rows, axis=0, reduction="add")
    back = summed if wide else w.cast(summed, node.type.dtype)
    w.reshape(back, flat, node.type.dims, to=node.name)
