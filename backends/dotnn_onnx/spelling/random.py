"""Numbers that look random: the generator *squares* in u64 arithmetic (``ops/random.py`` says what is computed).

Multiplication and addition wrap modulo 2^64; a shift is a division or a multiplication by a power of two, since CUDA
has no bitwise kernels (with `--target cpu` it is one).
"""

from __future__ import annotations

from typing import cast

from dotnn.graph import Dim, Node, multiply
from dotnn.ops.random import ROUNDS_KEY, use_of
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.writer import Writer


def up(w: Writer, x: str, bits: int) -> str:
    return w.emit("Mul", x, w.number(1 << bits, "u64"))


def down(w: Writer, x: str, bits: int) -> str:
    if w.target == "cpu":
        return w.emit("BitShift", x, w.number(bits, "u64"), direction="RIGHT")
    return w.emit("Div", x, w.number(1 << bits, "u64"))


def squares(w: Writer, counter: str, key: str) -> str:
    """64 bits a counter, of which the upper 32 are the generator's number."""
    x = y = w.emit("Mul", counter, key)
    z = w.emit("Add", y, key)
    for term in (y, z, y):
        x = w.emit("Add", w.emit("Mul", x, x), term)
        x = w.emit("Add", down(w, x, 32), up(w, x, 32))  # the halves change places
    return w.emit("Add", w.emit("Mul", x, x), z)


def counters(w: Writer, high: str, count: str) -> str:
    """high * 2^32 + (0, 1, 2, … up to but without ``count``)."""
    low = w.cast(w.emit("Range", w.number(0, "i64"), count, w.number(1, "i64")), "u64")
    return w.emit("Add", up(w, w.cast(high, "u64"), 32), low)


def key_for(w: Writer, key: str, use: str) -> str:
    return w.emit("Add", key, w.number(use_of(use), "u64"))


@spelling("derive_key")
def derive_key(w: Writer, node: Node) -> None:
    twice = w.emit("Mul", w.cast(w[node.inputs[0]], "u64"), w.number(2, "u64"))
    one, rounds = w.number(1, "u64"), w.number(ROUNDS_KEY, "u64")
    high = down(w, squares(w, twice, rounds), 32)
    low = down(w, squares(w, w.emit("Add", twice, one), rounds), 32)
    joined = w.emit("Add", up(w, high, 32), low)
    w.emit("Add", up(w, down(w, joined, 1), 1), one, to=node.name)


@spelling("random")
def random(w: Writer, node: Node) -> None:
    key, step = (w[name] for name in node.inputs)
    bits = cast(int, node.attributes["bits"])
    own = key_for(w, key, cast(str, node.attributes["use"]))
    count = node.type.size
    if len(node.type.dims) and _by_row(w, node):
        rows, each = node.type.dims[0], multiply(node.type.dims[1:])
        step = w.emit("Unsqueeze", step, w.numbers([1]))
        flat = _whole_words(w, own, step, each) if bits == 24 else _half_words(w, own, step, each, (rows,))
        numbers = w.emit("Mul", flat, w.number(2.0**-bits, "f32"))
        w.reshape(numbers, (rows, each), node.type.dims, to=node.name)
        return
    flat = _whole_words(w, own, step, count) if bits == 24 else _half_words(w, own, step, count)
    numbers = w.emit("Mul", flat, w.number(2.0**-bits, "f32"))
    w.reshape(numbers, (count,), node.type.dims, to=node.name)


def _by_row(w: Writer, node: Node) -> bool:
    """Whether each row has a step of its own."""
    return w.view.types[node.inputs[1]].rank == 1


def _whole_words(w: Writer, key: str, step: str, count: Dim) -> str:
    word = squares(w, counters(w, step, w.size(count)), key)
    return w.cast(down(w, word, 40), "f32")


def _half_words(w: Writer, key: str, step: str, count: Dim, rows: tuple[Dim, ...] = ()) -> str:
    even = isinstance(count, str) and count.split("*")[0].isdigit() and int(count.split("*")[0]) % 2 == 0
    if isinstance(count, int):
        words = w.number((count + 1) // 2, "i64")
    else:
        words = w.emit("Div", w.emit("Add", w.size(count), w.number(1, "i64")), w.number(2, "i64"))
    word = squares(w, counters(w, step, words), key)
    upper = down(w, word, 48)
    lower = w.emit("Sub", down(w, word, 32), up(w, upper, 16))
    last = len(rows)
    halves = [w.emit("Unsqueeze", w.cast(half, "f32"), w.numbers([last + 1])) for half in (upper, lower)]
    flat = w.emit("Reshape", w.emit("Concat", *halves, axis=last + 1), w.numbers([*[0] * last, -1]))
    if even or (isinstance(count, int) and count % 2 == 0):
        return flat
    return w.emit("Slice", flat, w.numbers([0]), w.shape((count,)), w.numbers([last]))


@spelling("shuffle")
def shuffle(w: Writer, node: Node) -> None:
    key, epoch, count = (w[name] for name in node.inputs)
    row = w.emit("Range", w.number(0, "i64"), count, w.number(1, "i64"))
    word = squares(w, counters(w, epoch, count), key_for(w, key, "shuffle"))
    # 32 bits of the generator above 31 of the row: no two are equal, so that every sort agrees.
    above = w.emit("Mul", w.cast(down(w, word, 32), "i64"), w.number(1 << 31, "i64"))
    mixed = w.emit("Add", above, row)
    many = w.emit("Reshape", count, w.numbers([1]))
    w.emit_many("TopK", (mixed, many), (None, node.name), axis=0, largest=0, sorted=1)
