"""Schedules: a setting that changes from step to step, by text like everything else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.calls import bind, by_name
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.problems import NotKnownNow, NotThatKind
from dotnn.elaborate.values import Bound, Instance, Known, Phase, Scheduled, Sequence, Size, Tensor, kind, plain
from dotnn.spec import Part
from dotnn.tape import Value


@dataclass(frozen=True)
class Clock:
    """How far training is: ``step`` counts from 1; ``steps`` is how many there will be, ``epoch`` how many make one.

    ``loss`` is that of the batch, whose rows are ``rows``.
    """

    step: Value
    steps: int
    epoch: int
    loss: Value
    rows: Size | Tensor | int
    every: int = 1
    """In a step that is taken after so many batches only, ``step`` and ``steps`` count those that are taken."""


def settings_of(frame: Frame, optimizer: Bound, clock: Clock, part: Part) -> dict[str, Any]:
    """The settings at this step. What a schedule remembers is called `OPTIMIZER.SETTING:SCHEDULE.NAME`."""
    path = frame.path_of(optimizer.known.name)
    return {name: at_step(frame, value, clock, part, f"{path}.{name}") for name, value in optimizer.settings.items()}


def at_step(frame: Frame, value: Any, clock: Clock, part: Part, path: str) -> Any:
    """A setting at this step: a schedule gives its value, anything else is itself."""
    if isinstance(value, Known) and value.curried and value.definition.word == "function":
        value = bind(frame, value, (), part, None)
    if isinstance(value, Bound) and value.known.definition.word == "function":
        value = Sequence((Phase(value),))
    if not isinstance(value, Sequence):
        return value
    phases: list[Phase] = []
    for number, phase in enumerate(value.phases):
        schedule = _schedule(frame, phase.value, part)
        if isinstance(schedule, Bound):
            name = f"{path}:{schedule.known.name}" + (f"[{number}]" if number else "")
            schedule = replace(schedule, instance=Instance(name))
        phases.append(replace(phase, value=schedule))
    made = _phases(frame, tuple(phases), 0, clock, part)
    return Scheduled(made.value, made.labels, made.bound) if isinstance(made, Tensor) else made


def _phases(frame: Frame, phases: tuple[Phase, ...], start: int, clock: Clock, part: Part) -> Any:
    """The value of the first phase until it ends, then that of the others. ``start``: steps before the first."""
    first, rest = phases[0], phases[1:]
    lasts = _lasts(frame, first, start, clock, part)
    if rest and lasts is None:
        way = "say how long it lasts: a setting `lasts`, or `until epoch 10` after it"
        what, because = "the end of a schedule that another follows", "the first of these has no end of its own"
        frame.machine.fail(NotKnownNow, part, USER, what=what, because=because, way=way)
    length = lasts if lasts is not None else _left(clock, start)
    tape, machine = clock.step.tape, frame.machine
    before = dict(machine.successors)
    after = _first(frame, rest, start + length, clock, part) if rest else None
    machine.successors = dict(before)  # what the others remember waits for their turn
    mine = _value(frame, first.value, clock, start, max(length, 1), after, part)
    if not rest:
        return mine
    here_too = dict(machine.successors)
    end = tape.literal(start + length, "i64")
    others = _phases(frame, rest, start + length, clock, part)
    here, there = tensor(tape, mine, "f64").value, tensor(tape, others, "f64").value
    now = clock.step <= end
    for path, made in machine.successors.items() if machine.phase != "init" else ():
        if path not in before:
            # What a schedule remembers changes only while its phase lasts.
            mine_now = now if path in here_too else tape.add("not", now)
            kept = tape.add("select", mine_now, made.value, tape.values[path])
            machine.successors[path] = Tensor(kept, made.labels)
    return plain(tape.add("select", now, here, there))


def _first(frame: Frame, phases: tuple[Phase, ...], start: int, clock: Clock, part: Part) -> Any:
    """The value of a phase at its first step."""
    lasts = _lasts(frame, phases[0], start, clock, part)
    length = lasts if lasts is not None else _left(clock, start)
    after = _first(frame, phases[1:], start + length, clock, part) if phases[1:] else None
    first = replace(clock, step=clock.step.tape.literal(start + 1, "i64"))
    return _value(frame, phases[0].value, first, start, max(length, 1), after, part)


def _left(clock: Clock, start: int) -> int:
    """How many steps are left after ``start``.

    A phase that training never comes to is as long as training: else what rises towards its first value, in a run that
    was cut short, would rise towards its last one, and that is often 0.
    """
    return clock.steps - start if start < clock.steps else clock.steps


def _lasts(frame: Frame, phase: Phase, start: int, clock: Clock, part: Part) -> int | None:
    """How many steps a phase lasts that begins after ``start`` steps; None: to the end."""
    if phase.until is not None:
        until = phase.until * clock.epoch // clock.every if phase.unit == "epoch" else phase.until
        return max(until - start, 0)
    lasts = phase.value.settings.get("lasts") if isinstance(phase.value, Bound) else None
    if lasts is not None and (not isinstance(lasts, int) or isinstance(lasts, bool) or lasts < 1):
        frame.machine.fail(NotThatKind, part, USER, wanted="a number of steps for `lasts`", found=kind(lasts))
    return lasts


def _schedule(frame: Frame, value: Any, part: Part) -> Any:
    """A schedule that is given its name alone has the settings that are its defaults."""
    return bind(frame, value, (), part, None) if isinstance(value, Known) and value.curried else value


def _value(frame: Frame, value: Any, clock: Clock, start: int, steps: int, after: Any, part: Part) -> Any:
    """A phase that begins after ``start`` steps and lasts ``steps``, at this step."""
    if not isinstance(value, Bound):
        return value
    facts = {
        "step": plain((clock.step - start).cast("f64")),
        "steps": steps,
        "epoch": max(clock.epoch // clock.every, 1),
        "loss": plain(clock.loss),
        "rows": clock.rows,
        **({} if after is None else {"after": after}),
    }
    return by_name(frame, value, facts, part)
