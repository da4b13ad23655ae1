"""Which operation went wrong first, when the numbers run away: one step is computed again, value by value.

The step is a pure function of the state before it and its batch, so it can be repeated as often as one likes. A small
one is computed by a backend that keeps every value; a large one by the ONNX backend, which hands back a few numbers of
each value in its place, and so takes no more memory than the step did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.graph import Graph, Node, measure, names_in
from dotnn.plugins import Arrays, Inspecting, Options, backend, backends
from dotnn.scans.bodies import written_out
from dotnn.tape import Tape, Value
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Span

STEPS = 128
"""Of a scan: up to so many are looked at one by one."""

MOST = 2**24
"""Numbers in all values of one step: above, they are not all kept."""


class Diverged(Problem):
    code = "T001"
    title = "the numbers ran away: step {step:,}, in epoch {epoch:,}, gave {value}"
    label = "{first}"
    help = (
        "{cause}{kept}; a smaller learning rate, a `clip norm 1.0` line, or data between about -1 and 1 "
        "(`standardise`) is what helps most often"
    )
    step: int
    epoch: int
    value: str
    kept: str
    first: str = ""
    """The operation where it began, in words."""
    cause: str = ""


UNKNOWN = "computed again, the step does not show where it began; "


@dataclass(frozen=True, slots=True)
class Told:
    """What blame needs to know of a value."""

    finite: bool
    nan: bool
    """One of its numbers is none, rather than endless."""
    low: float
    high: float
    zero: bool
    """One of its numbers is 0."""


@dataclass(frozen=True, slots=True)
class First:
    """Where numbers stopped being finite."""

    words: str
    """`log` of Net.share gave the first number that is none"""
    cause: str
    """it was given numbers from -0.2 to 3.1, and only those above 0 have a logarithm"""
    span: Span | None


def diverged(
    graph: Graph, feeds: Arrays | None, step: int, epoch: int, kept_epoch: int, loss: float | None
) -> Diverged:
    """The problem of a step that gave no finite numbers. feeds: state and batch of that step, where still known."""
    found = blame(graph, feeds) if feeds is not None else None
    return Diverged(
        span=found.span if found else None,
        step=step,
        epoch=epoch,
        value="something that is no number" if loss is None else _said(loss),
        kept=f"the weights of epoch {kept_epoch:,} are kept" if kept_epoch else "the first weights are kept",
        first=found.words if found else "",
        cause=("" if found.span else f"{found.words}: ") + f"{found.cause}; " if found else UNKNOWN,
    )


def _said(loss: float) -> str:
    if math.isnan(loss):
        return "a loss that is no number (nan)"
    return "an endless loss" if math.isinf(loss) else "weights that are no numbers any more"


def blame(graph: Graph, feeds: Arrays, most: int = MOST) -> First | None:
    """The first operation whose result is not finite although what it was given is; None where none is found."""
    graph = written_out(graph, STEPS)
    try:
        told = _all_told(graph, feeds) if _size(graph, feeds) <= most else _told_by_onnx(graph, feeds)
    except (ProblemError, MemoryError):
        return None
    bad = {name for name, value in told.items() if not value.finite}
    led = _led_to(graph, bad)
    for fed in graph.inputs:
        if fed.name in led:
            return _given(fed.name, fed.role, np.asarray(feeds[fed.name]), str(fed.at or ""))
    constant = {node.name for node in graph.nodes if not node.inputs}
    for node in graph.nodes:
        if node.name in led - constant and not (bad & set(node.inputs)) - constant:
            return _first(node, told)
    return None


def _all_told(graph: Graph, feeds: Arrays) -> dict[str, Told]:
    """Of every real value that is not empty, by a backend that keeps all of them. Raises ``ProblemError``."""
    inspector = next((b for b in backends().values() if isinstance(b, Inspecting)), None)
    values = inspector.values(graph, feeds) if inspector else {}
    return {name: _tell(value) for name, value in values.items() if value.dtype.kind == "f" and value.size}


def _tell(value: Array) -> Told:
    finite = bool(np.isfinite(value).all())
    with np.errstate(all="ignore"):
        low, high = float(np.min(value)), float(np.max(value))
    return Told(finite, bool(np.isnan(value).any()), low, high, bool((value == 0).any()))


def _told_by_onnx(graph: Graph, feeds: Arrays) -> dict[str, Told]:
    """The same without keeping any value: each is folded as soon as it is there. Raises ``ProblemError``."""
    tape = Tape.of(graph)
    tape.outputs = []
    asked = [value for value in tape.values.values() if value.type.is_float and 0 not in value.dims]
    for value in asked:
        for part, folded in _folded(tape, value).items():
            tape.output(f"{part} of {value.name}", folded, "output")
    onnx, options = backend("onnx"), Options()
    found = onnx.start(onnx.lower(tape.graph(), options), options).run(feeds)
    told = {}
    for value in asked:
        same, none, low, high, least = (
            float(found[f"{part} of {value.name}"]) for part in ("same", "none", "low", "high", "least")
        )
        told[value.name] = Told(same == 0, none > 0, low, high, least == 0)
    return told


def _folded(tape: Tape, value: Value) -> dict[str, Value]:
    """Of a value: 0 where it is finite, more than 0 where a number is none, the least, the greatest, the least size."""
    wide = value if value.dtype in ("f32", "f64") else value.cast("f32")
    axes = tuple(range(value.type.rank))

    def fold(op: str, x: Value) -> Value:
        return tape.add(op, x, axes=axes, keep=False) if axes else x

    return {
        "same": fold("sum", wide - wide),
        "none": fold("max", tape.add("ne", wide, wide).cast("f32")),
        "low": fold("min", wide),
        "high": fold("max", wide),
        "least": fold("min", tape.add("abs", wide)),
    }


def _size(graph: Graph, feeds: Arrays) -> int:
    """How many numbers all values of a step are, about."""
    sizes: dict[str, int] = {}
    for fed in graph.inputs:
        for dim, length in zip(fed.type.dims, np.shape(feeds.get(fed.name, ())), strict=False):
            if isinstance(dim, str) and names_in(dim) == [dim]:
                sizes[dim] = length
    total = 0
    for node in graph.nodes:
        try:
            total += measure(node.type.size, sizes)
        except KeyError:
            continue
    return total


def _led_to(graph: Graph, bad: set[str]) -> set[str]:
    """The values through which what is wrong reached an output."""
    led = {output.value for output in graph.outputs} & bad
    for node in reversed(graph.nodes):
        if node.name in led:
            led |= set(node.inputs) & bad
    return led


def _given(name: str, role: str, value: Array, at: str) -> First:
    what = "is no number" if np.isnan(value).any() else "is endless"
    if role == "state":
        return First(f"`{name}`{' at ' + at if at else ''} was the first to go wrong", f"a number in it {what}", None)
    row = int(np.argwhere(~np.isfinite(value))[0][0]) + 1 if value.ndim else 1
    return First(f"the data `{name}` was the first to go wrong", f"in row {row} of the batch a number {what}", None)


def _first(node: Node, told: Mapping[str, Told]) -> First:
    gave = "a number that is none (nan)" if told[node.name].nan else "an endless number"
    at = node.at
    part = f" of {at.part}" if at and at.part else ""
    return First(f"`{node.op}`{part} was the first to give {gave}", _why(node, told), at.span if at else None)


def _why(node: Node, told: Mapping[str, Told]) -> str:
    given = [told[name] for name in node.inputs if name in told]
    if not given:
        return "nothing was given to it"
    low, high = given[0].low, given[0].high
    dtype = str(node.attributes["dtype"]) if node.op == "narrow" else node.type.dtype
    largest = f"the largest number of {dtype} is {_largest(dtype):.2g}"
    match node.op:
        case "log" if low <= 0:
            return f"it was given numbers from {low:.4g} to {high:.4g}, and only those above 0 have a logarithm"
        case "sqrt" if low < 0:
            return f"it was given numbers from {low:.4g} to {high:.4g}, and only those from 0 on have a square root"
        case "exp":
            return f"it was given numbers up to {high:.4g}, and {largest}"
        case "div" if len(given) > 1 and given[1].zero:
            return f"it divided numbers from {low:.4g} to {high:.4g} by 0"
    ranges = " and ".join(f"from {value.low:.4g} to {value.high:.4g}" for value in given)
    return f"it was given numbers {ranges}, and {largest}"


def _largest(dtype: str) -> float:
    return {"f16": 65504.0, "f64": 1.7976931348623157e308}.get(dtype, 3.4028234663852886e38)
