"""How the training-info backend comes in: by the same hook as a stranger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotnn.graph import Graph
from dotnn.plugins import Backend, Options, hook
from dotnn.program import Program

if TYPE_CHECKING:
    from dotnn_training_info.session import Executor, Lowered

API = 1


class TrainingInfoBackend:
    """Satisfies ``dotnn.plugins.Backend``."""

    name = "training-info"
    summary = "one ONNX file with the net and ONNX's own description of its training; run by ONNX's evaluator: slow"

    def lower(self, graph: Graph, options: Options) -> Lowered:
        from dotnn_training_info.session import lower

        return lower(graph)

    def start(self, artefact: Lowered, options: Options) -> Executor:
        from dotnn_training_info.session import Executor

        return Executor(artefact)

    def versions(self) -> dict[str, str]:
        import onnx

        return {"onnx": str(onnx.__version__)}

    def write(self, program: Program, source: str, folder: Path, options: Options) -> Sequence[Path]:
        """One file for every device. Raises ``ProblemError`` where another than the portable target is asked for."""
        from dotnn_training_info.bundle import write

        return write(program, source, folder, options)


@hook
def dotnn_backends() -> Sequence[Backend]:
    return (TrainingInfoBackend(),)
