"""Convolution over any number of dims: three operations that are each other's gradients.

    out[n, o, p] = sum over c, k of x[n, c, stride*p + dilation*k - before] * w[o, c, k]

x is [n, c, places…], w is [o, c / groups, kernel…]; outside of x there are zeros, `before` and `after` of them beside
each dim. With `groups` the channels are cut into as many parts, and each part of the outputs sees one part of the
inputs. ``convolve`` is linear in x and in w, so that with <a, b> for the sum of products

    <convolve(x, w), g> = <x, convolve_back(g, w)> = <w, convolve_weight(x, g)>

which is all that the gradients below say; they close under differentiation. (Dumoulin and Visin 2016, "A guide to
convolution arithmetic for deep learning", arXiv:1603.07285.)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from dotnn.graph import Dim, Type
from dotnn.operation import Gradients, MisfitError, Operation, elements, register, shape_text
from dotnn.tape import Value

Each = tuple[int, ...]
"""A number for each dim of places."""


class Window(NamedTuple):
    """Where a window of `size` places stands along one dim: it moves by `stride`, and sees every `dilation`-th."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """How many places it spans."""
        return self.dilation * (self.size - 1) + 1

    def count(self, places: int) -> int:
        """How often it finds room. Raises ``MisfitError`` where it does not fit once."""
        room = places + self.before + self.after
        if self.size < 1:
            raise MisfitError("a window has at least one place in each dim")
        if room < self.reach:
            beside = f" with the {self.before} + {self.after} zeros beside them" if room != places else ""
            spread = f" that reaches over {self.reach} places" if self.dilation > 1 else ""
            raise MisfitError(
                f"a window of {self.size}{spread} does not fit into {places} places{beside}: "
                "take a smaller one, or put more zeros beside (`padding`)"
            )
        return (room - self.reach) // self.stride + 1


def windows(size: Each, stride: Each, dilation: Each, before: Each, after: Each) -> list[Window]:
    """One for each dim of places. Raises ``MisfitError`` where the settings make none."""
    if len({len(size), len(stride), len(dilation), len(before), len(after)}) > 1:
        raise MisfitError("size, stride, dilation and padding are given for as many dims each")
    if min((*stride, *dilation), default=1) < 1:
        raise MisfitError(f"stride and dilation are 1 or more, not {min(*stride, *dilation)}")
    if min((*before, *after), default=0) < 0:
        raise MisfitError(f"the zeros beside are 0 or more, not {min(*before, *after)}")
    return [Window(*each) for each in zip(size, stride, dilation, before, after, strict=True)]


def places_of(x: Type, what: str = "this") -> Each:
    """The dims after the first two, all of them numbers. Raises ``MisfitError``."""
    if x.rank < 3:
        raise MisfitError(f"{what} has the dims [b, c, …] with one place dim at least, not {shape_text(x.dims)}")
    if not all(isinstance(d, int) for d in x.dims[2:]):
        raise MisfitError(f"the places of {shape_text(x.dims)} are counted when the graph runs; only `b` may be open")
    return tuple(int(d) for d in x.dims[2:])


def _channels(dim: Dim) -> int:
    if not isinstance(dim, int):
        raise MisfitError(f"there must be a number of channels, and {dim} is known only when the graph runs")
    return dim


def _same_kind(a: Type, b: Type) -> None:
    if a.dtype != b.dtype or not a.is_float:
        raise MisfitError(f"this multiplies real numbers of one type, not {a.dtype} and {b.dtype}")
    if a.rank != b.rank:
        raise MisfitError(f"{shape_text(a.dims)} and {shape_text(b.dims)} have not as many dims")


def _grouped(channels: int, groups: int, what: str) -> int:
    if groups < 1 or channels % groups:
        raise MisfitError(f"{channels} {what} do not divide into {groups} groups")
    return channels // groups


def _convolve(x: Type, w: Type, *, stride: Each, dilation: Each, before: Each, after: Each, groups: int) -> Type:
    _same_kind(x, w)
    places, kernel = places_of(x), places_of(w, "a kernel")
    outputs, inputs, channels = _channels(w.dims[0]), _channels(w.dims[1]), _channels(x.dims[1])
    if _grouped(channels, groups, "channels") != inputs:
        each = "" if groups == 1 else f" in each of {groups} groups"
        raise MisfitError(f"the kernel {shape_text(w.dims)} takes {inputs} channels{each}, and there are {channels}")
    _grouped(outputs, groups, "channels of the result")
    along = windows(kernel, stride, dilation, before, after)
    return x.shaped((x.dims[0], outputs, *(one.count(n) for one, n in zip(along, places, strict=True))))


def _convolve_back(
    g: Type, w: Type, *, stride: Each, dilation: Each, before: Each, after: Each, groups: int, places: Each
) -> Type:
    _same_kind(g, w)
    given, kernel = places_of(g), places_of(w, "a kernel")
    outputs, inputs, channels = _channels(w.dims[0]), _channels(w.dims[1]), _channels(g.dims[1])
    if channels != outputs:
        raise MisfitError(f"the kernel {shape_text(w.dims)} takes {outputs} channels, and there are {channels}")
    _grouped(outputs, groups, "channels")
    along = windows(kernel, stride, dilation, before, after)
    if len(places) != len(given):
        raise MisfitError(f"{len(places)} sizes are given for {len(given)} dims of places")
    if tuple(one.count(n) for one, n in zip(along, places, strict=True)) != given:
        raise MisfitError(f"{shape_text(given)} places cannot have come from {shape_text(places)}")
    return g.shaped((g.dims[0], inputs * groups, *places))


def _convolve_weight(
    x: Type, g: Type, *, stride: Each, dilation: Each, before: Each, after: Each, groups: int, kernel: Each
) -> Type:
    _same_kind(x, g)
    places, given = places_of(x), places_of(g)
    if x.dims[0] != g.dims[0]:
        raise MisfitError(f"{shape_text(x.dims)} and {shape_text(g.dims)} have not as many rows")
    along = windows(kernel, stride, dilation, before, after)
    if len(places) != len(along) or tuple(one.count(n) for one, n in zip(along, places, strict=True)) != given:
        raise MisfitError(f"{shape_text(given)} places cannot have come from {shape_text(places)}")
    outputs, channels = _channels(g.dims[1]), _channels(x.dims[1])
    _grouped(outputs, groups, "channels of the result")
    return x.shaped((outputs, _grouped(channels, groups, "channels"), *kernel))


def _convolve_gradient(g: Value, y: Value, x: Value, w: Value, **how: Any) -> Gradients:
    return [
        convolve_back(g, w, **how, places=places_of(x.type)),
        convolve_weight(x, g, **how, kernel=places_of(w.type)),
    ]


def _back_gradient(u: Value, y: Value, g: Value, w: Value, *, places: Each, **how: Any) -> Gradients:
    # y is linear in g and in w, and <convolve_back(g, w), u> = <g, convolve(u, w)>.
    return [convolve(u, w, **how), convolve_weight(u, g, **how, kernel=places_of(w.type))]


def _weight_gradient(v: Value, y: Value, x: Value, g: Value, *, kernel: Each, **how: Any) -> Gradients:
    # <convolve_weight(x, g), v> = <convolve(x, v), g>.
    return [convolve_back(g, v, **how, places=places_of(x.type)), convolve(x, v, **how)]


def _cost(result: Type, x: Type, w: Type) -> int:
    return 2 * elements(result) * math.prod(places_of(w)) * _channels(w.dims[1])


def _cost_back(result: Type, g: Type, w: Type) -> int:
    return _cost(g, result, w)


def _cost_weight(result: Type, x: Type, g: Type) -> int:
    return _cost(g, x, result)


convolve = register(
    Operation(
        "convolve",
        _convolve,
        _convolve_gradient,
        _cost,
        linear=(0, 1),
        narrows=True,
        doc="y[n, o, p] = sum over c, k of x[n, c, stride*p + dilation*k - before] * w[o, c, k]",
    )
)
convolve_back = register(
    Operation(
        "convolve_back",
        _convolve_back,
        _back_gradient,
        _cost_back,
        linear=(0, 1),
        narrows=True,
        doc="what flows back through `convolve` to x, of `places`: a convolution transposed",
    )
)
convolve_weight = register(
    Operation(
        "convolve_weight",
        _convolve_weight,
        _weight_gradient,
        _cost_weight,
        linear=(0, 1),
        narrows=True,
        doc="what flows back through `convolve` to w, of `kernel` places",
    )
)
