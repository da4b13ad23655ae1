"""What was found of a claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dotnn.program import Claim


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one claim."""

    claim: Claim
    figure: float
    bounds: tuple[float, ...]
    holds: bool
    rows: int
    """On how many rows it was measured, all places together."""


def record(verdicts: tuple[Verdict, ...]) -> list[dict[str, Any]]:
    """For JSON: `{"claim", "says", "on", "figure", "bounds", "holds", "rows"}`, a figure that is no number null."""
    return [
        {
            "claim": verdict.claim.text,
            "says": verdict.claim.says,
            "on": verdict.claim.on or None,
            "figure": verdict.figure if math.isfinite(verdict.figure) else None,
            "bounds": [bound if math.isfinite(bound) else None for bound in verdict.bounds],
            "holds": verdict.holds,
            "rows": verdict.rows,
        }
        for verdict in verdicts
    ]
