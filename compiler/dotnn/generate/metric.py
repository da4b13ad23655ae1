"""Metrics that are measured by themselves: on texts that the net writes, or now and then on one part of the data.

    metric near = `bleu(generate(Translate, from, beam = 4), to)`  on val every 2 epochs

    metric.near    `written.near.0` i64[b, t], the columns and weights that it reads
        -> a batch's totals, as eval gives them

What `generate` gives is an input of that graph: the host lets the net write (``search.py``) and feeds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from dotnn.build import Builder
from dotnn.elaborate.arguments import Given
from dotnn.elaborate.numbers import positive
from dotnn.elaborate.values import Ask, Known, Tensor
from dotnn.generate.problems import NoSuchPart, NotGenerated
from dotnn.graph import Graph, Type
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import BATCH
from dotnn.inputs.fit import Fit
from dotnn.inputs.roles import labelled
from dotnn.measures.apart import GENERATE, is_apart
from dotnn.measures.figures import measured
from dotnn.phase import Measured, Phase
from dotnn.precision import rounded
from dotnn.program import Apart, Figure, RawColumn, Written
from dotnn.simplify import only, simplify
from dotnn.spec import Metric, Objective, Part, Spec, Train
from dotnn_grammar.problems import perhaps
from dotnn_grammar.source import Span

SETTINGS = ("beam", "length")


@dataclass
class Aparts:
    """What the metrics of a block become that are measured by themselves."""

    plans: dict[str, Apart] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    raws: dict[str, RawColumn] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)

    def read_by(self, metric: str) -> dict[str, RawColumn]:
        """The columns that the metric of that name reads, and those that the net reads as it writes for it."""
        plan = self.plans[metric]
        fed = {each.name for each in self.graphs[plan.graph].inputs} | {n for text in plan.texts for n in text.reads}
        return {name: raw for name, raw in self.raws.items() if name in fed}

    def with_plan(self, figure: Figure) -> Figure:
        """The figure, with how it is measured."""
        plan = self.plans.get(figure.name)
        return figure if plan is None else figure.model_copy(update={"apart": plan})


class ApartBuilder(Builder):
    """Builds these metrics of one train block, on texts of full length."""

    def __init__(self, spec: Spec, train: Train, block: DataBlock, params: dict[str, Any], fit: Fit) -> None:
        super().__init__(spec, train, copy(block), params, fit)
        self.block.by_length = False

    def aparts(self, splits: Sequence[str], read: set[str]) -> Aparts:
        """All of them. splits: the parts of the data; read: the columns that the net reads. Raises ``ProblemError``."""
        made = Aparts()
        metrics = [metric for metric in self.train.metrics if is_apart(metric)]
        if metrics:
            self.init()
        for metric in metrics:
            if metric.on is not None and metric.on not in splits:
                near = perhaps(metric.on, splits, f"there are: {', '.join(dict.fromkeys(splits))}")
                raise NoSuchPart(span=metric.span, name=metric.name, part=metric.on, near=near).error()
            self._metric(metric, made, read)
        return made

    def _metric(self, metric: Metric, made: Aparts, read: set[str]) -> None:
        phase = self.start("eval")
        texts: list[Written] = []
        if GENERATE not in self.library.user:
            phase.frame.names[GENERATE] = Ask(
                GENERATE, lambda given, at: self._written(phase, metric, given, at, texts)
            )
        self._assigns(phase)
        objective = Objective(span=metric.span, value=metric.value, weights=metric.weights)
        figure = measured(phase, objective, f"`{metric.name}`", "metric")
        figure.write(phase.tape, metric.name)
        self._agree(phase)
        name = f"metric.{metric.name}"
        whole = phase.tape.graph(name)
        graph = only(whole, {o.name: o.value for o in whole.outputs}).model_copy(update={"outputs": whole.outputs})
        graph = labelled(graph, read | {text.input for text in texts}, set())
        made.graphs[name] = simplify(rounded(graph, self.train.precision or "f32"))
        every = (
            1 if metric.every is None else positive(phase.frame, metric.every, "the epochs from one time to the next")
        )
        made.plans[metric.name] = Apart(graph=name, on=metric.on, every=every, texts=tuple(texts))
        made.measured[metric.name] = figure
        fed = {each.name for each in graph.inputs} | {column for text in texts for column in text.reads}
        made.raws |= {name: raw for name, raw in phase.columns.raws.items() if name in fed}
        made.spans |= phase.columns.spans

    def _written(self, phase: Phase, metric: Metric, given: Given, at: Part, texts: list[Written]) -> Tensor:
        """`generate(Translate, from, beam = 4)`: what the net writes for each row, an input of the graph."""
        settings: dict[str, int] = {}
        net, *read = [(value, part) for name, value, part in given if name is None] or [(None, at)]
        for name, value, part in given:
            if name is not None:
                settings[name] = self._setting(name, value, part)
        if not isinstance(net[0], Known) or self.net is None or net[0].definition is not self.net.definition:
            why = f"the net of this block, `{self.net.name}`, comes first" if self.net else "this block names no net"
            raise NotGenerated(span=net[1].span, why=why, way=self._form(phase)).error()
        inputs = [parameter.name for parameter in self.net.definition.inputs]
        named: list[str] = []
        for value, part in read:
            name = value.value.name if isinstance(value, Tensor) else ""
            if name not in inputs or name not in phase.columns.raws or name in named:
                why = "after the net come the columns that it reads, as they are"
                raise NotGenerated(span=part.span, why=why, way=self._form(phase)).error()
            named.append(name)
        left = [name for name in inputs if name not in named]
        raw = phase.columns.raws.get(left[0]) if len(left) == 1 else None
        if raw is None or raw.tokens is None:
            why = "all that the net reads must be given, but the column that it writes"
            raise NotGenerated(span=at.span, why=why, way=self._form(phase)).error()
        if not raw.tokens.start:
            why = f"nothing says where a text of `{left[0]}` begins"
            way = f"put pieces around each: {left[0]} = … as {raw.tokens.tokenizer}(…, start = yes, end = yes)"
            raise NotGenerated(span=at.span, why=why, way=way).error()
        like = phase.columns[left[0]]
        number = f"written.{metric.name}.{len(texts)}"
        value = phase.tape.input(number, Type(dtype="i64", dims=(BATCH, *raw.dims)), "generated")
        texts.append(
            Written(
                input=number,
                column=left[0],
                reads=tuple(named),
                beam=settings.get("beam", 1),
                length=settings.get("length"),
            )
        )
        return Tensor(value, like.labels, raw.bound)

    def _setting(self, name: str, value: Any, part: Part) -> int:
        if name not in SETTINGS:
            way = perhaps(name, SETTINGS, f"it has: {', '.join(SETTINGS)}")
            raise NotGenerated(span=part.span, why=f"there is no setting called `{name}`", way=way).error()
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1024:
            why = f"`{name}` is a whole number above 0, known before the net runs"
            raise NotGenerated(span=part.span, why=why, way=f"{name} = 4").error()
        return value

    def _form(self, phase: Phase) -> str:
        if self.net is None:
            return "name the net: `train NET on DATA`"
        inputs = [parameter.name for parameter in self.net.definition.inputs]
        read = [name for name in inputs[:-1] if name in phase.columns.raws] or ["COLUMN"]
        return f"as in generate({self.net.name}, {', '.join(read)}, beam = 4)"
