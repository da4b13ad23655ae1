"""The loop of training, and what comes before and after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from dotnn import spec
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Bound, Known
from dotnn.operation import lookup
from dotnn.plan import scratch
from dotnn.program import Patience, Watch
from dotnn.training.display import is_share
from dotnn.updates.patterns import frozen, last_of
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.text import WIDTH, free, indent, several
from dotnn_torch.script.updates import Settings, is_schedule

RATE = "lr"
"""The setting of an optimizer that `rate` multiplies."""
_DEFAULT = 'optimizer.defaults["lr"]'


@dataclass(frozen=True)
class Steps:
    """How an update is made, as lines. ``before``: once, ahead of the loop; ``each``: in each step, ahead of it."""

    before: list[str]
    each: list[str]

    def mentions(self, word: str) -> bool:
        return any(re.search(rf"\b{word}\b", line) for line in (*self.before, *self.each))


def write_loop(book: Book, net: Known | None, optimizer: str) -> list[str]:
    """`main`: the rows, the net, its optimizer, the epochs, and the figures of each split at the end."""
    plan = book.trace.program.plan
    made = f"{book.klass(net).name}({_net_sizes(book, net)})" if net else _refuse(book, "training without a net")
    splits = _splits(book)
    watched = {watch.split for watch in [rule.watch for rule in plan.stop] + ([plan.keep] if plan.keep else [])}
    watching = [s for s in splits if s != "train" and (s == "val" or s in watched)]
    steps = _steps(book, optimizer)
    patience = next((s for s in plan.stop if isinstance(s, Patience)), None)
    start = [*_keeping(book), *(["lowest, since = math.inf, 0"] if patience else [])]
    epochs = "math.ceil(STEPS / epoch)" if plan.steps is not None else "EPOCHS"
    lines = [
        _rows_of(splits),
        f"net = {made}",
        *_held(book),
        *steps.before,
        *_counters(book, steps),
        *start,
        f'print("{_heads(book, watching)}")',
        "history = []",
        f"for number in range(1, {epochs} + 1):",
        *indent([*_epoch(book, steps), *_looked_at(book, watching), *_kept(book), "print(report)", *_stops(book)]),
        *(["if kept:", "    net.load_state_dict(kept[1])", '    print(f"kept the weights of epoch {kept[0]}")']
          if plan.keep else []),
        'torch.save(net.state_dict(), here / "weights.pt")',
        "for split in rows:",
        "    measured = evaluate(net, rows[split])",
        *_exam(book),
        "return history",
    ]  # fmt: skip
    return ["def main():", *indent(lines)]


# ---- which weights move, and how fast


def _frozen(book: Book) -> frozenset[str]:
    return frozen(book.trace.turn, book.trace.weights)


def _moving(book: Book) -> str:
    """All weights that learn."""
    return "weights" if _frozen(book) else "net.parameters()"


def _held(book: Book) -> list[str]:
    """`freeze`: what stays as it is."""
    still = _frozen(book)
    held = _parts(book, [path for path in book.trace.weights if path in still])
    if not held:
        return []
    lines = [f"net.{_spelt(part)}.requires_grad_(False)" for part in held]
    return [*lines, "weights = [weight for weight in net.parameters() if weight.requires_grad]"]


def _parts(book: Book, paths: Sequence[str]) -> dict[str, bool]:
    """What PyTorch calls these weights; a part all of whose weights are among them once. True: a weight."""
    wanted = [book.torch_path(path) for path in paths]
    loose = [book.torch_path(path) for path in book.trace.weights if path not in paths]
    parts: dict[str, bool] = {}
    for path in wanted:
        words = path.split(".")
        above = [".".join(words[:end]) for end in range(1, len(words))]
        whole = [a for a in above if not any(w.startswith(f"{a}.") for w in loose)]
        parts[whole[0] if whole else path] = not whole
    return parts


def _spelt(path: str) -> str:
    return re.sub(r"\.(\d+)", r"[\1]", path)


def _steps(book: Book, optimizer: str) -> Steps:
    """The optimizer, and what of it changes from step to step."""
    train = book.trace.train
    written = train.optimizer
    parameters = _optimizer(book).definition.settings or ()
    names = [p.name for p in parameters]
    settings = Settings(book)
    fixed: list[str] = []
    moving: dict[str, str] = {}
    position = 0
    for argument in written.arguments if isinstance(written, spec.Call) else ():
        name = argument.name or names[position]
        position += argument.name is None
        if is_schedule(settings.values(argument.value)[0]):
            moving[name] = settings.schedule(name, argument.value)
        else:
            fixed.append(f"{free(name)}={settings.code(argument.value).text}")
    defaults = {p.name: p.default for p in parameters}
    fixed += [f"{free(name)}=0.0" for name in moving if defaults[name] is None]
    if train.rates:
        return _rated(book, optimizer, settings, fixed, moving)
    each = [f'optimizer.param_groups[0]["{free(name)}"] = {value}' for name, value in moving.items()]
    made = f"optimizer = {optimizer}({', '.join([_moving(book), *fixed])})"
    return Steps([made, *settings.memories, *_without_gradient(book)], each)


def _rated(book: Book, optimizer: str, settings: Settings, fixed: list[str], moving: dict[str, str]) -> Steps:
    """`rate r for PATTERN`: groups of weights, each with a rate of its own."""
    train = book.trace.train
    if RATE not in {p.name for p in _optimizer(book).definition.settings or ()}:
        settings.refuse(train.rates[0], "`rate` with an optimizer that has no setting `lr`")
    chosen = last_of(train.rates, book.trace.weights)
    groups: dict[int, list[str]] = {}
    for path in book.trace.weights:
        if path not in _frozen(book):
            groups.setdefault(train.rates.index(chosen[path]) if path in chosen else -1, []).append(path)
    listed, each = [], []
    for place, (number, own) in enumerate(groups.items()):
        factor = train.rates[number].factor if number >= 0 else None
        rate = "1" if factor is None else ""
        if factor is not None and is_schedule(settings.values(factor)[0]):
            rate = "1"
            each.append(f'optimizer.param_groups[{place}]["rate"] = {settings.schedule("rate", factor)}')
        elif factor is not None:
            rate = settings.code(factor).text
        listed.append(f'    {{"params": {_listed(_parts(book, own))}, "rate": {rate}}},')
    changing, lr = bool(each), moving.pop(RATE, None)
    if lr and not re.fullmatch(r"[\w.]+|\w+\([^()]*\)", lr):
        lr = f"({lr})"
    before = ["groups = [", *listed, "]", f"optimizer = {optimizer}({', '.join(['groups', *fixed])})"]
    before += [*settings.memories, *_without_gradient(book)]
    inner = [f'    group["{free(name)}"] = {value}' for name, value in moving.items()]
    every = "for group in optimizer.param_groups:"
    if changing or lr:
        inner.append(f'    group["lr"] = group["rate"] * {lr or _DEFAULT}')
    else:
        before += [every, '    group["lr"] *= group["rate"]']
    return Steps(before, [*each, *([every, *inner] if inner else [])])


def _listed(parts: dict[str, bool]) -> str:
    """Parts and weights as the weights that they are."""
    if len(parts) == 1 and not any(parts.values()):
        return f"net.{_spelt(next(iter(parts)))}.parameters()"
    texts = [f"net.{_spelt(part)}" if single else f"*net.{_spelt(part)}.parameters()" for part, single in parts.items()]
    return f"[{', '.join(texts)}]"


def _without_gradient(book: Book) -> list[str]:
    if not _idle(book):
        return []
    return [f"for weight in {_moving(book)}:",
            "    weight.grad = torch.zeros_like(weight)  # some weights do not touch the loss"]  # fmt: skip


# ---- an epoch


def _counters(book: Book, steps: Steps) -> list[str]:
    plan = book.trace.program.plan
    epoch_used = plan.steps is not None or steps.mentions("epoch")
    steps_used = steps.mentions("steps")
    lines = [f'count = len(rows["train"]["{book.trace.columns[0]}"])']
    if epoch_used or steps_used:
        size = "BATCH" if plan.accumulate == 1 else "(BATCH * ACCUMULATE)"
        lines.append(f"epoch = math.ceil(count / {size})  # in steps")
    if steps_used:
        lines.append("steps = STEPS" if plan.steps is not None else "steps = EPOCHS * epoch")
    return [*lines, "step = 0", *(["seen = 0  # batches"] if plan.accumulate > 1 else [])]


BATCH = 'batch = {name: column[places] for name, column in rows["train"].items()}'


def _epoch(book: Book, steps: Steps) -> list[str]:
    """One time through all rows."""
    plan = book.trace.program.plan
    measured = ", ".join(f'"{f.name}": 0.0' for f in book.trace.program.figures if f.role in ("loss", "error"))
    start = ["net.train()", f"sums = {{{measured}}}"]
    start += ["counted = dict.fromkeys(sums, 0.0)"] if _unlike(book) else []
    if plan.accumulate > 1:
        return [*start, *_gathered(book, steps), _means(book, "count")]
    clear = "optimizer.zero_grad(set_to_none=False)" if _idle(book) else "optimizer.zero_grad()"
    batch = ["random.begin(step)", "step += 1", BATCH, "now = figures(net, batch)", clear,
             'now["loss"].backward()', *_gradients(book), *steps.each, "optimizer.step()", *_added(book)]  # fmt: skip
    share = "count"
    if plan.steps is not None:
        batch = ["if step == STEPS:", "    break", *batch]
        if not _unlike(book):
            start.append("seen = 0")
            batch.append("seen += len(places)")
        share = "seen"
    return [
        *start,
        "for places in random.shuffle(number - 1, count).split(BATCH):",
        *indent(batch),
        _means(book, share),
    ]


def _added(book: Book) -> list[str]:
    """What a batch brings to the figures of an epoch: by its rows, or by the places of which a mean is made."""
    if not _unlike(book):
        return ["for name in sums:", "    sums[name] += now[name].item() * len(places)"]
    return [
        "for name in sums:",
        '    many = float(now.get(f"{name} places", len(places)))',
        "    sums[name] += now[name].item() * many",
        "    counted[name] += many",
    ]


def _unlike(book: Book) -> bool:
    """Whether rows may count for more or less in the loss or the error."""
    lines = [book.trace.turn.loss, *([book.trace.train.error] if book.trace.train.error else [])]
    return any(line.where is not None or line.weights is not None for line in lines)


def _means(book: Book, share: str) -> str:
    if not _unlike(book):
        return f"train = {{name: value / {share} for name, value in sums.items()}}"
    return "train = {name: value / (counted[name] or math.nan) for name, value in sums.items()}"


def _gathered(book: Book, steps: Steps) -> list[str]:
    """`accumulate`: several batches make one update, as if they had been one large batch."""
    train, plan = book.trace.train, book.trace.program.plan
    assert train.accumulate is not None
    writer = Writer(book, USER, "", False)
    if plan.steps is not None:
        writer.refuse(train.accumulate, "`accumulate` with `steps`", "say with `epochs` how long it trains")
    if book.trace.turn.loss.where is not None or book.trace.turn.loss.weights is not None:
        writer.refuse(
            train.accumulate, "`accumulate` with a loss whose rows do not all count alike", "take a larger `batch`"
        )
    clear = "optimizer.zero_grad(set_to_none=False)" if _idle(book) else "optimizer.zero_grad()"
    inner = ["random.begin(seen)", "seen += 1", BATCH, "now = figures(net, batch)",
             '(now["loss"] * len(places) / whole).backward()', *_added(book)]  # fmt: skip
    update = [
        "together = batches[first : first + ACCUMULATE]  # these make one step",
        "whole = sum(len(places) for places in together)",
        "step += 1" if steps.mentions("step") else "",
        clear,
        "for places in together:",
        *indent(inner),
        *_gradients(book),
        *steps.each,
        "optimizer.step()",
    ]
    return [
        "batches = random.shuffle(number - 1, count).split(BATCH)",
        "for first in range(0, len(batches), ACCUMULATE):",
        *indent([line for line in update if line]),
    ]


def _looked_at(book: Book, watching: Sequence[str]) -> list[str]:
    """The figures of this epoch, and how they are told."""
    pairs = ", ".join(f'"{s}": {free(s)}' for s in ("train", *watching))
    evaluated = [f'{free(s)} = evaluate(net, rows["{s}"])' for s in watching]
    return [*evaluated, f"history.append({{{pairs}}})", *_report(book, watching)]


# ---- which weights are kept, and when it stops


def _by_loss(book: Book) -> bool:
    keep = book.trace.program.plan.keep
    return keep is not None and keep.figure == "loss" and not keep.highest


def _keeping(book: Book) -> list[str]:
    if _keep(book) is None:
        return []
    return [f"best, kept = {'math.inf' if _by_loss(book) else '(math.inf, math.inf)'}, None"]


def _kept(book: Book) -> list[str]:
    keep = _keep(book)
    if keep is None:
        return []
    watch, sign = keep
    loss = f'{free(watch.split)}["loss"]'
    score = loss if _by_loss(book) else f"({sign}{_figure(watch)}, {loss})"
    return [f"score = {score}", "if score < best:",
            "    best, kept = score, (number, copy.deepcopy(net.state_dict()))",
            '    report += "  best so far"']  # fmt: skip


def _stops(book: Book) -> list[str]:
    lines = []
    stop = book.trace.program.plan.stop
    patience = next((s for s in stop if isinstance(s, Patience)), None)
    if patience:
        now = f"{'-' if patience.watch.highest else ''}{_figure(patience.watch)}"
        lines += [f"if {now} < lowest:", f"    lowest, since = {now}, number",
                  f"if number - since >= {patience.epochs}:", "    break"]  # fmt: skip
    for goal in stop:
        if not isinstance(goal, Patience):
            lines += [f"if {_figure(goal.watch)} {goal.operator} {goal.bound!r}:", "    break"]
    return lines


# ---- smaller pieces


def _number(book: Book, part: spec.Expression) -> float:
    frame = scratch(book.trace.spec, dict(book.trace.program.params))
    value = evaluate(frame, part)
    return value if isinstance(value, int | float) else float(value.value)


def _optimizer(book: Book) -> Known:
    written = book.trace.turn.optimizer
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
    if split and split.folds is not None:
        names = list(dict.fromkeys(["train", "val", *names]))
    return names + ["test"] * any(s.role == "test" for s in book.trace.data.sources)


def _keep(book: Book) -> tuple[Watch, str] | None:
    watch = book.trace.program.plan.keep
    if watch is None:
        return None
    role = next(f.role for f in book.trace.program.figures if f.name == watch.figure)
    highest = role == "metric" if watch.highest is None else watch.highest
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
        lines.append(f"clip({_moving(book)}, {most!r})")
    weights = [fed.name for fed in book.trace.program.graphs["train"].inputs if fed.learned]
    chosen = last_of(train.decays, book.trace.weights)
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
    if any(f.name == figure and f.dims for f in book.trace.program.figures):
        return f"{{{value}}}"
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
