"""Expressions of a definition as Python. Statements, which decide what is a line of its own, are in ``lines.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from dotnn import spec
from dotnn.elaborate.arguments import FORMING, KEEPING, NAMING
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Interval, Known, Native, Primitive, Shape
from dotnn_grammar.problems import Note
from dotnn_torch.problems import NotInThisVersion
from dotnn_torch.script import equations, partial, text
from dotnn_torch.script.convolve import helpers_in
from dotnn_torch.script.forms import FORMS
from dotnn_torch.script.text import Code, call, infix
from dotnn_torch.script.trace import is_tensor
from dotnn_torch.script.words import Argument, UnspokenError, axes_text, counted, pair, signed, speak

if TYPE_CHECKING:
    from dotnn_torch.script.book import Book

LEVELS = {"+": text.SUM, "-": text.SUM, "*": text.PRODUCT, "/": text.PRODUCT, "//": text.PRODUCT, "%": text.PRODUCT}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
FANS = ("fan_in", "fan_out")
HELPED = ("normalise", "greater", "smaller", "top", "moments", "within", "rank", "grad", "merged")
"""Operations that are functions of the script."""


class Writer:
    """Writes the expressions of one definition, or of one block, as Python."""

    def __init__(self, book: Book, scope: str, base: str, variable: bool) -> None:
        self.book = book
        self.scope = scope
        self.names: dict[str, Code] = {}
        self.aliases: dict[str, spec.Expression] = {}
        """Names that stand for a definition with its settings."""
        self.base = base
        """The path of what is written: a text, or the Python variable that holds it."""
        self.variable = variable
        self.left = ""
        self.turns = ""
        self.draws = False
        self.plain: set[int] = set()
        """Truths that are Python's own, and no tensors: by the identity of the part, and of a name by its text."""
        self.plain_names: set[str] = set()
        self.handing: dict[str, list[str]] = {}
        """What a layer with a name is handed at each call, beside its inputs."""
        self.coordinates: dict[str, Code] | None = None
        """In an index equation: what `for` binds."""

    # ---- what may differ from one kind of place to another

    def dim(self, word: str) -> Code | None:
        """The size that a dim's name stands for."""
        return None

    def column(self, word: str) -> Code | None:
        """A column of the data by its name."""
        return None

    def module(self, part: spec.Expression, known: Known) -> Code:
        """The module that a place makes."""
        self.refuse(part, "a layer here")

    def lent(self, part: spec.Expression, known: Known) -> list[tuple[str, Code]]:
        """The settings of a layer that are tensors: these it is handed when it is called."""
        return []

    def rest(self, part: spec.Part) -> str:
        """The dims that `...` stands for, to be put among others in a tuple."""
        self.refuse(part, "`...` here")

    # ---- expressions

    def refuse(self, part: spec.Part, what: str, way: str = "") -> NoReturn:
        """At the person's own line: inside the library that is the one that led there."""
        here, notes = part.span, tuple[Note, ...]()
        if self.scope != USER and self.book.here is not None:
            notes = (Note(span=here, text="in the standard library, which is used here"),)
            here = self.book.here.span
        if not way:
            raise NotInThisVersion(span=here, notes=notes, what=what).error()
        way = f"{way}, or train it with nn itself (nn train)"
        raise NotInThisVersion(span=here, notes=notes, what=what, way=way).error()

    def values(self, part: spec.Part) -> list[Any]:
        found = self.book.trace.values(part)
        if not found:
            self.refuse(part, "what is never computed")
        return found

    def code(self, part: spec.Expression) -> Code:
        with self.at(part):
            try:
                return _RULES[part.kind](self, part) if part.kind in _RULES else self.refuse(part, "this form")
            except UnspokenError as error:
                self.refuse(part, str(error))

    @contextmanager
    def at(self, part: spec.Part) -> Iterator[None]:
        """While this part is written."""
        before = self.book.here
        if self.scope == USER:
            self.book.here = part
        yield
        self.book.here = before

    def argument(self, part: spec.Expression) -> Argument:
        code = self.code(part)
        if id(part) in self.plain or (isinstance(part, spec.Name) and part.name in self.plain_names):
            return Argument(code, [True])
        values = self.values(part)
        if isinstance(part, spec.Text) and any(isinstance(v, int) for v in values):
            values = [v for v in values if isinstance(v, int)]
        return Argument(code, values)

    def known(self, part: spec.Part) -> Known | Primitive | Native | Bound | None:
        """The definition that a part of the text stands for, where it is the same everywhere."""
        values = self.values(part)
        first = values[0]
        same = {id(v.definition) if isinstance(v, Known) else id(v.known.definition) if isinstance(v, Bound) else v.name
                if isinstance(v, Primitive | Native) else None for v in values}  # fmt: skip
        return first if len(same) == 1 and isinstance(first, Known | Primitive | Native | Bound) else None

    def place(self) -> str:
        """The path of the place that is written, as Python: what random numbers are keyed by."""
        end = ".".join(word for word in (self.turns, self.left) if word)
        if self.variable:
            return f'f"{{{self.base}}}.{end}"' if end else self.base
        whole = ".".join(word for word in (self.base, end) if word)
        return f'{"f" if "{" in whole else ""}"{whole}"'

    # ---- names and numbers

    def write_name(self, part: spec.Name) -> Code:
        word = part.name
        if self.coordinates and word in self.coordinates:
            return self.coordinates[word]
        if word in self.names:
            return self.names[word]
        if word in self.aliases:
            return self.code(self.aliases[word])
        found = self.dim(word) or (self.column(word) if self.scope == USER else None)
        if found:
            return found
        if self.scope == USER and word in self.book.trace.program.params:
            return Code(self.book.param(word))
        if self.scope == USER and word in self.book.trace.builder.block.constants:
            return Code(str(self.book.trace.builder.block.constants[word]))
        if word == "pi":
            return Code("math.pi")
        known = self.known(part)
        if isinstance(known, Primitive):
            return Code(f"torch.{known.name}")
        if isinstance(known, Known) and known.definition.word == "net":
            return self.whole_net(known)
        if isinstance(known, Known) and known.definition.word == "function":
            alias = self.book.alias(known)
            return Code(f"torch.{alias}" if alias else self.book.function(known).name)
        sizes = {v for v in self.values(part) if isinstance(v, int)}
        if self.coordinates is not None and len(sizes) == 1:  # an index, as a number: how large it is
            return Code(str(sizes.pop()))
        return self.refuse(part, f"`{word}` here")

    def write_number(self, part: spec.Number) -> Code:
        return Code(repr(part.value).replace("e+", "e"))

    def write_truth(self, part: spec.Truth) -> Code:
        return Code(str(part.value))

    def write_text(self, part: spec.Text) -> Code:
        numbers = {v for v in self.book.trace.values(part) if isinstance(v, int)}
        if len(numbers) == 1:  # beside a column of texts: its number there
            return Code(str(numbers.pop()))
        return Code('"' + part.value.replace("\\", "\\\\").replace('"', '\\"') + '"')

    # ---- arithmetic

    def write_binary(self, part: spec.Binary) -> Code:
        sign, a, b = part.operator, counted(self.argument(part.left)), counted(self.argument(part.right))
        if self.coordinates is not None:
            a, b = equations.meeting(self, part, a, b)
        if a.number and b.number:
            if sign in ("and", "or", *COMPARISONS):
                self.plain.add(id(part))
            if sign in ("and", "or"):
                return infix(a.code, sign, b.code, text.OR if sign == "or" else text.AND)
            if sign == "^":
                return text.power(a.code, b.code)
            return self._infix(sign, a.code, b.code)
        meet = pair if self.coordinates is None else lambda x, y: (x.code, y.code)
        if sign in ("and", "or"):
            level = text.EITHER if sign == "or" else text.BOTH
            left, right = meet(a, b)
            return infix(left, "|" if sign == "or" else "&", right, level)
        if sign == "@":
            if self.book.trace.program.plan.precision == "bf16":
                if any(t.rank < 2 for t in (*a.tensors, *b.tensors)):
                    self.refuse(part, "a product with a row in short numbers")
                self.book.helpers.add("product")
                return call("product", a.real.text, b.real.text)
            return infix(a.real, "@", b.real, text.PRODUCT)
        if sign == "^":
            return text.power(*meet(Argument(a.real, a.values), Argument(b.real, b.values)))
        a, b = self._summand(sign, a, b), self._summand(sign, b, a)
        return self._infix(sign, *meet(a, b))

    def _infix(self, sign: str, left: Code, right: Code) -> Code:
        if sign in COMPARISONS:
            return Code(f"{left.at(text.EITHER)} {sign} {right.at(text.EITHER)}", text.COMPARISON)
        return infix(left, sign, right, LEVELS[sign])

    def _summand(self, sign: str, a: Argument, other: Argument) -> Argument:
        """Truth values as numbers, where torch would not count with them."""
        if sign in COMPARISONS or a.dtypes != {"bool"}:
            return a
        with_real = other.dtypes == {"f32"} or any(isinstance(v, float) for v in other.values)
        if sign == "/" or (sign == "*" and with_real):
            return a
        return Argument(a.turned("float" if with_real else "long"), a.values)

    def write_unary(self, part: spec.Unary) -> Code:
        if isinstance(part.operand, spec.Number) and part.operator == "-":
            return signed(self.code(part.operand))
        x = self.argument(part.operand)
        if part.operator == "not":
            if x.number:
                self.plain.add(id(part))
                return Code(f"not {x.code.at(text.NOT)}", text.NOT)
            return Code(f"~{x.code.at(text.SIGN)}", text.SIGN)
        return signed(x.turned("long") if x.dtypes == {"bool"} else x.code)

    def write_choose(self, part: spec.Choose) -> Code:
        decided = {v for v in self.values(part.condition) if isinstance(v, bool)}
        if len(decided) == 1:
            return self.code(part.then if decided.pop() else part.otherwise)
        condition = self.argument(part.condition)
        then, otherwise = self.argument(part.then), self.argument(part.otherwise)
        if self.coordinates is not None:
            condition, then, otherwise = equations.meeting(self, part, condition, then, otherwise)
            return call("torch.where", *(a.code.text for a in (condition, then, otherwise)))
        if condition.number:
            words = f"{then.code.at(text.OR)} if {condition.code.at(text.OR)} else {otherwise.code.text}"
            return Code(words, text.EXPRESSION)
        widest = max((condition, then, otherwise), key=lambda a: max((t.rank for t in a.tensors), default=-1))
        aligned = [a.code if a is widest or not a.tensors else pair(widest, a)[1] for a in (condition, then, otherwise)]
        return call("torch.where", *(a.text for a in aligned))

    # ---- brackets

    def shape(self, items: Sequence[spec.Expression]) -> Code:
        """Dims as a tuple."""
        texts = []
        for item in items:
            if isinstance(item, spec.Rest):
                texts.append(self.rest(item))
            elif isinstance(item, spec.Name | spec.Call) and all(isinstance(v, Shape) for v in self.values(item)):
                texts.append(f"*{self.code(item).text}")
            else:
                texts.append(self.code(item).text)
        if len(texts) == 1 and texts[0].startswith("*"):
            return Code(texts[0][1:])
        return Code(text.several(texts))

    def write_list(self, part: spec.List) -> Code:
        return self.shape([item.value for item in part.items])

    def write_index(self, part: spec.Index) -> Code:
        known = self.known(part.value)
        names = equations.subscripts(self, part)
        if names is not None:
            return equations.indexed(self, part, names)
        if isinstance(known, Known | Bound):
            return partial.shaped(self, part.value, self.shape(part.items))
        items = []
        for item in part.items:
            if isinstance(item, spec.Rest):
                items.append("...")
            elif isinstance(item, spec.Range):
                first, last = self.code(item.start).text, self.code(item.stop).text
                items.append(text.stretch("" if first == "0" else first, last))
            else:
                found = self.argument(item)
                if any(isinstance(v, Interval) for v in found.values):
                    self.refuse(item, "a range with a name")
                whole = not found.tensors or found.dtypes == {"i64"}
                items.append(found.code.text if whole else found.turned("long").text)
        if isinstance(part.value, spec.List):  # a number for each class
            numbers = ", ".join(self.code(item.value).text for item in part.value.items)
            return Code(f"torch.tensor([{numbers}], device={items[0]}.device)[{', '.join(items)}]")
        return Code(f"{self.code(part.value).at(text.ATOM)}[{', '.join(items)}]")

    def write_member(self, part: spec.Member) -> Code:
        return Code(f"{self.code(part.value).at(text.ATOM)}.mT")

    # ---- calls

    def write_chain(self, part: spec.Chain) -> Code:
        flow = self.argument(part.start)
        for stage in part.stages:
            flow = Argument(self.stage(flow, stage), self.values(stage))
        return flow.code

    def stage(self, flow: Argument, stage: spec.Stage) -> Code:
        """What a stage makes of what flows into it."""
        with self.at(stage.call):
            try:
                return self._stage(flow, stage)
            except UnspokenError as error:
                self.refuse(stage.call, str(error))

    def _stage(self, flow: Argument, stage: spec.Stage) -> Code:
        written = stage.call
        if isinstance(written, spec.Call):
            callee = self.known(written.function)
            if isinstance(callee, Known) and callee.curried and callee.definition.word == "layer":
                return self.layer(written, callee, [flow])
            if callee is not None:
                return self.apply(written.function, callee, [flow], written.arguments)
            self.refuse(written, "what is another thing in each place")
        # A layer without brackets is seen twice: as what it is, and as the instance that is made of it.
        callee = self.known(written) if not self.book.trace.bound(written) else self.book.trace.values(written)[0]
        if isinstance(callee, Known) and callee.curried and callee.definition.word == "layer":
            return self.layer(written, callee, [flow])
        return self.apply(written, callee, [flow], ())

    def layer(self, part: spec.Expression, known: Known, given: list[Argument]) -> Code:
        module = self.module(part, known)
        inputs = known.definition.inputs
        lent = [f"{name}={code.text}" for name, code in self.lent(part, known)]
        return call(module.text, *(self.accepted(a, p).text for a, p in zip(given, inputs, strict=False)), *lent)

    def accepted(self, given: Argument, parameter: spec.Parameter) -> Code:
        """An argument in the type that the signature asks for."""
        wanted = parameter.type
        return given.real if wanted is not None and wanted.dims is not None and wanted.word is None else given.code

    def write_call(self, part: spec.Call) -> Code:
        made = self.known(part)
        if isinstance(made, Bound):
            if made.instance is not None:
                return self.module(part, made.known)
            return partial.reference(self, part)
        return self.apply(part.function, self.known(part.function), [], part.arguments)

    def apply(self, callee: spec.Expression, known: Any, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        """`callee(flow, given)`."""
        match known:
            case Primitive(name):
                return self._primitive(name, callee, flow, given)
            case Native(name):
                return self.native(name, callee, flow, given)
            case Bound(bound, _, instance) if instance is not None:
                arguments = [*flow, *(self.argument(a.value) for a in given)]
                if isinstance(callee, spec.Call):
                    return self.layer(callee, bound, arguments)
                inputs = bound.definition.inputs
                texts = [self.accepted(a, p).text for a, p in zip(arguments, inputs, strict=False)]
                lent = self.handing.get(callee.name, []) if isinstance(callee, spec.Name) else []
                if not lent and any(is_tensor(value) for value in known.settings.values()):
                    self.refuse(callee, "a layer with a tensor among its settings, under another name,")
                return call(self.code(callee).text, *texts, *lent)
            case Bound(bound):
                named = {a.name: self.argument(a.value) for a in given if a.name}
                positional = [*flow, *(self.argument(a.value) for a in given if not a.name)]
                return partial.applied(self, callee, positional, named)
            case Known() if known.definition.word == "function" and not known.curried:
                alias = self.book.alias(known)
                if alias:
                    return self._primitive(alias, callee, flow, given)
                return self._function(known, flow, given)
            case Known() if known.definition.word == "net" and self.given_function(callee) is None:
                return self.net(callee, known, [*flow, *(self.argument(a.value) for a in given)])
        handed = self.given_function(callee)
        if handed:
            return call(handed.text, *(a.code.text for a in flow), *(self.keyword(a) for a in given))
        return self.refuse(callee, "this call")

    def given_function(self, callee: spec.Expression) -> Code | None:
        """A setting that is another function in each place."""
        return self.names.get(callee.name) if isinstance(callee, spec.Name) else None

    def net(self, part: spec.Expression, known: Known, given: list[Argument]) -> Code:
        inputs = known.definition.inputs
        whole = self.whole_net(known).text
        return call(whole, *(self.accepted(a, p).text for a, p in zip(given, inputs, strict=False)))

    def whole_net(self, known: Known) -> Code:
        """A net, as it is called."""
        self.refuse(known.definition, "a net here")

    def native(self, name: str, part: spec.Expression, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        self.refuse(part, f"`{name}` here")

    def keyword(self, argument: spec.Argument) -> str:
        value = self.code(argument.value).text
        return f"{text.free(argument.name)}={value}" if argument.name else value

    def _primitive(self, name: str, at: spec.Part, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        arguments = list(flow)
        for a in given:
            if not a.name:
                is_form = name in FORMING and isinstance(a.value, spec.List)
                arguments.append(self._form(name, a.value) if is_form else self.argument(a.value))
        if name == "random":
            self.draws = True
            bits = next((self.code(a.value).text for a in given if a.name == "bits"), "")
            self.book.random(bits or "24")
            shape = arguments[0].code
            size = shape.text if all(isinstance(v, Shape) for v in arguments[0].values) else text.several([shape.text])
            return call("random", size, self.place(), f"bits={bits}" if bits else "")
        settings: dict[str, Any] = {}
        for a in given:
            if a.name == "over" and name in NAMING:
                continue
            if a.name == "over" or (a.name == "keep" and name in KEEPING):
                settings[a.name] = self._over(a, arguments[0])
            elif a.name:
                settings[a.name] = self.code(a.value)
        made = speak(name, arguments, settings, FORMS)
        self.book.helpers |= {word for word in HELPED if f"{word}(" in made.text} | helpers_in(made.text)
        return made

    def _form(self, name: str, part: spec.Expression) -> Argument:
        """The dims that `unfold` makes: what is left open is -1, and a number of the script from here on."""
        if name == "fold" or not isinstance(part, spec.List):
            return Argument(Code(""), self.values(part))
        texts: list[str] = []
        for i, item in enumerate(part.items):
            if not isinstance(item.value, spec.Name) or self.book.trace.values(item.value):
                texts.append(self.code(item.value).text)
                continue
            texts.append("-1")
            sizes = {shape.dims[i] for shape in self.values(part)}
            size = sizes.pop()
            if not sizes and isinstance(size, int):
                self.names[item.value.name] = Code(str(size))
        return Argument(Code(text.several(texts)), self.values(part))

    def _over(self, argument: spec.Argument, first: Argument) -> tuple[int, ...]:
        """The dims that `over` names, counted from the last."""
        items = argument.value.items if isinstance(argument.value, spec.Several) else (argument.value,)
        axes: list[int] = []
        for item in items:
            if isinstance(item, spec.Name) and item.name not in self.names:
                found = {t.labels.index(item.name) - t.rank for t in first.tensors if item.name in t.labels}
            else:
                found = set()
                for value in self.values(item):
                    found |= set(value) if isinstance(value, tuple) else {value}
            if len(found) != 1:
                self.refuse(argument, "a dim that is another one in each place")
            axes.append(int(found.pop()))
        return tuple(axes)

    def _function(self, known: Known, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        made = self.book.function(known)
        texts: list[str] = []
        inputs = known.definition.inputs
        positional = [*flow, *(self.argument(a.value) for a in given if not a.name)]
        texts = [self.accepted(a, p).text for a, p in zip(positional, inputs, strict=False)]
        types = {p.name: p for p in inputs}
        for a in given:
            if a.name == "over":
                texts.append(f"over={axes_text(self._over(a, positional[0]))}")
            elif a.name:
                texts.append(f"{text.free(a.name)}={self.accepted(self.argument(a.value), types[a.name]).text}")
        if made.draws:
            self.draws = True
            texts.append(f"at={self.place()}")
        return call(made.name, *texts)


_RULES: dict[str, Callable[[Writer, Any], Code]] = {
    "name": lambda w, p: w.write_name(p),
    "number": lambda w, p: w.write_number(p),
    "truth": lambda w, p: w.write_truth(p),
    "text": lambda w, p: w.write_text(p),
    "binary": lambda w, p: w.write_binary(p),
    "unary": lambda w, p: w.write_unary(p),
    "choose": lambda w, p: w.write_choose(p),
    "list": lambda w, p: w.write_list(p),
    "several": lambda w, p: Code(text.several([w.code(item).text for item in p.items])),
    "rest": lambda w, p: Code(w.rest(p)),
    "range": lambda w, p: Code(text.several([w.code(p.start).text, w.code(p.stop).text])),
    "index": lambda w, p: w.write_index(p),
    "member": lambda w, p: w.write_member(p),
    "chain": lambda w, p: w.write_chain(p),
    "call": lambda w, p: w.write_call(p),
}
