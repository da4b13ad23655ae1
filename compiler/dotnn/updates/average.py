"""Average: `average 0.999` keeps of each weight a moving average, which is what is measured, kept and asked.

    average = 0.999 * average + 0.001 * weight      after each update; after the first one it is the weight itself

The state `W:average` goes along with `W`. Training moves W; eval, predict and `nn probe` read the average in its place.

Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the form is that of PyTorch's
`swa_utils.AveragedModel` with `get_ema_multi_avg_fn`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.machine import AVERAGE, Machine
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import kind
from dotnn.graph import Graph, Type
from dotnn.spec import Average, Train
from dotnn.tape import Tape, Value
from dotnn.updates.patterns import matching
from dotnn.updates.turns import STEP, Turn


def chosen(train: Train, paths: Iterable[str]) -> dict[str, Average]:
    """For each weight of which an average is kept: the line that says so, the last one of several.

    paths: the weights that move. Raises ``ProblemError`` for a line that fits nothing.
    """
    paths = list(paths)
    found: dict[str, Average] = {}
    for line in train.averages:
        if line.pattern is None:
            found |= dict.fromkeys(paths, line)
            continue
        found |= dict.fromkeys(matching(line.pattern, line.span, paths), line)
    return found


def begin(tape: Tape, averaged: Iterable[str]) -> None:
    """In the phase `init`: the first value of an average is that of its weight."""
    first = {output.name: tape.values[output.value] for output in tape.outputs}
    for path in averaged:
        tape.output(path + AVERAGE, first[path], "state")


def averaged(graph: Graph, machine: Machine, train: Train, counters: Mapping[str, Sequence[str]]) -> Graph:
    """The train graph with the averages.

    counters: for each weight that moves, the states that count its updates.
    """
    lines = chosen(train, counters)
    if not lines:
        return graph
    tape = machine.tape = Tape.of(graph)
    after = {output.name: tape.values[output.value] for output in graph.outputs}
    frame = Frame(machine, USER, "")
    for path, line in lines.items():
        share = _share(frame, line)
        with computing(frame, line):
            rest = tensor(tape, 1 - share, "f32").value
            weight, new = tape.values[path], after[f"{path}.next"]
            before = tape.input(path + AVERAGE, Type(dtype="f32", dims=weight.dims), "state")
            made, first = _updates(tape, after, counters[path])
            mean = tape.add("select", first, new, before + (new - before) * rest)
            tape.output(
                f"{path}{AVERAGE}.next", mean if made is None else tape.add("select", made, mean, before), "state"
            )
    return tape.graph()


def counters(moving: Iterable[tuple[Turn, Collection[str]]]) -> dict[str, list[str]]:
    """For each weight that a turn moves: the states that count its updates."""
    found: dict[str, list[str]] = {}
    for turn, paths in moving:
        for path in sorted(paths):
            found.setdefault(path, []).append(turn.state(STEP))
    return found


def _updates(tape: Tape, after: Mapping[str, Value], counters: Sequence[str]) -> tuple[Value | None, Value]:
    """Whether this batch moves the weight (None: each one does), and whether it is the first that does."""
    made: Value | None = None
    none = tape.literal(0, "i64")
    first: Value | None = None
    always = False
    for name in counters:
        node = tape.node(after[f"{name}.next"])
        always = always or node is None or node.op != "select"
        moved = tape.add("not", tape.add("eq", after[f"{name}.next"], tape.values[name]))
        made = moved if made is None else tape.add("or", made, moved)
        unmoved = tape.add("eq", tape.values[name], none)
        first = unmoved if first is None else tape.add("and", first, unmoved)
    assert first is not None
    return None if always else made, first


def _share(frame: Frame, line: Average) -> float:
    """How much of the average stays at each update."""
    value = evaluate(frame, line.factor)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        way = "so much of the average stays at each update: 0.999 is the mean of about the last 1,000"
        found = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
        facts = {"wanted": "a number between 0 and 1", "found": found, "way": way}
        frame.machine.fail(NotThatKind, line.factor, USER, **facts)
    return float(value)
