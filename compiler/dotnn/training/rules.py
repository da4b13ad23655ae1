"""When to stop, and which epoch's weights to keep: the `stop when` and `keep best` lines of a train block."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence

from dotnn.program import Figure, Patience, Plan, Program, Reached, Watch
from dotnn.training.checkpoint import Standing
from dotnn.training.figures import Reading, number_of
from dotnn_grammar.problems import many

Figures = Mapping[str, Reading]
Splits = Mapping[str, Figures]
"""The figures of each split: ``{"val": {"loss": 0.3, "error": 0.02}}``."""

COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def watched(splits: Splits, watch: Watch) -> float:
    """The watched figure, NaN where it is not known."""
    return number_of(splits.get(watch.split, {}).get(watch.figure))


class Best:
    """The best value of a watched figure so far: the lowest, or the highest.

    ``tie``: a figure of the same split that decides between equals by its lowest value. On a small split the error has
    few values, and among epochs with the same error the least surprised one is the better.
    """

    def __init__(self, watch: Watch, highest: bool = False, tie: str | None = None) -> None:
        self.watch = watch
        self.sign = -1.0 if highest else 1.0
        self.tie = Watch(split=watch.split, figure=tie) if tie else None
        self.value = (math.nan, math.inf)
        self.epoch = 0

    def improves(self, splits: Splits, epoch: int) -> bool:
        """Whether this epoch is better than every one before; remembers it where it is."""
        value = self.sign * watched(splits, self.watch)
        if math.isnan(value):
            return False
        tie = watched(splits, self.tie) if self.tie else math.inf
        ranked = (value, math.inf if math.isnan(tie) else tie)
        better = math.isnan(self.value[0]) or ranked < self.value
        if better:
            self.value, self.epoch = ranked, epoch
        return better

    def standing(self) -> Standing:
        """What it remembers, for a checkpoint."""
        return Standing(value=self.value[0], tie=self.value[1], epoch=self.epoch)

    def restore(self, standing: Standing) -> None:
        self.value, self.epoch = (standing.value, standing.tie), standing.epoch


class Rules:
    """The stop rules of a plan, asked once at the end of each epoch.

    figures: by them, epochs at whose end what a rule watches is not measured are neither better nor worse.
    """

    def __init__(self, plan: Plan, figures: Sequence[Figure] = ()) -> None:
        self.every = {figure.name: figure.apart.every for figure in figures if figure.apart is not None}
        self.reached = [rule for rule in plan.stop if isinstance(rule, Reached)]
        self.patience = [
            (rule, Best(rule.watch, highest=bool(rule.watch.highest)))
            for rule in plan.stop
            if isinstance(rule, Patience)
        ]

    def stop(self, splits: Splits, epoch: int) -> str | None:
        """Why training ends after this epoch, in words; None where it goes on."""
        reasons = []
        for patient, best in self.patience:
            if epoch % self.every.get(patient.watch.figure, 1):
                continue
            best.improves(splits, epoch)
            if epoch - best.epoch >= patient.epochs:
                name = f"{patient.watch.split}.{patient.watch.figure}"
                way = "risen" if patient.watch.highest else "fallen"
                reasons.append(f"{name} has not {way} for {many(patient.epochs, 'epoch')}")
        for goal in self.reached:
            if COMPARE[goal.operator](watched(splits, goal.watch), goal.bound):
                reasons.append(f"{goal.watch.split}.{goal.watch.figure} {goal.operator} {goal.bound:g}")
        return " and ".join(reasons) or None

    def standings(self) -> tuple[Standing, ...]:
        """What the rules remember, for a checkpoint."""
        return tuple(lowest.standing() for _, lowest in self.patience)

    def restore(self, standings: Sequence[Standing]) -> None:
        for (_, lowest), standing in zip(self.patience, standings, strict=True):
            lowest.restore(standing)


def keeper(program: Program) -> Best | None:
    """What `keep best`, `highest` or `lowest` watches, if the plan has it."""
    watch = program.plan.keep
    if watch is None:
        return None
    roles = {figure.name: figure.role for figure in program.figures}
    highest = roles.get(watch.figure) == "metric" if watch.highest is None else watch.highest
    return Best(watch, highest=highest, tie="loss")
