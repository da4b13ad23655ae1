"""The optimizer as a class of PyTorch's kind, and the settings of it that change from step to step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dotnn import spec
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Known
from dotnn.elaborate.values import Sequence as Schedule
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.lines import Body
from dotnn_torch.script.partial import settled
from dotnn_torch.script.text import Code, call, class_name, docstring, free, indent
from dotnn_torch.script.words import Argument


class Update(Body):
    """The body of an optimizer: one weight's step."""

    def __init__(self, book: Book, known: Known) -> None:
        super().__init__(book, known, "", False)
        self.slots: list[tuple[str, str]] = []
        self.looked_up: list[str] = []
        """States that some weights have alone, or whose sizes are known only on the way: taken where they stand."""

    def state(self, part: spec.State) -> None:
        weight = free(self.definition.inputs[0].name)
        for cell in part.cells:
            name, number = free(cell.name), self.code(cell.init).text
            self.names[cell.name] = Code(name)
            like = f"torch.zeros_like({weight})" if number in ("0", "0.0") else f"torch.full_like({weight}, {number})"
            if cell.type is None and self.depth == 0:
                self.slots.append((cell.name, like))
                continue
            if cell.type is not None:
                sizes = [dim if isinstance(dim, spec.Rest) else dim.size for dim in cell.type.dims or ()]
                shape = self.shape(sizes).text if sizes else "()"
                like = f"{weight}.new_full({shape}, {number})"
            self.put(f'{name} = state.get("{cell.name}", {like})')
            self.looked_up.append(cell.name)

    def bind(self, part: spec.Assign, targets: list[str], names: list[str], made: str) -> None:
        super().bind(part, targets, names, made)
        for target, name in zip(targets, names, strict=True):
            if target in self.looked_up:
                self.put(f'state["{target}"] = {name}')


def write_optimizer(book: Book, known: Known, own: Sequence[str]) -> str:
    """An optimizer as PyTorch's are; gives its name. ``own``: the settings that the spec gives."""
    definition = known.definition
    body = Update(book, known)
    weight, gradient = (free(p.name) for p in definition.inputs)
    body.names |= {p.name: Code(free(p.name)) for p in (*(definition.settings or ()), *definition.inputs)}
    body.names["step"] = Code("step")
    body.block(definition.body)
    lines = [*body.lines, *(like for _, like in body.slots)]
    used = [p for p in definition.settings or () if _mentions(lines, free(p.name)) or p.name in own]
    settings = [free(p.name) for p in used]
    heads = _heads(book, body, used)
    slots = [(free(name), like) for name, like in body.slots]
    steps = _mentions(body.lines, "step")
    inner = [f"{weight}, {gradient} = weight, weight.grad"]
    remembered = [*(["step=0"] if steps else []), *(f"{name}={like}" for name, like in slots)]
    if remembered or body.looked_up:
        inner[0] = f"{weight}, {gradient}, state = weight, weight.grad, self.state[weight]"
    if remembered:
        inner += ["if not state:", f"    state.update({', '.join(remembered)})"]
        words = [*(["step"] if steps else []), *(name for name, _ in slots)]
        taken = [*(['state["step"] + 1'] if steps else []), *(f'state["{name}"]' for name, _ in slots)]
        inner.append(f"{', '.join(words)} = {', '.join(taken)}")
    inner += body.lines
    if remembered:
        inner.append(f"state.update({', '.join(f'{name}={name}' for name in words)})")
    inner.append(f"weight.copy_({weight})")
    read = [n for n in settings if _mentions(lines, n)]
    unpacked = f'{read[0]} = group["{read[0]}"]' if len(read) == 1 else (
        f"{', '.join(read)} = ({', '.join(f'group[{chr(34)}{n}{chr(34)}]' for n in read)})")  # fmt: skip
    unpacked = unpacked.replace("(group", "group", 1)[: -1 if len(read) > 1 else None]
    if len(unpacked) > 100:
        unpacked = (
            f"{', '.join(read)} = (group[name] for name in ({', '.join(f'{chr(34)}{n}{chr(34)}' for n in read)}))"
        )
    pairs = ", ".join(f'"{n}": {n}' for n in settings)
    name = book.namer(class_name(known.name))
    doc = docstring(book.doc(known))
    lines = [
        *([*doc, ""] if doc else []),
        f"def __init__({', '.join(['self', 'weights', *heads])}):",
        f"    super().__init__(weights, {{{pairs}}})",
        "",
        "@torch.no_grad()",
        "def step(self):",
        "    for group in self.param_groups:",
        *([f"        {unpacked}"] if read else []),
        '        for weight in group["params"]:',
        *indent(inner, 3),
    ]
    book.sections.append([f"class {name}(torch.optim.Optimizer):", *indent(lines)])
    return name


