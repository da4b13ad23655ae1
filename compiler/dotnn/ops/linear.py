"""Matrix products."""

from __future__ import annotations

from dotnn.graph import Type, multiply
from dotnn.operation import Gradients, MisfitError, Operation, broadcast, elements, register, shape_text
from dotnn.tape import Value


def _matmul(a: Type, b: Type) -> Type:
    if a.dtype != b.dtype:
        raise MisfitError(f"{a.dtype} and {b.dtype} do not mix")
    if a.rank < 2 or b.rank < 2:
        raise MisfitError(f"`@` takes matrices, not {shape_text(a.dims)} and {shape_text(b.dims)}")
    if a.dims[-1] != b.dims[-2]:
        raise MisfitError(
            f"{shape_text(a.dims)} @ {shape_text(b.dims)} does not fit: "
            f"the last size of the first, {a.dims[-1]}, is not the last but one of the second, {b.dims[-2]}"
        )
    return Type(dtype=a.dtype, dims=(*broadcast(a.dims[:-2], b.dims[:-2]), a.dims[-2], b.dims[-1]))


def _gradient(g: Value, y: Value, a: Value, b: Value) -> Gradients:
    if b.type.rank == 2 and a.type.rank > 2:
        # One product over all rows instead of one a batch and a sum over them.
        rows = multiply(a.dims[:-1])
        return [g @ b.T, a.reshape((rows, a.dims[-1])).T @ g.reshape((rows, g.dims[-1]))]
    return [g @ b.T, a.T @ g]


def _cost(result: Type, a: Type, b: Type) -> int:
    return 2 * elements(result) * elements(Type(dtype=a.dtype, dims=a.dims[-1:]))


matmul = register(
    Operation(
        "matmul",
        _matmul,
        _gradient,
        _cost,
        linear=(0, 1),
        narrows=True,
        doc="y[…, i, j] = sum over k of a[…, i, k] * b[…, k, j]",
    )
)
