"""Running on onnxruntime: one graph at a time, or training with the state in two sets of buffers that take turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dotnn.arrays import Array
from dotnn.feeds import NUMPY, agree, require
from dotnn.graph import At, Graph, Input, Output, Type, names_in
from dotnn.operation import lookup
from dotnn.plugins import Arrays, Interrupted, Options
from dotnn.plugins import Session as AnySession
from dotnn.training.files import amount
from dotnn_grammar.problems import Note, Problem
from dotnn_grammar.source import Span
from dotnn_onnx import device as devices
from dotnn_onnx.denormals import flushing

if TYPE_CHECKING:
    import onnxruntime as ort

    from dotnn_onnx.keep import KeptRun


@dataclass(frozen=True)
class Lowered:
    """A graph and the ONNX file that it became."""

    graph: Graph
    model: bytes
    inside: frozenset[str] = frozenset()
    """Inputs of the graph that the file has as numbers."""

    @property
    def fed(self) -> Graph:
        """The graph with the inputs that are still fed."""
        inputs = tuple(fed for fed in self.graph.inputs if fed.name not in self.inside)
        return self.graph.model_copy(update={"inputs": inputs}) if self.inside else self.graph


class RunFailed(Problem):
    code = "X004"
    title = "onnxruntime stopped in the graph `{graph}`{where}"
    help = "it says: {said}"
    graph: str
    where: str
    said: str


class NoMemory(Problem):
    code = "X009"
    title = "there is not enough memory for the graph `{graph}`{where}"
    label = "computed here"
    help = "{needed}a smaller batch, or a smaller net, needs less"
    graph: str
    where: str
    needed: str


_NODE = re.compile(r"[Nn]ame:'(?:fused )?(?P<file>[^':]+):(?P<line>\d+)(?: (?P<part>[^']*?))? (?P<op>\w+)\.\w+#\d+")
_SIGNATURE = re.compile(r"^\S+\.(?:cc|h|cpp|cu):\d+ .*?\) (?:const )?(?:\[with .*?\] )?")
"""What onnxruntime writes before its message: a file of its sources and the name of a function."""


@contextmanager
def spoken(graph: Graph) -> Iterator[None]:
    """Turns an error of onnxruntime into a problem with the line of the spec that it came from."""
    try:
        yield
    except Interrupted:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        raise _problem(graph, error).error() from error
    except Exception as error:
        if "onnxruntime" not in type(error).__module__:
            raise
        raise _problem(graph, error).error() from error


_MEMORY = re.compile(
    r"[Ff]ailed to allocate memory(?: for requested buffer of size (?P<size>\d+))?|std::bad_alloc|bad_alloc"
)


def _problem(graph: Graph, error: Exception) -> Problem:
    whole = " ".join(str(error).split())
    said = _SIGNATURE.sub("", whole.rpartition("Status Message: ")[2])
    found = _NODE.search(whole)
    memory = _MEMORY.search(whole)
    span, where = None, ""
    if found is not None:
        span = _words(graph, found["file"], int(found["line"]), found["part"] or "", found["op"])
        where = f", at `{found['op']}`" + (f" of {found['part']}" if found["part"] else "")
    if memory is not None:
        size = f"it asked for {amount(int(memory['size']))} at once; " if memory["size"] else ""
        return NoMemory(span=span, graph=graph.name, where=where, needed=size)
    notes = (Note(span=span, text=whole),) if span else ()
    return RunFailed(span=span, graph=graph.name, where=where, said=said, notes=notes)


def _words(graph: Graph, file: str, line: int, part: str, op: str) -> Span:
    """The words that an operation of the graph came from; their line where several of them fit."""
    all_at = [node.at for node in graph.nodes if node.op == op and node.at is not None]
    spans = {at.span for at in all_at if (at.file, at.line, at.part) == (file, line, part)}
    return spans.pop() if len(spans) == 1 else At(file=file, line=line).span


def start(artefact: Lowered, options: Options) -> Executor:
    """A session for the graph. Raises ``ProblemError`` where the device is missing or the runtime refuses the graph."""
    import onnxruntime as ort

    device = devices.choose(options.device)
    with spoken(artefact.graph):
        chosen, providers = _options(artefact.graph, options), devices.providers(device)
        session = flushing.make(lambda: ort.InferenceSession(artefact.model, chosen, providers))
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        missing = devices.NoCuda(
            why="the CUDA libraries do not load", advice="install them: `pip install 'onnxruntime-gpu[cuda,cudnn]'`"
        )
        if options.device != "auto":
            raise missing.error()
        device = "cpu"
    return Executor(artefact.fed, session, device, options.threads or threads_for(artefact.graph))


def _options(graph: Graph, options: Options) -> ort.SessionOptions:
    import onnxruntime as ort

    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4  # errors come back as exceptions, and are told in our words
    chosen.intra_op_num_threads = options.threads or threads_for(graph)
    chosen.inter_op_num_threads = 1
    # As written: each weight's update follows its gradient at once, which halves the memory of a deep net.
    chosen.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    chosen.add_session_config_entry("session.set_denormal_as_zero", "1")
    chosen.add_session_config_entry("session.intra_op.spin_duration_us", str(SPINNING))
    return chosen


SPINNING = 20
"""Microseconds that a thread waits awake for its next piece of work: waking it takes as long. For longer it would take
the time of others: waiting awake for milliseconds, onnxruntime's own choice, halves the speed of a busy machine."""

