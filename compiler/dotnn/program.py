"""Program: everything that one `train` block becomes, ready for a backend. Frozen, written as JSON and read back."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from dotnn.graph import Dtype, Graph

FORMAT = 1

Pass = Literal["build", "differentiate", "precision", "update", "simplify"]
PASSES: tuple[Pass, ...] = get_args(Pass)
"""What happens to the graphs, in order."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


Setting = bool | int | float | str


class Tokens(_Frozen):
    """How the texts of a column become numbers: fitted on the training rows, kept for those who ask the net."""

    tokenizer: str
    settings: dict[str, Setting] = {}
    pieces: tuple[str, ...]
    """By number: `pad`, what is unknown, `start`, `end`, and then the tokenizer's own."""
    state: str = ""
    """What else the tokenizer needs."""
    length: int
    """How many numbers a row has: shorter texts are filled up with 0, longer ones are cut."""
    start: bool = False
    """Whether a row begins with `start`."""
    end: bool = False
    """Whether `end` stands after its last piece, unless it is cut before."""


class RawColumn(_Frozen):
    """One input that a host feeds: raw columns of the table, side by side.

    The array is ``dtype[rows, *dims]``; dims is () for one column, (n,) for a range of n columns; a column of arrays
    has their dims.
    """

    name: str
    """Of the graph input."""
    columns: tuple[str, ...]
    """Of the table, in order."""
    dtype: Dtype
    """`f32` for numbers, `i64` for whole numbers and classes, `u8` for arrays of bytes."""
    dims: tuple[int, ...] = ()
    classes: tuple[str, ...] | None = None
    """For `as class`: the texts, by index (sorted; those of the training split)."""
    tokens: Tokens | None = None
    """For a column of texts that are cut into pieces; dims are its length, and bound the number of its pieces."""
    bound: int | None = None
    """For `as int < bound`: values are 0 up to but without it; another is a located error."""
    places: str | None = None
    """The name of a size that each batch decides, where rows of like length make a batch; dims has the longest."""
    reader: str | None = None
    """`mail` or `images`, where each row is such a file."""
    steps: int | None = None
    """In windows: how many steps of the stream stand in the first of the dims."""
    later: int = 0
    """Where the first of them stands, counted from the window's first; of texts, how many pieces later they begin."""
    role: Literal["data", "label", "weight"] = "data"
    """`data` where the net reads it, `label` where only loss, error and metrics do, `weight` of a row in these."""


class Windows(_Frozen):
    """How a text or a series is cut into examples: ``size`` steps each, one every ``by`` steps."""

    size: int
    by: int
    horizon: int | None = None


Fold = Literal["sum", "max", "min", "rows"]
"""How what two batches give becomes one: added, the greater, the lesser, or one after the other along the first dim."""


class Total(_Frozen):
    """What eval.onnx gives for a batch under this name, and how that of all batches becomes one."""

    name: str
    fold: Fold


class Written(_Frozen):
    """Texts that a metric needs: its graph's ``input`` gets what the net writes for each row, i64[b, t]."""

    input: str
    column: str
    """The column that the net continues."""
    reads: tuple[str, ...]
    """The columns that it reads meanwhile."""
    beam: int = 1
    """How many texts are followed side by side; 1: the likeliest token, one after another."""
    length: int | None = None


class Apart(_Frozen):
    """How a metric is measured by itself: with a graph of its own, at the end of every so many epochs."""

    graph: str
    on: str | None = None
    """The part of the data; None: each that is measured."""
    every: int = 1
    texts: tuple[Written, ...] = ()


class Figure(_Frozen):
    """What a run reports: the loss, the error, a metric, which may be a table of numbers.

    In eval.onnx `NAME.total` over `NAME.count`; where it is no such mean, totals of its own, from which figures.onnx
    makes it.
    """

    name: str
    role: Literal["loss", "error", "metric"]
    text: str
    """As the spec writes it."""
    totals: tuple[Total, ...] = ()
    dims: tuple[int, ...] = ()
    """Of a metric that is more than one number: a list, a table."""
    apart: Apart | None = None
    """Where it is not measured with every batch."""


class ClaimRows(_Frozen):
    """Rows on which something is claimed: of a part of a data block, or all of them where ``part`` is empty.

    Its graph gives for a batch the totals of ``figures``, as eval does.
    """

    graph: str
    data: str
    part: str = ""
    inputs: tuple[RawColumn, ...]
    figures: tuple[Figure, ...]


