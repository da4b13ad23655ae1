"""The lines of `data` and `train`: each a word with values and more words, whose sense is checked here."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from lark import Tree

from dotnn.read.expressions import Branch, Leaf, Reader, branch, kids, leaf_token
from dotnn_grammar.layout import FIRST, Context
from dotnn_grammar.problems import Note, Problem, ProblemError, nearest, perhaps
from dotnn_grammar.source import Source, Span

CLAUSES = ("clause", "for_clause", "is_clause")


class Clause(NamedTuple):
    """`stratify label`: a word in the middle of a line, with what follows it."""

    word: str
    value: Leaf
    span: Span


class Phrase(NamedTuple):
    """What stands between commas: a value, perhaps `as` something, and clauses."""

    value: Branch | None
    form: Branch | None
    clauses: tuple[Clause, ...]
    span: Span


class Line(NamedTuple):
    """One line of a block: its first word, and the phrases that it is made of."""

    word: str
    phrases: tuple[Phrase, ...]
    span: Span
    head: Span


BLOCKS: tuple[Context, ...] = ("data", "train")


class UnknownSetting(Problem):
    code = "R010"
    title = "there is no setting called `{word}` in {block}"
    label = "not a setting"
    help = "{advice}"
    word: str
    block: str
    advice: str


class TwiceSet(Problem):
    code = "R011"
    title = "`{word}` is set twice"
    label = "set here again"
    help = "keep one of the two lines"
    word: str


class MalformedSetting(Problem):
    code = "R012"
    title = "this `{word}` line cannot be understood"
    label = "{reason}"
    help = "the form is: {form}"
    word: str
    reason: str
    form: str


class MissingSetting(Problem):
    code = "R013"
    title = "{block} has no `{word}`"
    label = "this block"
    help = "add a line such as `{form}`: {why}"
    block: str
    word: str
    form: str
    why: str


def read_line(reader: Reader, tree: Branch) -> Line:
    """A setting as words and branches, not yet understood."""
    word, *phrases = kids(tree)
    token = leaf_token(word)
    listed = tuple(_phrase(reader, branch(p)) for p in phrases if p is not None)
    return Line(word=str(token), phrases=listed, span=reader.span(tree), head=reader.span(token))


def _phrase(reader: Reader, tree: Branch) -> Phrase:
    if tree.data == "pattern":
        return Phrase(value=tree, form=None, clauses=(), span=reader.span(tree))
    parts = [branch(c) for c in kids(tree) if c is not None]
    clauses = tuple(_clause(reader, c) for c in parts if c.data in CLAUSES)
    values = [c for c in parts if c.data not in CLAUSES]
    value, form = [*values, None, None][:2] if values else (None, None)
    return Phrase(value=value, form=form, clauses=clauses, span=reader.span(tree))


def _clause(reader: Reader, tree: Branch) -> Clause:
    if tree.data == "for_clause":
        return Clause("for", kids(tree)[0], reader.span(tree))
    if tree.data == "is_clause":
        return Clause("=", kids(tree)[0], reader.span(tree))
    word, value = kids(tree)
    return Clause(str(word), value, reader.span(tree))


class Settings:
    """Shared by `data` and `train`: finds each line's meaning, gathers every problem, refuses what is set twice."""

    block: str
    forms: ClassVar[dict[str, str]]
    """How each line is written: the words of the block."""
    several: frozenset[str] = frozenset()
    """Lines that may stand more than once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reader = Reader(source.name)
        self.problems: list[Problem] = []
        self.seen: dict[str, Span] = {}

    def attempt(self, read: Callable[[Branch], None], tree: Branch) -> None:
        """Reads one line; what is wrong with it is kept, so that the others are still read."""
        try:
            read(tree)
        except ProblemError as wrong:
            self.problems.extend(wrong.problems)

    def setting(self, tree: Branch) -> None:
        line = read_line(self.reader, tree)
        if line.word not in self.forms:
            for near in nearest(line.word, self.forms, most=1):
                # Not missing, then.
                self.seen.setdefault(near, line.head)
            known = ", ".join(f"`{w}`" for w in self.forms)
            there = next((f"a {place} block" for place in BLOCKS if line.word in FIRST[place]), self.block)
            advice = f"it stands in {there}, and not in {self.block}"
            if there == self.block:
                advice = perhaps(line.word, self.forms, otherwise=f"{self.block} has the settings {known}")
            raise UnknownSetting(span=line.head, word=line.word, block=self.block, advice=advice).error()
        if line.word in self.seen and line.word not in self.several:
            note = Note(span=self.seen[line.word], text="set here first")
            raise TwiceSet(span=line.head, word=line.word, notes=(note,)).error()
        self.seen.setdefault(line.word, line.head)
        getattr(self, "read_" + line.word)(line)

    def malformed(self, line: Line, reason: str, span: Span | None = None) -> ProblemError:
        return MalformedSetting(
            span=span or line.span, word=line.word, reason=reason, form=self.forms[line.word]
        ).error()

    def single(self, line: Line) -> Phrase:
        """The line's only phrase."""
        if not line.phrases:
            raise self.malformed(line, "something is missing after this word", line.head)
        if len(line.phrases) > 1:
            raise self.malformed(line, "one too many", line.phrases[1].span)
        return line.phrases[0]

    def value(self, line: Line, clauses: tuple[str, ...] = (), form: bool = False) -> Branch:
        """The value of the line's only phrase, which may have these clauses."""
        phrase = self.single(line)
        for clause in phrase.clauses:
            if clause.word not in clauses:
                raise self.malformed(line, f"`{clause.word}` does not belong here", clause.span)
        if phrase.form is not None and not form:
            raise self.malformed(line, "`as` does not belong here", self.reader.span(phrase.form))
        if phrase.value is None:
            raise self.malformed(line, "a value is missing", line.head)
        return phrase.value

    def whole(self, line: Line, least: int = 0) -> int:
        """A whole number that stands there as digits."""
        tree = self.value(line)
        if tree.data == "number":
            number = self.reader.number(leaf_token(kids(tree)[0]))
            if isinstance(number.value, int) and number.value >= least:
                return number.value
        raise self.malformed(line, f"a whole number from {least} up is needed", self.reader.span(tree))

    def missing(self, word: str, form: str, why: str, span: Span) -> None:
        self.problems.append(MissingSetting(span=span, block=self.block, word=word, form=form, why=why))


def clause_of(phrase: Phrase, word: str) -> Clause | None:
    """The clause of a phrase that begins with a word."""
    return next((c for c in phrase.clauses if c.word == word), None)


def name_in(tree: Leaf) -> str | None:
    """The name, where nothing else stands there."""
    if isinstance(tree, Tree) and tree.data == "name":
        return str(kids(tree)[0])
    return None


def suggest(word: str, known: tuple[str, ...]) -> str:
    """A line of help for a word that is not known."""
    near = nearest(word, known)
    return f"did you mean `{near[0]}`?" if near else "known are " + ", ".join(f"`{k}`" for k in known)
