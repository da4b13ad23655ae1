"""A Spec as text: what is printed reads back as the same Spec, but for places and layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from dotnn import spec
from dotnn_grammar.layout import RESERVED

# How tightly each form binds, as nested in the grammar.
EXPRESSION, SCHEDULE, PHASE, CHOICE, OR, AND, NOT, RELATION, RANGE, SUM, PRODUCT, SIGN, POWER, POSTFIX = range(14)

LEVELS: dict[str, int] = {"or": OR, "and": AND, "+": SUM, "-": SUM, "^": POWER}
LEVELS |= dict.fromkeys(("*", "/", "//", "%", "@"), PRODUCT)
LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), RELATION)


def write_expression(expression: spec.Expression) -> str:
    """An expression in its one canonical form, with no parentheses that it can do without."""
    return _write(expression, EXPRESSION)


def _write(part: spec.Expression, least: int) -> str:
    """``part`` where something that binds at least as tightly as ``least`` is expected."""
    text, level = _form(part)
    return text if level >= least else f"({text})"


def _form(part: spec.Expression) -> tuple[str, int]:
    match part:
        case spec.Name():
            return part.name, POSTFIX
        case spec.Number():
            return number(part), POSTFIX
        case spec.Text():
            return quote(part.value), POSTFIX
        case spec.Truth():
            return "yes" if part.value else "no", POSTFIX
        case spec.Rest():
            return "...", POSTFIX
        case spec.Call():
            # `7%(` would be the remainder of a division.
            function = _write(part.function, POSTFIX)
            function = f"({function})" if function.endswith("%") else function
            return f"{function}({arguments(part.arguments)})", POSTFIX
        case spec.Index():
            return f"{_write(part.value, POSTFIX)}[{listed(part.items)}]", POSTFIX
        case spec.Member():
            return f"{_write(part.value, POSTFIX)}.{part.name}", POSTFIX
        case spec.List():
            return f"[{arguments(part.items)}]", POSTFIX
        case spec.Several():
            return f"({listed(part.items)})", POSTFIX
        case spec.ColumnOf():
            last = "" if part.last is None else f" to {column_name(part.last)}"
            return f"column{'' if part.last is None else 's'} {column_name(part.first)}{last}", POSTFIX
        case spec.Unary(operator="-"):
            return f"-{_write(part.operand, SIGN)}", SIGN
        case spec.Unary():
            return f"not {_write(part.operand, NOT)}", NOT
        case spec.Binary():
            return _binary(part)
        case spec.Range():
            return f"{_write(part.start, SUM)}..{_write(part.stop, SUM)}", RANGE
        case spec.Choose():
            condition, then = _write(part.condition, OR), _write(part.then, OR)
            return f"{then} if {condition} else {_write(part.otherwise, CHOICE)}", CHOICE
        case spec.Until():
            plain = isinstance(part.count, spec.Name | spec.Number)
            count = write_expression(part.count) if plain else f"({write_expression(part.count)})"
            return f"{_write(part.value, CHOICE)} until {part.unit} {count}", PHASE
        case spec.Then():
            return " then ".join(_write(p, PHASE) for p in part.phases), SCHEDULE
        case spec.Chain():
            return " -> ".join([_write(part.start, POSTFIX), *(_stage(s) for s in part.stages)]), EXPRESSION
        case spec.Shifted():
            return f"{_write(part.value, POSTFIX)} shifted by {_distance(part.by)}", POWER


def _distance(by: spec.Expression) -> str:
    """How far something is shifted: a number, a name, or an expression in parentheses, with a sign before it or not."""
    negative = isinstance(by, spec.Unary) and by.operator == "-"
    bare = by.operand if isinstance(by, spec.Unary) and negative else by
    text = write_expression(bare)
    return f"{'-' if negative else ''}{text if isinstance(bare, spec.Name | spec.Number) else f'({text})'}"


def _binary(part: spec.Binary) -> tuple[str, int]:
    level = LEVELS[part.operator]
    # Sums and products group to the left, powers to the right, comparisons not at all.
    left, right = level, level + 1
    if part.operator == "^":
        left, right = POSTFIX, SIGN
    elif level == RELATION:
        left = RANGE
    sign = "^" if part.operator == "^" else f" {part.operator} "
    return f"{_write(part.left, left)}{sign}{_write(part.right, right)}", level


def _stage(stage: spec.Stage) -> str:
    return _write(stage.call, POSTFIX) + (f" as {stage.name}" if stage.name else "")


def number(part: spec.Number) -> str:
    """A number as text, which read again is the same one."""
    if part.percent:
        # Through text, so that 0.07 is 7% and not 7.000000000000001%.
        digits, _, exponent = f"{part.value!r}".partition("e")
        whole, _, fraction = digits.partition(".")
        shift = int(exponent or 0) + 2
        digits, point = whole + fraction, len(whole) + shift
        digits = "0" * max(0, 1 - point) + digits + "0" * max(0, point - len(digits))
        point = max(point, 1)
        whole, fraction = digits[:point].lstrip("0") or "0", digits[point:].rstrip("0")
        return f"{whole}.{fraction}%" if fraction else f"{whole}%"
    return repr(part.value)


def quote(text: str) -> str:
    """A text in quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def column_name(name: str) -> str:
    """A column's name, in quotes where it is no plain word."""
    is_bare = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in RESERVED
    return name if is_bare else quote(name)


