"""Build: a train block of the spec becomes graphs, one for each phase: init, train, eval, predict, order.

All of them come from one net. In `train` and `init` the branch `when training` is taken, in the others its `else`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from dotnn.columns import BATCH, Columns, DataBlock, Fit
from dotnn.elaborate import calls, expressions
from dotnn.elaborate.arithmetic import elementwise, real
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Cell, Machine, PhaseName
from dotnn.elaborate.problems import DoesNotLearn, NotThatKind, PhasesDiffer
from dotnn.elaborate.values import Known, Tensor, kind, plain
from dotnn.graph import Graph, Type, multiply
from dotnn.operation import shape_text
from dotnn.program import RawColumn
from dotnn.spec import Argument, Call, Expression, Name, Objective, Part, Spec, Train
from dotnn.tape import Tape, Value
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Span


class NoSuchBlock(Problem):
    code = "B050"
    title = "there is no {what} called `{name}`"
    label = "not in this file"
    help = "{near}"
    what: str
    name: str
    near: str


class InputWithoutColumn(Problem):
    code = "B051"
    title = "the net reads `{name}`, and the data has no column of that name"
    label = "no such column in `{data}`"
    help = "{near}"
    name: str
    data: str
    near: str


class NotPerExample(Problem):
    code = "B052"
    title = "{what} is one number, or one for each example; this has the dims {dims}"
    label = "the first dim is not the batch `b`"
    help = "take the mean over the other dims: mean(…)"
    what: str
    dims: str


@dataclass
class Phase:
    """One phase being built: its machine, the columns it reads, and what it has computed."""

    machine: Machine
    columns: Columns
    frame: Frame
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """The net's results."""

    @property
    def tape(self) -> Tape:
        return self.machine.tape


