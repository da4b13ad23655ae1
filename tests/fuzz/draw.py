"""Whole specs, drawn as the compiler holds them: every form of the language, with names from a small pool.

Text drawn from the grammar alone seldom reads again, since much is checked beyond it (two shares of one name, two
lists of an optimizer); what is drawn here is what a reader can give, and so must be printed and read again the same.
"""

from __future__ import annotations

from typing import Any, Literal

from hypothesis import strategies as st

from dotnn import spec
from dotnn_grammar.layout import RESERVED
from dotnn_grammar.source import Span

HERE = Span(file="x", line=1, column=1, end_line=1, end_column=1)

POOL = (
    "a", "b", "x", "y", "n", "label", "T", "_", "data", "net", "train", "where", "on", "then", "until", "column",
    "columns", "source", "split", "seed", "test", "loss", "function", "layer", "optimizer", "use", "param", "from",
    "best", "norm", "with", "by", "int", "table", "class", "as_", "stratify", "order", "fallen", "epoch", "claim",
    "step", "every", "rate", "window", "augment", "e1", "x_1", "shifted", "weighted", "generate",
)  # fmt: skip
"""Words of the language among them, which mean nothing here."""

names = st.sampled_from([word for word in POOL if word not in RESERVED])
plain = st.sampled_from(["a", "b", "x", "y", "n", "label", "T", "_", "e1", "x_1"])
letters = st.characters(exclude_categories=["Cs", "Cc"])
texts = st.text(st.one_of(letters, st.sampled_from('"\\\n\t{}#;')), max_size=12)


