"""What probably was meant, where a file stops making sense."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lark import Token

from dotnn_grammar.layout import CLOSES, DECLARATIONS, FIRST, OPERANDS, RESERVED, Layout, span_of
from dotnn_grammar.mistakes import (
    BraceBelow,
    ClosesNothing,
    ClosesOther,
    ComparedTwice,
    EarlyEnd,
    Mixed,
    OneEqual,
    OpenText,
    OtherSpelling,
    ReservedWord,
    SideBySide,
    SpacedPercent,
    StrangeCharacter,
    TwoEqual,
    Unclosed,
    Unexpected,
    UnknownDeclaration,
    UnknownStatement,
)
from dotnn_grammar.problems import Note, Problem, nearest, perhaps
from dotnn_grammar.source import Source, Span

STATEMENTS = ("weight", "state", "repeat", "if", "when", "scan", "require", "return")
VALUES = {"NAME", "NUMBER", "PERCENT", "STRING", "LPAR", "LSQB", "MINUS", "NOT", "YES", "NO", "_COLUMN", "_COLUMNS"}
OPERATORS = {"ADD", "MINUS", "MULTIPLY", "POWER", "COMPARE", "LESS", "AND", "OR", "_RANGE", "DOT"}
SOFT = {"IF", "AS", "_THEN", "_UNTIL", "_SHIFTED", "WORD", "STAR", "FOR", "IN", "WHEN"}

IN_WORDS = {
    "COMMA": "a comma",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "TILDE": "`~`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LESS": "`<`",
    "_ARROW": "`->`",
    "_REST": "`...`",
    "ELSE": "`else`",
    "_BY": "`by`",
    "IN": "`in`",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": 'a text in `"`',
    "_NL": "the end of the line",
    "$END": "the end of the file",
    "WORD": "a word such as `on`",
}

LOOKALIKES = {
    "“": '"', "”": '"', "„": '"', "‘": '"', "’": '"', "→": "->", "⟶": "->", "×": "*", "·": "*", "−": "-", "–": "-",
    "—": "-", "≤": "<=", "≥": ">=", "≠": "!=", "…": "...", "，": ",", "（": "(", "）": ")", "÷": "/", "²": "^2",
}  # fmt: skip

FOREIGN = {
    "import": 'definitions of another file are brought in with `use "blocks.nn"`',
    "from": 'definitions of another file are brought in with `use gate from "blocks.nn"`',
    "def": "a function starts with `function`, or with `layer` when it has weights",
    "class": "a part with weights starts with `layer`, the whole that is trained with `net`",
    "const": "a number with a name is a `param`: `param width = 64`",
    "let": "a number with a name is a `param`: `param width = 64`",
    "var": "a number with a name is a `param`: `param width = 64`",
    "model": "the whole that is trained starts with `net`",
    "dataset": "a block of data starts with `data`",
    "loss": "`loss` stands in a train block: `train NET on DATA { … }`",
}


LOOPS = "along a dim goes `scan over t with h = zeros[b, 8] { … }`; `repeat block in 0..4 { … }` is written out"

FORMS = {
    "scan": "write `scan over t with h = zeros[b, 8] { … }`; `scan back over t with …` goes from the end",
    "repeat": "write `repeat 4 { … }`, or with a name for the turns: `repeat block in 0..4 { … }`",
    "weight": "write `weight W: [n, 8] ~ normal(0, 0.1)`",
    "state": "write `state mean: [n] = 0`",
    "require": 'write `require n > 0: "why it must be so"`',
    "when": "write `when training { … } else { … }`",
    "step": "write `step NAME updates NET { … }`",
    "claim": "a claim stands below the train block that it speaks of, outside of its braces",
}
"""How a line is written that begins with this word."""


def explain_character(source: Source, line: int, column: int) -> Problem:
    """What is wrong at a character that starts no token."""
    text = source.line(line)
    rest = text[column - 1 :]
    span = Span(file=source.name, line=line, column=column, end_line=line, end_column=column + 1)
    two = span.model_copy(update={"end_column": column + 2})
    sign = rest[:1]
    if sign == '"':
        return OpenText(span=span.model_copy(update={"end_column": column + len(rest.rstrip())}))
    if sign == "'":
        return OtherSpelling(span=span, written="'", advice='a text stands between double quotes: `"like this"`')
    for written, advice in (("&", "write `and`"), ("|", "write `or`")):
        if sign == written:
            double = rest.startswith(written * 2)
            return OtherSpelling(span=two if double else span, written=written * (2 if double else 1), advice=advice)
    if sign == "!":
        return OtherSpelling(span=span, written="!", advice="write `not`; for `not equal` write `!=`")
    if sign in LOOKALIKES:
        return StrangeCharacter(span=span, character=sign, advice=f"write `{LOOKALIKES[sign]}`")
    if unicodedata.category(sign) in ("Zs", "Cf", "Cc"):
        name = unicodedata.name(sign, "a control character").lower()
        return StrangeCharacter(span=span, character=f"U+{ord(sign):04X}", advice=f"take this {name} away")
    if sign.isalpha():
        advice = "names are made of the letters a to z and A to Z, digits and `_`; any letter may stand in a comment"
        return StrangeCharacter(span=span, character=sign, advice=advice)
    return StrangeCharacter(span=span, character=sign, advice="take it away, or put `#` before a comment")


class Scene(NamedTuple):
    """Where reading stopped: the token, what stands before it in its statement, what could have come."""

    source: Source
    layout: Layout
    token: Token
    before: Sequence[Token]
    accepts: frozenset[str]
    span: Span

    @property
    def last(self) -> Token | None:
        return self.before[-1] if self.before else None

    def touches(self) -> bool:
        """Whether no space stands between the last token and this one."""
        return self.last is not None and self.last.end_pos == self.token.start_pos

    def is_first(self) -> bool:
        """Whether nothing but spaces stands before the token on its line."""
        return not self.source.line(self.token.line or 1)[: (self.token.column or 1) - 1].strip()

    def from_last(self) -> Span:
        assert self.last is not None
        return span_of(self.last, self.source.name).to(self.span)


def explain_token(source: Source, layout: Layout, token: Token, accepts: set[str]) -> Problem:
    """What is wrong at a token that cannot follow those before it."""
    before = [t for t in layout.statement if t is not token]
    if token.type in ("_NL", "$END"):
        before = before or layout.ended
    if token.type == "LBRACE":
        before = layout.ended
    span = _end_of(source, layout) if token.type == "$END" else span_of(token, source.name)
    if token.type == "_NL" and before and token == "\n":
        span = _after(span_of(before[-1], source.name))
    scene = Scene(source, layout, token, before, frozenset(accepts), span)
    for look in CASES:
        if (problem := look(scene)) is not None:
            return problem
    return _general(scene)


def _after(span: Span) -> Span:
    return span.model_copy(update={"line": span.end_line, "column": span.end_column, "end_column": span.end_column + 1})


def _end_of(source: Source, layout: Layout) -> Span:
    number = len(source.lines)
    while number > 1 and not source.line(number).strip():
        number -= 1
    column = len(source.line(number).rstrip()) + 1
    return Span(file=source.name, line=number, column=column, end_line=number, end_column=column + 1)


def _brackets(at: Scene) -> Problem | None:
    opened = at.layout.open[-1] if at.layout.open else None
    if opened is at.token:
        opened = at.layout.open[-2] if len(at.layout.open) > 1 else None
    closer = at.token.type in ("RPAR", "RSQB", "RBRACE")
    if opened is None:
        if closer and at.token in CLOSES.values() and not at.layout.closed_by(at.token):
            opening = next(o for o, c in CLOSES.items() if c == at.token)
            return ClosesNothing(span=at.span, bracket=str(at.token), opening=opening)
        return None
    note = Note(span=at.span, text="noticed here")
    unclosed = Unclosed(
        span=span_of(opened, at.source.name), bracket=str(opened), closing=CLOSES[opened], notes=(note,)
    )
    if at.token.type == "$END":
        return unclosed.model_copy(update={"notes": ()})
    if opened == "{":
        head = at.before[0] if at.before else at.token
        word_of_file = head in DECLARATIONS and head.column == 1
        if word_of_file and len(at.layout.contexts) > 1:
            return unclosed.model_copy(
                update={"notes": (Note(span=span_of(head, at.source.name), text="noticed here"),)}
            )
        if closer and at.token != "}" and not at.layout.closed_by(at.token):
            return ClosesNothing(span=at.span, bracket=str(at.token), opening="(" if at.token == ")" else "[")
        return None
    later = (at.token.line or 1) > (opened.line or 1)
    if at.token == ";":
        return OtherSpelling(
            span=at.span, written=";", reason="inside brackets", advice="put a comma between two arguments"
        )
    if at.token == "}" or (later and at.is_first() and not closer) or at.token == "{":
        return unclosed
    if closer and not at.layout.closed_by(at.token):
        here = Note(span=span_of(opened, at.source.name), text="opened here")
        return ClosesOther(
            span=at.span, opening=str(opened), bracket=str(at.token), closing=CLOSES[opened], notes=(here,)
        )
    return None


PAIRS = {
    "**": "a power is written `^`: `x^2`",
    ":=": "a name gets its value with `=`",
    "+=": "write the sum out: `x = x + 1`",
    "-=": "write the difference out: `x = x - 1`",
    "*=": "write the product out: `x = x * 2`",
    "/=": "write the quotient out: `x = x / 2`",
    "=>": "a stage of a chain follows `->`",
    "<-": "a name gets its value with `=`",
    "++": "write the sum out: `x = x + 1`",
}


def _spellings(at: Scene) -> Problem | None:
    """Signs of other languages that fall apart into two of ours."""
    last = at.last
    if last is not None and at.touches() and f"{last}{at.token}" in PAIRS:
        return OtherSpelling(span=at.from_last(), written=f"{last}{at.token}", advice=PAIRS[f"{last}{at.token}"])
    ahead = at.source.line(at.span.line)[at.span.column - 1 : at.span.column + 1]
    if ahead in PAIRS and at.token.type != "_NL":
        wide = at.span.model_copy(update={"end_column": at.span.column + 2})
        return OtherSpelling(span=wide, written=ahead, advice=PAIRS[ahead])
    if at.token.type == "COLON" and "LBRACE" in at.accepts:
        return OtherSpelling(
            span=at.span, written=":", reason="expected `{`", advice="what belongs together stands in braces: `{ … }`"
        )
    slashes = [t for t in (*at.before, at.token) if t == "//" and t.line == at.token.line]
    if slashes and at.token.type in ("MULTIPLY", "WORD", "NAME", "COMMA", "DOT", "_NL"):
        where = span_of(slashes[0], at.source.name)
        return OtherSpelling(
            span=where, written="//", reason="a division without remainder", advice="a comment starts with `#`"
        )
    if (
        at.token.type == "COLON"
        and len(at.before) == 1
        and at.last is not None
        and at.last.type in ("SETTING", "CHOICE")
    ):
        advice = f"what it is follows after a space: `{at.last} …`"
        return OtherSpelling(span=at.span, written=":", reason="no sign stands here", advice=advice)
    if at.token.type == "COLON" and at.layout.open and at.layout.open[-1] == "[":
        advice = "a part is taken as `x[0..3]`, from 0 up to but without 3; what is taken whole is `...`: `x[..., 0]`"
        return OtherSpelling(span=at.span, written=":", reason="another language's range", advice=advice)
    if at.token.type == "DOT" and "NUMBER" in at.accepts:
        return OtherSpelling(
            span=at.span, written=".", reason="a number starts with a digit", advice="write `0.5`, not `.5`"
        )
    return None


def _equals(at: Scene) -> Problem | None:
    if at.token == "==" and "EQUAL" in at.accepts:
        return TwoEqual(span=at.span)
    if at.token.type == "EQUAL" and "COMPARE" in at.accepts:
        return OneEqual(span=at.span)
    compared = any(t.type in ("COMPARE", "LESS") for t in at.before)
    if at.token.type in ("COMPARE", "LESS") and compared and "AND" in at.accepts:
        return ComparedTwice(span=at.span)
    return None


def _percent(at: Scene) -> Problem | None:
    if len(at.before) > 1 and at.last == "%" and at.before[-2].type == "NUMBER":
        where = span_of(at.before[-2], at.source.name).to(span_of(at.before[-1], at.source.name))
        return SpacedPercent(span=where, number=str(at.before[-2]))
    return None


def _mixed(at: Scene) -> Problem | None:
    chained = any(t.type == "_ARROW" for t in at.before)
    if at.token.type == "_ARROW" and at.last is not None and at.last.type in OPERANDS and len(at.before) > 1:
        return Mixed(span=at.span)
    if at.token.type in OPERATORS - {"DOT"} and chained and at.last is not None and at.last.type in OPERANDS:
        return Mixed(span=at.span)
    return None


def _declaration(at: Scene) -> Problem | None:
    """A first word that the file does not know."""
    word = at.before[0] if at.before else at.token
    if (
        at.layout.contexts[-1] != "file"
        or at.token.type == "RBRACE"
        or word.type not in ("NAME", *(w.upper() for w in RESERVED))
    ):
        return None
    if word in STATEMENTS:
        advice = f"`{word}` stands inside a definition: `layer NAME(…)(…) {{ … }}`"
    else:
        otherwise = "a declaration starts with " + ", ".join(f"`{w}`" for w in DECLARATIONS[:-1]) + " or `claim`"
        inner = [c for c in ("data", "train") if word in FIRST[c]]
        if inner:
            otherwise = f"`{word}` stands inside a {inner[0]} block"
        advice = FOREIGN.get(str(word)) or perhaps(str(word), DECLARATIONS, otherwise)
    return UnknownDeclaration(span=span_of(word, at.source.name), word=str(word), advice=advice)


def _derived(at: Scene) -> Problem | None:
    """`data there = here { … }`, without `where`."""
    types = [token.type for token in at.before]
    if types[:2] != ["_DATA", "NAME"] or not (types[2:3] == ["EQUAL"] or at.token == "where"):
        return None
    name, base = at.before[1], at.before[3] if len(at.before) > 3 else "OTHER"
    advice = f"data made from other data: data {name} = {base} where {{ column = … }}"
    found = f"`{at.token}`" if at.token.strip() else "the end of the line"
    expected = _words(at.accepts - {"WORD"} or frozenset({"where"}))
    return Unexpected(span=at.span, found=found, expected=expected, advice=advice)


def _claim(at: Scene) -> Problem | None:
    """`claim "…": error < 10% on test`, said otherwise."""
    if not at.before or at.before[0].type != "_CLAIM":
        return None
    types = [token.type for token in at.before]
    form = 'write `claim "in words": error < 10% on test`'
    found = f"`{at.token}`" if at.token.strip() else "the end of the line"
    if len(types) <= 2:
        expected = "what is claimed, in quotes" if len(types) == 1 else "`:`"
        return Unexpected(span=at.span, found=found, expected=expected, advice=form)
    if at.token.type in ("AND", "OR", "NOT", "IF"):
        advice = "a claim is one comparison: write a claim of its own for each, and `if` in parentheses"
        return Unexpected(span=at.span, found=found, expected="the end of the claim", advice=advice)
    if at.token.type == "WORD":
        return Unexpected(span=at.span, found=found, expected="the end of the line", advice=form)
    return None


def _reserved(at: Scene) -> Problem | None:
    if at.token in RESERVED and "NAME" in at.accepts:
        advice = _renamed(at.token)
        if at.token == "for" and at.is_first():
            advice = LOOPS
        elif at.token in STATEMENTS and at.last is not None and at.last.type == "_ARROW":
            advice = f"`{at.token}` begins a line of its own and is no stage of a chain"
        return ReservedWord(span=at.span, word=str(at.token), advice=advice)
    is_name = at.token.type == "EQUAL" and at.last is not None and at.last in RESERVED
    if is_name and at.last is not None:
        return ReservedWord(span=span_of(at.last, at.source.name), word=str(at.last), advice=_renamed(at.last))
    return None


def _renamed(word: str) -> str:
    return f"choose another name, such as `{word}_`"


def _beside(at: Scene) -> Problem | None:
    """A value right after a value."""
    if at.last is None or at.token.type not in ("WORD", "NAME", "NUMBER", "STRING", "PERCENT"):
        return None
    if len(at.before) == 1 and at.last.type == "NAME" and "EQUAL" in at.accepts:
        word = str(at.last)
        near = nearest(word, STATEMENTS)
        advice = f"did you mean `{near[0]}`?" if near else f"to name a value write `{word} = …`"
        return UnknownStatement(span=span_of(at.last, at.source.name), word=word, advice=advice)
    if at.last.type not in OPERANDS:
        return None
    if at.last.type == "NUMBER" and at.touches():
        return SideBySide(span=at.span, advice=f"for a product write `{at.last} * {at.token}`")
    inside = bool(at.layout.open) and at.layout.open[-1] in ("(", "[")
    inside = inside or (at.before[0].type == "_STEP" and at.before[0].column != at.last.column)
    return SideBySide(
        span=at.span,
        advice="put a comma between them" if inside else "put an operator, `->` or a new line between them",
    )


def _end(at: Scene) -> Problem | None:
    if at.token.type == "RBRACE" and at.last is not None:
        return EarlyEnd(span=_after(span_of(at.last, at.source.name)), expected=_words(at.accepts))
    if at.token.type not in ("_NL", "$END"):
        return None
    if at.accepts & {"LBRACE"} and at.layout.next_is("LBRACE"):
        return BraceBelow(span=at.span)
    return EarlyEnd(span=at.span, expected=_words(at.accepts))


CASES: tuple[Callable[[Scene], Problem | None], ...] = (
    _percent,
    _derived,
    _claim,
    _brackets,
    _spellings,
    _equals,
    _mixed,
    _declaration,
    _reserved,
    _beside,
    _end,
)


def _general(at: Scene) -> Problem:
    found = f"`{at.token}`" if at.token.strip() else "the end of the line"
    head = str(at.before[0]) if at.before else ""
    return Unexpected(span=at.span, found=found, expected=_words(at.accepts), advice=FORMS.get(head, ""))


def _words(accepts: frozenset[str]) -> str:
    """What could have come, in words; the rarer possibilities are left out."""
    if accepts == {"NAME", "LSQB"}:
        return "a type, such as `[b, 10]`"
    left = set(accepts) - {"$END", "_NL"} or set(accepts)
    said: list[str] = []
    if len(VALUES & left) > 4:
        said.append("a value")
        left -= VALUES | {"_REST"}
    if len(OPERATORS & left) > 3:
        said.append("an operator")
        left -= OPERATORS | SOFT | {"_ARROW", "LPAR", "LSQB", "ELSE"}
    statements = {w.upper() for w in STATEMENTS}
    if len(statements & left) > 3:
        said.append("a statement")
        left -= statements | {"NAME"}
    if "SETTING" in left:
        said.append("a setting")
        left -= {"SETTING", "CHOICE", "NAME"}
    said.extend(words for name, words in IN_WORDS.items() if name in left)
    if not said:
        said = sorted(f"`{name.strip('_').lower()}`" for name in left)
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + " or " + said[-1]
