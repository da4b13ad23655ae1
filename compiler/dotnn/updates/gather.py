"""Gather: `accumulate 4` makes one update of four batches, as if they had been one large batch.

The gradient of each batch is weighed by what its loss is the mean of (its places: rows, or those that `where` keeps),
so that the mean over all places is that of the large batch. An epoch's last update takes the batches that are left:
with `batch 32` and `accumulate 4` training makes the updates of `batch 128`, the last one of an epoch too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from dotnn.elaborate.values import Size, Tensor, plain
from dotnn.graph import Type
from dotnn.inputs.columns import BATCH
from dotnn.tape import Tape, Value
from dotnn.updates.turns import Turn

PLACES = "places"
"""The output of the train graph before its update: how many places the loss is the mean of."""

BATCHES, WEIGHED, ROWS, LOSS = "accumulate.batches", "accumulate.places", "accumulate.rows", "accumulate.loss"
"""States: how many batches there were since the beginning; of the batches of the update under way, the places, the
rows, and the sum of the loss."""

SUM = ":accumulated"
"""After the path of a weight: the sum of its gradients in the update under way."""


@dataclass(frozen=True)
class Length:
    """How long training is. ``every``: batches of an update; ``steps``: batches in all; ``epoch``: of an epoch."""

    every: int
    steps: int
    epoch: int

    @property
    def of_epoch(self) -> int:
        """Updates of an epoch."""
        return math.ceil(self.epoch / self.every)

    @property
    def updates(self) -> int:
        """Updates in all."""
        whole, rest = divmod(self.steps, self.epoch)
        return whole * self.of_epoch + math.ceil(rest / self.every)


@dataclass(frozen=True)
class Gathered:
    """What an update is made of."""

    gradients: dict[str, Value]
    loss: Value
    rows: Size | Tensor
    full: Value | None = None
    """Whether all its batches are there; None: each batch is an update."""
    successors: dict[str, Value] = field(default_factory=dict)
    """Of the states that are gathered in."""


def begin(tape: Tape, turn: Turn, weights: Mapping[str, Type]) -> None:
    """In the phase `init`: nothing is gathered yet."""
    for name in (WEIGHED, ROWS, LOSS):
        tape.output(turn.state(name), tape.literal(0), "state")
    for path, type in weights.items():
        tape.output(turn.of(path) + SUM, tape.fill(0, type), "state")


def gather(
    tape: Tape, turn: Turn, length: Length, loss: Value, places: Value | None, gradients: Mapping[str, Value]
) -> Gathered:
    """The gradients of the update under way: means over all its places so far.

    Each turn gathers its own, by the weights as they are when it sees a batch.

    loss, places: of this batch; gradients: of its loss, by the path of the weight.
    """
    if length.every == 1 or places is None:
        return Gathered(dict(gradients), loss, Size(BATCH))
    batches = tape.values.get(BATCHES) or tape.input(BATCHES, Type(dtype="i64"), "state")
    place = tape.add("mod", batches, tape.literal(length.epoch, "i64")) + 1
    whole = tape.add("eq", tape.add("mod", place, tape.literal(length.every, "i64")), tape.literal(0, "i64"))
    last = tape.add("or", *(tape.add("eq", n, tape.literal(end, "i64")) for n, end in _ends(place, batches, length)))
    full = tape.add("or", whole, last)

    count = places.cast("f32")
    weighed_by, rows_by, loss_by = (turn.state(name) for name in (WEIGHED, ROWS, LOSS))
    added = {weighed_by: count, rows_by: tape.size(BATCH), loss_by: loss * count}
    added |= {turn.of(path) + SUM: gradient * count for path, gradient in gradients.items()}
    sums = {name: tape.input(name, value.type, "state") + value for name, value in added.items()}
    successors = {name: tape.add("select", full, tape.literal(0), value) for name, value in sums.items()}
    some = sums[weighed_by]
    weighed = tape.add("select", some > 0, some, tape.literal(1))  # 0 where every place is left out
    means = {path: sums[turn.of(path) + SUM] / weighed for path in gradients}
    rows = plain(sums[rows_by])
    return Gathered(means, sums[loss_by] / weighed, rows, full, {BATCHES: batches + 1, **successors})


def _ends(place: Value, batches: Value, length: Length) -> tuple[tuple[Value, int], ...]:
    """The end of an epoch, and that of training."""
    return (place, length.epoch), (batches + 1, length.steps)
