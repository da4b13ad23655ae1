"""The columns of the data: as a split has them, and as training sees them, altered anew each time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from dotnn import spec
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Tensor
from dotnn.inputs.augment import Augmented
from dotnn.inputs.weigh import BALANCED
from dotnn.inputs.windows import View, is_ahead
from dotnn.words import names_in, parts_in
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.helpers import FITTED, HELPERS
from dotnn_torch.script.partial import shaped
from dotnn_torch.script.text import ATOM, Code, call, comment, docstring, free, indent
from dotnn_torch.script.trace import Altered
from dotnn_torch.script.words import Argument, one

STANDARDISE = "standardise"
AS = {"f32": "float", "i64": "long", "bool": "bool", "u8": "byte"}
"""How a tensor becomes one of another type."""


class Columns(Writer):
    """The lines of a data block."""

    def __init__(self, book: Book) -> None:
        super().__init__(book, USER, "", False)
        self.now = ""
        self.count = 0
        self.block = book.trace.builder.block
        self.generated = self.block.generated
        self.view = View()
        self.texts: dict[str, str] = {}
        """What each column is made of."""

    def code(self, part: spec.Expression) -> Code:
        if isinstance(part, spec.Shifted):
            (by,) = set(self.values(part.by))
            return self.seen_from(View(self.view.later + int(by), self.view.ahead), part.value)
        if isinstance(part, spec.Call) and is_ahead(part):
            return self.seen_from(View(self.view.later, True), part.arguments[0].value)
        first, last = (part.first, part.last) if isinstance(part, spec.ColumnOf) else (self._array(part), None)
        if first and self.block.cut is not None:
            return Code(f'rows["{self._raw(part, first, last)}"]')
        if first:
            self.count += 1
            name = self.now if self.count == 1 else f"{self.now}.{first}"
            return Code(f'rows["{name}"]')
        if self.view.mark and isinstance(part, spec.Name) and part.name in self.block.columns:
            return self.code(self.block.columns[part.name].value)
        return super().code(part)

    def seen_from(self, view: View, part: spec.Expression) -> Code:
        """What a part is where the line looks elsewhere in the stream."""
        before, self.view = self.view, view
        made = self.code(part)
        self.view = before
        return made

    def _raw(self, part: spec.Expression, first: str, last: str | None) -> str:
        """What the files call a column of the table, seen from here."""
        cut = self.block.cut
        steps = cut.horizon if self.view.ahead else cut.size
        later = self.view.later + (cut.size if self.view.ahead else 0)
        for raw in self.book.trace.program.inputs:
            ends = (raw.columns[0], raw.columns[-1])
            if ends == (first, last or first) and (raw.steps, raw.later) == (steps, later):
                return raw.name
        return self.refuse(part, "a column that is seen from elsewhere in the stream")

    def _array(self, part: spec.Expression) -> str:
        """An array of the source that is named as it is, `pixels`; empty where this is none."""
        if not isinstance(part, spec.Name) or part.name not in self.block.arrays:
            return ""
        return part.name if part.name == self.now or part.name not in self.names else ""

    def native(self, name: str, part: spec.Expression, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        (x,) = [*flow, *(self.argument(a.value) for a in given)]
        if self.block.cut is not None:
            self.refuse(part, "what is fitted on rows that are windows")
        if any(re.search(rf"\b{free(n)}\b(?!\")", x.code.text) for n in self.names):
            self.refuse(part, "what is fitted on a column that another line makes")
        if name == BALANCED:
            return self.balanced(x)
        self.book.helpers.add(STANDARDISE)
        return call(name, x.real.text, x.real.text.replace("rows[", "train["))

    def balanced(self, x: Argument) -> Code:
        """`balanced(label)`: by the classes of the training rows."""
        self.book.helpers.add(BALANCED)
        classes = one([2 if t.value.dtype == "bool" else t.bound for t in x.tensors], "a number of classes")
        return call(BALANCED, x.code.text, x.code.text.replace("rows[", "train["), str(classes))

    def write_list(self, part: spec.List) -> Code:
        items = [self.argument(item.value) for item in part.items]
        if any(not a.tensors for a in items) or len({t.rank for a in items for t in a.tensors}) != 1:
            self.refuse(part, "a list of columns that are not of one size")
        wide = len({dtype for a in items for dtype in a.dtypes}) > 1
        return call("torch.stack", f"[{', '.join((a.real if wide else a.code).text for a in items)}]", "-1")

    def line(self, column: spec.Column) -> str:
        self.now, self.count = column.name, 0
        block = self.block
        drawn = self.generated and not block.lineage.fitted(column.name, len(block.lineage.wordings[column.name]) - 1)
        cut = block.cut is not None or isinstance(column.value, spec.Shifted)
        stored = column.name in self.book.trace.stored
        if cut and not stored and (block.cut is None or block.running):
            self.refuse(column.value, "a column that is computed of texts in windows")
        if drawn or (cut and stored):
            return self._made(column.name, f'rows["{column.name}"]')
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
        return self._made(column.name, made.text)

    def _made(self, name: str, text: str) -> str:
        self.names[name] = Code(free(name))
        self.texts[name] = text
        return f"{free(name)} = {text}"

    def weights(self) -> Iterator[tuple[str, str]]:
        """What each `balanced(label)` of the train block is called, and its line."""
        for name, own in weighing(self.book).items():
            part = self.block.columns[name].value
            text = self.texts[name]
            if any(re.search(rf"\b{free(n)}\b(?!\")", text) for n in self.names):
                self.refuse(part, "what is fitted on a column that another line makes")
            x = Argument(Code(text), self.book.trace.values(_weighed(self.book)[name]))
            yield own, f"{own} = {self.balanced(x).text.replace(text, free(name), 1)}"


def _weighed(book: Book) -> dict[str, spec.Expression]:
    """The columns that the train block balances, with the place where it names them."""
    found: dict[str, spec.Expression] = {}
    for part in parts_in(book.trace.train):
        if not isinstance(part, spec.Call) or not isinstance(part.function, spec.Name):
            continue
        given = [a.value for a in part.arguments]
        if part.function.name == BALANCED and len(given) == 1 and isinstance(given[0], spec.Name):
            found.setdefault(given[0].name, given[0])
    return {name: part for name, part in found.items() if name in book.trace.columns}


def weighing(book: Book) -> dict[str, str]:
    """By the column that is balanced: what its rows' weights are called."""
    made = {}
    for name in _weighed(book):
        made[name] = f"{free(name)}_weight"
        while made[name] in book.trace.columns:
            made[name] += "_"
    return made


