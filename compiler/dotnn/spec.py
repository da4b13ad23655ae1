"""Spec: what the person wrote. Declarations, statements and expressions, each with its place in the file.

The words here are the language's own (see ``grammar/README.md``); nothing is resolved, sized or checked yet beyond
what can be seen from one line.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dotnn.words import Argument as Argument
from dotnn.words import Binary as Binary
from dotnn.words import Call as Call
from dotnn.words import Chain as Chain
from dotnn.words import Choose as Choose
from dotnn.words import ColumnOf as ColumnOf
from dotnn.words import Expression as Expression
from dotnn.words import Index as Index
from dotnn.words import List as List
from dotnn.words import Member as Member
from dotnn.words import Name as Name
from dotnn.words import Number as Number
from dotnn.words import Part as Part
from dotnn.words import Range as Range
from dotnn.words import Rest as Rest
from dotnn.words import Several as Several
from dotnn.words import Shifted as Shifted
from dotnn.words import Stage as Stage
from dotnn.words import Text as Text
from dotnn.words import Then as Then
from dotnn.words import Truth as Truth
from dotnn.words import Unary as Unary
from dotnn.words import Until as Until

FORMAT = 1


# ---- types


class Dim(Part):
    """One dim of a type: `8`, `n`, `4*units`, `h = 28`. A plain name is its own label."""

    label: str | None = None
    size: Expression


class TypeText(Part):
    """`[b, n]`, `int[b] < vocab`, `u8[b, 28, 28]`. ``dims`` is None where only a word stands (`int < 10`)."""

    word: str | None = None
    dims: tuple[Dim | Rest, ...] | None = None
    bound: Expression | None = None
    arguments: tuple[Argument, ...] = ()
    """Of a column's form: `words(vocab = 4_000, length = 32)`."""


# ---- statements


class Binder(Part):
    """`i in 0..t`."""

    name: str
    range: Expression


class Target(Part):
    """The left side: `x`, or `score[b, head, i, j]` of an index equation."""

    name: str
    indices: tuple[str, ...] | None = None


class Assign(Part):
    """`m, v = moments(x)`; an index equation with its `for … in`."""

    kind: Literal["assign"] = "assign"
    targets: tuple[Target, ...]
    values: tuple[Expression, ...]
    binders: tuple[Binder, ...] = ()


class Weight(Part):
    """`weight W: [n, units] ~ init`."""

    kind: Literal["weight"] = "weight"
    name: str
    type: TypeText
    init: Expression


class Cell(Part):
    """A state, or what an optimizer remembers: `m = 0`, `mean: [c] = 0`."""

    name: str
    type: TypeText | None = None
    init: Expression


class State(Part):
    """`state mean: [c] = 0`, `state m = 0, v = 0`."""

    kind: Literal["state"] = "state"
    cells: tuple[Cell, ...]


class Repeat(Part):
    """`repeat block in 0..depth { … }`, `repeat 3 { … }`."""

    kind: Literal["repeat"] = "repeat"
    name: str | None = None
    range: Expression
    body: tuple[Statement, ...]


class If(Part):
    """`if bias { … } else { … }`, decided before the net runs."""

    kind: Literal["if"] = "if"
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


class When(Part):
    """`when training { … } else { … }`."""

    kind: Literal["when"] = "when"
    phase: str
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


class Require(Part):
    """`require d % heads == 0: "width {d} does not divide into {heads} heads"`."""

    kind: Literal["require"] = "require"
    condition: Expression
    message: str


class Return(Part):
    """`return y`."""

    kind: Literal["return"] = "return"
    values: tuple[Expression, ...]


class Carry(Part):
    """`h = zeros[b, units]`: what is carried from step to step, and what the first step finds."""

    name: str
    start: Expression


class Scan(Part):
    """`scan over t with h = … { … }`, `scan back over t where kept cut 32 with h = …, c = … { … }`.

    ``where``: in which steps what is carried gets its next value; ``cut``: every how many steps no gradient passes.
    """

    kind: Literal["scan"] = "scan"
    over: str
    back: bool = False
    where: Expression | None = None
    cut: Expression | None = None
    carries: tuple[Carry, ...] = ()
    body: tuple[Statement, ...]


