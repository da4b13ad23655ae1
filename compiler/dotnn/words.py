"""The words of a spec: expressions, each with its place in the file. What is made of them stands in ``spec.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dotnn_grammar.source import Span


class Part(BaseModel):
    """Anything that stands somewhere in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    span: Span


class Name(Part):
    """A name: of a tensor, a dim, a definition, a param, a column."""

    kind: Literal["name"] = "name"
    name: str


class Number(Part):
    """`3`, `1e-3`, `80%` (a percentage is its share: 0.8, with ``percent`` set)."""

    kind: Literal["number"] = "number"
    value: int | float
    percent: bool = False


class Text(Part):
    """`"same"`."""

    kind: Literal["text"] = "text"
    value: str


class Truth(Part):
    """`yes` or `no`."""

    kind: Literal["truth"] = "truth"
    value: bool


class Argument(Part):
    """One argument of a call or item of a list: `64`, `units = 64`."""

    name: str | None = None
    value: Expression


class Call(Part):
    """`f(a, b = c)`."""

    kind: Literal["call"] = "call"
    function: Expression
    arguments: tuple[Argument, ...]


class Rest(Part):
    """`...` among dims or in a subscript: all the others."""

    kind: Literal["rest"] = "rest"


class Index(Part):
    """`x[i, 0..t]`: a gather, a slice, a shape, or the subscript of an index equation."""

    kind: Literal["index"] = "index"
    value: Expression
    items: tuple[Expression, ...]


class Member(Part):
    """`val.error`, `table.T`."""

    kind: Literal["member"] = "member"
    value: Expression
    name: str


class Unary(Part):
    """`-x`, `not x`."""

    kind: Literal["unary"] = "unary"
    operator: Literal["-", "not"]
    operand: Expression


class Binary(Part):
    """`a + b`, `a @ b`, `a == b`, `a and b`."""

    kind: Literal["binary"] = "binary"
    operator: Literal["+", "-", "*", "/", "//", "%", "@", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"]
    left: Expression
    right: Expression


class Choose(Part):
    """`a if c else b`, elementwise."""

    kind: Literal["choose"] = "choose"
    condition: Expression
    then: Expression
    otherwise: Expression


class Range(Part):
    """`a..b`, without b."""

    kind: Literal["range"] = "range"
    start: Expression
    stop: Expression


class List(Part):
    """`[a, b, name = c]`."""

    kind: Literal["list"] = "list"
    items: tuple[Argument, ...]


class Several(Part):
    """`(a, b)`: more than one expression in parentheses."""

    kind: Literal["several"] = "several"
    items: tuple[Expression, ...]


class Stage(Part):
    """One stage of a chain: `dense(64) as hidden`."""

    call: Expression
    name: str | None = None


class Chain(Part):
    """`x -> dense(64) as hidden -> relu`."""

    kind: Literal["chain"] = "chain"
    start: Expression
    stages: tuple[Stage, ...]


class Until(Part):
    """`0.1 until epoch 10`: a schedule that ends."""

    kind: Literal["until"] = "until"
    value: Expression
    unit: str
    count: Expression


class Then(Part):
    """`warmup(200) then cosine(from = 1e-3)`: one schedule after the other."""

    kind: Literal["then"] = "then"
    phases: tuple[Expression, ...]


class Shifted(Part):
    """`token shifted by 1`: what stands so many places later."""

    kind: Literal["shifted"] = "shifted"
    value: Expression
    by: Expression


class ColumnOf(Part):
    """`column digit`, `columns p0 to p63` (both included): raw columns of the source, by name."""

    kind: Literal["column"] = "column"
    first: str
    last: str | None = None


Expression = Annotated[
    Name
    | Number
    | Text
    | Truth
    | Call
    | Rest
    | Index
    | Member
    | Unary
    | Binary
    | Choose
    | Range
    | List
    | Several
    | Chain
    | Until
    | Then
    | Shifted
    | ColumnOf,
    Field(discriminator="kind"),
]

Argument.model_rebuild()


def dotted(expression: Expression) -> str | None:
    """`val.error`, `val.critic.loss` as a text; None for what is no name with dots."""
    match expression:
        case Name(name=name):
            return name
        case Member(value=inner, name=name):
            before = dotted(inner)
            return None if before is None else f"{before}.{name}"
    return None


def parts_in(part: Any) -> Iterator[Part]:
    """A part (or a tuple of some) and all parts in it, in the order of their fields; nothing of what is no part."""
    if isinstance(part, tuple):
        for each in part:
            yield from parts_in(each)
    elif isinstance(part, Part):
        yield part
        for field in type(part).model_fields:
            yield from parts_in(getattr(part, field))


def names_in(part: Part) -> Iterator[str]:
    """Every name that an expression of it mentions, as often as it does."""
    return (each.name for each in parts_in(part) if isinstance(each, Name))
