"""How far each operation looks: one rule each, from what is seen in its inputs to what is seen in its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.generate.axes import Axis, reshaped
from dotnn.generate.seen import (
    HIDDEN,
    LARGEST,
    UNKNOWN,
    Fixed,
    Place,
    Reach,
    Seen,
    folded,
    measured,
    nothing,
    shifted,
    together,
    under,
)
from dotnn.graph import Node

# ---- one rule an operation


def each_by_itself(place: Place) -> Seen | None:
    fixed, compute = place.fixed(), NUMBERS.get(place.node.op)
    if fixed is not None and compute is not None:
        with np.errstate(all="ignore"):
            return Fixed(np.asarray(compute(place.node, *fixed)))
    axes, lasts, knowns = together(place, [t.rank for t in place.types], place.node.type.rank)
    last = _most(lasts)
    known = np.full(last.shape, UNKNOWN)
    with np.errstate(all="ignore"):
        if compute is not None:
            sure = ~np.logical_or.reduce(np.broadcast_arrays(*(np.isnan(k) for k in knowns)))
            known = np.where(sure, np.asarray(compute(place.node, *knowns), np.float64), UNKNOWN)
        special = SPECIAL.get(place.node.op)
        if special is not None:
            last, known = special(lasts, knowns, last, known)
    last = np.where(np.isfinite(known), -1, last).astype(np.int32)
    shape = tuple(a.size for a in axes)
    return Reach(axes, np.broadcast_to(last, shape), np.broadcast_to(known, shape))


def _most(arrays: Sequence[Array]) -> Array:
    found = arrays[0]
    for array in arrays[1:]:
        found = np.maximum(found, array)
    return found


Special = Callable[[Sequence[Array], Sequence[Array], Array, Array], tuple[Array, Array]]


def _times(lasts: Sequence[Array], knowns: Sequence[Array], last: Array, known: Array) -> tuple[Array, Array]:
    a, b = np.broadcast_arrays(*knowns)
    return last, np.where((a == 0) | (b == 0), 0.0, known)


def _lowered(lasts: Sequence[Array], knowns: Sequence[Array], last: Array, known: Array) -> tuple[Array, Array]:
    a, b = np.broadcast_arrays(*knowns)
    down = (np.isnan(a) & (b <= HIDDEN)) | (np.isnan(b) & (a <= HIDDEN))
    return last, np.where(down, -math.inf, known)


def _reduced(lasts: Sequence[Array], knowns: Sequence[Array], last: Array, known: Array) -> tuple[Array, Array]:
    a, b = np.broadcast_arrays(*knowns)
    return last, np.where(np.isnan(a) & (b >= -HIDDEN), -math.inf, known)


def _either(lasts: Sequence[Array], knowns: Sequence[Array], last: Array, known: Array) -> tuple[Array, Array]:
    a, b = np.broadcast_arrays(*knowns)
    return last, np.where((a == 1) | (b == 1), 1.0, known)


def _chosen(lasts: Sequence[Array], knowns: Sequence[Array], last: Array, known: Array) -> tuple[Array, Array]:
    c, a, b = np.broadcast_arrays(*knowns)
    first, second = np.broadcast_to(lasts[1], last.shape), np.broadcast_to(lasts[2], last.shape)
    found = np.where(c == 1, first, np.where(c == 0, second, last))
    return found, np.where(c == 1, a, np.where(c == 0, b, np.where(a == b, a, UNKNOWN)))


SPECIAL: dict[str, Special] = {
    "mul": _times,
    "and": _times,
    "or": _either,
    "add": _lowered,
    "sub": _reduced,
    "select": _chosen,
}


def _cast(node: Node, x: Array) -> Array:
    made: Array = x != 0 if node.type.dtype == "bool" else x if node.type.is_float else np.trunc(x)
    return made


NUMBERS: dict[str, Callable[..., Any]] = {
    "add": lambda node, a, b: a + b,
    "sub": lambda node, a, b: a - b,
    "mul": lambda node, a, b: a * b,
    "div": lambda node, a, b: a / b if node.type.is_float else np.trunc(a / b),
    "mod": lambda node, a, b: np.mod(a, b),
    "pow": lambda node, a, b: np.power(np.asarray(a, np.float64), b),
    "maximum": lambda node, a, b: np.maximum(a, b),
    "minimum": lambda node, a, b: np.minimum(a, b),
    "neg": lambda node, x: -x,
    "abs": lambda node, x: np.abs(x),
    "sign": lambda node, x: np.sign(x),
    "floor": lambda node, x: np.floor(x),
    "round": lambda node, x: np.round(x),
    "exp": lambda node, x: np.exp(x),
    "log": lambda node, x: np.log(x),
    "sqrt": lambda node, x: np.sqrt(x),
    "sin": lambda node, x: np.sin(x),
    "cos": lambda node, x: np.cos(x),
    "eq": lambda node, a, b: a == b,
    "ne": lambda node, a, b: a != b,
    "lt": lambda node, a, b: a < b,
    "le": lambda node, a, b: a <= b,
    "gt": lambda node, a, b: a > b,
    "ge": lambda node, a, b: a >= b,
    "and": lambda node, a, b: (a != 0) & (b != 0),
    "or": lambda node, a, b: (a != 0) | (b != 0),
    "not": lambda node, x: x == 0,
    "select": lambda node, c, a, b: np.where(c != 0, a, b),
    "cast": _cast,
    "stop": lambda node, x: x,
    "narrow": lambda node, x: x,
}


def _source(place: Place) -> Seen | None:
    match place.node.op:
        case "literal":
            return Fixed(np.asarray(place.attribute("value"), np.float64))
        case "iota":
            dim = place.attribute("dim")
            return Fixed(np.arange(dim)) if isinstance(dim, int) and dim <= LARGEST else nothing()
        case "array":
            return Fixed(np.asarray(place.attribute("values"), np.float64).reshape(place.attribute("dims")))
    return nothing()


def _reshape(place: Place) -> Seen | None:
    fixed = place.fixed()
    if fixed is not None:
        return Fixed(fixed[0].reshape([d if isinstance(d, int) else 1 for d in place.node.type.dims]))
    seen = place.followed()
    before, after = place.types[0].dims, place.node.type.dims
    moved = [reshaped(axis, before, after) for axis in seen.axes]
    lost = tuple(i for i, axis in enumerate(moved) if axis is None)
    last = seen.last.max(axis=lost) if lost else seen.last
    known = np.full(last.shape, UNKNOWN) if lost else seen.known
    return Reach(tuple(axis for axis in moved if axis is not None), last, known)


def _transpose(place: Place) -> Seen | None:
    order = place.attribute("order")
    fixed = place.fixed()
    if fixed is not None:
        return Fixed(fixed[0].transpose(order))
    seen = place.followed()
    return Reach(tuple(a.at(order.index(a.dim)) for a in seen.axes), seen.last, seen.known)


def _expand(place: Place) -> Seen | None:
    fixed = place.fixed()
    if fixed is not None:
        return Fixed(np.broadcast_to(fixed[0], [d if isinstance(d, int) else 1 for d in place.node.type.dims]))
    seen = place.followed()
    wide = tuple(i for i, d in enumerate(place.types[0].dims) if d == 1)
    kept = seen if not any(a.dim in wide for a in seen.axes) else folded(seen, wide)
    return Reach(shifted(kept.axes, place.node.type.rank - place.types[0].rank), kept.last, kept.known)


def _fold(place: Place) -> Seen | None:
    gone: Any = place.node.attributes.get("axes", (place.node.attributes.get("axis"),))
    seen = folded(place.followed(), gone)
    if place.node.attributes.get("keep"):
        return seen
    return Reach(tuple(a.at(a.dim - sum(g < a.dim for g in gone)) for a in seen.axes), seen.last, seen.known)


def _last_dim(place: Place) -> tuple[Reach, Array, Array, tuple[int, ...]]:
    """The input, which of it is hidden, how far what is seen looks along the last dim, and the axes in that."""
    seen = place.followed()
    here = tuple(i for i, a in enumerate(seen.axes) if a.dim == place.types[0].rank - 1)
    hidden = seen.known <= HIDDEN
    if here:
        hidden = hidden & ~hidden.all(axis=here, keepdims=True)
    shown = np.where(hidden, -1, seen.last)
    return seen, hidden, shown.max(axis=here, keepdims=True) if here else shown, here


def _softmax(place: Place) -> Seen | None:
    seen, hidden, most, here = _last_dim(place)
    if not here:
        return Reach(seen.axes, seen.last, np.full(seen.last.shape, UNKNOWN))
    if place.node.op != "softmax":
        hidden = np.zeros_like(hidden)
    last = np.where(hidden, -1, np.broadcast_to(most, seen.last.shape))
    return Reach(seen.axes, last.astype(np.int32), np.where(hidden, 0.0, UNKNOWN))


def _logsumexp(place: Place) -> Seen | None:
    seen, _, most, here = _last_dim(place)
    last = most.max(axis=here) if here else most
    axes = tuple(a for i, a in enumerate(seen.axes) if i not in here)
    return Reach(axes, last, np.full(last.shape, UNKNOWN))


def _normalise(place: Place) -> Seen | None:
    return folded(place.followed(), [place.types[0].rank - 1])


def _matmul(place: Place) -> Seen | None:
    """a[…, i, k, 1] * b[…, 1, k, j], added up over k."""
    fixed = place.fixed()
    if fixed is not None:
        return Fixed(fixed[0].astype(np.float64) @ fixed[1].astype(np.float64))
    (a, b), (left, right) = place.inputs, place.types
    rank = place.node.type.rank + 1
    a = Fixed(a.numbers[..., None]) if isinstance(a, Fixed) else a
    if isinstance(b, Fixed):
        b = Fixed(b.numbers[..., None, :, :])
    else:
        b = Reach(tuple(x.at(x.dim + (x.dim >= right.rank - 2)) for x in b.axes), b.last, b.known)
    frame = Place(place.node, [a, b], place.types, place.length)
    axes, lasts, knowns = together(frame, [left.rank + 1, right.rank + 1], rank)
    p, q = np.broadcast_arrays(*knowns)
    last = np.where((p == 0) | (q == 0), -1, _most(lasts))
    shape = tuple(x.size for x in axes)
    whole = Reach(axes, np.broadcast_to(last, shape), np.full(shape, UNKNOWN))
    summed = folded(whole, [rank - 2])
    return Reach(tuple(x.at(x.dim - (x.dim > rank - 2)) for x in summed.axes), summed.last, summed.known)


def _gather(place: Place) -> Seen | None:
    table, index = place.inputs
    rank = place.types[1].rank
    if isinstance(table, Fixed) and isinstance(index, Fixed) and measured(place.node.type.dims) <= LARGEST:
        return Fixed(table.numbers[index.numbers.astype(np.int64)])
    reach = place.followed(0)
    front = next((i for i, a in enumerate(reach.axes) if a.dim == 0), None)
    if isinstance(index, Fixed) and rank == 1 and front is not None and reach.axes[front].alone:
        order = index.numbers.astype(np.int64)
        axes = tuple(Axis(0, len(order)) if i == front else a for i, a in enumerate(reach.axes))
        return Reach(axes, reach.last.take(order, front), reach.known.take(order, front))
    rows = folded(reach, [0])
    rows = Reach(shifted(rows.axes, rank - 1), rows.last, rows.known)
    found = place.followed(1)
    return _met(place, rows, found)


def _met(place: Place, first: Reach, second: Reach) -> Reach:
    """Two that are under the result's dims already; nothing is known of the number."""
    rank = place.node.type.rank
    frame = Place(place.node, [first, second], place.types, place.length)
    axes, lasts, _ = together(frame, [rank, rank], rank)
    last = np.broadcast_to(_most(lasts), tuple(a.size for a in axes))
    return Reach(axes, last, np.full(last.shape, UNKNOWN))


