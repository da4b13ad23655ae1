"""Values made out of nothing: written ones, counted ones, and those that look random."""

from __future__ import annotations

import numpy as np

from dotnn.graph import Dim
from dotnn.operation import Operation
from dotnn.recipes.draw import Draw, draws
from dotnn.tape import Value

_SIZES: tuple[Dim, ...] = ("b", "2*b", 3)


@draws("literal")
def _number(draw: Draw, op: Operation) -> Value:
    return draw.tape.add("literal", value=draw.among((0.0, -1.5, 3.0)), dtype="f32")


@draws("literal")
def _whole_number(draw: Draw, op: Operation) -> Value:
    return draw.tape.add("literal", value=draw.whole(-3, 3), dtype=draw.among(("i64", "i32")))


@draws("array")
def _table_of_numbers(draw: Draw, op: Operation) -> Value:
    dims = draw.numbers(draw.dims(0, 3, named=False))
    values = tuple(draw.whole(-8, 8) / 4 for _ in range(int(np.prod(dims))))
    return draw.tape.add("array", values=values, dims=dims, dtype="f32")


@draws("size")
def _size_of_a_batch(draw: Draw, op: Operation) -> Value:
    draw.real(("b", 2))
    return draw.tape.add("size", dim=draw.among(_SIZES), dtype=draw.among(("f32", "i64")))


@draws("iota")
def _counting(draw: Draw, op: Operation) -> Value:
    draw.real(("b", 2))
    return draw.tape.add("iota", dim=draw.among(_SIZES))


def _key(draw: Draw) -> Value:
    return draw.feed(np.asarray(draw.among((1, 0x123456789ABCDEF1, 2**64 - 1)), np.uint64), "u64", ())


@draws("derive_key")
def _seed(draw: Draw, op: Operation) -> Value:
    return op(draw.feed(np.asarray(draw.among((0, 1, -1, 2**63 - 1))), "i64", ()))


@draws("random")
def _uniform(draw: Draw, op: Operation) -> Value:
    key, step = _key(draw), draw.feed(np.asarray(draw.among((0, 1, 2**20))), "i64", ())
    draw.real(("b",))
    return op(key, step, dims=draw.dims(), use=draw.among(("net.a", "net.b")), bits=draw.among((16, 24)))


@draws("random")
def _by_row(draw: Draw, op: Operation) -> Value:
    key, rows = _key(draw), [draw.among((0, 1, 2**20, 2**31)) for _ in range(draw.sizes["b"])]
    step = draw.feed(np.asarray(rows, np.int64), "i64", ("b",))
    return op(key, step, dims=("b", *draw.dims(most=3, named=False)), use="net.a", bits=draw.among((16, 24)))


@draws("shuffle")
def _order(draw: Draw, op: Operation) -> Value:
    key = _key(draw)
    numbers = [draw.feed(np.asarray(draw.whole(low, 40)), "i64", ()) for low in (0, 1)]
    return op(key, *numbers)
