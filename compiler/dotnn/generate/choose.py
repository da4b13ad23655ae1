"""Choose: the graph that draws a token from its scores, so that a text can be written anew by its seed.

    share = softmax(scores / temperature), from the highest to the lowest
    kept:   the first `top_n` of them (0: all), and of these the first that reach `top_p` together
    chosen: where a random number, times what the kept have together, falls among them

With temperature 0 it is the highest score. The random number of a row is that of (seed, draw) and of nothing else:
`draw` counts texts and places.

Source: Fan, Lewis and Dauphin 2018, "Hierarchical neural story generation", arXiv:1805.04833 (`top_n`); Holtzman et al.
2020, "The curious case of neural text degeneration", arXiv:1904.09751 (`top_p`).
"""

from __future__ import annotations

from collections.abc import Sequence

from dotnn.graph import Graph, Type
from dotnn.inputs.columns import BATCH
from dotnn.tape import Tape, Value

SCORES, SEED, DRAW = "scores", "seed", "draw"
TEMPERATURE, TOP_N, TOP_P = "temperature", "top_n", "top_p"
CHOSEN, SHARE = "chosen", "share"
NEVER = -1e30

TEXTS = 2**20
"""The draw of a token is the number of its text times this, and its place in that text."""


def choose(count: int, never: Sequence[int] = ()) -> Graph:
    """Inputs ``scores`` f32[b, count], ``seed`` i64[], ``draw`` i64[b], ``temperature`` f32[], ``top_n`` i64[],
    ``top_p`` f32[]; outputs ``chosen`` i64[b] and ``share`` f32[b], what the net gives to it at temperature 1.

    never: tokens that are not drawn.
    """
    tape = Tape("choose")
    scores = tape.input(SCORES, Type(dtype="f32", dims=(BATCH, count)), "data")
    seed = tape.input(SEED, Type(dtype="i64"), "seed")
    draw = tape.input(DRAW, Type(dtype="i64", dims=(BATCH,)), "seed")
    temperature = tape.input(TEMPERATURE, Type(dtype="f32"), "data")
    top_n = tape.input(TOP_N, Type(dtype="i64"), "data")
    top_p = tape.input(TOP_P, Type(dtype="f32"), "data")
    scores = hidden(scores, never)
    order = tape.add("argsort", scores, axis=1, size=count, falling=True)
    falling = tape.add("take", scores, order, axis=1)
    highest = tape.add("slice", falling, axis=1, start=0, stop=1)
    drawn = tape.add("gt", temperature, tape.literal(0))
    heat = tape.add("select", drawn, temperature, tape.literal(1))
    shares = tape.add("softmax", (falling - highest) / heat)
    upto = tape.add("cumulate", shares, axis=1, back=False)
    rank = tape.add("iota", dim=count)
    limit = tape.add("select", tape.add("gt", top_n, tape.literal(0, "i64")), top_n, tape.literal(count, "i64"))
    few = tape.add("lt", rank, limit)
    enough = tape.add("or", tape.add("lt", upto - shares, top_p), tape.add("eq", rank, tape.literal(0, "i64")))
    kept = tape.add("and", few, enough).cast("f32")
    passed = tape.add("cumulate", shares * kept, axis=1, back=False)
    whole = tape.add("slice", passed, axis=1, start=count - 1, stop=count)
    key = tape.add("derive_key", seed)
    random = tape.add("random", key, draw, dims=(BATCH, 1), use="choose", bits=24)
    place = tape.add("le", passed, random * whole).cast("i64").sum((1,))
    place = tape.add("minimum", place, kept.cast("i64").sum((1,)) - 1)  # what rounding leaves out
    place = tape.add("select", drawn, place, tape.literal(0, "i64"))
    chosen = tape.add("pick", order, place)
    tape.output(CHOSEN, chosen, "output")
    tape.output(SHARE, tape.add("pick", tape.add("softmax", scores), chosen), "output")
    return tape.graph()


def hidden(scores: Value, never: Sequence[int]) -> Value:
    """The scores, those of these tokens so low that they have no share."""
    if not never:
        return scores
    tape = scores.tape
    count = scores.dims[-1]
    assert isinstance(count, int)
    marks = tape.add("array", values=tuple(int(n in never) for n in range(count)), dims=(count,), dtype="i64")
    out = tape.add("gt", marks, tape.literal(0, "i64"))
    return tape.add("select", out, tape.literal(NEVER), scores)
