"""Where this dialect spells an operation otherwise than the ONNX backend: both are ONNX, and ONNX's own evaluator
computes this one rightly (seen with onnx 1.23).
"""

from __future__ import annotations

from collections.abc import Callable

from dotnn.graph import Node
from dotnn_onnx.fuse import Spelt
from dotnn_onnx.spelling.index import place_of
from dotnn_onnx.spelling.moves import Moves, groups_of, places
from dotnn_onnx.writer import Writer

Way = Callable[[Writer, Node], object]


def own_way(node: Node) -> Spelt | None:
    """How this dialect spells a node, where that is not the ONNX backend's way."""
    way = WAYS.get(node.op)
    return None if way is None else Spelt(node.inputs, lambda w: way(w, node))


def log_softmax(w: Writer, node: Node) -> None:
    """The evaluator takes the logarithm of the softmax, which is -inf where that is too small for single precision."""
    (x,) = node.inputs
    w.emit("Sub", w[x], w.emit("ReduceLogSumExp", w[x], w.numbers([-1]), keepdims=1), to=node.name)


def pick(w: Writer, node: Node) -> None:
    """The evaluator's GatherElements knows neither an axis counted from the end nor more than 32 places."""
    x, index = node.inputs
    column = w.emit("Unsqueeze", place_of(w, index), w.numbers([-1]))
    w.emit("GatherND", w[x], column, to=node.name, batch_dims=node.type.rank or None)


def convolve_back(w: Writer, node: Node) -> None:
    """The evaluator's ConvTranspose knows no groups: here each has one of its own."""
    g, kernel = node.inputs
    moves, groups = Moves.of(node, places(w.view.types[kernel])), groups_of(node)
    how = {**moves.attributes(), "output_padding": list(moves.rest(places(node.type)))}
    both = [w[g]], [w[kernel]]
    if groups > 1:
        both = _cut(w, w[g], groups, 1), _cut(w, w[kernel], groups, 0)
    made = [w.emit("ConvTranspose", *part, **how) for part in zip(*both, strict=True)]
    w.emit("Concat", *made, to=node.name, axis=1)


def _cut(w: Writer, x: str, groups: int, axis: int) -> list[str]:
    return list(w.emit_many("Split", (x,), (None,) * groups, axis=axis, num_outputs=groups))


WAYS: dict[str, Way] = {"log_softmax": log_softmax, "pick": pick, "convolve_back": convolve_back}
