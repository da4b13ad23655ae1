"""The backend: a graph is run as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.feeds import require
from dotnn.graph import Graph
from dotnn.plugins import Arrays, Options, Session
from dotnn.program import Program
from dotnn_reference.evaluate import evaluate, values
from dotnn_reference.problems import WritesNothing


class ReferenceBackend:
    """Satisfies ``dotnn.plugins.Backend``."""

    name: str = "reference"
    summary: str = "the graph operation by operation in NumPy: slow, obvious, the judge of the others"

    def lower(self, graph: Graph, options: Options) -> Graph:
        return graph

    def start(self, artefact: Graph, options: Options) -> ReferenceExecutor:
        return ReferenceExecutor(artefact, options.float64)

    def values(self, graph: Graph, feeds: Arrays) -> Mapping[str, np.ndarray[Any, Any]]:
        return values(graph, feeds)

    def write(self, program: Program, source: str, folder: Path, options: Options) -> Sequence[Path]:
        raise WritesNothing().error()


@dataclass(frozen=True)
class ReferenceExecutor:
    """Satisfies ``dotnn.plugins.Executor``."""

    graph: Graph
    float64: bool = False

    def run(self, feeds: Arrays, session: Session | None = None) -> dict[str, np.ndarray[Any, Any]]:
        state = session.state() if session is not None else {}
        return evaluate(self.graph, {**state, **feeds}, self.float64)

    def train(self, state: Arrays) -> ReferenceSession:
        session = ReferenceSession(self)
        session.load(state)
        return session


class ReferenceSession:
    """Satisfies ``dotnn.plugins.Session``."""

    def __init__(self, executor: ReferenceExecutor) -> None:
        self._executor = executor
        self._successors = {after.name: fed.name for fed, after in executor.graph.states()}
        self._wanted = [fed for fed in executor.graph.inputs if fed.role == "state"]
        self._state: dict[str, np.ndarray[Any, Any]] = {}
        self._former = self._state

    def step(self, batch: Arrays) -> Arrays:
        results = evaluate(self._executor.graph, {**self._state, **batch}, self._executor.float64)
        self._former = self._state
        self._state = self._state | {name: results.pop(after) for after, name in self._successors.items()}
        return results

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        return {name: tensor.copy() for name, tensor in self._state.items()}

    def former(self) -> dict[str, np.ndarray[Any, Any]]:
        return {name: tensor.copy() for name, tensor in self._former.items()}

    def load(self, state: Arrays) -> None:
        require(self._executor.graph.name, self._wanted, state)
        self._state = {fed.name: np.array(state[fed.name]) for fed in self._wanted}
