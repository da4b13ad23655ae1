"""Text to tree."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from dotnn_grammar.layout import Layout, span_of
from dotnn_grammar.limits import limits
from dotnn_grammar.meant import explain_character, explain_token
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source, Span

_WORD = re.compile(r'\n|"[^"\n]*"|\w+|#[^\n]*|[^\w\s]')
"""About what the lexer makes of a text: enough to count by."""


class TooLarge(Problem):
    code = "G030"
    title = "`{file}` is larger than {most} bytes"
    help = "move definitions to a file of their own (`use`), and data to a data file (`--limit file=N` allows more)"
    file: str
    most: int


class TooInvolved(Problem):
    code = "G033"
    title = "this is nested too deeply to be read"
    label = "more than {most} levels"
    help = "give a part of it a name on a line of its own (`--limit levels=N` allows more)"
    most: int


class TooManyWords(Problem):
    code = "G035"
    title = "this spec has more than {most:,} words, signs and ends of lines"
    label = "this one is too many"
    help = "a number of turns is a `repeat`, and many numbers are a data file (`--limit words=N` allows more)"
    most: int


class NulByte(Problem):
    code = "G034"
    title = "there is a NUL byte in the file"
    label = "here"
    help = "a .nn file is plain text; save it again with a text editor"


@cache
def grammar() -> Lark:
    """The parser, built once a process."""
    text = files("dotnn_grammar").joinpath("nn.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", lexer="basic", maybe_placeholders=True, propagate_positions=True)


def parse(source: Source) -> Tree[Token]:
    """The tree of a file; its rules are those of nn.lark, and every rule that holds a token knows its place.

    Raises ProblemError: what cannot be read, with its place.
    """
    check_text(source)
    # Lark's interactive parser has no types of its own.
    parser: Any = grammar().parse_interactive(source.text)
    layout = Layout(parser.lexer_thread.lex(parser.parser_state), source.name)
    fed: list[Token] = []
    token: Token | None = None
    try:
        for token in layout:
            fed.append(token)
            parser.feed_token(token)
        tree: Tree[Token] = parser.feed_eof(token)
    except UnexpectedCharacters as stray:
        problem = explain_character(source, stray.line, stray.column)
        raise ProblemError([problem]) from None
    except UnexpectedToken as stray:
        problem = explain_token(source, layout, stray.token, _expected(fed, stray.token))
        raise ProblemError([problem]) from None
    check_depth(source, tree)
    return tree


def _expected(fed: list[Token], stray: Token) -> set[str]:
    """What could have stood in the place of ``stray``. The parser that met it has already given up some of it."""
    again: Any = grammar().parse_interactive("")
    for token in fed:
        if token is stray:
            break
        again.feed_token(token)
    return set(again.accepts())


def check_text(source: Source) -> None:
    """Raises ``ProblemError`` for a file that is too large or holds a byte that is no text."""
    most = limits().file
    if len(source.text) > most or len(source.text.encode("utf-8", "replace")) > most:
        raise TooLarge(file=source.name, most=most).error()
    nul = source.text.find("\0")
    if nul >= 0:
        line = source.text.count("\n", 0, nul) + 1
        column = nul - source.text.rfind("\n", 0, nul)
        raise NulByte(
            span=Span(file=source.name, line=line, column=column, end_line=line, end_column=column + 1)
        ).error()
    count_words(source)


def count_words(source: Source, before: int = 0) -> int:
    """``before`` and the words, signs and ends of lines of this text. Raises G035 where they are too many."""
    most = limits().words
    count = before
    for count, word in enumerate(_WORD.finditer(source.text), before + 1):
        if count > most:
            line = source.text.count("\n", 0, word.start()) + 1
            column = word.start() - source.text.rfind("\n", 0, word.start())
            span = Span(file=source.name, line=line, column=column, end_line=line, end_column=column + 1)
            raise TooManyWords(span=span, most=most).error()
    return count


def check_depth(source: Source, tree: Tree[Token]) -> None:
    """Walks without recursion, which is what the limit is for."""
    most = limits().levels
    waiting: list[tuple[Tree[Token], int]] = [(tree, 1)]
    while waiting:
        branch, depth = waiting.pop()
        if depth > most:
            raise TooInvolved(span=span_of_tree(branch, source.name), most=most).error()
        waiting.extend((child, depth + 1) for child in branch.children if isinstance(child, Tree))


def span_of_tree(tree: Tree[Token], file: str) -> Span:
    """Where a branch stands; the start of the file for one that holds nothing."""
    meta = tree.meta
    if meta.empty:
        return Span(file=file, line=1, column=1, end_line=1, end_column=1)
    return Span(
        file=file,
        line=meta.line,
        column=meta.column,
        end_line=meta.end_line,
        end_column=meta.end_column,
    )


__all__ = ["grammar", "parse", "span_of", "span_of_tree"]