Statement = Annotated[
    Assign | Weight | State | Repeat | If | When | Scan | Require | Return, Field(discriminator="kind")
]


# ---- declarations


class Use(Part):
    """`use "blocks.nn"`, `use attend, cross from "blocks.nn"`."""

    names: tuple[str, ...] = ()
    file: str


class Param(Part):
    """`param hidden = 64`."""

    name: str
    value: Expression
    doc: str = ""


class Parameter(Part):
    """One entry of a definition's list: `units`, `bias = yes`, `x: [..., n]`."""

    name: str
    type: TypeText | None = None
    default: Expression | None = None


class Result(Part):
    """`[..., units]`, `logits: [b, 10]`."""

    name: str | None = None
    type: TypeText


class Definition(Part):
    """A function, layer, net or optimizer.

    ``settings`` is the first of two lists (None where there is one list), ``inputs`` the last list.
    """

    word: Literal["function", "layer", "net", "optimizer"]
    name: str
    settings: tuple[Parameter, ...] | None
    inputs: tuple[Parameter, ...]
    results: tuple[Result, ...] = ()
    body: tuple[Statement, ...]
    doc: str = ""


class SourceLine(Part):
    """`source table "a.csv", "b.csv"`; ``role`` is `source` or `test`. `source generate N` has a ``count``."""

    role: Literal["source", "test"]
    reader: str
    files: tuple[str, ...]
    count: Expression | None = None
    each: Expression | None = None
    """`source draw N of 5 from digits`: how many rows of the other block make one."""
    base: str | None = None
    """The other block."""
    size: tuple[Expression, ...] = ()
    """Of pictures: the height and the width that they are brought to."""
    grey: bool = False


class Column(Part):
    """`image = columns p0 to p63 / 16 as [8, 8]`, `label = column digit as int < 10`, `kind = column name as class`.

    With ``indices`` an equation: `spot[y, x] = … for y in 0..32, x in 0..32`.
    """

    name: str
    value: Expression
    type: TypeText | None = None
    indices: tuple[str, ...] | None = None
    binders: tuple[Binder, ...] = ()


class Share(Part):
    """One part of a split: `train 70%`."""

    name: str
    share: float


class Split(Part):
    """`split train 70%, val 15%, test 15% stratify label`.

    With ``folds`` (`split folds 5, test 20%`) all rows but those of `test` are dealt into that many equal parts; the
    one that ``fold`` numbers, from 1, is `val`, the others are `train`.
    """

    shares: tuple[Share, ...]
    stratify: str | None = None
    in_order: bool = False
    folds: int | None = None
    fold: int = 1


class Windows(Part):
    """`window 128 by 64`: so many steps of a text or a series are one example, and the next begins so many later.

    ``horizon``: `horizon 3`, how many steps after a window are asked for.
    """

    size: Expression
    by: Expression | None = None
    horizon: Expression | None = None


class Data(Part):
    """A block of rows. With ``base``, that block with some of its columns replaced: `data b = a where { … }`."""

    name: str
    base: str | None = None
    sources: tuple[SourceLine, ...]
    columns: tuple[Column, ...]
    split: Split | None = None
    seed: int = 0
    bad_rows: Literal["error", "skip"] = "error"
    """`on bad row skip`: what does not fit is left out, and counted."""
    augments: tuple[Column, ...] = ()
    """`augment image = …`: how training alters columns, each time it sees a row."""
    windows: Windows | None = None
    doc: str = ""


class Metric(Part):
    """`metric right = accuracy(logits, label)`, `metric bleu = … on val every 2 epochs`."""

    name: str
    value: Expression
    weights: Expression | None = None
    on: str | None = None
    """The one part of the data on which it is measured."""
    every: Expression | None = None
    """At the end of every so many epochs."""


class Objective(Part):
    """`loss … weighted by …` or `error … where …`."""

    value: Expression
    where: Expression | None = None
    weights: Expression | None = None


class Answer(Part):
    """`answer argmax(logits) as label`: what a prediction is, and which column's classes name it."""

    value: Expression
    column: str | None = None


class Stop(Part):
    """`stop when val.error has not fallen for 5 epochs`; without ``patience`` a condition, as `val.error < 1%`."""

    watch: Expression
    patience: int | None = None
    risen: bool = False
    """`has not risen`: what it waits for is a higher value."""
    unit: Literal["epochs"] = "epochs"


