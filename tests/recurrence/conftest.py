"""A bench: a net written in a few lines, its result and its gradients, in double precision and as ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dotnn.scans.steps
from dotnn.differentiate import gradients
from dotnn.elaborate.calls import run
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine, PhaseName
from dotnn.elaborate.values import Known, Tensor
from dotnn.graph import Dim, Dtype, Graph, Type
from dotnn.plugins import Options, backend
from dotnn.read import read_definitions
from dotnn.simplify import simplify
from dotnn.tape import Tape
from dotnn_grammar.source import Source

Array = np.ndarray[Any, Any]
DTYPES: dict[str, Dtype] = {"f": "f32", "i": "i64", "b": "bool"}


@dataclass(frozen=True)
class Built:
    graph: Graph
    weights: tuple[str, ...]

    def run(self, feeds: Mapping[str, Array], name: str = "reference") -> dict[str, Array]:
        """In double precision by the reference; simplified and in single precision by another."""
        options = Options(float64=name == "reference")
        graph = self.graph if name == "reference" else simplify(self.graph)
        found = backend(name)
        real = np.float64 if name == "reference" else np.float32
        fed = {k: np.asarray(v, real) if np.asarray(v).dtype.kind == "f" else np.asarray(v) for k, v in feeds.items()}
        wanted = {one.name: fed[one.name] for one in graph.inputs}
        return dict(found.start(found.lower(graph, options), options).run(wanted))


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def unrolled(self, most: int) -> None:
        """Loops of up to so many steps are written out from now on."""
        self._patch.setattr(dotnn.scans.steps, "UNROLLED", most)

    def build(
        self, text: str, feeds: Mapping[str, Array], named: Mapping[str, Sequence[Dim]] = {}, phase: PhaseName = "train"
    ) -> Built:
        """The net `N`; ``named``: inputs whose sizes are known when the graph runs."""
        definitions = read_definitions(Source(name="spec.nn", text=text))
        net = next(d for d in definitions if d.word == "net")
        machine = Machine(Tape("bench"), phase, Library(definitions))
        frame = Frame(machine, USER, "")
        frame.dims.update({d: d for dims in named.values() for d in dims if isinstance(d, str)})
        inputs = []
        for parameter in net.inputs:
            array = np.asarray(feeds[parameter.name])
            dims = tuple(named.get(parameter.name, array.shape))
            value = machine.tape.input(parameter.name, Type(dtype=DTYPES[array.dtype.kind], dims=dims), "data")
            inputs.append(Tensor(value, (None,) * len(dims)))
        made = run(frame, Known(net, USER), {}, machine.instance("N", net, USER), [(None, t, net) for t in inputs], net)
        results = made if isinstance(made, tuple) else (made,)
        total = machine.tape.literal(0)
        for number, result in enumerate(results):
            machine.tape.output(f"result.{number}" if number else "result", result.value, "output")
            if result.value.type.is_float:
                total = total + (result.value * result.value * machine.tape.add("cos", result.value)).sum()
        by = {t.value.name: t.value for t in inputs if t.value.type.is_float}
        by |= {path: weight.value for path, weight in machine.weights.items()}
        for name, flow in zip(by, gradients(total, list(by.values())), strict=True):
            machine.tape.output(f"gradient {name}", flow, "output")
        return Built(machine.tape.graph(), tuple(machine.weights))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)
