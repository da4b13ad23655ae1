"""Claims become graphs: for each place one that gives a batch's totals, as eval does, and one that says what holds.

    claim "it is right at another clinic too": error < 10% on other_clinic.test

    claims.other_clinic.test    weights and a batch -> totals of what the claims on these rows speak of
    claims.figures              the totals of all batches -> these figures, where one is no simple mean
    claims                      the figures -> `claim1.figure`, `claim1.bound.1`, `claim1.holds`

A metric of texts that the net writes (`bleu`) is measured on the rows of the place as while the net learns, by its
own graph; a claim that names one is computed of figures alone.

What is drawn in a claim (noise, a random shift) is drawn for each row by itself, by its number among the rows, so that
the figure is the same at any size of batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotnn.build import Builder
from dotnn.claims.places import NoRows, NoSuchClaimed, Place, Rows, SaidTwice, of_figures, paths_in, replaced, rows_of
from dotnn.claims.ranges import is_share
from dotnn.elaborate.arithmetic import tensor
from dotnn.elaborate.evaluate import computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.values import Known, Tensor, kind, plain
from dotnn.generate.metric import Aparts
from dotnn.graph import Graph, Type, multiply
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import BATCH
from dotnn.inputs.fit import Fit
from dotnn.inputs.roles import labelled
from dotnn.measures.apart import is_apart, writes
from dotnn.measures.figures import measured
from dotnn.phase import Measured, Phase
from dotnn.program import Claim, ClaimRows, Figure, RawColumn, Total
from dotnn.simplify import only, simplify
from dotnn.spec import Claim as ClaimText
from dotnn.spec import Expression, Name, Number, Objective, Spec, Train
from dotnn.tape import Tape, Value
from dotnn.words import names_in
from dotnn.write import write_expression, write_sides
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Span

CLAIMS, FIGURES = "claims", "claims.figures"
ROW = "row.number"
"""The input that a graph has where a claim draws: each row's number among those of the place, i64[b]."""
ABOVE = (">", ">=")


class NotANumber(Problem):
    code = "L005"
    title = "a claim is about numbers, and this is {found}"
    label = "no number"
    help = "{way}"
    found: str
    way: str


class NothingMeasured(Problem):
    code = "L006"
    title = "nothing of this claim is measured"
    label = "both sides are numbers that are known already"
    help = "let one side be a figure of the net: `error < 10% on test`"


class ATable(Problem):
    code = "L007"
    title = "this is {size} numbers, and a claim compares one"
    label = "a table of {dims}"
    help = "take one of them, or the worst: `min(…) > 80%`"
    size: str
    dims: str


class NeverAShare(Problem):
    code = "L008"
    title = "a share lies between 0 and 1, and so {never}"
    label = "{number} is {percent}"
    help = "write `{meant}`"
    never: str
    number: str
    percent: str
    meant: str


@dataclass
class Claims:
    """What all claims of a block become."""

    claims: list[Claim] = field(default_factory=list)
    places: list[ClaimRows] = field(default_factory=list)
    graphs: dict[str, Graph] = field(default_factory=dict)
    raws: dict[str, RawColumn] = field(default_factory=dict)
    """Columns of the data that the block learns from."""
    spans: dict[str, Span] = field(default_factory=dict)


class Measuring(Builder):
    """Builds what is measured on the rows of one place."""

    def prepare(self, machine: Machine) -> None:
        if machine.phase == "eval":
            tape = machine.tape
            machine.noise = (tape.add("derive_key", tape.literal(self.train.seed, "i64")), tape.literal(0, "i64"))
            machine.rows = tape.input(ROW, Type(dtype="i64", dims=(BATCH,)), "data")

    def opened(self) -> Phase:
        """The net on the place's columns, with the names of the block, and its figures under their own names."""
        self.init()  # what training owns: a claim owns no weights of its own
        phase = self.start("eval")
        for name, figure in self._objectives(phase).items():
            phase.frame.names.setdefault(name, plain(figure.whole()))
        for metric in self.train.metrics:
            if is_apart(metric) and not writes(metric):
                objective = Objective(span=metric.span, value=metric.value, weights=metric.weights)
                figure = measured(phase, objective, f"`{metric.name}`", "metric")
                phase.frame.names.setdefault(metric.name, plain(figure.whole()))
        self._agree(phase)
        return phase


