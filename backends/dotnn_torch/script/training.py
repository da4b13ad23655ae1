"""What is measured of the columns: loss, error and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn import spec
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Known
from dotnn.inputs.weigh import BALANCED
from dotnn.measures.apart import is_apart
from dotnn.updates.turns import Turn
from dotnn.words import names_in
from dotnn_torch.script.book import Book
from dotnn_torch.script.columns import weighing
from dotnn_torch.script.lines import Body
from dotnn_torch.script.text import ATOM, Code, call, docstring, free, indent
from dotnn_torch.script.words import Argument


class Figures(Body):
    """Loss, error and metrics of some rows."""

    def __init__(self, book: Book) -> None:
        train = book.trace.train
        blank = spec.Definition(span=train.span, word="function", name="", settings=None, inputs=(), body=())
        super().__init__(book, Known(blank, USER), "", False)
        self.used: list[str] = []
        self.places: list[tuple[str, str]] = []
        """By how much a batch counts in loss or error, where this is not by its rows."""

    def column(self, word: str) -> Code | None:
        if word not in self.book.trace.columns:
            return None
        if word not in self.used:
            self.used.append(word)
        return Code(free(word))

    def native(self, name: str, part: spec.Expression, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        names = [a.value.name for a in given if isinstance(a.value, spec.Name)]
        own = weighing(self.book).get(names[0]) if name == BALANCED and names and not flow else None
        if own is None:
            self.refuse(part, f"`{name}` of what is no column")
        if own not in self.used:
            self.used.append(own)
        return Code(own)

    def dim(self, word: str) -> Code | None:
        rows = self.column(self.book.trace.columns[0]) if word == "b" else None
        return None if rows is None else Code(f"len({rows.text})")

    def whole_net(self, known: Known) -> Code:
        several = len(self.book.nets) > 1
        return Code(f"{self.book.whole}.{known.name}" if several else self.book.whole)

    def mean(
        self,
        objective: spec.Expression,
        where: spec.Expression | None,
        weights: spec.Expression | None = None,
        at: str = "",
    ) -> str:
        """The mean over all places, or over those of ``where``; ``at``: a name for what it is the mean of."""
        x = self.argument(objective)
        if not x.tensors:
            self.refuse(objective, "a number that nothing changes")
        value = at or x.real.text
        if at:
            self.put(f"{at} = {x.real.text}")
        if weights is not None:
            if all(t.rank == 0 for t in x.tensors):
                self.refuse(objective, "a mean whose rows are weighed")
            self.book.helpers.add("weighted")
            kept = "" if where is None else f", {self.code(where).text}"
            return f"weighted_mean({value}, {self.argument(weights).real.text}{kept})"
        if where is not None:
            self.book.helpers.add("kept")
            return f"mean_where({value}, {self.code(where).text})"
        if all(t.rank == 0 for t in x.tensors):
            return x.real.text
        return f"{x.real.at(ATOM)}.mean()"

    def objective(self, name: str, part: spec.Objective) -> str:
        """The loss or the error of these rows. Notes how many places it is the mean of, where rows may count unlike."""
        if part.where is None and part.weights is None:
            return self.mean(part.value, None)
        at = f"{free(name)}_at"
        made = self.mean(part.value, part.where, part.weights, at)
        kept = [] if part.where is None else [self.code(part.where)]
        if part.weights is None:
            count = f"{kept[0].at(ATOM)}.expand_as({at}).sum()"
        else:
            self.book.helpers.add("weights")
            count = call("weights_of", at, self.argument(part.weights).real.text, *(k.text for k in kept)).text
        self.places.append((f"{name} places", count))
        return made

    def shown(self, entries: list[tuple[str, str]]) -> None:
        """Gives the loss and the error their names, where a metric reads them."""
        read = {word for metric in self.book.trace.train.metrics for word in names_in(metric.value)}
        for place, (name, made) in enumerate(entries):
            if name in read and name not in self.names and name not in self.book.trace.columns:
                self.put(f"{free(name)} = {made}")
                self.names[name] = Code(free(name))
                entries[place] = name, free(name)

    def table(self, metric: spec.Metric, rank: int) -> str:
        """A metric that is a list or a table of numbers, as it is."""
        x = self.argument(metric.value)
        if metric.weights is not None or any(t.rank != rank for t in x.tensors):
            self.refuse(metric.value, "a metric that is a table for each row, or weighed,")
        return x.code.text

    # ---- in the order in which it is computed

    def outputs(self) -> None:
        """The results of the net that the block names, of the columns of its inputs' names."""
        net = self.book.trace.builder.net
        columns = [self.column(p.name) for p in net.definition.inputs]
        frame = self.book.trace.frames[id(net.definition)][net.name]
        given = []
        for code, p in zip(columns, net.definition.inputs, strict=True):
            assert code is not None
            value = frame.columns[p.name] if frame.columns else None
            given.append(Argument(code, [value] if value else []))
        names = [free(n) for n in self.book.trace.results]
        self.put(f"{', '.join(names)} = {self.net(net.definition.body[0], net, given).text}")
        self.names |= {n: Code(free(n)) for n in self.book.trace.results}

    def loss_of(self, turn: Turn, drawn: Sequence[str], more: bool) -> str:
        """The loss of one step among others, which draws numbers of its own.

        drawn: the places that draw; more: whether something else is measured after it.
        """
        read = {word for part in (turn.loss, *turn.assigns) for word in names_in(part)}
        draws = bool(read & drawing_nets(self.book, drawn)) or any(root(path) == turn.name for path in drawn)
        before, self.base = dict(self.names), turn.name
        if draws:
            self.put(f'random.turn = "{turn.name}"')
        self.block(turn.assigns)
        made, name = self.objective(turn.own("loss"), turn.loss), f"{free(turn.name)}_loss"
        self.base, self.names = "", before
        if not draws or not more:
            return made
        self.put(f"{name} = {made}")
        self.put('random.turn = ""')
        return name

    def taken(self) -> list[str]:
        """The columns that were named."""
        order = [n for n in (*self.book.trace.columns, *weighing(self.book).values()) if n in self.used]
        read = [f'rows["{name}"]' for name in order]
        return [f"{', '.join(map(free, order))} = {', '.join(read)}", *self.followed(order)] if order else []


