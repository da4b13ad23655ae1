"""Definitions as Python: functions, modules, optimizers. One writer walks the statements of a body."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dotnn import spec
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Known, Size
from dotnn.read.files import names_in
from dotnn_torch.script import text
from dotnn_torch.script.body import FANS, Writer
from dotnn_torch.script.text import Code, docstring, free, indent
from dotnn_torch.script.trace import Fact, is_number
from dotnn_torch.script.words import Argument

if TYPE_CHECKING:
    from dotnn_torch.script.book import Book

TAKEN = frozenset(
    "training forward train eval parameters modules children buffers name to half float double type apply cpu cuda "
    "compile state_dict load_state_dict zero_grad add_module extra_repr bfloat16 requires_grad_ share_memory self".split()
)
"""Names that a module has already."""


@dataclass
class Function:
    """A function of the script: its name, the inputs that it takes, whether it draws random numbers."""

    name: str
    inputs: tuple[str, ...]
    draws: bool = False
    lines: list[str] = field(default_factory=list)


@dataclass
class Class:
    """A module of the script: what its constructor takes, in order."""

    name: str
    dims: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    named: bool = False
    extra: dict[str, dict[str, int]] = field(default_factory=dict)
    """Sizes that only the places know: by their name, for each path the size."""
    lines: list[str] = field(default_factory=list)


class Body(Writer):
    """Writes the statements of a definition."""

    def __init__(self, book: Book, known: Known, base: str, variable: bool) -> None:
        super().__init__(book, known.scope, base, variable)
        self.definition = known.definition
        self.lines: list[str] = []
        self.depth = 0
        self.loops: list[tuple[str, str, str]] = []
        """Of each `repeat` around: its variable, its range, how a turn is counted from 0."""

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def block(self, body: Sequence[spec.Statement]) -> None:
        for statement in body:
            self.left = ""
            _STATEMENTS[statement.kind](self, statement)
            self.left = ""

    # ---- statements

    def assign(self, part: spec.Assign) -> None:
        if part.binders or any(target.indices for target in part.targets):
            self.refuse(part, "an index equation")
        self.left = part.targets[0].name
        if len(part.values) == len(part.targets) == 1:
            known = self.known(part.values[0])
            if isinstance(known, Bound | Known) and not (isinstance(known, Bound) and known.instance is not None):
                self.aliases[self.left] = part.values[0]
                return
        names = [free(target.name) for target in part.targets]
        value = part.values[0]
        if len(part.values) == 1 and isinstance(value, spec.Chain) and len(names) == 1 and self.unrolled(names[0], value):
            return
        if len(part.values) == 1:
            made = self.code(value).text
        else:
            made = ", ".join(self.code(v).text for v in part.values)
        self.bind(part, [t.name for t in part.targets], names, made)

    def unrolled(self, name: str, chain: spec.Chain) -> bool:
        """A chain of several stages, one a line."""
        later = [n for stage in chain.stages for n in names_in(stage)]
        if len(chain.stages) < 3 or name in later or chain.stages[-1] is None or self.left in self.states():
            return False
        flow = self.argument(chain.start)
        for stage in chain.stages:
            self.put(f"{name} = {self.stage(flow, stage, chain).text}")
            flow = Argument(Code(name), self.values(stage))
        self.names[self.left] = Code(name)
        return True

    def states(self) -> Sequence[str]:
        return ()

    def bind(self, part: spec.Assign, targets: list[str], names: list[str], made: str) -> None:
        self.put(f"{', '.join(names)} = {made}")
        for target, name in zip(targets, names, strict=True):
            self.names[target] = Code(name)

    def decided(self, condition: spec.Expression) -> bool | None:
        """What a condition is, where it is the same everywhere."""
        found = {bool(v) for v in self.values(condition)}
        return found.pop() if len(found) == 1 else None

    def branch(self, part: spec.If) -> None:
        decided = self.decided(part.condition)
        if decided is not None:
            self.block(part.then if decided else part.otherwise)
            return
        self.put(f"if {self.code(part.condition).text}:")
        self.inside(part.then)
        if part.otherwise:
            self.put("else:")
            self.inside(part.otherwise)

    def inside(self, body: Sequence[spec.Statement]) -> None:
        self.depth += 1
        count = len(self.lines)
        self.block(body)
        if len(self.lines) == count:
            self.put("pass")
        self.depth -= 1

    def repeat(self, part: spec.Repeat) -> None:
        if isinstance(part.range, spec.Range):
            first, last = self.code(part.range.start).text, self.code(part.range.stop).text
        else:
            first, last = "0", self.code(part.range).text
        variable = free(part.name) if part.name else f"turn{len(self.loops) or ''}"
        over = f"range({last})" if first == "0" else f"range({first}, {last})"
        self.loops.append((variable, over, variable if first == "0" else f"{variable} - {first}"))
        turns, self.turns = self.turns, ".".join(t for t in (self.turns, f"{part.name or 'repeat'}[{{{variable}}}]") if t)
        before = self.names.get(part.name or "")
        if part.name:
            self.names[part.name] = Code(variable)
        at = len(self.lines)
        self.put("")
        self.inside(part.body)
        used = any(re.search(rf"\b{variable}\b", line) for line in self.lines[at + 1 :])
        self.lines[at] = "    " * self.depth + f"for {variable if used else '_'} in {over}:"
        self.turns = turns
        self.loops.pop()
        if part.name:
            self.names.pop(part.name)
            if before is not None:
                self.names[part.name] = before

    def when(self, part: spec.When) -> None:
        self.refuse(part, "`when training` outside a layer")

    def require(self, part: spec.Require) -> None:
        """Checked when the spec was compiled: a number that is changed by hand is checked where it is used."""

    def give(self, part: spec.Return) -> None:
        made = []
        for i, value in enumerate(part.values):
            given = self.argument(value)
            types = self.definition.results
            kind = types[i].type if len(part.values) == len(types) else None
            made.append(given.real.text if kind and kind.dims is not None and kind.word is None else given.code.text)
        self.put(f"return {', '.join(made)}")

    def finish(self) -> None:
        """The `return` of a definition that names its results."""
        results = self.definition.results
        if results and all(r.name is not None and r.name in self.names for r in results):
            self.put(f"return {', '.join(self.names[r.name or ''].text for r in results)}")

    def weight(self, part: spec.Weight) -> None:
        self.refuse(part, "a weight here")

    def state(self, part: spec.State) -> None:
        self.refuse(part, "a state here")

    # ---- shapes of what comes in

    def shape_of(self, place: Callable[[spec.TypeText], str | None]) -> str | None:
        for parameter in self.definition.inputs:
            if parameter.type is not None and parameter.type.dims is not None:
                found = place(parameter.type)
                if found is not None:
                    return f"{free(parameter.name)}.shape{found}"
        return None

    def rest(self, part: spec.Part) -> str:
        def stretch(type: spec.TypeText) -> str | None:
            at = next((i for i, d in enumerate(type.dims or ()) if isinstance(d, spec.Rest)), None)
            if at is None:
                return None
            after = len(type.dims or ()) - at - 1
            return f"[{at or ''}:{-after or ''}]" if at or after else ""

        found = self.shape_of(stretch)
        return f"*{found}" if found else self.refuse(part, "`...` here")

    def dim(self, word: str) -> Code | None:
        """A dim's size, from the shape of what comes in."""

        def index(type: spec.TypeText) -> str | None:
            dims = type.dims or ()
            rest = next((i for i, d in enumerate(dims) if isinstance(d, spec.Rest)), len(dims))
            for i, d in enumerate(dims):
                if isinstance(d, spec.Dim) and isinstance(d.size, spec.Name) and d.size.name == word:
                    return f"[{i if i < rest else i - len(dims)}]"
            return None

        frames = self.book.trace.frames.get(id(self.definition), {})
        if not any(word in frame.dims for frame in frames.values()):
            return None
        found = self.shape_of(index)
        return Code(found) if found else None


