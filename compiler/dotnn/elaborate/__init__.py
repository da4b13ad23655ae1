"""Elaboration: what definitions, statements and expressions mean, worked out onto a tape."""

from dotnn.elaborate import expressions, statements  # each brings its rules to `evaluate.py`

__all__ = ["expressions", "statements"]