class _Place:
    """One place, while claims are built on it."""

    def __init__(self, place: Place, builder: Measuring, graph: str) -> None:
        self.place = place
        self.graph = graph
        self.builder = builder
        self.phase = builder.opened()
        self.figures: dict[str, tuple[Figure, Measured]] = {}
        self.written: dict[str, Figure] = {}
        """Figures of texts that the net writes, by their names here."""

    def value(self, side: Expression) -> Any:
        return evaluate(self.phase.frame, side)

    def begin(self, claim: ClaimText) -> None:
        """What is drawn from here on is this claim's: by its words, so that no other claim changes it."""
        self.phase.frame.left = f'claim "{claim.text}"'

    def measure(self, name: str, side: Expression) -> bool:
        """Keeps the figure under this name; gives whether it is a share. Raises ``ProblemError``."""
        machine = self.phase.machine
        drawn = dict(machine.uses)
        value = self.value(side)
        machine.uses = drawn  # worked out again below, with the same draws
        objective = Objective(span=side.span, value=side)
        made = measured(self.phase, objective, "a claim's figure", "metric")
        if value.dims[:1] != (BATCH,) and value.dims:
            size, dims = f"{multiply(value.dims):,}", " x ".join(str(dim) for dim in value.dims)
            raise ATable(span=side.span, size=size, dims=dims).error()
        made.write(self.phase.tape, name)
        totals = (
            ()
            if made.parts is None
            else tuple(Total(name=f"{name}.{n}", fold=fold) for n, (fold, _) in enumerate(made.parts.totals, start=1))
        )
        figure = Figure(name=name, role="metric", text=write_expression(side), totals=totals)
        self.figures[name] = (figure, made)
        return is_share(value.value)

    def needed(self) -> Graph:
        """The graph with the figures of its claims, and no other columns than they read."""
        whole = self.phase.tape.graph(self.graph)
        return only(whole, {o.name: o.value for o in whole.outputs}).model_copy(update={"outputs": whole.outputs})


