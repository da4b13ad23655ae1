"""`train Digits on digits { … }`."""

from __future__ import annotations

from typing import ClassVar, Literal, cast, get_args

from lark import Token, Tree

from dotnn import spec
from dotnn.read.expressions import Branch, branch, kids, leaf_token
from dotnn.read.metric import when
from dotnn.read.settings import Line, clause_of, name_in
from dotnn.read.turns import StepBlock, TwoSteps, every, problems_of
from dotnn.read.updating import Updating
from dotnn.read.windows import batched, drawn
from dotnn.words import dotted
from dotnn_grammar.problems import Note, Problem
from dotnn_grammar.source import Source, Span

Precision = Literal["f32", "bf16", "f16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


class TwoLengths(Problem):
    code = "R014"
    title = "a train block has both `epochs` and `steps`"
    label = "this one is the second"
    help = "keep one: `epochs` counts passes through the training rows, `steps` counts batches"


class NotOn(Problem):
    code = "R015"
    title = "`{word}` cannot stand here"
    label = "expected `on`"
    help = "a train block says what learns, and from which data: `train {net} on {data} {{ … }}`"
    word: str
    net: str
    data: str


class TrainBlock(Updating):
    """Reads the lines of a `train` block."""

    block = "a train block"
    forms: ClassVar[dict[str, str]] = {
        **Updating.updating,
        "error": "error argmax(logits) != label",
        "metric": "metric right = mean(argmax(logits) == label)  on val every 2 epochs",
        "answer": "answer argmax(logits) as label",
        "batch": "batch 32",
        "epochs": "epochs 30",
        "steps": "steps 5_000",
        "seed": "seed 7",
        "accumulate": "accumulate 4",
        "average": "average 0.999",
        "every": "every batch critic, forger",
        "precision": "precision bf16",
        "stop": "stop when val.error has not fallen for 5 epochs",
        "keep": "keep best val.error",
        "start": 'start from "runs/NAME-001"',
    }
    several = frozenset({"metric", "decay", "rate", "freeze", "average", "every"})

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.metrics: list[spec.Metric] = []
        self.objectives: list[spec.Step] = []
        self.steps_seen: dict[str, Span] = {}
        self.every: list[spec.Every] = []
        self.averages: list[spec.Average] = []
        self.accumulate: spec.Expression | None = None
        self.precision: Precision | None = None
        self.error: spec.Objective | None = None
        self.answer: spec.Answer | None = None
        self.batch: spec.Expression | None = None
        self.batched: Literal["rows", "length", "tokens"] = "rows"
        self.draws: spec.Expression | None = None
        self.epochs: spec.Expression | None = None
        self.steps: spec.Expression | None = None
        self.seed = 0
        self.stop: spec.Stop | None = None
        self.keep: spec.Keep | None = None
        self.start: spec.Start | None = None

    def read(self, tree: Branch, doc: str) -> spec.Train | None:
        """The block, or None where ``problems`` says what is wrong with it."""
        net, on, data, called, *lines = kids(tree)
        head = self.reader.span(tree).to(self.reader.span(data if called is None else called))
        if str(on) != "on":
            known = str(net or "Digits")
            self.problems.append(NotOn(span=self.reader.span(on), word=str(on), net=known, data=str(data)))
        for line in lines:
            if line is not None:
                self.attempt(self._line, branch(line))
        self._complete(head)
        if self.problems or self.batch is None:
            return None
        return spec.Train(
            span=self.reader.span(tree),
            name=None if net is None else str(net),
            data=str(data),
            called=None if called is None else str(called),
            assigns=tuple(self.assigns),
            loss=self.loss,
            error=self.error,
            metrics=tuple(self.metrics),
            answer=self.answer,
            optimizer=self.optimizer,
            objectives=tuple(self.objectives),
            every=tuple(self.every),
            batch=self.batch,
            batched=self.batched,
            draws=self.draws,
            epochs=self.epochs,
            steps=self.steps,
            seed=self.seed,
            stop=self.stop,
            keep=self.keep,
            start=self.start,
            clip=self.clip,
            decays=tuple(self.decays),
            rates=tuple(self.rates),
            freezes=tuple(self.freezes),
            averages=tuple(self.averages),
            accumulate=self.accumulate,
            precision=self.precision,
            doc=doc,
        )

    def _complete(self, head: Span) -> None:
        if not self.steps_seen:
            self.objective_lines(head)
        elif "every" not in self.seen:
            form = f"every batch {', '.join(self.steps_seen)}"
            self.missing("every", form, "when each step is taken, and in which order", head)
        beside = [(word, self.seen[word]) for word in self.updating if word in self.seen]
        if self.every and not self.problems:
            self.problems.extend(problems_of(self.steps_seen, self.every, beside))
        if "batch" not in self.seen:
            self.missing("batch", self.forms["batch"], "how many rows are looked at before the weights move", head)
        if "epochs" not in self.seen and "steps" not in self.seen:
            self.missing("epochs", self.forms["epochs"], "how often to go through the training rows", head)
        if "epochs" in self.seen and "steps" in self.seen:
            first, second = sorted((self.seen["epochs"], self.seen["steps"]), key=lambda s: (s.line, s.column))
            self.problems.append(TwoLengths(span=second, notes=(Note(span=first, text="this one is the first"),)))

    def _line(self, tree: Branch) -> None:
        if tree.data != "step":
            return self.line(tree)
        block, name = StepBlock(self.source), leaf_token(kids(tree)[0])
        if str(name) in self.steps_seen:
            self.problems.append(TwoSteps(span=self.reader.span(name), name=str(name)))
        self.steps_seen.setdefault(str(name), self.reader.span(name))
        read = block.read(tree)
        self.problems.extend(block.problems)
        self.objectives.extend([read] if read else [])
        return None

    def read_every(self, line: Line) -> None:
        self.every.append(every(self, line))

    def read_average(self, line: Line) -> None:
        value = self.value(line, clauses=("for",))
        pattern = self._for(line) if line.phrases[0].clauses else None
        self.averages.append(spec.Average(span=line.span, factor=self.reader.expression(value), pattern=pattern))

    # ---- the lines

    def read_error(self, line: Line) -> None:
        self.error = self._objective(line)

    def read_metric(self, line: Line) -> None:
        phrase = self.single(line)
        name = name_in(phrase.value)
        given = clause_of(phrase, "=")
        if name is None or given is None:
            raise self.malformed(line, "a metric has a name, `=` and a figure")
        value = self.reader.expression(given.value)
        on, every = when(self, line)
        weights = self._weights(line)
        self.metrics.append(spec.Metric(span=line.span, name=name, value=value, weights=weights, on=on, every=every))

    def read_answer(self, line: Line) -> None:
        tree = self.value(line, form=True)
        value = self.reader.expression(tree)
        form = line.phrases[0].form
        column: str | None = None
        if form is not None:
            named = None if form.data != "type" else self.reader.type(form)
            if named is None or named.dims is not None or named.bound is not None:
                raise self.malformed(line, "the name of a column is needed", self.reader.span(form))
            column = named.word
        if isinstance(value, spec.Chain) and value.stages[-1].name is not None:
            # In a chain the last `as` was taken for the name of the stage.
            last = value.stages[-1]
            column = last.name
            bare = last.model_copy(update={"name": None, "span": last.call.span})
            value = value.model_copy(update={"stages": (*value.stages[:-1], bare)})
        self.answer = spec.Answer(span=line.span, value=value, column=column)

    def read_batch(self, line: Line) -> None:
        self.draws = drawn(self, line)
        self.batched, self.batch = batched(self, line), self._count(line, ("by", "tokens", "drawn"))

    def read_epochs(self, line: Line) -> None:
        self.epochs = self._count(line)

    def read_steps(self, line: Line) -> None:
        self.steps = self._count(line)

    def _count(self, line: Line, clauses: tuple[str, ...] = ()) -> spec.Expression:
        value = self.reader.expression(self.value(line, clauses))
        if isinstance(value, spec.Number) and (not isinstance(value.value, int) or value.value < 1):
            raise self.malformed(line, "a whole number from 1 up is needed", value.span)
        return value

    def read_seed(self, line: Line) -> None:
        self.seed = self.whole(line)

    def read_accumulate(self, line: Line) -> None:
        self.accumulate = self._count(line)

    def read_precision(self, line: Line) -> None:
        word = name_in(self.value(line))
        if word not in PRECISIONS:
            raise self.malformed(line, "f32, bf16 and f16 are known", line.phrases[0].span)
        self.precision = cast("Precision", word)

    def read_stop(self, line: Line) -> None:
        phrase = self.single(line)
        words = [c.word for c in phrase.clauses]
        when = clause_of(phrase, "when")
        if when is None or when.value is None or phrase.value is not None or words[0] != "when":
            raise self.malformed(line, "`when` and a condition are missing")
        watch = self.reader.expression(when.value)
        if words == ["when"]:
            if isinstance(watch, spec.Member):
                raise self.malformed(line, "stop when it does what?")
            self.stop = spec.Stop(span=line.span, watch=watch)
            return
        if words != ["when", "has", "for", "epochs"] and words != ["when", "has", "for", "epoch"]:
            raise self.malformed(line, "not `has not fallen for N epochs`", phrase.clauses[1].span)
        has, patience = phrase.clauses[1], phrase.clauses[2].value
        is_fallen = isinstance(has.value, Tree) and has.value.data == "not_"
        way = name_in(kids(branch(has.value))[0]) if is_fallen else None
        if way not in ("fallen", "risen"):
            raise self.malformed(line, "not `has not fallen`, and not `has not risen`", has.span)
        if not isinstance(patience, Token):
            raise self.malformed(line, "a number of epochs is needed", phrase.clauses[2].span)
        count = self.reader.number(leaf_token(patience)).value
        if not isinstance(count, int) or count < 1:
            raise self.malformed(line, "a whole number from 1 up is needed", self.reader.span(patience))
        self.stop = spec.Stop(span=line.span, watch=watch, patience=count, risen=way == "risen")

    def read_keep(self, line: Line) -> None:
        phrase = self.single(line)
        kept = next((c for c in phrase.clauses if c.word in ("best", "highest", "lowest")), None)
        if kept is None or kept.value is None or len(phrase.clauses) > 1 or phrase.value is not None:
            raise self.malformed(line, "`best` (or `highest`, or `lowest`) and a figure are missing")
        figure = self.reader.expression(kept.value)
        split, _, name = (dotted(figure) or "").partition(".")
        if not name:
            raise self.malformed(line, "name the part of the data and the figure", figure.span)
        which = cast('Literal["best", "highest", "lowest"]', str(kept.word))
        self.keep = spec.Keep(span=line.span, split=split, figure=name, which=which)

    def read_start(self, line: Line) -> None:
        phrase = self.single(line)
        origin = clause_of(phrase, "from")
        if origin is None or origin.value is None or len(phrase.clauses) > 1 or phrase.value is not None:
            raise self.malformed(line, "`from` and the folder of a run are missing")
        folder = self.reader.expression(branch(origin.value))
        if not isinstance(folder, spec.Text):
            raise self.malformed(line, "the folder stands in quotes", folder.span)
        self.start = spec.Start(span=line.span, run=folder.value)
