"""The loop: guess, measure the error, find which weights are to blame, adjust them; again and again.

Whoever wants to know how it goes (a display, a log, a stream of events) is an ``Observer``. A run goes by in a course,
which pauses after each epoch: so several runs can take turns.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from time import perf_counter
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from dotnn.data import Dataset, Rows
from dotnn.data.lengths import Batcher
from dotnn.graph import Graph, Role
from dotnn.plugins import Arrays, Backend, Executor, Former, Interrupted, Interruptible, Options, Session, Steady
from dotnn.program import Program
from dotnn.training.apart import ApartFigures
from dotnn.training.blame import diverged
from dotnn.training.checkpoint import LogMark, Position, Snapshot, State
from dotnn.training.events import Ending, Epoch, Limits, Observer, Outcome, Start, Tick
from dotnn.training.figures import refuse_gathering
from dotnn.training.measure import Evaluator, Flag, Running, columns, relative_change, resident
from dotnn.training.rules import Best, Figures, Rules, keeper
from dotnn.training.store import Store
from dotnn_grammar.problems import Problem, ProblemError

TICK = 0.1
"""Seconds between two looks at an epoch that is under way."""
PATIENCE = 1.0
"""Seconds that the last look at the splits may take after an interruption."""
UNLIMITED = Limits()
REMEMBERED = 1000
"""Epochs that a run keeps in mind; all of them are in its log."""


@dataclass
class _Run:
    """Everything that a run under way consists of."""

    program: Program
    session: Session
    evaluate: Evaluator
    running: Running
    best: Best | None
    rules: Rules
    apart: ApartFigures
    learned: tuple[str, ...]
    begun: float = field(default_factory=perf_counter)
    epochs: int = 0
    steps: int = 0
    done: int = 0
    """Steps of the epoch under way."""
    open: bool = False
    """Whether an epoch is under way."""
    epoch_begun: float = 0.0
    rate: float | None = None
    norm: float | None = None
    change: float | None = None
    kept: State | None = None
    kept_epoch: int = 0
    history: deque[Epoch] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def seconds(self) -> float:
        return perf_counter() - self.begun

    def position(self) -> Position:
        return Position(
            step=self.steps,
            epoch=self.epochs,
            done=self.done,
            seconds=self.seconds(),
            epoch_seconds=self.seconds() - self.epoch_begun,
            rows=self.running.rows,
            totals=dict(self.running.totals),
            best=self.best.standing() if self.best else None,
            patience=self.rules.standings(),
            kept_epoch=self.kept_epoch,
            rate=self.rate,
            norm=self.norm,
            change=self.change,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on from there as if it had never ended."""
        at = snapshot.position
        self.epochs, self.steps, self.done, self.open = at.epoch, at.step, at.done, True
        self.begun = perf_counter() - at.seconds
        self.epoch_begun = at.seconds - at.epoch_seconds
        self.running.begin()
        self.running.rows = at.rows
        self.running.totals |= at.totals
        self.running.tally.load(snapshot.tally)
        self.rate, self.norm, self.change = at.rate, at.norm, at.change
        self.kept_epoch = at.kept_epoch
        if snapshot.kept is not None:
            self.kept = snapshot.kept
        if self.best is not None and at.best is not None:
            self.best.restore(at.best)
        self.rules.restore(at.patience)


class _Moments:
    """Where a run writes its checkpoints; nowhere, without a store."""

    def __init__(self, run: _Run, store: Store | None, mark: Callable[[], LogMark] | None) -> None:
        self.run, self.store, self.mark = run, store, mark

    def next_step(self) -> int:
        return self.store.next_step(self.run.steps) if self.store else -1

    def due(self, epoch_ended: bool = False) -> bool:
        return self.store is not None and self.store.due(epoch_ended)

    def take(self) -> Snapshot | None:
        """The run as it is now, its tensors still where they are: for ``save`` while the session stands still."""
        if self.store is None or self.mark is None:
            return None
        run = self.run
        return Snapshot(run.position(), {}, run.kept, self.mark(), run.running.tally.state())

    def save(self, snapshot: Snapshot | None) -> None:
        """Writes it, with the tensors of now. Raises ``ProblemError``."""
        if self.store is not None and snapshot is not None and snapshot.position.step != self.store.step:
            self.store.save(replace(snapshot, state=self.run.session.state()))


P = ParamSpec("P")
T = TypeVar("T")
Course = Generator[None, None, T]
"""What goes on a little each time it is asked, and gives something at its end."""


def through(course: Course[T]) -> T:
    """A whole course without a pause."""
    while True:
        try:
            next(course)
        except StopIteration as end:
            made: T = end.value
            return made


