"""Whether what a block watches (`stop when`, `keep best`) is one number, and there when an epoch ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dotnn.claims.ranges import is_share
from dotnn.measures.totals import InParts
from dotnn.spec import Binary, Expression, Part, Train
from dotnn.tape import Value
from dotnn.words import Number, dotted
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


class NoShare(Problem):
    code = "B233"
    title = "`{name}` is a share, between 0 and 1: {what}"
    label = "{bound} is {percent}"
    help = "write `{meant}`"
    name: str
    what: str
    bound: str
    percent: str
    meant: str


def refuse_certain(train: Train, totals: Mapping[str, Value]) -> None:
    """Refuses `stop when val.error < 5` of a share, where 5% was meant. totals: of each figure. Raises B233."""
    watch = train.stop.watch if train.stop is not None else None
    if not isinstance(watch, Binary) or not isinstance(watch.right, Number) or 0 <= watch.right.value <= 1:
        return
    name = dotted(watch.left) or ""
    total = totals.get(name.partition(".")[2])
    node = total.tape.node(total) if total is not None else None
    if total is None or node is None or node.op != "sum" or not is_share(total.tape.values[node.inputs[0]]):
        return
    bound = float(watch.right.value)
    what = "it is below that from the start" if watch.operator in ("<", "<=") else "it is never above that"
    meant = "100%" if watch.right.percent or bound > 100 else f"{bound:g}%"
    percent = f"{100 * bound:,.6g}%"
    raise NoShare(span=watch.right.span, name=name, what=what, bound=f"{bound:g}", percent=percent, meant=meant).error()


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
