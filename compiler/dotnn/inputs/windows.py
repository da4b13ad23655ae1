"""Columns of windows: what a line means a few steps later, and where each raw input stands in the stream.

    passengers = standardise(log(column passengers))
    next       = passengers shifted by 1         # the same line, one step later
    coming     = ahead(passengers)               # the steps after the window, as many as `horizon` says
    window     12
    horizon    3

A line is never copied or moved: it is worked out once more, on inputs that stand elsewhere in the stream. What is
fitted on data is fitted once, on the steps as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pydantic import BaseModel

from dotnn import plugins
from dotnn.data.steps import Cut
from dotnn.data.text import TEXT
from dotnn.data.tokens import UnknownSetting, fitted
from dotnn.data.windows import Book, read_book
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.large import refuse_size
from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.numbers import positive, whole
from dotnn.elaborate.problems import NotThatKind, OutOfPlace, UnknownName
from dotnn.elaborate.values import Tensor
from dotnn.inputs.lineage import Lineage, wording_of
from dotnn.program import RawColumn, Setting, Tokens
from dotnn.read.data import FORMS
from dotnn.read.windows import RUNNING
from dotnn.spec import Call, Column, ColumnOf, Name, Shifted, Spec, TypeText
from dotnn.tape import Tape
from dotnn.words import Number, Text, Truth, names_in, parts_in
from dotnn_grammar.problems import Problem, perhaps
from dotnn_grammar.source import Span

if TYPE_CHECKING:
    from dotnn.inputs.block import DataBlock
    from dotnn.inputs.columns import Columns

AHEAD = "ahead"
"""`ahead(x)`: the steps that follow a window."""

CHUNKS = 16
"""Pieces of a text that a check looks at, of each file: a million characters, a vocabulary in about a second."""


class NothingFollows(Problem):
    code = "B190"
    title = "`{name}` has nothing that comes later: the rows of this table stand each for themselves"
    label = "later in what?"
    help = (
        "where rows follow each other in time, say how many are looked at together (`window 12`); texts that are cut "
        "into pieces can be shifted as they are"
    )
    name: str


class AheadOfWhat(Problem):
    code = "B191"
    title = "`ahead` is what follows a window, and {why}"
    label = "written here"
    help = "{way}"
    why: str
    way: str


class TwoCuts(Problem):
    code = "B192"
    title = "the text is cut by `{first}` already"
    label = "cut otherwise here"
    help = "one text is cut in one way, so that its pieces stand side by side: compute from `{column}` instead"
    first: str
    column: str


class NotCut(Problem):
    code = "B193"
    title = "a text becomes numbers piece by piece, and this does not say how"
    label = "not cut"
    help = "write `{name} = characters`, or `words(vocab = 4_000)`, or `bpe(vocab = 4_000)`; compute on other lines"
    name: str


class HorizonOfNothing(Problem):
    code = "B232"
    title = "a `horizon` is how far `ahead(…)` looks, and no column looks ahead"
    label = "nobody looks so far"
    help = "name what is to be foretold, `coming = ahead({name})`, or leave `horizon` out; `shifted by 1` needs none"
    name: str


class View(NamedTuple):
    """From where a line looks at the stream."""

    later: int = 0
    ahead: bool = False

    @property
    def mark(self) -> str:
        """For the names of what is worked out from there: empty for the window itself."""
        return f">{self.later}{'+' if self.ahead else ''}" if self.later or self.ahead else ""


# ---- how a block is cut


def cut_of(lineage: Lineage, spec: Spec | None, params: Mapping[str, Any]) -> Cut | None:
    """What the lines `window` and `horizon` come to; None where there are none. Raises ``ProblemError``."""
    windows = lineage.root.windows
    if windows is None:
        if not any(line.count is not None for line in lineage.root.sources):
            _refuse_later(lineage)
        return None
    frame = Frame(
        Machine(Tape("scratch"), "predict", Library(spec.definitions if spec else ()), dict(params)), USER, ""
    )
    size = positive(frame, windows.size, "the length of a window")
    text = any(line.reader in RUNNING for line in lineage.root.sources)
    by = (size if text else 1) if windows.by is None else positive(frame, windows.by, "the step from window to window")
    horizon = 1 if windows.horizon is None else positive(frame, windows.horizon, "the horizon")
    first, last, answers = 0, size, []
    if windows.horizon is not None and not _looks_ahead(lineage):
        name = next(iter(lineage.wordings), "x")
        raise HorizonOfNothing(span=windows.horizon.span, name=name).error()
    for view in _views(lineage, frame):
        start = view.later + (size if view.ahead else 0)
        first, last = min(first, start), max(last, start + (horizon if view.ahead else size))
        answers += [start] if start > 0 else []
    return Cut(size, by, horizon, -first, last - size, min(answers, default=0))


def _looks_ahead(lineage: Lineage) -> bool:
    lines = (line for wordings in lineage.wordings.values() for line in wordings)
    return any(isinstance(part, Call) and is_ahead(part) for line in lines for part in parts_in(line.value))


def _refuse_later(lineage: Lineage) -> None:
    """Rows that stand each for themselves have nothing later, but for texts that are cut into pieces.

    Said before anything else: without the window every column has a dim less. Raises B190, B191.
    """
    texts = {n for n, w in lineage.wordings.items() if w[0].type is not None and w[0].type.word not in (None, *FORMS)}
    for part in (part for wordings in lineage.wordings.values() for line in wordings for part in parts_in(line.value)):
        if isinstance(part, Call) and is_ahead(part):
            way = "say how many rows are looked at before it: `window 12`"
            raise AheadOfWhat(span=part.span, why="there is no `window`", way=way).error()
        if isinstance(part, Shifted) and texts.isdisjoint(names_in(part.value)):
            name = next((n for n in names_in(part.value)), "it")
            raise NothingFollows(span=part.span, name=name).error()


FAR = "x shifted by 1 is what comes next, by -1 what came before"


def _views(lineage: Lineage, frame: Frame) -> Iterator[View]:
    """From where the columns look at the stream, all told."""
    seen: set[tuple[str, int, View]] = set()

    def column(name: str, number: int, view: View) -> Iterator[View]:
        if number >= 0 and (name, number, view) not in seen:
            seen.add((name, number, view))
            yield from within(lineage.wordings[name][number].value, name, number, view)

    def within(part: Any, name: str, number: int, view: View) -> Iterator[View]:
        if isinstance(part, tuple):
            for each in part:
                yield from within(each, name, number, view)
        elif isinstance(part, Shifted):
            by = whole(frame, part.by, "how far it is shifted", FAR)
            yield from within(part.value, name, number, View(view.later + by, view.ahead))
        elif isinstance(part, Call) and is_ahead(part):
            yield from within(part.arguments, name, number, View(view.later, True))
        elif isinstance(part, Name) and part.name in lineage.wordings:
            other = number - 1 if part.name == name else len(lineage.wordings[part.name]) - 1
            yield from column(part.name, other, view)
        elif isinstance(part, Name | ColumnOf):
            yield view
        elif isinstance(part, BaseModel):
            for field in type(part).model_fields:
                yield from within(getattr(part, field), name, number, view)

    for name, wordings in lineage.wordings.items():
        yield from column(name, len(wordings) - 1, View())


def is_ahead(call: Call) -> bool:
    """Whether a call is `ahead(…)`, what comes after the window."""
    return isinstance(call.function, Name) and call.function.name == AHEAD


# ---- lines that look elsewhere


def shifted(columns: Columns, frame: Frame, written: Shifted) -> Any:
    """`token shifted by 1`. Raises ``ProblemError``."""
    if columns.block.generated:
        way = "draw the later numbers too, and give each its place: both = normal(0, 1)[13]"
        frame.fail(OutOfPlace, written, what="`shifted by` of rows that are drawn one by one", way=way)
    by = whole(frame, written.by, "how far it is shifted", FAR)
    if by == 0:
        frame.fail(NotThatKind, written.by, wanted="a step forward or back", found="none", way=FAR)
    refuse_size(frame, written.by, abs(by), "how far it is shifted")
    return _seen_from(
        columns, View(columns.view.later + by, columns.view.ahead), partial(evaluate, frame, written.value)
    )


def ahead(columns: Columns, frame: Frame, written: Call) -> Any:
    """`ahead(passengers)`. Raises ``ProblemError``."""
    if columns.block.cut is None:
        way = "say how many rows are looked at before it: `window 12`"
        raise AheadOfWhat(span=written.span, why="there is no `window`", way=way).error()
    if columns.view.ahead:
        way = "one `ahead` is enough; a longer one is a longer `horizon`"
        raise AheadOfWhat(span=written.span, why="this is ahead already", way=way).error()
    if len(written.arguments) != 1 or written.arguments[0].name is not None:
        why = "this names more than a column" if len(written.arguments) > 1 else "this does not say of what"
        way = "name one column: ahead(passengers); how many steps it has is said by a line `horizon 3`"
        raise AheadOfWhat(span=written.span, why=why, way=way).error()
    inner = written.arguments[0].value
    if isinstance(inner, Number | Text | Truth):
        way = "name a column: ahead(passengers); how many steps it has is said by a line `horizon 3`"
        raise AheadOfWhat(span=written.span, why="this is no column", way=way).error()
    return _seen_from(columns, View(columns.view.later, True), partial(evaluate, frame, inner))


def _seen_from(columns: Columns, view: View, look: Callable[[], Any]) -> Any:
    before, columns.view = columns.view, view
    try:
        return look()
    finally:
        columns.view = before


def fit_first(columns: Columns, name: str, number: int) -> None:
    """What is fitted is fitted on a line as it stands, and holds wherever it is looked at from."""
    if not columns.view.mark:
        return
    if columns.block.lineage.fitted(name, number) and (name, number) not in columns.making:
        _seen_from(columns, View(), partial(columns.at, name, number))
    ours = wording_of(name, number)
    for path in [path for path in columns.fitted if path.partition(":")[2] == ours]:
        del columns.fitted[path]


def per_step(columns: Columns, x: Tensor) -> bool:
    """Whether the first dim of each row is that of a window's steps."""
    cut = columns.block.cut
    return cut is not None and x.rank > 1 and x.dims[1] == (cut.horizon if columns.view.ahead else cut.size)