SMALL = 100_000
"""Numbers computed for one row by the greatest operation: below, handing work over costs more than it saves."""


def threads_for(graph: Graph) -> int:
    """How many threads a graph is worth: one, where each operation is done before a second would have begun."""
    types = graph.types()
    greatest = max((lookup(n.op).work(n.type, *(types[x] for x in n.inputs)) for n in graph.nodes), default=0)
    return 1 if greatest < SMALL else devices.cores()


class Executor:
    """One graph, ready to run. ``device`` is where: `cpu` or `cuda`; ``threads`` how many it takes."""

    def __init__(self, graph: Graph, session: ort.InferenceSession, device: str, threads: int | None = None) -> None:
        import onnxruntime as ort

        self.graph = graph
        self.session = session
        self.device = device
        self.threads = threads
        self.options = ort.RunOptions()
        self._outputs = [output.name for output in graph.outputs]

    def run(self, feeds: Arrays, session: AnySession | None = None) -> dict[str, Array]:
        """Every output for these inputs, as arrays of their own; states come from ``session`` where one is given."""
        import onnxruntime as ort

        held = session.current if isinstance(session, TrainSession) else {}
        if session is not None and not isinstance(session, TrainSession):
            feeds = {**session.state(), **feeds}
        values: dict[str, ort.OrtValue] = {}
        kept: list[Array] = []  # onnxruntime reads these where they lie
        for fed in self.graph.inputs:
            if fed.name in feeds:
                kept.append(contiguous(feeds[fed.name], fed.type))
                values[fed.name] = ort.OrtValue.ortvalue_from_numpy(kept[-1])
            elif fed.name in held:
                values[fed.name] = held[fed.name]
        require(self.graph.name, self.graph.inputs, values)
        with spoken(self.graph):
            with self.giving_up(), flushing():
                made = self.session.run_with_ort_values(self._outputs, values, self.options)
            # A view of a runtime's buffer does not keep it alive: copy.
            return {name: value.numpy().copy() for name, value in zip(self._outputs, made, strict=True)}

    def keep(self, given: Arrays, session: AnySession | None = None) -> KeptRun:
        """Runs again and again from here, with what is handed on left where it lies."""
        from dotnn_onnx.keep import KeptRun

        names = {fed.name for fed in self.graph.inputs}
        held = session.current if isinstance(session, TrainSession) else {}
        if session is not None and not isinstance(session, TrainSession):
            given = {**session.state(), **given}
        here = {name: array for name, array in given.items() if name in names}
        return KeptRun(self, here, {name: value for name, value in held.items() if name in names})

    def train(self, state: Arrays) -> TrainSession:
        """Starts training from this state."""
        return TrainSession(self, state)

    def interrupt(self, wanted: bool = True) -> None:
        """Lets runs, the one under way in another thread too, end with ``Interrupted``; False: no longer."""
        self.options.terminate = wanted

    @contextmanager
    def giving_up(self) -> Iterator[None]:
        """An error that comes of ``interrupt`` is ``Interrupted``."""
        try:
            yield
        except Exception:
            if self.options.terminate:
                raise Interrupted from None
            raise


def contiguous(value: Any, type: Type) -> Array:
    """The array as the runtime reads it, itself where it is so already."""
    wanted = NUMPY[type.dtype]
    if isinstance(value, np.ndarray) and value.dtype == wanted and value.flags.c_contiguous:
        return value
    return np.ascontiguousarray(value, dtype=wanted).reshape(np.shape(value))