def _mentions(lines: Sequence[str], word: str) -> bool:
    return any(re.search(rf"(?<![\w.\"]){re.escape(word)}(?!\w|=[^=])", line) for line in lines)


# ---- schedules


class Settings(Writer):
    """What the `optimizer` line gives: numbers, and schedules that change from step to step."""

    def __init__(self, book: Book) -> None:
        super().__init__(book, USER, "", False)
        self.memories: list[str] = []
        """A line for each schedule that remembers: it is made before the first step."""
        self.phased = False

    def schedule(self, name: str, part: spec.Expression) -> str:
        """A setting's value at `step`, as Python. Several phases become a function of their own."""
        phases = part.phases if isinstance(part, spec.Then) else (part,)
        self.phased = len(phases) > 1
        if len(phases) == 1 and not isinstance(part, spec.Until):
            return self._value(part, (0, 0), None, None)
        made = self.book.namer(name)
        lines = []
        start: tuple[int, int] = (0, 0)
        starts = []
        for phase in phases:
            starts.append(start)
            end = self._end(phase, start)
            start = end or start
        for i, phase in enumerate(phases):
            end = self._end(phase, starts[i])
            after = self._first(phases[i + 1 :], starts[i + 1 :])
            value = self._value(phase, starts[i], end, after)
            if i + 1 < len(phases):
                if end is None:
                    self.refuse(phase, "a phase without an end")
                lines.append(f"if step <= {_position(end)}:")
                lines.append(f"    return {value}")
            else:
                lines.append(f"return {value}")
        doc = docstring(f"The setting `{name}` at each step; `epoch` steps make an epoch.")
        self.book.sections.append([f"def {made}(step, steps, epoch):", *indent([*doc, *lines])])
        return f"{made}(step, steps, epoch)"

    def _end(self, phase: spec.Expression, start: tuple[int, int]) -> tuple[int, int] | None:
        """Steps and epochs until a phase ends."""
        if isinstance(phase, spec.Until):
            count = int(self.values(phase.count)[0])
            return (0, count) if phase.unit == "epoch" else (count, 0)
        value = self.values(phase)[0]
        lasts = value.settings.get("lasts") if isinstance(value, Bound) else None
        return None if lasts is None else (start[0] + int(lasts), start[1])

    def _first(self, phases: Sequence[spec.Expression], starts: Sequence[tuple[int, int]]) -> str | None:
        if not phases:
            return None
        after = self._first(phases[1:], starts[1:])
        return self._value(phases[0], starts[0], self._end(phases[0], starts[0]), after, first=True)

    def _value(
        self,
        phase: spec.Expression,
        start: tuple[int, int],
        end: tuple[int, int] | None,
        after: str | None,
        first: bool = False,
    ) -> str:
        value = phase.value if isinstance(phase, spec.Until) else phase
        if not isinstance(self.values(value)[0], Known | Bound):
            return self.code(value).text
        known, settings = settled(self, value)
        if remembers(known):
            return self._memory(phase, known, settings)
        made = self.book.function(known)
        stop = end or self._end(value, start)
        length = "steps" if stop is None else _position(stop)
        length = length if start == (0, 0) else _minus(length if stop is None else stop, start)
        self.book.helpers |= {"left"} if length.startswith("left(") else set()
        here = "1" if first else "step" if start == (0, 0) else f"step - {_bracketed(start)}"
        facts = {"step": here, "steps": length, "after": after}
        words = [facts[name] for name in made.inputs if facts.get(name) is not None]
        return call(made.name, *(w for w in words if w), *(self.keyword(a) for a in settings)).text

    def _memory(self, phase: spec.Expression, known: Known, settings: Sequence[spec.Argument]) -> str:
        """A schedule that looks at how training goes."""
        plan = self.book.trace.program.plan
        words = {
            "step": "step",
            "steps": "steps",
            "epoch": "epoch",
            "loss": 'now["loss"].item()',
            "rows": "len(places)",
        }
        given = [p.name for p in known.definition.inputs if p.default is None]
        if isinstance(phase, spec.Until) or self.phased or not set(given) <= set(words):
            self.refuse(phase, "a schedule that remembers, among others,")
        if plan.accumulate > 1 and not {"loss", "rows"}.isdisjoint(given):
            self.refuse(phase, "a schedule that looks at the loss, beside `accumulate`,")
        made = write_memory(self.book, known)
        name = self.book.namer(known.name)
        self.memories.append(f"{name} = {call(made, *(self.keyword(a) for a in settings)).text}")
        return call(name, *(words[word] for word in given)).text


