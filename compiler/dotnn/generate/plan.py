"""What of a program is written: the column that its net continues, and the scores of what comes next.

next = token shifted by 1          the data says what comes next: one place later in the same text
logits: [b, t, vocab]              the net's result with scores for each place
answer argmax(logits) as next      picks one, where there are several
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dotnn.data.tokens import END, PAD, START, UNKNOWN
from dotnn.generate.choose import choose
from dotnn.generate.problems import NoSuchOutput, NothingToWrite, NotTokens, SeveralToWrite
from dotnn.generate.sizes import settled
from dotnn.generate.step import steps
from dotnn.graph import Graph
from dotnn.inputs.columns import BATCH
from dotnn.program import Figure, Generation, Program, RawColumn
from dotnn.simplify import simplify
from dotnn_grammar.problems import ProblemError, perhaps

WRITING = ("start", "next", "choose")
"""The graphs of a program that writes."""


def writing(program: Program) -> tuple[Program, tuple[str, ...]]:
    """The program with its graphs for writing texts, where what it learns is what comes next; and what to say of it."""
    needs = next((f for f in program.figures if f.apart is not None and f.apart.texts), None)
    if needs is not None and needs.apart is not None:
        return written(program, needs.apart.texts[0].column), ()
    found = [(x, output) for x, _ in _continued(program) for output in _scores(program.graphs["predict"], x)]
    if len(found) != 1:
        return program, ()
    column, output = found[0]
    try:
        return written(program, column.name, output), ()
    except ProblemError as error:
        problem = error.problems[0]
        where = f"{problem.span.file}:{problem.span.line}: " if problem.span else ""
        told = f"`{output}` looks at tokens that come after its own, the answer among them; {problem.help_text}"
        return program, (f"note: {where}{told}",)


def can_write(
    name: str, inputs: tuple[RawColumn, ...], figures: tuple[Figure, ...], graphs: Mapping[str, Graph]
) -> tuple[str, ...]:
    """What there is to say of writing, before all is compiled. Raises ``ProblemError`` where a metric needs it."""
    facts: dict[str, Any] = {"name": name, "inputs": inputs, "figures": figures, "graphs": dict(graphs)}
    return writing(Program.model_construct(**facts))[1]


def written(program: Program, column: str | None = None, output: str | None = None) -> Program:
    """The program with the graphs `start`, `next` and `choose`. Raises ``ProblemError`` (W001 to W005)."""
    graph = program.graphs["predict"]
    x = _column(program, column)
    y = _output(graph, x, output)
    graph = settled(graph, x.places, x.dims[0]) if x.places is not None else graph
    made = steps(graph, x.name, y)
    texts = x.tokens is not None
    begins = x.tokens is not None and x.tokens.start
    ends = None if x.tokens is None or x.steps is not None else END if x.tokens.end else PAD
    count = graph.types()[graph.output(y).value].dims[2]
    never = tuple(n for n in (PAD, UNKNOWN, START, END) if texts and n != ends)
    assert isinstance(count, int)
    plan = Generation(
        column=x.name,
        output=y,
        length=made.length,
        begins=START if begins else None,
        ends=ends,
        never=never,
    )
    graphs = {"start": made.start, "next": made.next, "choose": simplify(choose(count, never))}
    return program.model_copy(update={"generation": plan, "graphs": program.graphs | graphs})


def _continued(program: Program) -> Iterator[tuple[RawColumn, RawColumn]]:
    """Each column that the net reads, with the one that has the same texts one place later."""
    for x in program.inputs:
        for y in program.inputs:
            if x.role == "data" and y is not x and (y.columns, y.tokens, y.later) == (x.columns, x.tokens, x.later + 1):
                yield x, y


def _scores(graph: Graph, x: RawColumn) -> list[str]:
    """The results with scores for each place of the column."""
    types = graph.types()
    if len(x.dims) != 1 or not any(fed.name == x.name for fed in graph.inputs):
        return []
    found = [o.name for o in graph.outputs if _fits(types[o.value].dims, x) and types[o.value].is_float]
    if "shares" in found:  # of the answer, which is the highest of its scores
        soft = next(n for n in graph.nodes if n.name == graph.output("shares").value)
        picked = [name for name in found if name != "shares" and graph.output(name).value == soft.inputs[0]]
        return picked[:1] or [name for name in found if name != "shares"]
    return found


def _fits(dims: tuple[int | str, ...], x: RawColumn) -> bool:
    places = x.dims[0] if x.places is None else x.places
    return len(dims) == 3 and dims[0] == BATCH and dims[1] == places and (x.bound is None or dims[2] == x.bound)


def _column(program: Program, name: str | None) -> RawColumn:
    read = {raw.name: raw for raw in program.inputs if raw.role == "data"}
    if name is None:
        found = [x for x, _ in _continued(program) if _scores(program.graphs["predict"], x)]
        if len(found) == 1:
            return found[0]
        if found:
            raise SeveralToWrite(names=", ".join(f"`{x.name}`" for x in found), name=found[0].name).error()
        raise NothingToWrite(name=program.name).error()
    if name not in read:
        raise NotTokens(name=name, near=perhaps(name, read, f"it reads: {', '.join(read)}")).error()
    return read[name]


def _output(graph: Graph, x: RawColumn, name: str | None) -> str:
    found = _scores(graph, x)
    if name is None and len(found) == 1:
        return found[0]
    if name is not None and name in found:
        return name
    listed = f"there are: {', '.join(found)}" if found else f"give the net one: logits: [b, t, {x.bound or 'vocab'}]"
    near = perhaps(name, found, listed) if name else f"say which: `answer argmax({found[0]}) as …`" if found else listed
    raise NoSuchOutput(name=x.name, near=near).error()