class Claim(_Frozen):
    """What the author says must hold of the net. The graph `claims` makes of the figures of all rows the outputs
    `NAME.figure`, `NAME.bound.1` (and `.2`) and `NAME.holds`."""

    name: str
    text: str
    """In the author's words."""
    says: str
    """As the spec writes it: `error < 10%`."""
    on: str = ""
    """The rows, where one place is named for all of it."""
    bounds: tuple[Literal["<", "<=", ">", ">="], ...]
    """How the figure stands to each of its bounds."""
    share: bool = False
    """Whether the figure is shown in percent."""


class Watch(_Frozen):
    """A figure of a split: `val.error`."""

    split: str
    figure: str
    highest: bool | None = None
    """Whether a higher value is the better one. None: the lower one of a loss or error, the higher of a metric."""


class Patience(_Frozen):
    """`stop when val.error has not fallen for 5 epochs`."""

    watch: Watch
    epochs: int


class Reached(_Frozen):
    """`stop when val.error < 1%`."""

    watch: Watch
    operator: Literal["<", "<=", ">", ">="]
    bound: float


class AnswerPlan(_Frozen):
    """What a prediction is: the output `answer` of predict.onnx, and how it is named."""

    column: str | None = None
    classes: tuple[str, ...] | None = None
    shares: str | None = None
    """The output with the probability of each class, where the answer is one of several classes."""


class Generation(_Frozen):
    """How the net writes: with the graphs start, next and choose (``generate/``)."""

    column: str
    """The input with the tokens that are continued."""
    output: str
    """The scores of what comes next."""
    length: int
    """Places of the window that the net sees."""
    begins: int | None = None
    """The token with which every text begins; None: with what is given."""
    ends: int | None = None
    """The token that ends a text; None: nothing does."""
    never: tuple[int, ...] = ()
    """Tokens that are not written."""


class Plan(_Frozen):
    """How training goes."""

    batch: int
    """Rows; where it is counted in tokens, as many rows of the longest texts as it holds."""
    tokens: int | None = None
    """`batch 4_000 tokens`: how many pieces a batch holds at most, those that fill up its rows among them."""
    by_length: bool = False
    """Whether a batch has rows of like length."""
    per_epoch: int | None = None
    """Where it has, or is counted in tokens: how many batches an epoch has."""
    epochs: int | None = None
    steps: int | None = None
    """Exactly one of epochs and steps is set."""
    seed: int = 0
    stop: tuple[Patience | Reached, ...] = ()
    keep: Watch | None = None
    accumulate: int = 1
    """How many batches make one update."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """In which the operands of products are rounded."""
    start: str | None = None
    """The folder of the run, seen from the spec's, with whose weights training begins where they fit."""


class Program(_Frozen):
    """A compiled train block."""

    format: Literal[1] = 1
    language: Literal[1] = 1
    dotnn: str
    """The version that compiled it."""
    name: str
    """Of the train block: the net's name, or the data's where it names no net."""
    spec: str
    """File name of the spec, without its folder."""
    sha256: str
    """Of the spec's text, with what it uses, in the formatter's form."""
    text: str = ""
    """The spec, with what it uses."""
    data: str
    """Name of the data block."""
    inputs: tuple[RawColumn, ...]
    windows: Windows | None = None
    outputs: tuple[str, ...]
    """The net's results."""
    figures: tuple[Figure, ...]
    answer: AnswerPlan | None = None
    plan: Plan
    generation: Generation | None = None
    parameters: int
    """How many learned numbers."""
    params: dict[str, bool | int | float | str] = {}
    """The params of the spec, with the values that this program was compiled for."""
    fold: int | None = None
    """Which fold of the rows is `val`, from 1, where they are dealt into folds."""
    settings: dict[str, str] = {}
    """Lines of the spec that were set otherwise by `--set`, by their path."""
    after: Pass = "simplify"
    """The last pass that the graphs went through."""
    claims: tuple[Claim, ...] = ()
    claimed_on: tuple[ClaimRows, ...] = ()
    graphs: dict[str, Graph]
    """By name: init, train, eval, predict, order; and figures, where a figure has totals of its own."""
