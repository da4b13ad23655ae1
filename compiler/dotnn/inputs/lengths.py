"""`batch 32 by length`, `batch 4_000 tokens`: what these come to, once the rows are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dotnn.data import Dataset
from dotnn.data.lengths import Batcher
from dotnn.program import Plan, RawColumn
from dotnn.spec import Train
from dotnn_grammar.problems import Problem


class NothingToCount(Problem):
    code = "B194"
    title = "a batch is counted in tokens, and nothing here is cut into tokens"
    label = "tokens of what?"
    help = "count it in rows: `batch 32`; texts are cut into tokens by `as words`, `as characters`, `as bpe`"


class AllOfOneLength(Problem):
    code = "B231"
    title = "`by length` puts rows of like length together, and {what}"
    label = "there is no length to go by"
    help = "leave `by length` out; what has lengths of its own is a text without `length`: `as words`, `as characters`"
    what: str


def require_tokens(train: Train, raws: Iterable[RawColumn]) -> None:
    """Raises B194 and B231 where a batch is counted in what the rows have not, or made by it."""
    texts = [raw for raw in raws if raw.tokens is not None]
    if train.batched == "tokens" and not texts:
        raise NothingToCount(span=train.batch.span).error()
    if train.batched == "length" and not any(raw.places for raw in texts):
        what = "the texts here are all cut to one" if texts else "nothing here is a text"
        raise AllOfOneLength(span=train.batch.span, what=what).error()


def by_lengths(plan: Plan, raws: Sequence[RawColumn], dataset: Dataset) -> Plan:
    """The plan with its batch in rows, and how many batches an epoch has."""
    if not plan.by_length:
        return plan
    longest = max((raw.dims[0] for raw in raws if raw.tokens is not None), default=1)
    rows = dataset.splits.get("train")
    if plan.tokens is not None:
        plan = plan.model_copy(update={"batch": max(plan.tokens // longest, 1)})
    if not any(raw.places for raw in raws):  # every text has its length: so have all batches
        return plan.model_copy(update={"by_length": False})
    if rows is None:
        return plan
    return plan.model_copy(update={"per_epoch": max(math.ceil(Batcher(plan, raws, rows).count), 1)})
