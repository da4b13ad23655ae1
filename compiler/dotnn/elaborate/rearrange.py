"""Words that join tensors, cut them, and give their dims another form. No number changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dotnn.elaborate.arithmetic import LabelsDifferError, joint, tensor
from dotnn.elaborate.spoken import Spoken, Word, without
from dotnn.elaborate.values import Label, Shape, Tensor
from dotnn.graph import Dim, multiply
from dotnn.operation import MisfitError, shape_text

MOST_PARTS = 10_000


def _parts(call: Spoken) -> list[Tensor]:
    """What is joined, in one type; with labels in the order of the first, where all have the same."""
    given = list(_flat(call.arguments))
    if not given:
        raise MisfitError(f"`{call.name}` joins tensors, and none is given: {call.name}(a, b)")
    dtype = joint(*given)
    made = [tensor(call.tape, value, dtype) for value in given]
    return [made[0], *(_in_order(part, made[0]) for part in made[1:])]


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    """The values, those of a list (`split` gives one) among them."""
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


def _in_order(part: Tensor, first: Tensor) -> Tensor:
    named = [label for label in first.labels if label]
    if part.labels == first.labels or len(named) < first.rank or sorted(map(str, part.labels)) != sorted(named):
        return part
    order = [part.labels.index(label) for label in named]
    return Tensor(part.value.transpose(order), first.labels)


def _common(parts: Sequence[Tensor], free: int | None = None) -> tuple[Label, ...]:
    """The labels of tensors that are joined. Along the dim ``free`` they may differ; then it has none."""
    labels = list(parts[0].labels)
    for part in parts[1:]:
        if part.rank != len(labels):
            raise MisfitError(f"{shape_text(part.dims)} and {shape_text(parts[0].dims)} have not as many dims")
        for i, label in enumerate(part.labels):
            mine = labels[i]
            if mine and label and mine != label:
                if i != free:
                    raise LabelsDifferError(mine, label)
                labels[i] = None
            elif i != free:
                labels[i] = mine or label
    return tuple(labels)


def _concat(call: Spoken) -> Tensor:
    """`concat(a, b, over = c)`: one after the other along a dim, the last without `over`."""
    parts = _parts(call)
    axis = call.axis(parts[0])
    labels = _common(parts, axis)
    return Tensor(call.tape.add("concat", *(p.value for p in parts), axis=axis), labels)


def _stack(call: Spoken) -> Tensor:
    """`stack(a, b)`: beside each other along a new dim, the last; `over = part` gives it that name."""
    parts = _parts(call)
    labels, first = _common(parts), parts[0]
    label = call.settings.get("over")
    label = None if label == (-1,) else label
    if label is not None and not isinstance(label, str):
        raise MisfitError("`stack` makes a new last dim, and `over` gives it a name: stack(a, b, over = part)")
    if label is not None and label in labels:
        raise MisfitError(f"`{label}` names a dim of these already: give the new one another name")
    if any(part.dims != first.dims for part in parts):
        listed = " and ".join(dict.fromkeys(shape_text(part.dims) for part in parts))
        raise MisfitError(f"{listed} cannot be stacked: the sizes differ")
    columns = [part.value.reshape((*part.dims, 1)) for part in parts]
    return Tensor(call.tape.add("concat", *columns, axis=first.rank), (*labels, label))


def _cuts(call: Spoken, x: Tensor, axis: int, count: int) -> list[Tensor]:
    here = x.dims[axis]
    assert isinstance(here, int)
    if count > MOST_PARTS:
        raise MisfitError(f"this makes {count:,} parts, and the most are {MOST_PARTS:,}")
    step = here // count
    starts = range(0, here, step) if step else ()
    values = [call.tape.add("slice", x.value, axis=axis, start=at, stop=at + step) for at in starts]
    return [Tensor(value, x.labels, x.bound) for value in (values if count > 1 else [x.value])]


def _fixed(x: Tensor, axis: int) -> int:
    here = x.dims[axis]
    if not isinstance(here, int):
        raise MisfitError(f"dim {here} cannot be cut: its size is known only when the graph runs")
    return here


def _split(call: Spoken) -> tuple[Tensor, ...]:
    """`split(x, 4)`: four equal chunks of the last dim, or of the one that `over` names."""
    value, count = call.two()
    x = tensor(call.tape, value)
    axis = call.axis(x)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise MisfitError("`split` takes a tensor and into how many chunks it is cut: split(x, 4)")
    here = _fixed(x, axis)
    if here % count:
        raise MisfitError(f"{here} does not divide into {count} equal chunks")
    return tuple(_cuts(call, x, axis, count))


def _unstack(call: Spoken) -> tuple[Tensor, ...]:
    """`unstack(x, over = part)`: the slices along a dim, without it."""
    x = tensor(call.tape, call.one())
    axis = call.axis(x)
    count = _fixed(x, axis)
    if count == 0:
        raise MisfitError(f"there are no slices of {shape_text(x.dims)} along a dim of size 0")
    dims, labels = (*x.dims[:axis], *x.dims[axis + 1 :]), without(x.labels, (axis,))
    return tuple(Tensor(part.value.reshape(dims), labels, x.bound) for part in _cuts(call, x, axis, count))


def _unfold(call: Spoken) -> Tensor:
    """`unfold(x, [head = heads, e])`: the last dim, or the one that `over` names, split into these."""
    value, into = call.two()
    if not isinstance(into, Shape):
        raise MisfitError("`unfold` takes a tensor and a list of dims: unfold(x, [head = 4, e])")
    x = tensor(call.tape, value)
    axis = call.axis(x)
    if multiply(into.dims) != x.dims[axis]:
        raise MisfitError(f"{x.dims[axis]} does not unfold into {shape_text(into.dims)}, which is {_product(into)}")
    labels = [*x.labels[:axis], *into.labels, *x.labels[axis + 1 :]]
    twice = next((label for i, label in enumerate(labels) if label and label in labels[:i]), None)
    if twice:
        raise MisfitError(f"`{twice}` would name two dims of this: give one of them another name")
    return Tensor(x.value.reshape((*x.dims[:axis], *into.dims, *x.dims[axis + 1 :])), tuple(labels), x.bound)


def _product(shape: Shape) -> Dim:
    return multiply(shape.dims)


def _fold(call: Spoken) -> Tensor:
    """`fold(x, [head, e])`: these dims merged into one, where the first of them stands."""
    if len(call.arguments) == 1 and "over" in call.settings:
        x, merged = tensor(call.tape, call.arguments[0]), None
    else:
        value, merged = call.arguments if len(call.arguments) == 2 else (None, None)
        if not isinstance(value, Tensor) or not isinstance(merged, Shape):
            raise MisfitError("`fold` takes a tensor and a list of its last dims: fold(x, [h, w])")
        x = value
    axes = _merged_axes(call, x, merged)
    if not axes:
        return Tensor(x.value.reshape((*x.dims, 1)), (*x.labels, None), x.bound)
    first = min(axes)
    before = [i for i in range(first) if i not in axes]
    after = [i for i in range(first, x.rank) if i not in axes]
    moved = x.value.transpose((*before, *axes, *after))
    dims = (*(x.dims[i] for i in before), multiply(x.dims[i] for i in axes), *(x.dims[i] for i in after))
    labels = (*(x.labels[i] for i in before), None, *(x.labels[i] for i in after))
    return Tensor(moved.reshape(dims), labels, x.bound)


def _merged_axes(call: Spoken, x: Tensor, merged: Shape | None) -> tuple[int, ...]:
    """Which dims `fold` merges, in which order: those that `over` or the list names, else the last ones."""
    if "over" in call.settings:
        axes = call.axes(x, ())
        if merged is not None and tuple(x.dims[i] for i in axes) != merged.dims:
            found = shape_text([x.dims[i] for i in axes])
            raise MisfitError(f"the dims that `over` names are {found}, not {shape_text(merged.dims)}")
        return axes
    assert merged is not None
    if merged.labels and all(label is not None and label in x.labels for label in merged.labels):
        return tuple(x.labels.index(label) for label in merged.labels)
    keep = x.rank - len(merged.dims)
    if keep < 0 or x.dims[keep:] != merged.dims:
        raise MisfitError(f"the last dims of {shape_text(x.dims)} are not {shape_text(merged.dims)}")
    return tuple(range(keep, x.rank))


WORDS: dict[str, Word] = {
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "unstack": _unstack,
    "unfold": _unfold,
    "fold": _fold,
}

SETTINGS: dict[str, tuple[str, ...]] = dict.fromkeys(WORDS, ("over",))
