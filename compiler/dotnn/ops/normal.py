"""Composites that deserve a kernel: each along its last dims."""

from __future__ import annotations

from dotnn.graph import FLOATS, Type
from dotnn.operation import Gradients, MisfitError, Operation, elements, register
from dotnn.ops.elementwise import exp
from dotnn.tape import Value


def _along_last(x: Type) -> Type:
    if x.dtype not in FLOATS:
        raise MisfitError(f"this takes real numbers, not {x.dtype}")
    if x.rank < 1:
        raise MisfitError("this works along a dim, and a single number has none")
    return x


def _passes(result: Type, x: Type) -> int:
    return 5 * elements(x)


def _softmax(g: Value, y: Value, x: Value) -> Gradients:
    t = g * y
    return [t - y * t.sum((-1 % x.type.rank,), keep=True)]


def _log_softmax(g: Value, y: Value, x: Value) -> Gradients:
    return [g - exp(y) * g.sum((-1 % x.type.rank,), keep=True)]


def _logsumexp_type(x: Type) -> Type:
    return _along_last(x).shaped(x.dims[:-1])


def _logsumexp(g: Value, y: Value, x: Value) -> Gradients:
    # Not e^(x - y), in which a large y leaves few digits.
    return [g.reshape((*y.dims, 1)) * softmax(x)]


softmax = register(
    Operation(
        "softmax", _along_last, _softmax, _passes, doc="e^x / sum of e^x along the last dim: shares that add up to 1"
    )
)
log_softmax = register(
    Operation("log_softmax", _along_last, _log_softmax, _passes, doc="x - log(sum of e^x) along the last dim")
)
logsumexp = register(
    Operation(
        "logsumexp", _logsumexp_type, _logsumexp, _passes, doc="log(sum of e^x) along the last dim, without overflow"
    )
)


def _normalise_type(x: Type, *, eps: float) -> Type:
    return _along_last(x)


def _normalise(g: Value, y: Value, x: Value, *, eps: float) -> Gradients:
    last = (x.type.rank - 1,)
    return [precision(x, eps=eps) * (g - g.mean(last, keep=True) - y * (g * y).mean(last, keep=True))]


def _precision_type(x: Type, *, eps: float) -> Type:
    return _along_last(x).shaped((*x.dims[:-1], 1))


def _precision(g: Value, y: Value, x: Value, *, eps: float) -> Gradients:
    # d/dx (var + eps)^(-1/2) = -1/2 (var + eps)^(-3/2) * 2 (x - mean) / n
    last = x.dims[-1]
    count = g.tape.size(last, g.dtype)
    return [-(g * (y * y) * normalise(x, eps=eps) / count)]


normalise = register(
    Operation(
        "normalise", _normalise_type, _normalise, _passes, doc="(x - mean) / sqrt(variance + eps) along the last dim"
    )
)
precision = register(
    Operation(
        "precision",
        _precision_type,
        _precision,
        _passes,
        doc="1 / sqrt(variance + eps) along the last dim, kept with size 1",
    )
)
