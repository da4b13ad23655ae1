"""`nn train` of a file with several `train` blocks: all of them side by side, and what they came to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotnn.compiler import Compiled
    from dotnn.training.events import Observer, Outcome
    from dotnn.training.loggers import Guarded
    from dotnn.training.loop import Course
    from dotnn.training.measure import Flag
    from dotnn.training.together import Ended
    from dotnn.training.trial import Job

    Begin = Callable[[Sequence[Observer], Flag], Course[tuple[Outcome, list[str]]]]


@dataclass(frozen=True)
class Side:
    """One of several runs that are to take turns."""

    name: str
    job: Job
    compiled: Compiled
    begin: Begin
    """Begins it, with who is to be told, and the flag that ends it."""
    logs: Sequence[Guarded] = ()


def side_by_side(sides: Sequence[Side], path: Path, as_json: bool) -> int:
    """Trains them all before the user's eyes, and compares them. The exit code, as `nn train` has it."""
    from dotnn.training.measure import Flag
    from dotnn.training.run import Events
    from dotnn.training.signals import attended
    from dotnn.training.together import Ended, Together, in_turn

    flag = Flag()
    whole = Together([side.name for side in sides], sys.stderr)

    def all_of_it() -> list[Ended]:
        told = {s.name: Events(s.name) if as_json else whole.of(s.name) for s in sides}
        courses = {s.name: s.begin([told[s.name], *s.logs], flag) for s in sides}
        try:
            made = in_turn(courses, flag)
        finally:
            for side in sides:
                for log in side.logs:
                    log.close()
        return [Ended(s.name, s.job.program, made[s.name][0], s.job.folder) for s in sides]

    ended = attended(all_of_it, flag)
    tell(sides, ended, path, as_json)
    wrong = any(run.outcome.problem is not None for run in ended)
    return 128 + flag.raised if flag.raised else 4 if wrong else 0


def tell(sides: Sequence[Side], ended: Sequence[Ended], path: Path, as_json: bool) -> None:
    """What they came to: for programs an event each, for people a comparison."""
    import json

    from dotnn.commands import desk
    from dotnn.commands.train import placed
    from dotnn.training.claims import told
    from dotnn.training.run import done_event, named
    from dotnn.training.together import comparison, folders

    if as_json:
        for run in ended:
            print(json.dumps(named(run.name, done_event(run.folder, run.outcome))), flush=True)
    else:
        claims = [line for run in ended for line in told(run.outcome, run.folder, run.name)]
        desk.say("\n" + "\n".join([*comparison(ended), "", *claims, *([""] if claims else []), *folders(ended)]))
        tries = [f"nn train {path}:{ended[0].name}", f"nn runs compare {ended[0].folder} {ended[1].folder}"]
        desk.say("\n".join(["", "Try next", *(f"  {line}" for line in tries)]))
    for side, run in zip(sides, ended, strict=True):
        if run.outcome.problem is not None:
            desk.tell(placed(run.outcome.problem, side.compiled.sources).error(), side.compiled.sources)
