"""Steps that take turns, each with an objective of its own, and moving averages of the weights that they move."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn import spec
from dotnn.elaborate.library import USER
from dotnn.updates.average import chosen
from dotnn.updates.turns import Turn
from dotnn.words import names_in
from dotnn_torch.script.body import Writer
from dotnn_torch.script.book import Book
from dotnn_torch.script.moves import Moves, spelt
from dotnn_torch.script.text import docstring, indent, several
from dotnn_torch.script.training import Figures, drawing_nets


def write_turns(book: Book) -> list[list[str]]:
    """A function for each step: what it measures of a batch. None where there is one objective without a name."""
    turns = book.trace.turns
    if not turns[0].name:
        return []
    if book.trace.remembers:
        Writer(book, USER, "", False).refuse(turns[0].loss, "a step beside others, where a net has a `state`,")
    return [_turn(book, turn, number == 0) for number, turn in enumerate(turns)]


def _turn(book: Book, turn: Turn, first: bool) -> list[str]:
    train = book.trace.train
    body = Figures(book)
    told = [turn.loss, *turn.assigns, *([train.error] if first and train.error else [])]
    assigns, results = _needed(book, told)
    if results:
        body.outputs()
    body.block(assigns)
    judged = first and train.error is not None
    entries = [(turn.own("loss"), body.loss_of(turn, book.trace.drawn, judged))]
    if judged and train.error is not None:
        entries.append(("error", body.objective("error", train.error)))
    entries += body.places
    updated = several([line.pattern for line in turn.updates]) if len(turn.updates) > 1 else turn.updates[0].pattern
    doc = docstring(f"What the step `{turn.name}` makes small, by the weights of {updated}.")
    made = ["return {", *(f'    "{name}": {value},' for name, value in entries), "}"]
    book.steps[turn.name] = book.namer(turn.name)
    return [f"def {book.steps[turn.name]}({book.whole}, rows):", *indent([*doc, *body.taken(), *body.lines, *made])]


def _needed(book: Book, told: Sequence[spec.Part]) -> tuple[list[spec.Assign], bool]:
    """The lines of the block that these need, or with nets that draw; whether they need the net's results."""
    drawing = drawing_nets(book, book.trace.drawn)
    words = {word for part in told for word in names_in(part)}
    kept: list[spec.Assign] = []
    for line in reversed(book.trace.train.assigns):
        targets, read = {target.name for target in line.targets}, set(names_in(line))
        if not words.isdisjoint(targets) or not drawing.isdisjoint(read):
            kept.insert(0, line)
            words |= read
    net = book.trace.builder.net
    return kept, net is not None and (net.name in drawing or not words.isdisjoint(book.trace.results))


def taken_in_turn(book: Book, moves: Sequence[Moves], each: Sequence[Sequence[str]]) -> list[str]:
    """What is done with a batch. ``each``: of each objective the lines ahead of its optimizer's step."""
    lines: list[str] = []
    for number, (move, own) in enumerate(zip(moves, each, strict=True)):
        turn = move.turn
        update = [move.clear, f'now["{turn.own("loss")}"].backward()', *move.gradients(), *own]
        update.append(f"{move.optimizer}.step()")
        if turn.count is not None:
            count = Writer(book, USER, "", False).code(turn.count).text
            update = [f"if step % {count} == 0:", *indent(update)]
        lines += ["random.begin(step - 1)"] if book.trace.drawn else []
        lines += [f"now {'|=' if number else '='} {book.steps[turn.name]}({book.whole}, batch)", *update]
    return lines


# ---- averages


def averaged(book: Book, moves: Sequence[Moves]) -> list[str]:
    """`average`: a second net, whose weights follow those of the first. It is what is measured and kept."""
    train = book.trace.train
    if not train.averages:
        return []
    lines = chosen(train, [path for path in book.trace.weights if any(path in move.weights for move in moves)])
    for move in moves:
        if move.turn.count is not None and not lines.keys().isdisjoint(move.weights):
            Writer(book, USER, "", False).refuse(train.averages[0], "an average of weights that few batches move")
    book.helpers.add("follow")
    shares = []
    for line in dict.fromkeys(lines.values()):
        share = moves[0].number(line.factor)
        own = [path for path in lines if lines[path] is line]
        parts = moves[0].parts(own)
        loose = [name for name, single in parts.items() if single]
        if len(own) == len(book.trace.weights):
            shares.append(f"**{{name: {share!r} for name, _ in {book.whole}.named_parameters()}}")
            continue
        for part in (part for part, single in parts.items() if not single):
            named = f'{book.whole}.{spelt(part)}.named_parameters(prefix="{part}")'
            shares.append(f"**{{name: {share!r} for name, _ in {named}}}")
        shares += [f'"{name}": {share!r}' for name in loose]
    alone = len(shares) == 1 and shares[0].startswith("**")
    text = shares[0].removeprefix("**") if alone else f"{{{', '.join(shares)}}}"
    return [f"shares = {text}", f"shown = copy.deepcopy({book.whole})  # the averages, by these shares"]


def shown(book: Book) -> str:
    """What is measured and kept."""
    return "shown" if book.trace.train.averages else book.whole


def following(book: Book) -> list[str]:
    return [f"follow(shown, {book.whole}, shares, step)"] if book.trace.train.averages else []
