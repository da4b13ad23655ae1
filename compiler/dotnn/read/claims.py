"""`claim "a shift by one pixel rarely changes the answer": agree(…) > 80% on digits.test`."""

from __future__ import annotations

from typing import Literal, cast, get_args

from lark import Token

from dotnn import spec
from dotnn.read.expressions import Branch, Reader, branch, kids, leaf_token
from dotnn_grammar.problems import Problem

Sign = Literal["<", "<=", ">", ">="]
SIGNS: tuple[str, ...] = get_args(Sign)
FORM = 'claim "it is right elsewhere too": error < 10% on other.test'


class ClaimFirst(Problem):
    code = "R170"
    title = "this claim stands above every train block"
    label = "of which net is this claimed?"
    help = "a claim speaks of the train block above it: move it below the block whose net it is about"


class NoBound(Problem):
    code = "R171"
    title = "a claim needs a bound"
    label = "compared with what?"
    help = "say what the figure must be below or above: {form}"
    form: str = FORM


class NotASign(Problem):
    code = "R172"
    title = "a claim cannot say `{sign}`"
    label = "not one of < <= > >="
    help = "{advice}"
    sign: str
    advice: str


class TooManySides(Problem):
    code = "R173"
    title = "a claim has a figure and at most two bounds"
    label = "one comparison too many"
    help = "write `5% < error < 10%`, or a claim of its own for each"


class NotOnData(Problem):
    code = "R174"
    title = "`{word}` cannot stand here"
    label = "expected `on`"
    help = "say on which rows it is claimed: `on test`, or of other data: `on other.test`"
    word: str


class TooManyNames(Problem):
    code = "R175"
    title = "`{name}` is one name too many"
    label = "not a part of the data"
    help = "after `on` stands a part (`test`), a data block (`other`), or both (`other.test`)"
    name: str


class NoWords(Problem):
    code = "R176"
    title = "a claim says in words what it claims"
    label = "these are no words"
    help = "write what a reader is to believe: {form}"
    form: str = FORM


def read_claim(reader: Reader, tree: Branch, doc: str) -> spec.Claim:
    """One claim. Raises ``ProblemError``."""
    words, comparison, place = kids(tree)
    text = reader.text(words)
    if not text.strip():
        raise NoWords(span=reader.span(words)).error()
    written = kids(branch(comparison))
    sides = tuple(reader.expression(leaf) for leaf in written[::2])
    signs = [leaf_token(leaf) for leaf in written[1::2]]
    if not signs:
        raise NoBound(span=sides[0].span).error()
    for sign in signs:
        _refuse_equal(reader, sign)
    if len(signs) > 2:
        raise TooManySides(span=reader.span(signs[2])).error()
    operators = tuple(cast("Sign", str(sign)) for sign in signs)
    if len(operators) == 2 and operators[0][0] != operators[1][0]:
        advice = "of two bounds one is below and one above: write `5% < error < 10%`"
        raise NotASign(span=reader.span(signs[1]), sign=str(signs[1]), advice=advice).error()
    on = None if place is None else _place(reader, branch(place))
    return spec.Claim(span=reader.span(tree), text=text, sides=sides, operators=operators, on=on, doc=doc)


def _refuse_equal(reader: Reader, sign: Token) -> None:
    if str(sign) in SIGNS:
        return
    advice = "a figure is hardly ever one number exactly: say what it is above or below"
    raise NotASign(span=reader.span(sign), sign=str(sign), advice=advice).error()


def _place(reader: Reader, tree: Branch) -> spec.ClaimedOn:
    word, *names = kids(tree)
    if str(word) != "on":
        raise NotOnData(span=reader.span(word), word=str(word)).error()
    if len(names) > 2:
        raise TooManyNames(span=reader.span(names[2]), name=str(names[2])).error()
    span = reader.span(names[0]).to(reader.span(names[-1]))
    return spec.ClaimedOn(span=span, names=tuple(str(name) for name in names))


def claimed(trains: list[spec.Train], claim: spec.Claim, is_first: bool) -> None:
    """Gives the claim to the train block above it. Raises ``ProblemError`` where there is none.

    is_first: whether no train block stands above, not even one with mistakes.
    """
    if trains:
        trains[-1] = trains[-1].model_copy(update={"claims": (*trains[-1].claims, claim)})
    elif is_first:
        span = claim.span.model_copy(
            update={"end_line": claim.span.line, "end_column": claim.span.column + len("claim")}
        )
        raise ClaimFirst(span=span).error()
