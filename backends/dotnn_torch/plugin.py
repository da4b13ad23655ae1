"""The PyTorch backend, as it comes in by the hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotnn.graph import Graph
from dotnn.plugins import Arrays, Backend, Options, hook
from dotnn.program import Program

if TYPE_CHECKING:
    from dotnn_torch.execute import TorchExecutor

API = 1


class TorchBackend:
    """A spec as a PyTorch file; graphs operation by operation with torch tensors."""

    name = "torch"
    mark = "squares.py"
    summary = "one readable PyTorch file; graphs run by PyTorch, operation by operation, on the CPU or on CUDA"

    def lower(self, graph: Graph, options: Options) -> Graph:
        """The graph as it is. Raises ``ProblemError`` where an operation has no spelling in torch."""
        from dotnn_torch.execute import known

        return known(graph)

    def start(self, artefact: Graph, options: Options) -> TorchExecutor:
        """Raises ``ProblemError`` where torch or the device is not there."""
        from dotnn_torch.execute import start

        return start(artefact, options)

    def versions(self) -> dict[str, str]:
        from dotnn_torch.execute import torch_module

        return {"torch": str(torch_module().__version__)}

    def write(self, program: Program, source: str, folder: Path, options: Options) -> Sequence[Path]:
        """The script alone. It reads its rows from files beside it, which ``export`` writes too."""
        from dotnn_torch.script.write import write

        return write(program, source, folder, None)

    def export(
        self, program: Program, source: str, folder: Path, options: Options, splits: Mapping[str, Arrays]
    ) -> Sequence[Path]:
        """The script, and the rows of each split beside it as NumPy files."""
        from dotnn_torch.script.write import write

        return write(program, source, folder, splits)


@hook
def dotnn_backends() -> Sequence[Backend]:
    return (TorchBackend(),)
