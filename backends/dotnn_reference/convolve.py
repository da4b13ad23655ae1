"""Convolution and pooling as formulas: one turn for each place of the window."""

# NumPy says Any for what comes out of arithmetic on arrays of any type; here that is an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from dotnn.arrays import Array

Each = tuple[int, ...]


def _last(parts: Iterable[Any]) -> Any:
    """An index of the last dims."""
    return (..., *parts)


def _seen(places: Each, size: Each, how: dict[str, Any]) -> Iterator[tuple[Each, Any]]:
    """For each place of the window, in order: its number, and where all windows see it in the padded picture."""
    stride, dilation, before, after = (how[name] for name in ("stride", "dilation", "before", "after"))
    room = [n + b + a - d * (k - 1) for n, b, a, d, k in zip(places, before, after, dilation, size, strict=True)]
    for k in np.ndindex(*size):
        starts = [d * i for d, i in zip(dilation, k, strict=True)]
        yield k, _last(slice(i, i + r, s) for i, r, s in zip(starts, room, stride, strict=True))


def _padded(x: Array, how: dict[str, Any], value: float = 0.0) -> Array:
    beside = zip(how["before"], how["after"], strict=True)
    return np.pad(x, [(0, 0), (0, 0), *beside], constant_values=value)


def _inner(x: Array, places: Each, how: dict[str, Any]) -> Array:
    """Without what was put beside it."""
    return x[_last(slice(b, b + n) for b, n in zip(how["before"], places, strict=True))]


def _parts(x: Array, groups: int, axis: int) -> Array:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _flat(x: Array) -> Array:
    """With all places in one dim, the fourth."""
    return x.reshape(*x.shape[:3], math.prod(x.shape[3:]))


def convolve(x: Array, w: Array, *, groups: int, **how: Any) -> Array:
    padded, y = _parts(_padded(x, how), groups, 1), 0.0
    for k, seen in _seen(x.shape[2:], w.shape[2:], how):
        y = y + np.einsum("ngc...,goc->ngo...", padded[seen], _parts(w[_last(k)], groups, 0))
    made = np.asarray(y)
    return made.reshape(len(x), len(w), *made.shape[3:])


def convolve_back(g: Array, w: Array, *, groups: int, places: Each, **how: Any) -> Array:
    x = np.zeros((len(g), w.shape[1] * groups, *places), g.dtype)
    padded = _padded(x, how)
    parts = _parts(padded, groups, 1)
    for k, seen in _seen(places, w.shape[2:], how):
        parts[seen] += np.einsum("ngo...,goc->ngc...", _parts(g, groups, 1), _parts(w[_last(k)], groups, 0))
    return _inner(padded, places, how)


def convolve_weight(x: Array, g: Array, *, groups: int, kernel: Each, **how: Any) -> Array:
    padded, given = _parts(_padded(x, how), groups, 1), _flat(_parts(g, groups, 1))
    w = np.zeros((groups, g.shape[1] // groups, x.shape[1] // groups, *kernel), x.dtype)
    for k, seen in _seen(x.shape[2:], kernel, how):
        w[_last(k)] = np.einsum("ngcp,ngop->goc", _flat(padded[seen]), given)
    return w.reshape(g.shape[1], *w.shape[2:])


def window_sum(x: Array, *, size: Each, **how: Any) -> Array:
    padded = _padded(x, how)
    return np.asarray(sum(padded[seen] for _, seen in _seen(x.shape[2:], size, how)))


def window_spread(g: Array, *, size: Each, places: Each, **how: Any) -> Array:
    padded = _padded(np.zeros((*g.shape[:2], *places), g.dtype), how)
    for _, seen in _seen(places, size, how):
        padded[seen] += g
    return _inner(padded, places, how)


def _views(x: Array, size: Each, how: dict[str, Any], value: float) -> Array:
    """What all windows see at their first place, their second, …: one dim more, in front."""
    padded = _padded(x, how, value)
    return np.stack([padded[seen] for _, seen in _seen(x.shape[2:], size, how)])


def window_max(x: Array, *, size: Each, **how: Any) -> Array:
    return _views(x, size, how, -np.inf).max(0)


def window_take(u: Array, x: Array, *, size: Each, **how: Any) -> Array:
    first = _views(x, size, how, -np.inf).argmax(0)
    return np.take_along_axis(_views(u, size, how, 0.0), first[None], 0)[0]


def window_put(g: Array, x: Array, *, size: Each, **how: Any) -> Array:
    first = _views(x, size, how, -np.inf).argmax(0)
    padded = _padded(np.zeros(x.shape, g.dtype), how)
    for number, (_, seen) in enumerate(_seen(x.shape[2:], size, how)):
        padded[seen] += np.where(first == number, g, 0.0)
    return _inner(padded, x.shape[2:], how)


FORMULAS: dict[str, Callable[..., Any]] = {
    "convolve": convolve,
    "convolve_back": convolve_back,
    "convolve_weight": convolve_weight,
    "window_sum": window_sum,
    "window_spread": window_spread,
    "window_max": window_max,
    "window_take": window_take,
    "window_put": window_put,
}