def write_data(book: Book) -> list[str]:
    """`read(split)`: the columns of a split, and before it what it needs."""
    columns = Columns(book)
    wanted = [*book.trace.columns, *(n for n in book.trace.altering if n not in book.trace.columns)]
    lines = [columns.line(c) for c in book.trace.data.columns if c.name in wanted]
    weights = dict(columns.weights())
    stored = {raw.name for raw in book.trace.program.inputs}
    plain = all(line in (f'{free(n)} = rows["{n}"]' for n in wanted) for line in lines)
    if stored == set(wanted) and plain and not weights:
        told = "drawn as the spec says" if columns.generated else "as the spec makes them of the table's"
        loaded = [line.removeprefix("    ") for line in HELPERS["load"][2:]]
        read = ["def read(split):", *indent([*docstring(f"The columns of a split, {told}."), *loaded])]
        return [*comment(book.trace.data.doc), *read]
    fitted = [name for name in FITTED if name in book.helpers]
    first = ['rows, train = load(split), load("train")'] if fitted else ["rows = load(split)"]
    pairs = ", ".join(f'"{name}": {free(name)}' for name in (*wanted, *weights))
    doc = docstring("The columns of a split, as the spec makes them of the table's.")
    body = [*doc, *first, *lines, *weights.values(), f"return {{{pairs}}}"]
    helpers = [line for name in ("load", *fitted) for line in (*HELPERS[name], "", "")]
    return [*helpers, *comment(book.trace.data.doc), "def read(split):", *indent(body)]


# ---- `augment`


