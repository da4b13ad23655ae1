"""A program as files: the bundle that any program with onnxruntime can train and use."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dotnn.arrays import Array
from dotnn.data.lengths import table_of
from dotnn.graph import Graph, dump
from dotnn.plugins import Options
from dotnn.program import Program
from dotnn.training.files import DISK
from dotnn.training.files import put as put_whole
from dotnn_grammar.problems import Problem
from dotnn_onnx.host import host as host_of
from dotnn_onnx.lower import lower, serialize
from dotnn_onnx.manifest import manifest_of
from dotnn_onnx.writer import OPSET

if TYPE_CHECKING:
    import onnx
    from dotnn_onnx.session import Lowered


PORTABLE = Options()


class CannotWrite(Problem):
    code = "X006"
    title = "`{path}` cannot be written: {why}"
    help = "give another folder with `-o`, or make room in this one"
    path: str
    why: str


class TooLarge(Problem):
    code = "X008"
    title = "the weights take {gigabytes:.1f} GB; one ONNX file holds 2"
    help = "keep the weights beside the graph: predict.onnx of a compiled bundle takes them as inputs"
    gigabytes: float


def write(
    program: Program,
    source: str,
    folder: Path,
    options: Options,
    host: str | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> list[Path]:
    """Writes the bundle into ``folder`` and returns its paths; the same program gives the same bytes.

    With ``host`` (`python`) a short training program too, and beside it ``arrays``: for each input of train.onnx that
    is not a state, the rows of the training split. Raises ``ProblemError`` where a file cannot be written.
    """
    paths: list[Path] = []
    for name, content in _files(program, source, options, host, arrays or {}):
        put(folder / name, content)
        paths.append(folder / name)
    return paths


def _files(
    program: Program, source: str, options: Options, host: str | None, arrays: Mapping[str, Array]
) -> Iterator[tuple[str, bytes]]:
    """Names and contents. The manifest comes last: where it is, all is."""
    for name, graph in program.graphs.items():
        yield f"{name}.onnx", serialize(lower(graph, options.target))
    yield "spec.nn", source.encode()
    if host is not None:
        script, text = host_of(program, host)
        wanted = [fed.name for fed in program.graphs["train"].inputs if fed.role in ("data", "label", "weight")]
        for name in wanted:
            yield f"data/{name}.npy", _npy(arrays[name])
        lengths = table_of(program.plan, program.inputs, arrays)
        if lengths is not None:
            yield "data/lengths.npy", _npy(lengths)
        yield script, text.encode()
    yield "manifest.json", dump(manifest_of(program, OPSET)).encode()


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def put(path: Path, content: bytes) -> None:
    """Writes a whole file. Raises ``ProblemError`` where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        put_whole(DISK, path, content)
    except OSError as error:
        raise CannotWrite(path=str(path), why=error.strerror or str(error)).error() from error


def bake(program: Program, state: Mapping[str, Array], options: Options = PORTABLE, graph: str = "predict") -> bytes:
    """predict.onnx of a run: the weights inside, only the net's raw inputs to feed; or another of its graphs.

    Raises ``ProblemError``.
    """
    return _whole(bake_model(program.graphs[graph], state))


def held(graph: Graph, state: Mapping[str, Array], options: Options) -> Lowered:
    """A graph with these inputs as numbers inside, ready to run. Raises ``ProblemError``."""
    from dotnn_onnx.device import choose
    from dotnn_onnx.session import Lowered

    target = choose(options.device) if options.target == "device" else options.target
    return Lowered(graph, _whole(bake_model(graph, state, target)), frozenset(state))


def _whole(model: onnx.ModelProto) -> bytes:
    size = model.ByteSize()
    if size >= 2**31:
        raise TooLarge(gigabytes=size / 1e9).error()
    return serialize(model)


def bake_model(graph: Graph, state: Mapping[str, Array], target: str = "portable") -> onnx.ModelProto:
    """A graph with what it has of the state as numbers inside."""
    from onnx import numpy_helper

    model = lower(graph, target)
    inside = [fed.name for fed in graph.inputs if fed.role == "state" and fed.name in state]
    fed = [info for info in model.graph.input if info.name not in inside]
    del model.graph.input[:]
    model.graph.input.extend(fed)
    read = _read(model.graph)
    constants = {name: np.asarray(state[name]) for name in inside if name in read}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


def _read(graph: onnx.GraphProto) -> set[str]:
    """The names that nodes read, in graphs inside too: what a Scan does in one step reads weights from outside."""
    names = {name for node in graph.node for name in node.input}
    inside = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return names.union(*map(_read, inside))
