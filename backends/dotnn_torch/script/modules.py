"""Layers and nets as modules of PyTorch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dotnn import spec
from dotnn.elaborate.fans import is_window
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Known, Shape, Size
from dotnn.words import names_in
from dotnn_torch.script import text
from dotnn_torch.script.lines import Body, Class
from dotnn_torch.script.partial import reference, shaped
from dotnn_torch.script.text import Code, docstring, free, indent
from dotnn_torch.script.trace import Fact, is_number, is_tensor

if TYPE_CHECKING:
    from dotnn_torch.script.book import Book

_TAKEN = (
    "training forward train eval parameters modules children buffers name to half float double type "
    "apply cpu cuda compile state_dict load_state_dict zero_grad add_module extra_repr bfloat16 "
    "requires_grad_ share_memory self"
)
TAKEN = frozenset(_TAKEN.split())
"""Names that a module has already."""


class Layer(Body):
    """A layer or net as a module: `__init__` makes what it owns, `forward` says what it computes."""

    def __init__(self, book: Book, known: Known, made: Class) -> None:
        whole = known.definition.word == "net"
        super().__init__(book, known, known.name if whole else "self.name", not whole)
        self.made = made
        self.whole = whole
        self.own: list[str] = []
        """The lines of `__init__`."""
        self.kept: dict[str, str] = {}
        """Settings and names that `forward` needs."""
        self.modules: dict[int, Code] = {}
        self.attributes: set[str] = set()
        self.starting = False
        """While a part of `__init__` is written."""
        self.buffers: list[str] = []
        self.numbers: dict[str, str] = {}
        """Names of numbers, with the line that works each out in `__init__`."""

    def _paths(self) -> list[str]:
        return self.book.trace.paths(self.definition)

    # ---- names

    def setting(self, word: str) -> Code | None:
        if word not in {p.name for p in self.definition.settings or ()}:
            return None
        values = [s[word] for s in self.book.trace.settings.get(id(self.definition), {}).values()]
        if any(is_tensor(v) for v in values):
            return self._taken(word)
        callables = [v for v in values if isinstance(v, Known | Bound)]
        plain = [v for v in callables if isinstance(v, Known)]
        if plain and len(plain) == len(values) and len({id(v.definition) for v in plain}) == 1:
            return None  # one function everywhere: written in its place
        if word not in self.made.settings:
            self.made.settings.append(word)
        if self.starting:
            return Code(free(word))
        self.kept[word] = free(word)
        return Code(f"self.{free(word)}")

    def _taken(self, word: str) -> Code:
        """A setting that is a tensor: it comes with each call."""
        if self.starting:
            self.refuse(self.definition, "a layer that is built by what a tensor among its settings holds,")
        if word not in self.made.lent:
            self.made.lent.append(word)
        return Code(free(word))

    def lent(self, part: spec.Expression, known: Known) -> list[tuple[str, Code]]:
        written = self._written(part, known)
        return [(free(name), self.code(written[name])) for name in self.book.klass(known).lent if name in written]

    def write_call(self, part: spec.Call) -> Code:
        made = super().write_call(part)
        known = self.known(part)
        if isinstance(known, Bound) and known.instance is not None and self.left:
            handed = []
            for name, code in self.lent(part, known.known):
                handed.append(f"{name}={free(self.left)}_{name}")
                self.put(f"{free(self.left)}_{name} = {code.text}")
            self.handing[self.left] = handed
        return made

    def dim(self, word: str) -> Code | None:
        frames = self.book.trace.frames.get(id(self.definition), {})
        if not any(word in frame.dims for frame in frames.values()):
            return None
        if not self.starting:
            found = super().dim(word)
            if found:
                return found
            self.kept[word] = free(word)
        if word not in self.made.dims:
            self.made.dims.append(word)
        return Code(free(word) if self.starting else f"self.{free(word)}")

    def write_name(self, part: spec.Name) -> Code:
        if part.name not in self.names:
            found = self.setting(part.name)
            if found:
                return found
        elif self.starting and part.name in self.numbers:
            self.early(part.name)
        return super().write_name(part)

    def early(self, name: str) -> None:
        """A number that is worked out in `forward` and needed in `__init__` already."""
        line = self.numbers[name]
        if line not in self.own:
            self.own.append(line)

    def bind(self, part: spec.Assign, targets: list[str], names: list[str], made: str) -> None:
        static = all(is_number(v) and not isinstance(v, Size) for value in part.values for v in self.values(value))
        if static and not self.loops and len(part.values) == 1:
            self.starting = True
            self.numbers[targets[0]] = f"{names[0]} = {self.code(part.values[0]).text}"
            self.starting = False
        super().bind(part, targets, names, made)
        for target, name in zip(targets, names, strict=True):
            if target in self.buffers:
                self.put(f"self.{name} = {name}.detach()")

    def states(self) -> Sequence[str]:
        return self.buffers

    def place(self) -> str:
        if not self.whole:
            self.made.named = True
            if self.starting:
                return super().place().replace("{self.name}", "{name}").replace("self.name", "name")
            self.kept["name"] = "name"
        return super().place()

    # ---- what it owns

    def attribute(self, wanted: str) -> str:
        name = re.sub(r"\W+", "_", re.sub(r"\[\d+\]$", "", wanted)).strip("_")
        settings = {free(p.name) for p in self.definition.settings or ()}
        name = f"{name}_" if name in TAKEN or name in settings else free(name)
        number, base = 2, name
        while name in self.attributes:
            name, number = f"{base}{number}", number + 1
        self.attributes.add(name)
        return name

    def starts(self, write: Callable[[], str], left: str = "") -> str:
        """A line of `__init__`, in which names are the constructor's."""
        self.starting = True
        left, self.left = self.left, left
        made = write()
        self.left, self.starting = left, False
        return made

    def turned(self, made: str, kind: str, sizes: dict[str, str] | None = None) -> str:
        """``made`` once, or once a turn of the loops around it."""
        for number, (variable, over, _) in enumerate(reversed(self.loops)):
            use = variable if re.search(rf"\b{variable}\b", made) else "_"
            if number == 0 and sizes:
                names, table = text.several(list(sizes)), ", ".join(sizes.values())
                first, _, last = over.removeprefix("range(").removesuffix(")").partition(", ")
                start = f", {first}" if last else ""
                if len(sizes) == 1:
                    names = next(iter(sizes))
                    use, over = (f"{use}, {names}", f"enumerate({table}{start})") if use != "_" else (names, table)
                else:
                    self.refuse(self.definition, "a repeat in which more than one size changes")
            made = f"nn.{kind if number == 0 else 'ModuleList'}({made} for {use} in {over})"
        return made

    def indexed(self, attribute: str) -> Code:
        return Code(f"self.{attribute}" + "".join(f"[{turn}]" for _, _, turn in self.loops))

    def module(self, part: spec.Expression, known: Known) -> Code:
        if id(part) not in self.modules:
            self.modules[id(part)] = self._module(part, known)
        return self.modules[id(part)]

    def _module(self, part: spec.Expression, known: Known) -> Code:
        facts = list({f.value.instance.path: f for f in self.book.trace.bound(part)}.values())
        made = self.book.klass(known)
        wanted = {self._local(fact) for fact in facts}
        if len(wanted) != 1:
            self.refuse(part, "a layer that has another name in each place")
        local = wanted.pop()
        attribute = self.attribute(local)
        for fact in facts:
            self.book.attributes[fact.value.instance.path] = (_owner(fact), attribute, _turns(fact.turns))
        sizes: dict[str, str] = {}

        def write() -> str:
            words = [self.size(part, facts, made, dim, sizes) for dim in made.dims]
            words += [self.size(part, facts, made, dim, sizes) for dim in made.extra]
            words += self.settings(part, known, made)
            if made.named:
                self.left = local
                words.append(f"name={self.place()}")
            return f"{made.name}({', '.join(words)})"

        line = self.starts(write)
        self.own.append(f"self.{attribute} = {self.turned(line, 'ModuleList', sizes)}")
        return self.indexed(attribute)

    def _local(self, fact: Fact) -> str:
        local = fact.value.instance.path.removeprefix(f"{_owner(fact)}.")
        return str(local.removeprefix(f"{fact.turns}."))

    def settings(self, part: spec.Expression, known: Known, made: Class) -> list[str]:
        """What is given for the constructor's settings, as it is written."""
        written = self._written(part, known)
        words, direct = [], True
        for name in made.settings:
            if name not in written:
                direct = False
                continue
            value = self.handed(written[name])
            words.append(value if direct else f"{free(name)}={value}")
        return words

    def _written(self, part: spec.Expression, known: Known) -> dict[str, spec.Expression]:
        """The settings that a place gives."""
        names = [p.name for p in known.definition.settings or ()]
        written: dict[str, spec.Expression] = {}
        position = 0
        for argument in part.arguments if isinstance(part, spec.Call) else ():
            written[argument.name or names[position]] = argument.value
            position += argument.name is None
        return written

    def given_function(self, callee: spec.Expression) -> Code | None:
        if isinstance(callee, spec.Name) and callee.name not in (*self.names, *self.aliases):
            return self.setting(callee.name)
        return super().given_function(callee)

    def handed(self, part: spec.Expression) -> str:
        """A setting that is handed on: a number, or a function to be called there."""
        found = self.book.trace.values(part)
        if found and all(isinstance(v, Known | Bound) for v in found):
            known = self.known(part)
            if isinstance(known, Known) and not known.curried:
                return self.code(part).text
            return reference(self, part).text
        return self.code(part).text

    def size(self, part: spec.Expression, facts: list[Fact], made: Class, dim: str, sizes: dict[str, str]) -> str:
        """The size of a dim of the part that is made, in the words of the definition that makes it."""
        frames = self.book.trace.frames[id(self.book.definitions[made.name].definition)]
        found = [(f, int(made.extra[dim][f.value.instance.path] if dim in made.extra else
                         frames[f.value.instance.path].dims[dim])) for f in facts]  # fmt: skip
        name = self._named(found)
        if name is not None:
            return name
        values = [size for _, size in found]
        if len(set(values)) == 1:
            size = values[0]
            params = self.book.trace.program.params
            used = set(names_in(self.definition)) if self.scope == USER else set()
            same = [n for n, v in params.items() if n in used and not isinstance(v, bool) and v == size and size > 1]
            return self.book.param(same[0]) if len(same) == 1 else str(size)
        paths = {f.frame.instance.path for f, _ in found if f.frame.instance}
        if len(paths) == 1 and len(self.loops) == 1:
            word = free(dim)
            sizes[word] = text.several([str(size) for size in values])
            return word
        if len(paths) == 1 and len(self.loops) == 2 and "," not in self.loops[0][1]:
            word, outer = free(dim), self.loops[0][0]
            rows: dict[str, list[str]] = {}
            for fact, size in found:
                rows.setdefault(fact.turns.split(".")[0], []).append(str(size))
            sizes[word] = f"{text.several([text.several(row) for row in rows.values()])}[{outer}]"
            return word
        if self.loops:
            self.refuse(part, "a size that changes from turn to turn in another way in each place")
        extra = f"{self._local(found[0][0])}_{dim}".replace(".", "_")
        self.made.extra[extra] = {f.frame.instance.path: size for f, size in found if f.frame.instance}
        return extra

    def _named(self, found: list[tuple[Fact, int]]) -> str | None:
        """A dim or setting of this definition that has these sizes everywhere."""
        first = found[0][0].frame
        settings = self.book.trace.settings.get(id(self.definition), {})
        for word in first.dims:
            if all(f.frame.dims.get(word) == size for f, size in found):
                code = self.dim(word)
                return code.text if code else None
        for word in settings.get(first.instance.path if first.instance else "", {}):
            if all(f.frame.instance and settings[f.frame.instance.path].get(word) == size for f, size in found):
                code = self.setting(word)
                return code.text if code else None
        return None

    def weight(self, part: spec.Weight) -> None:
        attribute = self.attribute(part.name)

        def write() -> str:
            sizes = [d.size if isinstance(d, spec.Dim) else d for d in part.type.dims or ()]
            shape = self.shape(sizes)
            values = [v for size in sizes for v in self.book.trace.values(size)]
            if any(isinstance(v, Shape) and any(map(is_window, v.labels)) for v in values):
                shape = Code(f"Kernel({shape.text})")
                self.book.helpers.add("kernel")
            return f"nn.Parameter({self.first(part.init, shape)})"

        line = self.starts(write, part.name)
        self.own.append(f"self.{attribute} = {self.turned(line, 'ParameterList')}")
        self.names[part.name] = self.indexed(attribute)
        for fact in self.book.trace.of(part.init):
            path = ".".join(p for p in (fact.frame.path, fact.turns, part.name) if p)
            self.book.attributes[path] = (fact.frame.path, attribute, _turns(fact.turns))

    def first(self, init: spec.Expression, shape: Code) -> str:
        """The first value of a weight or state."""
        if all(is_number(v) for v in self.values(init)):
            number = self.code(init).text
            number = f"{number}.0" if re.fullmatch(r"-?\d+", number) else number
            return f"torch.full({shape.text}, {number}, device=DEVICE)"
        if all(isinstance(v, Known | Bound) for v in self.values(init)):
            return shaped(self, init, shape).text
        value = self.argument(init)
        return f"{value.real.at(text.ATOM)}.expand({shape.text}).clone()"

    def state(self, part: spec.State) -> None:
        if self.loops:
            self.refuse(part, "a state inside a `repeat`")
        for cell in part.cells:
            attribute = self.attribute(cell.name)

            def write(cell: spec.Cell = cell) -> str:
                dims = cell.type.dims or () if cell.type else ()
                shape = self.shape([d.size if isinstance(d, spec.Dim) else d for d in dims]) if dims else Code("()")
                return self.first(cell.init, shape)

            self.own.append(f'self.register_buffer("{attribute}", {self.starts(write, cell.name)})')
            self.put(f"{attribute} = self.{attribute}")
            self.names[cell.name] = Code(attribute)
            self.buffers.append(cell.name)

    # ---- statements that a module can have

    def branch(self, part: spec.If) -> None:
        if self.decided(part.condition) is not None:
            super().branch(part)
            return
        own, self.own = self.own, []
        self.starting = True
        condition = self.code(part.condition).text
        self.starting = False
        self.put(f"if {self.code(part.condition).text}:")
        self.inside(part.then)
        then, self.own = self.own, []
        if part.otherwise:
            self.put("else:")
            self.inside(part.otherwise)
        otherwise, self.own = self.own, own
        if then:
            self.own += [f"if {condition}:", *indent(then), *(["else:", *indent(otherwise)] if otherwise else [])]
        elif otherwise:
            self.own += [f"if not ({condition}):", *indent(otherwise)]

    def when(self, part: spec.When) -> None:
        before = dict(self.names)
        self.put("if self.training:")
        self.inside(part.then)
        after, self.names = self.names, before
        if part.otherwise:
            self.put("else:")
            self.inside(part.otherwise)
        self.names = {**after, **self.names}

    def require(self, part: spec.Require) -> None:
        self.starting = True
        condition = self.code(part.condition).text
        message = re.sub(r"\{(\w+)\}", self._fact, part.message.replace('"', "'"))
        self.starting = False
        self.own.append(f'assert {condition}, {"f" if "{" in message else ""}"{message}"')

    def _fact(self, match: re.Match[str]) -> str:
        word = match[1]
        code = self.names.get(word) or self.setting(word) or self.dim(word)
        if code is None and word in self.book.trace.program.params:
            code = Code(self.book.param(word))
        return f"{{{code.text}}}" if code else match[0].replace("{", "").replace("}", "")


