"""Values out of nothing: numbers, sizes, counting."""

from __future__ import annotations

from dotnn.graph import Dim, Dtype, Type
from dotnn.operation import Operation, register


def _literal(*, value: float, dtype: Dtype) -> Type:
    return Type(dtype=dtype)


def _size(*, dim: Dim, dtype: Dtype) -> Type:
    return Type(dtype=dtype)


def _iota(*, dim: Dim) -> Type:
    return Type(dtype="i64", dims=(dim,))


def _array(*, values: tuple[float, ...], dims: tuple[int, ...], dtype: Dtype) -> Type:
    return Type(dtype=dtype, dims=dims)


literal = register(Operation("literal", _literal, doc="The number `value`, of type `dtype`, without dims."))
array = register(Operation("array", _array, doc="The numbers `values` in rows, under `dims`: what was fitted on data."))
size = register(Operation("size", _size, doc="The size `dim` as a number, known when the graph runs."))
iota = register(Operation("iota", _iota, doc="0, 1, 2, … up to but without the size `dim`: i64[dim]."))