def listed(items: Iterable[spec.Expression]) -> str:
    """Expressions with commas between."""
    return ", ".join(write_expression(item) for item in items)


def arguments(items: Iterable[spec.Argument]) -> str:
    """Arguments with commas between, each with its name if it has one."""
    return ", ".join((f"{a.name} = " if a.name else "") + write_expression(a.value) for a in items)


# ---- types and statements


def write_type(part: spec.TypeText) -> str:
    """A type as text: `int[b] < vocab`."""
    dims = "" if part.dims is None else "[" + ", ".join(_dim(d) for d in part.dims) + "]"
    bound = "" if part.bound is None else f" < {_write(part.bound, SUM)}"
    given = f"({arguments(part.arguments)})" if part.arguments else ""
    return f"{part.word or ''}{given}{dims}{bound}"


def _dim(dim: spec.Dim | spec.Rest) -> str:
    if isinstance(dim, spec.Rest):
        return "..."
    plain = isinstance(dim.size, spec.Name) and dim.size.name == dim.label
    return ("" if dim.label is None or plain else f"{dim.label} = ") + _write(dim.size, SUM)


def _statement(part: spec.Statement) -> list[str]:
    match part:
        case spec.Assign():
            return [_assign(part)]
        case spec.Weight():
            return [f"weight {part.name}: {write_type(part.type)} ~ {write_expression(part.init)}"]
        case spec.State():
            return ["state " + ", ".join(_cell(c) for c in part.cells)]
        case spec.Repeat():
            turns = f"{part.name} in {_write(part.range, RANGE)}" if part.name else _write(part.range, SUM)
            return [f"repeat {turns} {{", *_body(part.body), "}"]
        case spec.If():
            return _branches(f"if {_write(part.condition, CHOICE)}", part.then, part.otherwise)
        case spec.When():
            return _branches(f"when {part.phase}", part.then, part.otherwise)
        case spec.Scan():
            return [f"{_scan_head(part)} {{", *_body(part.body), "}"]
        case spec.Require():
            return [f"require {_write(part.condition, CHOICE)}: {quote(part.message)}"]
        case spec.Return():
            return [f"return {listed(part.values)}"]


def _scan_head(part: spec.Scan) -> str:
    where = "" if part.where is None else f" where {_write(part.where, CHOICE)}"
    cut = "" if part.cut is None else f" cut {_write(part.cut, SUM)}"
    carries = ", ".join(f"{one.name} = {write_expression(one.start)}" for one in part.carries)
    return f"scan {'back ' if part.back else ''}over {part.over}{where}{cut}{f' with {carries}' if carries else ''}"


def _assign(part: spec.Assign) -> str:
    return f"{', '.join(_target(t) for t in part.targets)} = {listed(part.values)}{_bound(part.binders)}"


def _target(part: spec.Target) -> str:
    return part.name + ("" if part.indices is None else f"[{', '.join(part.indices)}]")


def _bound(binders: Iterable[spec.Binder]) -> str:
    bound = ", ".join(f"{b.name} in {_write(b.range, RANGE)}" for b in binders)
    return f" for {bound}" if bound else ""


def _cell(cell: spec.Cell) -> str:
    shape = "" if cell.type is None else f": {write_type(cell.type)}"
    return f"{cell.name}{shape} = {write_expression(cell.init)}"


def _body(statements: Iterable[spec.Statement]) -> list[str]:
    return ["  " + line for statement in statements for line in _statement(statement)]


def _branches(head: str, then: Sequence[spec.Statement], otherwise: Sequence[spec.Statement]) -> list[str]:
    lines = [f"{head} {{", *_body(then)]
    return [*lines, "} else {", *_body(otherwise), "}"] if otherwise else [*lines, "}"]


