"""Words that move a window over the places of a picture [b, c, …]: convolution, and what pools are made of.

A setting is one number for every dim of places, or a list with one for each. `padding` is also "same" (with stride 1
there are as many places as before, else a stride-th of them, rounded up), "valid" (nothing is put beside), and a list
of lists where it is not as many before as after: ([0, 1], [2, 2]). In one dim [2, 0] are two before and none after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dotnn.elaborate.arithmetic import joint, real, tensor
from dotnn.elaborate.fans import window_labels
from dotnn.elaborate.spoken import Spoken, Word
from dotnn.elaborate.values import Label, Shape, Size, Tensor, kind
from dotnn.operation import MisfitError, shape_text
from dotnn.ops.convolve import Each

NAMES = {1: "one dim", 2: "two dims", 3: "three dims"}


def _picture(call: Spoken, value: Any) -> tuple[Tensor, int]:
    """A tensor [b, c, …] of real numbers, and how many dims of places it has."""
    x = real(call.tape, value)
    if not 3 <= x.rank <= 5:
        raise MisfitError(
            f"`{call.name}` takes pictures [b, c, …] with one to three dims of places, not {shape_text(x.dims)}: "
            "give each example a dim of channels (x -> unfold([c = 1, n])), or take one away"
        )
    return x, x.rank - 2


def _whole(value: Any) -> int | None:
    """A number of a setting; None where it is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _listed(value: Any) -> list[Any] | None:
    """The items of a list; None where it is none."""
    if isinstance(value, Shape):
        return list(value.dims)
    return list(value) if isinstance(value, tuple) else None


def _each(value: Any, name: str, dims: int, least: int = 1) -> Each:
    """One number for each dim of places."""
    items = _listed(value)
    found = [_whole(value)] * dims if items is None else [_whole(item) for item in items]
    if any(n is None or n < least for n in found):
        shown = kind(value) if items is None else shape_text(items)
        raise MisfitError(
            f"`{name}` is a whole number, {least} or more, or a list with one for each dim of places, not {shown}"
        )
    if len(found) != dims:
        raise MisfitError(f"`{name}` names {len(found)} numbers, and there are {NAMES[dims]} of places")
    return tuple(n for n in found if n is not None)


