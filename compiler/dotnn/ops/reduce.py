"""Operations that fold dims into one number. ``axes`` are the folded dims; ``keep`` leaves them in, with size 1."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn.graph import Dim, Type, multiply
from dotnn.operation import Gradients, MisfitError, Operation, elements, register
from dotnn.tape import Value


def folded(dims: Sequence[Dim], axes: Sequence[int], keep: bool) -> tuple[Dim, ...]:
    return tuple(1 if i in axes else d for i, d in enumerate(dims) if keep or i not in axes)


def _fold(x: Type, *, axes: tuple[int, ...], keep: bool) -> Type:
    if x.dtype == "bool":
        raise MisfitError("this takes numbers, not truth values")
    if any(not 0 <= a < x.rank for a in axes) or not axes:
        raise MisfitError(f"there is no such dim in {x}")
    return x.shaped(folded(x.dims, axes, keep))


def _of_input(result: Type, x: Type) -> int:
    return elements(x)


def spread(v: Value, like: Value, axes: Sequence[int], keep: bool) -> Value:
    """A folded value with the folded dims put back as size 1, so that it broadcasts against ``like``."""
    return v if keep else v.reshape(folded(like.dims, axes, keep=True))


def _sum(g: Value, y: Value, x: Value, *, axes: tuple[int, ...], keep: bool) -> Gradients:
    return [spread(g, x, axes, keep).expand(x.dims)]


def _mean(g: Value, y: Value, x: Value, *, axes: tuple[int, ...], keep: bool) -> Gradients:
    count = g.tape.size(multiply(x.dims[a] for a in axes), g.dtype)
    return [(spread(g, x, axes, keep) / count).expand(x.dims)]


def _real(x: Type, *, axes: tuple[int, ...], keep: bool) -> Type:
    if not x.is_float:
        raise MisfitError(f"this takes real numbers, not {x.dtype}")
    return _fold(x, axes=axes, keep=keep)


def _variance(g: Value, y: Value, x: Value, *, axes: tuple[int, ...], keep: bool) -> Gradients:
    # The mean moves with x too, but of a sum of differences from it nothing is left.
    count = g.tape.size(multiply(x.dims[a] for a in axes), g.dtype)
    return [spread(g, x, axes, keep) * (2 / count) * (x - spread(x.mean(axes), x, axes, keep=False))]


def _extreme(g: Value, y: Value, x: Value, *, axes: tuple[int, ...], keep: bool) -> Gradients:
    # Shared evenly among equals, so that the gradient does not depend on their order.
    hit = g.tape.add("eq", x, spread(y, x, axes, keep)).cast(g.dtype)
    return [spread(g, x, axes, keep) / hit.sum(axes, keep=True) * hit]


total = register(Operation("sum", _fold, _sum, _of_input, linear=(0,), doc="the sum over `axes`"))
mean = register(Operation("mean", _fold, _mean, _of_input, linear=(0,), doc="the mean over `axes`"))
variance = register(
    Operation(
        "variance",
        _real,
        _variance,
        lambda result, x: 4 * elements(x),
        doc="the mean of (x - mean)^2 over `axes`: divided by how many there are, not by one fewer",
    )
)
greatest = register(
    Operation("max", _fold, _extreme, _of_input, doc="the greatest over `axes`; equals share the gradient")
)
least = register(
    Operation("min", _fold, _extreme, _of_input, doc="the smallest over `axes`; equals share the gradient")
)


def _argmax(x: Type, *, axis: int) -> Type:
    if not 0 <= axis < x.rank:
        raise MisfitError(f"there is no such dim in {x}")
    return Type(dtype="i64", dims=folded(x.dims, (axis,), keep=False))


argmax = register(
    Operation("argmax", _argmax, None, _of_input, doc="where the greatest stands along `axis`, the first of equals")
)


def _cumulate(x: Type, *, axis: int, back: bool) -> Type:
    if x.dtype == "bool":
        raise MisfitError("this takes numbers, not truth values")
    if not 0 <= axis < x.rank:
        raise MisfitError(f"there is no such dim in {x}")
    return x


def _cumulate_gradient(g: Value, y: Value, x: Value, *, axis: int, back: bool) -> Gradients:
    return [cumulate(g, axis=axis, back=not back)]


cumulate = register(
    Operation(
        "cumulate",
        _cumulate,
        _cumulate_gradient,
        linear=(0,),
        doc="y[k] = x[0] + … + x[k] along `axis`; with `back` the sum from k to the end",
    )
)