class Anew(Writer):
    """The `augment` lines, and the columns that are made of what they alter."""

    def __init__(self, book: Book, altered: Altered) -> None:
        super().__init__(book, USER, "", False)
        self.columns: Augmented = altered.columns
        self.lines: list[str] = []
        self.read: list[str] = []
        """The columns as they were that are looked at."""
        self.made: list[str] = []

    def need(self, name: str) -> None:
        """A column, in the words of training, before it is named."""
        if name in self.made:
            return
        if name in self.columns.lines:
            for number, line in enumerate(self.columns.lines[name]):
                self.line(line, number)
        elif name in self.columns.dependent:
            self.again(name)
        else:
            self.kept(name)
            return
        self.made.append(name)

    def kept(self, name: str) -> None:
        if name not in self.read:
            self.read.append(name)
        self.names[name] = Code(free(name))

    def line(self, line: spec.Column, number: int) -> None:
        own = line.name in self.columns
        if own and number == 0 and line.name in names_in(line.value):
            self.again(line.name) if line.name in self._below(line.name) else self.kept(line.name)
        for word in names_in(line.value):
            if word != line.name and (word in self.columns or word in self.columns.lines):
                self.need(word)
        self.left = f"augment {line.name}" + "'" * number
        self.put(line.name, line.value, AS[self.columns.before(line.name, 0).value.dtype] if own else "")

    def _below(self, name: str) -> set[str]:
        """The columns that are made of an altered one other than this."""
        read = {w for one in self.columns.block.lineage.wordings[name] for w in names_in(one.value)} - {name}
        return {name} if not read.isdisjoint(self.columns.dependent) else set()

    def again(self, name: str) -> None:
        """A column whose line is worked out once more, of altered ones."""
        wordings = self.columns.block.lineage.wordings[name]
        line = wordings[-1]
        looks = any(isinstance(part, spec.ColumnOf | spec.Shifted) for part in parts_in(line.value))
        if len(wordings) > 1 or looks or line.indices is not None or line.binders:
            self.refuse(line, "a column that is made of an altered one in this way")
        for word in names_in(line.value):
            if word in self.columns:
                self.need(word)
        self.left = name
        self.put(name, line.value, AS[self.columns[name].value.dtype])

    def put(self, name: str, value: spec.Expression, word: str) -> None:
        x = self.argument(value)
        if not x.tensors:
            self.refuse(value, "a column that is one number")
        same = not word or {AS.get(dtype) for dtype in x.dtypes} == {word}
        self.lines.append(f"{free(name)} = {(x.code if same else x.turned(word)).text}")
        self.names[name] = Code(free(name))

    def argument(self, part: spec.Expression) -> Argument:
        """A distribution that was given no shape is drawn once for each row."""
        found = self.book.trace.values(part)
        tensors = [v for v in found if isinstance(v, Tensor)]
        if len(tensors) < len(found) and tensors and isinstance(part, spec.Name | spec.Call):
            return Argument(shaped(self, part, Code(f"({self.rows},)")), tensors)
        return super().argument(part)

    def values(self, part: spec.Part) -> list[Any]:
        """Of what is drawn: what it is drawn from."""
        found = super().values(part)
        drawn = [v for v in found if not isinstance(v, Tensor)]
        return drawn if drawn and isinstance(part, spec.Name | spec.Call) else found

    @property
    def rows(self) -> str:
        return f'len(rows["{self.book.trace.columns[0]}"])'

    def write_index(self, part: spec.Index) -> Code:
        if any(isinstance(v, Tensor) for v in self.values(part.value)):
            return super().write_index(part)
        shape = self.shape(part.items).text.removeprefix("(").removesuffix(")").removesuffix(",")
        return shaped(self, part.value, Code(f"({self.rows}, {shape})"))


def write_anew(book: Book) -> list[str]:
    """`augment(rows)`; nothing where no line alters anything."""
    altered = book.trace.altered
    if altered is None:
        return []
    writer = Anew(book, altered)
    for name in book.trace.columns:
        if name in altered.columns.dependent:
            writer.need(name)
    doc = docstring("A batch as training sees it: altered anew each time, and only then.")
    taken = [f'{free(name)} = rows["{name}"]' for name in writer.read]
    changed = [name for name in writer.made if name in book.trace.columns]
    pairs = ", ".join(f'"{name}": {free(name)}' for name in changed)
    return ["def augment(rows):", *indent([*doc, *taken, *writer.lines, f"return {{**rows, {pairs}}}"])]
