"""How to draw small inputs for convolution and pooling: every number of dims, stride, dilation, padding and group."""

from __future__ import annotations

from typing import Any

from dotnn.graph import Dim, Type
from dotnn.operation import Operation, lookup
from dotnn.recipes.draw import Draw, draws
from dotnn.tape import Value


def _moves(draw: Draw, dims: int, most: int = 2) -> dict[str, Any]:
    """Stride, dilation, and the zeros beside, which need not be as many on both sides."""
    return {
        "stride": tuple(draw.whole(1, 3) for _ in range(dims)),
        "dilation": tuple(draw.whole(1, 2) for _ in range(dims)),
        "before": tuple(draw.whole(0, most) for _ in range(dims)),
        "after": tuple(draw.whole(0, most) for _ in range(dims)),
    }


def _places(draw: Draw, kernel: tuple[int, ...], how: dict[str, Any]) -> tuple[int, ...]:
    """As few as leave room for a window, or up to three more."""
    reach = [d * (k - 1) + 1 for d, k in zip(how["dilation"], kernel, strict=True)]
    least = [max(1, r - b - a) for r, b, a in zip(reach, how["before"], how["after"], strict=True)]
    return tuple(n + draw.whole(0, 3 if len(kernel) < 3 else 1) for n in least)


def _rows(draw: Draw) -> Dim:
    return "b" if draw.chance() else draw.size()


def _kernels(draw: Draw) -> tuple[Type, Type, Type, dict[str, Any]]:
    """The types of x, w and y, and the settings, of a convolution."""
    dims = draw.whole(1, 3)
    kernel = tuple(draw.whole(1, 3 if dims < 3 else 2) for _ in range(dims))
    how = _moves(draw, dims)
    groups, inputs, outputs = draw.among((1, 1, 2, 3)), draw.whole(1, 2), draw.whole(1, 2)
    x = Type(dtype="f32", dims=(_rows(draw), groups * inputs, *_places(draw, kernel, how)))
    w = Type(dtype="f32", dims=(groups * outputs, inputs, *kernel))
    how["groups"] = groups
    return x, w, lookup("convolve").infer(x, w, **how), how


@draws("convolve")
def _pictures_and_kernels(draw: Draw, op: Operation) -> Value:
    x, w, _, how = _kernels(draw)
    return op(draw.real(x.dims), draw.real(w.dims), **how)


@draws("convolve_back")
def _results_and_kernels(draw: Draw, op: Operation) -> Value:
    x, w, y, how = _kernels(draw)
    return op(draw.real(y.dims), draw.real(w.dims), **how, places=x.dims[2:])


@draws("convolve_weight")
def _pictures_and_results(draw: Draw, op: Operation) -> Value:
    x, w, y, how = _kernels(draw)
    return op(draw.real(x.dims), draw.real(y.dims), **how, kernel=w.dims[2:])


def _pooled(draw: Draw, whole: bool = False) -> tuple[Type, Type, dict[str, Any]]:
    """The types of x and y, and the settings, of a pool. ``whole``: no window may lie beside the picture."""
    dims = draw.whole(1, 3)
    size = tuple(draw.whole(1, 3 if dims < 3 else 2) for _ in range(dims))
    how = _moves(draw, dims)
    if draw.chance():  # side by side, as it is most often
        how |= {"stride": size, "dilation": (1,) * dims, "before": (0,) * dims, "after": (0,) * dims}
    if whole:  # at most as many as a window has places, and not beside gaps in it
        for side in ("before", "after"):
            few = zip(how[side], size, how["dilation"], strict=True)
            how[side] = tuple(min(n, k - 1) if d == 1 else 0 for n, k, d in few)
    x = Type(dtype="f32", dims=(_rows(draw), draw.whole(1, 2), *_places(draw, size, how)))
    how["size"] = size
    return x, lookup("window_sum").infer(x, **how), how


@draws("window_sum")
def _pictures(draw: Draw, op: Operation) -> Value:
    x, _, how = _pooled(draw)
    return op(draw.real(x.dims), **how)


@draws("window_spread")
def _one_for_each_window(draw: Draw, op: Operation) -> Value:
    x, y, how = _pooled(draw)
    return op(draw.real(y.dims), **how, places=x.dims[2:])


@draws("window_max")
def _pictures_without_equals(draw: Draw, op: Operation) -> Value:
    x, _, how = _pooled(draw, whole=True)
    return op(draw.real(x.dims), **how)


@draws("window_max", smooth=False)
def _pictures_with_equals(draw: Draw, op: Operation) -> Value:
    x, _, how = _pooled(draw, whole=True)
    return op(draw.integer(x.dims, -1, 1).cast("f32"), **how)


@draws("window_put")
def _numbers_to_their_greatest(draw: Draw, op: Operation) -> Value:
    x, y, how = _pooled(draw, whole=True)
    return op(draw.real(y.dims), draw.real(x.dims), **how)


@draws("window_put", smooth=False)
def _numbers_to_the_first_of_equals(draw: Draw, op: Operation) -> Value:
    x, y, how = _pooled(draw, whole=True)
    return op(draw.real(y.dims), draw.integer(x.dims, -1, 1).cast("f32"), **how)


@draws("window_take")
def _numbers_from_their_greatest(draw: Draw, op: Operation) -> Value:
    x, _, how = _pooled(draw, whole=True)
    return op(draw.real(x.dims), draw.real(x.dims), **how)


@draws("window_take", smooth=False)
def _numbers_from_the_first_of_equals(draw: Draw, op: Operation) -> Value:
    x, _, how = _pooled(draw, whole=True)
    return op(draw.real(x.dims), draw.integer(x.dims, -1, 1).cast("f32"), **how)
