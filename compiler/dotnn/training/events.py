"""What there is to be told of training, as it goes and at its end; whoever wants to know is an ``Observer``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dotnn.claims.verdict import Verdict
from dotnn.program import Program
from dotnn.training.checkpoint import State
from dotnn.training.rules import Figures, Splits
from dotnn_grammar.problems import Problem


@dataclass(frozen=True, slots=True)
class Start:
    """What is known before the first step."""

    program: Program
    rows: Mapping[str, int]
    steps_per_epoch: int
    epochs: int
    """At most; counted up to a whole one where the plan is in steps."""
    steps: int
    """At most."""
    at: int = 0
    """The step from which it goes on."""
    device: str = ""
    threads: Mapping[str, int | None] = field(default_factory=dict)
    """Of each graph's session."""


@dataclass(frozen=True, slots=True)
class Tick:
    """An epoch under way."""

    epoch: int
    step: int
    seconds: float
    running: Figures


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one time through the rows brought. ``train`` among the splits is the mean while it learned."""

    number: int
    """From 1."""
    step: int
    """Steps since the beginning."""
    seconds: float
    """Since the beginning."""
    splits: Splits
    rate: float | None
    norm: float | None
    rows_per_second: float
    best: bool
    """Of all so far, by the plan's `keep best`."""
    change: float | None = None
    """How far the last step moved the weights, relative to their length."""
    memory: int | None = None
    """Bytes that the process occupies."""


Ending = Literal["done", "stopped", "interrupted", "diverged"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    ending: Ending
    reason: str
    """Why it stopped before its plan was through; empty where it was not stopped."""
    epochs: int
    steps: int
    seconds: float
    kept: int | None
    """The epoch whose weights are kept, where that is not simply the last."""
    splits: Splits
    """The figures of each split with the kept weights, exact."""
    state: State
    """The kept weights and the rest of the state that belongs to them."""
    last: State | None = None
    """The state at the very end, where another one is kept."""
    problem: Problem | None = None
    history: tuple[Epoch, ...] = ()
    claims: tuple[Verdict, ...] = ()
    """What was found of the spec's claims, with the kept weights."""
    unchecked: str = ""
    """Why the claims could not be checked."""


class Observer:
    """Is told how training goes. Each method does nothing unless it is overridden."""

    def started(self, start: Start) -> None: ...
    def tick(self, tick: Tick) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Ends a run sooner than its plan says; schedules keep the plan's length."""

    epochs: int | None = None
    steps: int | None = None
