"""Data made from other data: which block a `data` block comes from in the end, and every wording of its columns.

    data clinic_b = clinic_a where { image = image*0.6 + 0.3 }

The rows, the split and the seed are those of `clinic_a`. `image` has two wordings now, and on the right of the second
stands the first. Whatever else reads `image` reads the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dotnn.inputs.composed import drawn_columns, drawn_split
from dotnn.read.text import first_line
from dotnn.spec import Column, Data
from dotnn.words import names_in
from dotnn_grammar.problems import Problem, perhaps

FITTED = ("standardise", "balanced")
"""Words for what is fitted on the rows that training sees."""


class NoSuchBase(Problem):
    code = "B110"
    title = "there is no data called `{name}` to start from"
    label = "not in this file"
    help = "{near}"
    name: str
    near: str


class MadeFromItself(Problem):
    code = "B111"
    title = "the data `{name}` is made from itself: {way}"
    label = "this leads back to it"
    help = "let one of them have a `source` of its own"
    name: str
    way: str


class NothingToReplace(Problem):
    code = "B112"
    title = "`{base}` has no column `{name}` that could be replaced"
    label = "`where` changes columns that are there"
    help = "{near}"
    base: str
    name: str
    near: str


class NamedAsTheBatch(Problem):
    code = "B116"
    title = "a column cannot be called `b`"
    label = "`b` is the number of rows in a batch, everywhere"
    help = "give it another name"


@dataclass(frozen=True)
class Lineage:
    """One data block, its ancestors taken together with it."""

    root: Data
    """The block that has the rows: source, split, seed."""
    data: Data
    """The root under the name of this block, each column in its last wording."""
    wordings: dict[str, tuple[Column, ...]]
    """For each column, oldest first; what is called by its name is the last."""

    def fitted(self, name: str, number: int) -> bool:
        """Whether this wording of a column depends on what is fitted, and so is computed in the graphs."""
        waiting, seen = [(name, number)], {(name, number)}
        while waiting:
            here, which = waiting.pop()
            for word in names_in(self.wordings[here][which]):
                if word in FITTED:
                    return True
                if word not in self.wordings:
                    continue
                there = (word, which - 1 if word == here else len(self.wordings[word]) - 1)
                if there[1] >= 0 and there not in seen:
                    seen.add(there)
                    waiting.append(there)
        return False


def lineage_of(data: Data, blocks: Sequence[Data]) -> Lineage:
    """What a block is, all told. Raises B110 to B112."""
    chain = [data]
    known = {block.name: block for block in blocks}
    while (base := chain[-1].base) is not None:
        if base not in known:
            others = [name for name in known if name != data.name]
            near = perhaps(
                base, others, f"there are: {', '.join(others)}" if others else f"write one: data {base} {{ … }}"
            )
            raise NoSuchBase(span=first_line(chain[-1]), name=base, near=near).error()
        if known[base] in chain:
            way = " from ".join(f"`{block.name}`" for block in (*chain, known[base]))
            raise MadeFromItself(span=first_line(chain[-1]), name=data.name, way=way).error()
        chain.append(known[base])
    root = chain[-1]
    for column in (column for block in chain for column in block.columns):
        if column.name == "b":
            raise NamedAsTheBatch(span=column.span).error()
    wordings: dict[str, tuple[Column, ...]] = {column.name: (column,) for column in _drawn(root, blocks)}
    wordings |= {column.name: (*wordings.get(column.name, ()), column) for column in root.columns}
    for block in reversed(chain[:-1]):
        for column in block.columns:
            if column.name not in wordings:
                near = perhaps(column.name, wordings, f"its columns are: {', '.join(wordings)}")
                base = str(block.base)
                raise NothingToReplace(span=column.span, base=base, name=column.name, near=near).error()
        wordings |= {column.name: (*wordings[column.name], column) for column in block.columns}
    last = tuple(each[-1] for each in wordings.values())
    augments = tuple(line for block in reversed(chain) for line in block.augments)
    whole = root.model_copy(update={"name": data.name, "span": data.span, "columns": last, "doc": data.doc})
    whole = whole.model_copy(update={"augments": augments, "split": root.split or drawn_split(root, blocks)})
    return Lineage(root, whole, wordings)


def _drawn(root: Data, blocks: Sequence[Data]) -> tuple[Column, ...]:
    return drawn_columns(root, blocks, lambda data: lineage_of(data, blocks).wordings)


def wording_of(name: str, number: int) -> str:
    """What one wording of a column is called where each must be told apart: `image`, `image'`, `image''`."""
    return name + "'" * number
