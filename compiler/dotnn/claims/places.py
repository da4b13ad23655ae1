"""On which rows a claim is made: a part of the data, another data block, or a part of that.

    on test                    the part of the data that the block above learns from
    on other_clinic            all rows of another block
    on other_clinic.test       a part of it

A figure may carry its place with it, so that two are compared: `other_clinic.test.error - test.error < 5%`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from dotnn.inputs.lineage import lineage_of
from dotnn.spec import Claim, Data, Expression, Member, Name, Part
from dotnn_grammar.problems import Problem, perhaps


class NoRows(Problem):
    code = "L001"
    title = "on which rows is this claimed?"
    label = "`on` and a part of the data are missing"
    help = "say it at the end, `… on test`; or of each figure, `test.error`: {parts}"
    parts: str


class NoSuchRows(Problem):
    code = "L002"
    title = "there are no rows called `{name}`"
    label = "neither a part of the data nor other data of this file"
    help = "{near}"
    name: str
    near: str


class SaidTwice(Problem):
    code = "L003"
    title = "this claim says twice on which rows it is made"
    label = "`{path}` has its rows in its name already"
    help = "leave `on …` away and name every figure with its rows, or take the rows out of the name"
    path: str


class NoSuchClaimed(Problem):
    code = "L004"
    title = "`{name}` is nothing that the block above measures"
    label = "not known"
    help = "{near}"
    name: str
    near: str


class Place(NamedTuple):
    """Rows of a data block: of one part, or all of them (``part`` empty)."""

    data: str
    part: str

    @property
    def text(self) -> str:
        return ".".join(word for word in self if word)


@dataclass(frozen=True)
class Rows:
    """Which rows can be spoken of: those of the block that is learned from, and of every other."""

    own: str
    blocks: Mapping[str, tuple[str, ...]]
    """The parts of each data block, by its name."""

    def of(self, names: Sequence[str], at: Part) -> Place:
        """What stands after `on`. Raises ``ProblemError``."""
        first, *more = names
        if not more and first in self.blocks[self.own]:
            return Place(self.own, first)
        if first not in self.blocks:
            known = (*self.blocks[self.own], *(() if not more and len(self.blocks) == 1 else self.blocks))
            raise NoSuchRows(
                span=at.span, name=first, near=perhaps(first, known, f"there are: {', '.join(known)}")
            ).error()
        if not more:
            return Place(first, "")
        parts = self.blocks[first]
        if more[0] not in parts:
            near = perhaps(more[0], parts, f"the parts of `{first}` are: {', '.join(parts)}")
            raise NoSuchRows(span=at.span, name=f"{first}.{more[0]}", near=near).error()
        return Place(first, more[0])

    def listed(self) -> str:
        return ", ".join(self.blocks[self.own])

    def starts(self, name: str) -> bool:
        return name in self.blocks or name in self.blocks[self.own]


def rows_of(own: str, blocks: Sequence[Data]) -> Rows:
    """The rows that a file has. Raises ``ProblemError``."""
    return Rows(own, {block.name: parts_of(lineage_of(block, blocks).data) for block in blocks})


def parts_of(data: Data) -> tuple[str, ...]:
    """The parts of a block, as it names them."""
    named = [share.name for share in data.split.shares] if data.split else []
    folds = ["val"] if data.split is not None and data.split.folds is not None else []
    tests = [source.role for source in data.sources if source.role == "test"]
    return tuple(dict.fromkeys(("train", *named, *folds, *tests)))


@dataclass(frozen=True)
class Path:
    """`other_clinic.test.error`: a figure with its rows."""

    member: Member
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        return ".".join(self.names)


def paths_in(claim: Claim, rows: Rows) -> list[Path]:
    """Every figure of a claim that is named with its rows, in the order of the text."""
    return [path for side in claim.sides for path in _paths(side, rows)]


def of_figures(claim: Claim, figures: Collection[str]) -> Claim:
    """The claim with its rows in the name of every figure: `bleu > 50% on test` as `test.bleu > 50%`."""
    if claim.on is None:
        return claim
    first, *more = claim.on.names
    place: Expression = Name(span=claim.on.span, name=first)
    for name in more:
        place = Member(span=claim.on.span, value=place, name=name)
    sides = tuple(_placed(side, place, frozenset(figures)) for side in claim.sides)
    return claim.model_copy(update={"sides": sides, "on": None})


def _placed(part: Any, place: Expression, figures: frozenset[str]) -> Any:
    if isinstance(part, Name) and part.name in figures:
        return Member(span=part.span, value=place, name=part.name)
    if isinstance(part, tuple):
        return tuple(_placed(each, place, figures) for each in part)
    if not isinstance(part, BaseModel) or not isinstance(part, Part):
        return part
    return part.model_copy(
        update={name: _placed(getattr(part, name), place, figures) for name in type(part).model_fields}
    )


def _paths(part: Any, rows: Rows) -> Iterator[Path]:
    if isinstance(part, tuple):
        for each in part:
            yield from _paths(each, rows)
    if not isinstance(part, BaseModel):
        return
    if isinstance(part, Member):
        names = _names(part)
        if names and rows.starts(names[0]):
            yield Path(part, names)
            return
    for field in type(part).model_fields:
        yield from _paths(getattr(part, field), rows)


def _names(part: Expression) -> tuple[str, ...]:
    match part:
        case Name(name=name):
            return (name,)
        case Member(value=value, name=name):
            before = _names(value)
            return (*before, name) if before else ()
    return ()


def replaced(part: Any, names: Mapping[int, str]) -> Any:
    """The expression with the members of these identities as plain names."""
    if isinstance(part, Member) and id(part) in names:
        return Name(span=part.span, name=names[id(part)])
    if isinstance(part, tuple):
        return tuple(replaced(each, names) for each in part)
    if not isinstance(part, BaseModel) or not isinstance(part, Part):
        return part
    return part.model_copy(update={name: replaced(getattr(part, name), names) for name in type(part).model_fields})