class Keep(Part):
    """`keep best val.error`, `keep highest val.found`, `keep lowest val.miss`."""

    split: str
    figure: str
    which: Literal["best", "highest", "lowest"] = "best"


class Start(Part):
    """`start from "runs/digits-001"`: the weights of an earlier run, as far as names and shapes agree."""

    run: str


class Decay(Part):
    """`decay 0.01 for *.W`: adds 0.01*w to the gradient of each weight whose path matches."""

    rate: Expression
    pattern: str


class Rate(Part):
    """`rate 0.1 for encoder.*`: the weights whose path matches take steps a tenth as long."""

    factor: Expression
    pattern: str


class Freeze(Part):
    """`freeze encoder.*`: the weights whose path matches stay as they are."""

    pattern: str


class ClaimedOn(Part):
    """`on test`, `on other.test`: a part of the data, or a block and perhaps a part of it."""

    names: tuple[str, ...]


class Claim(Part):
    """`claim "it sees the spot": error < 10% on other.test`: what must hold of the net of the train block above.

    Two sides and a sign between them, or three and two.
    """

    text: str
    sides: tuple[Expression, ...]
    operators: tuple[Literal["<", "<=", ">", ">="], ...]
    on: ClaimedOn | None = None
    doc: str = ""


class Updates(Part):
    """`Critic`, `Critic.head.*`: what a step moves."""

    pattern: str


class Step(Part):
    """`step critic updates Critic { … }`: one of several objectives that take turns."""

    name: str
    updates: tuple[Updates, ...]
    assigns: tuple[Assign, ...] = ()
    loss: Objective
    optimizer: Expression
    clip: Expression | None = None
    decays: tuple[Decay, ...] = ()
    rates: tuple[Rate, ...] = ()
    freezes: tuple[Freeze, ...] = ()


class Every(Part):
    """`every batch critic, forger`, `every 5 batches forger`: when steps are taken, and in which order."""

    count: Expression | None = None
    steps: tuple[Name, ...]


class Average(Part):
    """`average 0.999`, `average 0.999 for Forger.*`: of these weights a moving average is kept, and used."""

    factor: Expression
    pattern: str | None = None


class Train(Part):
    """A train block. ``name`` is the net's, or None for `train on data`; ``called`` its own: `train N on d as slow`."""

    name: str | None
    data: str
    called: str | None = None
    assigns: tuple[Assign, ...] = ()
    loss: Objective | None = None
    """None where the block has steps: each has its own, and its own optimizer."""
    error: Objective | None = None
    metrics: tuple[Metric, ...] = ()
    answer: Answer | None = None
    optimizer: Expression | None = None
    objectives: tuple[Step, ...] = ()
    """Its steps."""
    every: tuple[Every, ...] = ()
    batch: Expression
    batched: Literal["rows", "length", "tokens"] = "rows"
    """`batch 32 by length`: rows of like length together; `batch 4_000 tokens`: as many of them as hold so many."""
    draws: Expression | None = None
    """`batch 32 drawn by balanced(label)`: how often each row is drawn, against the others."""
    epochs: Expression | None = None
    steps: Expression | None = None
    seed: int = 0
    stop: Stop | None = None
    keep: Keep | None = None
    start: Start | None = None
    clip: Expression | None = None
    decays: tuple[Decay, ...] = ()
    rates: tuple[Rate, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    averages: tuple[Average, ...] = ()
    accumulate: Expression | None = None
    precision: Literal["f32", "bf16", "f16"] | None = None
    claims: tuple[Claim, ...] = ()
    doc: str = ""


class Spec(BaseModel):
    """A whole file, with the definitions that its `use` lines bring in already among ``definitions``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    file: str
    params: tuple[Param, ...] = ()
    data: tuple[Data, ...] = ()
    definitions: tuple[Definition, ...] = ()
    trains: tuple[Train, ...] = ()
    doc: str = ""
    text: str | None = None
    """The file as it stands, with what it uses: where the spec is written as JSON, for all of it to be read back."""


for _model in (Repeat, If, When, Scan, Spec):
    _model.model_rebuild()