def _pick(place: Place) -> Seen | None:
    return _met(place, folded(place.followed(0), [place.types[0].rank - 1]), place.followed(1))


def _place(place: Place) -> Seen | None:
    return _met(place, place.followed(0), place.followed(1))


def _take(place: Place) -> Seen | None:
    axis = place.attribute("axis")
    return _met(place, folded(place.followed(0), [axis]), folded(place.followed(1), [axis]))


def _argsort(place: Place) -> Seen | None:
    return folded(place.followed(), [place.attribute("axis")])


def _simple(seen: Reach, dim: int) -> int | None:
    """The number of the axis that is the whole of this dim."""
    return next((i for i, a in enumerate(seen.axes) if a.dim == dim and a.alone), None)


def _cumulate(place: Place) -> Seen | None:
    seen, axis = place.followed(), place.attribute("axis")
    number = _simple(seen, axis)
    if number is None:
        return folded(seen, [axis])
    turned = np.flip(seen.last, number) if place.attribute("back") else seen.last
    found = np.maximum.accumulate(turned, axis=number)
    found = np.flip(found, number) if place.attribute("back") else found
    return Reach(seen.axes, found, np.full(found.shape, UNKNOWN))


def _slice(place: Place) -> Seen | None:
    axis, start, stop = (place.attribute(name) for name in ("axis", "start", "stop"))
    fixed = place.fixed()
    if fixed is not None:
        return Fixed(fixed[0].take(range(start, stop), axis))
    seen = place.followed()
    if not any(a.dim == axis for a in seen.axes):
        return seen
    number = _simple(seen, axis)
    if number is None:
        return folded(seen, [axis])
    axes = tuple(Axis(axis, stop - start) if i == number else a for i, a in enumerate(seen.axes))
    return Reach(axes, seen.last.take(range(start, stop), number), seen.known.take(range(start, stop), number))


