"""The same nets in PyTorch, in double precision. Imported only where torch is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from tests.peers.nets import OWN, Expression, Net, Statement
from torch.nn import functional

Tensor = Any

_BINARY = {
    "+": torch.add,
    "-": torch.sub,
    "*": torch.mul,
    "/": torch.div,
    "@": torch.matmul,
    "^": torch.pow,
}
_ALONG = {
    "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    "logsumexp": lambda x, axis: torch.logsumexp(x, axis),
    "mean": lambda x, axis: torch.mean(x, axis),
    "sum": lambda x, axis: torch.sum(x, axis),
    "max": lambda x, axis: torch.amax(x, axis),
    "min": lambda x, axis: torch.amin(x, axis),
}
_EACH = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "sin": torch.sin,
    "cos": torch.cos,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "mean": torch.mean,
    "stop": torch.Tensor.detach,
    "softmax": lambda x: torch.softmax(x, -1),
    "flatten": lambda x: torch.flatten(x, 1),
    "normalise": lambda x: functional.layer_norm(x, x.shape[-1:]),
}


@dataclass
class _Scope:
    """One definition being computed: where its weights are called, and what its names stand for."""

    weights: Mapping[str, Tensor]
    path: str
    names: dict[str, Any] = field(default_factory=dict)
    turns: str = ""
    left: str = ""
    issued: dict[str, int] = field(default_factory=dict)

    def path_of(self, *words: str) -> str:
        return ".".join(word for word in (self.path, self.turns, *words) if word)

    def part(self, definition: str, name: str | None) -> str:
        """A part is called by its `as` name, else by its statement and definition; all are counted."""
        base = self.path_of(self.left, definition)
        number = self.issued[base] = self.issued.get(base, -1) + 1
        if name is None:
            return f"{base}[{number}]" if number else base
        return self.path_of(name)

    def run(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            match statement:
                case ("assign", name, value):
                    self.left = name
                    self.names[name] = self.value(value)
                case ("bind", name, layer, settings):
                    self.left = name
                    self.names[name] = (layer, settings, self.part(layer, None))
                case ("weight", name, _, _):
                    self.names[name] = self.weights[self.path_of(name)]
                case ("repeat", variable, count, inner):
                    for turn in range(count):
                        self.turns = f"{variable}[{turn}]"
                        self.run(inner)
                    self.turns = ""
            self.left = ""

    def value(self, e: Expression) -> Any:
        match e:
            case ("name", name):
                return self.names[name]
            case ("number", number):
                return torch.tensor(float(number), dtype=torch.float64)
            case ("negative", x):
                return -self.value(x)
            case ("binary", operator, a, b):
                return _BINARY[operator](self.value(a), self.value(b))
            case ("choose", x, _, bound, a, b):
                return torch.where(self.value(x) > bound, self.value(a), self.value(b))
            case ("call", function, values, axis):
                return _call(function, [self.value(v) for v in values], axis)
            case ("gather", table, index):
                return functional.embedding(self.names[index], self.names[table])
            case ("rows", table, count):
                return self.names[table][:count]
            case ("first", x, count):
                return self.value(x)[..., :count]
            case ("transposed", x):
                return self.value(x).transpose(-1, -2)
            case ("chain", start, stages):
                x = self.value(start)
                for stage in stages:
                    x = self.stage(x, stage)
                return x
        raise ValueError(e)

    def stage(self, x: Tensor, stage: Expression) -> Tensor:
        match stage:
            case ("function", name):
                return _EACH[name](x)
            case ("bound", name):
                word, settings, path = self.names[name]
                return self.layer(word, settings, path, x)
            case ("layer", word, settings, name):
                return self.layer(word, settings, self.part(word, name), x)
        raise ValueError(stage)

    def layer(self, word: str, settings: dict[str, Any], path: str, x: Tensor) -> Tensor:
        if word == "dense":
            bias = self.weights[f"{path}.b"] if settings.get("bias", True) else None
            return functional.linear(x, self.weights[f"{path}.W"].T, bias)
        if word == "layer_norm":
            scale, shift = self.weights[f"{path}.scale"], self.weights[f"{path}.shift"]
            return functional.layer_norm(x, x.shape[-1:], scale, shift, settings.get("eps", 1e-5))
        if word == "dropout":
            return functional.dropout(x, settings["p"])
        given = {k: torch.tensor(float(v), dtype=torch.float64) for k, v in settings.items()}
        own = _Scope(self.weights, path, {"x": x, **given})
        _, _, body, returned = OWN[word]
        own.run(body)
        return own.value(returned)


def _call(function: str, values: list[Tensor], axis: int | None) -> Tensor:
    if len(values) == 2:
        return {"max": torch.maximum, "min": torch.minimum}[function](*values)
    return _EACH[function](values[0]) if axis is None else _ALONG[function](values[0], axis)


def first_step(net: Net, weights: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """The loss, and every weight, float64, after one step of plain gradient descent at the rate 1."""
    held = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in weights.items()}
    optimizer = torch.optim.SGD(held.values(), lr=1.0)
    fed = {k: torch.tensor(v, dtype=torch.int64 if v.dtype.kind == "i" else torch.float64) for k, v in batch.items()}
    scope = _Scope(held, "Drawn", {k: fed[k] for k in ("x", "token") if k in fed})
    scope.run(net.body)
    out = scope.names["out"]
    if net.loss == "mse":
        loss = functional.mse_loss(out, fed["target"])
    else:
        loss = functional.cross_entropy(out.reshape(-1, out.shape[-1]), fed["label"].reshape(-1))
    loss.backward()
    for weight in held.values():
        weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
    if net.clip is not None:
        # As PyTorch's clip_grad_norm_, but for the 1e-6 that it adds to the length.
        length = torch.sqrt(sum((w.grad**2).sum() for w in held.values()))
        for weight in held.values():
            weight.grad *= min(1.0, net.clip / length.item())
    for name, weight in held.items():  # of several lines the last that fits holds
        rates = [rate for rate, glob in net.decays if fnmatchcase(name, glob)]
        weight.grad += rates[-1] * weight.detach() if rates else 0.0
    optimizer.step()
    return {"loss": loss.detach().numpy(), **{k: w.detach().numpy() for k, w in held.items()}}