class ClaimsBuilder:
    """Builds all claims of one train block.

    ``known``: the columns that its other graphs read, with the names of their classes, which hold on other data too.
    ``aparts``: its metrics that are measured by themselves.
    ``finish``: what is done to a graph last. Raises ``ProblemError`` throughout.
    """

    def __init__(
        self,
        spec: Spec,
        train: Train,
        block: DataBlock,
        folder: Path,
        fit: Fit,
        known: Mapping[str, RawColumn],
        aparts: Aparts,
        finish: Callable[[Graph], Graph] = lambda graph: graph,
    ) -> None:
        self.spec, self.train, self.own, self.folder, self.fit = spec, train, block, folder, fit
        self.known, self.aparts, self.finish = dict(known), aparts, finish
        self.written = [metric.name for metric in train.metrics if writes(metric)]
        self.blocks: dict[str, DataBlock] = {block.data.name: block}
        self.places: dict[Place, _Place] = {}
        self.tape = Tape(CLAIMS)
        self.made = Claims()

    def build(self) -> Claims:
        """Everything. Nothing, where nothing is claimed."""
        if not self.train.claims:
            return self.made
        rows = rows_of(self.train.data, self.spec.data)
        for number, claim in enumerate(self.train.claims, start=1):
            self.made.claims.append(self._claim(f"claim{number}", claim, rows))
        for place in self.places.values():
            self._close(place)
        graph = self._figures()
        if graph is not None:
            self.made.graphs[FIGURES] = simplify(graph)
        self.made.graphs[CLAIMS] = simplify(self.tape.graph())
        return self.made

    def block(self, name: str) -> DataBlock:
        if name not in self.blocks:
            data = next(data for data in self.spec.data if data.name == name)
            there = DataBlock(data, self.folder, self.spec, self.own.params)
            there.quick = self.own.quick
            there.classes_of = {raw.columns[0]: raw.classes for raw in self.known.values() if raw.classes}
            there.tokens_of = {raw.columns[0]: raw.tokens for raw in self.known.values() if raw.tokens}
            self.blocks[name] = there
        return self.blocks[name]

    def at(self, place: Place) -> _Place:
        if place not in self.places:
            builder = Measuring(self.spec, self.train, self.block(place.data), self.own.params, self.fit)
            self.places[place] = _Place(place, builder, f"{CLAIMS}.{place.text}")
        return self.places[place]

    # ---- one claim

    def _claim(self, name: str, claim: ClaimText, rows: Rows) -> Claim:
        paths = paths_in(claim, rows)
        if paths and claim.on:
            raise SaidTwice(span=paths[0].member.span, path=paths[0].text).error()
        if not paths and claim.on is None:
            raise NoRows(span=claim.sides[-1].span, parts=f"its parts are {rows.listed()}").error()
        if claim.on is None or any(metric in names_in(side) for metric in self.written for side in claim.sides):
            values, share = self._compared(name, of_figures(claim, self._known_figures()), rows)
        else:
            values, share = self._measured(name, claim, rows.of(claim.on.names, claim.on))
        figure = 1 if len(values) == 3 else next(n for n, value in enumerate(values) if isinstance(value, Tensor))
        if share:
            _refuse_never(claim, values, figure)
        bounds = self._verdict(name, claim, values, figure)
        return Claim(
            name=name,
            text=claim.text,
            says=write_sides(claim),
            on=".".join(claim.on.names) if claim.on else "",
            bounds=bounds,
            share=share,
        )

    def _measured(self, name: str, claim: ClaimText, place: Place) -> tuple[list[Any], bool]:
        """Each side on the rows of one place: a figure of them, or a number."""
        at = self.at(place)
        at.begin(claim)
        values: list[Any] = []
        shares: list[bool] = []
        for number, side in enumerate(claim.sides, start=1):
            value = at.value(side)
            if isinstance(value, Tensor):
                leaf = f"{name}.{number}"
                shares.append(at.measure(leaf, side))
                values.append(plain(self.tape.input(leaf, Type(dtype="f64"), "metric")))
            else:
                values.append(_number(side, value))
        _refuse_known(claim, values)
        return values, all(shares)

    def _compared(self, name: str, claim: ClaimText, rows: Rows) -> tuple[list[Any], bool]:
        """Figures of several places, and what is computed of them."""
        names: dict[int, str] = {}
        inputs: dict[str, Tensor] = {}
        shares: list[bool] = []
        for number, path in enumerate(paths_in(claim, rows), start=1):
            *where, figure = path.names
            if not where:
                raise NoSuchClaimed(span=path.member.span, name=path.text, near="name a figure of it").error()
            at = self.at(rows.of(where, path.member))
            known = self._known_figures()
            if figure not in known:
                near = perhaps(figure, known, f"there are: {', '.join(known)}")
                raise NoSuchClaimed(span=path.member.span, name=figure, near=near).error()
            leaf = f"{name}.{number}"
            if figure in self.written:
                shares.append(self._of_texts(at, leaf, figure))
            else:
                shares.append(at.measure(leaf, Name(span=path.member.span, name=figure)))
            names[id(path.member)] = leaf
            inputs[leaf] = plain(self.tape.input(leaf, Type(dtype="f64"), "metric"))
        machine = Machine(self.tape, "predict", Library(self.spec.definitions), dict(self.own.params))
        for figure in self._known_figures():
            machine.elsewhere[figure] = f"say on which rows: `test.{figure}`"
        for each in (
            {name for place in self.places.values() for name in place.phase.frame.names} if self.written else ()
        ):
            machine.elsewhere.setdefault(each, "a claim about texts that the net writes is made of figures alone")
        frame = Frame(machine, USER, "", names=dict(inputs))
        values: list[Any] = []
        for side in claim.sides:
            value = evaluate(frame, replaced(side, names))
            with computing(frame, side):
                made = Tensor(value.value.cast("f64"), ()) if isinstance(value, Tensor) and not value.rank else value
            values.append(made if isinstance(made, Tensor) and not made.rank else _number(side, made))
        _refuse_known(claim, values)
        return values, all(shares)

    def _of_texts(self, at: _Place, leaf: str, metric: str) -> bool:
        """The metric of that name, under this one; gives whether it is a share."""
        at.written[leaf] = Figure(name=leaf, role="metric", text=metric, apart=self.aparts.plans[metric])
        return is_share(self.aparts.measured[metric].whole())

    def _known_figures(self) -> list[str]:
        error = ["error"] if self.train.error is not None else []
        return ["loss", *error, *(metric.name for metric in self.train.metrics)]

    def _verdict(self, name: str, claim: ClaimText, values: list[Any], figure: int) -> tuple[Any, ...]:
        """Writes the figure, its bounds and whether it keeps them; gives how it stands to each."""
        tape = self.tape
        parts = [tensor(tape, value, "f64").value for value in values]
        tape.output(f"{name}.figure", parts[figure], "metric")
        bounds: list[str] = []
        holds: Value | None = None
        for number, sign in enumerate(claim.operators):
            left, right = parts[number], parts[number + 1]
            kept = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]
            holds = kept if holds is None else tape.add("and", holds, kept)
            is_left = number == figure
            bounds.append(sign if is_left else sign.translate(str.maketrans("<>", "><")))
            tape.output(f"{name}.bound.{number + 1}", right if is_left else left, "metric")
        assert holds is not None
        tape.output(f"{name}.holds", holds, "output")
        return tuple(bounds)

    # ---- at the end

    def _close(self, place: _Place) -> None:
        raws: dict[str, RawColumn] = {}
        if place.figures:
            graph = place.needed()
            there = {fed.name for fed in graph.inputs}
            raws = {n: raw for n, raw in place.phase.columns.raws.items() if n in there}
            read = {raw.name for raw in self.known.values() if raw.role == "data"}
            self.made.graphs[place.graph] = self.finish(labelled(graph, read | {ROW}, set()))
        for figure in place.written.values():
            raws |= {name: raw for name, raw in self.aparts.read_by(figure.text).items() if name not in raws}
        self.made.places.append(
            ClaimRows(
                graph=place.graph,
                data=place.place.data,
                part=place.place.part,
                inputs=tuple(raw.model_copy(update={"role": "data"}) for raw in raws.values()),
                figures=(*(figure for figure, _ in place.figures.values()), *place.written.values()),
            )
        )
        if place.place.data == self.train.data:
            self.made.raws |= raws
            self.made.spans |= {n: span for n, span in place.phase.columns.spans.items() if n in raws}

    def _figures(self) -> Graph | None:
        tape = Tape(FIGURES)
        found = False
        for place in self.places.values():
            for name, (_, made) in place.figures.items():
                if made.parts is not None:
                    made.parts.write(tape, name, "metric")
                    found = True
        return tape.graph() if found else None


