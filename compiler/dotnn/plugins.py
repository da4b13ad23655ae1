"""The door: what a backend is, and how one comes in. Built-ins come in by the same hooks as strangers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pluggy
from pydantic import BaseModel, ConfigDict

from dotnn.graph import Graph
from dotnn.program import Program
from dotnn_grammar.problems import Problem, perhaps

GROUP = "dotnn"
"""The entry-point group of plugins."""

BUILT_IN = ("dotnn_onnx.plugin", "dotnn_reference.plugin")

hook = pluggy.HookimplMarker(GROUP)
_specification = pluggy.HookspecMarker(GROUP)

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Options(BaseModel):
    """What may be asked of a backend."""

    model_config = ConfigDict(frozen=True)

    target: str = "portable"
    """`portable`, `cpu` or `cuda`; `device`: that of the device which is chosen."""
    device: str = "cpu"
    threads: int | None = None
    """None: as many as the machine has."""
    float64: bool = False
    """Reals in double precision, where the backend can (the reference can)."""


class Session(Protocol):
    """Training under way: the state lives with the backend, in two sets of buffers that take turns."""

    def step(self, batch: Arrays) -> Arrays:
        """One run of the train graph on a batch; the state moves on. Returns the outputs that are not state: scalars,
        valid until the next step."""

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of every state tensor."""

    def load(self, state: Arrays) -> None:
        """Puts these tensors in the place of the state."""


class Executor(Protocol):
    """One graph, ready to run."""

    def run(self, feeds: Arrays, session: Session | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """Every output for these inputs, as arrays of their own. State inputs come from ``session`` where one is
        given."""

    def train(self, state: Arrays) -> Session:
        """Starts training from this state (of a graph with `NAME` and `NAME.next`)."""


class Backend(Protocol):
    """Turns graphs into something that runs."""

    name: str
    summary: str

    def lower(self, graph: Graph, options: Options) -> Any:
        """The graph in the backend's own form."""

    def start(self, artefact: Any, options: Options) -> Executor:
        """Raises ``ProblemError`` where the device is not there."""

    def write(self, program: Program, source: str, folder: Path, options: Options) -> Sequence[Path]:
        """The whole program as files in ``folder`` (which exists), the same bytes each time. Returns the paths.
        ``source`` is the text of the spec. Raises ``ProblemError`` where the backend writes no files."""


@runtime_checkable
class Baker(Protocol):
    """A backend that can put weights inside a net may offer this too."""

    def bake(self, program: Program, state: Arrays, options: Options) -> bytes:
        """The net with its weights inside, as one file (`predict.onnx` of a run): its inputs -> its outputs."""


@runtime_checkable
class Hosting(Protocol):
    """A backend whose bundles can come with a training loop in another language may offer this too."""

    def host(self, program: Program, language: str) -> tuple[str, str]:
        """The name and the text of the script that trains the bundle beside it."""

    def write(
        self,
        program: Program,
        source: str,
        folder: Path,
        options: Options,
        host: str | None = None,
        arrays: Arrays | None = None,
    ) -> Sequence[Path]:
        """As every backend; with ``host`` that script too, and ``arrays``, the training rows, for it to read."""


class Hooks:
    """What a plugin may offer."""

    @_specification
    def dotnn_backends(self) -> Sequence[Backend]:
        """Backends by which graphs are lowered and run."""
        return ()


class NoSuchBackend(Problem):
    code = "P001"
    title = "there is no backend called `{name}`"
    help = "{near}"
    name: str
    near: str


@cache
def manager() -> pluggy.PluginManager:
    """Every plugin, built-ins first."""
    plugins = pluggy.PluginManager(GROUP)
    plugins.add_hookspecs(Hooks)
    for name in BUILT_IN:
        plugins.register(importlib.import_module(name), name)
    plugins.load_setuptools_entrypoints(GROUP)
    plugins.check_pending()
    return plugins


def backends() -> dict[str, Backend]:
    """Every backend by its name."""
    return {backend.name: backend for offered in manager().hook.dotnn_backends() for backend in offered}


def backend(name: str) -> Backend:
    """The backend of that name. Raises ``ProblemError`` where there is none."""
    known = backends()
    if name not in known:
        raise NoSuchBackend(name=name, near=perhaps(name, known, f"there are: {', '.join(known)}")).error()
    return known[name]
