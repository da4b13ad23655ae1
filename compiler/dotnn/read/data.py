"""`data digits { … }`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar, Literal

from dotnn import spec
from dotnn.plugins import names
from dotnn.read.augment import FORM as AUGMENT
from dotnn.read.augment import read_augment
from dotnn.read.draw import DRAW, read_draw
from dotnn.read.expressions import Branch, Leaf, UnevenAssignment, branch, kids, refuse_twice
from dotnn.read.pictures import IMAGES, greyed, read_images
from dotnn.read.settings import Clause, Line, MalformedSetting, Settings, name_in, suggest
from dotnn.read.windows import read_horizon, read_window, window_problems
from dotnn_grammar.problems import Problem, many
from dotnn_grammar.source import Source, Span

TABLE = "table"
"""The source whose arguments are names of files."""
GENERATE = "generate"
"""The source that has no files: the spec draws its columns."""

LATER_READERS = {
    "json": "JSON files",
}
NOT_WORDS = {"jsonl": ".jsonl", "parquet": ".parquet", "arrow": ".arrow", "feather": ".feather", "csv": ".csv"}
"""What looks like a kind of source, and is read by `table`."""
AS_TABLE = "write the rows as a table (CSV, TSV, JSON lines, Parquet, Arrow) and read it with `source table`"
PARTS = ("train", "val", "test")
MOST_FOLDS = 1000
FORMS = ("int", "bool", "u8", "class")


class NotYet(Problem):
    code = "G020"
    title = "{what}: not in this version"
    label = "dotnn does not do this yet"
    help = "{instead}"
    what: str
    instead: str


class UnknownReader(Problem):
    code = "R020"
    title = "data cannot come from `{word}`"
    label = "not a kind of source"
    help = "{advice}"
    word: str
    advice: str


class UnknownPart(Problem):
    code = "R021"
    title = "`{word}` is not a part that data is split into"
    label = "not a part"
    help = "{advice} (`train` is learned from, `val` decides when to stop, `test` is the exam at the end)"
    word: str
    advice: str


class TooMuchShared(Problem):
    code = "R022"
    title = "the parts come to {total}%"
    label = "more rows than there are"
    help = "lower the shares until they come to 100%"
    total: str


class ShareRange(Problem):
    code = "R023"
    title = "a part cannot be {share}% of the rows"
    label = "not a share"
    help = "give it more than 0% and at most 100%"
    share: str


class NoTrainPart(Problem):
    code = "R024"
    title = "no rows are left to learn from"
    label = "there is no `train` here"
    help = "give it a share too: `split train 70%, val 15%, test 15%`"


class UnknownForm(Problem):
    code = "R025"
    title = "a column cannot be read as `{word}`"
    label = "not a form"
    help = "{advice} (a column of reals needs no word)"
    word: str
    advice: str


class FoldRange(Problem):
    code = "R065"
    title = "rows are not dealt into {count}: folds are 2 at least, and {most:,} at most"
    label = "how many folds"
    help = "5 and 10 are usual: each fold is examined once, by a net that learned from the others"
    count: int
    most: int


class FoldsAndPart(Problem):
    code = "R066"
    title = "folds leave nothing to `{part}`"
    label = "with folds there is no such share"
    help = "each fold is `val` in its turn and the others are `train`: split folds {count}, test 20%"
    part: str
    count: int


class NoColumns(Problem):
    code = "R026"
    title = "data `{name}` has no columns"
    label = "this block"
    help = "name what is to be used of the table: `label = column digit`, `image = columns p0 to p63 as [8, 8]`"
    name: str


class NotWhere(Problem):
    code = "R060"
    title = "`{word}` cannot stand here"
    label = "expected `where`"
    help = "data made from other data: `data {name} = {base} where {{ column = … }}`"
    word: str
    name: str
    base: str


class StaysTheSame(Problem):
    code = "R061"
    title = "`{word}` cannot be changed here"
    label = "only columns change in `data {name} = {base} where {{ … }}`"
    help = "take the line out: rows, split and seed are those of `{base}`; or write a `data` block of its own"
    word: str
    name: str
    base: str


class TwoKinds(Problem):
    code = "R062"
    title = "rows are either generated or read, not both"
    label = "another kind of source"
    help = "make two `data` blocks, one with `source generate N` and one that reads"


class DataBlock(Settings):
    """Reads the lines of a `data` block."""

    block = "a data block"
    forms: ClassVar[dict[str, str]] = {
        "source": 'source table "data/digits.csv"',
        "test": 'test table "data/exam.csv"',
        "split": "split train 70%, val 15%, test 15%  stratify label",
        "seed": "seed 1",
        "on": "on bad row skip",
        "augment": AUGMENT,
        "window": "window 128 by 64",
        "horizon": "horizon 3",
    }

    several = frozenset({"augment"})

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.bad_rows: Literal["error", "skip"] = "error"
        self.augments: list[spec.Column] = []
        self.sources: list[spec.SourceLine] = []
        self.columns: list[spec.Column] = []
        self.split: spec.Split | None = None
        self.windows: spec.Windows | None = None
        self.horizon: spec.Expression | None = None
        self.seed = 0

    def read(self, tree: Branch, doc: str) -> spec.Data | None:
        """The block, or None where ``problems`` says what is wrong with it."""
        if tree.data == "derived":
            return self._derived(tree, doc)
        name, *lines = kids(tree)
        head = self.reader.span(tree).to(self.reader.span(name))
        for line in lines:
            if line is not None:
                self.attempt(self._line, branch(line))
        if "source" not in self.seen:
            self.missing("source", self.forms["source"], "where the rows come from", head)
        drawn = any(line.reader == DRAW for line in self.sources)
        if not self.columns and not self.problems and not drawn:
            self.problems.append(NoColumns(span=head, name=str(name)))
        self.problems.extend(refuse_twice([(c.name, c.span) for c in self.columns], "one data block"))
        generated = [line for line in self.sources if line.reader in (GENERATE, DRAW)]
        if generated and len(generated) < len(self.sources):
            stray = next(line for line in self.sources[1:] if line.reader != self.sources[0].reader)
            self.problems.append(TwoKinds(span=stray.span))
        self.problems.extend(window_problems(self.sources, self.windows, self.split, self.seen))
        if self.problems:
            return None
        return spec.Data(
            span=self.reader.span(tree),
            name=str(name),
            windows=self.windows and self.windows.model_copy(update={"horizon": self.horizon}),
            sources=greyed(self.sources, self.columns),
            columns=tuple(self.columns),
            split=self.split,
            seed=self.seed,
            bad_rows=self.bad_rows,
            augments=tuple(self.augments),
            doc=doc,
        )

    def _derived(self, tree: Branch, doc: str) -> spec.Data | None:
        """`data clinic_b = clinic_a where { image = image*0.6 + 0.3 }`: columns alone."""
        name, base, where, *lines = kids(tree)
        head = self.reader.span(tree).to(self.reader.span(where))
        own, other = str(name), str(base)
        if str(where) != "where":
            self.problems.append(NotWhere(span=self.reader.span(where), word=str(where), name=own, base=other))
        for line in lines:
            part = None if line is None else branch(line)
            if part is not None and part.data != "column" and str(kids(part)[0]) == "augment":
                self.attempt(self.setting, part)
            elif part is not None and part.data != "column":
                word = kids(part)[0]
                self.problems.append(StaysTheSame(span=self.reader.span(word), word=str(word), name=own, base=other))
            elif part is not None:
                self.attempt(self._columns, part)
        if not self.columns and not self.augments and not self.problems:
            self.problems.append(NoColumns(span=head, name=str(name)))
        self.problems.extend(refuse_twice([(c.name, c.span) for c in self.columns], "one data block"))
        if self.problems:
            return None
        return spec.Data(
            span=self.reader.span(tree),
            name=own,
            base=other,
            sources=(),
            columns=tuple(self.columns),
            augments=tuple(self.augments),
            doc=doc,
        )

    def _line(self, tree: Branch) -> None:
        if tree.data == "column":
            self._columns(tree)
        else:
            self.setting(tree)

    # ---- columns

    def _columns(self, tree: Branch) -> None:
        """`cx, cy = a, b` is two columns; `spot[y, x] = … for y in 0..32, x in 0..32` one that is an equation."""
        targets, *rest = kids(tree)
        given = [branch(v) for v in rest if v is not None]
        values = [v for v in given if v.data == "column_value"]
        binders = tuple(self.reader.binder(v) for v in given if v.data == "binder")
        left = [self.reader.target(branch(t)) for t in kids(branch(targets))]
        if len(left) != len(values):
            names, count = many(len(left), "name"), many(len(values), "value")
            raise UnevenAssignment(span=self.reader.span(targets), names=names, values=count).error()
        for target, value in zip(left, values, strict=True):
            span = target.span.to(self.reader.span(value))
            column = self._column(target.name, value, span)
            self.columns.append(column.model_copy(update={"indices": target.indices, "binders": binders}))

    def _column(self, name: str, tree: Branch, span: Span) -> spec.Column:
        value, form = (*kids(tree), None)[:2]
        read = self.reader.expression(value)
        if isinstance(read, spec.Chain) and read.stages[-1].name is not None:
            last = read.stages[-1]
            raise UnknownForm(
                span=last.span, word=str(last.name), advice="put the chain in parentheses before `as`"
            ).error()
        return spec.Column(span=span, name=name, value=read, type=self._form(form))

    def _form(self, form: Leaf) -> spec.TypeText | None:
        if form is None:
            return None
        tree = branch(form)
        if tree.data == "call_form":
            name, *given = kids(tree)
            cutters = tuple(names("tokenizer"))
            if str(name) not in cutters:
                advice = suggest(str(name), cutters)
                raise UnknownForm(span=self.reader.span(tree), word=str(name), advice=advice).error()
            listed = self.reader.arguments(given)
            return spec.TypeText(span=self.reader.span(tree), word=str(name), arguments=listed)
        read = self.reader.type(tree)
        known = (*FORMS, *names("tokenizer"))
        if read.word is not None and read.word not in known:
            advice = suggest(read.word, known)
            raise UnknownForm(span=read.span, word=read.word, advice=advice).error()
        return read

    # ---- the lines

    def read_augment(self, line: Line) -> None:
        self.augments.extend(read_augment(self, line))

    def read_source(self, line: Line) -> None:
        self.sources.append(self._source(line, "source"))

    def read_test(self, line: Line) -> None:
        self.sources.append(self._source(line, "test"))

    def _source(self, line: Line, role: str) -> spec.SourceLine:
        if not line.phrases:
            raise self.malformed(line, "a kind of source and a file are missing", line.head)
        first, *more = line.phrases
        if first.value is not None or not first.clauses:
            raise self.malformed(line, "the kind of source is missing before this", first.span)
        kind, *extra = first.clauses
        if kind.word == DRAW:
            others = [*extra, *(c for p in more for c in p.clauses)]
            return read_draw(self, line, role, kind, others, bool(more))
        if kind.word == GENERATE:
            return self._generated(line, role, kind, [*extra, *(c for p in more for c in p.clauses)], bool(more))
        readers = names("source")
        if kind.word in LATER_READERS and kind.word not in readers:
            raise NotYet(span=kind.span, what=f"data from {LATER_READERS[kind.word]}", instead=AS_TABLE).error()
        if kind.word in NOT_WORDS and kind.word not in readers:
            advice = f'write `source table "rows{NOT_WORDS[kind.word]}"`: the end of its name tells what a table is'
            raise UnknownReader(span=kind.span, word=kind.word, advice=advice).error()
        if kind.word not in readers:
            raise UnknownReader(
                span=kind.span, word=kind.word, advice=suggest(kind.word, (*readers, GENERATE, DRAW))
            ).error()
        if kind.word == IMAGES:
            return read_images(self, line, "test" if role == "test" else "source", kind)
        stray = [*extra, *(c for p in more for c in p.clauses)]
        if stray:
            raise self.malformed(line, f"`{stray[0].word}` does not belong here", stray[0].span)
        values = [kind.value, *(p.value for p in more)]
        read = self._file if kind.word == TABLE else self._argument
        files = tuple(read(line, value) for value in values)
        return spec.SourceLine(
            span=line.span, role="test" if role == "test" else "source", reader=kind.word, files=files
        )

    def _generated(self, line: Line, role: str, kind: Clause, stray: list[Clause], several: bool) -> spec.SourceLine:
        """`source generate 20_000`: how many rows, a number or a param."""
        form = f"{role} generate 20_000"
        if kind.value is None or several or stray:
            reason = "how many rows?" if kind.value is None else "one number of rows is enough"
            span = stray[0].span if stray else kind.span
            raise MalformedSetting(span=span, word=role, reason=reason, form=form).error()
        part: Literal["source", "test"] = "test" if role == "test" else "source"
        count = self.reader.expression(kind.value)
        return spec.SourceLine(span=line.span, role=part, reader=GENERATE, files=(), count=count)

    def _argument(self, line: Line, leaf: Leaf) -> str:
        """What another source than `table` is told: a text, or a whole number."""
        tree = None if leaf is None else self.reader.expression(leaf)
        if isinstance(tree, spec.Number) and isinstance(tree.value, int) and not tree.percent:
            return str(tree.value)
        if not isinstance(tree, spec.Text):
            what = "a text in quotes or a whole number is needed"
            raise self.malformed(line, what, None if tree is None else tree.span)
        return tree.value

    def _file(self, line: Line, leaf: Leaf) -> str:
        tree = None if leaf is None else self.reader.expression(leaf)
        if not isinstance(tree, spec.Text):
            raise self.malformed(line, "a file's name in quotes is needed", None if tree is None else tree.span)
        if PurePosixPath(tree.value).suffix.lower() == ".json":
            what, instead = "one JSON value as a table", "write JSON lines (`rows.jsonl`): one object a line"
            raise NotYet(span=tree.span, what=what, instead=instead).error()
        return tree.value

    def read_split(self, line: Line) -> None:
        shares: list[spec.Share] = []
        folds: Clause | None = None
        stratify: str | None = None
        in_order = False
        for phrase in line.phrases:
            if phrase.value is not None or not phrase.clauses:
                raise self.malformed(line, "a part and its share are needed", phrase.span)
            share, *extra = phrase.clauses
            if share.word == "folds":
                folds = share
            else:
                shares.append(self._share(line, share))
            for clause in extra:
                if clause.word == "stratify" and name_in(clause.value) is not None:
                    stratify = name_in(clause.value)
                elif clause.word == "in" and name_in(clause.value) == "order":
                    in_order = True
                else:
                    raise self.malformed(line, f"`{clause.word}` does not belong here", clause.span)
        if not shares and folds is None:
            raise self.malformed(line, "the parts are missing", line.head)
        twice = refuse_twice([(s.name, s.span) for s in shares], "one split")
        self.problems.extend(twice)
        number = None if folds is None else self._folds(line, folds, shares)
        if not any(s.name == "train" for s in shares):
            raise NoTrainPart(span=line.span).error()
        total = sum(s.share for s in shares)
        if total > 1 + 1e-9 and not twice:
            raise TooMuchShared(span=shares[0].span.to(shares[-1].span), total=f"{100 * total:.6g}").error()
        self.split = spec.Split(
            span=line.span, shares=tuple(shares), stratify=stratify, in_order=in_order, folds=number
        )

    def _folds(self, line: Line, folds: Clause, shares: list[spec.Share]) -> int:
        """How many folds there are; puts the shares of `train` and `val` into the list, before `test`."""
        value = None if folds.value is None else self.reader.expression(folds.value)
        if not isinstance(value, spec.Number) or value.percent or not isinstance(value.value, int):
            raise self.malformed(line, "how many folds? `folds 5`", folds.span)
        if not 2 <= value.value <= MOST_FOLDS:
            raise FoldRange(span=value.span, count=value.value, most=MOST_FOLDS).error()
        stray = next((share for share in shares if share.name != "test"), None)
        if stray is not None:
            raise FoldsAndPart(span=stray.span, part=stray.name, count=value.value).error()
        rest = 1 - sum(share.share for share in shares)
        if rest <= 0:
            raise NoTrainPart(span=line.span).error()
        val = rest / value.value
        parts = [("train", val * (value.value - 1)), ("val", val)]
        shares[:0] = [spec.Share(span=folds.span, name=name, share=share) for name, share in parts]
        return value.value

    def _share(self, line: Line, clause: Clause) -> spec.Share:
        if clause.word not in PARTS:
            raise UnknownPart(span=clause.span, word=clause.word, advice=suggest(clause.word, PARTS)).error()
        value = None if clause.value is None else self.reader.expression(clause.value)
        if not isinstance(value, spec.Number) or not value.percent:
            raise self.malformed(line, "a share such as `70%` is needed", clause.span)
        if not 0 < value.value <= 1:
            raise ShareRange(span=value.span, share=f"{100 * value.value:.6g}").error()
        return spec.Share(span=clause.span, name=clause.word, share=float(value.value))

    def read_seed(self, line: Line) -> None:
        self.seed = self.whole(line)

    def read_window(self, line: Line) -> None:
        self.windows = read_window(self, line)

    def read_horizon(self, line: Line) -> None:
        self.horizon = read_horizon(self, line)

    def read_on(self, line: Line) -> None:
        """`on bad row skip`, or `error`."""
        bad, *rest = self.single(line).clauses or (None,)
        row = rest[0] if rest else None
        words = (bad.word if bad else "", row.word if row else "")
        policy = name_in(row.value) if row else None
        if words != ("bad", "row") or len(rest) > 1 or policy not in ("skip", "error"):
            raise self.malformed(line, "a bad row is left out (`skip`) or ends everything (`error`)", line.span)
        self.bad_rows = "skip" if policy == "skip" else "error"