def part(kind: type[Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, span=st.just(HERE), **fields)


def several(of: st.SearchStrategy[Any], least: int = 1, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=least, max_size=most).map(tuple)


def distinct(of: st.SearchStrategy[Any], least: int = 0, most: int = 3, by: str = "name") -> st.SearchStrategy[Any]:
    return st.lists(of, min_size=least, max_size=most, unique_by=lambda p: getattr(p, by)).map(tuple)


def optional(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | of


# ---- expressions

whole = part(spec.Number, value=st.integers(0, 2**63 - 1))
real = part(spec.Number, value=st.floats(0, allow_nan=False, allow_infinity=False))
percent = part(
    spec.Number,
    value=st.decimals(0, 1000, places=3).map(lambda d: float(f"{d}e-2")),
    percent=st.just(True),
)
numbers = whole | real | percent
name = part(spec.Name, name=names)
leaves = st.one_of(name, numbers, part(spec.Text, value=texts), part(spec.Truth, value=st.booleans()))


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    argument = part(spec.Argument, name=optional(names), value=inner)
    rest = part(spec.Argument, name=st.none(), value=part(spec.Rest))
    item = inner | part(spec.Range, start=inner, stop=inner) | part(spec.Rest)
    stage = part(spec.Stage, call=inner, name=optional(names))
    binary = st.sampled_from(["+", "-", "*", "/", "//", "%", "@", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
    return st.one_of(
        part(spec.Call, function=inner, arguments=several(argument | rest, 0)),
        part(spec.Index, value=inner, items=several(item)),
        part(spec.Member, value=inner, name=names),
        part(spec.Unary, operator=st.sampled_from(["-", "not"]), operand=inner),
        part(spec.Binary, operator=binary, left=inner, right=inner),
        part(spec.Choose, condition=inner, then=inner, otherwise=inner),
        part(spec.Range, start=inner, stop=inner),
        part(spec.List, items=several(argument, 0)),
        part(spec.Several, items=several(inner, 2)),
        part(spec.Chain, start=inner, stages=several(stage)),
        part(spec.Until, value=inner, unit=st.sampled_from(["epoch", "step"]), count=inner),
        part(spec.Then, phases=several(inner, 2)),
        part(spec.Shifted, value=inner, by=inner),
    )


expressions = st.recursive(leaves, _compound, max_leaves=8)
small = st.recursive(leaves, _compound, max_leaves=3)


# ---- types and statements


@st.composite
def dims(draw: st.DrawFn) -> spec.Dim | spec.Rest:
    if draw(st.integers(0, 5)) == 0:
        return spec.Rest(span=HERE)
    size = draw(name | whole | small)
    label = draw(optional(names))
    if isinstance(size, spec.Name) and label is None:
        label = size.name
    return spec.Dim(span=HERE, label=label, size=size)


@st.composite
def types(draw: st.DrawFn, bare: bool = True) -> spec.TypeText:
    listed = draw(optional(several(dims(), 0)))
    word = draw(names if listed is None else optional(names))
    bound = draw(optional(small))
    return spec.TypeText(span=HERE, word=word, dims=listed, bound=bound)


@st.composite
def assigns(draw: st.DrawFn, targets: st.SearchStrategy[str] = names) -> spec.Assign:
    target = part(spec.Target, name=targets, indices=optional(several(names)))
    left = draw(several(target))
    right = draw(several(expressions, len(left), len(left)) | several(expressions, 1, 1))
    binder = part(spec.Binder, name=names, range=small)
    return spec.Assign(span=HERE, targets=left, values=right, binders=draw(several(binder, 0, 2)))


message = st.lists(
    st.text(letters.filter(lambda c: c not in "{}"), max_size=6) | names.map(lambda n: f"{{{n}}}"), max_size=3
).map("".join)
cell = part(spec.Cell, name=names, type=optional(types()), init=small)
flat = st.one_of(
    assigns(),
    part(spec.Weight, name=names, type=types(), init=small),
    part(spec.State, cells=several(cell)),
    part(spec.Require, condition=small, message=message),
    part(spec.Return, values=several(expressions)),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = several(inner, 0, 2)
    return st.one_of(
        part(spec.Repeat, name=optional(names), range=small, body=body),
        part(spec.If, condition=small, then=body, otherwise=body),
        part(spec.When, phase=names, then=body, otherwise=body),
    )


statements = st.recursive(flat, _nested, max_leaves=3)


# ---- declarations

docs = st.lists(st.text(letters, max_size=8).map(str.strip), max_size=2).map(lambda lines: "\n".join(lines).strip())
parameter = part(spec.Parameter, name=names, type=optional(types()), default=optional(small))
result = part(spec.Result, name=st.none(), type=types())


@st.composite
def definitions(draw: st.DrawFn) -> spec.Definition:
    word: Any = draw(st.sampled_from(["function", "layer", "net", "optimizer"]))
    inputs = draw(distinct(parameter))
    listed = {p.name for p in inputs}
    settings = draw(distinct(parameter.filter(lambda p: p.name not in listed)))
    if word == "net" or (word != "optimizer" and draw(st.booleans())):
        settings = None
    return spec.Definition(
        span=HERE,
        word=word,
        name=draw(names),
        settings=settings,
        inputs=inputs,
        results=()
        if word == "optimizer"
        else draw(several(result, 0, 2) | distinct(part(spec.Result, name=names, type=types()))),
        body=draw(several(statements, 0, 3)),
        doc=draw(docs),
    )


files = texts.filter(lambda t: not any(c in t for c in "*?[") and "." not in t).map(lambda t: t + ".csv")
column_names = names | texts
form = part(spec.TypeText, word=st.sampled_from(["int", "bool", "u8", "class"]), dims=st.none(), bound=st.none())
sized = part(spec.TypeText, word=st.none(), dims=several(part(spec.Dim, label=st.none(), size=whole)), bound=st.none())
bounded = part(spec.TypeText, word=st.just("int"), dims=st.none(), bound=whole)
column_of = part(spec.ColumnOf, first=column_names, last=optional(column_names))


@st.composite
def columns(draw: st.DrawFn) -> spec.Column:
    made = draw(column_of | part(spec.Binary, operator=st.sampled_from(["/", "*", "-"]), left=column_of, right=numbers))
    if draw(st.integers(0, 3)) == 0:
        made = spec.Call(span=HERE, function=draw(name), arguments=(spec.Argument(span=HERE, value=made),))
    return spec.Column(span=HERE, name=draw(plain), value=made, type=draw(optional(form | sized | bounded)))


@st.composite
def drawn_columns(draw: st.DrawFn) -> spec.Column:
    """A column that is drawn, or an equation."""
    value = draw(small.filter(lambda e: not isinstance(e, spec.Chain)))
    column = spec.Column(span=HERE, name=draw(plain), value=value, type=draw(optional(form | sized | bounded)))
    if draw(st.booleans()):
        return column
    indices = draw(st.lists(plain, min_size=1, max_size=2).map(tuple))
    ranges = part(spec.Binder, name=plain, range=part(spec.Range, start=whole, stop=whole))
    return column.model_copy(update={"indices": indices, "binders": draw(several(ranges, 0, 2))})


@st.composite
def splits(draw: st.DrawFn) -> spec.Split:
    parts = draw(st.permutations(["val", "test"]))[: draw(st.integers(0, 2))]
    cuts = draw(st.lists(st.integers(1, 33), min_size=3, max_size=3))
    shares = [
        spec.Share(span=HERE, name=n, share=float(f"{c}e-2")) for n, c in zip(["train", *parts], cuts, strict=False)
    ]
    return spec.Split(span=HERE, shares=tuple(shares), stratify=draw(optional(plain)), in_order=draw(st.booleans()))


@st.composite
def blocks(draw: st.DrawFn) -> spec.Data:
    line = part(spec.SourceLine, role=st.just("source"), reader=st.just("table"), files=several(files))
    exam = part(spec.SourceLine, role=st.just("test"), reader=st.just("table"), files=several(files))
    made, split, windows = columns(), optional(splits()), None
    if draw(st.integers(0, 3)) == 0:
        steps = part(spec.Number, value=st.integers(1, 99)) | part(spec.Name, name=plain)
        windows = draw(part(spec.Windows, size=steps, by=optional(steps), horizon=optional(steps)))
        split = optional(splits().map(lambda found: found.model_copy(update={"stratify": None, "in_order": True})))
    elif draw(st.integers(0, 2)) == 0:
        line, exam = (
            part(spec.SourceLine, role=st.just(role), reader=st.just("generate"), files=st.just(()), count=counts_of())
            for role in ("source", "test")
        )
        made = drawn_columns()
    if draw(st.integers(0, 3)) == 0:
        changed = draw(distinct(drawn_columns(), 1))
        return spec.Data(span=HERE, name=draw(names), base=draw(names), sources=(), columns=changed, doc=draw(docs))
    return spec.Data(
        span=HERE,
        name=draw(names),
        sources=(draw(line), *draw(several(exam, 0, 1))),
        columns=draw(distinct(made, 1)),
        split=draw(split),
        windows=windows,
        augments=draw(several(part(spec.Column, name=plain, value=small), 0, 2)),
        seed=draw(st.integers(0, 2**63 - 1)),
        doc=draw(docs),
    )


def counts_of() -> st.SearchStrategy[Any]:
    """A number of epochs, steps or rows: what stands there as digits is 1 or more."""
    digits = part(spec.Number, value=st.integers(1, 99))
    return digits | name | small.filter(lambda e: not isinstance(e, spec.Number | spec.Chain))


def counts(draw: st.DrawFn) -> Any:
    return draw(counts_of())


def norms(draw: st.DrawFn) -> Any:
    """What `clip norm` is followed by: `norm(` and `norm -` would be sums and calls of a `norm`."""
    first = draw(part(spec.Name, name=plain) | numbers)
    sign: Any = draw(st.sampled_from([None, "*", "+"]))
    return first if sign is None else spec.Binary(span=HERE, operator=sign, left=first, right=draw(name | numbers))


patterns = st.lists(plain | st.just("*"), min_size=1, max_size=3).map(".".join)


@st.composite
def turns(draw: st.DrawFn) -> dict[str, Any]:
    """Steps that take turns, in the place of one loss and one optimizer."""
    unclaused = small.filter(lambda e: not isinstance(e, spec.Chain))
    steps = tuple(
        spec.Step(
            span=HERE,
            name=own,
            updates=draw(several(part(spec.Updates, pattern=patterns), 1, 2)),
            assigns=draw(several(assigns(plain), 0, 1)),
            loss=draw(part(spec.Objective, value=unclaused, where=optional(small), weights=optional(small))),
            optimizer=draw(unclaused),
            clip=norms(draw) if draw(st.booleans()) else None,
            decays=draw(several(part(spec.Decay, rate=unclaused, pattern=patterns), 0, 1)),
            freezes=draw(several(part(spec.Freeze, pattern=patterns.filter(lambda p: p != "*")), 0, 1)),
        )
        for own in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    )
    count = optional(part(spec.Number, value=st.integers(1, 99)) | part(spec.Name, name=plain))
    named = [spec.Name(span=HERE, name=step.name) for step in steps]
    cut = draw(st.integers(0, len(named) - 1))
    lines = [each for each in (named[:cut], named[cut:]) if each]
    every = tuple(spec.Every(span=HERE, count=draw(count), steps=tuple(each)) for each in lines)
    return {"objectives": steps, "every": every, **dict.fromkeys(("loss", "optimizer", "clip"))} | dict.fromkeys(
        ("decays", "rates", "freezes"), ()
    )


@st.composite
def claims(draw: st.DrawFn) -> spec.Claim:
    ways: list[tuple[Literal["<", "<=", ">", ">="], ...]] = [("<",), (">=",), ("<", "<="), (">", ">=")]
    signs = draw(st.sampled_from(ways))
    on = part(spec.ClaimedOn, names=several(names, 1, 2))
    return spec.Claim(
        span=HERE,
        text=draw(texts.filter(str.strip)),
        sides=draw(several(small, len(signs) + 1, len(signs) + 1)),
        operators=signs,
        on=draw(optional(on)),
        doc=draw(docs),
    )


@st.composite
def trains(draw: st.DrawFn) -> spec.Train:
    unclaused = small.filter(lambda e: not isinstance(e, spec.Chain))
    until = draw(st.sampled_from(["epochs", "steps"]))
    objective = part(spec.Objective, value=unclaused, where=optional(small), weights=optional(small))
    watch = part(spec.Member, value=name, name=names)
    bound = part(spec.Binary, operator=st.sampled_from(["<", ">", "<=", ">="]), left=watch, right=numbers)
    stops = part(spec.Stop, watch=watch, patience=st.integers(1, 99)) | part(spec.Stop, watch=bound, patience=st.none())
    pattern = patterns
    made = spec.Train(
        span=HERE,
        name=draw(optional(names.filter(lambda n: n != "on"))),
        data=draw(names),
        assigns=draw(several(assigns(plain), 0, 2)),
        loss=draw(objective),
        error=draw(optional(objective)),
        metrics=draw(distinct(part(spec.Metric, name=names, value=small, weights=optional(small)))),
        answer=draw(optional(part(spec.Answer, value=unclaused, column=optional(names)))),
        optimizer=draw(unclaused),
        batch=counts(draw),
        batched=draw(st.sampled_from(["rows", "rows", "length", "tokens"])),
        **{until: counts(draw)},
        seed=draw(st.integers(0, 2**63 - 1)),
        stop=draw(optional(stops)),
        keep=draw(optional(part(spec.Keep, split=st.sampled_from(["train", "val"]), figure=names))),
        start=draw(optional(part(spec.Start, run=texts))),
        clip=norms(draw) if draw(st.booleans()) else None,
        decays=draw(several(part(spec.Decay, rate=unclaused, pattern=pattern), 0, 2)),
        rates=draw(several(part(spec.Rate, factor=unclaused, pattern=pattern), 0, 2)),
        freezes=draw(several(part(spec.Freeze, pattern=pattern.filter(lambda p: p != "*")), 0, 2)),
        accumulate=counts(draw) if draw(st.booleans()) else None,
        precision=draw(st.sampled_from([None, "f32", "bf16", "f16"])),
        averages=draw(several(part(spec.Average, factor=unclaused, pattern=optional(pattern)), 0, 2)),
        called=draw(optional(names)),
        claims=draw(several(claims(), 0, 2)),
        doc=draw(docs),
    )
    return made.model_copy(update=draw(turns())) if draw(st.integers(0, 3)) == 0 else made


@st.composite
def specs(draw: st.DrawFn) -> spec.Spec:
    """A whole file, as reading one gives it."""
    params = draw(distinct(part(spec.Param, name=names, value=expressions, doc=docs)))
    data = draw(distinct(blocks(), 0, 1))
    made = draw(distinct(definitions(), 0, 2))
    learned = draw(several(trains(), 0, 1))
    # A file that begins with a declaration has its comment for its own.
    first = next((p.doc for p in (*params, *data, *made, *learned)), "")
    return spec.Spec(file="x", params=params, data=data, definitions=made, trains=learned, doc=draw(docs) or first)
