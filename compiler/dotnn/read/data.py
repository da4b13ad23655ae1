"""`data digits { … }`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar

from dotnn import spec
from dotnn.plugins import names
from dotnn.read.expressions import Branch, Leaf, UnevenAssignment, branch, kids, plural, refuse_twice
from dotnn.read.settings import Clause, Line, Settings, name_in, suggest
from dotnn_grammar.layout import NotYet
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Source, Span

TABLE = "table"
"""The source whose arguments are names of files."""

LATER_READERS = {
    "text": "texts",
    "images": "folders of pictures",
    "idx": "IDX files",
    "npz": "NumPy files",
    "generate": "rows that the spec makes itself",
    "jsonl": "JSON lines",
    "json": "JSON files",
    "parquet": "Parquet files",
    "arrow": "Arrow files",
}
LATER_SUFFIXES = {
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON files",
    ".parquet": "Parquet files",
    ".arrow": "Arrow files",
    ".feather": "Arrow files",
}
AS_TABLE = "write the rows as a CSV or TSV file (it may be compressed, `.gz`) and read it with `source table`"
PARTS = ("train", "val", "test")
FORMS = ("int", "bool", "u8", "class")


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


class NoColumns(Problem):
    code = "R026"
    title = "data `{name}` has no columns"
    label = "this block"
    help = "name what is to be used of the table: `label = column digit`, `image = columns p0 to p63 as [8, 8]`"
    name: str


class DataBlock(Settings):
    block = "a data block"
    forms: ClassVar[dict[str, str]] = {
        "source": 'source table "data/digits.csv"',
        "test": 'test table "data/exam.csv"',
        "split": "split train 70%, val 15%, test 15%  stratify label",
        "seed": "seed 1",
    }

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.sources: list[spec.SourceLine] = []
        self.columns: list[spec.Column] = []
        self.split: spec.Split | None = None
        self.seed = 0

    def read(self, tree: Branch, doc: str) -> spec.Data | None:
        """The block, or None where ``problems`` says what is wrong with it."""
        name, *lines = kids(tree)
        head = self.reader.span(tree).to(self.reader.span(name))
        for line in lines:
            if line is not None:
                self.attempt(lambda line=line: self._line(branch(line)))  # type: ignore[misc]
        if "source" not in self.seen:
            self.missing("source", self.forms["source"], "where the rows come from", head)
        if not self.columns and not self.problems:
            self.problems.append(NoColumns(span=head, name=str(name)))
        self.problems.extend(refuse_twice([(c.name, c.span) for c in self.columns], "one data block"))
        if self.problems:
            return None
        return spec.Data(
            span=self.reader.span(tree),
            name=str(name),
            sources=tuple(self.sources),
            columns=tuple(self.columns),
            split=self.split,
            seed=self.seed,
            doc=doc,
        )

    def _line(self, tree: Branch) -> None:
        if tree.data == "column":
            self._columns(tree)
        else:
            self.setting(tree)

    # ---- columns

    def _columns(self, tree: Branch) -> None:
        """`cx, cy = a, b` is two columns."""
        targets, *rest = kids(tree)
        values = [branch(v) for v in rest if v is not None and branch(v).data == "column_value"]
        left = [self.reader.target(branch(t)) for t in kids(branch(targets))]
        bound = any(v is not None and branch(v).data == "binder" for v in rest)
        if bound or any(t.indices is not None for t in left):
            what, instead = "a column made by an equation", "put its numbers into the file"
            raise NotYet(span=self.reader.span(targets), what=what, instead=instead).error()
        if len(left) != len(values):
            names, given = plural(len(left), "name"), plural(len(values), "value")
            raise UnevenAssignment(span=self.reader.span(targets), names=names, values=given).error()
        for target, value in zip(left, values, strict=True):
            span = target.span.to(self.reader.span(value))
            self.columns.append(self._column(target.name, value, span))

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
            what = f"texts cut into pieces by `{kids(tree)[0]}`"
            instead = "put numbers into the file: one column for each place, with the index of the piece"
            raise NotYet(span=self.reader.span(tree), what=what, instead=instead).error()
        read = self.reader.type(tree)
        if read.word is not None and read.word not in FORMS:
            advice = suggest(read.word, FORMS)
            raise UnknownForm(span=read.span, word=read.word, advice=advice).error()
        return read

    # ---- the lines

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
        readers = names("source")
        if kind.word in LATER_READERS and kind.word not in readers:
            raise NotYet(span=kind.span, what=f"data from {LATER_READERS[kind.word]}", instead=AS_TABLE).error()
        if kind.word not in readers:
            raise UnknownReader(span=kind.span, word=kind.word, advice=suggest(kind.word, tuple(readers))).error()
        stray = [*extra, *(c for p in more for c in p.clauses)]
        if stray:
            raise self.malformed(line, f"`{stray[0].word}` does not belong here", stray[0].span)
        values = [kind.value, *(p.value for p in more)]
        read = self._file if kind.word == TABLE else self._argument
        files = tuple(read(line, value) for value in values)
        return spec.SourceLine(
            span=line.span, role="test" if role == "test" else "source", reader=kind.word, files=files
        )

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
        name = PurePosixPath(tree.value.removesuffix(".gz"))
        if name.suffix.lower() in LATER_SUFFIXES:
            what = f"data from {LATER_SUFFIXES[name.suffix.lower()]}"
            raise NotYet(span=tree.span, what=what, instead=AS_TABLE).error()
        if any(sign in tree.value for sign in "*?["):
            instead = 'name each file: `source table "a.csv", "b.csv"`'
            raise NotYet(span=tree.span, what="many files by one pattern", instead=instead).error()
        return tree.value

    def read_split(self, line: Line) -> None:
        shares: list[spec.Share] = []
        stratify: str | None = None
        in_order = False
        for phrase in line.phrases:
            if phrase.value is not None or not phrase.clauses:
                raise self.malformed(line, "a part and its share are needed", phrase.span)
            share, *extra = phrase.clauses
            shares.append(self._share(line, share))
            for clause in extra:
                if clause.word == "stratify" and name_in(clause.value) is not None:
                    stratify = name_in(clause.value)
                elif clause.word == "in" and name_in(clause.value) == "order":
                    in_order = True
                else:
                    raise self.malformed(line, f"`{clause.word}` does not belong here", clause.span)
        if not shares:
            raise self.malformed(line, "the parts are missing", line.head)
        twice = refuse_twice([(s.name, s.span) for s in shares], "one split")
        self.problems.extend(twice)
        if not any(s.name == "train" for s in shares):
            raise NoTrainPart(span=line.span).error()
        total = sum(s.share for s in shares)
        if total > 1 + 1e-9 and not twice:
            raise TooMuchShared(span=shares[0].span.to(shares[-1].span), total=f"{100 * total:.6g}").error()
        self.split = spec.Split(span=line.span, shares=tuple(shares), stratify=stratify, in_order=in_order)

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