class TrainSession:
    """Training under way: one run reads one set of state buffers and writes the other; then they change places.

    The same buffer is never read and written in one run: the runtime does not know that they are one.
    """

    def __init__(self, executor: Executor, state: Arrays) -> None:
        self._executor = executor
        self._options = executor.options
        graph = self._graph = executor.graph
        pairs = list(graph.states())
        self._states: list[Input] = [fed for fed, _ in pairs]
        moving = {fed.name for fed in self._states}
        self._still = [fed for fed in graph.inputs if fed.role == "state" and fed.name not in moving]
        self._batch = [fed for fed in graph.inputs if fed.role != "state"]
        after = {output.name for _, output in pairs}
        self._results = [output for output in graph.outputs if output.name not in after]
        self._turn = 0
        self._bare: Callable[..., None] = executor.session._sess.run_with_iobinding
        self._run = self._flushed = flushing.around(self._bare)
        self._sets = [self._buffers(), self._buffers()]
        self._fixed = {fed.name: self._buffer(fed.type) for fed in self._still}
        types = graph.types()
        self._scalars, self._loose = _split(self._results, types)
        self._arrays = {
            o.name: np.zeros([int(d) for d in types[o.value].dims], NUMPY[types[o.value].dtype]) for o in self._scalars
        }
        self._bindings = [self._bound(read=self._sets[i], write=self._sets[1 - i]) for i in (0, 1)]
        self._inner = [binding._iobinding for binding in self._bindings]
        self.load(state)

    @property
    def device(self) -> str:
        return self._executor.device

    @property
    def current(self) -> dict[str, ort.OrtValue]:
        """The state as it stands, where it lies. Changes with each step: for reading at once."""
        return {**self._sets[self._turn], **self._fixed}

    def step(self, batch: Arrays) -> Arrays:
        """One run of the graph; the state moves on. The results are valid until the next step."""
        binding = self._inner[self._turn]
        kept: list[Array] = []  # onnxruntime reads these where they lie, until the run is over
        for fed in self._batch:
            if fed.name not in batch:
                require(self._graph.name, self._batch, batch)
            array = contiguous(batch[fed.name], fed.type)
            kept.append(array)
            binding.bind_input(fed.name, array)
        for output in self._loose:
            self._bindings[self._turn].bind_output(output.name, "cpu")
        try:
            self._run(binding, self._options)
        except Exception as error:
            if self._options.terminate:
                raise Interrupted from None  # the set that was read is whole, and stays the current one
            raise _problem(self._graph, error).error() from error
        made = self._arrays if not self._loose else {**self._arrays, **self._gathered()}
        self._turn = 1 - self._turn
        return made

    @contextmanager
    def steady(self) -> Iterator[None]:
        """For many steps in this thread: its arithmetic is changed and put back once, which is not for free."""
        with flushing():
            self._run = self._bare
            try:
                yield
            finally:
                self._run = self._flushed

    def state(self) -> dict[str, Array]:
        """A copy of every state tensor, in the order of the graph's inputs."""
        held = self.current
        return {fed.name: held[fed.name].numpy().copy() for fed in self._graph.inputs if fed.role == "state"}

    def former(self) -> dict[str, Array]:
        """A copy of every state tensor as it was before the last step: the set that this step has read."""
        held = {**self._sets[1 - self._turn], **self._fixed}
        return {fed.name: held[fed.name].numpy().copy() for fed in self._graph.inputs if fed.role == "state"}

    def interrupt(self, wanted: bool = True) -> None:
        """Lets steps, the one under way in another thread too, end with ``Interrupted``; False: no longer."""
        self._executor.interrupt(wanted)

    def load(self, state: Arrays) -> None:
        """Puts these tensors in the place of the state. Raises ``ProblemError`` where one is missing."""
        held, wanted = self.current, (*self._states, *self._still)
        require(self._graph.name, wanted, state)
        with spoken(self._graph):
            for fed in wanted:
                array = contiguous(state[fed.name], fed.type)
                agree(fed.name, fed.type, array.shape, {})
                held[fed.name].update_inplace(array)

    def _gathered(self) -> dict[str, Array]:
        binding = self._bindings[self._turn]
        names = [o.name for o in self._graph.outputs]
        values = binding.get_outputs()
        order = [*(f"{fed.name}.next" for fed in self._states), *(o.name for o in self._scalars)]
        order += [o.name for o in self._loose]
        assert len(order) == len(names)
        found = dict(zip(order, values, strict=True))
        return {o.name: found[o.name].numpy().copy() for o in self._loose}

    def _buffer(self, type: Type) -> ort.OrtValue:
        import onnxruntime as ort

        if any(names_in(d) for d in type.dims):
            raise ValueError(f"a state's sizes must be known: {type}")
        shape = [int(d) for d in type.dims]
        return cast("ort.OrtValue", ort.OrtValue.ortvalue_from_shape_and_type(shape, NUMPY[type.dtype], self.device, 0))

    def _buffers(self) -> dict[str, ort.OrtValue]:
        return {fed.name: self._buffer(fed.type) for fed in self._states}

    def _bound(self, read: dict[str, ort.OrtValue], write: dict[str, ort.OrtValue]) -> ort.IOBinding:
        import onnxruntime as ort

        binding = self._executor.session.io_binding()
        for name, value in {**read, **self._fixed}.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in write.items():
            binding.bind_ortvalue_output(f"{name}.next", value)
        for name, array in self._arrays.items():
            binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
        for output in self._loose:
            binding.bind_output(output.name, "cpu")
        return binding


def _split(results: list[Output], types: dict[str, Type]) -> tuple[list[Output], list[Output]]:
    """Results whose sizes are known, to be written into arrays of ours, and the others."""
    known = [o for o in results if not any(names_in(d) for d in types[o.value].dims)]
    return known, [o for o in results if o not in known]