def whole(course: Callable[P, Course[T]]) -> Callable[P, T]:
    """The same without pauses."""

    @wraps(course)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return through(course(*args, **kwargs))

    return run


def course(
    program: Program,
    dataset: Dataset,
    backend: Backend,
    options: Options,
    observers: Sequence[Observer] = (),
    flag: Flag | None = None,
    limits: Limits = UNLIMITED,
    *,
    threads: Mapping[str, int | None] = MappingProxyType({}),
    store: Store | None = None,
    mark: Callable[[], LogMark] | None = None,
    resume: Snapshot | None = None,
    begin: Callable[[State], State] | None = None,
) -> Course[Outcome]:
    """Trains by the program's plan. An interruption (``flag``) and divergence are outcomes, not exceptions.

    It pauses after each epoch; the time of a pause is nobody's.

    threads: of each graph's session, where it is not left to the options; store: where checkpoints go, each with the
    ``mark`` of the log; resume: where to go on; begin: makes other first weights of those that `init` gives.

    Raises ``ProblemError`` where the backend cannot run the program, or a checkpoint or the log cannot be written.
    """
    flag = flag or Flag()
    plan, rows = program.plan, dataset.splits["train"]
    refuse_gathering(program, {name: part.count for name, part in dataset.splits.items()})
    machines = {name: _machine(program, backend, options, threads, name) for name in ("init", "order", "train", "eval")}
    start = replace(
        planned(program, dataset, limits, resume),
        device=getattr(machines["train"], "device", options.device),
        threads={name: getattr(machine, "threads", None) for name, machine in machines.items()},
    )
    state = machines["init"].run(_only(program.graphs["init"], {"seed": np.array(plan.seed, np.int64)}))
    state = begin(state) if begin is not None else state
    graph = program.graphs["train"]
    run = _Run(
        program=program,
        session=machines["train"].train(resume.state if resume is not None else state),
        evaluate=Evaluator(program, machines["eval"], program.graphs["eval"]),
        running=Running(program, graph),
        best=keeper(program),
        rules=Rules(plan, program.figures),
        apart=ApartFigures(program, backend, options),
        learned=tuple(fed.name for fed in graph.inputs if fed.learned),
        kept=state,
    )
    if resume is not None:
        run.restore(resume)
    moments = _Moments(run, store, mark)
    learning = Rows(rows.count, {name: rows.arrays[name] for name in columns(graph)})
    batcher = Batcher(plan, program.inputs, learning)
    for observer in observers:
        observer.started(start)

    ending: Ending = "done"
    reason = ""
    problem: Problem | None = None
    snapshot: Snapshot | None = None
    while run.open or run.epochs < start.epochs:
        order = _order(program, machines["order"], run.epochs - run.open, rows.count)
        if not run.open:
            run.epochs, run.done, run.open, run.epoch_begun = run.epochs + 1, 0, True, run.seconds()
            run.running.begin()
        with run.session.steady() if isinstance(run.session, Steady) else nullcontext():
            problem = _epoch(run, graph, batcher, order, start, observers, flag, moments)
        if problem is not None:
            ending = "diverged"
            break
        # What is kept is the run before it looks at the splits: going on from here looks again, and sees the same.
        snapshot = moments.take()
        if flag.raised:
            moments.save(snapshot)
            ending = "interrupted"
            break
        if moments.due(epoch_ended=True):
            moments.save(snapshot)
        epoch = _look(run, dataset, flag)
        if epoch is None:
            moments.save(snapshot)
            ending = "interrupted"
            break
        run.open = False
        for observer in observers:
            observer.epoch(epoch)
        why = run.rules.stop(epoch.splits, epoch.number)
        if why and run.epochs < start.epochs:
            ending, reason = "stopped", why
        elif flag.up():
            ending = "interrupted"
        if ending != "done" or run.steps >= start.steps:
            moments.save(snapshot)
            break
        paused = perf_counter()
        yield
        run.begun += perf_counter() - paused

    outcome = _finish(run, dataset, ending, reason, problem, flag)
    for observer in observers:
        observer.ended(outcome)
    return outcome


train = whole(course)
"""A course without pauses."""


def planned(program: Program, dataset: Dataset, limits: Limits, resume: Snapshot | None = None) -> Start:
    """How long training will be, as far as it is known before."""
    plan = program.plan
    counts = {name: rows.count for name, rows in dataset.splits.items()}
    each = plan.per_epoch or math.ceil(counts["train"] / plan.batch)
    steps = plan.steps if plan.steps is not None else (plan.epochs or 0) * each
    if limits.epochs is not None:
        steps = min(steps, limits.epochs * each)
    if limits.steps is not None:
        steps = min(steps, limits.steps)
    at = resume.position.step if resume is not None else 0
    return Start(program, counts, each, math.ceil(steps / each) if each else 0, steps, at)


