"""Definitions as Python: one writer walks the statements of a body; a function is the plainest of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dotnn import spec
from dotnn.elaborate.values import Bound, Known, Primitive
from dotnn.words import names_in, parts_in
from dotnn_torch.script.body import FANS, Writer
from dotnn_torch.script.equations import write_equation
from dotnn_torch.script.scan import write_scan
from dotnn_torch.script.text import Code, docstring, free, indent
from dotnn_torch.script.words import Argument, UnspokenError

if TYPE_CHECKING:
    from dotnn_torch.script.book import Book


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
    lent: list[str] = field(default_factory=list)
    """Settings that are tensors somewhere: `forward` takes them."""
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

    @cached_property
    def tracked(self) -> set[str]:
        """The names by which a gradient is taken."""
        body = self.definition.body or self.book.trace.train
        calls = (part for part in parts_in(body) if isinstance(part, spec.Call) and len(part.arguments) == 2)
        found = [c.arguments[1].value for c in calls if isinstance(c.function, spec.Name) and self._is_grad(c.function)]
        return {part.name for part in found if isinstance(part, spec.Name)}

    def _is_grad(self, part: spec.Name) -> bool:
        values = self.book.trace.values(part)
        return bool(values) and all(isinstance(v, Primitive) and v.name == "grad" for v in values)

    def followed(self, names: Sequence[str]) -> list[str]:
        """Lines that let a gradient be taken by those of these by which one is."""
        return [f"{free(name)} = tracked({free(name)})" for name in names if name in self.tracked]

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
            self.equations(part)
            return
        self.left = part.targets[0].name
        if len(part.values) == len(part.targets) == 1:
            known = self.known(part.values[0])
            if isinstance(known, Bound | Known) and not (isinstance(known, Bound) and known.instance is not None):
                self.aliases[self.left] = part.values[0]
                return
        names = [free(target.name) for target in part.targets]
        value = part.values[0]
        if len(part.values) == len(names) == 1 and isinstance(value, spec.Chain) and self.unrolled(names[0], value):
            return
        given = [self.argument(v) for v in part.values]
        self.bind(part, [t.name for t in part.targets], names, ", ".join(g.code.text for g in given))
        if len(given) == len(names):
            for target, value in zip(part.targets, part.values, strict=True):
                act = self.plain_names.add if id(value) in self.plain else self.plain_names.discard
                act(target.name)

    def equations(self, part: spec.Assign) -> None:
        for target, value in zip(part.targets, part.values, strict=True):
            self.left = target.name
            try:
                made = write_equation(self, part, target, value)
            except UnspokenError as error:
                self.refuse(value, str(error))
            self.bind(part.model_copy(update={"values": ()}), [target.name], [free(target.name)], made.text)

    def unrolled(self, name: str, chain: spec.Chain) -> bool:
        """A chain of several stages, one a line."""
        later = [n for stage in chain.stages for n in names_in(stage)]
        if len(chain.stages) < 3 or name in later or self.left in self.states():
            return False
        flow = self.argument(chain.start)
        for stage in chain.stages:
            self.put(f"{name} = {self.stage(flow, stage).text}")
            flow = Argument(Code(name), self.values(stage))
        self.names[self.left] = Code(name)
        for line in self.followed([self.left]):
            self.put(line)
        return True

    def states(self) -> Sequence[str]:
        return ()

    def bind(self, part: spec.Assign, targets: list[str], names: list[str], made: str) -> None:
        self.put(f"{', '.join(names)} = {made}")
        for target, name in zip(targets, names, strict=True):
            self.names[target] = Code(name)
        for line in self.followed(targets):
            self.put(line)

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
        turns, here = self.turns, f"{part.name or 'repeat'}[{{{variable}}}]"
        self.turns = f"{turns}.{here}" if turns else here
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
        if found or self.definition.word != "function":
            return Code(found) if found else None
        sizes = {frame.dims.get(word) for frame in frames.values()}  # of no dim: how many classes a number is one of
        size = sizes.pop()
        return Code(str(size)) if isinstance(size, int) and not sizes else None


_STATEMENTS: dict[str, Callable[[Body, Any], None]] = {
    "assign": lambda w, p: w.assign(p),
    "weight": lambda w, p: w.weight(p),
    "state": lambda w, p: w.state(p),
    "repeat": lambda w, p: w.repeat(p),
    "if": lambda w, p: w.branch(p),
    "when": lambda w, p: w.when(p),
    "scan": write_scan,
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
    body.lines = [*body.followed(inputs), *_used(body.lines)]
    made.draws = body.draws
    if not known.curried:
        passed = book.trace.passed(definition)
        idle = [p.name for p in definition.inputs if p.default is not None and p.name not in passed]
        words = [n for n in words if n not in idle or re.search(rf"\b{free(n)}\b", "\n".join(body.lines))]
        made.inputs = tuple(words)
    head = [free(n) for n in words]
    of_inputs = {p.name: p.default for p in definition.inputs if p.default is not None}
    given = {n: body.code(d).text for n, d in of_inputs.items() if n in words}
    others = re.compile(rf"\b({'|'.join(map(free, inputs))})\b")
    late_inputs = {n: text for n, text in given.items() if others.search(text)}
    first = given | dict.fromkeys(late_inputs, "None")
    head = [f"{free(n)}={first[n]}" if n in first else free(n) for n in words]
    settings = definition.settings or ()
    rest = [(p.name, p.default if p.default and book.tells(p.default) else None) for p in settings]
    rest.sort(key=lambda entry: entry[1] is not None)
    late = {n: body.code(d).text for n, d in rest if d is not None and _of_others(d, rest)}
    defaults = {n: "None" if n in late else body.code(d).text for n, d in rest if d is not None}
    head += [f"{free(n)}={defaults[n]}" if n in defaults else free(n) for n, _ in rest]
    if made.draws and known.curried:
        head.insert(len(words), "at")
    elif made.draws:
        head += ["*", "at"]
    lines = docstring(book.doc(known))
    computed = late_inputs | late
    lines += [f"{free(n)} = {default} if {free(n)} is None else {free(n)}" for n, default in computed.items()]
    if shaped and any(name in FANS for name in inputs):
        used = [n if any(re.search(rf"\b{n}\b", line) for line in body.lines) else "_" for n in FANS]
        book.helpers.add("fans")
        lines.append(f"{', '.join(used)} = fans(shape)")
    made.lines = [f"def {made.name}({', '.join(head)}):", *indent([*lines, *body.lines])]


def _used(lines: list[str]) -> list[str]:
    """Without what is bound and never read, as where a branch that was not taken would have read it."""
    while True:
        text = "\n".join(lines)
        for number, line in enumerate(lines):
            found = re.match(r"(\w+) = (?!.*\bat\b)", line)
            if found and len(re.findall(rf"\b{found[1]}\b", text)) == 1:
                lines = lines[:number] + lines[number + 1 :]
                break
        else:
            return lines


def _of_others(default: spec.Expression | None, settings: Sequence[tuple[str, Any]]) -> bool:
    """Whether a default is computed from other settings: Python knows them only inside."""
    return default is not None and not set(names_in(default)).isdisjoint(name for name, _ in settings)
