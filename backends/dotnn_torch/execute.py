"""A graph run operation by operation with torch tensors. The gradient is part of the graph: autograd is not asked."""

from __future__ import annotations

import importlib
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from dotnn.feeds import agree, require, sized, solve
from dotnn.graph import Graph, Input, Node
from dotnn.plugins import Arrays, Options, Session, lowering
from dotnn_torch.problems import NoDevice, NoSpelling, NoTorch
from dotnn_torch.scan import Runs

Tensor = Any
SOURCES = ("literal", "array", "size", "iota", "scan")


def torch_module() -> types.ModuleType:
    """PyTorch. Raises ``ProblemError`` where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise NoTorch().error() from None


def known(graph: Graph) -> Graph:
    """The graph, all of whose operations are known. Raises ``ProblemError``."""
    torch_module()
    from dotnn_torch.formulas import FORMULAS

    for node in graph.nodes:
        if node.op not in FORMULAS and node.op not in SOURCES and lowering(node.op, "torch") is None:
            raise NoSpelling(op=node.op).error()
    return graph


def start(graph: Graph, options: Options) -> TorchExecutor:
    torch = torch_module()
    device = "cuda" if options.device in ("gpu", "cuda") else options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        way = ", or `cuda`" if torch.cuda.is_available() else ""
        raise NoDevice(device=options.device, way=way).error() from None
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return TorchExecutor(graph, device, options.float64)


class TorchExecutor:
    """Satisfies ``dotnn.plugins.Executor``."""

    def __init__(self, graph: Graph, device: str, float64: bool) -> None:
        self.graph, self.device, self.float64 = graph, device, float64
        self._last = _last_use(graph)

    def run(self, feeds: Arrays, session: Session | None = None) -> dict[str, np.ndarray[Any, Any]]:
        state: Mapping[str, Any] = {}
        if isinstance(session, TorchSession):
            state = session.tensors
        elif session is not None:
            state = session.state()
        return {name: self.array(name, tensor) for name, tensor in self.compute({**state, **feeds}).items()}

    def train(self, state: Arrays) -> TorchSession:
        session = TorchSession(self)
        session.load(state)
        return session

    def tensor(self, fed: Input, value: Any) -> Tensor:
        """What was given for an input, on the device and in its type."""
        torch = torch_module()
        if not isinstance(value, torch.Tensor):
            array = np.asarray(value)
            if array.dtype == np.uint64:
                array = array.view(np.int64)
            value = torch.from_numpy(np.array(array, copy=True))
        return value.to(self.device, self.dtype(fed.type.dtype))

    def dtype(self, name: str) -> Any:
        from dotnn_torch.formulas import DTYPES

        made = DTYPES[name]
        return DTYPES["f64"] if self.float64 and made.is_floating_point else made

    def array(self, name: str, tensor: Tensor) -> np.ndarray[Any, Any]:
        """An output as an array of its own."""
        values = tensor.detach().to("cpu")
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        made: np.ndarray[Any, Any] = np.array(values.numpy(), copy=True)
        words = self.graph.types()[self.graph.output(name).value].dtype == "u64"
        return made.view(np.uint64) if words else made

    def compute(self, feeds: Mapping[str, Any]) -> dict[str, Tensor]:
        """Every output for these inputs (arrays or tensors)."""
        torch = torch_module()
        require(self.graph.name, self.graph.inputs, feeds)
        found = {fed.name: self.tensor(fed, feeds[fed.name]) for fed in self.graph.inputs}
        shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
        sizes = solve({fed.name: fed.type for fed in self.graph.inputs}, shapes)
        runs = Runs(self._compute, lambda dims, dtype: torch.zeros(dims, dtype=self.dtype(dtype), device=self.device))
        with torch.no_grad():
            for node in self.graph.nodes:
                compute = runs.of if node.op == "scan" else self._compute
                found[node.name] = made = compute(node, [found[name] for name in node.inputs], sizes)
                agree(node.name, node.type, tuple(made.shape), sizes)  # one may be born here: the rows of a shuffle
                for name in self._last.get(node.name, ()):
                    del found[name]
        return {output.name: found[output.value] for output in self.graph.outputs}

    def _compute(self, node: Node, inputs: list[Tensor], sizes: Mapping[str, int]) -> Tensor:
        torch = torch_module()
        from dotnn_torch.formulas import FORMULAS

        facts = sized(node.name, node.attributes, sizes)
        dtype = self.dtype(node.type.dtype)
        match node.op:
            case "literal":
                return torch.tensor(facts["value"], dtype=dtype, device=self.device)
            case "array":
                return torch.tensor(facts["values"], dtype=dtype, device=self.device).reshape(facts["dims"])
            case "size":
                return torch.tensor(facts["dim"], dtype=dtype, device=self.device)
            case "iota":
                return torch.arange(facts["dim"], device=self.device)
            case "cast":
                return FORMULAS["cast"](inputs[0], dtype=dtype)
        made = (FORMULAS.get(node.op) or lowering(node.op, "torch"))(*inputs, **facts)
        return made if made.dtype == dtype else made.to(dtype)


class TorchSession:
    """Satisfies ``dotnn.plugins.Session``: the state stays on the device."""

    def __init__(self, executor: TorchExecutor) -> None:
        self._executor = executor
        self._successors = {after.name: fed.name for fed, after in executor.graph.states()}
        self._wanted = {fed.name: fed for fed in executor.graph.inputs if fed.role == "state"}
        self.tensors: dict[str, Tensor] = {}
        self._former = self.tensors

    def step(self, batch: Arrays) -> Arrays:
        made = self._executor.compute({**self.tensors, **batch})
        moved = {name: made.pop(after) for after, name in self._successors.items()}
        self._former, self.tensors = self.tensors, self.tensors | moved
        return {name: self._executor.array(name, tensor) for name, tensor in made.items()}

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        return self._arrays(self.tensors)

    def former(self) -> dict[str, np.ndarray[Any, Any]]:
        return self._arrays(self._former)

    def load(self, state: Arrays) -> None:
        require(self._executor.graph.name, self._wanted.values(), state)
        self.tensors = {name: self._executor.tensor(fed, state[name]) for name, fed in self._wanted.items()}
        self._former = self.tensors

    def _arrays(self, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
        made = {name: np.array(tensor.to("cpu").numpy(), copy=True) for name, tensor in tensors.items()}
        words = {name for name, fed in self._wanted.items() if fed.type.dtype == "u64"}
        return {name: array.view(np.uint64) if name in words else array for name, array in made.items()}


def _last_use(graph: Graph) -> dict[str, list[str]]:
    """For each operation the values that nobody needs after it: their memory is free then."""
    kept = {output.value for output in graph.outputs}
    last = {name: node.name for node in graph.nodes for name in (*node.inputs, node.name)}
    ending: dict[str, list[str]] = {}
    for name, node in last.items():
        if name not in kept:
            ending.setdefault(node, []).append(name)
    return ending
