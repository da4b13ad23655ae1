"""Running one graph again and again, with what it hands on to itself left where it lies.

A cache of which one place is written is one buffer, read and written in one run: nothing of it is copied. The runtime
does not know that they are one, so it is done only where nothing else reads the old one. All else that is handed on has
two buffers that take turns, as a training state has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dotnn.arrays import Array
from dotnn.feeds import NUMPY, agree, require
from dotnn.graph import Graph, measure, names_in
from dotnn.plugins import Arrays
from dotnn_onnx.denormals import flushing
from dotnn_onnx.session import Executor, contiguous, spoken

if TYPE_CHECKING:
    import onnxruntime as ort


def written_in_place(graph: Graph) -> frozenset[str]:
    """The inputs `NAME` that only `NAME.next` reads, which is that with one place overwritten."""
    made = {node.name: node for node in graph.nodes}
    handed = {output.name: made.get(output.value) for output in graph.outputs}
    found = set[str]()
    for fed in graph.inputs:
        readers = [node for node in graph.nodes for name in node.inputs if name == fed.name]
        own = handed.get(f"{fed.name}.next")
        if own is not None and own.op == "overwrite" and own.inputs[0] == fed.name and readers == [own]:
            found.add(fed.name)
    return frozenset(found)


class KeptRun:
    """What a graph hands on stays in buffers of the runtime; a step feeds only what is new."""

    def __init__(self, executor: Executor, given: Arrays, held: Mapping[str, ort.OrtValue]) -> None:
        """given: the first value of what is handed on, and what is the same in each step; held: more of that, where it
        lies. What is left out is fed in each step. Raises ``ProblemError`` where sizes disagree."""
        self._executor = executor
        graph = self._graph = executor.graph
        self._sizes: dict[str, int] = {}
        self._still = {name: value for name, value in held.items() if name not in given}
        self._sets: tuple[dict[str, ort.OrtValue], dict[str, ort.OrtValue]] = ({}, {})
        self._turn = 0
        in_place = written_in_place(graph) if executor.device == "cpu" else frozenset()
        outputs = {output.name for output in graph.outputs}
        for fed in graph.inputs:
            if fed.name not in given:
                continue
            array = contiguous(given[fed.name], fed.type)
            agree(fed.name, fed.type, array.shape, self._sizes)
            own = self._buffer(array)
            if f"{fed.name}.next" not in outputs:
                self._still[fed.name] = own
                continue
            self._sets[0][fed.name] = own
            self._sets[1][fed.name] = own if fed.name in in_place else self._buffer(array)
        self._new = [fed for fed in graph.inputs if fed.name not in {**self._still, **self._sets[0]}]
        self._rows = [fed.name for fed in graph.inputs if fed.type.dims[:1] and names_in(fed.type.dims[0])]
        self._results: dict[str, Array] = {}
        self._bindings: list[ort.IOBinding] = []
        self._run = flushing.around(executor.session._sess.run_with_iobinding)

    def step(self, feeds: Arrays) -> dict[str, Array]:
        """One run; what is handed on moves on. Returns the other outputs."""
        require(self._graph.name, self._new, feeds)
        kept = {fed.name: contiguous(feeds[fed.name], fed.type) for fed in self._new}  # read where they lie
        if not self._bindings:
            self._begin(kept)
        binding = self._bindings[self._turn]._iobinding
        for name, array in kept.items():
            binding.bind_input(name, array)
        with spoken(self._graph), self._executor.giving_up():
            self._run(binding, self._executor.options)
        self._turn = 1 - self._turn
        return {name: array.copy() for name, array in self._results.items()}

    def _begin(self, feeds: Arrays) -> None:
        """Room for the results, whose sizes are known by now."""
        for fed in self._new:
            agree(fed.name, fed.type, feeds[fed.name].shape, self._sizes)
        types = self._graph.types()
        handed = {f"{name}.next" for name in self._sets[0]}
        for output in self._graph.outputs:
            if output.name not in handed:
                made = types[output.value]
                self._results[output.name] = np.zeros([measure(d, self._sizes) for d in made.dims], NUMPY[made.dtype])
        first, second = self._sets
        self._bindings = [self._bound(first, second), self._bound(second, first)]

    def reorder(self, rows: Array) -> None:
        """Row r goes on as row ``rows[r]``."""
        moved = np.flatnonzero(rows != np.arange(len(rows)))
        if not moved.size:
            return
        here = {**self._still, **self._sets[self._turn]}
        for name in self._rows:
            if name not in here:
                continue
            array = here[name].numpy()
            if self._executor.device == "cpu":
                array[moved] = array[rows[moved]]
            else:
                here[name].update_inplace(array[rows])

    def _buffer(self, array: Array) -> ort.OrtValue:
        import onnxruntime as ort

        made = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, self._executor.device, 0)
        made.update_inplace(array)
        return made

    def _bound(self, read: Mapping[str, ort.OrtValue], write: Mapping[str, ort.OrtValue]) -> ort.IOBinding:
        import onnxruntime as ort

        binding = self._executor.session.io_binding()
        for name, value in {**self._still, **read}.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in write.items():
            binding.bind_ortvalue_output(f"{name}.next", value)
        for name, array in self._results.items():
            binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
        return binding
