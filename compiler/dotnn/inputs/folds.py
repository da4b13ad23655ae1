"""Folds: `split folds 5, test 20%`. Each fold is examined once, by a net that learned from the others."""

from __future__ import annotations

from collections.abc import Iterable

from dotnn.plan import choose
from dotnn.spec import Data, Spec
from dotnn_grammar.problems import Problem


class NoFolds(Problem):
    code = "B075"
    title = "`--fold {fold}`: the data of `{name}` has no folds"
    help = "leave the option out, or deal the rows into folds in the data block: split folds 5, test 20%"
    fold: int
    name: str


class NoSuchFold(Problem):
    code = "B076"
    title = "there is no fold {fold}"
    label = "there are {count}, counted from 1"
    help = "name one of 1 to {count}, or leave --fold out: then each of them is examined in turn"
    fold: int
    count: int


def folds_of(spec: Spec, train: str | None) -> int | None:
    """Into how many folds the rows of a train block are dealt; None where they are not. Raises ``ProblemError``."""
    split = _root(spec, train).split
    return None if split is None else split.folds


def folded(spec: Spec, train: str | None, fold: int | None) -> Spec:
    """The spec in which that fold is `val`. Raises ``ProblemError``."""
    if fold is None:
        return spec
    root = _root(spec, train)
    if root.split is None or root.split.folds is None:
        raise NoFolds(fold=fold, name=root.name).error()
    if not 1 <= fold <= root.split.folds:
        raise NoSuchFold(span=root.split.span, fold=fold, count=root.split.folds).error()
    chosen = root.model_copy(update={"split": root.split.model_copy(update={"fold": fold})})
    return spec.model_copy(update={"data": tuple(chosen if data is root else data for data in spec.data)})


def _root(spec: Spec, train: str | None) -> Data:
    """The data block that has the rows, also where the train block's own is made from it."""
    chosen = choose(spec.trains, train, "train block", None, spec.file)
    data = choose(spec.data, chosen.data, "data block", chosen, spec.file)
    seen = {data.name}
    while data.base is not None and data.base not in seen:
        seen.add(data.base)
        data = choose(spec.data, data.base, "data block", data, spec.file)
    return data


def spread(numbers: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation (that of a sample: over n - 1; 0 of one number)."""
    known = list(numbers)
    mean = sum(known) / len(known)
    if len(known) < 2:
        return mean, 0.0
    return mean, (sum((x - mean) ** 2 for x in known) / (len(known) - 1)) ** 0.5
