"""The loop: guess, measure the error, find which weights are to blame, adjust them; again and again.

Whoever wants to know how it goes (a display, a log, a stream of events) is an ``Observer``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import numpy as np

from dotnn.data import Dataset, Rows, batches
from dotnn.graph import Graph, Role
from dotnn.operation import elements
from dotnn.plugins import Arrays, Backend, Executor, Options, Session
from dotnn.program import Program
from dotnn.training.rules import Best, Figures, Rules, Splits, keeper
from dotnn_grammar.problems import Problem

TICK = 0.1
"""Seconds between two looks at an epoch that is under way."""
PATIENCE = 1.0
"""Seconds that the last look at the splits may take after an interruption."""
EVALUATED = 2**26
"""Numbers that one batch of an evaluation may compute."""

State = dict[str, np.ndarray[Any, Any]]


class Diverged(Problem):
    code = "T001"
    title = "the numbers ran away: step {step:,}, in epoch {epoch:,}, gave {value}"
    help = (
        "{kept}; a smaller learning rate, a `clip norm 1.0` line, or data between about -1 and 1 "
        "(`standardise`) is what helps most often"
    )
    step: int
    epoch: int
    value: str
    kept: str


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


class Observer:
    """Is told how training goes. Each method does nothing unless it is overridden."""

    def started(self, start: Start) -> None: ...
    def tick(self, tick: Tick) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


class Flag:
    """Raised from outside (a signal) to end training after the step under way."""

    __slots__ = ("raised",)

    def __init__(self) -> None:
        self.raised = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Ends a run sooner than its plan says; schedules keep the plan's length."""

    epochs: int | None = None
    steps: int | None = None


class Running:
    """The train figures of an epoch while it goes on, each step weighted by its rows."""

    def __init__(self, program: Program, graph: Graph) -> None:
        there = {output.name for output in graph.outputs}
        names = [figure.name for figure in program.figures]
        self.means = [name for name in names if name in there]
        self.shares = [name for name in names if name not in there and f"{name}.total" in there]
        self.begin()

    def begin(self) -> None:
        self.rows = 0
        self.totals = dict.fromkeys([*self.means, *self.shares], 0.0)
        self.counts = dict.fromkeys(self.shares, 0.0)

    def add(self, out: Arrays, rows: int) -> None:
        self.rows += rows
        totals = self.totals
        for name in self.means:
            totals[name] += float(out[name]) * rows
        for name in self.shares:
            totals[name] += float(out[f"{name}.total"])
            self.counts[name] += float(out[f"{name}.count"])

    def figures(self) -> dict[str, float]:
        return {name: _over(total, self.counts.get(name, self.rows)) for name, total in self.totals.items()}


class Evaluator:
    """The exact figures of a whole split: totals over counts, so that the batch size does not matter."""

    def __init__(self, program: Program, executor: Executor, graph: Graph) -> None:
        self.executor = executor
        self.columns = columns(graph)
        there = {output.name for output in graph.outputs}
        self.names = [f.name for f in program.figures if f"{f.name}.total" in there]
        self.batch = evaluation_batch(graph, program.plan.batch)

    def __call__(self, rows: Rows, session: Session | None, until: float | None = None) -> dict[str, float] | None:
        """None where ``until`` (by ``perf_counter``) has come before the split was through."""
        totals = dict.fromkeys(self.names, 0.0)
        counts = dict.fromkeys(self.names, 0.0)
        for first in range(0, rows.count, self.batch):
            if until is not None and perf_counter() >= until:
                return None
            feeds = {name: rows.arrays[name][first : first + self.batch] for name in self.columns}
            out = self.executor.run(feeds, session)
            for name in self.names:
                totals[name] += float(out[f"{name}.total"])
                counts[name] += float(out[f"{name}.count"])
        return {name: _over(totals[name], counts[name]) for name in self.names}


def columns(graph: Graph) -> list[str]:
    """The inputs of a graph that come from the data."""
    return [fed.name for fed in graph.inputs if fed.role in ("data", "label", "weight")]


