"""`window 128 by 64` and `horizon 3`: a text, or a table in order of time, as many short stretches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from dotnn import spec
from dotnn.read.settings import Line, Settings, name_in
from dotnn_grammar.problems import Note, Problem
from dotnn_grammar.source import Span

RUNNING = ("text",)
"""Sources that are one long text, and so have no rows before they are cut."""


class NoWindow(Problem):
    code = "R190"
    title = "a text has no rows of its own: how long shall an example be?"
    label = "one long text"
    help = "say how many pieces are looked at together: `window 128`"


class HorizonAlone(Problem):
    code = "R191"
    title = "a `horizon` begins where a window ends, and there is no `window`"
    label = "after what?"
    help = "say how many steps are looked at before it: `window 12`"


class MixedParts(Problem):
    code = "R192"
    title = "windows overlap and follow each other: their parts cannot be drawn at random"
    label = "the exam would hold what training has seen"
    help = "the first steps train and the last are the exam: split {shares} in order"
    shares: str


class NoStrata(Problem):
    code = "R193"
    title = "parts that follow each other cannot be stratified"
    label = "they are cut by their place alone"
    help = "leave `stratify {name}` out"
    name: str


class NothingToCut(Problem):
    code = "R194"
    title = "rows that are drawn one by one do not follow each other: there is no window to cut"
    label = "of generated rows"
    help = "draw as many numbers a row as are looked at together: normal(0, 1)[12]"


def read_window(block: Settings, line: Line) -> spec.Windows:
    """`window 128`, `window 128 by 64`."""
    value = block.reader.expression(block.value(line, clauses=("by",)))
    clauses = line.phrases[0].clauses
    if len(clauses) > 1:
        raise block.malformed(line, "one step from window to window is enough", clauses[1].span)
    by = None
    if clauses:
        if clauses[0].value is None:
            raise block.malformed(line, "by how many steps?", clauses[0].span)
        by = _counted(block, line, block.reader.expression(clauses[0].value))
    return spec.Windows(span=line.span, size=_counted(block, line, value), by=by)


def read_horizon(block: Settings, line: Line) -> spec.Expression:
    """`horizon 3`."""
    return _counted(block, line, block.reader.expression(block.value(line)))


def _counted(block: Settings, line: Line, value: spec.Expression) -> spec.Expression:
    if isinstance(value, spec.Number) and (not isinstance(value.value, int) or value.value < 1 or value.percent):
        raise block.malformed(line, "a whole number from 1 up is needed", value.span)
    return value


def drawn(block: Settings, line: Line) -> spec.Expression | None:
    """What rows are drawn by: `batch 32 drawn by balanced(label)`."""
    words = [clause.word for clause in block.single(line).clauses]
    if "drawn" not in words:
        return None
    clauses = block.single(line).clauses
    if words != ["drawn", "by"] or clauses[0].value is not None or clauses[1].value is None:
        raise block.malformed(line, "rows are `drawn by` something, and by nothing beside it", clauses[0].span)
    return block.reader.expression(clauses[1].value)


def batched(block: Settings, line: Line) -> Literal["rows", "length", "tokens"]:
    """What `batch` counts: `batch 32`, `batch 32 by length`, `batch 4_000 tokens`."""
    clauses = block.single(line).clauses
    if any(clause.word == "drawn" for clause in clauses):
        return "rows"
    for clause, *more in [clauses] if clauses else []:
        if more:
            raise block.malformed(line, f"`{more[0].word}` does not belong here", more[0].span)
        if clause.word == "tokens" and clause.value is None:
            return "tokens"
        if clause.word == "by" and name_in(clause.value) == "length":
            return "length"
        raise block.malformed(line, "`by length`, or `tokens`", clause.span)
    return "rows"


def window_problems(
    sources: Sequence[spec.SourceLine],
    windows: spec.Windows | None,
    split: spec.Split | None,
    seen: Mapping[str, Span],
) -> Iterator[Problem]:
    """What does not go together."""
    running = next((line for line in sources if line.reader in RUNNING), None)
    if windows is None:
        if running is not None and "window" not in seen:
            yield NoWindow(span=running.span)
        if "horizon" in seen and "window" not in seen:
            yield HorizonAlone(span=seen["horizon"])
        return
    generated = next((line for line in sources if line.count is not None), None)
    if generated is not None:
        yield NothingToCut(span=windows.span, notes=(Note(span=generated.span, text="they are drawn here"),))
    if split is not None and split.stratify is not None:
        yield NoStrata(span=split.span, name=split.stratify)
    elif split is not None and not split.in_order:
        yield MixedParts(span=split.span, shares=_shares(split))


def _shares(split: spec.Split) -> str:
    from dotnn.write import number

    def share(part: spec.Share) -> str:
        return number(spec.Number(span=part.span, value=part.share, percent=True))

    listed: list[Any] = [] if split.folds is None else [f"folds {split.folds}"]
    parts = [part for part in split.shares if split.folds is None or part.name not in ("train", "val")]
    return ", ".join([*listed, *(f"{part.name} {share(part)}" for part in parts)])
