"""Convolution and pooling with torch tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

Tensor = Any
Each = tuple[int, ...]

_CONVOLVE = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
_WEIGHT = (torch.nn.grad.conv1d_weight, torch.nn.grad.conv2d_weight, torch.nn.grad.conv3d_weight)
_GREATEST = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)


def _beside(x: Tensor, before: Each, after: Each, value: float = 0.0) -> Tensor:
    if not any((*before, *after)):
        return x
    pads = [number for b, a in zip(reversed(before), reversed(after), strict=True) for number in (b, a)]
    return functional.pad(x, pads, value=value)


def _inner(x: Tensor, before: Each, places: Each) -> Tensor:
    """Without what was put beside it."""
    return x[(..., *(slice(b, b + n) for b, n in zip(before, places, strict=True)))]


def convolve(x: Tensor, w: Tensor, *, stride: Each, dilation: Each, before: Each, after: Each, groups: int) -> Tensor:
    padded = _beside(x, before, after)
    return _CONVOLVE[len(stride) - 1](padded, w, stride=stride, dilation=dilation, groups=groups)


def convolve_back(
    g: Tensor, w: Tensor, *, stride: Each, dilation: Each, before: Each, after: Each, groups: int, places: Each
) -> Tensor:
    whole = [n + b + a for n, b, a in zip(places, before, after, strict=True)]
    rest = [
        n - (p - 1) * s - d * (k - 1) - 1
        for n, p, s, d, k in zip(whole, g.shape[2:], stride, dilation, w.shape[2:], strict=True)
    ]
    made = _TRANSPOSED[len(stride) - 1](g, w, stride=stride, dilation=dilation, groups=groups)
    return _inner(_beside(made, (0,) * len(rest), tuple(rest)), before, places)


def convolve_weight(
    x: Tensor, g: Tensor, *, stride: Each, dilation: Each, before: Each, after: Each, groups: int, kernel: Each
) -> Tensor:
    padded = _beside(x, before, after).contiguous()
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    how = {"stride": stride, "dilation": dilation, "groups": groups}
    return _WEIGHT[len(stride) - 1](padded, shape, g.contiguous(), **how)


def _ones(size: Each, like: Tensor) -> Tensor:
    return torch.ones((1, 1, *size), dtype=like.dtype, device=like.device)


def window_sum(x: Tensor, *, size: Each, **how: Any) -> Tensor:
    rows = x.reshape(-1, 1, *x.shape[2:])
    made = convolve(rows, _ones(size, x), groups=1, **how)
    return made.reshape(*x.shape[:2], *made.shape[2:])


def window_spread(g: Tensor, *, size: Each, places: Each, **how: Any) -> Tensor:
    made = convolve_back(g.reshape(-1, 1, *g.shape[2:]), _ones(size, g), groups=1, places=places, **how)
    return made.reshape(*g.shape[:2], *places)


def _greatest(x: Tensor, size: Each, how: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The greatest of each window, and where it stands in the padded picture."""
    padded = _beside(x, how["before"], how["after"], -torch.inf)
    fold = _GREATEST[len(size) - 1]
    made: tuple[Tensor, Tensor] = fold(padded, size, how["stride"], 0, how["dilation"], return_indices=True)
    return made


def window_max(x: Tensor, *, size: Each, **how: Any) -> Tensor:
    return _greatest(x, size, how)[0]


def window_take(u: Tensor, x: Tensor, *, size: Each, **how: Any) -> Tensor:
    where = _greatest(x, size, how)[1]
    padded = _beside(u, how["before"], how["after"])
    return padded.flatten(2).gather(2, where.flatten(2)).reshape(where.shape)


def window_put(g: Tensor, x: Tensor, *, size: Each, **how: Any) -> Tensor:
    where = _greatest(x, size, how)[1]
    padded = _beside(torch.zeros_like(x), how["before"], how["after"])
    made = padded.flatten(2).scatter_add(2, where.flatten(2), g.flatten(2)).reshape(padded.shape)
    return _inner(made, how["before"], x.shape[2:])


FORMULAS: dict[str, Any] = {
    "convolve": convolve,
    "convolve_back": convolve_back,
    "convolve_weight": convolve_weight,
    "window_sum": window_sum,
    "window_spread": window_spread,
    "window_max": window_max,
    "window_put": window_put,
    "window_take": window_take,
}