def evaluation_batch(graph: Graph, batch: int) -> int:
    """How many rows are evaluated at once: a few thousand, fewer where each row takes many numbers."""
    each = sum(elements(node.type) for node in graph.nodes)
    return max(batch, min(4096, EVALUATED // max(each, 1)))


@dataclass
class _Run:
    """Everything that a run under way consists of."""

    program: Program
    session: Session
    evaluate: Evaluator
    running: Running
    best: Best | None
    rules: Rules
    begun: float = field(default_factory=perf_counter)
    epochs: int = 0
    steps: int = 0
    rate: float | None = None
    norm: float | None = None
    kept: State | None = None
    kept_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)

    def seconds(self) -> float:
        return perf_counter() - self.begun


def train(
    program: Program,
    dataset: Dataset,
    backend: Backend,
    options: Options,
    observers: Sequence[Observer] = (),
    flag: Flag | None = None,
    limits: Limits = Limits(),
) -> Outcome:
    """Trains by the program's plan. An interruption (``flag``) and divergence are outcomes, not exceptions.

    Raises ``ProblemError`` where the backend cannot run the program.
    """
    flag = flag or Flag()
    plan, rows = program.plan, dataset.splits["train"]
    start = _start(program, dataset, limits)
    machines = {name: _machine(program, backend, options, name) for name in ("init", "order", "train", "eval")}
    state = machines["init"].run(_only(program.graphs["init"], {"seed": np.array(plan.seed, np.int64)}))
    graph = program.graphs["train"]
    run = _Run(
        program=program,
        session=machines["train"].train(state),
        evaluate=Evaluator(program, machines["eval"], program.graphs["eval"]),
        running=Running(program, graph),
        best=keeper(program),
        rules=Rules(plan),
        kept=state,
    )
    learning = Rows(rows.count, {name: rows.arrays[name] for name in columns(graph)})
    for observer in observers:
        observer.started(start)

    ending: Ending = "done"
    reason = ""
    problem: Problem | None = None
    while run.epochs < start.epochs:
        order = _order(program, machines["order"], run.epochs, rows.count)
        run.epochs += 1
        before = run.seconds()
        problem = _epoch(run, graph, learning, order, start, observers, flag)
        if problem is not None:
            ending = "diverged"
            break
        if flag.raised:
            ending = "interrupted"
            break
        epoch = _look(run, dataset, run.seconds() - before)
        for observer in observers:
            observer.epoch(epoch)
        why = run.rules.stop(epoch.splits, epoch.number)
        if why and run.epochs < start.epochs:
            ending, reason = "stopped", why
            break
        if run.steps >= start.steps:
            break

    outcome = _finish(run, dataset, ending, reason, problem)
    for observer in observers:
        observer.ended(outcome)
    return outcome


def _start(program: Program, dataset: Dataset, limits: Limits) -> Start:
    plan = program.plan
    counts = {name: rows.count for name, rows in dataset.splits.items()}
    each = math.ceil(counts["train"] / plan.batch)
    steps = plan.steps if plan.steps is not None else (plan.epochs or 0) * each
    if limits.epochs is not None:
        steps = min(steps, limits.epochs * each)
    if limits.steps is not None:
        steps = min(steps, limits.steps)
    return Start(program, counts, each, math.ceil(steps / each) if each else 0, steps)


def _machine(program: Program, backend: Backend, options: Options, name: str) -> Executor:
    return backend.start(backend.lower(program.graphs[name], options), options)


def _only(graph: Graph, feeds: Arrays) -> Arrays:
    wanted = {fed.name for fed in graph.inputs}
    return {name: array for name, array in feeds.items() if name in wanted}


def _order(program: Program, executor: Executor, epoch: int, count: int) -> np.ndarray[Any, Any]:
    """The order of the rows in this epoch (from 0), i64[count]."""
    graph = program.graphs["order"]
    numbers = {"seed": program.plan.seed, "epoch": epoch, "n": count}
    out = executor.run(_only(graph, {name: np.array(value, np.int64) for name, value in numbers.items()}))
    return out[graph.outputs[0].name]


def _named(graph: Graph, role: Role) -> str | None:
    return next((output.name for output in graph.outputs if output.role == role), None)


def _epoch(
    run: _Run,
    graph: Graph,
    rows: Rows,
    order: np.ndarray[Any, Any],
    start: Start,
    observers: Sequence[Observer],
    flag: Flag,
) -> Problem | None:
    """Once through the rows. What is done here is done at every step: it is kept short."""
    size, left, last = run.program.plan.batch, rows.count, start.steps
    step, add = run.session.step, run.running.add
    finite, loss = _named(graph, "finite"), _named(graph, "loss")
    rate, norm = _named(graph, "rate"), _named(graph, "norm")
    run.running.begin()
    soon = perf_counter() + TICK
    steps = run.steps
    out: Arrays = {}
    for batch in batches(rows, order, size):
        out = step(batch)
        steps += 1
        if finite is not None and not out[finite]:
            break
        add(out, size if left > size else left)
        left -= size
        if flag.raised or steps == last:
            break
        if perf_counter() >= soon:
            run.steps = steps
            tick = Tick(run.epochs, steps, run.seconds(), run.running.figures())
            for observer in observers:
                observer.tick(tick)
            soon = perf_counter() + TICK
    run.steps = steps
    run.rate = float(out[rate]) if rate and out else None
    run.norm = float(out[norm]) if norm and out else None
    if finite is not None and out and not out[finite]:
        kept = f"the weights of epoch {run.kept_epoch:,} are kept" if run.kept_epoch else "the first weights are kept"
        value = _said(float(out[loss])) if loss else "something that is no number"
        return Diverged(step=steps, epoch=run.epochs, value=value, kept=kept)
    return None


def _said(loss: float) -> str:
    if math.isnan(loss):
        return "a loss that is no number (nan)"
    return "an endless loss" if math.isinf(loss) else "weights that are no numbers any more"


def _look(run: _Run, dataset: Dataset, seconds: float) -> Epoch:
    """How it stands at the end of an epoch; keeps the weights, where they are the best or the last good ones."""
    splits: dict[str, Figures] = {"train": run.running.figures()}
    if "val" in dataset.splits:
        splits["val"] = run.evaluate(dataset.splits["val"], run.session) or {}
    better = run.best is not None and run.best.improves(splits, run.epochs)
    if run.best is None or better or not run.kept_epoch:
        run.kept, run.kept_epoch = run.session.state(), run.epochs
    epoch = Epoch(
        number=run.epochs,
        step=run.steps,
        seconds=run.seconds(),
        splits=splits,
        rate=run.rate,
        norm=run.norm,
        rows_per_second=run.running.rows / max(seconds, 1e-9),
        best=better,
    )
    run.history.append(epoch)
    return epoch


def _finish(run: _Run, dataset: Dataset, ending: Ending, reason: str, problem: Problem | None) -> Outcome:
    """Goes back to the kept weights, where others are kept, and measures every split with them."""
    back = ending == "diverged" or (run.best is not None and run.best.epoch not in (0, run.epochs))
    back = back or (ending == "interrupted" and run.best is not None and run.best.epoch > 0)
    state = run.session.state()
    last: State | None = None
    if back and run.kept is not None:
        last = state if ending != "diverged" else None
        state = run.kept
        run.session.load(state)
    until = perf_counter() + PATIENCE if ending == "interrupted" else None
    splits: dict[str, Figures] = {}
    for name in [n for n in ("test", "val", "train") if n in dataset.splits]:
        figures = run.evaluate(dataset.splits[name], run.session, until)
        if figures is not None:
            splits[name] = figures
    return Outcome(
        ending=ending,
        reason=reason,
        epochs=run.epochs,
        steps=run.steps,
        seconds=run.seconds(),
        kept=run.kept_epoch if back else None,
        splits={name: splits[name] for name in ("train", "val", "test") if name in splits},
        state=state,
        last=last,
        problem=problem,
        history=tuple(run.history),
    )


def _over(total: float, count: float) -> float:
    return total / count if count else math.nan
