"""Whether what a block watches (`stop when`, `keep best`) is one number, and there when an epoch ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dotnn.measures.totals import InParts
from dotnn.spec import Binary, Expression, Part, Train
from dotnn.words import dotted
from dotnn_grammar.problems import Problem


class NotToBeWatched(Problem):
    code = "B071"
    title = "`{split}.{name}` cannot be watched: {why}"
    label = "this needs one number at the end of each epoch"
    help = "{way}"
    split: str
    name: str
    why: str
    way: str


def refuse_unwatchable(train: Train, parts: Mapping[str, InParts | None]) -> None:
    """parts: those of each figure that is made of parts. Raises ``ProblemError``."""
    for part, split, name in _watched(train):
        made = parts.get(name)
        if made is not None and made.figure.dims:
            way = f"name one number of it in a metric of its own: metric {name}_of_0 = …"
            raise NotToBeWatched(span=part.span, split=split, name=name, why="it is a table", way=way).error()
        if made is not None and made.gathers and split == "train":
            why = "it looks at all rows at once, and while it learns the net changes from batch to batch"
            way = f"watch that of rows which training does not see: val.{name}"
            raise NotToBeWatched(span=part.span, split=split, name=name, why=why, way=way).error()


def _watched(train: Train) -> Iterator[tuple[Part, str, str]]:
    if train.keep is not None:
        yield train.keep, train.keep.split, train.keep.figure
    if train.stop is not None:
        watch: Expression = train.stop.watch
        watched = watch.left if isinstance(watch, Binary) else watch
        split, _, name = (dotted(watched) or "").partition(".")
        if name:
            yield watched, split, name
