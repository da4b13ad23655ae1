"""Figures: an expression of the spec becomes the total and count of a batch, or the parts of one figure of all rows."""

from __future__ import annotations

from typing import Any, NoReturn

from dotnn.elaborate.arithmetic import elementwise, real
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.library import USER
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import Size, Tensor, kind, next_step, plain
from dotnn.graph import Role, multiply
from dotnn.inputs.columns import BATCH
from dotnn.inputs.weigh import NotAWeight, NothingToWeigh, above_nothing, check, over_places
from dotnn.measures.totals import InParts, each_by_itself, in_parts
from dotnn.phase import Measured, Phase
from dotnn.spec import Expression, Objective
from dotnn.tape import Value
from dotnn_grammar.problems import Problem


class NotPerExample(Problem):
    code = "B052"
    title = "{what} is one number, or one for each example; this has the dims {dims}"
    label = "the first dim is not the batch `b`"
    help = "take the mean over the other dims: mean(…)"
    what: str
    dims: str


def measured(phase: Phase, objective: Objective, what: str, role: Role) -> Measured:
    """The sum over all places and how many they are; or the parts of what is one number for all rows."""
    tape = phase.tape
    value = tensor_of(phase, objective.value)
    with computing(phase.frame, objective):
        made = real(tape, value)
        phase.judging.append(made.value.name)
        a_table = role == "metric" and made.rank > 0 and all(isinstance(d, int) for d in made.dims)
        if made.rank and made.dims[0] != BATCH and not a_table:
            dims = "[" + ", ".join(str(d) for d in made.dims) + "]"
            phase.machine.fail(NotPerExample, objective.value, USER, what=what, dims=dims)
        ends = {tensor.value.name for tensor in phase.outputs.values()}
        if objective.weights is not None:
            made = _by_place(phase, objective, made, ends, what)
        parts = _parts(phase, objective, made.value, ends, role)
        if parts is not None and parts.mean is not None:  # the mean over all places, as if it were given by place
            made, parts = plain(parts.mean), None
        if (made.rank == 0 and objective.where is None) or a_table:
            rows = tape.size(BATCH, made.value.dtype)
            return Measured(made.value.sum() * rows, rows, role, parts)
        if role == "metric":  # in double precision, so that the size of a batch does not show in the last places
            made = Tensor(made.value.cast("f64"), made.labels)
        total, count = made.value.sum(), tape.size(multiply(made.dims), made.value.dtype)
        apart = each_by_itself(made.value, ends)
        one: Tensor | None = None
        if objective.weights is not None:
            weights = _weights(phase, objective.weights, made)
            one = Tensor(weights.value.cast(made.value.dtype), weights.labels)
            made = elementwise(tape, "mul", one, made)
            total, count, apart = made.value.sum(), one.value.sum(), apart and each_by_itself(one.value, ends)
        places = count
        if objective.where is not None:
            kept = tensor_of(phase, objective.where)
            phase.judging.append(kept.value.name)
            if kept.value.dtype != "bool":
                wanted, way = "yes or no for each place", "compare: error … where next != 0"
                facts = {"wanted": wanted, "found": "a tensor of numbers", "way": way}
                phase.machine.fail(NotThatKind, objective.where, USER, **facts)
            zero, one = plain(tape.literal(0)), one or Tensor(tape.fill(1, made.value.type), made.labels)
            # Chosen, not multiplied by 0: what is left out may be no number at all.
            chosen, counted = (elementwise(tape, "select", kept, each, zero) for each in (made, one))
            total, count = chosen.value.sum(), counted.value.sum()
            places = count
            if objective.weights is None and phase.machine.training:
                count = tape.add("maximum", count, tape.literal(1))
            apart = apart and each_by_itself(kept.value, ends)
        if objective.weights is not None and phase.machine.training:
            count = above_nothing(tape, count)
        batchwise = phase.machine.phase == "init" or (phase.machine.training and role != "metric")
        if apart or batchwise or role == "loss":
            unlike = objective.weights is not None or objective.where is not None
            return Measured(total, count, role, places=places, unlike_rows=unlike)
        return Measured(total, count, role, in_parts(total / count, ends))


def _by_place(phase: Phase, objective: Objective, made: Tensor, ends: set[str], what: str) -> Tensor:
    """A figure with a number for each place, so that each can be weighed: of a mean, what it is the mean of."""
    mean = None
    if not made.rank and phase.machine.phase != "init":
        parts = in_parts(made.value, ends)
        mean = parts.mean if parts is not None else None
    if mean is None and phase.machine.phase != "init" and made.dims[:1] != (BATCH,):
        raise NothingToWeigh(span=objective.span, what=what).error()
    return made if mean is None else plain(mean)


def _weights(phase: Phase, expression: Expression, made: Tensor) -> Tensor:
    """A weight for each place. Notes which columns it reads."""
    weight = tensor_of(phase, expression)
    phase.weighing.append(weight.value.name)
    phase.judging.append(made.value.name)
    if made.dims[:1] != (BATCH,):  # the first values of weights are the same whatever is weighed
        return Tensor(phase.tape.fill(1, made.value.type), made.labels)
    why = check(phase.columns, weight.value) if phase.machine.phase == "train" else ""
    if why:
        raise NotAWeight(span=expression.span, why=why).error()
    return over_places(phase.tape, weight, made)


def _parts(phase: Phase, objective: Objective, value: Value, ends: set[str], role: Role) -> InParts | None:
    """The parts of what is one figure for all rows."""
    if objective.where is not None or phase.machine.phase == "init" or BATCH in value.dims[:1]:
        return None
    if phase.machine.training and role != "metric":
        return None  # what is made small is the batch's own
    parts = in_parts(value, ends)
    # A loss may be a matter of its batch; its figure is then the mean over the batches, by their rows.
    return None if parts is not None and parts.gathers and role == "loss" else parts


def tensor_of(phase: Phase, expression: Expression) -> Tensor:
    """The value of an expression as a tensor. Raises ``ProblemError`` where it is none."""
    value = evaluate(phase.frame, expression)
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool | int | float | Size):
        return real(phase.tape, value)
    return _no_tensor(phase, expression, value)


def _no_tensor(phase: Phase, expression: Expression, value: Any) -> NoReturn:
    facts = {"wanted": "a number or a tensor", "found": kind(value), "way": next_step(value)}
    phase.machine.fail(NotThatKind, expression, USER, **facts)
