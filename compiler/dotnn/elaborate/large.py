"""What a spec may ask for and how much of it: counted while it is built, and where that can be seen, before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.problems import (
    Misfit,
    TooLargeSize,
    TooManyDims,
    TooManyLines,
    TooManyNodes,
    TooManyNumbers,
    TooManyTurns,
)
from dotnn.elaborate.values import Known, Shape, Size, Tensor
from dotnn.operation import shape_text
from dotnn.spec import (
    Argument,
    Assign,
    Binary,
    Call,
    Chain,
    Choose,
    Definition,
    Dim,
    Expression,
    If,
    Index,
    List,
    Member,
    Name,
    Number,
    Parameter,
    Part,
    Range,
    Repeat,
    Return,
    Scan,
    Several,
    Statement,
    Truth,
    Unary,
    When,
)
from dotnn_grammar.limits import limits

MOST_LISTED = 20_000
LONGEST_SIZE = 200
"""Letters of a size that is a product (`3*b*t`)."""


def refuse_lines(frame: Frame, part: Part, lines: int) -> None:
    """Raises ``ProblemError`` for too many lines, repeated ones counted as often."""
    most = limits().lines
    if lines > most:
        what = "lines of this spec, each repeated one counted as often as it is repeated"
        frame.fail(TooManyLines, part, what=what, count=_count(lines), limit=f"{most:,}")


def refuse_turns(frame: Frame, part: Part, turns: int, nested: bool) -> None:
    """Raises ``ProblemError`` for too many turns."""
    most = limits().turns
    if turns > most:
        what = "turns of this repeat, with those around it" if nested else "turns of this repeat"
        frame.fail(TooManyTurns, part, what=what, count=_count(turns), limit=f"{most:,}")


def refuse_nodes(frame: Frame, part: Part) -> None:
    """Raises ``ProblemError`` where the graph has become too large."""
    most, count = limits().nodes, len(frame.machine.tape.nodes)
    if count > most:
        what = "operations of this graph"
        frame.fail(TooManyNodes, part, what=what, count=f"{count:,}", limit=f"{most:,}")


def refuse_size(frame: Frame, part: Part, size: int, what: str) -> None:
    """Raises ``ProblemError`` for a dim that is too large."""
    most = limits().dim
    if size >= most:
        frame.fail(TooLargeSize, part, what=what, count=_count(size), limit=f"{most:,}")


def refuse_large(frame: Frame, part: Part, value: Tensor | Shape | Size | tuple[Any, ...]) -> None:
    """A tensor of too many dims, or (for one example) of too many numbers; a size or a list that is past all use."""
    if isinstance(value, tuple):
        if _leaves(value, MOST_LISTED) > MOST_LISTED:
            frame.fail(Misfit, part, why=f"this holds more than {MOST_LISTED:,} things", way="a table holds that many")
        return
    dims = (value.dim,) if isinstance(value, Size) else value.dims
    if any(isinstance(d, str) and len(d) > LONGEST_SIZE for d in dims):
        why = "this multiplies sizes that are known only when the graph runs too often"
        frame.fail(Misfit, part, why=why, way="multiply them as tensors, or fewer of them")
    if not isinstance(value, Size):
        _refuse_tensor(frame, part, value)


def _leaves(value: tuple[Any, ...], most: int) -> int:
    """How many things a list holds, those in its lists counted; stops counting past ``most``."""
    count = 0
    for item in value:
        count += _leaves(item, most - count) if isinstance(item, tuple) else 1
        if count > most:
            break
    return count


def _refuse_tensor(frame: Frame, part: Part, value: Tensor | Shape) -> None:
    allowed = limits()
    if len(value.dims) > allowed.rank:
        what, count = "dims of a tensor", str(len(value.dims))
        frame.fail(TooManyDims, part, what=what, count=count, limit=str(allowed.rank))
    known = [d for d in value.dims if isinstance(d, int)]
    size = math.prod(known)
    if size > allowed.numbers:
        what = f"numbers in {shape_text(value.dims)}, which take {_count(4 * size // 10**9)} GB"
        frame.fail(TooManyNumbers, part, what=what, count=_count(size), limit=f"{allowed.numbers:,}")


def _count(number: int) -> str:
    """A count for people: past what any machine has, its length is all that matters."""
    return f"{number:,}" if number < 10**18 else f"more than 10^{int(math.log10(number))}"


# ---- seen before it is built


def forecast(machine: Machine, known: Known) -> int:
    """How many lines the building of this definition will add at the very least."""
    if known.scope != USER:
        return 0
    if machine.forecast is None:
        machine.forecast = Forecast(machine.library.user, machine.params).lines
    return machine.forecast(known.definition)


class Forecast:
    """How many lines a definition takes at the very least, with all that it surely calls: read off its text.

    An `if` counts by its shorter branch, a `repeat` by the turns that stand there as digits, and a call by the
    definition that its name surely means. What cannot be seen counts nothing, so that no spec is refused that fits.
    """

    def __init__(self, user: Mapping[str, Known], params: Iterable[str] = ()) -> None:
        hidden = set(params)
        self._user = {name: known for name, known in user.items() if name not in hidden}
        self._known: dict[str, int] = {}

    def lines(self, definition: Definition) -> int:
        if definition.name not in self._known:
            self._known[definition.name] = 0  # for one that calls itself, which is refused elsewhere
            parameters = [*(definition.settings or ()), *definition.inputs]
            hidden = {definition.name, *(p.name for p in parameters), *assigned(definition.body)}
            hidden |= {d.size.name for p in parameters for d in _dims(p) if isinstance(d.size, Name)}
            self._known[definition.name] = self._block(definition.body, frozenset(hidden))
        return self._known[definition.name]

    def _block(self, body: Sequence[Statement], hidden: frozenset[str]) -> int:
        total = 0
        for statement in body:
            total += 1 + self._statement(statement, hidden)
            if may_return(statement):
                break
        return total

    def _statement(self, statement: Statement, hidden: frozenset[str]) -> int:
        match statement:
            case If(condition=Truth(value=yes)):
                return self._block(statement.then if yes else statement.otherwise, hidden)
            case If() | When():
                return min(self._block(statement.then, hidden), self._block(statement.otherwise, hidden))
            case Repeat(range=Number(value=turns), body=body) if isinstance(turns, int):
                return turns * self._block(body, hidden) if body else 0
            case Repeat(range=Range(start=Number(value=start), stop=Number(value=stop)), body=body) if (
                isinstance(start, int) and isinstance(stop, int) and stop > start
            ):
                return (stop - start) * self._block(body, hidden) if body else 0
            case Scan(body=body):
                return self._block(body, hidden)
            case Assign(values=values) | Return(values=values):
                return self._all(values, hidden)
        return 0

    def _all(self, parts: Iterable[Expression | Argument], hidden: frozenset[str]) -> int:
        return sum(self._expression(p.value if isinstance(p, Argument) else p, hidden) for p in parts)

    def _expression(self, part: Expression, hidden: frozenset[str]) -> int:
        match part:
            case Call(function=Name(name=name), arguments=arguments):
                return self._called(name, hidden) + self._all(arguments, hidden)
            case Call(function=function, arguments=arguments):
                return self._expression(function, hidden) + self._all(arguments, hidden)
            case Chain(start=start, stages=stages):
                return self._expression(start, hidden) + sum(self._stage(s.call, hidden) for s in stages)
            case Binary(left=left, right=right) | Range(start=left, stop=right):
                return self._all((left, right), hidden)
            case Choose(condition=condition, then=then, otherwise=otherwise):
                sides = min(self._expression(then, hidden), self._expression(otherwise, hidden))
                return self._expression(condition, hidden) + sides
            case Unary(operand=value) | Member(value=value) | Index(value=value):
                return self._expression(value, hidden)
            case List(items=items) | Several(items=items):
                return self._all(items, hidden)
        return 0

    def _stage(self, stage: Expression, hidden: frozenset[str]) -> int:
        match stage:
            case Name(name=name) | Call(function=Name(name=name)):
                given = self._all(stage.arguments, hidden) if isinstance(stage, Call) else 0
                return given + self._called(name, hidden, stage=True)
        return 0

    def _called(self, name: str, hidden: frozenset[str], stage: bool = False) -> int:
        known = self._user.get(name)
        if known is None or name in hidden:
            return 0
        at_once = not known.curried or (stage and known.definition.word == "layer")
        return self.lines(known.definition) if at_once else 0


def _dims(parameter: Parameter) -> list[Dim]:
    return [d for d in (parameter.type.dims if parameter.type else None) or () if isinstance(d, Dim)]


def assigned(body: Iterable[Statement]) -> set[str]:
    """Every name that these statements may bind: it no longer means the definition of that name."""
    names: set[str] = set()
    for statement in body:
        match statement:
            case Assign():
                names |= {target.name for target in statement.targets}
            case Repeat():
                names |= {statement.name or "", *assigned(statement.body)}
            case Scan():
                names |= {*(one.name for one in statement.carries), *assigned(statement.body)}
            case If() | When():
                names |= assigned(statement.then) | assigned(statement.otherwise)
            case _:
                names |= {getattr(statement, "name", ""), *(c.name for c in getattr(statement, "cells", ()))}
    return names


def may_return(statement: Statement) -> bool:
    """Whether a statement has a `return` in it."""
    match statement:
        case Return():
            return True
        case Repeat() | Scan():
            return any(may_return(s) for s in statement.body)
        case If() | When():
            return any(may_return(s) for s in (*statement.then, *statement.otherwise))
    return False