class Builder:
    """Builds the phases of one train block."""

    def __init__(self, spec: Spec, train: Train, block: DataBlock, params: dict[str, Any], fit: Fit) -> None:
        self.spec = spec
        self.train = train
        self.block = block
        self.params = params
        self.fit = fit
        self.library = Library(spec.definitions)
        self.cells: dict[str, Cell] = {}
        """The weights and states that training has, once `init` was built."""
        self.net = self._net()

    def _net(self) -> Known | None:
        """The net that the block names."""
        if self.train.name is None:
            return None
        known = self.library.user.get(self.train.name)
        if known is None or known.definition.word != "net":
            nets = [k.name for k in self.library.user.values() if k.definition.word == "net"]
            near = perhaps(self.train.name, nets, f"the nets are: {', '.join(nets)}" if nets else "define one: net …")
            raise NoSuchBlock(span=self.train.span, what="net", name=self.train.name, near=near).error()
        return known

    # ---- the phases

    def start(self, phase: PhaseName) -> Phase:
        """A phase in which the net has been applied to the data, and the names of the block are bound."""
        folder = self.spec.file.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        machine = Machine(Tape(phase), phase, self.library, dict(self.params), prefix)
        columns = Columns(machine, self.block, self.fit)
        frame = Frame(machine, USER, "", columns=columns)
        frame.dims[BATCH] = BATCH
        made = Phase(machine, columns, frame)
        if self.net is not None:
            self._apply(made, self.net)
        return made

    def _apply(self, phase: Phase, net: Known) -> None:
        """The net on the columns of its inputs' names; its results under their own names."""
        given: list[tuple[str | None, Any, Part]] = []
        for parameter in net.definition.inputs:
            if parameter.name not in phase.columns:
                near = perhaps(parameter.name, phase.columns, f"its columns are: {', '.join(phase.columns)}")
                data = self.block.data.name
                raise InputWithoutColumn(span=parameter.span, name=parameter.name, data=data, near=near).error()
            given.append((parameter.name, phase.columns[parameter.name], parameter))
        instance = phase.machine.instance(net.name, net.definition, USER)
        made = calls.run(phase.frame, net, {}, instance, given, net.definition)
        several = made if isinstance(made, tuple) else (made,)
        names = [r.name or ("output" if i == 0 else f"output{i}") for i, r in enumerate(net.definition.results)]
        for name, value in zip(names or ["output"], several, strict=False):
            if not isinstance(value, Tensor):
                phase.machine.fail(NotThatKind, net.definition, USER, wanted="a tensor", found=kind(value))
            phase.outputs[name] = phase.frame.names[name] = value

    def init(self) -> Phase:
        """Every weight and state at its first value, from `seed`."""
        phase = self.start("init")
        self._objectives(phase)
        self.cells = phase.machine.cells
        return phase

    def training(self) -> Phase:
        """The loss under `training`, with the error and the metrics of the batch, and the states' successors."""
        phase = self.start("train")
        figures = self._objectives(phase)
        for name, (total, count, role) in figures.items():
            if role == "metric":
                phase.tape.output(f"{name}.total", total, "metric")
                phase.tape.output(f"{name}.count", count, "metric")
            else:
                phase.tape.output(name, total / count, role)
        for path, value in phase.machine.successors.items():
            phase.tape.output(f"{path}.next", value.value, "state")
        if not any(i.learned for i in phase.tape.inputs):
            way = "use the net's results in it, and weights in the net"
            raise DoesNotLearn(span=self.train.loss.span, way=way).error()
        return phase

    def evaluation(self) -> Phase:
        """Totals and counts of loss, error and metrics over the batch; the net's results."""
        phase = self.start("eval")
        for name, (total, count, role) in self._objectives(phase).items():
            phase.tape.output(f"{name}.total", total, role)
            phase.tape.output(f"{name}.count", count, role)
        for name, tensor in phase.outputs.items():
            phase.tape.output(name, tensor.value, "output")
        self._agree(phase)
        return phase

    def prediction(self) -> Phase:
        """The net's results, and the answer."""
        phase = self.start("predict")
        self._agree(phase)
        for name, tensor in phase.outputs.items():
            phase.tape.output(name, tensor.value, "output")
        answer = self.train.answer
        if answer is None:
            return phase
        self._assigns(phase)
        value = self._tensor(phase, answer.value)
        phase.tape.output("answer", value.value, "output")
        scores = scores_of(answer.value)
        if scores is not None:
            shares = self._tensor(phase, scores)
            phase.tape.output("shares", phase.tape.add("softmax", real(phase.tape, shares).value), "output")
        return phase

    def order(self) -> Graph:
        """`seed`, `epoch`, `n` -> the order of the rows in that epoch."""
        tape = Tape("order")
        whole = Type(dtype="i64")
        seed, epoch, count = (
            tape.input("seed", whole, "seed"),
            tape.input("epoch", whole, "seed"),
            tape.input("n", whole, "seed"),
        )
        tape.output("order", tape.add("shuffle", tape.add("derive_key", seed), epoch, count), "output")
        return tape.graph()

    def _agree(self, phase: Phase) -> None:
        """Refuses weights that training has not, or has with other sizes."""
        for path, cell in phase.machine.cells.items() if self.cells else ():
            trained = self.cells.get(path)
            if trained is None or trained.dims != cell.dims:
                facts = {
                    "what": "weight" if cell.learned else "state",
                    "path": path,
                    "here": shape_text(cell.dims),
                    "there": f"{shape_text(trained.dims)} while training" if trained else "training has none of that name",
                }
                phase.machine.fail(PhasesDiffer, cell.span, USER, **facts)

    # ---- loss, error, metrics

    def _assigns(self, phase: Phase) -> None:
        from dotnn.elaborate import statements

        statements.block(phase.frame, self.train.assigns)

    def _objectives(self, phase: Phase) -> dict[str, tuple[Value, Value, Any]]:
        """Each figure as a total and a count over the batch, with its role."""
        self._assigns(phase)
        figures = {"loss": (*self._total(phase, self.train.loss, "the loss"), "loss")}
        if self.train.error:
            figures["error"] = (*self._total(phase, self.train.error, "the error"), "error")
        for metric in self.train.metrics:
            objective = Objective(span=metric.span, value=metric.value)
            figures[metric.name] = (*self._total(phase, objective, f"`{metric.name}`"), "metric")
        return figures

    def _total(self, phase: Phase, objective: Objective, what: str) -> tuple[Value, Value]:
        """The sum over all places and how many they are; one number for the whole batch counts once a row."""
        tape = phase.tape
        value = self._tensor(phase, objective.value)
        with expressions.computing(phase.frame, objective):
            made = real(tape, value)
            if made.rank and made.dims[0] != BATCH:
                dims = "[" + ", ".join(str(d) for d in made.dims) + "]"
                phase.machine.fail(NotPerExample, objective.value, USER, what=what, dims=dims)
            if objective.where is not None:
                kept = self._tensor(phase, objective.where)
                if kept.value.dtype != "bool":
                    wanted, way = "yes or no for each place", "compare: error … where next != 0"
                    facts = {"wanted": wanted, "found": "a tensor of numbers", "way": way}
                    phase.machine.fail(NotThatKind, objective.where, USER, **facts)
                zero, one = plain(tape.literal(0)), Tensor(tape.fill(1, made.value.type), made.labels)
                # Chosen, not multiplied by 0: what is left out may be no number at all.
                chosen, counted = (elementwise(tape, "select", kept, each, zero) for each in (made, one))
                count = tape.add("maximum", counted.value.sum(), tape.literal(1)) if phase.machine.training else None
                return chosen.value.sum(), count or counted.value.sum()
            if made.rank == 0:
                rows = tape.size(BATCH)
                return made.value * rows, rows
            return made.value.sum(), tape.size(multiply(made.dims))

    def _tensor(self, phase: Phase, expression: Expression) -> Tensor:
        value = expressions.evaluate(phase.frame, expression)
        if isinstance(value, Tensor):
            return value
        if isinstance(value, bool | int | float):
            return real(phase.tape, value)
        self._no_tensor(phase, expression, value)

    def _no_tensor(self, phase: Phase, expression: Expression, value: Any) -> NoReturn:
        way = f"give it what it works on: {value.name}(…)" if isinstance(value, Known) else ""
        phase.machine.fail(NotThatKind, expression, USER, wanted="a number or a tensor", found=kind(value), way=way)


def scores_of(answer: Expression) -> Expression | None:
    """The scores, where the answer is the highest of them: `argmax(logits)`."""
    match answer:
        case Call(function=Name(name="argmax"), arguments=(Argument(name=None, value=scores),)):
            return scores
    return None


def raw_columns(phases: list[Phase], read_by_net: set[str]) -> tuple[dict[str, RawColumn], dict[str, Span]]:
    """Everything that a host feeds, from all phases, and the line of the spec that it belongs to."""
    raws: dict[str, RawColumn] = {}
    spans: dict[str, Span] = {}
    for phase in phases:
        raws |= phase.columns.raws
        spans |= phase.columns.spans
    ordered = {n: raws[n].model_copy(update={"role": "data" if n in read_by_net else "label"}) for n in raws}
    return ordered, spans
