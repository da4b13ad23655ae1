"""The door: what a backend is, and how one comes in. Built-ins come in by the same hooks as strangers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pluggy
from pydantic import BaseModel, ConfigDict

from dotnn.graph import Graph
from dotnn.program import Program
from dotnn_grammar.problems import Problem, perhaps

if TYPE_CHECKING:
    from dotnn.training.loop import Observer

GROUP = "dotnn"
"""The entry-point group of plugins."""

BUILT_IN = (
    "dotnn_onnx.plugin",
    "dotnn_reference.plugin",
    "dotnn_torch.plugin",
    "dotnn_training_info.plugin",
    "dotnn.training.loggers",
)

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


class Interrupted(Exception):
    """A run of a graph was given up because ``Interruptible.interrupt`` asked for it; the state is as it was before."""


@runtime_checkable
class Interruptible(Protocol):
    """An executor or a session whose run can be given up from another thread may offer this too."""

    def interrupt(self, wanted: bool = True) -> None:
        """Lets the run under way, and those to come, end with ``Interrupted``; with False runs go on as usual."""


@runtime_checkable
class Former(Protocol):
    """A session that still has the state from before the last step may offer this too."""

    def former(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of every state tensor as it was before the last step."""


@runtime_checkable
class Inspecting(Protocol):
    """A backend that can compute every single value of a graph may offer this too: it finds where numbers run away."""

    def values(self, graph: Graph, feeds: Arrays) -> Mapping[str, np.ndarray[Any, Any]]:
        """Every value of the graph by its name, inputs included."""


@runtime_checkable
class Versioned(Protocol):
    """A backend that rests on another library may offer this too: another version may compute other bits."""

    def versions(self) -> dict[str, str]:
        """The version of each library that has a say in the numbers, by name."""


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


class Logger(Protocol):
    """Writes down how training goes, in a form of its own."""

    name: str
    summary: str

    def open(self, folder: Path, program: Program) -> Observer:
        """Begins to write in the folder of a run (a run that goes on opens it again: ``Start.at`` says from where).

        Raises ``ProblemError`` where something that it needs is not installed.
        """


class Hooks:
    """What a plugin may offer."""

    @_specification
    def dotnn_backends(self) -> Sequence[Backend]:
        """Backends by which graphs are lowered and run."""
        return ()

    @_specification
    def dotnn_loggers(self) -> Sequence[Logger]:
        """What may be asked for with `nn train --log NAME`."""
        return ()


class NoSuchBackend(Problem):
    code = "P001"
    title = "there is no backend called `{name}`"
    help = "{near}"
    name: str
    near: str


class NoSuchLogger(Problem):
    code = "P002"
    title = "there is no logger called `{name}`"
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


def loggers() -> dict[str, Logger]:
    """Every logger by its name."""
    return {logger.name: logger for offered in manager().hook.dotnn_loggers() for logger in offered}


def logger(name: str) -> Logger:
    """The logger of that name. Raises ``ProblemError`` where there is none."""
    known = loggers()
    if name not in known:
        raise NoSuchLogger(name=name, near=perhaps(name, known, f"there are: {', '.join(known)}")).error()
    return known[name]
