"""What the lines of a train block settle before anything runs: params, the length of training, when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.numbers import positive
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import Tensor, kind
from dotnn.program import AnswerPlan, Figure, Patience, Plan, RawColumn, Reached, Watch
from dotnn.read import read_text
from dotnn.spec import Binary, Data, Expression, Keep, Part, Spec, Stop, Train
from dotnn.tape import Tape
from dotnn.words import dotted
from dotnn.write import write_objective
from dotnn_grammar.problems import Problem, ProblemError, perhaps
from dotnn_grammar.source import Source


class NoSuchParam(Problem):
    code = "B060"
    title = "there is no param called `{name}` in {file}"
    help = "{near}"
    name: str
    file: str
    near: str


class NotAValue(Problem):
    code = "B061"
    title = "`--set {name}={text}`: that is no value"
    help = "give a number, yes or no, or a text in quotes: --set 'name=\"text\"'"
    name: str
    text: str


class ParamComputes(Problem):
    code = "B062"
    title = "the param `{name}` must be known before the net runs"
    label = "this is {found}"
    help = "a param is a number, yes or no, or a text"
    name: str
    found: str


class NothingToTrain(Problem):
    code = "B063"
    title = "{file} has no `train` block"
    help = "say what is learned from what: train NET on DATA {{ loss …, optimizer …, batch …, epochs … }}"
    file: str


class UnknownBlock(Problem):
    code = "B064"
    title = "there is no {what} called `{name}`"
    label = "not in this file"
    help = "{near}"
    what: str
    name: str
    near: str


class NoSuchFigure(Problem):
    code = "B065"
    title = "`{name}` is nothing that a run measures"
    label = "not known"
    help = "{near}"
    name: str
    near: str


class NoSuchSplit(Problem):
    code = "B066"
    title = "there is no `{name}` to watch: the data has no such part"
    label = "this needs rows that training does not see"
    help = "{way}"
    name: str
    way: str


class NotACondition(Problem):
    code = "B067"
    title = "`stop when` does not understand this"
    label = "not a condition of its kind"
    help = "write `stop when val.error has not fallen for 5 epochs`, or `stop when val.error < 1%`"


class NoBest(Problem):
    code = "B117"
    title = "which value of the metric `{name}` is the best one?"
    label = "the lowest or the highest"
    help = (
        "of an error it would be the lowest; here say which: keep highest {split}.{name}, or keep lowest {split}.{name}"
    )
    split: str
    name: str


class SameName(Problem):
    code = "B068"
    title = "two `train` blocks are called `{name}`"
    label = "the second of that name"
    help = "its run is known by that name: give one of the two its own, `train {net} on {data} as NAME {{ … }}`"
    name: str
    net: str
    data: str


Named = TypeVar("Named", Data, Train)


def params_of(spec: Spec, values: Mapping[str, str]) -> dict[str, Any]:
    """The params, those of ``values`` (`--set`) in place of the spec's own. Raises ``ProblemError``."""
    names = [param.name for param in spec.params]
    for name in values:
        if name not in names:
            near = perhaps(name, names, f"its params are: {', '.join(names)}" if names else "it has none")
            raise NoSuchParam(name=name, file=spec.file, near=near).error()
    frame = scratch(spec, {})
    later = "params are worked out from the top: this one has no value yet here"
    frame.machine.elsewhere |= dict.fromkeys(names, later)
    for param in spec.params:
        text = values.get(param.name)
        expression = param.value if text is None else _parsed(param.name, text)
        try:
            value = evaluate(frame, expression)
        except ProblemError:
            if text is None:
                raise
            raise NotAValue(name=param.name, text=text).error() from None
        if not isinstance(value, bool | int | float | str):
            raise ParamComputes(span=param.span, name=param.name, found=kind(value)).error()
        frame.machine.params[param.name] = value
    return frame.machine.params


def _parsed(name: str, text: str) -> Expression:
    try:
        return read_text(Source(name="--set", text=f"param {name} = {text}\n")).params[0].value
    except (ProblemError, IndexError):
        raise NotAValue(name=name, text=text).error() from None


def scratch(spec: Spec, params: dict[str, Any]) -> Frame:
    """A frame in which a line of a train block that is known before the net runs can be worked out."""
    return Frame(Machine(Tape("scratch"), "predict", Library(spec.definitions), params), USER, "")


def choose(blocks: Sequence[Named], name: str | None, what: str, at: Part | None, file: str) -> Named:
    """The block of that name, or the only one. Raises ``ProblemError``."""
    if not blocks and what == "train block":
        raise NothingToTrain(file=file).error()
    names = [block_name(block) for block in blocks]
    for number, block in enumerate(blocks):
        if what == "train block" and names[number] in names[:number]:
            net, data = block.name or "NET", getattr(block, "data", "DATA")
            raise SameName(span=block.span, name=names[number], net=net, data=data).error()
    if name is None:
        return blocks[0]
    if name not in names:
        near = perhaps(name, names, f"there are: {', '.join(names)}" if names else f"define one: {what.split()[0]} …")
        raise UnknownBlock(span=at.span if at else None, what=what, name=name, near=near).error()
    return blocks[names.index(name)]


def block_name(block: Data | Train) -> str:
    """The name by which a block is asked for: a train block's is its own, else its net's, else its data's."""
    return block.name if isinstance(block, Data) else block.called or block.name or block.data