_STATEMENTS: dict[str, Callable[[Body, Any], None]] = {
    "assign": lambda w, p: w.assign(p),
    "weight": lambda w, p: w.weight(p),
    "state": lambda w, p: w.state(p),
    "repeat": lambda w, p: w.repeat(p),
    "if": lambda w, p: w.branch(p),
    "when": lambda w, p: w.when(p),
    "require": lambda w, p: w.require(p),
    "return": lambda w, p: w.give(p),
}


# ---- functions


def write_function(book: Book, known: Known, made: Function) -> None:
    """A function: its inputs first, then its settings, then the place where it draws."""
    definition = known.definition
    body = Body(book, known, "at", True)
    inputs = [p.name for p in definition.inputs]
    shaped = known.curried and any(name in ("shape", *FANS) for name in inputs)
    words = [n for n in inputs if n not in FANS] if shaped else inputs
    if shaped and "shape" not in words:
        words.insert(0, "shape")
    made.inputs = tuple(words)
    body.names |= {name: Code(free(name)) for name in (*inputs, *(p.name for p in definition.settings or ()))}
    body.block(definition.body)
    body.finish()
    made.draws = body.draws
    head = [free(n) for n in words]
    defaults = {p.name: p.default for p in definition.inputs if p.default is not None}
    head = [f"{free(n)}={body.code(defaults[n]).text}" if n in defaults else free(n) for n in words]
    rest = [(p.name, p.default if p.default and book.trace.values(p.default) else None) for p in definition.settings or ()]
    rest.sort(key=lambda entry: entry[1] is not None)
    head += [free(n) if d is None else f"{free(n)}={body.code(d).text}" for n, d in rest]
    if made.draws:
        # In front of what has a default.
        at = next((i for i, word in enumerate(head) if "=" in word), len(head))
        head.insert(at, "at")
    lines = docstring(book.doc(known))
    if shaped and any(name in FANS for name in inputs):
        used = [n if any(re.search(rf"\b{n}\b", line) for line in body.lines) else "_" for n in FANS]
        book.helpers.add("fans")
        lines.append(f"{', '.join(used)} = fans(shape)")
    made.lines = [f"def {made.name}({', '.join(head)}):", *indent([*lines, *body.lines])]


