"""A warm start: the weights of an earlier run, put in the place of new ones wherever name and shape agree.

Where that run's net has another name, a weight is found by its path in the net: `Draw.encoder.W` for `Tell.encoder.W`.

Weights and running statistics are taken; what the optimizer remembers, the step and the generator's key begin anew.
Of a run that keeps a moving average of a weight it is the average that is taken: that is the net which it measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.elaborate.machine import AVERAGE
from dotnn.updates import gather, scaling
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span

State = dict[str, np.ndarray[Any, Any]]

LISTED = 6
"""Names in a note, before it says how many more."""
OWN = ("step", "key", gather.BATCHES, gather.WEIGHED, gather.ROWS, gather.LOSS, scaling.SCALE, scaling.FINE)
"""States of a run that are none of its net."""


class NothingFits(Problem):
    code = "T040"
    title = "nothing in `{run}` fits this net"
    label = "to start from"
    help = "its weights are {theirs}; those here are {ours}: a name (that of the net aside) and a shape must agree"
    run: str
    theirs: str
    ours: str


class StartLeavesFolder(Problem):
    code = "T041"
    title = "`{run}` leads out of the spec's folder"
    label = "a spec starts from runs in its own folder"
    help = "copy the run there; or leave this line out and say it yourself: nn train SPEC --warm-start FOLDER"
    run: str


@dataclass(frozen=True, slots=True)
class Warm:
    """A state with what could be taken from a run, and what could not."""

    state: State
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    """Weights of this net that the run has not: they begin anew."""
    extra: tuple[str, ...]
    """Weights of the run that this net has not."""
    resized: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """Name, shape here, shape there: they begin anew."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Name here and name there of what was found by its path in a net of another name."""


def carried(name: str) -> bool:
    """Whether a state tensor is a weight or a running statistic, and no matter of the run's own."""
    return ":" not in name and name not in OWN


def warm(state: State, found: State) -> Warm:
    """``state`` (new) with what fits of ``found`` (of an earlier run). Neither is changed."""
    found = {name: found.get(name + AVERAGE, array) for name, array in found.items() if carried(name)}
    ours = [name for name in state if carried(name)]
    there = {name: name for name in ours if name in found}
    renamed = _by_path([name for name in ours if name not in found], [name for name in found if name not in state])
    there |= renamed
    taken = [name for name, other in there.items() if state[name].shape == found[other].shape]
    used = set(there.values())
    return Warm(
        state={**state, **{name: found[there[name]].astype(state[name].dtype) for name in taken}},
        taken=tuple(name for name in ours if name in taken),
        missing=tuple(name for name in ours if name not in there),
        extra=tuple(name for name in found if name not in used),
        resized=tuple((n, state[n].shape, found[there[n]].shape) for n in ours if n in there and n not in taken),
        renamed=tuple((n, other) for n, other in renamed.items() if n in taken),
    )


def _by_path(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Ours beside theirs where the paths in their nets are the same, and no other weight of either has that path."""
    here, there = (Counter(_in_net(name) for name in names) for names in (ours, theirs))
    once = {path for path in here if path and here[path] == 1 == there[path]}
    place = {_in_net(name): name for name in theirs}
    return {name: place[_in_net(name)] for name in ours if _in_net(name) in once}


def _in_net(name: str) -> str:
    """`Tell.encoder.W` is `encoder.W` in its net."""
    return name.partition(".")[2]


def begin_from(run: Path, state: State, span: Span | None = None) -> tuple[State, list[str]]:
    """``state`` with the weights of a run where they fit, and notes on what did not.

    Raises ``ProblemError`` where ``run`` is no run, or where nothing fits.
    """
    from dotnn.training.run import read_weights

    said: list[str] = []
    found = read_weights(run, said.append)
    made = warm(state, found)
    if not made.taken:
        ours, theirs = (_shapes(each) for each in (state, found))
        raise NothingFits(span=span, run=str(run), ours=ours, theirs=theirs).error()
    return made.state, [*said, *notes(made, run)]


def notes(made: Warm, run: Path) -> list[str]:
    """What was taken and what was not, in words."""
    count = len(made.taken) + len(made.missing) + len(made.resized)
    said = [f"note: {len(made.taken)} of {count} weights start from {run}"]
    if made.renamed:
        pairs = [f"{there} as {here}" for here, there in made.renamed]
        said.append(f"note: from a net of another name: {_listed(pairs)}")
    if made.missing:
        said.append(f"note: not in that run, so they begin anew: {_listed(made.missing)}")
    if made.resized:
        shapes = [f"{name} ({_shape(here)} here, {_shape(there)} there)" for name, here, there in made.resized]
        said.append(f"note: of another shape there, so they begin anew: {_listed(shapes)}")
    if made.extra:
        said.append(f"note: in that run alone, and not used: {_listed(made.extra)}")
    return said


def start_folder(text: str, folder: Path, span: Span | None = None) -> Path:
    """The run that a `start from` line names, below the spec's folder. Raises ``ProblemError``.

    A spec may come from a stranger: no absolute path, no way out by `..`, no link on the way.
    """
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
    plain = not text.startswith(("/", "\\", "~")) and ".." not in parts and "\0" not in text and ":" not in text
    path = folder.joinpath(*parts) if plain else folder
    links = [p for p in (path, *path.parents) if p != folder and folder in p.parents and p.is_symlink()]
    if not plain or links or not parts:
        raise StartLeavesFolder(span=span, run=text.replace("\0", "\ufffd")).error()
    return path


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _shapes(state: State) -> str:
    return _listed([f"{name} {_shape(array.shape)}" for name, array in state.items() if carried(name)]) or "none"


def _shape(dims: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, dims)) + "]"
