"""Build: a train block of the spec becomes graphs, one for each phase: init, train, eval, predict, order.

All of them come from one net. In `train` and `init` the branch `when training` is taken, in the others its `else`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any, ParamSpec

from dotnn.elaborate.arithmetic import real
from dotnn.elaborate.calls import run
from dotnn.elaborate.evaluate import block
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Cell, Machine, PhaseName
from dotnn.elaborate.problems import DoesNotLearn, NotThatKind, PhasesDiffer, TooLarge
from dotnn.elaborate.values import Known, Tensor, kind, plain
from dotnn.graph import Graph, Type
from dotnn.inputs.augment import columns_of
from dotnn.inputs.block import DataBlock
from dotnn.inputs.columns import BATCH
from dotnn.inputs.fit import Fit
from dotnn.inputs.sampling import order_of, weights_of
from dotnn.inputs.weigh import BALANCED, balance
from dotnn.measures.apart import is_apart
from dotnn.measures.figures import measured, tensor_of
from dotnn.measures.rows import wide
from dotnn.measures.watchable import refuse_certain, refuse_unwatchable
from dotnn.operation import lookup, shape_text
from dotnn.phase import Measured, Phase
from dotnn.plan import UnknownBlock, batches_of
from dotnn.program import Figure, Total
from dotnn.read.text import heading
from dotnn.simplify import only
from dotnn.spec import Argument, Call, Expression, Name, Objective, Parameter, Part, Spec, Train
from dotnn.tape import Tape
from dotnn.updates.average import chosen
from dotnn.updates.gather import BATCHES, PLACES
from dotnn.updates.patterns import held
from dotnn.updates.turns import Turn, still, turns_of
from dotnn.words import names_in
from dotnn_grammar.problems import Note, Problem, perhaps

TAKEN = ("loss", "error", "norm", "rate", "finite", "step", "key", "seed", "answer", "shares")
"""Names that the graphs have for other things."""

P = ParamSpec("P")


class InputWithoutColumn(Problem):
    code = "B051"
    title = "the net reads `{name}`, and the data has no column of that name"
    label = "no such column in `{data}`"
    help = "{near}"
    name: str
    data: str
    near: str


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


class NothingSaysHowMany(Problem):
    code = "B120"
    title = "the answer has as many rows as it is asked about, and it reads nothing of them"
    label = "how many?"
    help = "write their number, as in NAME(normal[10, 16]): `nn predict RUN` then gives them; `--seed N` draws others"


class NothingToAsk(Problem):
    code = "B055"
    title = "nothing can be asked of this: the block names no net and has no `answer`"
    label = "what would a prediction be?"
    help = "name the net, `train NET on {data}`, or say what it answers: `answer …`"
    data: str


def _in_reach(build: Callable[P, Phase]) -> Callable[P, Phase]:
    """Turns a spec that is nested beyond what this program can follow into a problem."""

    @wraps(build)
    def reaching(*args: P.args, **kwargs: P.kwargs) -> Phase:
        try:
            return build(*args, **kwargs)
        except RecursionError:
            builder: Any = args[0]
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
        block.by_length = train.batched != "rows"
        self.params = params
        self.fit = fit
        self.library = Library(spec.definitions)
        self.cells: dict[str, Cell] = {}
        """The weights and states that training has, once `init` was built."""
        self.measured: dict[str, Measured] = {}
        """Loss, error and metrics, once `eval` was built."""
        self.apart: dict[str, Measured] = {}
        """Metrics that are measured by themselves (``generate/metric.py``)."""
        self.parted: dict[str, Measured] = {}
        """The figures that are made of parts, once `eval` was built."""
        self.turns = turns_of(train)
        self._reads = False
        """Whether any loss reads a column, as far as they were built."""
        self.weights: Graph | None = None
        """By which rows are drawn, once `eval` was built."""
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
        self.prepare(machine)
        columns = columns_of(machine, self.block, self.fit)
        frame = Frame(machine, USER, "", columns=columns)
        frame.dims[BATCH] = BATCH
        if BALANCED not in self.library.user:
            frame.names[BALANCED] = balance(columns)
        if batches_of(frame, self.train) > 1:
            machine.batches = BATCHES
        if phase in ("eval", "predict"):
            machine.averaged = self.averaged
        made = Phase(machine, columns, frame)
        if self.net is not None:
            self._apply(made, self.net)
        return made

    def prepare(self, machine: Machine) -> None:
        """What a machine is given before anything is built on it."""

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

    @cached_property
    def averaged(self) -> frozenset[str]:
        """The weights of which a moving average is kept. Raises ``ProblemError``."""
        if not self.train.averages:
            return frozenset()
        weights = [(turn, self.training(turn).machine.weights) for turn in self.turns]
        return frozenset(chosen(self.train, [p for turn, ps in weights for p in ps if p not in still(turn, ps)]))

    @_in_reach
    def training(self, turn: Turn) -> Phase:
        """The loss of one turn under `training`, and the successors of the states that it updates.

        With the first turn come the error and the metrics of the batch.
        """
        phase = self.start("train")
        figures = self._objectives(phase, turn)
        figures = {"loss" if name == turn.own("loss") else name: figure for name, figure in figures.items()}
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
            if turn.moves(path):
                phase.tape.output(f"{path}.next", value.value, "state")
        self._learns(turn, held(phase.tape.graph(), still(turn, phase.machine.weights)))
        return phase

    def _learns(self, turn: Turn, graph: Graph) -> None:
        """Refuses a loss that no weight changes."""
        span = turn.loss.value.span
        if not _reaches_a_weight(graph, lambda op: True):
            way = "use the net's results in the loss, and layers in the net"
            raise DoesNotLearn(span=span, why="the loss does not depend on any weight", way=way).error()
        if not _reaches_a_weight(graph, lambda op: lookup(op).gradient is not None):
            way = "comparisons, `argmax`, `floor` and `stop` pass no gradient: let the loss measure how far off it is"
            raise DoesNotLearn(span=span, why="no small change of a weight changes the loss", way=way).error()
        self._reads |= any(BATCH in i.type.dims for i in only(graph, {o.name: o.value for o in graph.outputs}).inputs)
        if turn is self.turns[-1] and not self._reads:
            way = "let it read a column: an input of the net, or the answer that its result is compared with"
            raise DoesNotLearn(span=span, why="the loss reads nothing of the data", way=way).error()

    @_in_reach
    def evaluation(self) -> Phase:
        """Totals and counts of loss, error and metrics over the batch; the net's results."""
        phase = self.start("eval")
        figures = self._objectives(phase)
        self.measured = figures
        self.parted = {name: f for name, f in (figures | self.apart).items() if f.parts is not None}
        refuse_unwatchable(self.train, {name: figure.parts for name, figure in self.parted.items()})
        refuse_certain(self.train, {name: figure.total for name, figure in figures.items()})
        for name, figure in figures.items():
            figure.write(phase.tape, name)
        for name, tensor in phase.outputs.items():
            phase.tape.output(name, tensor.value, "output")
        self.weights = weights_of(self.train, phase)
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
        if self.net is None and self.train.answer is None:
            self._ask(phase)
        self._agree(phase)
        for name, tensor in phase.outputs.items():
            phase.tape.output(name, tensor.value, "output")
        answer = self.train.answer
        if answer is None:
            return phase
        read = set(phase.columns.raws)
        self._assigns(phase)
        value = tensor_of(phase, answer.value)
        phase.tape.output("answer", value.value, "output")
        scores = scores_of(answer.value)
        if scores is not None:
            shares = tensor_of(phase, scores)
            phase.tape.output("shares", phase.tape.add("softmax", real(phase.tape, shares).value), "output")
        graph = phase.tape.graph()
        asked = only(graph, {o.name: o.value for o in graph.outputs})
        if any(wide(node.type) for node in asked.nodes) and not any(wide(fed.type) for fed in asked.inputs):
            raise NothingSaysHowMany(span=answer.value.span).error()
        needed = {fed.name for fed in asked.inputs}
        phase.columns.raws = {name: raw for name, raw in phase.columns.raws.items() if name in needed}
        for name in phase.columns.raws:
            if self.net is not None and name not in read:
                raise AnswerReadsLabel(span=answer.value.span, name=name).error()
        return phase

    def _ask(self, phase: Phase) -> None:
        """Where a block with steps names no net: those of its nets that can be asked with the columns alone."""
        nets = [known for known in self.library.user.values() if known.definition.word == "net"]
        trained = {path.partition(".")[0] for path in self.cells or self.init().machine.cells}
        asked = [k for k in nets if k.name in trained and all(p.name in phase.columns for p in k.definition.inputs)]
        if not asked or not self.train.objectives:
            raise NothingToAsk(span=self.train.span, data=self.train.data).error()
        for known in asked:
            before = dict(phase.outputs)
            phase.outputs.clear()
            self._apply(phase, known)
            twice = set(before) & set(phase.outputs)
            mine = {f"{known.name}.{name}" if name in twice else name: t for name, t in phase.outputs.items()}
            phase.outputs.clear()
            phase.outputs.update(before | mine)

    def order(self) -> Graph:
        """`seed`, `epoch`, `n` -> the order of the rows in that epoch."""
        if self.weights is not None:
            return order_of(self.train, self.fit, self.weights)
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

    def _objectives(self, phase: Phase, only: Turn | None = None) -> dict[str, Measured]:
        """Each figure of the batch. only: of which turn; error and metrics come with the first."""
        self._assigns(phase)
        figures = {turn.own("loss"): self._loss(phase, turn) for turn in self.turns if only in (None, turn)}
        if only not in (None, self.turns[0]):
            return figures
        moved = dict(phase.machine.successors)
        if self.train.error:
            figures["error"] = measured(phase, self.train.error, "the error", "error")
        taken = dict.fromkeys(TAKEN, "a run has a figure of that name already")
        taken |= dict.fromkeys(phase.outputs, "the net has a result of that name")
        read = {name for metric in self.train.metrics for name in names_in(metric.value)}
        shown = {name: plain(figures[name].whole()) for name in ("loss", "error") if name in figures and name in read}
        phase = replace(phase, frame=replace(phase.frame, names=shown | phase.frame.names))
        for metric in self.train.metrics:
            if metric.name in taken:
                raise NameTaken(span=metric.span, name=metric.name, why=taken[metric.name]).error()
            taken[metric.name] = "a metric above has that name"
            if is_apart(metric):
                continue
            objective = Objective(span=metric.span, value=metric.value, weights=metric.weights)
            figures[metric.name] = measured(phase, objective, f"`{metric.name}`", "metric")
        phase.machine.successors = moved  # what only looks on leaves no trace
        return figures

    def _loss(self, phase: Phase, turn: Turn) -> Measured:
        """The loss of one turn, which sees the names of the block and binds others of its own."""
        if not turn.name:
            return measured(phase, turn.loss, "the loss", "loss")
        machine, frame = phase.machine, replace(phase.frame, path=turn.name, names=dict(phase.frame.names))
        machine.turn, before = turn.name, machine.turn
        block(frame, turn.assigns)
        made = measured(replace(phase, frame=frame), turn.loss, f"the loss of `{turn.name}`", "loss")
        machine.turn = before
        return made


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
