"""What everything that comes in must pass, ours and a plugin's.

`check_op`, `check_backend`, `check_source` and `check_definition` give a ``Report`` that can be read; a test calls its
``require()``. Below them lies the battery of single cases.
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
from dotnn.testing.definitions import check_definition
from dotnn.testing.doors import check_backend, check_op, check_source
from dotnn.testing.peer import Peers
from dotnn.testing.report import Check, FailedError, Report

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
    "differentiable",
    "draw_case",
    "inputs_of",
    "is_linear",
    "mutants",
]