# ---- modules


class Layer(Body):
    """A layer or net as a module: `__init__` makes what it owns, `forward` says what it computes."""

    def __init__(self, book: Book, known: Known, made: Class) -> None:
        net = known.definition.word == "net"
        super().__init__(book, known, known.name if net else "self.name", not net)
        self.made = made
        self.net = net
        self.own: list[str] = []
        """The lines of `__init__`."""
        self.kept: dict[str, str] = {}
        """Settings and names that `forward` needs."""
        self.modules: dict[int, Code] = {}
        self.attributes: set[str] = set()
        self.starting = False
        """While a part of `__init__` is written."""
        self.buffers: list[str] = []
        self.firsts: list[str] = []
        """Lines with which `forward` begins."""

    def _paths(self) -> list[str]:
        return self.book.trace.paths(self.definition)

    # ---- names

    def setting(self, word: str) -> Code | None:
        if word not in {p.name for p in self.definition.settings or ()}:
            return None
        values = [s[word] for s in self.book.trace.settings[id(self.definition)].values()]
        callables = [v for v in values if isinstance(v, Known | Bound)]
        if callables and len(callables) == len(values) and not any(isinstance(v, Bound) for v in values):
            if len({id(v.definition) for v in values}) == 1:  # one function everywhere: written in its place
                return None
        if word not in self.made.settings:
            self.made.settings.append(word)
        if self.starting:
            return Code(free(word))
        self.kept[word] = free(word)
        return Code(f"self.{free(word)}")

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

    def _name(self, part: spec.Name) -> Code:
        if part.name not in self.names:
            found = self.setting(part.name)
            if found:
                return found
        elif self.starting and part.name in self.numbers:
            self.early(part.name)
        return super()._name(part)

    @property
    def numbers(self) -> dict[str, str]:
        return self.__dict__.setdefault("_numbers", {})

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
        if not self.net:
            self.made.named = True
            if self.starting:
                return super().place().replace("{self.name}", "{name}").replace("self.name", "name")
            self.kept["name"] = "name"
        return super().place()

    # ---- what it owns

    def attribute(self, wanted: str) -> str:
        name = re.sub(r"\W+", "_", wanted).strip("_")
        name = f"{name}_" if name in TAKEN or name in {free(p.name) for p in self.definition.settings or ()} else free(name)
        number, base = 2, name
        while name in self.attributes:
            name, number = f"{base}{number}", number + 1
        self.attributes.add(name)
        return name

    def starts(self, write: Callable[[], str]) -> str:
        """A line of `__init__`, in which names are the constructor's."""
        self.starting = True
        left, self.left = self.left, ""
        made = write()
        self.left, self.starting = left, False
        return made

    def turned(self, made: str, kind: str, sizes: dict[str, str] | None = None) -> str:
        """``made`` once, or once a turn of the loops around it."""
        for number, (variable, over, _) in enumerate(reversed(self.loops)):
            use = variable if re.search(rf"\b{variable}\b", made) else "_"
            if number == 0 and sizes:
                names, table = text.several(list(sizes)), ", ".join(sizes.values())
                if len(sizes) == 1:
                    names = next(iter(sizes))
                    use, over = (f"{use}, {names}", f"enumerate({table})") if use != "_" else (names, table)
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
            self.book.attributes[fact.value.instance.path] = (fact.frame.instance.path, attribute, _turns(fact.turns))
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
        path, parent = fact.value.instance.path, fact.frame.instance.path
        local = path.removeprefix(f"{parent}.")
        return str(local.removeprefix(f"{fact.turns}."))

    def settings(self, part: spec.Expression, known: Known, made: Class) -> list[str]:
        """What is given for the constructor's settings, as it is written."""
        given = part.arguments if isinstance(part, spec.Call) else ()
        names = [p.name for p in known.definition.settings or ()]
        written: dict[str, spec.Expression] = {}
        position = 0
        for argument in given:
            written[argument.name or names[position]] = argument.value
            position += argument.name is None
        words, direct = [], True
        for name in made.settings:
            if name not in written:
                direct = False
                continue
            value = self.handed(written[name])
            words.append(value if direct else f"{free(name)}={value}")
        return words

    def shaped(self, callee: spec.Expression, shape: Code) -> Code:
        if isinstance(callee, spec.Name) and callee.name not in (*self.names, *self.aliases):
            found = self.setting(callee.name)
            if found:
                self.draws = True
                return text.call(found.text, shape.text, self.place())
        return super().shaped(callee, shape)

    def handed(self, part: spec.Expression) -> str:
        """A setting that is handed on: a number, or a function to be called there."""
        if all(isinstance(v, Known | Bound) for v in self.values(part)):
            known = self.known(part)
            if isinstance(known, Known) and not known.curried:
                return self.code(part).text
            return self.reference(part).text
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
            shape = self.shape([d.size if isinstance(d, spec.Dim) else d for d in part.type.dims or ()])
            return f"nn.Parameter({self.first(part.init, shape)})"

        line = self.starts(write)
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
            return self.shaped(init, shape).text
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

            self.own.append(f'self.register_buffer("{attribute}", {self.starts(write)})')
            self.put(f"{attribute} = self.{attribute}")
            self.names[cell.name] = Code(attribute)
            self.buffers.append(cell.name)

    # ---- statements that a module can have

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
    # A default that no place takes is left out.
    settings = [p for p in definition.settings or () if p.default is not None and book.trace.values(p.default)]
    defaults = {p.name: p.default for p in settings if p.default is not None}
    layer.starting = True
    needed = [free(n) for n in (*made.dims, *made.extra)]
    head = ["self", *needed]
    late = False
    for name in made.settings:
        default = layer.handed(defaults[name]) if name in defaults else None
        if default is None and late:
            head.insert(head.index(next(w for w in head if "=" in w)), free(name))
            continue
        late = late or default is not None
        head.append(free(name) if default is None else f"{free(name)}={default}")
    if made.named:
        head += ["*", "name"]
    keep = [f"self.{free(name)} = {free(name)}" for name in layer.kept]
    own = ["super().__init__()", *keep, *layer.own]
    lines = layer.lines
    for line in layer.numbers.values():  # worked out for `__init__` alone
        word = line.split(" = ")[0]
        used = [x for x in lines if re.search(rf"\b{word}\b", x)]
        if len(used) == 1:
            lines = [x for x in lines if x not in used]
    inputs = ", ".join(["self", *(free(p.name) for p in definition.inputs)])
    body = [*(docstring(book.doc(known)))]
    if body:
        body.append("")
    if len(own) > 1 or head != ["self"]:
        body += [f"def __init__({', '.join(head)}):", *indent(own), ""]
    body += [f"def forward({inputs}):", *indent(lines)]
    made.lines = [f"class {made.name}(nn.Module):", *indent(body)]
