"""The columns of the data, and what is measured of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dotnn import spec
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Known, Tensor
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.helpers import HELPERS
from dotnn_torch.script.lines import Body
from dotnn_torch.script.text import ATOM, Code, call, comment, docstring, free, indent
from dotnn_torch.script.words import Argument

# ---- the data


class Columns(Writer):
    """The lines of a data block."""

    def __init__(self, book: Book) -> None:
        super().__init__(book, USER, "", False)
        self.now = ""
        self.count = 0
        self.generated = book.trace.builder.block.generated

    def code(self, part: spec.Expression) -> Code:
        first = part.first if isinstance(part, spec.ColumnOf) else self._array(part)
        if first:
            self.count += 1
            name = self.now if self.count == 1 else f"{self.now}.{first}"
            return Code(f'rows["{name}"]')
        return super().code(part)

    def _array(self, part: spec.Expression) -> str:
        """An array of the source that is named as it is, `pixels`; empty where this is none."""
        if not isinstance(part, spec.Name) or part.name not in self.book.trace.builder.block.arrays:
            return ""
        return part.name if part.name == self.now or part.name not in self.names else ""

    def native(self, name: str, part: spec.Expression, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        (x,) = [*flow, *(self.argument(a.value) for a in given)]
        if any(re.search(rf"\b{free(n)}\b(?!\")", x.code.text) for n in self.names):
            self.refuse(part, "what is fitted on a column that another line makes")
        self.book.helpers.add("fitted")
        return call(name, x.real.text, x.real.text.replace("rows[", "train["))

    def line(self, column: spec.Column) -> str:
        self.now, self.count = column.name, 0
        block = self.book.trace.builder.block
        drawn = block.generated and not block.lineage.fitted(column.name, len(block.lineage.wordings[column.name]) - 1)
        looks = block.cut is not None or isinstance(column.value, spec.Shifted)
        if looks and column.name not in self.book.trace.stored:
            self.refuse(column.value, "a column that is computed in windows")
        if drawn or looks:
            self.names[column.name] = Code(free(column.name))
            return f'{free(column.name)} = rows["{column.name}"]'
        if len(block.lineage.wordings[column.name]) > 1:
            self.refuse(column.value, "a column that replaces another")
        x = self.argument(column.value)
        made = x.code
        form = column.type
        if form is not None and form.dims is not None:
            found = [v for v in x.values if isinstance(v, Tensor)]
            dims = [self.code(d.size).text for d in form.dims if isinstance(d, spec.Dim)]
            if [str(d) for d in found[0].dims[1:]] != dims:
                made = Code(f"{made.at(ATOM)}.reshape(-1, {', '.join(dims)})")
        self.names[column.name] = Code(free(column.name))
        return f"{free(column.name)} = {made.text}"


def write_data(book: Book) -> list[str]:
    """`read(split)`: the columns of a split, and before it what it needs."""
    columns = Columns(book)
    wanted = book.trace.columns
    lines = [columns.line(c) for c in book.trace.data.columns if c.name in wanted]
    stored = {raw.name for raw in book.trace.program.inputs}
    if stored == set(wanted) and all(line in (f'{free(n)} = rows["{n}"]' for n in wanted) for line in lines):
        told = "drawn as the spec says" if columns.generated else "as the spec makes them of the table's"
        loaded = [line.removeprefix("    ") for line in HELPERS["load"][2:]]
        read = ["def read(split):", *indent([*docstring(f"The columns of a split, {told}."), *loaded])]
        return [*comment(book.trace.data.doc), *read]
    fitted = "fitted" in book.helpers
    first = ['rows, train = load(split), load("train")'] if fitted else ["rows = load(split)"]
    pairs = ", ".join(f'"{name}": {free(name)}' for name in wanted)
    doc = docstring("The columns of a split, as the spec makes them of the table's.")
    read = ["def read(split):", *indent([*doc, *first, *lines, f"return {{{pairs}}}"])]
    helpers = [*HELPERS["load"], "", ""] + ([*HELPERS["fitted"], "", ""] if fitted else [])
    return [*helpers, *comment(book.trace.data.doc), *read]


# ---- what is measured


class Figures(Body):
    """Loss, error and metrics of some rows."""

    def __init__(self, book: Book, net: Known | None) -> None:
        train = book.trace.train
        blank = spec.Definition(span=train.span, word="function", name="", settings=None, inputs=(), body=())
        super().__init__(book, Known(blank, USER), "", False)
        self.the_net = net
        self.used: list[str] = []
        self.places: list[tuple[str, str]] = []
        """By how much a batch counts in loss or error, where this is not by its rows."""

    def column(self, word: str) -> Code | None:
        if word not in self.book.trace.columns:
            return None
        if word not in self.used:
            self.used.append(word)
        return Code(free(word))

    def dim(self, word: str) -> Code | None:
        rows = self.column(self.book.trace.columns[0]) if word == "b" else None
        return None if rows is None else Code(f"len({rows.text})")

    def net(self, part: spec.Expression, known: Known, given: list[Argument]) -> Code:
        if self.the_net is None or known.definition is not self.the_net.definition:
            self.refuse(part, "another net")
        inputs = known.definition.inputs
        return call("net", *(self.accepted(a, p).text for a, p in zip(given, inputs, strict=False)))

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
        at = f"{name}_at"
        made = self.mean(part.value, part.where, part.weights, at)
        kept = [] if part.where is None else [self.code(part.where)]
        if part.weights is None:
            count = f"{kept[0].at(ATOM)}.expand_as({at}).sum()"
        else:
            self.book.helpers.add("weights")
            count = call("weights_of", at, self.argument(part.weights).real.text, *(k.text for k in kept)).text
        self.places.append((f"{name} places", count))
        return made

    def table(self, metric: spec.Metric, rank: int) -> str:
        """A metric that is a list or a table of numbers, as it is."""
        x = self.argument(metric.value)
        if metric.weights is not None or any(t.rank != rank for t in x.tensors):
            self.refuse(metric.value, "a metric that is a table for each row, or weighed,")
        return x.code.text


def write_figures(book: Book, net: Known | None) -> list[str]:
    train = book.trace.train
    body = Figures(book, net)
    if net is not None:
        columns = [body.column(p.name) for p in net.definition.inputs]
        frame = book.trace.frames[id(net.definition)][net.name]
        given = []
        for code, p in zip(columns, net.definition.inputs, strict=True):
            assert code is not None
            value = frame.columns[p.name] if frame.columns else None
            given.append(body.accepted(Argument(code, [value] if value else []), p).text)
        names = [free(n) for n in book.trace.results]
        body.put(f"{', '.join(names)} = {call('net', *given).text}")
        body.names |= {n: Code(free(n)) for n in book.trace.results}
    body.block(train.assigns)
    entries = [("loss", body.objective("loss", book.trace.turn.loss))]
    if train.error is not None:
        entries.append(("error", body.objective("error", train.error)))
    metrics: list[tuple[str, str]] = []
    tables = {figure.name: len(figure.dims) for figure in book.trace.program.figures if figure.dims}
    for metric in train.metrics:
        if metric.name in tables:
            metrics.append((metric.name, body.table(metric, tables[metric.name])))
        else:
            metrics.append((metric.name, body.mean(metric.value, None, metric.weights)))
    order = [n for n in book.trace.columns if n in body.used]
    first = f"{', '.join(free(n) for n in order)} = {', '.join(f'rows[{chr(34)}{n}{chr(34)}]' for n in order)}"
    made = ["return {", *_pairs(entries), "}"]
    if metrics or body.places:
        made = ["made = {", *_pairs(entries), "}"]
        for when, pairs in (("if net.training:", body.places), ("if not net.training:", metrics)):
            made += [when, "    made |= {", *indent(_pairs(pairs)), "    }"] if pairs else []
        made.append("return made")
    doc = docstring("What is measured on these rows; `loss` is what training makes small.")
    lines = [*doc, first, *body.lines, *made]
    return ["def figures(net, rows):", *indent(lines)]


def _pairs(entries: Sequence[tuple[str, str]]) -> list[str]:
    return [f'    "{name}": {value},' for name, value in entries]
