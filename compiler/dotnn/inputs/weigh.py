"""Weights of rows: what counts for more, and what for less, in the mean that a figure is.

    loss (guess - truth)^2 weighted by importance            sum(w * l) / sum(w)

`balanced(label)` gives each row n / (classes * count of its class), both counted over the training rows: every class
weighs as much as any other. Source: King and Zeng, "Logistic Regression in Rare Events Data" (2001), as scikit-learn's
`class_weight="balanced"` has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from dotnn.elaborate.arithmetic import elementwise, real, tensor
from dotnn.elaborate.values import Native, Tensor
from dotnn.graph import names_in
from dotnn.inputs.columns import BATCH, Columns
from dotnn.operation import MisfitError, shape_text
from dotnn.simplify import only
from dotnn.tape import Tape, Value
from dotnn_grammar.problems import Problem

BALANCED = "balanced"


class NothingToWeigh(Problem):
    code = "B114"
    title = "{what} is one number for all rows together, and no row's weight can enter it"
    label = "weighted here"
    help = "give one number for each row, or the mean of them: loss mean((guess - truth)^2) weighted by importance"
    what: str


class NotAWeight(Problem):
    code = "B115"
    title = "{why}"
    label = "weighted by this"
    help = "a weight is 0 (the row does not count) or more; a row with weight 2 counts like two rows"
    why: str


def over_places(tape: Tape, weight: Tensor, made: Tensor) -> Tensor:
    """The weights with the dims of what they weigh: one for each row, or for each place. Raises ``MisfitError``."""
    weight = real(tape, weight)
    value = weight.value
    if value.dims == made.dims[: value.type.rank]:
        value = value.reshape((*value.dims, *(1 for _ in made.dims[value.type.rank :])))
        return Tensor(value.expand(made.dims), made.labels)
    if weight.rank > made.rank or BATCH in (name for dim in value.dims[1:] for name in names_in(dim)):
        raise MisfitError(
            f"weights of {shape_text(weight.dims)} do not fit {shape_text(made.dims)}: give one for each row"
        )
    one = Tensor(tape.fill(1, made.value.type), made.labels)
    return elementwise(tape, "mul", one, weight)


def above_nothing(tape: Tape, count: Value) -> Value:
    """A sum of weights to divide by: 1 where nothing in the batch has any weight."""
    return tape.add("select", count > 0, count, tape.literal(1, count.dtype))


def check(columns: Columns, weight: Value) -> str:
    """What is wrong with the weights of the training rows; empty where nothing is, or where a net is part of them."""
    graph = only(columns.machine.tape.graph(), {"x": weight.name})
    number = graph.nodes[0].attributes.get("value") if len(graph.nodes) == 1 else None
    if isinstance(number, int | float) and number <= 0:
        return f"every row would have the weight {number:g}"
    if any(fed.role != "data" for fed in graph.inputs) or weight.dims[:1] != (BATCH,):
        return ""
    least, greatest = columns.fit.range(columns.fitting("weight"), graph)
    if least < 0:
        return f"a weight cannot be below 0, and one of the training rows has {least:.6g}"
    return "" if greatest > 0 else "every training row has the weight 0: nothing would be learned"


def balance(columns: Columns) -> Native:
    """`balanced(label)`."""

    def weights(label: Tensor) -> Tensor:
        tape = columns.machine.tape
        bound = 2 if label.value.dtype == "bool" else label.bound
        if bound is None:
            way = "`as int < n`, or `as class`"
            raise MisfitError(f"`{BALANCED}` counts classes, and how many this has is not known: give the column {way}")
        places = tensor(tape, label, "i64")
        graph = only(tape.graph(), {"x": places.value.name})
        if any(fed.role != "data" for fed in graph.inputs):
            raise MisfitError(f"`{BALANCED}` counts the training rows before the net has learned: give it a column")
        counts = columns.fit.counts(columns.fitting(BALANCED), graph, bound)
        present = [count for count in counts if count]
        shares = tuple(sum(counts) / (len(present) * count) if count else 1.0 for count in counts)
        table = tape.add("array", values=shares, dims=(bound,), dtype="f32")
        return Tensor(tape.add("gather", table, places.value), label.labels)

    return Native(BALANCED, weights)


def read_by(tape: Tape, values: Iterable[str]) -> set[str]:
    """The inputs that these values are made of."""
    made = {node.name: node.inputs for node in tape.nodes}
    waiting, met = list(values), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in met:
            met.add(name)
            waiting.extend(made.get(name, ()))
    return met & {fed.name for fed in tape.inputs}
