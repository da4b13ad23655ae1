"""`train Digits on digits { … }`."""

from __future__ import annotations

from typing import ClassVar, Literal, cast, get_args

from lark import Token, Tree

from dotnn import spec
from dotnn.read.expressions import Branch, branch, kids, leaf_token
from dotnn.read.settings import Line, Settings, clause_of, name_in
from dotnn_grammar.layout import NotYet
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


class TrainBlock(Settings):
    block = "a train block"
    forms: ClassVar[dict[str, str]] = {
        "loss": "loss mean((guess - truth)^2)",
        "error": "error argmax(logits) != label",
        "metric": "metric right = mean(argmax(logits) == label)",
        "answer": "answer argmax(logits) as label",
        "optimizer": "optimizer NAME(lr = 1e-3)",
        "batch": "batch 32",
        "epochs": "epochs 30",
        "steps": "steps 5_000",
        "seed": "seed 7",
        "clip": "clip norm 1.0",
        "accumulate": "accumulate 4",
        "precision": "precision bf16",
        "decay": "decay 0.01 for *.W",
        "rate": "rate 0.1 for encoder.*",
        "freeze": "freeze encoder.*",
        "stop": "stop when val.error has not fallen for 5 epochs",
        "keep": "keep best val.error",
        "start": 'start from "runs/NAME-001"',
    }
    several = frozenset({"metric", "decay", "rate", "freeze"})

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.assigns: list[spec.Assign] = []
        self.metrics: list[spec.Metric] = []
        self.decays: list[spec.Decay] = []
        self.rates: list[spec.Rate] = []
        self.freezes: list[spec.Freeze] = []
        self.accumulate: spec.Expression | None = None
        self.precision: Precision | None = None
        self.loss: spec.Objective | None = None
        self.error: spec.Objective | None = None
        self.answer: spec.Answer | None = None
        self.optimizer: spec.Expression | None = None
        self.batch: spec.Expression | None = None
        self.epochs: spec.Expression | None = None
        self.steps: spec.Expression | None = None
        self.clip: spec.Expression | None = None
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
        if self.problems or self.loss is None or self.optimizer is None or self.batch is None:
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
            batch=self.batch,
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
            accumulate=self.accumulate,
            precision=self.precision,
            doc=doc,
        )

    def _complete(self, head: Span) -> None:
        if "loss" not in self.seen:
            self.missing("loss", self.forms["loss"], "training makes it small", head)
        if "optimizer" not in self.seen:
            self.missing("optimizer", self.forms["optimizer"], "it moves the weights", head)
        if "batch" not in self.seen:
            self.missing("batch", self.forms["batch"], "how many rows are looked at before the weights move", head)
        if "epochs" not in self.seen and "steps" not in self.seen:
            self.missing("epochs", self.forms["epochs"], "how often to go through the training rows", head)
        if "epochs" in self.seen and "steps" in self.seen:
            first, second = sorted((self.seen["epochs"], self.seen["steps"]), key=lambda s: (s.line, s.column))
            self.problems.append(TwoLengths(span=second, notes=(Note(span=first, text="this one is the first"),)))

    def _line(self, tree: Branch) -> None:
        if tree.data == "assign":
            self.assigns.append(self.reader.assign(tree))
        else:
            self.setting(tree)

    # ---- the lines

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

    def read_error(self, line: Line) -> None:
        self.error = self._objective(line)

    def read_metric(self, line: Line) -> None:
        phrase = self.single(line)
        name = name_in(phrase.value)
        given = clause_of(phrase, "=")
        if name is None or given is None:
            raise self.malformed(line, "a metric has a name, `=` and a figure")
        for clause in phrase.clauses:
            if clause.word in ("on", "every"):
                what, instead = "a metric at some epochs only", f"leave `{clause.word} …` out"
                raise NotYet(span=clause.span, what=what, instead=instead).error()
            if clause.word not in ("=", "weighted", "by"):
                raise self.malformed(line, f"`{clause.word}` does not belong here", clause.span)
        value = self.reader.expression(given.value)
        self.metrics.append(spec.Metric(span=line.span, name=name, value=value, weights=self._weights(line)))

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

    def read_optimizer(self, line: Line) -> None:
        self.optimizer = self.reader.expression(self.value(line))

    def read_batch(self, line: Line) -> None:
        phrase = self.single(line)
        for clause in phrase.clauses:
            if clause.word == "tokens" or name_in(clause.value) == "tokens":
                what, instead = "a batch counted in tokens", "count it in rows: `batch 32`"
                raise NotYet(span=line.span, what=what, instead=instead).error()
        self.batch = self._count(line)

    def read_epochs(self, line: Line) -> None:
        self.epochs = self._count(line)

    def read_steps(self, line: Line) -> None:
        self.steps = self._count(line)

    def _count(self, line: Line) -> spec.Expression:
        value = self.reader.expression(self.value(line))
        if isinstance(value, spec.Number) and (not isinstance(value.value, int) or value.value < 1):
            raise self.malformed(line, "a whole number from 1 up is needed", value.span)
        return value

    def read_seed(self, line: Line) -> None:
        self.seed = self.whole(line)

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
        if not isinstance(figure, spec.Member) or not isinstance(figure.value, spec.Name):
            raise self.malformed(line, "name the part of the data and the figure", figure.span)
        which = cast('Literal["best", "highest", "lowest"]', str(kept.word))
        self.keep = spec.Keep(span=line.span, split=figure.value.name, figure=figure.name, which=which)

    def read_start(self, line: Line) -> None:
        phrase = self.single(line)
        origin = clause_of(phrase, "from")
        if origin is None or origin.value is None or len(phrase.clauses) > 1 or phrase.value is not None:
            raise self.malformed(line, "`from` and the folder of a run are missing")
        folder = self.reader.expression(branch(origin.value))
        if not isinstance(folder, spec.Text):
            raise self.malformed(line, "the folder stands in quotes", folder.span)
        self.start = spec.Start(span=line.span, run=folder.value)
