"""Running what a TrainingInfoProto says with ONNX's own evaluator: slow, and nothing but the file is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from onnx.reference import ReferenceEvaluator

import onnx
from dotnn.arrays import Array
from dotnn.feeds import NotGiven
from dotnn.graph import Graph
from dotnn.plugins import Arrays, Session
from dotnn_grammar.problems import Problem
from dotnn_onnx.writer import numpy_dtype
from dotnn_training_info.evaluator import evaluator_of
from dotnn_training_info.model import alone, assemble, combined, like
from onnx import numpy_helper


class Stopped(Problem):
    code = "N001"
    title = "ONNX's evaluator stopped in the graph `{graph}`"
    help = "it says: {said}"
    graph: str
    said: str


class Trainer:
    """A model with its TrainingInfoProto, run as onnx.proto says. The mutable variables live here."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._net = evaluator_of(model)
        self._steps = [(info, evaluator_of(combined(model, info))) for info in model.training_info]
        self.variables: dict[str, Array] = {}
        self.reset()

    def reset(self) -> None:
        """Every variable as the file has it."""
        held = [*self.model.graph.initializer, *(t for i in self.model.training_info for t in i.algorithm.initializer)]
        bound = {
            pair.key
            for info in self.model.training_info
            for pair in (*info.initialization_binding, *info.update_binding)
        }
        self.variables = {tensor.name: numpy_helper.to_array(tensor) for tensor in held if tensor.name in bound}

    def initialise(self) -> None:
        """Training begins: every variable as its initialization makes it."""
        self.reset()
        for info in self.model.training_info:
            if info.initialization.node or info.initialization.initializer:
                evaluator = evaluator_of(like(self.model, info.initialization))
                made = evaluate(evaluator, info.initialization, {})
                self.variables |= {pair.key: made[pair.value] for pair in info.initialization_binding}

    def infer(self, feeds: Arrays) -> dict[str, Array]:
        """The results of the net."""
        return evaluate(self._net, self.model.graph, {**self.variables, **feeds})

    def step(self, feeds: Arrays) -> dict[str, Array]:
        """One training step; the variables move on. Returns every result of the algorithms."""
        results: dict[str, Array] = {}
        for info, evaluator in self._steps:
            made = evaluate(evaluator, info.algorithm, {**self.variables, **feeds})
            self.variables |= {pair.key: made[pair.value] for pair in info.update_binding}
            results |= made
        return results


def evaluate(evaluator: ReferenceEvaluator, graph: onnx.GraphProto, feeds: Arrays) -> dict[str, Array]:
    """The results of ``graph``. Raises ``ProblemError`` where something is not fed, or cannot be computed."""
    missing = [f"`{name}`" for name in evaluator.input_names if name not in feeds]
    if missing:
        raise NotGiven(graph=graph.name, names=", ".join(missing)).error()
    names = [output.name for output in graph.output]
    with _spoken(graph.name), np.errstate(all="ignore"):
        made = evaluator.run(names, dict(feeds))
    return {name: np.array(value) for name, value in zip(names, made, strict=True)}


@contextmanager
def _spoken(graph: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Stopped(graph=graph, said=" ".join(str(error).split())[:400]).error() from error


# ---- the backend's own door: one graph at a time


@dataclass(frozen=True)
class Lowered:
    """A graph and the model that it became: an algorithm where it has states that move on, else an inference graph."""

    graph: Graph
    model: onnx.ModelProto


def lower(graph: Graph) -> Lowered:
    """A graph as this backend runs it: one with states as a training step without a net, any other by itself."""
    if not any(graph.states()):
        return Lowered(graph, alone(graph))
    nothing = Graph(name=f"{graph.name}_net", inputs=(), nodes=(), outputs=())
    return Lowered(graph, assemble(nothing, graph))


class Executor:
    """Satisfies ``dotnn.plugins.Executor``."""

    def __init__(self, artefact: Lowered) -> None:
        self.artefact = artefact
        self._graph = artefact.graph
        model = artefact.model
        whole = combined(model, model.training_info[0]) if model.training_info else model
        self._evaluator = evaluator_of(whole)
        self._made = whole.graph

    def run(self, feeds: Arrays, session: Session | None = None) -> dict[str, Array]:
        held = session.state() if session is not None else {}
        return evaluate(self._evaluator, self._made, typed(self._graph, {**held, **feeds}))

    def train(self, state: Arrays) -> TrainSession:
        return TrainSession(self.artefact, state)


class TrainSession:
    """Satisfies ``dotnn.plugins.Session``: the variables of the model are the state."""

    def __init__(self, artefact: Lowered, state: Arrays) -> None:
        self._graph = artefact.graph
        self._trainer = Trainer(artefact.model)
        self._former: dict[str, Array] = {}
        self._bound = {after.name for _, after in artefact.graph.states()}
        self.load(state)
        self._former = self.state()

    def step(self, batch: Arrays) -> Arrays:
        self._former = self.state()
        made = self._trainer.step(typed(self._graph, batch))
        return {name: value for name, value in made.items() if name not in self._bound}

    def state(self) -> dict[str, Array]:
        return {name: value.copy() for name, value in self._trainer.variables.items()}

    def former(self) -> dict[str, Array]:
        """The state as it was before the last step."""
        return dict(self._former)

    def load(self, state: Arrays) -> None:
        missing = [f"`{name}`" for name in self._trainer.variables if name not in state]
        if missing:
            raise NotGiven(graph=self._graph.name, names=", ".join(missing)).error()
        wanted = {name: state[name] for name in self._trainer.variables}
        self._trainer.variables = {name: array.copy() for name, array in typed(self._graph, wanted).items()}


def typed(graph: Graph, feeds: Arrays) -> dict[str, Array]:
    """What is fed for the graph's inputs, each in the type that the graph has for it."""
    return {i.name: np.asarray(feeds[i.name], numpy_dtype(i.type.dtype)) for i in graph.inputs if i.name in feeds}
