"""Expressions, types and statements: from the tree to the words of the spec."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

from lark import Token, Tree

from dotnn import spec
from dotnn_grammar.parse import span_of, span_of_tree
from dotnn_grammar.problems import Note, Problem, many
from dotnn_grammar.source import Span

Branch = Tree[Token]
Leaf = Branch | Token | None

LARGEST = 2**63 - 1
ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\t": "\t"}


class TooLargeNumber(Problem):
    code = "R001"
    title = "this number is too large"
    label = "beyond what 64 bits hold"
    help = "write a smaller number; `1e-3` and `2.5e6` are fine for very small and large ones"


class UnknownEscape(Problem):
    code = "R002"
    title = "`{escape}` means nothing in a text"
    label = "in this text"
    help = 'after a backslash may stand `"`, `\\`, `n` (a new line) or `t` (a tab); for one backslash write two'
    escape: str


class UnevenAssignment(Problem):
    code = "R003"
    title = "{names} on the left, {values} on the right"
    label = "{names} to give a value to"
    help = "give each name its value, as in `m, v = mean, var`; one value on the right may also have several results"
    names: str
    values: str


class MessageBraces(Problem):
    code = "R004"
    title = "the braces in this message do not hold one name"
    label = "in this message"
    help = 'write `{{name}}` to show a size or a setting, as in "width {{d}} does not divide"'


class TwiceNamed(Problem):
    code = "R005"
    title = "`{name}` is named twice in {place}"
    label = "the second `{name}`"
    help = "give one of the two another name"
    name: str
    place: str


class OtherTruth(Problem):
    code = "R006"
    title = "`{written}` is written `{word}` here"
    label = "another language's word"
    help = "write `{word}`"
    written: str
    word: str


TRUTHS = {"True": "yes", "False": "no"}


class Reader:
    """Reads the branches of one file's tree. Each method makes one kind of word."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._expressions: dict[str, Callable[[Branch], spec.Expression]] = {
            "name": self._name,
            "number": self._number,
            "text": lambda t: spec.Text(span=self.span(t), value=self.text(kids(t)[0])),
            "yes": lambda t: spec.Truth(span=self.span(t), value=True),
            "no": lambda t: spec.Truth(span=self.span(t), value=False),
            "call": self._call,
            "index": self._index,
            "member": lambda t: spec.Member(span=self.span(t), value=self.take(t, 0), name=str(kids(t)[1])),
            "negative": lambda t: spec.Unary(span=self.span(t), operator="-", operand=self.take(t, 0)),
            "not_": lambda t: spec.Unary(span=self.span(t), operator="not", operand=self.take(t, 0)),
            "binary": self._binary,
            "choose": self._choose,
            "span": lambda t: spec.Range(span=self.span(t), start=self.take(t, 0), stop=self.take(t, 1)),
            "list": lambda t: spec.List(span=self.span(t), items=self.arguments(kids(t))),
            "several": lambda t: spec.Several(span=self.span(t), items=self.expressions(kids(t))),
            "chain": self._chain,
            "until": self._until,
            "shifted": lambda t: spec.Shifted(span=self.span(t), value=self.take(t, 0), by=self.take(t, 1)),
            "then": lambda t: spec.Then(span=self.span(t), phases=self.expressions(kids(t))),
            "column_of": self._column_of,
            "rest": lambda t: spec.Rest(span=self.span(t)),
        }
        self._statements: dict[str, Callable[[Branch], spec.Statement]] = {
            "assign": self.assign,
            "weight": self._weight,
            "state": self._state,
            "repeat": self._repeat,
            "if_": self._if,
            "when": self._when,
            "scan": self._scan,
            "require": self._require,
            "return": lambda t: spec.Return(span=self.span(t), values=self.expressions(kids(branch(kids(t)[0])))),
        }

    # ---- places and texts

    def span(self, leaf: Leaf) -> Span:
        if isinstance(leaf, Token):
            return span_of(leaf, self.file)
        assert leaf is not None
        return span_of_tree(leaf, self.file)

    def text(self, leaf: Leaf) -> str:
        """What stands between the quotes."""
        token = leaf_token(leaf)

        def unescape(match: re.Match[str]) -> str:
            if match.group() not in ESCAPES:
                raise UnknownEscape(span=self.span(token), escape=match.group()).error()
            return ESCAPES[match.group()]

        return re.sub(r"\\.", unescape, token[1:-1])

    def word(self, leaf: Leaf) -> str:
        """A name or a quoted name."""
        token = leaf_token(leaf)
        return self.text(token) if token.type == "STRING" else str(token)

    def number(self, token: Token) -> spec.Number:
        digits = token.replace("_", "")
        percent = digits.endswith("%")
        digits = digits.removesuffix("%")
        value: int | float
        if not percent and digits.isdigit():
            value = int(digits) if len(digits) < 30 else LARGEST + 1
        elif percent:
            # Shifted as text, so that 7% is the number nearest to 0.07.
            value = float(f"{digits}e-2")
        else:
            value = float(digits)
        if math.isinf(value) or (isinstance(value, int) and value > LARGEST):
            raise TooLargeNumber(span=self.span(token)).error()
        return spec.Number(span=self.span(token), value=value, percent=percent)

    # ---- expressions

    def expression(self, leaf: Leaf) -> spec.Expression:
        tree = branch(leaf)
        return self._expressions[tree.data](tree)

    def take(self, tree: Branch, place: int) -> spec.Expression:
        return self.expression(kids(tree)[place])

    def expressions(self, leaves: Iterable[Leaf]) -> tuple[spec.Expression, ...]:
        return tuple(self.expression(leaf) for leaf in leaves if leaf is not None)

    def arguments(self, leaves: Iterable[Leaf]) -> tuple[spec.Argument, ...]:
        return tuple(self._argument(branch(leaf)) for leaf in leaves if leaf is not None)

    def _argument(self, tree: Branch) -> spec.Argument:
        name = kids(tree)[0]
        return spec.Argument(
            span=self.span(tree), name=None if name is None else str(name), value=self.expression(kids(tree)[1])
        )

    def _name(self, tree: Branch) -> spec.Expression:
        name = str(kids(tree)[0])
        if name in TRUTHS:
            raise OtherTruth(span=self.span(tree), written=name, word=TRUTHS[name]).error()
        return spec.Name(span=self.span(tree), name=name)

    def _number(self, tree: Branch) -> spec.Expression:
        return self.number(leaf_token(kids(tree)[0]))

    def _call(self, tree: Branch) -> spec.Expression:
        function, *rest = kids(tree)
        return spec.Call(span=self.span(tree), function=self.expression(function), arguments=self.arguments(rest))

    def _index(self, tree: Branch) -> spec.Expression:
        value, *items = kids(tree)
        return spec.Index(span=self.span(tree), value=self.expression(value), items=self.expressions(items))

    def _binary(self, tree: Branch) -> spec.Expression:
        left, operator, right = kids(tree)
        # The tree is as deep as the sum is long: its place is widened here, from the parts.
        sign: Any = str(operator)
        return spec.Binary(
            span=self.span(tree), operator=sign, left=self.expression(left), right=self.expression(right)
        )

    def _choose(self, tree: Branch) -> spec.Expression:
        then, condition, otherwise = self.expressions(kids(tree))
        return spec.Choose(span=self.span(tree), condition=condition, then=then, otherwise=otherwise)

    def _chain(self, tree: Branch) -> spec.Expression:
        start, *stages = kids(tree)
        return spec.Chain(
            span=self.span(tree), start=self.expression(start), stages=tuple(self._stage(branch(s)) for s in stages)
        )

    def _stage(self, tree: Branch) -> spec.Stage:
        call, name = kids(tree)
        return spec.Stage(span=self.span(tree), call=self.expression(call), name=None if name is None else str(name))

    def _until(self, tree: Branch) -> spec.Expression:
        value, unit, count = kids(tree)
        return spec.Until(
            span=self.span(tree), value=self.expression(value), unit=str(unit), count=self.expression(count)
        )

    def _column_of(self, tree: Branch) -> spec.Expression:
        first, *rest = kids(tree)
        last = self.word(rest[-1]) if rest else None
        return spec.ColumnOf(span=self.span(tree), first=self.word(first), last=last)

    # ---- types

    def type(self, leaf: Leaf) -> spec.TypeText:
        tree = branch(leaf)
        *head, bound = kids(tree)
        word = None if head[0] is None else str(head[0])
        dims = None
        if len(head) == 2:
            listed = kids(branch(head[1]))
            dims = tuple(self._dim(branch(dim)) for dim in listed if dim is not None)
        return spec.TypeText(
            span=self.span(tree), word=word, dims=dims, bound=None if bound is None else self.expression(bound)
        )

    def _dim(self, tree: Branch) -> spec.Dim | spec.Rest:
        if tree.data == "rest":
            return spec.Rest(span=self.span(tree))
        label, size = kids(tree)
        named = self.expression(size)
        if label is None:
            return spec.Dim(
                span=self.span(tree), label=named.name if isinstance(named, spec.Name) else None, size=named
            )
        return spec.Dim(span=self.span(tree), label=str(label), size=named)

    # ---- statements

    def block(self, leaf: Leaf) -> tuple[spec.Statement, ...]:
        if leaf is None:
            return ()
        tree = branch(leaf)
        if tree.data == "if_":
            return (self._if(tree),)
        return tuple(self.statement(branch(child)) for child in kids(tree) if child is not None)

    def statement(self, tree: Branch) -> spec.Statement:
        return self._statements[tree.data](tree)

    def assign(self, tree: Branch) -> spec.Assign:
        targets, values, *binders = kids(tree)
        left = tuple(self.target(branch(t)) for t in kids(branch(targets)))
        right = self.expressions(kids(branch(values)))
        if len(right) not in (1, len(left)):
            where = self.span(targets)
            raise UnevenAssignment(span=where, names=many(len(left), "name"), values=many(len(right), "value")).error()
        bound = tuple(self.binder(branch(b)) for b in binders if b is not None)
        return spec.Assign(span=self.span(tree), targets=left, values=right, binders=bound)

    def target(self, tree: Branch) -> spec.Target:
        name, *indices = kids(tree)
        names = [str(i) for i in indices if i is not None]
        return spec.Target(span=self.span(tree), name=str(name), indices=tuple(names) if names else None)

    def binder(self, tree: Branch) -> spec.Binder:
        return spec.Binder(span=self.span(tree), name=str(kids(tree)[0]), range=self.take(tree, 1))

    def _weight(self, tree: Branch) -> spec.Statement:
        name, shape, init = kids(tree)
        return spec.Weight(span=self.span(tree), name=str(name), type=self.type(shape), init=self.expression(init))

    def _state(self, tree: Branch) -> spec.Statement:
        return spec.State(span=self.span(tree), cells=tuple(self._cell(branch(c)) for c in kids(tree)))

    def _cell(self, tree: Branch) -> spec.Cell:
        name, shape, init = kids(tree)
        return spec.Cell(
            span=self.span(tree),
            name=str(name),
            type=None if shape is None else self.type(shape),
            init=self.expression(init),
        )

    def _repeat(self, tree: Branch) -> spec.Statement:
        over, body = kids(tree)
        if isinstance(over, Tree) and over.data == "binder":
            binder = self.binder(over)
            return spec.Repeat(span=self.span(tree), name=binder.name, range=binder.range, body=self.block(body))
        return spec.Repeat(span=self.span(tree), range=self.expression(over), body=self.block(body))

    def _if(self, tree: Branch) -> spec.If:
        condition, then, otherwise = kids(tree)
        return spec.If(
            span=self.span(tree),
            condition=self.expression(condition),
            then=self.block(then),
            otherwise=self.block(otherwise),
        )

    def _when(self, tree: Branch) -> spec.Statement:
        phase, then, otherwise = kids(tree)
        return spec.When(span=self.span(tree), phase=str(phase), then=self.block(then), otherwise=self.block(otherwise))

    def _scan(self, tree: Branch) -> spec.Statement:
        back, over, where, cut, *carries, body = kids(tree)
        return spec.Scan(
            span=self.span(tree),
            over=str(over),
            back=back is not None,
            where=None if where is None else self.expression(where),
            cut=None if cut is None else self.expression(cut),
            carries=tuple(self._carry(branch(one)) for one in carries if one is not None),
            body=self.block(body),
        )

    def _carry(self, tree: Branch) -> spec.Carry:
        name, start = kids(tree)
        return spec.Carry(span=self.span(tree), name=str(name), start=self.expression(start))

    def _require(self, tree: Branch) -> spec.Statement:
        condition, message = kids(tree)
        text = self.text(message)
        if re.search(r"[{}]", re.sub(r"\{[A-Za-z_][A-Za-z0-9_]*\}", "", text)):
            raise MessageBraces(span=self.span(message)).error()
        return spec.Require(span=self.span(tree), condition=self.expression(condition), message=text)

    # ---- definitions

    def definition(self, tree: Branch, doc: str) -> spec.Definition:
        """A function, layer, net or optimizer."""
        word, name, first, second, *rest = kids(tree)
        *results, body = rest
        kind = cast(Literal["function", "layer", "net", "optimizer"], str(word))
        listed = [self.parameters(branch(part)) for part in (first, second) if part is not None]
        settings, inputs = (None, listed[0]) if len(listed) == 1 else (listed[0], listed[1])
        given = kids(branch(results[0])) if results and results[0] is not None else []
        return spec.Definition(
            span=self.span(tree),
            word=kind,
            name=str(name),
            settings=settings,
            inputs=inputs,
            results=tuple(self.result(branch(r)) for r in given),
            body=self.block(body),
            doc=doc,
        )

    def parameters(self, tree: Branch) -> tuple[spec.Parameter, ...]:
        return tuple(self.parameter(branch(part)) for part in kids(tree) if part is not None)

    def parameter(self, tree: Branch) -> spec.Parameter:
        name, shape, default = kids(tree)
        return spec.Parameter(
            span=self.span(tree),
            name=str(name),
            type=None if shape is None else self.type(shape),
            default=None if default is None else self.expression(default),
        )

    def result(self, tree: Branch) -> spec.Result:
        name, shape = kids(tree)
        return spec.Result(span=self.span(tree), name=None if name is None else str(name), type=self.type(shape))


def kids(tree: Branch) -> list[Leaf]:
    """What a branch holds; None stands for what was left out."""
    return list(tree.children)


def branch(leaf: Leaf) -> Branch:
    """A part of the tree that is a branch: the grammar has no other there."""
    assert isinstance(leaf, Tree), leaf
    return leaf


def leaf_token(leaf: Leaf) -> Token:
    """A part of the tree that is a word: the grammar has no other there."""
    assert isinstance(leaf, Token), leaf
    return leaf


def refuse_twice(names: Iterable[tuple[str, Span]], place: str) -> list[Problem]:
    """A problem for each name that is there already."""
    seen: dict[str, Span] = {}
    problems: list[Problem] = []
    for name, span in names:
        if name in seen:
            note = Note(span=seen[name], text=f"the first `{name}`")
            problems.append(TwiceNamed(span=span, name=name, place=place, notes=(note,)))
        seen.setdefault(name, span)
    return problems
