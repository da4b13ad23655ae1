"""The size of pictures as a spec gives it: numbers, or params."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.large import refuse_size
from dotnn.elaborate.library import USER
from dotnn.elaborate.problems import NotThatKind
from dotnn.elaborate.values import kind
from dotnn.inputs.lineage import Lineage
from dotnn.spec import Expression, Number, SourceLine, Spec


def sized(lineage: Lineage, spec: Spec | None, params: Mapping[str, Any]) -> Lineage:
    """The block with the sizes of its pictures as numbers. Raises ``ProblemError``."""
    if spec is None or not any(line.size for line in lineage.root.sources):
        return lineage
    sources = tuple(_settled(line, spec, params) for line in lineage.root.sources)
    return replace(lineage, root=lineage.root.model_copy(update={"sources": sources}))


def _settled(line: SourceLine, spec: Spec, params: Mapping[str, Any]) -> SourceLine:
    return line.model_copy(update={"size": tuple(_number(part, spec, params) for part in line.size)})


def _number(part: Expression, spec: Spec, params: Mapping[str, Any]) -> Number:
    from dotnn.plan import scratch

    frame = scratch(spec, dict(params))
    value = evaluate(frame, part)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        found = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
        frame.machine.fail(
            NotThatKind, part, USER, wanted="a whole number above 0 for the size of pictures", found=found
        )
    refuse_size(frame, part, value, "the size of pictures")
    return Number(span=part.span, value=value)