# ---- raw inputs


def placed(columns: Columns, raw: RawColumn, first: str, span: Span) -> RawColumn:
    """A raw input where the line looks at the stream, under a name of its own; one that is fed already under its name.

    Raises B190.
    """
    view, cut = columns.view, columns.block.cut
    if cut is None and not view.mark:
        return raw
    if cut is None and raw.tokens is None:
        raise NothingFollows(span=span, name=first).error()
    if cut is not None:
        steps = cut.horizon if view.ahead else cut.size
        start = view.later + (cut.size if view.ahead else 0)
        raw = raw.model_copy(update={"steps": steps, "later": start, "dims": (steps, *raw.dims)})
    else:
        raw = raw.model_copy(update={"later": view.later})
    for other in columns.raws.values():
        if other.model_copy(update={"name": raw.name}) == raw:
            return other
    outer = columns.making[0][0]
    names = [outer, f"{outer}.{first}", f"{outer}.{first}.{raw.later}"]
    return raw.model_copy(update={"name": next((n for n in names if n not in columns.raws), names[-1])})


def book_of(block: DataBlock) -> Book:
    """The text of a block; where it is looked at quickly, its beginning. Raises ``ProblemError``."""
    if block.quick not in block.books:
        book = read_book(block.lineage.root, block.folder, CHUNKS if block.quick else None)
        block.books[block.quick], block.is_whole = book, block.is_whole and book.is_whole
    return block.books[block.quick]