def _machine(
    program: Program, backend: Backend, options: Options, threads: Mapping[str, int | None], name: str
) -> Executor:
    if threads.get(name) is not None:
        options = options.model_copy(update={"threads": threads[name]})
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
    batcher: Batcher,
    order: np.ndarray[Any, Any],
    start: Start,
    observers: Sequence[Observer],
    flag: Flag,
    moments: _Moments,
) -> Problem | None:
    """The rest of an epoch. What is done here is done at every step: it is kept short."""
    last = start.steps
    step, add, session = run.session.step, run.running.add, run.session
    finite, loss = _named(graph, "finite"), _named(graph, "loss")
    rate, norm = _named(graph, "rate"), _named(graph, "norm")
    left = batcher.count - run.done
    if left <= 0 or run.steps >= last or flag.raised:
        return None
    final = min(run.steps + left, last)
    before = session.state() if not isinstance(session, Former) and final - run.steps == 1 else None
    soon, mark = perf_counter() + TICK, moments.next_step()
    first, steps = run.steps, run.steps
    out: Arrays = {}
    batch: Arrays = {}
    flag.busy = session
    for count, batch in batcher(order, run.done):
        try:
            out = step(batch)
        except Interrupted:
            break
        except (MemoryError, ProblemError):
            run.done, run.steps = run.done + steps - run.steps, steps
            with suppress(MemoryError, ProblemError):  # what is told is why the step failed
                moments.save(moments.take())
            raise
        steps += 1
        if finite is not None and not out[finite]:
            break
        add(out, count)
        if flag.up() or steps == final:
            break
        if steps == mark or perf_counter() >= soon:
            run.done, run.steps = run.done + steps - run.steps, steps
            if steps == mark or moments.due():
                moments.save(moments.take())
                mark = moments.next_step()
            tick = Tick(run.epochs, steps, run.seconds(), run.running.figures())
            for observer in observers:
                observer.tick(tick)
            soon = perf_counter() + TICK
        if before is None and steps == final - 1 and not isinstance(session, Former):
            before = session.state()
    flag.busy = None
    run.done, run.steps = run.done + steps - run.steps, steps
    if steps == first:
        return None
    run.rate = float(out[rate]) if rate else None
    run.norm = float(out[norm]) if norm else None
    if finite is not None and not out[finite]:
        feeds = {**session.former(), **batch} if isinstance(session, Former) else None
        return diverged(graph, feeds, steps, run.epochs, run.kept_epoch, float(out[loss]) if loss else None)
    if steps == final:
        run.change = _change(run, before)
    return None


def _change(run: _Run, before: State | None) -> float | None:
    """How far the last step moved the weights, relative to their length."""
    session = run.session
    old = session.former() if isinstance(session, Former) else before
    if old is None or not run.learned:
        return None
    now = session.state()
    return relative_change({name: old[name] for name in run.learned}, now)


def _look(run: _Run, dataset: Dataset, flag: Flag) -> Epoch | None:
    """How it stands at the end of an epoch; keeps the weights, where they are the best or the last good ones.

    None, and nothing is changed, where the flag was raised meanwhile.
    """
    seconds = run.seconds() - run.epoch_begun
    splits: dict[str, Figures] = {"train": run.running.figures()}
    if "val" in dataset.splits:
        figures = _measured(run, dataset.splits["val"], flag)
        if figures is None:
            return None
        splits["val"] = figures
    if not run.apart.add(splits, dataset, run.session, run.epochs, flag):
        return None
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
        change=run.change,
        memory=resident(),
    )
    run.history.append(epoch)
    return epoch


def _measured(run: _Run, rows: Rows, flag: Flag, until: float | None = None) -> Figures | None:
    """The exact figures of a split; None where there was no time for them."""
    flag.busy = run.evaluate.executor
    try:
        return run.evaluate(rows, run.session, until, flag if until is None else None)
    except Interrupted:
        return None
    finally:
        flag.busy = None


def _finish(run: _Run, dataset: Dataset, ending: Ending, reason: str, problem: Problem | None, flag: Flag) -> Outcome:
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
    for machine in (run.session, run.evaluate.executor):
        if isinstance(machine, Interruptible):
            machine.interrupt(False)
    splits: dict[str, Figures] = {}
    for name in [n for n in ("test", "val", "train") if n in dataset.splits]:
        figures = _measured(run, dataset.splits[name], flag, until)
        if figures is not None:
            splits[name] = figures
    if until is None:
        run.apart.add(splits, dataset, run.session, None, flag)
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
