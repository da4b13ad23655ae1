"""The loop of training, and what comes before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from dotnn.elaborate.library import USER
from dotnn.elaborate.values import Known
from dotnn.program import Patience, Watch
from dotnn.training.display import is_share
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.moves import Moves, Steps
from dotnn_torch.script.text import WIDTH, free, indent, several
from dotnn_torch.script.turns import averaged, following, shown, taken_in_turn


def write_loop(book: Book, moves: Sequence[Moves]) -> list[str]:
    """`main`: the rows, what learns, how it is moved, the epochs, and the figures of each split at the end.

    moves: those of each objective, in the order in which they take turns.
    """
    plan = book.trace.program.plan
    splits = _splits(book)
    watched = {watch.split for watch in [rule.watch for rule in plan.stop] + ([plan.keep] if plan.keep else [])}
    watching = [s for s in splits if s != "train" and (s == "val" or s in watched)]
    made = [move.steps() for move in moves]
    patience = next((s for s in plan.stop if isinstance(s, Patience)), None)
    start = [*_keeping(book), *(["lowest, since = math.inf, 0"] if patience else [])]
    epochs = "math.ceil(STEPS / epoch)" if plan.steps is not None else "EPOCHS"
    turn = [*_epoch(book, moves, made), *_looked_at(book, watching), *_kept(book), "print(report)", *_stops(book)]
    restored = f"    {shown(book)}.load_state_dict(kept[1])"
    lines = [
        _rows_of(splits),
        f"{book.whole} = {_nets(book)}",
        *moves[0].held(),
        *(line for steps in made for line in steps.before),
        *averaged(book, moves),
        *_counters(book, made),
        *start,
        f'print("{_heads(book, watching)}")',
        "history = []",
        f"for number in range(1, {epochs} + 1):",
        *indent(turn),
        *(["if kept:", restored, '    print(f"kept the weights of epoch {kept[0]}")']
          if plan.keep else []),
        f'torch.save({shown(book)}.state_dict(), here / "weights.pt")',
        "for split in rows:",
        f"    measured = {_measured(book, 'rows[split]')}",
        *_exam(book),
        "return history",
    ]  # fmt: skip
    return ["def main():", *indent(lines)]


def _nets(book: Book) -> str:
    """What learns, as it is made."""
    if not book.nets:
        _refuse(book, "training without a net")
    made = {net.name: f"{book.klass(net).name}({_net_sizes(book, net)})" for net in book.nets}
    if len(made) == 1:
        return next(iter(made.values()))
    return f"nn.ModuleDict({{{', '.join(f'{chr(34)}{name}{chr(34)}: {text}' for name, text in made.items())}}})"


def _measured(book: Book, rows: str) -> str:
    """The figures of these rows, by what is measured and kept."""
    seen = "seen" if book.trace.program.plan.accumulate > 1 else "step"
    return f"evaluate({shown(book)}, {rows}{f', {seen}' if book.trace.outside else ''})"


# ---- an epoch


def _counters(book: Book, made: Sequence[Steps]) -> list[str]:
    plan = book.trace.program.plan
    epoch_used = plan.steps is not None or any(steps.mentions("epoch") for steps in made)
    steps_used = any(steps.mentions("steps") for steps in made)
    lines = [f'count = len(rows["train"]["{book.trace.columns[0]}"])']
    if epoch_used or steps_used:
        size = "BATCH" if plan.accumulate == 1 else "(BATCH * ACCUMULATE)"
        lines.append(f"epoch = math.ceil(count / {size})  # in steps")
    if steps_used:
        lines.append("steps = STEPS" if plan.steps is not None else "steps = EPOCHS * epoch")
    return [*lines, "step = 0", *(["seen = 0  # batches"] if plan.accumulate > 1 else [])]


def _batch(book: Book) -> str:
    batch = '{name: column[places] for name, column in rows["train"].items()}'
    return f"batch = augment({batch})" if book.trace.altered else f"batch = {batch}"


def _epoch(book: Book, moves: Sequence[Moves], made: Sequence[Steps]) -> list[str]:
    """One time through all rows."""
    move, steps, plan = moves[0], made[0], book.trace.program.plan
    measured = ", ".join(f'"{f.name}": 0.0' for f in book.trace.figures if f.role in ("loss", "error"))
    start = [f"{book.whole}.train()", f"sums = {{{measured}}}"]
    start += ["counted = dict.fromkeys(sums, 0.0)"] if _unlike(book) else []
    if plan.accumulate > 1:
        return [*start, *_gathered(book, move, steps), _means(book, "count")]
    if move.turn.name:
        # What is altered and what the steps share is drawn once a batch: each begins where the first one did.
        begin = ["random.begin(step - 1)"] if book.trace.altered else []
        batch = ["step += 1", *begin, _batch(book), *taken_in_turn(book, moves, [one.each for one in made])]
    else:
        batch = ["random.begin(step)", "step += 1", _batch(book), f"now = figures({book.whole}, batch)", move.clear,
                 'now["loss"].backward()', *move.gradients(), *steps.each, "optimizer.step()"]  # fmt: skip
    batch += [*following(book), *_added(book)]
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
    lines = [*(turn.loss for turn in book.trace.turns), *([book.trace.train.error] if book.trace.train.error else [])]
    return any(line.where is not None or line.weights is not None for line in lines)


def _means(book: Book, share: str) -> str:
    if not _unlike(book):
        return f"train = {{name: value / {share} for name, value in sums.items()}}"
    return "train = {name: value / (counted[name] or math.nan) for name, value in sums.items()}"


def _gathered(book: Book, move: Moves, steps: Steps) -> list[str]:
    """`accumulate`: several batches make one update, as if they had been one large batch."""
    train, plan = book.trace.train, book.trace.program.plan
    assert train.accumulate is not None
    writer = Writer(book, USER, "", False)
    if plan.steps is not None:
        writer.refuse(train.accumulate, "`accumulate` with `steps`", "say with `epochs` how long it trains")
    if move.turn.name:
        writer.refuse(train.accumulate, "`accumulate` beside steps that take turns", "take a larger `batch`")
    if move.turn.loss.where is not None or move.turn.loss.weights is not None:
        writer.refuse(
            train.accumulate, "`accumulate` with a loss whose rows do not all count alike", "take a larger `batch`"
        )
    inner = ["random.begin(seen)", "seen += 1", _batch(book), f"now = figures({book.whole}, batch)",
             '(now["loss"] * len(places) / whole).backward()', *_added(book)]  # fmt: skip
    update = [
        "together = batches[first : first + ACCUMULATE]  # these make one step",
        "whole = sum(len(places) for places in together)",
        "step += 1" if steps.mentions("step") or train.averages else "",
        move.clear,
        "for places in together:",
        *indent(inner),
        *move.gradients(),
        *steps.each,
        "optimizer.step()",
        *following(book),
    ]
    return [
        "batches = random.shuffle(number - 1, count).split(BATCH)",
        "for first in range(0, len(batches), ACCUMULATE):",
        *indent([line for line in update if line]),
    ]


def _looked_at(book: Book, watching: Sequence[str]) -> list[str]:
    """The figures of this epoch, and how they are told."""
    pairs = ", ".join(f'"{s}": {free(s)}' for s in ("train", *watching))
    evaluated = [f"{free(s)} = {_measured(book, f'rows[{chr(34)}{s}{chr(34)}]')}" for s in watching]
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
            f"    best, kept = score, (number, copy.deepcopy({shown(book)}.state_dict()))",
            '    report += "  best so far"']  # fmt: skip


def _stops(book: Book) -> list[str]:
    lines = []
    stop = book.trace.program.plan.stop
    names = [figure.name for figure in book.trace.figures]
    if any(goal.watch.figure not in names for goal in stop):
        Writer(book, USER, "", False).refuse(
            book.trace.train.stop or book.trace.train, "`stop` by what is measured apart"
        )
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
    keep, writer = book.trace.train.keep, Writer(book, USER, "", False)
    assert keep is not None
    if book.trace.turns[0].name or book.trace.outside:
        what = "`keep` beside steps that take turns" if book.trace.turns[0].name else "`keep` beside figures that draw"
        writer.refuse(keep, what, "leave the line out")
    if watch.figure not in [figure.name for figure in book.trace.figures]:
        writer.refuse(keep, "`keep` by what is measured apart")
    role = next(f.role for f in book.trace.figures if f.name == watch.figure)
    highest = role == "metric" if watch.highest is None else watch.highest
    return watch, "-" if highest else ""


def _figure(watch: Watch) -> str:
    return f'{free(watch.split)}["{watch.figure}"]'


def _shown(book: Book, figure: str, value: str, width: int) -> str:
    if any(f.name == figure and f.dims for f in book.trace.figures):
        return f"{{{value}}}"
    if is_share(book.trace.program, figure):
        return f"{{100 * {value}:>{width - 2}.1f}} %" if width else f"{{100 * {value}:.1f}} %"
    return f"{{{value}:>{width}.4g}}" if width else f"{{{value}:.4g}}"


def _columns(book: Book, watching: Sequence[str]) -> list[tuple[str, str]]:
    names = [f.name for f in book.trace.figures if f.role in ("loss", "error")]
    return [(split, name) for split in ("train", *watching) for name in names]


def _heads(book: Book, watching: Sequence[str]) -> str:
    titles = [f"{split} {name}" for split, name in _columns(book, watching)]
    return "epoch  " + "  ".join(f"{title:>{max(11, len(title))}}" for title in titles)


def _report(book: Book, watching: Sequence[str]) -> list[str]:
    made: list[str] = []
    for split in ("train", *watching):
        names = [n for own, n in _columns(book, watching) if own == split]
        texts = [_shown(book, n, f"{free(split)}['{n}']", max(11, len(f"{split} {n}"))) for n in names]
        together = len(texts) if sum(map(len, texts)) < _WIDE else 1
        for first in range(0, len(texts), together):
            cells = "  ".join(texts[first : first + together])
            made.append(f'report += f"  {cells}"' if made else f'report = f"{{number:>5}}  {cells}"')
    return made


_WIDE = 85
"""Letters of the figures of a split that stand in one line of the script."""


def _exam(book: Book) -> list[str]:
    names = [f.name for f in book.trace.figures]
    cells = [f"{n} {_shown(book, n, f'measured[{chr(39)}{n}{chr(39)}]', 0)}" for n in names]
    line = '    print(f"{split}: ' + ", ".join(cells) + '")'
    if len(line) + 4 <= WIDTH:
        return [line]
    listed = ", ".join(f'f"{cell}"' for cell in cells)
    return [f"    cells = [{listed}]", "    print(f\"{split}: {', '.join(cells)}\")"]
