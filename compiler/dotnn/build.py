"""Build: a train block of the spec becomes graphs, one for each phase: init, train, eval, predict, order.

All of them come from one net. In `train` and `init` the branch `when training` is taken, in the others its `else`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, NoReturn

from dotnn.elaborate.arithmetic import elementwise, real
from dotnn.elaborate.calls import run
from dotnn.elaborate.evaluate import block, computing, evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Cell, Machine, PhaseName
from dotnn.elaborate.problems import DoesNotLearn, NotThatKind, PhasesDiffer, TooLarge
from dotnn.elaborate.values import Known, Size, Tensor, kind, next_step, plain
from dotnn.graph import Graph, Role, Type, multiply
from dotnn.inputs.columns import BATCH, Columns, DataBlock, Fit
from dotnn.inputs.lineage import names_in
from dotnn.inputs.weigh import BALANCED, NotAWeight, NothingToWeigh, above_nothing, balance, check, over_places, read_by
from dotnn.measures.totals import InParts, each_by_itself, in_parts
from dotnn.measures.watchable import refuse_unwatchable
from dotnn.operation import lookup, shape_text
from dotnn.plan import UnknownBlock, batches_of
from dotnn.program import Figure, Total
from dotnn.read.text import heading
from dotnn.simplify import only
from dotnn.spec import Argument, Call, Expression, Name, Objective, Parameter, Part, Spec, Train
from dotnn.tape import Tape, Value
from dotnn.updates.gather import BATCHES, PLACES
from dotnn.updates.patterns import frozen, held
from dotnn_grammar.problems import Note, Problem, perhaps

TAKEN = ("loss", "error", "norm", "rate", "finite", "step", "key", "seed", "answer", "shares")
"""Names that the graphs have for other things."""


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


class NameTaken(Problem):
    code = "B053"
    title = "a metric cannot be called `{name}`"
    label = "{why}"
    help = "choose another name for it"
    name: str
    why: str


class AnswerReadsLabel(Problem):
    code = "B054"
    title = "the answer needs the column `{name}`, which nobody has when the net is asked"
    label = "this must come from the net alone"
    help = "make it of the net's inputs and results"
    name: str


class NothingToAsk(Problem):
    code = "B055"
    title = "nothing can be asked of this: the block names no net and has no `answer`"
    label = "what would a prediction be?"
    help = "name the net, `train NET on {data}`, or say what it answers: `answer …`"
    data: str


@dataclass(frozen=True)
class Measured:
    """A figure of one batch: a total and a count, or ``parts`` of which it is made when all batches are through."""

    total: Value
    count: Value
    role: Role
    parts: InParts | None = None
    places: Value | None = None
    """How many places the mean is of, where ``count`` is kept from being 0."""
    unlike_rows: bool = False
    """Whether rows count for more or less, so that the means of batches have no mean by rows."""

    def write(self, tape: Tape, name: str) -> None:
        """Outputs `NAME.total` and `NAME.count`, or the parts `NAME.1`, `NAME.2`, …"""
        named = {"total": self.total, "count": self.count}
        if self.parts is not None:
            named = {str(number): value for number, (_, value) in enumerate(self.parts.totals, start=1)}
        for word, value in named.items():
            tape.output(f"{name}.{word}", value, self.role)


@dataclass
class Phase:
    """One phase being built: its machine, the columns it reads, and what it has computed."""

    machine: Machine
    columns: Columns
    frame: Frame
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """The net's results."""
    weighing: list[str] = field(default_factory=list)
    """Values that are weights of rows."""
    judging: list[str] = field(default_factory=list)
    """Values that are weighed, or not."""

    def only_weights(self) -> set[str]:
        """The columns that are read for weights of rows, and for nothing else."""
        judged = [o.value for o in self.tape.outputs if o.role == "output"]
        return read_by(self.tape, self.weighing) - read_by(self.tape, [*self.judging, *judged])

    @property
    def tape(self) -> Tape:
        return self.machine.tape


