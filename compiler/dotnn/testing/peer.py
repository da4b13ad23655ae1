"""The Python text beside a `try:` line, evaluated: what NumPy, PyTorch or scikit-learn make of the same numbers.

Only tests come here, with lines of their own author: nothing that `nn` does evaluates Python. PyTorch and scikit-learn
are handed in by whoever has them, since the core knows neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.testing.lines import Peer
from dotnn.testing.report import FailedError
from dotnn.testing.tried import Made, Tensors, Turn

Scope = dict[str, Any]


@dataclass(frozen=True)
class Peers:
    """Who may be asked: ``Peers(torch=torch, sklearn=sklearn)``; NumPy always."""

    torch: Any = None
    sklearn: Any = None
    """With `sklearn.metrics` imported."""

    def has(self, library: str) -> bool:
        return library == "numpy" or getattr(self, library) is not None

    def scope(self, library: str) -> Scope:
        """The names that a text may use."""
        if not self.has(library):
            raise FailedError(f"{library} is not here to be asked: give `peers=Peers({library}={library})`")
        names: Scope = dict(vars(np))
        if library == "torch":
            torch = self.torch
            nn, optim = torch.nn, torch.optim
            parts = {"functional": nn.functional, "nn": nn, "optim": optim, "init": nn.init}
            names = {**vars(torch), **parts, "lr_scheduler": optim.lr_scheduler}
        elif library == "sklearn":
            names["metrics"] = self.sklearn.metrics
        return {name: value for name, value in names.items() if not name.startswith("__")}


ALONE = Peers()
"""NumPy alone."""


def evaluated(text: str, scope: Scope) -> Any:
    """The value of a text. Raises ``FailedError`` with what is wrong in it."""
    try:
        return eval(text, dict(scope))
    except Exception as wrong:
        raise FailedError(f"`{text}` is refused by Python: {type(wrong).__name__}: {wrong}") from wrong


# ---- functions and layers


def computed(tensors: Tensors, peer: Peer, peers: Peers) -> Made:
    """Every turn, as ``Tensors.run``; without gradients where the peer has none."""
    by_torch = peer.library == "torch"
    hold: Callable[[Array], Any] = _torch_leaf(peers.torch) if by_torch else lambda array: array
    scope = peers.scope(peer.library)
    state = {tensors.short(path): hold(array) for path, array in tensors.states.items()}
    for tensor in state.values() if by_torch else ():
        tensor.requires_grad_(False)
    made: Made = {}
    for turn in tensors.turns:
        results = _turn(tensors, turn, peer, scope, state, hold)
        results |= {f"state {name}": _array(tensor) for name, tensor in state.items() if turn.phase == "train"}
        made |= {" ".join(filter(None, (turn.label, what))): array for what, array in results.items()}
    return made


def _turn(
    tensors: Tensors, turn: Turn, peer: Peer, scope: Scope, state: Mapping[str, Any], hold: Callable[[Array], Any]
) -> Made:
    inputs = {fed.name: hold(turn.feeds[fed.name]) for fed in tensors.fed}
    weights = {path: hold(array) for path, array in tensors.weights.items()}
    facts: Scope = {
        "weight": {tensors.short(path): tensor for path, tensor in weights.items()},
        "state": state,
        "training": turn.phase == "train",
        "drawn": [hold(array) for array in tensors.drawn(turn)],
    }
    given = evaluated(peer.text, {**scope, **facts, **inputs})
    results = list(given) if isinstance(given, tuple) else [given]
    names = ["result"] if len(results) == 1 else [f"result[{i}]" for i in range(len(results))]
    made = {name: _array(result) for name, result in zip(names, results, strict=True)}
    if peer.library == "torch":
        leaves = {f"gradient {fed.name}": inputs[fed.name] for fed in tensors.fed if fed.type.is_float}
        leaves |= {f"gradient weight {path}": tensor for path, tensor in weights.items()}
        real = [i for i, type in enumerate(tensors.phases[turn.phase].results) if type.is_float]
        flowing = [(results[i] * hold(turn.feeds[f"mix {i}"])).sum() for i in real if results[i].requires_grad]
        if flowing:
            sum(flowing).backward()
        if real:
            made |= {what: _flow(leaf) for what, leaf in leaves.items()}
    return made


def _torch_leaf(torch: Any) -> Callable[[Array], Any]:
    def leaf(array: Array) -> Any:
        is_real = array.dtype.kind == "f"
        return torch.tensor(array, dtype=torch.float64 if is_real else None, requires_grad=is_real)

    return leaf


def _flow(leaf: Any) -> Array:
    return np.zeros(tuple(leaf.shape)) if leaf.grad is None else np.asarray(leaf.grad.numpy(), np.float64)


def _array(value: Any) -> Array:
    """In double precision, of whatever library."""
    plain = value.detach().numpy() if hasattr(value, "detach") else value
    return np.array(plain, np.float64)


# ---- optimizers, schedules, initialisers


@dataclass
class Slot:
    """What a formula remembers of a weight: `slot.m` is 0 until `slot(m = …)` sets it, and gives it."""

    kept: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return self.kept.get(name, 0.0)

    def __call__(self, **values: Any) -> Any:
        self.kept.update(values)
        return next(iter(values.values()))


def stepped(peer: Peer, peers: Peers, weights: list[Array], flows: list[list[Array]]) -> list[list[Array]]:
    """The weights after each step. flows: for each step a gradient for each weight."""
    scope = peers.scope(peer.library)
    if peer.library != "torch":
        now, slots = [array.copy() for array in weights], [Slot() for _ in weights]
        after = []
        for step, step_flows in enumerate(flows, 1):
            pairs = zip(now, step_flows, slots, strict=True)
            facts = [{"w": w, "g": g, "slot": slot, "step": float(step)} for w, g, slot in pairs]
            now = [np.asarray(evaluated(peer.text, {**scope, **fact}), np.float64) for fact in facts]
            after.append(now)
        return after
    torch = peers.torch
    held = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in weights]
    optimizer = evaluated(peer.text, {**scope, "w": held})
    after = []
    for step_flows in flows:
        for weight, flow in zip(held, step_flows, strict=True):
            weight.grad = torch.tensor(flow, dtype=torch.float64)
        with _in_double(torch):
            optimizer.step()
        after.append([weight.detach().numpy().copy() for weight in held])
    return after


@contextmanager
def _in_double(torch: Any) -> Iterator[None]:
    """What an optimizer computes in less, in a number of its own or in half precision, is double as well."""
    before, half = torch.get_default_dtype(), torch.Tensor.bfloat16
    torch.set_default_dtype(torch.float64)
    torch.Tensor.bfloat16 = torch.Tensor.clone
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        torch.Tensor.bfloat16 = half


def rates(peer: Peer, peers: Peers, steps: int) -> Array:
    """The rate at each step, 1 to ``steps``."""
    scope = peers.scope(peer.library)
    facts: Scope = {"step": np.arange(1.0, steps + 1), "steps": steps}
    if peer.library == "torch":
        torch = peers.torch

        def scheduled(scheduler: Callable[[Any], Any], lr: float = 1.0, first: int = 0) -> Any:
            """The rates of an optimizer that begins at `lr`, from after ``first`` calls of the scheduler on."""
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
            clock = scheduler(optimizer)
            found = []
            for _ in range(first + steps):
                found.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                clock.step()
            return torch.tensor([float(rate) for rate in found[first:]], dtype=torch.float64)

        facts = {"rates": scheduled, "step": torch.arange(1.0, steps + 1, dtype=torch.float64), "steps": steps}
    return np.broadcast_to(_array(evaluated(peer.text, {**scope, **facts})), (steps,)).copy()


def formula(text: str, peer: str, peers: Peers, facts: Scope) -> Array:
    """What an initialiser gives."""
    return _array(evaluated(text, {**peers.scope(peer), **facts}))


def true(text: str, facts: Scope) -> None:
    """Raises ``FailedError`` unless it holds, everywhere."""
    if not np.all(evaluated(text, {**ALONE.scope("numpy"), **facts})):
        raise FailedError(f"this does not hold: {text}")
