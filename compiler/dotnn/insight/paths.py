"""Paths: everything in a net that has a name, and what a person may ask of it.

Digits.hidden            what a part computes
Digits.hidden.W          a weight
image, logits, loss      a column, a result, a figure
softmax(logits)          an expression of these
grad(loss, image)        how the loss would change with each number of the picture
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from dotnn.build import Builder
from dotnn.differentiate import gradients, reaches
from dotnn.elaborate.arithmetic import real
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Tensor, kind
from dotnn.insight.places import columns_along
from dotnn.measures.rows import row_axis
from dotnn.phase import Phase
from dotnn.program import RawColumn
from dotnn.read import read_text
from dotnn.spec import Expression
from dotnn.tape import Value
from dotnn_grammar.problems import Problem, ProblemError, perhaps
from dotnn_grammar.source import Source

_GRADIENT = re.compile(r"\s*grad\s*\(\s*(?P<of>.+?)\s*,\s*(?P<by>[^,]+?)\s*\)\s*")
_ANY_GRADIENT = re.compile(r"\bgrad\s*\(")
_PATH = re.compile(r"[\w.\[\]:]+")


class NoSuchPath(Problem):
    code = "I001"
    title = "nothing in this net is called `{path}`"
    help = "{near}"
    path: str
    near: str


class NotToBeAsked(Problem):
    code = "I002"
    title = "`{text}` cannot be shown: {why}"
    help = "ask for a path, `grad(loss, PATH)`, or an expression of columns and results such as softmax(logits)"
    text: str
    why: str


class NoGradient(Problem):
    code = "I003"
    title = "`{of}` has no gradient by `{by}`: {why}"
    help = "{way}"
    of: str
    by: str
    why: str
    way: str


@dataclass(frozen=True)
class Named:
    """Something with a path."""

    path: str
    kind: str
    """column, weight, state, tensor or figure"""
    tensor: Tensor

    @property
    def value(self) -> Value:
        return self.tensor.value


@dataclass(frozen=True)
class Asked:
    """One thing that was asked for, on the tape of the net."""

    text: str
    value: Value
    classes: tuple[str, ...] | None = None
    """Of a column `as class`."""
    gradient: bool = False
    along: tuple[RawColumn | None, ...] = ()
    """For each dim the column of texts whose places it has."""
    spoken: bool = False
    """It is such a column itself."""

    @property
    def each(self) -> bool:
        """Whether every example has its own."""
        return row_axis(self.value.type) == 0


class Paths:
    """The paths of one train block's net, outside of training."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.phase: Phase = builder.evaluation()
        self.tape = self.phase.tape
        self.sources: dict[str, Source] = {}

    @cached_property
    def named(self) -> Mapping[str, Named]:
        """Everything by its path: columns, what the net computes from first to last with its weights, figures."""
        machine = self.phase.machine
        found = {name: Named(name, "column", self.phase.columns[name]) for name in self.phase.columns}
        for path, tensor in machine.named.items():
            cell = machine.cells.get(path)
            word = "tensor" if cell is None else "weight" if cell.learned else "state"
            found[path] = Named(path, word, tensor)
        for name, tensor in self.phase.outputs.items():
            found[name] = Named(name, "tensor", tensor)
        for name in self.builder.measured:
            found[name] = Named(name, "figure", self._figure(name))
        if self.builder.train.answer is not None:
            answer = evaluate(self.phase.frame, self.builder.train.answer.value)
            found |= {"answer": Named("answer", "tensor", answer)} if isinstance(answer, Tensor) else {}
        return found

    @cached_property
    def _short(self) -> Mapping[str, Tensor]:
        """Tensors by the last word of their path, where it is no other's and means nothing else."""
        words = Counter(path.rpartition(".")[2] for path in self.named)
        found = {path.rpartition(".")[2]: named.tensor for path, named in self.named.items()}
        library = self.builder.library
        return {
            word: tensor
            for word, tensor in found.items()
            if words[word] == 1 and word.isidentifier() and library.find(word, USER, None) is None
        }

    def ask(self, text: str) -> Asked:
        """A path, an expression, or a gradient. Raises ``ProblemError``."""
        gradient = _GRADIENT.fullmatch(text)
        if gradient is None and _ANY_GRADIENT.search(text):
            why = "a gradient has two paths, and stands alone: grad(loss, image)"
            raise NotToBeAsked(text=text, why=why).error()
        if gradient is not None:
            return Asked(text, self._gradient(gradient["of"], gradient["by"]), gradient=True)
        found = self._found(text)
        raw = self.phase.columns.raws.get(found.value.name)
        texts = {name: raw for name, raw in self.phase.columns.raws.items() if raw.tokens is not None}
        along = columns_along(found.value, texts)
        classes = raw.classes if raw is not None else None
        return Asked(text, found.value, classes, along=along, spoken=found.value.name in texts)

    def _found(self, text: str) -> Tensor:
        path = text.strip()
        if path in self.named:
            return self.named[path].tensor
        below = [p for p in self.named if p.endswith(f".{path}")]
        if len(below) == 1:
            return self.named[below[0]].tensor
        if _PATH.fullmatch(path):
            listed = f"there are: {', '.join(below)}" if below else "without a path `nn probe RUN` lists them all"
            known = dict.fromkeys([*self.named, *self._short])
            raise NoSuchPath(path=path, near=listed if below else perhaps(path, known, listed)).error()
        return self._evaluated(text, self._parsed(text))

    # ---- expressions

    def _parsed(self, text: str) -> Expression:
        source = Source(name="the path", text=f"param path = {text}\n")
        self.sources[source.name] = source
        try:
            return read_text(source).params[0].value
        except (ProblemError, IndexError):
            raise NotToBeAsked(text=text, why="that is no path and no expression").error() from None

    def _evaluated(self, text: str, expression: Expression) -> Tensor:
        try:
            value = evaluate(replace(self.phase.frame, names={**self._short, **self.phase.frame.names}), expression)
        except ProblemError as error:
            error.sources = {**error.sources, **self.sources}
            raise
        if not isinstance(value, Tensor):
            raise NotToBeAsked(text=text, why=f"it is {kind(value)}").error()
        return value

    # ---- figures and gradients

    def _figure(self, name: str) -> Tensor:
        """A figure of the examples that are asked about: a number, or a table."""
        measured = self.builder.measured[name]
        parts = measured.parts
        value = parts.figure if parts is not None else measured.total / measured.count
        return Tensor(value, (None,) * value.type.rank)

    def _gradient(self, of: str, by: str) -> Value:
        """Of what each example has: that of its own loss; of what they share (a weight): that of their mean loss."""
        inner = self._found(by).value
        figure = self.builder.measured.get(of)
        apart = row_axis(inner.type) == 0
        if figure is not None and figure.parts is None:
            outer = figure.total if apart else figure.total / figure.count
        else:
            outer = real(self.tape, self._found(of)).value.sum()
        if not inner.type.is_float:
            way = "ask for what is computed from it: the result of the layer that reads it"
            raise NoGradient(of=of, by=by, why=f"`{by}` is whole numbers or yes and no", way=way).error()
        if not reaches(outer, inner):
            way = "comparisons, `argmax`, `floor` and `stop` let no gradient pass; a part further on may have one"
            raise NoGradient(of=of, by=by, why="no small change of it changes the result", way=way).error()
        return gradients(outer, [inner])[0]
