"""Which columns a composed block has of the block that its rows are drawn from (``compose.py``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dotnn.spec import Column, ColumnOf, Data, Split
from dotnn_grammar.problems import Problem, perhaps


class NoSuchDraw(Problem):
    code = "D173"
    title = "there is no data called `{name}` to draw rows from"
    label = "not in this file"
    help = "{near}"
    name: str
    near: str


class DrawnFromItself(Problem):
    code = "D174"
    title = "the rows of `{name}` would be drawn from themselves: {way}"
    label = "this leads back to it"
    help = "let one of them have a `source` of its own"
    name: str
    way: str


def drawn_columns(root: Data, blocks: Sequence[Data], names: Callable[[Data], Iterable[str]]) -> tuple[Column, ...]:
    """The columns of the other block, each as `name = column name`. names: those of a block.

    Raises D173, D174.
    """
    line = next((line for line in root.sources if line.base is not None), None)
    if line is None:
        return ()
    known = {data.name: data for data in blocks}
    if line.base not in known:
        others = [name for name in known if name != root.name]
        listed = f"there are: {', '.join(others)}" if others else f"write one: data {line.base} {{ … }}"
        raise NoSuchDraw(span=line.span, name=str(line.base), near=perhaps(str(line.base), others, listed)).error()
    way = [root.name]
    here: str | None = line.base
    while here is not None and here in known:
        way.append(here)
        if here in way[:-1]:
            told = " from ".join(f"`{name}`" for name in way)
            raise DrawnFromItself(span=line.span, name=root.name, way=told).error()
        data = known[here]
        here = data.base or next((source.base for source in data.sources if source.base is not None), None)
    found = names(known[line.base])
    return tuple(Column(span=line.span, name=n, value=ColumnOf(span=line.span, first=n)) for n in found)


def drawn_split(root: Data, blocks: Sequence[Data]) -> Split | None:
    """The parts of the block that rows are drawn from, in the end; None where it has none."""
    known = {data.name: data for data in blocks}
    here: Data | None = root
    while here is not None and here.split is None:
        base = here.base or next((source.base for source in here.sources if source.base is not None), None)
        here = known.get(str(base))
    return None if here is None or here.split is None else here.split.model_copy(update=SHUFFLED)


SHUFFLED = {"stratify": None, "in_order": False}
"""What is drawn has no order, and nothing to stratify by."""
