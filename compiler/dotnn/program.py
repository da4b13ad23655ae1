"""Program: everything that one `train` block becomes, ready for a backend. Frozen, written as JSON and read back."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from dotnn.graph import Dtype, Graph

FORMAT = 1
LANGUAGE = 1

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
    role: Literal["data", "label", "weight"] = "data"
    """`data` where the net reads it, `label` where only loss, error and metrics do, `weight` of a row in these."""


Fold = Literal["sum", "max", "min", "rows"]
"""How what two batches give becomes one: added, the greater, the lesser, or one after the other along the first dim."""


class Total(_Frozen):
    """What eval.onnx gives for a batch under this name, and how that of all batches becomes one."""

    name: str
    fold: Fold


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


class Plan(_Frozen):
    """How training goes."""

    batch: int
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
    outputs: tuple[str, ...]
    """The net's results."""
    figures: tuple[Figure, ...]
    answer: AnswerPlan | None = None
    plan: Plan
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
    graphs: dict[str, Graph]
    """By name: init, train, eval, predict, order; and figures, where a figure has totals of its own."""