# ---- the plan


def plan_of(spec: Spec, train: Train, params: dict[str, Any], splits: Sequence[str], figures: Sequence[Figure]) -> Plan:
    """How training goes. Raises ``ProblemError``."""
    frame = scratch(spec, params)
    batch = positive(frame, train.batch, "the batch")
    return Plan(
        batch=batch,
        tokens=batch if train.batched == "tokens" else None,
        by_length=train.batched != "rows",
        epochs=None if train.epochs is None else positive(frame, train.epochs, "the number of epochs"),
        steps=None if train.steps is None else positive(frame, train.steps, "the number of steps"),
        seed=train.seed,
        stop=() if train.stop is None else (_stop(frame, train.stop, splits, figures),),
        keep=None if train.keep is None else _keep(train.keep, splits, figures),
        start=None if train.start is None else train.start.run,
        accumulate=batches_of(frame, train),
        precision=train.precision or "f32",
    )


def batches_of(frame: Frame, train: Train) -> int:
    """How many batches make one update. Raises ``ProblemError``."""
    return 1 if train.accumulate is None else positive(frame, train.accumulate, "the batches of an update")


def every_of(frame: Frame, count: Expression | None) -> int:
    """After how many batches a step is taken. Raises ``ProblemError``."""
    return 1 if count is None else positive(frame, count, "the batches between two of its turns")


def steps_of(plan: Plan, rows: int) -> tuple[int, int]:
    """How many steps training takes with so many rows, and how many of them make an epoch."""
    epoch = max(plan.per_epoch or math.ceil(rows / plan.batch), 1)
    return (plan.steps if plan.steps is not None else (plan.epochs or 1) * epoch), epoch


def figures_of(train: Train) -> tuple[Figure, ...]:
    """What a run of this block measures."""
    error = (Figure(name="error", role="error", text=write_objective(train.error)),) if train.error else ()
    losses = [("loss", train.loss)] if train.loss is not None else []
    losses += [(f"{step.name}.loss", step.loss) for step in train.objectives]
    return (
        *(Figure(name=name, role="loss", text=write_objective(loss)) for name, loss in losses),
        *error,
        *(Figure(name=m.name, role="metric", text=write_objective(m)) for m in train.metrics),
    )


def _stop(frame: Frame, stop: Stop, splits: Sequence[str], figures: Sequence[Figure]) -> Patience | Reached:
    if stop.patience is not None:
        watch = _watch(stop.watch, splits, figures)
        return Patience(watch=watch.model_copy(update={"highest": stop.risen}), epochs=stop.patience)
    match stop.watch:
        case Binary(operator="<" | "<=" | ">" | ">=" as operator, left=left, right=right):
            bound = evaluate(frame, right)
            if isinstance(bound, Tensor | bool) or not isinstance(bound, int | float):
                frame.machine.fail(NotThatKind, right, USER, wanted="a number", found=kind(bound))
            return Reached(watch=_watch(left, splits, figures), operator=operator, bound=float(bound))
    raise NotACondition(span=stop.watch.span).error()


def _watch(expression: Expression, splits: Sequence[str], figures: Sequence[Figure]) -> Watch:
    split, _, figure = (dotted(expression) or "").partition(".")
    if figure:
        return _known_watch(expression, split, figure, splits, figures)
    raise NotACondition(span=expression.span).error()


def _keep(keep: Keep, splits: Sequence[str], figures: Sequence[Figure]) -> Watch:
    watch = _known_watch(keep, keep.split, keep.figure, splits, figures)
    if keep.which != "best":
        return watch.model_copy(update={"highest": keep.which == "highest"})
    if any(figure.name == keep.figure and figure.role == "metric" for figure in figures):
        raise NoBest(span=keep.span, split=keep.split, name=keep.figure).error()
    return watch


def _known_watch(part: Part, split: str, figure: str, splits: Sequence[str], figures: Sequence[Figure]) -> Watch:
    if split == "test":
        way = "the test rows are met once, at the end; watch `val`, and give it a share in `split`"
        raise NoSuchSplit(span=part.span, name="test", way=way).error()
    if split not in splits:
        known = ", ".join(dict.fromkeys(s for s in splits if s != "test"))
        way = f"give it a share: split train 80%, {split} 20%" if split == "val" else f"there are: {known}"
        if any(f.name == f"{split}.{figure}" for f in figures):
            way = f"say of which rows it is: train.{split}.{figure}"
        raise NoSuchSplit(span=part.span, name=split, way=way).error()
    names = [f.name for f in figures]
    if figure not in names:
        raise NoSuchFigure(
            span=part.span, name=figure, near=perhaps(figure, names, f"there are: {', '.join(names)}")
        ).error()
    return Watch(split=split, figure=figure)


def answer_plan(train: Train, raws: Mapping[str, RawColumn], has_shares: bool) -> AnswerPlan | None:
    """What predictions are called: by the classes of the answer's column. Raises ``ProblemError``."""
    answer = train.answer
    if answer is None:
        return None
    raw = raws.get(answer.column) if answer.column else None
    if answer.column and raw is None:
        near = perhaps(answer.column, raws, f"the columns in use are: {', '.join(raws)}")
        raise UnknownBlock(span=answer.span, what="column", name=answer.column, near=near).error()
    return AnswerPlan(
        column=answer.column, classes=raw.classes if raw else None, shares="shares" if has_shares else None
    )
