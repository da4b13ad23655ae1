"""Metrics that are measured by themselves: now and then, on one part of the data, or on texts that the net writes."""

from __future__ import annotations

from dotnn.spec import Metric
from dotnn.words import names_in

GENERATE = "generate"


def is_apart(metric: Metric) -> bool:
    """Whether a metric is measured by itself, and not with every batch."""
    return metric.on is not None or metric.every is not None or writes(metric)


def writes(metric: Metric) -> bool:
    """Whether the net must first write texts for it."""
    return GENERATE in names_in(metric.value)
