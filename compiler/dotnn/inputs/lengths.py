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


def require_tokens(train: Train, raws: Iterable[RawColumn]) -> None:
    """Raises B194 where a batch is counted in what the rows have not."""
    if train.batched == "tokens" and not any(raw.tokens is not None for raw in raws):
        raise NothingToCount(span=train.batch.span).error()


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