def _pad(place: Place) -> Seen | None:
    axis, before, after = (place.attribute(name) for name in ("axis", "before", "after"))
    seen = place.followed()
    number = _simple(seen, axis)
    if number is None:
        return folded(seen, [axis])
    width = [(before, after) if i == number else (0, 0) for i in range(len(seen.axes))]
    size = seen.axes[number].size + before + after
    axes = tuple(Axis(axis, size) if i == number else a for i, a in enumerate(seen.axes))
    return Reach(axes, np.pad(seen.last, width, constant_values=-1), np.pad(seen.known, width))


def _concat(place: Place) -> Seen | None:
    axis = place.attribute("axis")
    fixed = place.fixed()
    if fixed is not None:
        return Fixed(np.concatenate(fixed, axis))
    sizes = [t.dims[axis] for t in place.types]
    along_it = any(isinstance(x, Reach) and _simple(x, axis) is not None for x in place.inputs)
    if not along_it or not all(isinstance(s, int) for s in sizes):
        merged: Reach | None = None
        for number in range(len(place.inputs)):
            part = folded(place.followed(number), [axis])
            merged = part if merged is None else _met(place, merged, part)
        return merged
    others: list[Axis] = []
    for number in range(len(place.inputs)):
        others += [a for a in place.followed(number).axes if a.dim != axis and a not in others]
    lasts, knowns = [], []
    for seen, size in zip(place.inputs, sizes, strict=True):
        axes = [Axis(axis, int(size)), *others]
        last, known = under(seen, axes)
        shape = tuple(a.size for a in axes)
        lasts.append(np.broadcast_to(last, shape))
        knowns.append(np.broadcast_to(known, shape))
    whole = Axis(axis, sum(int(s) for s in sizes))
    return Reach((whole, *others), np.concatenate(lasts), np.concatenate(knowns))