def _owner(fact: Fact) -> str:
    """The path of the instance in whose text this was seen."""
    return fact.frame.instance.path if fact.frame.instance else ""


def _turns(written: str) -> list[int]:
    return [int(n) for n in re.findall(r"\[(\d+)\]", written)]


def write_class(book: Book, known: Known, made: Class) -> None:
    """A module: what its constructor takes is found while its body is written."""
    definition = known.definition
    layer = Layer(book, known, made)
    layer.names |= {p.name: Code(free(p.name)) for p in definition.inputs}
    layer.block(definition.body)
    layer.finish()
    order = [p.name for p in definition.settings or ()]
    made.settings.sort(key=order.index)
    settings = definition.settings or ()
    defaults = {p.name: p.default for p in settings if p.default is not None and book.tells(p.default)}
    layer.starting = True
    needed = [free(n) for n in (*made.dims, *made.extra)]
    head = ["self", *needed]
    late = False
    computed: dict[str, str] = {}
    for name in made.settings:
        if name in defaults and not set(names_in(defaults[name])).isdisjoint(p.name for p in settings):
            computed[name] = layer.handed(defaults[name])  # of other settings: Python knows them only inside
        default = "None" if name in computed else layer.handed(defaults[name]) if name in defaults else None
        if default is None and late:
            head.insert(head.index(next(w for w in head if "=" in w)), free(name))
            continue
        late = late or default is not None
        head.append(free(name) if default is None else f"{free(name)}={default}")
    told = [name for name in made.settings if f"{free(name)}=" in " ".join(head)]
    made.settings.sort(key=told.__contains__)  # in the order of the head: what must be given first
    if made.named:
        head += ["*", "name"]
    keep = [f"self.{free(name)} = {free(name)}" for name in layer.kept]
    known_now = [f"{free(n)} = {text} if {free(n)} is None else {free(n)}" for n, text in computed.items()]
    own = ["super().__init__()", *known_now, *keep, *layer.own]
    lines = [*layer.followed([p.name for p in definition.inputs]), *layer.lines]
    for line in layer.numbers.values():  # worked out for `__init__` alone
        word = line.split(" = ")[0]
        used = [x for x in lines if re.search(rf"\b{word}\b", x)]
        if len(used) == 1:
            lines = [x for x in lines if x not in used]
    text = "\n".join(lines)
    taken = [p for p in definition.inputs if p.default is None or re.search(rf"\b{p.name}\b", text)]
    lent = [f"{free(n)}={layer.handed(defaults[n])}" if n in defaults else free(n) for n in made.lent]
    inputs = ", ".join(["self", *(free(p.name) for p in taken), *sorted(lent, key=lambda word: "=" in word)])
    body = [*(docstring(book.doc(known)))]
    if body:
        body.append("")
    if len(own) > 1 or head != ["self"]:
        body += [f"def __init__({', '.join(head)}):", *indent(own), ""]
    body += [f"def forward({inputs}):", *indent(lines)]
    made.lines = [f"class {made.name}(nn.Module):", *indent(body)]