def tokens_of(block: DataBlock, word: str, settings: Mapping[str, Setting], span: Span) -> Tokens:
    """How the pieces of a text become numbers, fitted on its training part. Raises D063 to D068."""
    assert block.cut is not None
    if "length" in settings:
        advice = "`window` says how long an example is"
        raise UnknownSetting(span=span, word=word, name="length", advice=advice).error()
    marked = next((name for name in ("start", "end") if settings.get(name)), None)
    if marked is not None:
        advice = "windows are cut out of one long text wherever they fall, and have no such place"
        raise UnknownSetting(span=span, word=word, name=marked, advice=advice).error()
    return fitted(word, {**settings, "length": block.cut.size}, book_of(block).training, TEXT, span)


def running(columns: Columns, column: Column) -> Tensor | None:
    """`token = characters`: a text, cut into pieces; None where the line is something else. Raises ``ProblemError``."""
    value = column.value
    function = value.function if isinstance(value, Call) else value
    if not isinstance(function, Name) or function.name in columns:
        return None
    cutters, machine = plugins.names("tokenizer"), columns.machine
    if function.name not in cutters:
        if isinstance(value, Call) and is_ahead(value):
            return None
        known = function.name in machine.params or machine.library.find(function.name, USER) is not None
        if not known and function.name not in columns.frame(column, 0).names:
            near = perhaps(function.name, cutters, f"a text is cut by: {', '.join(cutters)}")
            machine.fail(UnknownName, function, USER, name=function.name, near=near)
        return None
    form = TypeText(span=value.span, word=function.name, arguments=value.arguments if isinstance(value, Call) else ())
    return cut_text(columns, column, form)


def cut_text(columns: Columns, column: Column, form: TypeText) -> Tensor:
    """The pieces of the text, by the tokenizer that ``form`` names."""
    word, settings = str(form.word), columns.settings(form)
    tokens = columns.block.tokens(TEXT, form.span, word, settings)
    for known in columns.raws.values():
        if known.tokens is not None and known.tokens != tokens:
            first = known.tokens.tokenizer
            raise TwoCuts(span=form.span, first=first, column=known.name.partition(".")[0]).error()
    raw = RawColumn(name=column.name, columns=(TEXT,), dtype="i64", bound=len(tokens.pieces), tokens=tokens)
    return columns.fed(column, raw, TEXT)


def not_cut(column: Column) -> NoReturn:
    """Raises ``ProblemError``: the column is of a long text, and does not say how that is cut into pieces."""
    raise NotCut(span=column.value.span, name=column.name).error()
