"""Turns: the objectives of a train block: what each makes small, by which optimizer, and which weights it moves.

A block without steps has one, without a name. With steps there is one for each, in the order of the `every` lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dotnn.spec import Assign, Decay, Expression, Freeze, Objective, Rate, Spec, Step, Train, Updates
from dotnn.updates.patterns import fits, frozen, shown_some
from dotnn.words import names_in
from dotnn_grammar.problems import Problem, perhaps


class NotInItsLoss(Problem):
    code = "B121"
    title = "the loss of `{step}` reads no weight of `{pattern}`"
    label = "nothing of this is in its loss"
    help = "{advice}"
    step: str
    pattern: str
    advice: str


STEP = "step"
"""The state that counts the updates."""


@dataclass(frozen=True)
class Turn:
    """One objective."""

    train: Train
    """The block that it belongs to."""
    loss: Objective
    optimizer: Expression
    name: str = ""
    updates: tuple[Updates, ...] = ()
    """Without a name: everything."""
    count: Expression | None = None
    """`every 5 batches`: after how many of them it is taken; None: after each."""
    assigns: tuple[Assign, ...] = ()
    clip: Expression | None = None
    decays: tuple[Decay, ...] = ()
    rates: tuple[Rate, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def own(self, what: str) -> str:
        """The name of something that each turn has: `loss`, `critic.loss`."""
        return f"{self.name}.{what}" if self.name else what

    def state(self, what: str) -> str:
        """The name of a state that each turn has: `step`, `critic:step`."""
        return f"{self.name}:{what}" if self.name else what

    def of(self, path: str) -> str:
        """The name under which it remembers something of a weight: `Critic.W`, `Critic.W:critic`."""
        return f"{path}:{self.name}" if self.name else path

    def moves(self, path: str) -> bool:
        """Whether a weight or state is among what it updates."""
        return not self.name or any(fits(line.pattern, path) for line in self.updates)


def turns_of(train: Train) -> tuple[Turn, ...]:
    """The objectives in the order in which they take turns."""
    if not train.objectives:
        assert train.loss is not None  # a block has steps or a loss: this is checked when it is read
        assert train.optimizer is not None
        return (_moved(train, Turn(train, train.loss, train.optimizer)),)
    known = {step.name: step for step in train.objectives}
    steps = ((line.count, known[name.name]) for line in train.every for name in line.steps)
    return tuple(
        _moved(step, Turn(train, step.loss, step.optimizer, step.name, step.updates, count, step.assigns))
        for count, step in steps
    )


def _moved(part: Train | Step, turn: Turn) -> Turn:
    """With what a block without steps and a step say alike: how weights are moved."""
    return replace(turn, clip=part.clip, decays=part.decays, rates=part.rates, freezes=part.freezes)


def unmoved(spec: Spec, train: Train) -> list[str]:
    """The nets that a block with steps calls, and none of its steps updates."""
    nets = {d.name for d in spec.definitions if d.word == "net"}
    called = [name for name in dict.fromkeys((train.name or "", *names_in(train))) if name in nets]
    first = [line.pattern.partition(".")[0] for step in train.objectives for line in step.updates]
    if not first or any(name not in nets for name in first):  # a pattern may leave the net's name out
        return []
    return [name for name in called if name not in first]


def still(turn: Turn, paths: Iterable[str]) -> frozenset[str]:
    """The weights that stay where they are in this turn: it does not update them, or `freeze` holds them.

    paths: the weights that its loss may read. Raises ``ProblemError`` where none is left to move.
    """
    paths = list(paths)
    for line in turn.updates:
        if not any(fits(line.pattern, path) for path in paths):
            read = shown_some(paths, most=6) or "no weight at all"
            otherwise = f"update what the loss is made of; it reads {read}"
            named = {path.partition(".")[0] for path in paths} - {line.pattern}
            advice = perhaps(line.pattern, named, otherwise)
            raise NotInItsLoss(span=line.span, step=turn.name, pattern=line.pattern, advice=advice).error()
    mine = [path for path in paths if turn.moves(path)]
    return frozenset(path for path in paths if not turn.moves(path)) | frozen(turn, mine)
