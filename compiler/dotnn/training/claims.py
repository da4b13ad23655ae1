"""Whether what a spec claims of its net holds: measured on whole parts of the data, whatever the size of a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.claims.build import CLAIMS, FIGURES, ROW
from dotnn.claims.verdict import Verdict
from dotnn.data import Dataset, Rows
from dotnn.inputs.block import DataBlock
from dotnn.inputs.folds import folded
from dotnn.overrides import settled
from dotnn.plan import choose
from dotnn.plugins import Arrays, Backend, Options, backend
from dotnn.program import Claim, ClaimRows, Program
from dotnn.simplify import only
from dotnn.spec import Spec
from dotnn.training.apart import ApartFigures
from dotnn.training.elsewhere import spec_of
from dotnn.training.evaluate import measure
from dotnn.training.events import Outcome
from dotnn.training.figures import Reading, number_of
from dotnn_grammar.problems import ProblemError


def check_claims(
    program: Program,
    state: Arrays,
    rows: Mapping[str, Rows],
    runner: Backend,
    options: Options,
    told: Mapping[str, Mapping[str, Reading]] | None = None,
) -> tuple[Verdict, ...]:
    """Every claim of the program. rows: of each of its graphs that measure; told: what is known of these weights by
    part and metric, so that no text is written twice. Raises ``ProblemError``."""
    if not program.claims:
        return ()
    figures: dict[str, float] = {}
    counts: dict[str, int] = {}
    aparts = ApartFigures(program, runner, options, state)
    for place in program.claimed_on:
        part = rows[place.graph]
        if place.graph in program.graphs:
            own = program.model_copy(
                update={
                    "figures": tuple(figure for figure in place.figures if figure.apart is None),
                    "inputs": place.inputs,
                    "graphs": {"eval": program.graphs[place.graph], **_figures(program)},
                }
            )
            found = measure(own, state, {place.graph: numbered(part)}, runner, options)[place.graph]
            figures |= {name: number_of(value) for name, value in found.figures.items()}
        known = dict((told or {}).get(place.part, {})) if place.data == program.data else {}
        known = {name: reading for name, reading in known.items() if not math.isnan(number_of(reading))}
        written = {figure.name: figure.text for figure in place.figures if figure.apart is not None}
        wanted = tuple(f for f in aparts.figures if f.name in written.values() and f.name not in known)
        readings = aparts.measure(wanted, part)
        assert readings is not None
        figures |= {name: number_of({**known, **readings}[metric]) for name, metric in written.items()}
        counts |= dict.fromkeys((figure.name for figure in place.figures), part.count)
    return tuple(_verdict(program, claim, figures, counts) for claim in program.claims)


def _figures(program: Program) -> dict[str, Any]:
    return {"figures": program.graphs[FIGURES]} if FIGURES in program.graphs else {}


def numbered(rows: Rows) -> Rows:
    """The rows with their numbers, by which a claim draws."""
    return Rows(rows.count, {**rows.arrays, ROW: np.arange(rows.count, dtype=np.int64)})


def _verdict(program: Program, claim: Claim, figures: Mapping[str, float], counts: Mapping[str, int]) -> Verdict:
    whole = program.graphs[CLAIMS]
    names = [f"{claim.name}.figure", *(f"{claim.name}.bound.{n}" for n in range(1, len(claim.bounds) + 1))]
    graph = only(whole, {name: whole.output(name).value for name in (*names, f"{claim.name}.holds")})
    reference, options = backend("reference"), Options()
    executor = reference.start(reference.lower(graph, options), options)
    fed = [one.name for one in graph.inputs]
    made = executor.run({name: np.array(figures[name], np.float64) for name in fed})
    figure, *bounds = (float(made[name]) for name in names)
    holds = bool(made[f"{claim.name}.holds"]) and not math.isnan(figure)
    return Verdict(claim, figure, tuple(bounds), holds, sum(counts[name] for name in fed))


def claimed_rows(program: Program, spec: Spec, folder: Path, own: Dataset) -> dict[str, Rows]:
    """The rows of each place that is spoken of; tables lie below ``folder``, ``own`` are the rows of the block that was
    learned from. Raises ``ProblemError``."""
    found: dict[str, Rows] = {}
    if not program.claims:
        return found
    spec = folded(settled(spec, program.settings).spec, program.name, program.fold)
    loaded: dict[str, Dataset] = {program.data: own}
    for place in program.claimed_on:
        if place.data not in loaded:
            loaded[place.data] = _load(program, spec, folder, place.data)
        found[place.graph] = _part(loaded[place.data], place)
    return found


def _load(program: Program, spec: Spec, folder: Path, name: str) -> Dataset:
    block = DataBlock(choose(spec.data, name, "data block", None, spec.file), folder, spec, program.params)
    known = {raw.columns[0]: raw for raw in program.inputs}
    block.classes_of = {column: raw.classes for column, raw in known.items() if raw.classes}
    block.tokens_of = {column: raw.tokens for column, raw in known.items() if raw.tokens}
    wanted = {raw.name: raw for place in program.claimed_on if place.data == name for raw in place.inputs}
    spans = {column.name: column.span for column in block.data.columns}
    return block.load(wanted, spans)


def _part(dataset: Dataset, place: ClaimRows) -> Rows:
    if place.part:
        return dataset.splits[place.part]
    parts = list(dataset.splits.values())
    names = [raw.name for raw in place.inputs]
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in names}
    return Rows(sum(part.count for part in parts), arrays)


def with_claims(
    outcome: Outcome, program: Program, own: Dataset, run: Path, spec: str, runner: Backend, options: Options
) -> Outcome:
    """A run that came to its end, with what was found of its claims; why not, where other data cannot be read now.

    spec: the path of the spec's file, from which tables are found.
    """
    if not program.claims or outcome.ending not in ("done", "stopped"):
        return outcome
    try:
        rows = claimed_rows(program, spec_of(run)[0], Path(spec).parent, own)
        found = check_claims(program, outcome.state, rows, runner, options, outcome.splits)
    except ProblemError as problem:
        return replace(outcome, unchecked=problem.problems[0].title_text)
    return replace(outcome, claims=found)


# ---- in words


def told(outcome: Outcome, folder: Path, name: str = "") -> list[str]:
    """The claims at the end of a run; nothing where there are none. name: of which of several nets they are."""
    if outcome.unchecked:
        return [f"Its claims are not checked: {outcome.unchecked}. Later: nn claims {folder}"]
    if not outcome.claims:
        return []
    failed, count = sum(not verdict.holds for verdict in outcome.claims), len(outcome.claims)
    of = f" of {name}" if name else ""
    wrong = f", and {failed} of {count} {'fails' if failed == 1 else 'fail'}" if failed else ""
    head = f"It is claimed{of}{wrong}:"
    return [head, *lines(outcome.claims)]


def lines(verdicts: tuple[Verdict, ...]) -> list[str]:
    """One line a claim: whether it holds, its figure and its bound, what is claimed."""
    from dotnn.training.display import shown

    cells: list[tuple[str, str, str, str]] = []
    for verdict in verdicts:
        claim = verdict.claim
        figure = shown(verdict.figure, claim.share)
        both = zip(claim.bounds, verdict.bounds, strict=True)
        bounds = " and ".join(f"{sign} {shown(bound, claim.share)}" for sign, bound in both)
        on = f" (on {claim.on})" if claim.on else ""
        cells.append(("holds" if verdict.holds else "FAILS", figure, bounds, f"{claim.text}{on}"))
    wide = max((len(figure) for _, figure, _, _ in cells), default=0)
    far = max((len(bounds) for _, _, bounds, _ in cells), default=0)
    return [f"  {state}  {figure:>{wide}}  {bounds:<{far}}  {text}" for state, figure, bounds, text in cells]
