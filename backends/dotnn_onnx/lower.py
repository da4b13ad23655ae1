"""Graph -> ONNX. The whole of lowering on one screen; how each operation is spelt stands in ``spelling/``."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from dotnn.graph import Graph, Node
from dotnn_onnx.fuse import Spelt, spell
from dotnn_onnx.tidy import drop_expands
from dotnn_onnx.view import View
from dotnn_onnx.writer import IR_VERSION, OPSET, Writer, tensor_info
from onnx import helper

Speller = Callable[[View, Node], Spelt]
"""Says how a node is written: ``fuse.spell``, or that of a dialect which builds on it."""


def lower(graph: Graph, target: str = "portable") -> onnx.ModelProto:
    """The graph in plain ONNX operators (opset 21). The same graph gives the same bytes.

    A state tensor is input `NAME` and output `NAME.next`; every node's name holds the line of the spec it came from.
    """
    return _model(graph, written(graph, target))


def written(graph: Graph, target: str = "portable", spell: Speller = spell) -> Writer:
    """The graph's nodes and constants, on the writer that wrote them."""
    tidied = drop_expands(graph)
    view = View(tidied)
    writer = Writer(tidied, view, target)
    spelt = {node.name: spell(view, node) for node in tidied.nodes}
    alive = _alive(tidied, spelt)
    for node in tidied.nodes:
        if node.name in alive:
            writer.begin(node)
            spelt[node.name].write(writer)
    for output in tidied.outputs:
        writer.finish(output)
    return writer


def _alive(graph: Graph, spelt: dict[str, Spelt]) -> set[str]:
    """The values that are read, directly or not, by an output: what a fused node passes over is not made."""
    alive = {output.value for output in graph.outputs}
    for node in reversed(graph.nodes):
        if node.name in alive:
            alive.update(spelt[node.name].reads)
    return alive


def _model(graph: Graph, writer: Writer) -> onnx.ModelProto:
    types = graph.types()
    body = helper.make_graph(
        writer.nodes,
        graph.name,
        [tensor_info(fed.name, fed.type) for fed in graph.inputs],
        [tensor_info(output.name, types[output.value]) for output in graph.outputs],
        writer.used_initializers(),
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        body,
        ir_version=IR_VERSION,
        opset_imports=opsets,
        producer_name="dotnn",
    )


def serialize(model: onnx.ModelProto) -> bytes:
    """The model as bytes, the same ones for the same model."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content