def root(path: str) -> str:
    """The first word of a path."""
    return path.partition(".")[0].partition("[")[0]


def drawing_nets(book: Book, drawn: Sequence[str]) -> set[str]:
    """The nets that draw numbers. ``drawn``: the places that do."""
    return {root(path) for path in drawn} & {net.name for net in book.nets}


def write_figures(book: Book) -> list[str]:
    """`figures(net, rows)`: all that is measured; with steps that take turns, outside of training."""
    train, turns = book.trace.train, book.trace.turns
    body = Figures(book)
    if book.trace.builder.net is not None:
        body.outputs()
    body.block(train.assigns)
    alone = not turns[0].name
    entries = [("loss", body.objective("loss", turns[0].loss))] if alone else []
    for turn in () if alone else turns:
        entries.append((turn.own("loss"), body.loss_of(turn, book.trace.outside, True)))
    if train.error is not None:
        entries.append(("error", body.objective("error", train.error)))
    body.shown(entries)
    metrics: list[tuple[str, str]] = []
    tables = {figure.name: len(figure.dims) for figure in book.trace.figures if figure.dims}
    for metric in (metric for metric in train.metrics if not is_apart(metric)):
        if metric.name in tables:
            metrics.append((metric.name, body.table(metric, tables[metric.name])))
        else:
            metrics.append((metric.name, body.mean(metric.value, None, metric.weights)))
    made = ["return {", *_pairs(entries if alone else [*entries, *metrics]), "}"]
    if alone and (metrics or body.places):
        made = ["made = {", *_pairs(entries), "}"]
        for when, pairs in ((f"if {book.whole}.training:", body.places), (f"if not {book.whole}.training:", metrics)):
            made += [when, "    made |= {", *indent(_pairs(pairs)), "    }"] if pairs else []
        made.append("return made")
    told = "`loss` is what training makes small" if alone else "each loss is what its step makes small"
    lines = [*docstring(f"What is measured on these rows; {told}."), *body.taken(), *body.lines, *made]
    return [f"def figures({book.whole}, rows):", *indent(lines)]


def _pairs(entries: Sequence[tuple[str, str]]) -> list[str]:
    return [f'    "{name}": {value},' for name, value in entries]
