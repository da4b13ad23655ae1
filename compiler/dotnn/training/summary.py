"""What is said at the end of a run: how good it is beside a guess, where things are, what to try next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from dotnn.program import Program
from dotnn.training import run
from dotnn.training.baseline import Baseline
from dotnn.training.claims import told
from dotnn.training.display import clock, is_share, shown
from dotnn.training.events import Outcome
from dotnn.training.figures import number_of
from dotnn.training.store import LOG
from dotnn.training.tables import tables
from dotnn_grammar.problems import many

MEANING = {
    run.PREDICT: "the net with its weights inside, for any onnxruntime",
    "start.onnx": "the same for writing: reads how a text begins,",
    "next.onnx": "goes on by one token,",
    "choose.onnx": "draws a token from its scores",
    run.WEIGHTS: "the weights, and all else that training carried along",
    run.LAST: "the same at the very end",
    LOG: "one line of figures an epoch",
    run.RESULT: "these figures",
}


def summary(
    program: Program,
    outcome: Outcome,
    folder: Path,
    files: Sequence[str],
    guess: Baseline | None,
    tries: Sequence[str],
) -> str:
    """The summary as plain text."""
    claims = told(outcome, folder)
    parts = [_how(outcome), _figures(program, outcome, guess), claims, _places(folder, files), _next(tries)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _how(outcome: Outcome) -> list[str]:
    length = f"{many(outcome.epochs, 'epoch')} ({many(outcome.steps, 'step')}, {clock(outcome.seconds)})"
    words = {
        "done": f"Learned for {length}.",
        "stopped": f"Learned for {length}, then stopped: {outcome.reason}.",
        "interrupted": f"Stopped, as you wished, after {length}. What was learned so far is saved.",
        "diverged": f"It went wrong after {length}.",
    }
    kept = [f"The weights of epoch {outcome.kept:,} are kept."] if outcome.kept else []
    return [" ".join([words[outcome.ending], *kept])]


def _figures(program: Program, outcome: Outcome, guess: Baseline | None) -> list[str]:
    if not outcome.splits:
        return ["There was no time to measure it."]
    first = {name: value for figures in outcome.splits.values() for name, value in figures.items()}
    names = [name for name in first if not isinstance(first[name], tuple)]
    share = {name: is_share(program, name) for name in names}
    width = max([9, *(len(name) for name in names)])
    lines = ["          " + "".join(f"{name:>{width + 2}}" for name in names)]
    notes = {
        "train": "the rows that it learned from",
        "test": "rows that it had never met: what counts",
    }
    for split, figures in outcome.splits.items():
        cells = "".join(f"{shown(figures.get(name), share[name]):>{width + 2}}" for name in names)
        lines.append(f"  {split:<8}{cells}   {notes.get(split, '')}".rstrip())
    if guess is not None and any(math.isfinite(number_of(v)) for v in guess.figures.values()):
        cells = "".join(f"{shown(guess.figures.get(name), share[name]):>{width + 2}}" for name in names)
        lines.append(f"  {'a guess':<8}{cells}   {guess.words}, without a look")
    split = next(name for name in ("test", "val", "train") if name in outcome.splits)
    return [*lines, *tables(program, outcome.splits[split], split)]


def _places(folder: Path, files: Sequence[str]) -> list[str]:
    width = max(len(str(folder / name)) for name in files)
    return [f"  {folder / name!s:<{width}}   {MEANING[name]}" for name in MEANING if name in files]


def _next(tries: Sequence[str]) -> list[str]:
    return ["Try next", *(f"  {line}" for line in tries)] if tries else []
