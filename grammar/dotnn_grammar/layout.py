"""Between characters and grammar: newlines that end a statement, and words that mean something only where they stand.

`data` is a declaration as the first word of a line of the file and a name everywhere else; `where` is a name at the
start of an expression and a word after one. This is decided here, in one pass with one token of foresight, so that
the grammar stays free of context.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

from lark import Token

from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span

Context = Literal["file", "data", "train", "step", "body"]

RESERVED = (
    "and", "or", "not", "if", "else", "for", "in", "as", "return", "weight", "state",
    "repeat", "when", "scan", "require", "yes", "no",
)  # fmt: skip
DECLARATIONS = ("use", "param", "data", "function", "layer", "net", "optimizer", "train", "claim")
DATA_WORDS = ("source", "test", "split", "seed", "window", "augment", "on")
TRAIN_WORDS = (
    "loss", "error", "metric", "answer", "optimizer", "batch", "epochs", "steps", "seed", "stop", "keep", "clip",
    "decay", "precision", "accumulate", "freeze", "rate", "start", "every", "step",
    "average",
)  # fmt: skip

VALUED = ("loss", "error", "answer", "optimizer", "batch", "epochs", "steps", "seed", "window", "horizon")
"""Lines that begin with a value, never with a word of their own."""

KINDS = ("source", "test")
"""Lines that begin with a word of their own, whatever follows it."""

COUNTING = ("generate", "draw", "of", "from")
"""Words of such lines that a value follows, be it a name."""

CHOOSING = ("freeze",)
"""Lines that begin with a pattern of paths."""

FIRST: dict[Context, tuple[str, ...]] = {
    "file": DECLARATIONS, "data": DATA_WORDS, "train": TRAIN_WORDS, "step": TRAIN_WORDS, "body": (),
}  # fmt: skip

KEPT = ("FUNCTION", "LAYER", "NET", "OPTIMIZER")
"""Declarations whose first word stays in the tree."""

MID_WORDS = {"then": "_THEN", "until": "_UNTIL", "shifted": "_SHIFTED"}

OPERANDS = ("NAME", "NUMBER", "PERCENT", "STRING", "RPAR", "RSQB", "YES", "NO", "STAR")
"""After these an expression may be complete: a name that follows can only be a word."""

LITERALS = ("NAME", "NUMBER", "PERCENT", "STRING")

SCANNING = {
    "SCAN": {"back": "BACK", "over": "_OVER"},
    "BACK": {"over": "_OVER"},
    "operand": {"where": "_WHERE", "cut": "_CUT", "with": "_WITH"},
}
"""Words in the head of a scan, by what stands before them."""

CONTINUES = (
    "COMMA", "EQUAL", "COLON", "TILDE", "_ARROW", "_RANGE", "NOT", "AND", "OR",
    "ADD", "MINUS", "MULTIPLY", "POWER", "COMPARE", "LESS",
)  # fmt: skip
"""After these the statement goes on, whatever the newline says."""

CLOSES = {"(": ")", "[": "]", "{": "}"}


class TooDeep(Problem):
    code = "G031"
    title = "brackets are nested more than {most} deep"
    label = "this one is too deep"
    help = "give an inner part a name on a line of its own (`--limit depth=N` allows more)"
    most: int


class TooLong(Problem):
    code = "G032"
    title = "this word or number is longer than {most} characters"
    label = "it starts here"
    help = "put long texts into a data file (`--limit token=N` allows more)"
    most: int


def span_of(token: Token, file: str) -> Span:
    """Where a word stands."""
    line, column = token.line or 1, token.column or 1
    return Span(
        file=file,
        line=line,
        column=column,
        end_line=token.end_line or line,
        end_column=token.end_column or column + len(token),
    )


class Layout:
    """Turns the tokens of one file into those that the grammar expects; keeps what messages need to know."""

    def __init__(self, tokens: Iterator[Token], file: str) -> None:
        self.file = file
        self.open: list[Token] = []
        """Brackets that are open, innermost last."""
        self.contexts: list[Context] = ["file"]
        """What each open `{` holds, outermost first."""
        self.statement: list[Token] = []
        """The statement under way, as it was given to the parser."""
        self.ended: list[Token] = []
        """The statement before that, or the part of it before a `{`."""
        self._deepest = limits().depth
        self._lines = _lines(tokens, file)
        self._ahead: deque[Token] = deque()
        self._inside: Context = "body"
        self._closer: Token | None = None
        self._after_newline: Token | None = None

    def closed_by(self, token: Token) -> bool:
        """Whether ``token`` was the last to close a bracket."""
        return self._closer is token

    def next_is(self, type: str) -> bool:
        """Whether the token after the newline under way has this type."""
        return self._after_newline is not None and self._after_newline.type == type

    def __iter__(self) -> Iterator[Token]:
        held: Token | None = None
        last: Token | None = None
        while (token := self._next()) is not None:
            if token.type == "_NL":
                held = token
                if self.statement:
                    self.ended, self.statement = self.statement, []
                continue
            token = self._retype(token)
            if held is not None and last is not None and last.type != "LBRACE" and token.type != "RBRACE":
                self._after_newline = token
                yield held
            held, last = None, token
            self._nest(token)
            yield token

    def _peek(self, place: int = 0) -> Token | None:
        """The token at ``place`` after this one; a newline that ends the statement counts as one."""
        while len(self._ahead) <= place:
            token = next(self._lines, None)
            if token is None:
                return None
            self._ahead.append(token)
        return self._ahead[place]

    def _next(self) -> Token | None:
        token = self._peek()
        if token is not None:
            self._ahead.popleft()
        return token

    def _followed_by(self, types: tuple[str, ...], place: int = 0) -> bool:
        ahead = self._peek(place)
        return ahead is not None and ahead.type in types

    # ---- words

    def _retype(self, token: Token) -> Token:
        if token.type == "MULTIPLY" and token == "*" and self._is_pattern():
            return token.update(type="STAR")
        if token.type != "NAME":
            return token
        context: Context = self.contexts[-1] if not self.open or self.open[-1] == "{" else "body"
        if not self.statement:
            return self._first(token, context)
        last = self.statement[-1]
        if self.statement[0].type == "SCAN" and self.open and self.open[-1] == "{":
            scanning = SCANNING.get(last.type, SCANNING["operand"] if last.type in OPERANDS else {})
            return token.update(type=scanning.get(token, "NAME"))
        if last.type == "_UNTIL" or (last.type == "_TRAIN" and token == "on" and self._followed_by(("NAME",))):
            return token.update(type="WORD")
        if last.type == "WORD" and last in ("weighted", "drawn") and token == "by":
            return token.update(type="WORD")
        if last.type == "_SHIFTED" and token == "by":
            return token.update(type="_BY")
        if last.type in OPERANDS:
            return token.update(type=MID_WORDS.get(token, "WORD"))
        named = last.type in ("_COLUMN", "_COLUMNS")
        if (
            token in ("column", "columns")
            and not named
            and self.contexts[-1] == "data"
            and self._followed_by(("NAME", "STRING"))
        ):
            return token.update(type="_" + token.upper())
        if last.type == "SETTING" and last in KINDS and context == "data":
            return token.update(type="WORD")
        if (
            self.statement[0].type == "SETTING"
            and self.statement[0] in KINDS
            and context == "data"
            and last in COUNTING
        ):
            return token
        in_setting = self.statement[0].type == "SETTING" and context != "body"
        if in_setting and last.type in ("SETTING", "WORD", "COMMA") and self._followed_by(LITERALS):
            # `loss each where kept`, `batch few until epoch 3 then many`: here the first word is a value.
            is_value = last.type == "SETTING" and last in VALUED
            is_value = is_value or (self._peek() in MID_WORDS and self.statement[0] != "every")
            # `until epoch n where kept`
            is_value = is_value or (last.type == "WORD" and self.statement[-2].type == "_UNTIL")
            # `where kept weighted by much`
            is_value = is_value or (last.type == "WORD" and last in ("where", "by"))
            return token if is_value else token.update(type="WORD")
        return token

    def _first(self, token: Token, context: Context) -> Token:
        """The first word of a line."""
        if context == "file":
            return self._declaration(token)
        if context == "body":
            return token
        if token in FIRST[context] or not self._followed_by(("EQUAL", "COMMA", "LSQB")):
            if context == "train" and token == "step" and self._followed_by(("NAME",)):
                return token.update(type="_STEP")
            return token.update(type="CHOICE" if context in ("train", "step") and token in CHOOSING else "SETTING")
        return token

    def _declaration(self, token: Token) -> Token:
        if token not in DECLARATIONS:
            return token
        inside: dict[str, Context] = {"data": "data", "train": "train"}
        self._inside = inside.get(token, "body")
        kept = token.upper()
        return token.update(type=kept if kept in KEPT else "_" + kept)

    def _is_pattern(self) -> bool:
        """`*` in `*.W` or `encoder.*` is not a product, and may end a line."""
        if not self.statement or self.statement[0].type not in ("SETTING", "CHOICE", "_STEP"):
            return False
        updates = self.statement[0].type == "_STEP" and self.statement[-1].type == "WORD"
        return updates or self.statement[-1].type in ("FOR", "DOT", "LSQB", "CHOICE", "COMMA")

    # ---- brackets

    def _nest(self, token: Token) -> None:
        """Notes the brackets and the statement that are under way."""
        self.statement.append(token)
        if token.type in ("LPAR", "LSQB", "LBRACE"):
            self.open.append(token)
            if len(self.open) > self._deepest:
                raise TooDeep(span=span_of(token, self.file), most=self._deepest).error()
        if token.type == "LBRACE":
            within: Context = "step" if self.statement[0].type == "_STEP" else "body"
            self.contexts.append(self._inside if len(self.contexts) == 1 else within)
            self.ended, self.statement = self.statement[:-1], []
        if token.type in ("RPAR", "RSQB", "RBRACE") and self.open and CLOSES[self.open[-1]] == token:
            self.open.pop()
            self._closer = token
            if token.type == "RBRACE":
                self.contexts.pop()


def _lines(tokens: Iterator[Token], file: str) -> Iterator[Token]:
    """The tokens with those newlines only that end a statement (not inside `(` and `[`, after an operator, …)."""
    held: Token | None = None
    last: Token | None = None
    brackets: list[str] = []
    longest = limits().token
    for token in tokens:
        if len(token) > longest:
            where = span_of(token, file).model_copy(update={"end_column": (token.column or 1) + 1})
            raise TooLong(span=where, most=longest).error()
        if token.type == "_NL":
            inside = bool(brackets) and brackets[-1] != "{"
            if not inside or token == ";":
                held = held or token
            continue
        # The `*` of `encoder.*` and of `for *` is no product and may end a line.
        star = token == "*" and last is not None and last.type in ("DOT", "FOR")
        goes_on = last is None or last.type in CONTINUES or token.type in ("_ARROW", "ELSE")
        if held is not None and not goes_on:
            yield held
        held, last = None, token.update(type="STAR") if star else token
        if token.type in ("LPAR", "LSQB", "LBRACE"):
            brackets.append(str(token))
        elif token.type in ("RPAR", "RSQB") and brackets and brackets[-1] != "{":
            brackets.pop()
        elif token.type == "RBRACE":
            while brackets and brackets.pop() != "{":
                pass
        yield token
