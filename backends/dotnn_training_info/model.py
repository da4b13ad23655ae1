"""Graphs as one ModelProto: the inference graph, and a TrainingInfoProto for what makes and moves its weights.

What onnx.proto asks of a TrainingInfoProto, and where it is kept:

- An initialization has no inputs: the seed is a constant of it, named `seed`.
- A step is run as the inference graph with the algorithm behind it, names and all. So the two are written as one graph
  (``join.py``) and then cut: what the net's results need is the inference graph, which never looks at the algorithm.
- Keys of a binding are initializers, of the inference graph or of the algorithm, each bound once: weights that the net
  reads are initializers there, all other states (slots, `step`, `key`) are initializers of the algorithm.
- Values of an update binding are results of the algorithm: `NAME.next`.

Source: onnx/onnx.proto, the comments on TrainingInfoProto (IR version 7 and later).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

import onnx
from dotnn.graph import Graph, Input, Output, Type
from dotnn.plugins import Arrays
from dotnn.scans.bodies import written_out
from dotnn_grammar.problems import Problem
from dotnn_onnx.fuse import spell
from dotnn_onnx.lower import written
from dotnn_onnx.tidy import drop_expands
from dotnn_onnx.writer import IR_VERSION, OPSET, Writer, numpy_dtype, tensor_info
from dotnn_training_info.join import join, results
from dotnn_training_info.optimizers import DOMAIN, spellings
from dotnn_training_info.ways import own_way
from onnx import helper, numpy_helper


class OpenSteps(Problem):
    code = "N004"
    title = "the training-info backend writes out each step of a scan, and how many `{dim}` has is open{where}"
    help = "give the dim its size, or take the ONNX backend, which writes a loop"
    dim: str
    where: str = ""


INITIAL = ".initial"
"""Follows the name of a state in the results of an initialization."""


def assemble(
    net: Graph, step: Graph, init: Graph | None = None, seed: int = 0, state: Arrays | None = None
) -> onnx.ModelProto:
    """The model: ``net`` to be run, ``step`` to train it, ``init`` to begin (its input `seed` is that number).

    state: values for the initializers; without, they are 0 until the initialization has run.
    """
    net, step = straight(net), straight(step)
    whole = join(net, step)
    writer = write(whole)
    inside = _needed(writer.nodes, [output.name for output in net.outputs])
    inner = [node for i, node in enumerate(writer.nodes) if i in inside]
    outer = [node for i, node in enumerate(writer.nodes) if i not in inside]
    constants = writer.used_initializers()
    variables = [_start(fed, state) for fed in whole.inputs if fed.role == "state"]
    own = {name for node in inner for name in node.input}
    outputs = whole.outputs[len(net.outputs) :]

    def part(
        name: str, nodes: Sequence[onnx.NodeProto], fed: Iterable[Input], made: Iterable[Output], inner: bool
    ) -> onnx.GraphProto:
        held = [tensor for tensor in (*variables, *constants) if (tensor.name in own) == inner]
        infos = [tensor_info(i.name, i.type) for i in fed if i.role != "state"]
        return helper.make_graph(nodes, name, infos, _infos(whole, made), held)

    known = {fed.name for fed in net.inputs}
    graph = part(net.name, inner, net.inputs, net.outputs, inner=True)
    info = onnx.TrainingInfoProto()
    info.algorithm.CopyFrom(
        part(step.name, outer, (i for i in step.inputs if i.name not in known), outputs, inner=False)
    )
    renamed = results(net, step)
    info.update_binding.extend(_bound({fed.name: renamed[after.name] for fed, after in step.states()}))
    if init is not None:
        info.initialization.CopyFrom(_initialization(init, seed))
        info.initialization_binding.extend(_bound({o.name: f"{o.name}{INITIAL}" for o in init.outputs}))
    model = plain(graph)
    if any(node.domain == DOMAIN for node in outer):
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    model.training_info.append(info)
    return model


def alone(graph: Graph) -> onnx.ModelProto:
    """A graph without training, in this dialect."""
    graph = straight(graph)
    writer = write(graph)
    infos = [tensor_info(fed.name, fed.type) for fed in graph.inputs]
    return plain(
        helper.make_graph(writer.nodes, graph.name, infos, _infos(graph, graph.outputs), writer.used_initializers())
    )


def straight(graph: Graph) -> Graph:
    """Without loops: ONNX's evaluator runs no Scan from its end, and each step of a scan can be written out.

    Raises ``ProblemError`` where how many there are is known only when the graph runs.
    """
    made = written_out(graph, sys.maxsize)
    for node in made.nodes:
        if node.op == "scan":
            raise OpenSteps(dim=str(node.attributes["dim"]), where=f" ({node.at})" if node.at else "").error()
    return made


def plain(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A graph as a model of its own, without a TrainingInfoProto."""
    return helper.make_model(
        graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dotnn"
    )


def write(graph: Graph) -> Writer:
    """The graph's nodes: those of the ONNX backend, the training domain's operators where they fit."""
    tidied = drop_expands(graph)
    special = spellings(tidied)
    return written(tidied, spell=lambda view, node: special.get(node.name) or own_way(node) or spell(view, node))


def combined(model: onnx.ModelProto, info: onnx.TrainingInfoProto) -> onnx.ModelProto:
    """The graph of one training step as onnx.proto says it is run: the inference graph, then the algorithm."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    graph.name = info.algorithm.name
    for name in ("input", "initializer", "sparse_initializer", "node", "output", "value_info"):
        getattr(graph, name).extend(getattr(info.algorithm, name))
    return like(model, graph)


def like(model: onnx.ModelProto, graph: onnx.GraphProto) -> onnx.ModelProto:
    """The graph as a model of its own, in the versions of ``model``."""
    return helper.make_model(graph, ir_version=model.ir_version, opset_imports=list(model.opset_import))


def _initialization(init: Graph, seed: int) -> onnx.GraphProto:
    outputs = tuple(o.model_copy(update={"name": f"{o.name}{INITIAL}"}) for o in init.outputs)
    graph = straight(init).model_copy(update={"outputs": outputs})
    writer = write(graph)
    fed = [numpy_helper.from_array(np.array(seed, numpy_dtype(i.type.dtype)), i.name) for i in init.inputs]
    return helper.make_graph(
        writer.nodes, init.name, [], _infos(graph, graph.outputs), [*fed, *writer.used_initializers()]
    )


def _needed(nodes: Sequence[onnx.NodeProto], results: Iterable[str]) -> set[int]:
    """The places of the nodes without which these results are not made."""
    wanted, places = set(results), set()
    for place in reversed(range(len(nodes))):
        if wanted.intersection(nodes[place].output):
            wanted.update(nodes[place].input)
            places.add(place)
    return places


def _start(fed: Input, state: Arrays | None) -> onnx.TensorProto:
    kind, shape = numpy_dtype(fed.type.dtype), [int(d) for d in fed.type.dims]
    value = np.zeros(shape, kind) if state is None else np.ascontiguousarray(state[fed.name], kind).reshape(shape)
    return numpy_helper.from_array(value, fed.name)


def _infos(graph: Graph, outputs: Iterable[Output]) -> list[onnx.ValueInfoProto]:
    types: Mapping[str, Type] = graph.types()
    return [tensor_info(output.name, types[output.value]) for output in outputs]


def _bound(pairs: Mapping[str, str]) -> list[onnx.StringStringEntryProto]:
    return [onnx.StringStringEntryProto(key=key, value=value) for key, value in pairs.items()]