def remembers(known: Known) -> bool:
    return any(isinstance(statement, spec.State) for statement in known.definition.body)


class Memory(Body):
    """The body of a schedule that remembers: each number in it is one of Python's."""

    def __init__(self, book: Book, known: Known) -> None:
        super().__init__(book, known, "", False)
        self.slots: dict[str, str] = {}
        settings = [p.name for p in known.definition.settings or ()]
        self.starting = {name: Code(free(name)) for name in settings}
        self.names |= {p.name: Code(free(p.name)) for p in known.definition.inputs}
        self.names |= {name: Code(f"self.{free(name)}") for name in settings}

    def argument(self, part: spec.Expression) -> Argument:
        made = super().argument(part)
        if any(tensor.rank for tensor in made.tensors):
            self.refuse(part, "a schedule that computes with more than single numbers")
        return Argument(made.code, [True if made.dtypes == {"bool"} else 1.0]) if made.tensors else made

    def state(self, part: spec.State) -> None:
        names, self.names = self.names, self.names | self.starting
        self.slots |= {cell.name: self.code(cell.init).text for cell in part.cells}
        self.names = names | {cell.name: Code(f"self.{free(cell.name)}") for cell in part.cells}

    def bind(self, part: spec.Assign, targets: list[str], names: list[str], made: str) -> None:
        own = [f"self.{name}" if target in self.slots else name for target, name in zip(targets, names, strict=True)]
        super().bind(part, targets, own, made)


def write_memory(book: Book, known: Known) -> str:
    """A schedule that remembers, as a class whose instances are called once a step; gives its name."""
    definition = known.definition
    body = Memory(book, known)
    body.block(definition.body)
    settings = definition.settings or ()
    if not body.slots.keys().isdisjoint(p.name for p in settings):
        body.refuse(definition, "a schedule whose state has the name of a setting")
    kept = [free(p.name) for p in settings if _mentions(body.lines, f"self.{free(p.name)}")]
    heads = _heads(book, body, settings)
    own = [*(f"self.{name} = {name}" for name in kept), *(f"self.{free(n)} = {v}" for n, v in body.slots.items())]
    doc = docstring(book.doc(known))
    lines = [
        *([*doc, ""] if doc else []),
        f"def __init__({', '.join(['self', *heads])}):",
        *indent(own),
        "",
        f"def __call__({', '.join(['self', *(free(p.name) for p in definition.inputs)])}):",
        *indent(body.lines),
    ]
    name = book.namer(class_name(known.name))
    book.sections.append([f"class {name}:", *indent(lines)])
    return name


def _heads(book: Book, body: Body, settings: Sequence[spec.Parameter]) -> list[str]:
    """Settings as a constructor takes them, those that must be given first."""
    told = {p.name for p in settings if p.default is not None and book.tells(p.default)}
    late = [f"{free(p.name)}={body.code(p.default).text}" for p in settings if p.default and p.name in told]
    return [*(free(p.name) for p in settings if p.name not in told), *late]


def _position(at: tuple[int, int]) -> str:
    steps, epochs = at
    words = ([f"{epochs} * epoch"] if epochs else []) + ([str(steps)] if steps or not epochs else [])
    return " + ".join(words)


def _bracketed(at: tuple[int, int]) -> str:
    return f"({_position(at)})" if at[0] and at[1] else _position(at)


def _minus(stop: str | tuple[int, int], start: tuple[int, int]) -> str:
    if isinstance(stop, str):
        return f"left({stop}, {_position(start)})"
    return _position((stop[0] - start[0], stop[1] - start[1]))


def is_schedule(value: Any) -> bool:
    return isinstance(value, Known | Bound | Schedule)