def _convolve(place: Place) -> Seen | None:
    """Each place sees those in its window."""
    seen, kernel = place.followed(0), place.followed(1)
    last, axes = seen.last, list(seen.axes)
    for number, axis in enumerate(seen.axes):
        if axis.dim < 2:
            continue
        if not axis.alone:
            return None
        size, one = place.types[1].dims[axis.dim], axis.dim - 2
        stride, dilation, before = (place.attribute(name)[one] for name in ("stride", "dilation", "before"))
        count = place.node.type.dims[axis.dim]
        assert isinstance(size, int)
        assert isinstance(count, int)
        found = []
        for p in range(count):
            ks = [stride * p + dilation * k - before for k in range(size)]
            inside = [k for k in ks if 0 <= k < axis.size]
            shape = tuple(1 if i == number else n for i, n in enumerate(last.shape))
            most = last.take(inside, number).max(axis=number, keepdims=True) if inside else np.full(shape, -1)
            found.append(most)
        last = np.concatenate(found, axis=number)
        axes[number] = Axis(axis.dim, count)
    last = np.maximum(last, kernel.furthest).astype(np.int32)
    return folded(Reach(tuple(axes), last, np.full(last.shape, UNKNOWN)), [1])


def _scan(place: Place) -> Seen | None:
    """Forward, what a step gives is made of what it and the steps before it see; from `final` all of it."""
    carried, scanned = place.attribute("carried"), place.attribute("scanned")
    steps = place.attribute("dim")
    always, own = -1, np.full(steps if isinstance(steps, int) else 1, -1, np.int32)
    for number in range(len(place.inputs)):
        seen = place.followed(number)
        front = _simple(seen, 0) if carried <= number < carried + scanned else None
        if front is None or seen.axes[front].size != len(own):
            always = max(always, seen.furthest)
        else:
            others = tuple(i for i in range(len(seen.axes)) if i != front)
            own = np.maximum(own, seen.last.max(axis=others))
    back = place.attribute("back")
    reached = np.maximum.accumulate(own[::-1] if back else own)
    reached = np.maximum(reached[::-1] if back else reached, always).astype(np.int32)
    if place.attribute("final") or not isinstance(steps, int):
        return nothing(int(reached.max()))
    return Reach((Axis(0, steps),), reached, np.full(steps, UNKNOWN))


Rule = Callable[[Place], Seen | None]

RULES: dict[str, Rule] = {
    **dict.fromkeys(("literal", "iota", "array", "size", "random", "derive_key"), _source),
    "reshape": _reshape,
    "transpose": _transpose,
    "expand": _expand,
    **dict.fromkeys(("sum", "mean", "variance", "max", "min", "argmax"), _fold),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    "logsumexp": _logsumexp,
    **dict.fromkeys(("normalise", "precision"), _normalise),
    "matmul": _matmul,
    "gather": _gather,
    "pick": _pick,
    "place": _place,
    **dict.fromkeys(("take", "put"), _take),
    "argsort": _argsort,
    "cumulate": _cumulate,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "convolve": _convolve,
    "scan": _scan,
}
