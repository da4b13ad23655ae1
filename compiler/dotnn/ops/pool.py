"""Windows over the places of a picture, folded into one number each: their sum, or their greatest.

    sum:  y[n, c, p] = sum over k of x[n, c, stride*p + dilation*k - before]
    max:  y[n, c, p] = the greatest of these that are within x

Both come in pairs. ``window_spread`` puts each number back on all places of its window: it is the transpose of
``window_sum``, and the nearest neighbours of an enlarged picture where windows do not overlap. ``window_put`` puts each
number where the greatest of its window stands in x (the first of equals, as PyTorch does), and ``window_take`` takes
one from there; so ``window_max(x)`` is ``window_take(x, x)``, and the gradient of each is the other.
"""

from __future__ import annotations

from typing import Any

from dotnn.graph import Type
from dotnn.operation import Gradients, MisfitError, Operation, elements, register, shape_text
from dotnn.ops.convolve import Each, Window, places_of, windows
from dotnn.tape import Value


def _counted(x: Type, size: Each, stride: Each, dilation: Each, before: Each, after: Each) -> Each:
    places, along = places_of(x), windows(size, stride, dilation, before, after)
    if len(places) != len(along):
        raise MisfitError(f"{len(size)} sizes are given for the {len(places)} dims of places in {shape_text(x.dims)}")
    return tuple(one.count(n) for one, n in zip(along, places, strict=True))


def _real(x: Type) -> None:
    if not x.is_float:
        raise MisfitError(f"this takes real numbers, not {x.dtype}")


def _sum(x: Type, *, size: Each, stride: Each, dilation: Each, before: Each, after: Each) -> Type:
    _real(x)
    return x.shaped((*x.dims[:2], *_counted(x, size, stride, dilation, before, after)))


def _spread(g: Type, *, size: Each, stride: Each, dilation: Each, before: Each, after: Each, places: Each) -> Type:
    _real(g)
    made = g.shaped((*g.dims[:2], *places))
    if len(places) != len(places_of(g)) or _counted(made, size, stride, dilation, before, after) != places_of(g):
        raise MisfitError(f"{shape_text(places_of(g))} windows cannot have come from {shape_text(places)}")
    return made


def _max(x: Type, *, size: Each, stride: Each, dilation: Each, before: Each, after: Each) -> Type:
    made = _sum(x, size=size, stride=stride, dilation=dilation, before=before, after=after)
    for one, places in zip(windows(size, stride, dilation, before, after), places_of(x), strict=True):
        if (one.before or one.after) and not _all_see(one, places):
            raise MisfitError(
                f"with {one.before} + {one.after} places beside the {places} there are, a window of {one.size} would "
                "lie outside of the picture altogether, where there is no greatest: put fewer beside (`padding`)"
            )
    return made


def _all_see(one: Window, places: int) -> bool:
    """Every window has a place within the picture."""
    starts = range(-one.before, one.stride * one.count(places) - one.before, one.stride)
    return all(any(0 <= at < places for at in range(start, start + one.reach, one.dilation)) for start in starts)


def _put(g: Type, x: Type, **how: Any) -> Type:
    if _max(x, **how) != g:
        raise MisfitError(f"{shape_text(g.dims)} is not one number for each window of {shape_text(x.dims)}")
    return x


def _take(u: Type, x: Type, **how: Any) -> Type:
    if u != x:
        raise MisfitError(f"{u} and {x} are not of one type")
    return _max(x, **how)


def _put_type(g: Type, x: Type, *, size: Each, stride: Each, dilation: Each, before: Each, after: Each) -> Type:
    return _put(g, x, size=size, stride=stride, dilation=dilation, before=before, after=after)


def _take_type(u: Type, x: Type, *, size: Each, stride: Each, dilation: Each, before: Each, after: Each) -> Type:
    return _take(u, x, size=size, stride=stride, dilation=dilation, before=before, after=after)


def _sum_gradient(g: Value, y: Value, x: Value, **how: Any) -> Gradients:
    return [window_spread(g, **how, places=places_of(x.type))]


def _spread_gradient(u: Value, y: Value, g: Value, *, places: Each, **how: Any) -> Gradients:
    return [window_sum(u, **how)]


def _max_gradient(g: Value, y: Value, x: Value, **how: Any) -> Gradients:
    return [window_put(g, x, **how)]


def _put_gradient(u: Value, y: Value, g: Value, x: Value, **how: Any) -> Gradients:
    return [window_take(u, x, **how), None]


def _take_gradient(g: Value, y: Value, u: Value, x: Value, **how: Any) -> Gradients:
    return [window_put(g, x, **how), None]


def _of_result(result: Type, x: Type) -> int:
    return max(elements(x), elements(result))


def _twice(result: Type, g: Type, x: Type) -> int:
    return 4 * max(elements(x), elements(g))


window_sum = register(
    Operation("window_sum", _sum, _sum_gradient, _of_result, linear=(0,), doc="the sum over each window of places")
)
window_spread = register(
    Operation(
        "window_spread",
        _spread,
        _spread_gradient,
        _of_result,
        linear=(0,),
        doc="each number on all places of its window, added up where windows overlap",
    )
)
window_max = register(
    Operation("window_max", _max, _max_gradient, _of_result, doc="the greatest in each window of places")
)
window_put = register(
    Operation(
        "window_put",
        _put_type,
        _put_gradient,
        _twice,
        linear=(0,),
        doc="each number where the greatest of its window stands in x, the first of equals",
    )
)
window_take = register(
    Operation(
        "window_take",
        _take_type,
        _take_gradient,
        _twice,
        linear=(0,),
        doc="from each window the number at the place where x is greatest, the first of equals",
    )
)
