"""The columns of the data, what is measured of them, and the loop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from dotnn import spec
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Known, Tensor
from dotnn.operation import lookup
from dotnn.plan import scratch
from dotnn.program import Patience, Watch
from dotnn.training.display import is_share
from dotnn.updates.patterns import last_of
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.helpers import HELPERS
from dotnn_torch.script.lines import Body
from dotnn_torch.script.text import ATOM, WIDTH, Code, call, comment, docstring, free, indent, several
from dotnn_torch.script.updates import Settings, is_schedule
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
        block = self.book.trace.builder.block
        if block.generated and not block.lineage.fitted(column.name, len(block.lineage.wordings[column.name]) - 1):
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
        self, objective: spec.Expression, where: spec.Expression | None, weights: spec.Expression | None = None
    ) -> str:
        x = self.argument(objective)
        if not x.tensors:
            self.refuse(objective, "a number that nothing changes")
        if weights is not None:
            if all(t.rank == 0 for t in x.tensors):
                self.refuse(objective, "a mean whose rows are weighed")
            self.book.helpers.add("weighted")
            kept = "" if where is None else f", {self.code(where).text}"
            return f"weighted_mean({x.real.text}, {self.argument(weights).real.text}{kept})"
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
    entries = [("loss", body.mean(train.loss.value, train.loss.where, train.loss.weights))]
    if train.error is not None:
        entries.append(("error", body.mean(train.error.value, train.error.where, train.error.weights)))
    tables = {figure.name for figure in book.trace.program.figures if figure.dims}
    for metric in train.metrics:
        if metric.name in tables:
            body.refuse(metric.value, "a metric that is a table")
        entries.append((metric.name, body.mean(metric.value, None, metric.weights)))
    order = [n for n in book.trace.columns if n in body.used]
    first = f"{', '.join(free(n) for n in order)} = {', '.join(f'rows[{chr(34)}{n}{chr(34)}]' for n in order)}"
    made = [f'    "{name}": {value},' for name, value in entries]
    doc = docstring("What is measured on these rows; `loss` is what training makes small.")
    lines = [*doc, first, *body.lines, "return {", *made, "}"]
    return ["def figures(net, rows):", *indent(lines)]


# ---- the loop


def _number(book: Book, part: spec.Expression) -> float:
    frame = scratch(book.trace.spec, dict(book.trace.program.params))
    value = evaluate(frame, part)
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
    defaults = {p.name: p.default for p in known.definition.settings or ()}
    fixed += [f"{free(name)}=0.0" for name, _ in moving if defaults[name] is None]
    made = f"{book.klass(net).name}({_net_sizes(book, net)})" if net else _refuse(book, "training without a net")
    splits = _splits(book)
    rules = [rule.watch for rule in plan.stop] + ([plan.keep] if plan.keep else [])
    watched = {watch.split for watch in rules}
    watching = [s for s in splits if s != "train" and (s == "val" or s in watched)]
    steps = "STEPS" if plan.steps is not None else "EPOCHS * epoch"
    epochs = "math.ceil(STEPS / epoch)" if plan.steps is not None else "EPOCHS"
    epoch_used = plan.steps is not None or any("epoch" in v for _, v in moving)
    steps_used = any(re.search(r"\bsteps\b", v) for _, v in moving)
    first = trace.columns[0]
    head = [_rows_of(splits),
            f"net = {made}",
            f"optimizer = {optimizer}({', '.join(['net.parameters()', *fixed])})"]  # fmt: skip
    idle = _idle(book)
    if idle:
        loose = "  # some weights do not touch the loss"
        head += ["for weight in net.parameters():", f"    weight.grad = torch.zeros_like(weight){loose}"]
    counting = [f'count = len(rows["train"]["{first}"])']
    if epoch_used or steps_used:
        counting.append("epoch = math.ceil(count / BATCH)  # in steps")
    if steps_used:
        counting.append(f"steps = {steps}")
    counting.append("step = 0")
    keep = _keep(book)
    patience = next((s for s in plan.stop if isinstance(s, Patience)), None)
    by_loss = bool(keep) and keep[0].figure == "loss"
    start = [*([f"best, kept = {'math.inf' if by_loss else '(math.inf, math.inf)'}, None"] if keep else []),
             *(["lowest, since = math.inf, 0"] if patience else [])]  # fmt: skip
    lines = [*head, *counting, *start, "history = []", f"for number in range(1, {epochs} + 1):"]
    measured = ", ".join(f'"{f.name}": 0.0' for f in trace.program.figures if f.role in ("loss", "error"))
    inner = ["net.train()", f"sums = {{{measured}}}"]
    inner.append("for places in random.shuffle(number - 1, count).split(BATCH):")
    batch = []
    if plan.steps is not None:
        batch += ["if step == STEPS:", "    break"]
    batch += [
        "random.begin(step)",
        "step += 1",
        'batch = {name: column[places] for name, column in rows["train"].items()}',
        "now = figures(net, batch)",
        "optimizer.zero_grad(set_to_none=False)" if idle else "optimizer.zero_grad()",
        'now["loss"].backward()',
        *_gradients(book),
    ]
    batch += [f'optimizer.param_groups[0]["{free(name)}"] = {value}' for name, value in moving]
    batch += ["optimizer.step()", "for name in sums:", "    sums[name] += now[name].item() * len(places)"]
    inner += indent(batch)
    if plan.steps is not None:
        inner[3:5] = ["    if step == STEPS:", "        break"]
        inner.insert(2, "seen = 0")
        inner.append("    seen += len(places)")
        share = "seen"
    else:
        share = "count"
    inner.append(f"train = {{name: value / {share} for name, value in sums.items()}}")
    inner += [f'{free(s)} = evaluate(net, rows["{s}"])' for s in watching]
    pairs = ", ".join(f'"{s}": {free(s)}' for s in ("train", *watching))
    inner.append(f"history.append({{{pairs}}})")
    inner += _report(book, watching)
    if keep:
        watch, sign = keep
        loss = f'{free(watch.split)}["loss"]'
        inner += [f"score = {loss}" if by_loss else f"score = ({sign}{_figure(watch)}, {loss})", "if score < best:",
                  "    best, kept = score, (number, copy.deepcopy(net.state_dict()))",
                  '    report += "  best so far"']  # fmt: skip
    inner.append("print(report)")
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
              "    measured = evaluate(net, rows[split])", *_exam(book), "return history"]  # fmt: skip
    lines.insert(len(head) + len(counting) + len(start), f'print("{_heads(book, watching)}")')
    return ["def main():", *indent(lines)]


def _optimizer(book: Book) -> Known:
    written = book.trace.train.optimizer
    value = book.trace.values(written)[0]
    return value.known if isinstance(value, Bound) else value


def _refuse(book: Book, what: str) -> NoReturn:
    Writer(book, USER, "", False).refuse(book.trace.train, what)


def _net_sizes(book: Book, net: Known) -> str:
    made = book.klass(net)
    frame = book.trace.frames[id(net.definition)][net.name]
    return ", ".join([*(str(frame.dims[d]) for d in made.dims), *(str(s[net.name]) for s in made.extra.values())])


def _rows_of(splits: Sequence[str]) -> str:
    quoted = [f'"{split}"' for split in splits]
    if len(splits) == 1:
        return f'rows = {{"{splits[0]}": read("{splits[0]}")}}'
    return f"rows = {{split: read(split) for split in {several(quoted)}}}"


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
    return f'{free(watch.split)}["{watch.figure}"]'


def _gradients(book: Book) -> list[str]:
    """`clip` and `decay`, in the order in which they hold."""
    train = book.trace.train
    lines = []
    if train.clip is not None:
        most = _number(book, train.clip)
        book.helpers.add("clip")
        lines.append(f"clip(net.parameters(), {most!r})")
    weights = [fed.name for fed in book.trace.program.graphs["train"].inputs if fed.learned]
    chosen = last_of(train.decays, weights)
    for decay in train.decays:
        rate = _number(book, decay.rate)
        names = [book.torch_path(w) for w in weights if chosen.get(w) is decay]
        if not names or not rate:
            continue  # a line below says otherwise of all of them
        lines.append(f"for name in {several([chr(34) + n + chr(34) for n in names])}:")
        lines.append("    weight = net.get_parameter(name)")
        lines.append(f"    weight.grad += {rate!r} * weight.detach()")
    return lines


def _idle(book: Book) -> bool:
    """Whether there are weights to which no gradient flows: PyTorch has none for them, where the spec says 0."""
    graph = book.trace.program.graphs["train"]
    made = {node.name: node for node in graph.nodes}
    waiting, met = [graph.output("loss").value], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in met:
            met.add(name)
            waiting.extend(made[name].inputs if name in made and lookup(made[name].op).gradient else ())
    return any(fed.learned and fed.name not in met for fed in graph.inputs)


def _shown(book: Book, figure: str, value: str, width: int) -> str:
    if is_share(book.trace.program, figure):
        return f"{{100 * {value}:>{width - 2}.1f}} %" if width else f"{{100 * {value}:.1f}} %"
    return f"{{{value}:>{width}.4g}}" if width else f"{{{value}:.4g}}"


def _columns(book: Book, watching: Sequence[str]) -> list[tuple[str, str]]:
    names = [f.name for f in book.trace.program.figures if f.role in ("loss", "error")]
    return [(split, name) for split in ("train", *watching) for name in names]


def _heads(book: Book, watching: Sequence[str]) -> str:
    return "epoch  " + "  ".join(f"{f'{split} {name}':>11}" for split, name in _columns(book, watching))


def _report(book: Book, watching: Sequence[str]) -> list[str]:
    made: list[str] = []
    for split in ("train", *watching):
        names = [n for own, n in _columns(book, watching) if own == split]
        cells = "  ".join(_shown(book, n, f"{free(split)}['{n}']", 11) for n in names)
        made.append(f'report = f"{{number:>5}}  {cells}"' if not made else f'report += f"  {cells}"')
    return made


def _exam(book: Book) -> list[str]:
    names = [f.name for f in book.trace.program.figures]
    cells = [f"{n} {_shown(book, n, f'measured[{chr(39)}{n}{chr(39)}]', 0)}" for n in names]
    line = '    print(f"{split}: ' + ", ".join(cells) + '")'
    if len(line) + 4 <= WIDTH:
        return [line]
    listed = ", ".join(f'f"{cell}"' for cell in cells)
    return [f"    cells = [{listed}]", "    print(f\"{split}: {', '.join(cells)}\")"]
