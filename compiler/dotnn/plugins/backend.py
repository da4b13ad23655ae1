"""What a backend is, and what more it may offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from dotnn.graph import Graph
    from dotnn.program import Program

Arrays: TypeAlias = "Mapping[str, np.ndarray[Any, Any]]"


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


class Kept(Protocol):
    """A graph that is run again and again, with what it hands on (`NAME.next`) fed to itself (`NAME`)."""

    def step(self, feeds: Arrays) -> Arrays:
        """One run. feeds: the inputs that are new each time. Returns the outputs that are not handed on."""

    def reorder(self, rows: np.ndarray[Any, Any]) -> None:
        """Of all that is kept and has a row for each of the batch: row r goes on as row ``rows[r]``, i64[b]."""


@runtime_checkable
class Keeping(Protocol):
    """An executor that can leave what a graph hands on where it lies may offer this too: `nn generate` is quicker."""

    def keep(self, given: Arrays, session: Session | None = None) -> Kept:
        """Ready to run again and again. given: the first value of what is handed on, and what never changes; states
        come from ``session`` where one is given."""


@runtime_checkable
class Former(Protocol):
    """A session that still has the state from before the last step may offer this too."""

    def former(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of every state tensor as it was before the last step."""


@runtime_checkable
class Steady(Protocol):
    """A session for which many steps on end cost less when it is told of them may offer this too."""

    def steady(self) -> AbstractContextManager[None]:
        """Within it, steps are made by this thread alone."""


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

    def bake(self, program: Program, state: Arrays, options: Options, graph: str = "predict") -> bytes:
        """The net with its weights inside, as one file (`predict.onnx` of a run): its inputs -> its outputs.
        ``graph``: another of the program's graphs."""


@runtime_checkable
class Holding(Protocol):
    """A backend for which weights that never change are less work than weights that are fed may offer this too."""

    def hold(self, graph: Graph, state: Arrays, options: Options) -> Any:
        """As ``lower``, with these inputs as numbers inside, which are no longer fed."""


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


@runtime_checkable
class Exporting(Protocol):
    """A backend whose files hold the rows too, so that they need nothing else, may offer this."""

    mark: str
    """A file that every folder of its files has: such a folder may be written again."""

    def export(
        self, program: Program, source: str, folder: Path, options: Options, splits: Mapping[str, Arrays]
    ) -> Sequence[Path]:
        """As ``write``, with the rows of each split by its name: an array for each raw column."""