def _in_reach(build: Callable[[Builder], Phase]) -> Callable[[Builder], Phase]:
    """Turns a spec that is nested beyond what this program can follow into a problem."""

    @wraps(build)
    def reaching(builder: Builder) -> Phase:
        try:
            return build(builder)
        except RecursionError:
            span = heading(builder.net.definition) if builder.net else builder.train.span
            what = "levels of definitions and brackets inside each other"
            raise TooLarge(span=span, what=what, count="what this leads to", limit="about 900").error() from None

    return reaching


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
        self.measured: dict[str, Measured] = {}
        """Loss, error and metrics, once `eval` was built."""
        self.parted: dict[str, Measured] = {}
        """The figures that are made of parts, once `eval` was built."""
        self.net = self._net()

    def _net(self) -> Known | None:
        """The net that the block names."""
        if self.train.name is None:
            return None
        known = self.library.user.get(self.train.name)
        if known is None or known.definition.word != "net":
            nets = [k.name for k in self.library.user.values() if k.definition.word == "net"]
            near = perhaps(self.train.name, nets, f"the nets are: {', '.join(nets)}" if nets else "define one: net …")
            raise UnknownBlock(span=self.train.span, what="net", name=self.train.name, near=near).error()
        return known

    # ---- the phases

    def start(self, phase: PhaseName) -> Phase:
        """A phase in which the net has been applied to the data, and the names of the block are bound."""
        folder = self.spec.file.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        machine = Machine(Tape(phase), phase, self.library, {**self.block.constants, **self.params}, prefix)
        columns = Columns(machine, self.block, self.fit)
        frame = Frame(machine, USER, "", columns=columns)
        frame.dims[BATCH] = BATCH
        if BALANCED not in self.library.user:
            frame.names[BALANCED] = balance(columns)
        if batches_of(frame, self.train) > 1:
            machine.batches = BATCHES
        made = Phase(machine, columns, frame)
        if self.net is not None:
            self._apply(made, self.net)
        return made

    def _apply(self, phase: Phase, net: Known) -> None:
        """The net on the columns of its inputs' names; its results under their own names."""
        given: list[tuple[str | None, Any, Part]] = []
        for parameter in net.definition.inputs:
            if parameter.name not in phase.columns:
                raise self._without_column(parameter, net).error()
            given.append((parameter.name, phase.columns[parameter.name], parameter))
        instance = phase.machine.instance(net.name, net.definition, USER)
        made = run(phase.frame, net, {}, instance, given, net.definition)
        several = made if isinstance(made, tuple) else (made,)
        names = [r.name or ("output" if i == 0 else f"output{i}") for i, r in enumerate(net.definition.results)]
        for name, value in zip(names or ["output"], several, strict=False):
            if not isinstance(value, Tensor):
                phase.machine.fail(NotThatKind, net.definition, USER, wanted="a tensor", found=kind(value))
            phase.outputs[name] = phase.frame.names[name] = value

    def _without_column(self, parameter: Parameter, net: Known) -> InputWithoutColumn:
        """An input that meets no column, with the column that meets no input where there is just one."""
        data, columns = self.block.data, self.block.columns
        read = {p.name for p in net.definition.inputs} | set(names_in(self.train))
        read |= {name for column in data.columns for name in names_in(column.value) if name != column.name}
        unread = [column for name, column in columns.items() if name not in read]
        near, notes = perhaps(parameter.name, columns, f"its columns are: {', '.join(columns)}"), tuple[Note, ...]()
        if len(unread) == 1:
            near = f"the column `{unread[0].name}` is read by nothing: call both by one name, if this is what it is for"
            notes = (Note(span=unread[0].span, text="this column meets no input"),)
        name, where = parameter.name, parameter.span
        return InputWithoutColumn(span=where, notes=notes, name=name, data=data.name, near=near)

    @_in_reach
    def init(self) -> Phase:
        """Every weight and state at its first value, from `seed`."""
        phase = self.start("init")
        self._objectives(phase)
        self.cells = phase.machine.cells
        return phase

    @_in_reach
    def training(self) -> Phase:
        """The loss under `training`, with the error and the metrics of the batch, and the states' successors."""
        phase = self.start("train")
        figures = self._objectives(phase)
        for name, figure in figures.items():
            if figure.role == "metric":
                if figure.parts is None or not figure.parts.gathers:  # what needs all rows is measured on whole splits
                    figure.write(phase.tape, name)
            else:
                phase.tape.output(name, figure.total / figure.count, figure.role)
                if figure.places is not None and figure.unlike_rows:  # for the figure of an epoch
                    replace(figure, count=figure.places).write(phase.tape, name)
        if phase.machine.batches != "step":
            phase.tape.output(PLACES, figures["loss"].places or figures["loss"].count, "output")
        for path, value in phase.machine.successors.items():
            phase.tape.output(f"{path}.next", value.value, "state")
        self._learns(held(phase.tape.graph(), frozen(self.train, phase.machine.weights)))
        return phase

    def _learns(self, graph: Graph) -> None:
        """Refuses a loss that no weight changes."""
        span = self.train.loss.value.span
        if not _reaches_a_weight(graph, lambda op: True):
            way = "use the net's results in the loss, and layers in the net"
            raise DoesNotLearn(span=span, why="the loss does not depend on any weight", way=way).error()
        if not _reaches_a_weight(graph, lambda op: lookup(op).gradient is not None):
            way = "comparisons, `argmax`, `floor` and `stop` pass no gradient: let the loss measure how far off it is"
            raise DoesNotLearn(span=span, why="no small change of a weight changes the loss", way=way).error()
        if not any(BATCH in fed.type.dims for fed in only(graph, {o.name: o.value for o in graph.outputs}).inputs):
            way = "let it read a column: an input of the net, or the answer that its result is compared with"
            raise DoesNotLearn(span=span, why="the loss reads nothing of the data", way=way).error()

    @_in_reach
    def evaluation(self) -> Phase:
        """Totals and counts of loss, error and metrics over the batch; the net's results."""
        phase = self.start("eval")
        figures = self._objectives(phase)
        self.measured = figures
        self.parted = {name: figure for name, figure in figures.items() if figure.parts is not None}
        refuse_unwatchable(self.train, {name: figure.parts for name, figure in self.parted.items()})
        for name, figure in figures.items():
            figure.write(phase.tape, name)
        for name, tensor in phase.outputs.items():
            phase.tape.output(name, tensor.value, "output")
        self._agree(phase)
        return phase

    def figures(self) -> Graph | None:
        """The totals of all batches -> the figures that are made of them; None where each is simply a mean."""
        tape = Tape("figures")
        for name, figure in self.parted.items():
            if figure.parts is not None:
                figure.parts.write(tape, name, figure.role)
        return tape.graph() if self.parted else None

    def with_totals(self, figure: Figure) -> Figure:
        """The figure, with what eval gives for it."""
        parts = self.parted[figure.name].parts if figure.name in self.parted else None
        if parts is None:
            return figure
        totals = tuple(Total(name=f"{figure.name}.{n}", fold=fold) for n, (fold, _) in enumerate(parts.totals, start=1))
        return figure.model_copy(update={"totals": totals, "dims": parts.figure.dims})

    @_in_reach
    def prediction(self) -> Phase:
        """The net's results, and the answer."""
        phase = self.start("predict")
        self._agree(phase)
        for name, tensor in phase.outputs.items():
            phase.tape.output(name, tensor.value, "output")
        answer = self.train.answer
        if answer is None and self.net is None:
            raise NothingToAsk(span=self.train.span, data=self.train.data).error()
        if answer is None:
            return phase
        read = set(phase.columns.raws)
        self._assigns(phase)
        value = self._tensor(phase, answer.value)
        phase.tape.output("answer", value.value, "output")
        scores = scores_of(answer.value)
        if scores is not None:
            shares = self._tensor(phase, scores)
            phase.tape.output("shares", phase.tape.add("softmax", real(phase.tape, shares).value), "output")
        graph = phase.tape.graph()
        needed = {fed.name for fed in only(graph, {o.name: o.value for o in graph.outputs}).inputs}
        phase.columns.raws = {name: raw for name, raw in phase.columns.raws.items() if name in needed}
        for name in phase.columns.raws:
            if self.net is not None and name not in read:
                raise AnswerReadsLabel(span=answer.value.span, name=name).error()
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
                    "there": f"{shape_text(trained.dims)} while training"
                    if trained
                    else "training has none of that name",
                }
                phase.machine.fail(PhasesDiffer, cell.span, USER, **facts)

    # ---- loss, error, metrics

    def _assigns(self, phase: Phase) -> None:
        block(phase.frame, self.train.assigns)

    def _objectives(self, phase: Phase) -> dict[str, Measured]:
        """Each figure of the batch."""
        self._assigns(phase)
        figures = {"loss": self._measured(phase, self.train.loss, "the loss", "loss")}
        if self.train.error:
            figures["error"] = self._measured(phase, self.train.error, "the error", "error")
        taken = dict.fromkeys(TAKEN, "a run has a figure of that name already")
        taken |= dict.fromkeys(phase.outputs, "the net has a result of that name")
        for metric in self.train.metrics:
            if metric.name in taken:
                raise NameTaken(span=metric.span, name=metric.name, why=taken[metric.name]).error()
            taken[metric.name] = "a metric above has that name"
            objective = Objective(span=metric.span, value=metric.value, weights=metric.weights)
            figures[metric.name] = self._measured(phase, objective, f"`{metric.name}`", "metric")
        return figures

    def _measured(self, phase: Phase, objective: Objective, what: str, role: Role) -> Measured:
        """The sum over all places and how many they are; or the parts of what is one number for all rows."""
        tape = phase.tape
        value = self._tensor(phase, objective.value)
        with computing(phase.frame, objective):
            made = real(tape, value)
            phase.judging.append(made.value.name)
            a_table = role == "metric" and made.rank > 0 and all(isinstance(d, int) for d in made.dims)
            if made.rank and made.dims[0] != BATCH and not a_table:
                dims = "[" + ", ".join(str(d) for d in made.dims) + "]"
                phase.machine.fail(NotPerExample, objective.value, USER, what=what, dims=dims)
            ends = {tensor.value.name for tensor in phase.outputs.values()}
            if objective.weights is not None:
                made = self._by_place(phase, objective, made, ends, what)
            parts = self._parts(phase, objective, made.value, ends, role)
            if parts is not None and parts.mean is not None:  # the mean over all places, as if it were given by place
                made, parts = plain(parts.mean), None
            if (made.rank == 0 and objective.where is None) or a_table:
                rows = tape.size(BATCH)
                return Measured(made.value.sum() * rows, rows, role, parts)
            if role == "metric":  # in double precision, so that the size of a batch does not show in the last places
                made = Tensor(made.value.cast("f64"), made.labels)
            total, count = made.value.sum(), tape.size(multiply(made.dims), made.value.dtype)
            apart = each_by_itself(made.value, ends)
            one: Tensor | None = None
            if objective.weights is not None:
                weights = self._weights(phase, objective.weights, made)
                one = Tensor(weights.value.cast(made.value.dtype), weights.labels)
                made = elementwise(tape, "mul", one, made)
                total, count, apart = made.value.sum(), one.value.sum(), apart and each_by_itself(one.value, ends)
            places = count
            if objective.where is not None:
                kept = self._tensor(phase, objective.where)
                phase.judging.append(kept.value.name)
                if kept.value.dtype != "bool":
                    wanted, way = "yes or no for each place", "compare: error … where next != 0"
                    facts = {"wanted": wanted, "found": "a tensor of numbers", "way": way}
                    phase.machine.fail(NotThatKind, objective.where, USER, **facts)
                zero, one = plain(tape.literal(0)), one or Tensor(tape.fill(1, made.value.type), made.labels)
                # Chosen, not multiplied by 0: what is left out may be no number at all.
                chosen, counted = (elementwise(tape, "select", kept, each, zero) for each in (made, one))
                total, count = chosen.value.sum(), counted.value.sum()
                places = count
                if objective.weights is None and phase.machine.training:
                    count = tape.add("maximum", count, tape.literal(1))
                apart = apart and each_by_itself(kept.value, ends)
            if objective.weights is not None and phase.machine.training:
                count = above_nothing(tape, count)
            batchwise = phase.machine.phase == "init" or (phase.machine.training and role != "metric")
            if apart or batchwise or role == "loss":
                unlike = objective.weights is not None or objective.where is not None
                return Measured(total, count, role, places=places, unlike_rows=unlike)
            return Measured(total, count, role, in_parts(total / count, ends))

    def _by_place(self, phase: Phase, objective: Objective, made: Tensor, ends: set[str], what: str) -> Tensor:
        """A figure with a number for each place, so that each can be weighed: of a mean, what it is the mean of."""
        mean = None
        if not made.rank and phase.machine.phase != "init":
            parts = in_parts(made.value, ends)
            mean = parts.mean if parts is not None else None
        if mean is None and phase.machine.phase != "init" and made.dims[:1] != (BATCH,):
            raise NothingToWeigh(span=objective.span, what=what).error()
        return made if mean is None else plain(mean)

    def _weights(self, phase: Phase, expression: Expression, made: Tensor) -> Tensor:
        """A weight for each place. Notes which columns it reads."""
        weight = self._tensor(phase, expression)
        phase.weighing.append(weight.value.name)
        phase.judging.append(made.value.name)
        if made.dims[:1] != (BATCH,):  # the first values of weights are the same whatever is weighed
            return Tensor(phase.tape.fill(1, made.value.type), made.labels)
        why = check(phase.columns, weight.value) if phase.machine.phase == "train" else ""
        if why:
            raise NotAWeight(span=expression.span, why=why).error()
        return over_places(phase.tape, weight, made)

    def _parts(self, phase: Phase, objective: Objective, value: Value, ends: set[str], role: Role) -> InParts | None:
        """The parts of what is one figure for all rows."""
        if objective.where is not None or phase.machine.phase == "init" or BATCH in value.dims[:1]:
            return None
        if phase.machine.training and role != "metric":
            return None  # what is made small is the batch's own
        parts = in_parts(value, ends)
        # A loss may be a matter of its batch; its figure is then the mean over the batches, by their rows.
        return None if parts is not None and parts.gathers and role == "loss" else parts

    def _tensor(self, phase: Phase, expression: Expression) -> Tensor:
        value = evaluate(phase.frame, expression)
        if isinstance(value, Tensor):
            return value
        if isinstance(value, bool | int | float | Size):
            return real(phase.tape, value)
        return self._no_tensor(phase, expression, value)

    def _no_tensor(self, phase: Phase, expression: Expression, value: Any) -> NoReturn:
        facts = {"wanted": "a number or a tensor", "found": kind(value), "way": next_step(value)}
        phase.machine.fail(NotThatKind, expression, USER, **facts)


def _reaches_a_weight(graph: Graph, passes: Callable[[str], bool]) -> bool:
    """Whether a way leads from the loss back to a weight, through operations that let it pass."""
    made = {node.name: node for node in graph.nodes}
    learned = {fed.name for fed in graph.inputs if fed.learned}
    waiting, met = [graph.output("loss").value], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in met:
            met.add(name)
            waiting.extend(made[name].inputs if name in made and passes(made[name].op) else ())
    return not met.isdisjoint(learned)


def scores_of(answer: Expression) -> Expression | None:
    """The scores, where the answer is the highest of them: `argmax(logits)`."""
    match answer:
        case Call(function=Name(name="argmax"), arguments=(Argument(name=None, value=scores),)):
            return scores
    return None
