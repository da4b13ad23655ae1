"""The rest of the script: the optimizer, schedules, the columns of the data, what is measured, the loop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from dotnn import spec
from dotnn.elaborate import expressions
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Known, Tensor
from dotnn.elaborate.values import Sequence as Schedule
from dotnn.plan import scratch
from dotnn.program import Patience, Watch
from dotnn.training.display import is_share
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.lines import Body
from dotnn_torch.script.text import ATOM, Code, call, class_name, docstring, free, indent, several
from dotnn_torch.script.words import Argument

# ---- the optimizer


class Update(Body):
    """The body of an optimizer: one weight's step."""

    def __init__(self, book: Book, known: Known) -> None:
        super().__init__(book, known, "", False)
        self.slots: list[tuple[str, str]] = []

    def state(self, part: spec.State) -> None:
        for cell in part.cells:
            if cell.type is not None:
                self.refuse(cell, "a state of an optimizer with sizes of its own")
            number = self.code(cell.init).text
            like = "torch.zeros_like(w)" if number in ("0", "0.0") else f"torch.full_like(w, {number})"
            self.slots.append((cell.name, like))
            self.names[cell.name] = Code(free(cell.name))


def write_optimizer(book: Book, known: Known, own: Sequence[str]) -> str:
    """An optimizer as PyTorch's are; gives its name. ``own``: the settings that the spec gives."""
    definition = known.definition
    body = Update(book, known)
    weight, gradient = (free(p.name) for p in definition.inputs)
    body.names |= {p.name: Code(free(p.name)) for p in (*(definition.settings or ()), *definition.inputs)}
    body.names["step"] = Code("step")
    body.block(definition.body)
    used = [p for p in definition.settings or () if _mentions(body.lines, free(p.name)) or p.name in own]
    settings = [free(p.name) for p in used]
    heads = [free(p.name) if p.default is None else f"{free(p.name)}={body.code(p.default).text}" for p in used
             if not p.default or book.trace.values(p.default) or isinstance(p.default, spec.Number)]  # fmt: skip
    heads = [free(p.name) for p in used if free(p.name) not in {h.split("=")[0] for h in heads}] + heads
    slots = [(free(name), like.replace("(w", f"({weight}")) for name, like in body.slots]
    steps = _mentions(body.lines, "step")
    inner = [f"{weight}, {gradient} = weight, weight.grad"]
    remembered = [*(["step=0"] if steps else []), *(f"{name}={like}" for name, like in slots)]
    if remembered:
        inner[0] = f"{weight}, {gradient}, state = weight, weight.grad, self.state[weight]"
        inner += ["if not state:", f"    state.update({', '.join(remembered)})"]
        words = [*(["step"] if steps else []), *(name for name, _ in slots)]
        taken = [*(['state["step"] + 1'] if steps else []), *(f'state["{name}"]' for name, _ in slots)]
        inner.append(f"{', '.join(words)} = {', '.join(taken)}")
    inner += body.lines
    if remembered:
        inner.append(f"state.update({', '.join(f'{name}={name}' for name in words)})")
    inner.append(f"weight.copy_({weight})")
    read = [n for n in settings if _mentions(body.lines, n)]
    unpacked = f'{read[0]} = group["{read[0]}"]' if len(read) == 1 else (
        f"{', '.join(read)} = ({', '.join(f'group[{chr(34)}{n}{chr(34)}]' for n in read)})")  # fmt: skip
    unpacked = unpacked.replace("(group", "group", 1)[: -1 if len(read) > 1 else None]
    pairs = ", ".join(f'"{n}": {n}' for n in settings)
    name = book.namer(class_name(known.name))
    lines = [
        *docstring(book.doc(known)),
        "",
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

    def schedule(self, name: str, part: spec.Expression) -> str:
        """A setting's value at `step`, as Python. Several phases become a function of their own."""
        phases = part.phases if isinstance(part, spec.Then) else (part,)
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
        known, settings = self.settled(value)
        made = self.book.function(known)
        stop = end or self._end(value, start)
        length = "steps" if stop is None else _position(stop)
        length = length if start == (0, 0) else _minus(length if stop is None else stop, start)
        here = "1" if first else "step" if start == (0, 0) else f"step - {_bracketed(start)}"
        facts = {"step": here, "steps": length, "after": after}
        words = [facts[name] for name in made.inputs if facts.get(name) is not None]
        return call(made.name, *(w for w in words if w), *(self.keyword(a) for a in settings)).text


def _position(at: tuple[int, int]) -> str:
    steps, epochs = at
    words = ([f"{epochs} * epoch"] if epochs else []) + ([str(steps)] if steps or not epochs else [])
    return " + ".join(words)


def _bracketed(at: tuple[int, int]) -> str:
    return f"({_position(at)})" if at[0] and at[1] else _position(at)


def _minus(stop: str | tuple[int, int], start: tuple[int, int]) -> str:
    if isinstance(stop, str):
        return f"{stop} - {_bracketed(start)}"
    return _position((stop[0] - start[0], stop[1] - start[1]))


def is_schedule(value: Any) -> bool:
    return isinstance(value, Known | Bound | Schedule)


# ---- the data


class Columns(Writer):
    """The lines of a data block."""

    def __init__(self, book: Book) -> None:
        super().__init__(book, USER, "", False)
        self.now = ""
        self.count = 0

    def code(self, part: spec.Expression) -> Code:
        if isinstance(part, spec.ColumnOf):
            self.count += 1
            name = self.now if self.count == 1 else f"{self.now}.{part.first}"
            return Code(f'rows["{name}"]')
        return super().code(part)

    def native(self, name: str, part: spec.Expression, flow: list[Argument], given: Sequence[spec.Argument]) -> Code:
        (x,) = [*flow, *(self.argument(a.value) for a in given)]
        if any(re.search(rf"\b{free(n)}\b(?!\")", x.code.text) for n in self.names):
            self.refuse(part, "what is fitted on a column that another line makes")
        self.book.helpers.add("fitted")
        return call(name, x.real.text, x.real.text.replace("rows[", "train["))

    def line(self, column: spec.Column) -> str:
        self.now, self.count = column.name, 0
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
    """`read(split)`: the columns of a split."""
    columns = Columns(book)
    wanted = book.trace.columns
    lines = [columns.line(c) for c in book.trace.data.columns if c.name in wanted]
    if "fitted" in book.helpers:
        first = ['rows, train = load(split), load("train")']
    else:
        first = ["rows = load(split)"]
    pairs = ", ".join(f'"{name}": {free(name)}' for name in wanted)
    doc = docstring("The columns of a split, as the spec makes them of the table's.")
    return ["def read(split):", *indent([*doc, *first, *lines, f"return {{{pairs}}}"])]


# ---- what is measured


class Figures(Body):
    """Loss, error and metrics of some rows."""

    def __init__(self, book: Book, net: Known | None) -> None:
        blank = spec.Definition.model_construct(inputs=(), results=(), settings=None, body=())
        super().__init__(book, Known(blank, USER), "", False)
        self.the_net = net
        self.used: list[str] = []

    def column(self, word: str) -> Code | None:
        if word not in self.book.trace.columns:
            return None
        if word not in self.used:
            self.used.append(word)
        return Code(free(word))

    def dim(self, word: str) -> Code | None:
        return Code(f"len({self.column(self.book.trace.columns[0])[0]})") if word == "b" else None  # type: ignore[index]

    def net(self, part: spec.Expression, known: Known, given: list[Argument]) -> Code:
        if self.the_net is None or known.definition is not self.the_net.definition:
            self.refuse(part, "another net")
        inputs = known.definition.inputs
        return call("net", *(self.accepted(a, p).text for a, p in zip(given, inputs, strict=False)))

    def mean(self, objective: spec.Expression, where: spec.Expression | None) -> str:
        x = self.argument(objective)
        if not x.tensors:
            self.refuse(objective, "a number that nothing changes")
        if where is not None:
            self.book.helpers.add("kept")
            return f"mean_where({x.real.text}, {self.code(where).text})"
        if all(t.rank == 0 for t in x.tensors):
            return x.real.text
        return f"{x.real.at(ATOM)}.mean()"


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
    entries = [("loss", body.mean(train.loss.value, train.loss.where))]
    if train.error is not None:
        entries.append(("error", body.mean(train.error.value, train.error.where)))
    entries += [(m.name, body.mean(m.value, None)) for m in train.metrics]
    order = [n for n in book.trace.columns if n in body.used]
    first = f"{', '.join(free(n) for n in order)} = {', '.join(f'rows[{chr(34)}{n}{chr(34)}]' for n in order)}"
    made = [f'    "{name}": {value},' for name, value in entries]
    doc = docstring("What is measured on these rows; `loss` is what training makes small.")
    lines = [*doc, first, *body.lines, "return {", *made, "}"]
    return ["def figures(net, rows):", *indent(lines)]


# ---- the loop


def _number(book: Book, part: spec.Expression) -> float:
    frame = scratch(book.trace.spec, dict(book.trace.program.params))
    value = expressions.evaluate(frame, part)
    return value if isinstance(value, int | float) else float(value.value)


def write_loop(book: Book, net: Known | None, optimizer: str) -> list[str]:
    trace, plan = book.trace, book.trace.program.plan
    train = trace.train
    written = train.optimizer
    given = written.arguments if isinstance(written, spec.Call) else ()
    known = _optimizer(book)
    names = [p.name for p in known.definition.settings or ()]
    settings = Settings(book, USER, "", False)
    fixed: list[str] = []
    moving: list[tuple[str, str]] = []
    position = 0
    for argument in given:
        name = argument.name or names[position]
        position += argument.name is None
        if is_schedule(settings.values(argument.value)[0]):
            moving.append((name, settings.schedule(name, argument.value)))
        else:
            fixed.append(f"{free(name)}={settings.code(argument.value).text}")
    needs_start = [n for n, _ in moving if next(p for p in known.definition.settings or () if p.name == n).default is None]
    fixed += [f"{free(n)}=0.0" for n in needs_start]
    made = f"{book.klass(net).name}({_net_sizes(book, net)})" if net else _refuse(book, "training without a net")
    splits = _splits(book)
    watching = [s for s in splits if s == "val"]
    steps = "STEPS" if plan.steps is not None else "EPOCHS * epoch"
    epochs = "math.ceil(STEPS / epoch)" if plan.steps is not None else "EPOCHS"
    epoch_used = plan.steps is not None or any("epoch" in v for _, v in moving)
    steps_used = any(re.search(r"\bsteps\b", v) for _, v in moving)
    first = trace.columns[0]
    head = [f"rows = {{split: read(split) for split in {several([chr(34) + s + chr(34) for s in splits])}}}",
            f"net = {made}",
            f"optimizer = {optimizer}({', '.join(['net.parameters()', *fixed])})"]  # fmt: skip
    counting = [f'count = len(rows["train"]["{first}"])']
    if epoch_used or steps_used:
        counting.append("epoch = math.ceil(count / BATCH)  # in steps")
    if steps_used:
        counting.append(f"steps = {steps}")
    counting.append("step = 0")
    keep = _keep(book)
    patience = next((s for s in plan.stop if isinstance(s, Patience)), None)
    start = [*(["best, kept = (math.inf, math.inf), None"] if keep else []),
             *(["lowest, since = math.inf, 0"] if patience else [])]  # fmt: skip
    lines = [*head, *counting, *start, "history = []", f"for number in range(1, {epochs} + 1):"]
    lines[-1] = lines[-1].replace("EPOCHS + 1", "EPOCHS + 1")
    inner = ["net.train()", "sums = {}"]
    inner.append("for places in random.shuffle(number - 1, count).split(BATCH):")
    batch = []
    if plan.steps is not None:
        batch += ["if step == STEPS:", "    break"]
    batch += [
        "random.begin(step)",
        "step += 1",
        'batch = {name: column[places] for name, column in rows["train"].items()}',
        "now = figures(net, batch)",
        "optimizer.zero_grad()",
        'now["loss"].backward()',
        *_gradients(book),
    ]
    batch += [f'optimizer.param_groups[0]["{free(name)}"] = {value}' for name, value in moving]
    batch += ["optimizer.step()", "for name, value in now.items():",
              "    sums[name] = sums.get(name, 0) + float(value.detach()) * len(places)"]  # fmt: skip
    inner += indent(batch)
    if plan.steps is not None:
        inner[3:5] = ["    if step == STEPS:", "        break"]
        inner.insert(2, "seen = 0")
        inner.append("    seen += len(places)")
        share = "seen"
    else:
        share = "count"
    inner.append(f'splits = {{"train": {{name: value / {share} for name, value in sums.items()}}}}')
    inner += [f'splits["{s}"] = evaluate(net, rows["{s}"])' for s in watching]
    inner.append("history.append(splits)")
    if keep:
        watch, sign = keep
        tie = f'splits["{watch.split}"]["loss"]'
        inner += [f"score = ({sign}{_figure(watch)}, {tie})", "if score < best:",
                  "    best, kept = score, (number, copy.deepcopy(net.state_dict()))"]  # fmt: skip
    inner.append(_report(book, watching, bool(keep)))
    if patience:
        inner += [f"if {_figure(patience.watch)} < lowest:", f"    lowest, since = {_figure(patience.watch)}, number",
                  f"if number - since >= {patience.epochs}:", "    break"]  # fmt: skip
    for goal in plan.stop:
        if not isinstance(goal, Patience):
            inner += [f"if {_figure(goal.watch)} {goal.operator} {goal.bound!r}:", "    break"]
    lines += indent(inner)
    if keep:
        lines += ["if kept:", "    net.load_state_dict(kept[1])", '    print(f"kept the weights of epoch {kept[0]}")']
    lines += ['torch.save(net.state_dict(), here / "weights.pt")', "for split in rows:",
              "    measured = evaluate(net, rows[split])", _exam(book), "return history"]  # fmt: skip
    lines.insert(len(head) + len(counting) + len(start), f'print("{_heads(book, watching)}")')
    return ["def main():", *indent(lines)]


def _optimizer(book: Book) -> Known:
    written = book.trace.train.optimizer
    value = book.trace.values(written)[0]
    return value.known if isinstance(value, Bound) else value  # type: ignore[no-any-return]


def _refuse(book: Book, what: str) -> NoReturn:
    return Writer(book, USER, "", False).refuse(book.trace.train, what)


def _net_sizes(book: Book, net: Known) -> str:
    made = book.klass(net)
    frame = book.trace.frames[id(net.definition)][net.name]
    return ", ".join([*(str(frame.dims[d]) for d in made.dims), *(str(s[net.name]) for s in made.extra.values())])


def _splits(book: Book) -> list[str]:
    split = book.trace.data.split
    names = [s.name for s in split.shares] if split else ["train"]
    return names + ["test"] * any(s.role == "test" for s in book.trace.data.sources)


def _keep(book: Book) -> tuple[Watch, str] | None:
    watch = book.trace.program.plan.keep
    if watch is None:
        return None
    highest = next(f.role for f in book.trace.program.figures if f.name == watch.figure) == "metric"
    return watch, "-" if highest else ""


def _figure(watch: Watch) -> str:
    return f'splits["{watch.split}"]["{watch.figure}"]'


def _gradients(book: Book) -> list[str]:
    """`clip` and `decay`, in the order in which they hold."""
    train = book.trace.train
    lines = []
    if train.clip is not None:
        most = _number(book, train.clip)
        book.helpers.add("clip")
        lines.append(f"clip(net.parameters(), {most!r})")
    weights = [fed.name for fed in book.trace.program.graphs["train"].inputs if fed.learned]
    for decay in train.decays:
        rate = _number(book, decay.rate)
        pattern = "".join(f"[{c}]" if c in "[?" else c for c in decay.pattern)
        names = [book.torch_path(w) for w in weights if fnmatchcase(w, pattern)]
        lines.append(f"for name in {several([chr(34) + n + chr(34) for n in names])}:")
        lines.append("    weight = net.get_parameter(name)")
        lines.append(f"    weight.grad += {rate!r} * weight.detach()")
    return lines


def _shown(book: Book, figure: str, value: str, width: int) -> str:
    if is_share(book.trace.program, figure):
        return f"{{100 * {value}:>{width - 2}.1f}} %" if width else f"{{100 * {value}:.1f}} %"
    return f"{{{value}:>{width}.4g}}" if width else f"{{{value}:.4g}}"


def _columns(book: Book, watching: Sequence[str]) -> list[tuple[str, str]]:
    names = [f.name for f in book.trace.program.figures if f.role in ("loss", "error")]
    return [(split, name) for split in ("train", *watching) for name in names]


def _heads(book: Book, watching: Sequence[str]) -> str:
    return "epoch  " + "  ".join(f"{f'{split} {name}':>11}" for split, name in _columns(book, watching))


def _report(book: Book, watching: Sequence[str], keeps: bool) -> str:
    quoted = [f"splits['{split}']['{name}']" for split, name in _columns(book, watching)]
    cells = [_shown(book, n, q, 11) for q, (_, n) in zip(quoted, _columns(book, watching), strict=True)]
    return 'print(f"{number:>5}  ' + "  ".join(cells) + '")'


def _exam(book: Book) -> str:
    names = [f.name for f in book.trace.program.figures]
    cells = [f"{n} {_shown(book, n, f'measured[{chr(39)}{n}{chr(39)}]', 0)}" for n in names]
    return '    print(f"{split}: ' + ", ".join(cells) + '")'
