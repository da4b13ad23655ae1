"""What everything that comes in must pass, ours and a plugin's.

`check_op`, `check_backend`, `check_source`, `check_tokenizer` and `check_definition` give a ``Report`` that can be
read; a test calls its ``require()``. `keep` writes what a definition's peers say, for those who have them not. Below
them lies the battery of single cases.
"""

from dotnn.testing.battery import (
    NOISE,
    RTOL,
    STEP,
    Case,
    Evaluate,
    MissingRecipeError,
    Mutant,
    Seeded,
    Slope,
    WrongGradientError,
    cases,
    cases_of,
    check_adjoint,
    check_gradient,
    check_second,
    differentiable,
    draw_case,
    inputs_of,
    is_linear,
    mutants,
)
from dotnn.testing.definitions import check_definition, keep
from dotnn.testing.doors import check_backend, check_op, check_source
from dotnn.testing.peer import Peers
from dotnn.testing.report import Check, FailedError, Report
from dotnn.testing.texts import check_tokenizer

__all__ = [
    "NOISE",
    "RTOL",
    "STEP",
    "Case",
    "Check",
    "Evaluate",
    "FailedError",
    "MissingRecipeError",
    "Mutant",
    "Peers",
    "Report",
    "Seeded",
    "Slope",
    "WrongGradientError",
    "cases",
    "cases_of",
    "check_adjoint",
    "check_backend",
    "check_definition",
    "check_gradient",
    "check_op",
    "check_second",
    "check_source",
    "check_tokenizer",
    "differentiable",
    "draw_case",
    "inputs_of",
    "is_linear",
    "keep",
    "mutants",
]
