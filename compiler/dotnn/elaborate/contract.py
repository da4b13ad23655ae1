"""Tensors whose dims have names, multiplied and summed: each dim is known by its index alone, wherever it stands.

A product of two in which something is summed is one matrix product. With the indices of a and b in four groups, those
that both have and that stay (batch), a's own, b's own, and those that both have and that go (summed):

    a -> [batch, own, summed]      b -> [batch, summed, own]      a @ b -> [batch, own of a, own of b]
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from dotnn.elaborate.arithmetic import combine, joint, tensor
from dotnn.elaborate.values import Tensor
from dotnn.graph import Dim, Type, multiply
from dotnn.operation import elements
from dotnn.tape import Tape


class Order:
    """The indices of an equation in one order: those of the left side, then the others as they are met."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, label: str | None) -> int:
        return self._places.setdefault(str(label), len(self._places))

    def sorted(self, value: Tensor) -> Tensor:
        """The tensor with its dims in this order."""
        order = sorted(range(value.rank), key=lambda i: self.place(value.labels[i]))
        return Tensor(value.value.transpose(order), tuple(value.labels[i] for i in order), value.bound)


def lacking(value: Tensor, left: Collection[str]) -> list[str]:
    """The indices of a tensor that are not among these."""
    return [label for label in value.labels if label and label not in left]


def arrange(value: Tensor, left: Sequence[str], dims: Sequence[Dim]) -> Tensor:
    """The tensor under exactly these indices: repeated along those that it has not."""
    order = [value.labels.index(name) for name in left if name in value.labels]
    shape = [d if name in value.labels else 1 for name, d in zip(left, dims, strict=True)]
    made = value.value.transpose(order).reshape(shape).expand(dims)
    return Tensor(made, tuple(left), value.bound)


def outer(order: Order, values: Sequence[Any]) -> list[Any]:
    """Values that meet number by number, with a size of 1 for each index that another has in their midst.

    They stay as they are where one of them has the indices of all: then labels alone align them.
    """
    tensors = [v for v in values if isinstance(v, Tensor) and v.rank]
    union = sorted({label for t in tensors for label in t.labels if label}, key=order.place)
    if any(set(union) <= set(t.labels) for t in tensors):
        return list(values)
    return [_spread(order.sorted(v), union) if isinstance(v, Tensor) and v.rank else v for v in values]


def _spread(value: Tensor, union: Sequence[str]) -> Tensor:
    sizes = dict(zip(value.labels, value.dims, strict=True))
    dims = [sizes.get(label, 1) for label in union]
    labels = tuple(label if label in sizes else None for label in union)
    return Tensor(value.value.reshape(dims), labels, value.bound)


def contract(tape: Tape, factors: Sequence[Tensor], order: Order, keep: Sequence[str]) -> Tensor:
    """The product of the factors, summed over every index that is not to be kept."""
    left = [_as_laid(tape, factor) for factor in factors]
    while True:
        left = [_summed(tape, f, {*keep, *_labels([*left[:i], *left[i + 1 :]])}) for i, f in enumerate(left)]
        if len(left) == 1:
            return left[0]
        first, second = _cheapest(left, keep)
        others = [f for i, f in enumerate(left) if i not in (first, second)]
        wanted = {*keep, *_labels(others)}
        left = [*others[:first], _pair(tape, left[first], left[second], order, wanted), *others[first:]]


def _as_laid(tape: Tape, value: Tensor) -> Tensor:
    """The tensor with its dims as they lie in memory: what need not be moved is not."""
    maker = tape.node(value.value)
    if maker is None or maker.op != "transpose":
        return value
    order = cast("tuple[int, ...]", maker.attributes["order"])
    labels = tuple(value.labels[order.index(i)] for i in range(value.rank))
    return _as_laid(tape, Tensor(tape.values[maker.inputs[0]], labels, value.bound))


def _labels(tensors: Sequence[Tensor]) -> set[str]:
    return {label for t in tensors for label in t.labels if label}


def _summed(tape: Tape, value: Tensor, wanted: Collection[str]) -> Tensor:
    axes = tuple(i for i, label in enumerate(value.labels) if label not in wanted)
    if not axes:
        return value
    numbers = tensor(tape, value, joint(value, at_least="i64"))
    return Tensor(numbers.value.sum(axes), tuple(label for label in value.labels if label in wanted))


def _cheapest(factors: Sequence[Tensor], keep: Sequence[str]) -> tuple[int, int]:
    """The two factors whose product is the smallest, the first of equals."""
    pairs = [(i, j) for j in range(len(factors)) for i in range(j)]

    def size(pair: tuple[int, int]) -> int:
        others = _labels([f for i, f in enumerate(factors) if i not in pair])
        sizes = {label: d for i in pair for label, d in zip(factors[i].labels, factors[i].dims, strict=True)}
        dims = tuple(d for label, d in sizes.items() if label in keep or label in others)
        return elements(Type(dtype="f32", dims=dims))

    return min(pairs, key=lambda pair: (size(pair), pair))


def _pair(tape: Tape, a: Tensor, b: Tensor, order: Order, wanted: Collection[str]) -> Tensor:
    both = sorted((label for label in a.labels if label in b.labels), key=order.place)
    summed = [label for label in both if label not in wanted]
    batch = [label for label in both if label in wanted]
    own_a, own_b = _own(a, b, order, wanted), _own(b, a, order, wanted)
    if not summed or (not own_a and not own_b):  # a dot product of rows: a matrix product would be one for each
        made = combine(tape, "*", *outer(order, [a, b]))
        return _summed(tape, order.sorted(made), wanted)
    if own_a and own_b and order.place(own_b[0]) < order.place(own_a[0]):
        a, b, own_a, own_b = b, a, own_b, own_a
    dtype = joint(a, b, at_least="i64")
    a, b = tensor(tape, a, dtype), tensor(tape, b, dtype)
    sizes: dict[Any, Dim] = dict(zip((*a.labels, *b.labels), (*a.dims, *b.dims), strict=True))
    rows = [own_a] if batch else [[label] for label in own_a] or [[]]
    left = _grouped(a, [*([label] for label in batch), *rows, summed])
    right = _grouped(b, [*([label] for label in batch), summed, own_b])
    labels = (*batch, *own_a, *own_b)
    made = (left.value @ right.value).reshape([sizes[label] for label in labels])
    return order.sorted(Tensor(made, labels))


def _own(value: Tensor, other: Tensor, order: Order, wanted: Collection[str]) -> list[Any]:
    """The indices of its own, in the order of the equation; as they lie where it is larger than what is made of it."""
    own = [label for label in value.labels if label not in other.labels]
    made = [dim for label, dim in zip(value.labels, value.dims, strict=True) if label in wanted]
    made += [
        dim
        for label, dim in zip(other.labels, other.dims, strict=True)
        if label not in value.labels and label in wanted
    ]
    have, becomes = (elements(Type(dtype="f32", dims=tuple(dims))) for dims in (value.dims, made))
    return own if have > becomes else sorted(own, key=order.place)


def _grouped(value: Tensor, groups: Sequence[Sequence[Any]]) -> Tensor:
    """The tensor with one dim for each group of its indices."""
    order = [value.labels.index(label) for group in groups for label in group]
    sizes = dict(zip(value.labels, value.dims, strict=True))
    dims = [multiply(sizes[label] for label in group) for group in groups]
    return Tensor(value.value.transpose(order).reshape(dims), (None,) * len(dims))
