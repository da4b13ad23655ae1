"""What `nn train` learns, beside what the PyTorch file of the same spec has learned. Needs no PyTorch itself."""

import math

import pytest

from dotnn.plugins import Options, backend
from dotnn.training.loop import train

CLOSE = 1e-5
"""How far a figure may be from ours, relative to it: single precision, after hundreds of steps."""


def learned(made, name="onnx"):
    return train(made.program, made.dataset, backend(name), Options(threads=1), [])


def compare(history, outcome):
    assert len(history) == len(outcome.history)
    seen = 0
    for mine, theirs in zip(history, outcome.history, strict=True):
        assert list(mine) == list(theirs.splits)
        for split, figures in mine.items():
            for figure, value in figures.items():
                assert value == pytest.approx(theirs.splits[split][figure], rel=CLOSE, abs=1e-7, nan_ok=True)
                seen += not math.isnan(value)
    assert seen >= 4 * len(history) - 4