def _number(side: Expression, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        is_text = isinstance(value, str)
        way = "write the number without quotes: 80%" if is_text else "compare a figure with a number: error < 10%"
        if isinstance(value, Known):
            way = f"say of what: {value.name}(…); or name a figure: `loss`, `error`, or a `metric` of the block"
        raise NotANumber(span=side.span, found=kind(value), way=way).error()
    return float(value)


def _refuse_known(claim: ClaimText, values: list[Any]) -> None:
    figures = [isinstance(value, Tensor) for value in values]
    if not any(figures) or (len(values) == 3 and not figures[1]):
        middle = claim.sides[1 if len(values) == 3 else 0]
        raise NothingMeasured(span=middle.span).error()


def _refuse_never(claim: ClaimText, values: list[Any], figure: int) -> None:
    """Refuses `> 80` of what is a share, where 80% was meant."""
    for side, value in zip(claim.sides, values, strict=True):
        if not isinstance(value, float) or 0 <= value <= 1:
            continue
        said = isinstance(side, Number) and side.percent  # 120% is meant as it stands
        meant = f"{value:g}%" if 1 < value <= 100 and not said else "0%" if value < 0 else "100%"
        sign = claim.operators[0 if figure == 0 else figure - 1] if len(values) == 2 else "<"
        low = (value > 1) == (sign in ABOVE) if figure == 0 else (value > 1) != (sign in ABOVE)
        never = "this never holds" if low and len(values) == 2 else "this bound says nothing"
        raise NeverAShare(
            span=side.span, never=never, number=f"{value:g}", percent=f"{100 * value:,.6g}%", meant=meant
        ).error()
