"""What a part of the text means: each kind of expression and statement has its rule, and here they find each other.

A call is an expression, its definition's body is statements, and these hold expressions again: whoever needs the
meaning of a part asks here, and knows none of the other rules. `expressions.py` and `statements.py` bring the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dotnn.elaborate.arithmetic import LabelsDifferError
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import refuse_large, refuse_lines, refuse_nodes
from dotnn.elaborate.problems import LabelsClash, Misfit, OutOfPlace
from dotnn.elaborate.values import Shape, Size, Tensor
from dotnn.operation import MisfitError
from dotnn.spec import Expression, Part, Statement

Rule = Callable[[Frame, Any], Any]

EXPRESSIONS: dict[str, Rule] = {}
"""By kind: a frame and the expression -> its value."""

STATEMENTS: dict[str, Rule] = {}
"""By kind: a frame, which is changed, and the statement."""


def evaluate(frame: Frame, expression: Expression) -> Any:
    """The value of an expression. Raises ``ProblemError`` at its place."""
    if frame.equation is None:
        return _evaluated(frame, expression)
    known = frame.equation.values  # what is looked at more than once is one layer and one draw all the same
    if id(expression) not in known:
        known[id(expression)] = (expression, _evaluated(frame, expression))
    return known[id(expression)][1]


def _evaluated(frame: Frame, expression: Expression) -> Any:
    value = bare(frame, expression)
    return value if frame.draw is None else frame.draw(frame, value, expression)


def bare(frame: Frame, expression: Expression) -> Any:
    """The value of an expression as it is, where a distribution may still be given its shape."""
    value = EXPRESSIONS[expression.kind](frame, expression)
    if isinstance(value, Tensor | Shape | Size | tuple):
        refuse_large(frame, expression, value)
    return notice(frame, expression, value)


WATCH: ContextVar[Callable[[Frame, Part, Any], None] | None] = ContextVar("WATCH", default=None)
"""Told of every value as it is found, where somebody wants to know: a backend that writes the spec in other words."""


def notice(frame: Frame, part: Part, value: Any) -> Any:
    """``value``, which this part of the text stands for here."""
    watch = WATCH.get()
    if watch is not None:
        watch(frame, part, value)
    return value


def block(frame: Frame, body: Sequence[Statement]) -> None:
    """Builds each statement in turn, up to a `return`."""
    for number, statement in enumerate(body):
        if frame.results is not None and body[number - 1].kind != "return":
            return
        if frame.results is not None:
            frame.fail(
                OutOfPlace,
                statement,
                what="a line after `return`",
                way="`return` ends a definition: move it down",
            )
        frame.machine.lines += 1
        refuse_lines(frame, statement, frame.machine.lines)
        frame.left = ""
        STATEMENTS[statement.kind](frame, statement)
        frame.left = ""
        refuse_nodes(frame, statement)


@contextmanager
def computing(frame: Frame, part: Part) -> Iterator[None]:
    """What does not fit inside is a problem at this part."""
    try:
        with frame.machine.tape.at(frame.machine.place(part.span, frame.scope, frame.here)):
            yield
    except MisfitError as misfit:
        frame.fail(Misfit, part, why=str(misfit), way=misfit.way)
    except LabelsDifferError as clash:
        frame.fail(LabelsClash, part, first=clash.first, second=clash.second)
    except ZeroDivisionError:
        frame.fail(Misfit, part, why="this divides by zero")
    except OverflowError:
        frame.fail(Misfit, part, why="this number is too large", way="is a power or a product too high?")
