"""Text to tree."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from dotnn_grammar.layout import Layout, span_of
from dotnn_grammar.mistakes import explain_character, explain_token
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source, Span

MAX_FILE = 1024 * 1024
MAX_TREE = 120
"""Levels of the tree: what the passes after this one may recurse into, and what JSON readers take."""


class TooLarge(Problem):
    code = "G030"
    title = "`{file}` is larger than {most} bytes"
    help = "move definitions to a file of their own (`use`), and data to a data file"
    file: str
    most: int


class TooInvolved(Problem):
    code = "G033"
    title = "this is nested too deeply to be read"
    label = "more than {most} levels"
    help = "give a part of it a name on a line of its own"
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

    Raises ProblemError: what cannot be read, or is not in this version, with its place.
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
        raise ProblemError([*layout.problems, problem]) from None
    except UnexpectedToken as stray:
        problem = explain_token(source, layout, stray.token, _expected(fed, stray.token))
        raise ProblemError([*layout.problems, problem]) from None
    if layout.problems:
        raise ProblemError(layout.problems)
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
    if len(source.text) > MAX_FILE or len(source.text.encode("utf-8", "replace")) > MAX_FILE:
        raise TooLarge(file=source.name, most=MAX_FILE).error()
    nul = source.text.find("\0")
    if nul >= 0:
        line = source.text.count("\n", 0, nul) + 1
        column = nul - source.text.rfind("\n", 0, nul)
        raise NulByte(
            span=Span(file=source.name, line=line, column=column, end_line=line, end_column=column + 1)
        ).error()


def check_depth(source: Source, tree: Tree[Token]) -> None:
    """Walks without recursion, which is what the limit is for."""
    waiting: list[tuple[Tree[Token], int]] = [(tree, 1)]
    while waiting:
        branch, depth = waiting.pop()
        if depth > MAX_TREE:
            raise TooInvolved(span=span_of_tree(branch, source.name), most=MAX_TREE).error()
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


__all__ = ["MAX_FILE", "grammar", "parse", "span_of", "span_of_tree"]