# ---- declarations


def write_spec(whole: spec.Spec) -> str:
    """The whole file; definitions that came in by `use` are written out with the others."""
    parts: list[list[str]] = []
    parts.extend([*_doc(p.doc), f"param {p.name} = {write_expression(p.value)}"] for p in whole.params)
    parts.extend(_data(d) for d in whole.data)
    parts.extend(_definition(d) for d in whole.definitions)
    for train in whole.trains:
        parts.extend([_train(train), *(_claim(c) for c in train.claims)])
    head = "\n".join(_doc(whole.doc)) + "\n\n" if whole.doc else ""
    return head + "\n\n".join("\n".join(part) for part in parts) + "\n"


def write_definition(part: spec.Definition) -> str:
    """A definition as text."""
    return "\n".join(_definition(part)) + "\n"


def _doc(doc: str) -> list[str]:
    return [f"# {line}".rstrip() for line in doc.split("\n")] if doc else []


def _definition(part: spec.Definition) -> list[str]:
    lists = "".join(
        f"({', '.join(_parameter(p) for p in ps)})" for ps in (part.settings, part.inputs) if ps is not None
    )
    results = ", ".join((f"{r.name}: " if r.name else "") + write_type(r.type) for r in part.results)
    arrow = f" -> {results}" if results else ""
    return [*_doc(part.doc), f"{part.word} {part.name}{lists}{arrow} {{", *_body(part.body), "}"]


def _parameter(part: spec.Parameter) -> str:
    shape = "" if part.type is None else f": {write_type(part.type)}"
    default = "" if part.default is None else f" = {write_expression(part.default)}"
    return f"{part.name}{shape}{default}"


def _data(part: spec.Data) -> list[str]:
    lines = [_source(s) for s in part.sources]
    for column in part.columns:
        # A chain and `as` need parentheses between them.
        least = EXPRESSION if column.type is None and isinstance(column.value, spec.Chain) else CHOICE
        form = "" if column.type is None else f" as {write_type(column.type)}"
        target = spec.Target(span=column.span, name=column.name, indices=column.indices)
        lines.append(f"{_target(target)} = {_write(column.value, least)}{form}{_bound(column.binders)}")
    lines.extend(f"augment {line.name} = {write_expression(line.value)}" for line in part.augments)
    if part.split is not None:
        parts = [s for s in part.split.shares if part.split.folds is None or s.name not in ("train", "val")]
        folds = [] if part.split.folds is None else [f"folds {part.split.folds}"]
        shares = ", ".join([*folds, *(f"{s.name} {number(_share(s))}" for s in parts)])
        stratify = f" stratify {part.split.stratify}" if part.split.stratify else ""
        lines.append(f"split {shares}{stratify}{' in order' if part.split.in_order else ''}")
    if part.base is not None:
        return [*_doc(part.doc), f"data {part.name} = {part.base} where {{", *("  " + line for line in lines), "}"]
    lines.extend(write_windows(part.windows))
    if part.bad_rows != "error":
        lines.append(f"on bad row {part.bad_rows}")
    lines.append(f"seed {part.seed}")
    return [*_doc(part.doc), f"data {part.name} {{", *("  " + line for line in lines), "}"]


def write_windows(part: spec.Windows | None) -> list[str]:
    """`window 12 by 1` and `horizon 3`."""
    if part is None:
        return []
    by = "" if part.by is None else f" by {write_expression(part.by)}"
    horizon = [] if part.horizon is None else [f"horizon {write_expression(part.horizon)}"]
    return [f"window {write_expression(part.size)}{by}", *horizon]


def _source(part: spec.SourceLine) -> str:
    if part.each is not None and part.count is not None:
        return f"{part.role} {part.reader} {_write(part.count, SUM)} of {_write(part.each, SUM)} from {part.base}"
    given = listed([part.count]) if part.count is not None else ", ".join(quote(f) for f in part.files)
    size = f" size [{listed(part.size)}]" if part.size else ""
    return f"{part.role} {part.reader} {given}{size}{' grey' if part.grey else ''}"


def _share(part: spec.Share) -> spec.Number:
    return spec.Number(span=part.span, value=part.share, percent=True)


def _objective(part: spec.Objective) -> str:
    where = "" if part.where is None else f" where {write_expression(part.where)}"
    return write_expression(part.value) + where + _weights(part)


def _weights(part: spec.Objective | spec.Metric) -> str:
    return "" if part.weights is None else f" weighted by {write_expression(part.weights)}"


