"""Rows drawn by chance, some oftener than others: `batch 32 drawn by balanced(label)`.

An epoch draws as many rows as there are to learn from, each anew from all of them: the chance of a row is its weight
over the sum of the weights. Some rows come several times in an epoch, others not at all.

    u uniform in [0, 1);  v = u * n;  k = floor(v);  the row is k where v - k < chance[k], else other[k]

Source: Walker 1977, "An efficient method for generating discrete random variables with general distributions", ACM TOMS
3(3); the tables by Vose 1991, IEEE Transactions on Software Engineering 17(9). They are numbers in order.onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dotnn.graph import Graph, Type
from dotnn.inputs.columns import BATCH
from dotnn.inputs.weigh import NotAWeight
from dotnn.measures.figures import tensor_of
from dotnn.simplify import only
from dotnn.spec import Train
from dotnn.tape import Tape
from dotnn_grammar.problems import Problem

if TYPE_CHECKING:
    from dotnn.inputs.fit import Fit
    from dotnn.phase import Phase

MOST = 2**21
"""Rows that can be drawn from: the tables lie in the graph."""


class NotAChance(Problem):
    code = "B118"
    title = "rows cannot be drawn by this: {why}"
    label = "how often a row is drawn"
    help = "give each row a number from the data: batch 32 drawn by balanced(label), or by a column of weights"
    why: str


def weights_of(train: Train, phase: Phase) -> Graph | None:
    """The weight of each row, as the output `x` of a graph of columns; None where rows are not drawn. Raises B118."""
    expression = train.draws
    if expression is None:
        return None
    value = tensor_of(phase, expression).value
    if value.name in phase.machine.texts:
        raise NotAChance(span=expression.span, why="its numbers are names of classes, and no weights").error()
    value = value.cast("f32")
    if value.dims != (BATCH,):
        raise NotAChance(span=expression.span, why="it is not one number for each row").error()
    graph = only(phase.tape.graph(), {"x": value.name})
    if any(fed.role not in ("data", "label", "weight") for fed in graph.inputs):
        raise NotAChance(span=expression.span, why="it depends on what the net has learned").error()
    return graph


def order_of(train: Train, fit: Fit, weights: Graph) -> Graph:
    """`seed`, `epoch`, `n` -> the rows of that epoch, i64[n], drawn by the weights. Raises B115, B118."""
    assert train.draws is not None
    span = train.draws.span
    values = np.asarray(fit.values("draws", weights), np.float64).reshape(-1)
    if len(values) > MOST:
        why = f"there are {len(values):,} of them, and {MOST:,} are the most"
        raise NotAChance(span=span, why=why).error()
    if len(values) and values.min() < 0:
        why = f"a weight cannot be below 0, and one of the training rows has {values.min():.6g}"
        raise NotAWeight(span=span, why=why).error()
    if not values.sum() > 0:
        raise NotAWeight(span=span, why="every training row has the weight 0: nothing would be drawn").error()
    chances, others = tables(values)
    tape, whole = Tape("order"), Type(dtype="i64")
    seed, epoch, count = (tape.input(name, whole, "seed") for name in ("seed", "epoch", "n"))
    key, rows = tape.add("derive_key", seed), len(values)
    # Two draws of 24 bits make one of 48, so that each of very many rows has its chance.
    high, low = (
        tape.add("random", key, epoch, dims=(rows,), use=use, bits=24).cast("f64") for use in ("draw", "draw finer")
    )
    place = (high + low * tape.literal(2.0**-24, "f64")) * count.cast("f64")
    under = tape.add("floor", place)
    first = under.cast("i64")
    chance = tape.add("array", values=tuple(chances.tolist()), dims=(rows,), dtype="f64")
    other = tape.add("array", values=tuple(others.tolist()), dims=(rows,), dtype="i64")
    stays = place - under < tape.add("gather", chance, first)
    tape.output("order", tape.add("select", stays, first, tape.add("gather", other, first)), "output")
    return tape.graph()


def tables(weights: Sequence[float] | npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """``chance[n]`` and ``other[n]``: row k is kept with its chance, else the other one is taken."""
    shares = np.asarray(weights, np.float64)
    shares = shares * (len(shares) / shares.sum())
    chance, other = np.ones(len(shares)), np.arange(len(shares))
    small = [k for k, share in enumerate(shares.tolist()) if share < 1]
    large = [k for k, share in enumerate(shares.tolist()) if share >= 1]
    left = shares.tolist()
    while small and large:
        less, more = small.pop(), large[-1]
        chance[less], other[less] = left[less], more
        left[more] -= 1 - left[less]
        if left[more] < 1:
            small.append(large.pop())
    for k in small:  # what rounding left over, or rows without any weight
        if shares[k] == 0:
            chance[k], other[k] = 0.0, int(np.argmax(shares))
    return chance, other
