"""Graph -> ONNX. The whole of lowering on one screen; how each operation is spelt stands in ``spelling/``."""

from __future__ import annotations

import onnx
from dotnn.graph import Graph
from dotnn.scans.bodies import written_out
from dotnn_onnx.fuse import spell
from dotnn_onnx.recurrent import kernel
from dotnn_onnx.tidy import drop_expands
from dotnn_onnx.view import View
from dotnn_onnx.writer import IR_VERSION, OPSET, Speller, Writer, tensor_info
from onnx import helper

ON_CUDA = 64
"""Up to so many steps of a scan are written out for CUDA, which waits for the processor after each step of a loop."""


def lower(graph: Graph, target: str = "portable") -> onnx.ModelProto:
    """The graph in plain ONNX operators (opset 21). The same graph gives the same bytes.

    A state tensor is input `NAME` and output `NAME.next`; every node's name holds the line of the spec it came from.
    """
    return _model(graph, written(graph, target))


def written(graph: Graph, target: str = "portable", spell: Speller = spell) -> Writer:
    """The graph's nodes and constants, on the writer that wrote them."""
    if target == "cuda":
        view = View(graph)
        graph = written_out(graph, ON_CUDA, spared=lambda node: kernel(view, node) is not None)
    tidied = drop_expands(graph)
    writer = Writer(tidied, View(tidied), target, spell)
    writer.write()
    return writer


def _model(graph: Graph, writer: Writer) -> onnx.ModelProto:
    types = graph.types()
    body = helper.make_graph(
        writer.nodes,
        graph.name,
        [tensor_info(fed.name, fed.type) for fed in graph.inputs],
        [tensor_info(output.name, types[output.value]) for output in graph.outputs],
        writer.used_initializers(),
    )
    others = sorted({node.domain for node in writer.nodes} - {""})
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in others)]
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