def _when(part: spec.Metric) -> str:
    """` on val every 2 epochs`."""
    on = "" if part.on is None else f" on {part.on}"
    return on if part.every is None else f"{on} every {write_expression(part.every)} epochs"


def write_objective(part: spec.Objective | spec.Metric) -> str:
    """`loss`, `error` or a metric as text: what the manifest says."""
    return _objective(part) if isinstance(part, spec.Objective) else write_expression(part.value) + _weights(part)


def write_sides(part: spec.Claim) -> str:
    """What a claim compares: `5% < error < 10%`."""
    first, *others = (_write(side, SUM) for side in part.sides)
    return first + "".join(f" {sign} {side}" for sign, side in zip(part.operators, others, strict=True))


def _claim(part: spec.Claim) -> list[str]:
    on = f" on {'.'.join(part.on.names)}" if part.on else ""
    return [*_doc(part.doc), f"claim {quote(part.text)}: {write_sides(part)}{on}"]


def _step(part: spec.Step) -> list[str]:
    lines = [*(_assign(a) for a in part.assigns), f"loss {_objective(part.loss)}"]
    lines.append(f"optimizer {write_expression(part.optimizer)}")
    lines.extend([] if part.clip is None else [f"clip norm {write_expression(part.clip)}"])
    lines.extend(f"decay {write_expression(d.rate)} for {d.pattern}" for d in part.decays)
    lines.extend(f"rate {write_expression(r.factor)} for {r.pattern}" for r in part.rates)
    lines.extend(f"freeze {f.pattern}" for f in part.freezes)
    moved = ", ".join(line.pattern for line in part.updates)
    return [f"step {part.name} updates {moved} {{", *("  " + line for line in lines), "}"]


def _train(part: spec.Train) -> list[str]:
    lines = [_assign(a) for a in part.assigns]
    for step in part.objectives:
        lines.extend(_step(step))
    if part.loss is not None:
        lines.append(f"loss {_objective(part.loss)}")
    if part.error is not None:
        lines.append(f"error {_objective(part.error)}")
    lines.extend(f"metric {m.name} = {write_expression(m.value)}{_weights(m)}{_when(m)}" for m in part.metrics)
    if part.answer is not None:
        bare = part.answer.column is None and isinstance(part.answer.value, spec.Chain)
        column = "" if part.answer.column is None else f" as {part.answer.column}"
        lines.append(f"answer {_write(part.answer.value, EXPRESSION if bare else SCHEDULE)}{column}")
    values: tuple[tuple[str, Any], ...] = (
        ("optimizer", part.optimizer),
        ("batch", part.batch),
        ("epochs", part.epochs),
        ("steps", part.steps),
        ("clip norm", part.clip),
        ("accumulate", part.accumulate),
    )
    after = {"length": " by length", "tokens": " tokens"}
    drawn = "" if part.draws is None else f" drawn by {write_expression(part.draws)}"
    ends = {"batch": after.get(part.batched, "") + drawn}
    lines.extend(f"{word} {write_expression(value)}{ends.get(word, '')}" for word, value in values if value is not None)
    for line in part.every:
        often = "batch" if line.count is None else f"{_write(line.count, CHOICE)} batches"
        lines.append(f"every {often} {', '.join(name.name for name in line.steps)}")
    for kept in part.averages:
        lines.append(f"average {write_expression(kept.factor)}" + (f" for {kept.pattern}" if kept.pattern else ""))
    lines.append(f"seed {part.seed}")
    if part.stop is not None:
        way = "risen" if part.stop.risen else "fallen"
        wait = "" if part.stop.patience is None else f" has not {way} for {part.stop.patience} {part.stop.unit}"
        lines.append(f"stop when {write_expression(part.stop.watch)}{wait}")
    if part.keep is not None:
        lines.append(f"keep {part.keep.which} {part.keep.split}.{part.keep.figure}")
    if part.start is not None:
        lines.append(f"start from {quote(part.start.run)}")
    lines.extend(f"decay {write_expression(d.rate)} for {d.pattern}" for d in part.decays)
    lines.extend(f"rate {write_expression(r.factor)} for {r.pattern}" for r in part.rates)
    lines.extend(f"freeze {f.pattern}" for f in part.freezes)
    if part.precision is not None:
        lines.append(f"precision {part.precision}")
    name = f"{part.name} " if part.name else ""
    called = f" as {part.called}" if part.called else ""
    return [*_doc(part.doc), f"train {name}on {part.data}{called} {{", *("  " + line for line in lines), "}"]
