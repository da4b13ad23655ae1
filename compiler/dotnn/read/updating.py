"""What `train` and the steps in it have in common: what is made small, and how the weights move."""

from __future__ import annotations

from typing import ClassVar

from lark import Tree

from dotnn import spec
from dotnn.read.expressions import Branch
from dotnn.read.settings import Line, Settings, clause_of
from dotnn_grammar.source import Source, Span


class Updating(Settings):
    """The lines of one objective."""

    updating: ClassVar[dict[str, str]] = {
        "loss": "loss mean((guess - truth)^2)",
        "optimizer": "optimizer NAME(lr = 1e-3)",
        "clip": "clip norm 1.0",
        "decay": "decay 0.01 for *.W",
        "rate": "rate 0.1 for encoder.*",
        "freeze": "freeze encoder.*",
    }
    """How each of them is written."""
    several = frozenset({"decay", "rate", "freeze"})

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.assigns: list[spec.Assign] = []
        self.loss: spec.Objective | None = None
        self.optimizer: spec.Expression | None = None
        self.clip: spec.Expression | None = None
        self.decays: list[spec.Decay] = []
        self.rates: list[spec.Rate] = []
        self.freezes: list[spec.Freeze] = []

    def line(self, tree: Branch) -> None:
        """One line: a name that is bound, or a setting."""
        if tree.data == "assign":
            self.assigns.append(self.reader.assign(tree))
        else:
            self.setting(tree)

    def objective_lines(self, head: Span) -> None:
        """Notes which of the lines are missing that every objective has."""
        if "loss" not in self.seen:
            self.missing("loss", self.updating["loss"], "training makes it small", head)
        if "optimizer" not in self.seen:
            self.missing("optimizer", self.updating["optimizer"], "it moves the weights", head)

    def _objective(self, line: Line) -> spec.Objective:
        value = self.reader.expression(self.value(line, clauses=("where", "weighted", "by")))
        where = clause_of(line.phrases[0], "where")
        kept = None if where is None or where.value is None else self.reader.expression(where.value)
        return spec.Objective(span=line.span, value=value, where=kept, weights=self._weights(line))

    def _weights(self, line: Line) -> spec.Expression | None:
        """`weighted by …`."""
        clauses = line.phrases[0].clauses
        words = [clause.word for clause in clauses]
        if "weighted" not in words and "by" not in words:
            return None
        at = words.index("weighted") if "weighted" in words else words.index("by")
        first, second = clauses[at], clauses[at + 1] if at + 1 < len(clauses) else None
        if first.word != "weighted" or first.value is not None or second is None or second.word != "by":
            raise self.malformed(line, "`weighted by` and a weight for each row are needed", first.span)
        if second.value is None or words.count("by") + words.count("weighted") > 2:
            raise self.malformed(line, "by what? One weight for each row is needed", second.span)
        return self.reader.expression(second.value)

    def read_loss(self, line: Line) -> None:
        self.loss = self._objective(line)

    def read_optimizer(self, line: Line) -> None:
        self.optimizer = self.reader.expression(self.value(line))

    def read_clip(self, line: Line) -> None:
        phrase = self.single(line)
        given = clause_of(phrase, "norm")
        if given is None or given.value is None or phrase.value is not None or len(phrase.clauses) > 1:
            raise self.malformed(line, "`norm` and a number are needed")
        self.clip = self.reader.expression(given.value)

    def _for(self, line: Line) -> str:
        """The pattern after `for`."""
        given = clause_of(line.phrases[0], "for")
        if given is None or not isinstance(given.value, Tree):
            raise self.malformed(line, "`for` and the weights that it is for are missing")
        return self._pattern(given.value)

    def _pattern(self, tree: Branch) -> str:
        meta = tree.meta
        return "".join(self.source.text[meta.start_pos : meta.end_pos].split())

    def read_decay(self, line: Line) -> None:
        value = self.value(line, clauses=("for",))
        pattern = self._for(line)
        self.decays.append(spec.Decay(span=line.span, rate=self.reader.expression(value), pattern=pattern))

    def read_rate(self, line: Line) -> None:
        value = self.value(line, clauses=("for",))
        pattern = self._for(line)
        self.rates.append(spec.Rate(span=line.span, factor=self.reader.expression(value), pattern=pattern))

    def read_freeze(self, line: Line) -> None:
        for phrase in line.phrases:
            if phrase.value is None:
                raise self.malformed(line, "the weights that stay are missing")
            self.freezes.append(spec.Freeze(span=phrase.span, pattern=self._pattern(phrase.value)))
