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
    kind: Literal["return"] = "return"
    values: tuple[Expression, ...]


Statement = Annotated[Assign | Weight | State | Repeat | If | When | Require | Return, Field(discriminator="kind")]


# ---- declarations


class Use(Part):
    """`use "blocks.nn"`, `use attend, cross from "blocks.nn"`."""

    names: tuple[str, ...] = ()
    file: str


class Param(Part):
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
    doc: str = ""


class Metric(Part):
    """`metric right = accuracy(logits, label)`."""

    name: str
    value: Expression
    weights: Expression | None = None


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


class Train(Part):
    """A train block. ``name`` is the net's, or None for `train on data`; ``called`` its own: `train N on d as slow`."""

    name: str | None
    data: str
    called: str | None = None
    assigns: tuple[Assign, ...] = ()
    loss: Objective
    error: Objective | None = None
    metrics: tuple[Metric, ...] = ()
    answer: Answer | None = None
    optimizer: Expression
    batch: Expression
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
    accumulate: Expression | None = None
    precision: Literal["f32", "bf16", "f16"] | None = None
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


for _model in (Repeat, If, When, Spec):
    _model.model_rebuild()