def _padding(value: Any, size: Each, dilation: Each) -> tuple[Each, Each]:
    """What is put before and after the places, in each dim."""
    dims = len(size)
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise MisfitError(
                f'`padding = "{value}"` is not known: it is "same" (as many places as before), '
                '"valid" (nothing beside), a number, or a list'
            )
        whole = [d * (k - 1) if value == "same" else 0 for d, k in zip(dilation, size, strict=True)]
        return tuple(n // 2 for n in whole), tuple(n - n // 2 for n in whole)
    items = _listed(value)
    if items is not None and dims == 1 and len(items) == 2:
        items = [Shape(tuple(items), (None, None))]
    if items is not None and any(_listed(item) is not None for item in items):
        pairs = [_each(item, "padding", 2, least=0) if _listed(item) is not None else (item, item) for item in items]
        if len(pairs) != dims:
            raise MisfitError(f"`padding` names {len(pairs)} dims, and there are {NAMES[dims]} of places")
        before, after = (_each(tuple(pair[i] for pair in pairs), "padding", dims, least=0) for i in (0, 1))
        return before, after
    found = _each(value, "padding", dims, least=0)
    return found, found


def _moves(call: Spoken, size: Each, stride: Any = 1, padding: Any = 0) -> dict[str, Each]:
    """The settings that say how a window moves."""
    given, dims = call.settings, len(size)
    dilation = _each(given.get("dilation", 1), "dilation", dims)
    before, after = _padding(given.get("padding", padding), size, dilation)
    moved = _each(given.get("stride", stride), "stride", dims)
    return {"stride": moved, "dilation": dilation, "before": before, "after": after}


def _groups(call: Spoken) -> int:
    found = _whole(call.settings.get("groups", 1))
    if found is None or found < 1:
        raise MisfitError(f"`groups` is a whole number, 1 or more, not {kind(call.settings['groups'])}")
    return found


def _kernel(call: Spoken) -> tuple[Tensor, Tensor, Each]:
    """The picture, the kernel in its type, and the kernel's size."""
    value, weight = call.two()
    x, dims = _picture(call, value)
    w = real(call.tape, weight)
    if w.rank != dims + 2:
        raise MisfitError(
            f"a kernel for {shape_text(x.dims)} is [out, in, …] with {NAMES[dims]} of places, not {shape_text(w.dims)}"
        )
    dtype = joint(x, w)
    return tensor(call.tape, x, dtype), tensor(call.tape, w, dtype), _each(w.dims[2:], "size", dims)


def _labels(x: Tensor, channels: Label) -> tuple[Label, ...]:
    """The rows' and the places' labels stay; the channels are others."""
    return (x.labels[0], None if channels in x.labels else channels, *x.labels[2:])


def _convolve(call: Spoken) -> Tensor:
    """`convolve(x, W)`: x is [b, in, …], W [out, in / groups, …]."""
    x, w, size = _kernel(call)
    made = call.tape.add("convolve", x.value, w.value, **_moves(call, size), groups=_groups(call))
    return Tensor(made, _labels(x, w.labels[0]))


def _convolve_back(call: Spoken) -> Tensor:
    """`convolve_back(x, W)`: the other way round, x is [b, in, …], W [in, out / groups, …].

    Where several sizes would have become this one `more` says how many places more than the fewest there are.
    """
    x, w, size = _kernel(call)
    moves, dims = _moves(call, size), len(size)
    places = _each(x.dims[2:], "places", dims, least=0)
    stride, dilation, before, after = (moves[name] for name in ("stride", "dilation", "before", "after"))
    more = _each(call.settings.get("more", 0), "more", dims, least=0)
    if any(m >= s for m, s in zip(more, stride, strict=True)):
        raise MisfitError(f"`more` is below the stride, {shape_text(stride)}: else there would be another place here")
    whole = tuple(
        (n - 1) * s + d * (k - 1) + 1 - b - a + m
        for n, s, d, k, b, a, m in zip(places, stride, dilation, size, before, after, more, strict=True)
    )
    if call.settings.get("padding") == "same":
        whole = tuple(n * s for n, s in zip(places, stride, strict=True))
    if min(whole) < 1:
        raise MisfitError(f"with that padding nothing is left of {shape_text(x.dims)}: it would be {shape_text(whole)}")
    made = call.tape.add("convolve_back", x.value, w.value, **moves, groups=_groups(call), places=whole)
    return Tensor(made, _labels(x, w.labels[1]))


def _window(call: Spoken) -> tuple[Tensor, Each, dict[str, Each]]:
    """The picture, the size of the window, and how it moves: side by side where nothing else is said."""
    value, given = call.two()
    x, dims = _picture(call, value)
    size = _each(given, "size", dims)
    return x, size, _moves(call, size, stride=size)


def _pool(call: Spoken) -> Tensor:
    """`window_max(x, 2)`, `window_sum(x, 2)`: the greatest, or the sum, of each window."""
    x, size, moves = _window(call)
    return Tensor(call.tape.add(call.name, x.value, size=size, **moves), x.labels)


def _enlarge(call: Spoken) -> Tensor:
    """`enlarge(x, 2)`: each place becomes so many, in each dim."""
    value, by = call.two()
    x, dims = _picture(call, value)
    size = _each(by, "by", dims)
    none = (0,) * dims
    places = tuple(n * k for n, k in zip(_each(x.dims[2:], "places", dims, least=0), size, strict=True))
    how: dict[str, Each] = {"size": size, "stride": size, "dilation": (1,) * dims, "before": none, "after": none}
    return Tensor(call.tape.add("window_spread", x.value, **how, places=places), x.labels)


def _shape(call: Spoken) -> Shape:
    """`window(x, 3)`: so many places in each dim of places of x, as the last dims of a kernel's weight."""
    value, size = call.two()
    _, dims = _picture(call, value)
    return Shape(_each(size, "size", dims), window_labels(dims))


def _places(call: Spoken) -> int | Size:
    """`window_size(x, 3)`: how many places a window of that size has: 9 in a picture of two dims."""
    value, size = call.two()
    _, dims = _picture(call, value)
    return math.prod(_each(size, "size", dims))


WORDS: dict[str, Word] = {
    "convolve": _convolve,
    "convolve_back": _convolve_back,
    "window_max": _pool,
    "window_sum": _pool,
    "enlarge": _enlarge,
    "window": _shape,
    "window_size": _places,
}

_MOVES: Sequence[str] = ("stride", "padding", "dilation")

SETTINGS: dict[str, tuple[str, ...]] = {
    "convolve": (*_MOVES, "groups"),
    "convolve_back": (*_MOVES, "groups", "more"),
    "window_max": tuple(_MOVES),
    "window_sum": tuple(_MOVES),
    "enlarge": (),
    "window": (),
    "window_size": (),
}
