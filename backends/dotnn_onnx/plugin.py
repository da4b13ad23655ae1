"""The ONNX backend, as it comes in by the hooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotnn.graph import Graph
from dotnn.plugins import Arrays, Backend, Options, hook
from dotnn.program import Program

if TYPE_CHECKING:
    from dotnn_onnx.session import Executor, Lowered

API = 1


class OnnxBackend:
    """Graphs as plain ONNX, run by onnxruntime."""

    name = "onnx"
    summary = "plain ONNX files, run by onnxruntime on the CPU or on CUDA"

    def lower(self, graph: Graph, options: Options) -> Lowered:
        from dotnn_onnx.device import choose
        from dotnn_onnx.lower import lower, serialize
        from dotnn_onnx.session import Lowered

        target = choose(options.device) if options.target == "device" else options.target
        return Lowered(graph, serialize(lower(graph, target)))

    def hold(self, graph: Graph, state: Arrays, options: Options) -> Lowered:
        """The graph with these inputs as numbers inside."""
        from dotnn_onnx.bundle import held

        return held(graph, state, options)

    def start(self, artefact: Lowered, options: Options) -> Executor:
        from dotnn_onnx.session import start

        return start(artefact, options)

    def versions(self) -> dict[str, str]:
        import onnxruntime

        return {"onnxruntime": str(onnxruntime.__version__)}

    def write(
        self,
        program: Program,
        source: str,
        folder: Path,
        options: Options,
        host: str | None = None,
        arrays: Arrays | None = None,
    ) -> Sequence[Path]:
        """As every backend; with ``host`` a training program in that language and the rows that it learns from."""
        from dotnn_onnx.bundle import write

        return write(program, source, folder, options, host, arrays)

    def bake(self, program: Program, state: Arrays, options: Options, graph: str = "predict") -> bytes:
        """predict.onnx of a run: the weights inside, only the net's raw inputs to feed; or another graph."""
        from dotnn_onnx.bundle import bake

        return bake(program, state, options, graph)

    def host(self, program: Program, language: str) -> tuple[str, str]:
        """The name and the text of the program that trains the bundle beside it."""
        from dotnn_onnx.host import host

        return host(program, language)


@hook
def dotnn_backends() -> Sequence[Backend]:
    return (OnnxBackend(),)
