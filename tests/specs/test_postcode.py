"""The promised result of specs/postcode.nn, learned for a shorter time: it reads whole codes, in order.

The full run is a command in specs/README.md.
"""

import re

import pytest
from tests.specs.lab import SPECS, checked, figure

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend
from dotnn.training.loop import train


def test_it_reads_codes_in_order(tmp_path):
    import shutil

    (tmp_path / "data").mkdir()
    shutil.copy(SPECS / "data/digits.csv.gz", tmp_path / "data")
    text = (SPECS / "postcode.nn").read_text(encoding="utf-8")
    text, count = re.subn(r"(?m)^  epochs 30$", "  epochs 5", text)
    assert count == 1
    path = tmp_path / "postcode.nn"
    path.write_text(text, encoding="utf-8")
    compiled = compile_file(path)
    outcome = train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))
    # A guess gets 1 of 100,000 codes. Five epochs of the thirty leave a third wrong.
    assert figure(outcome) < 0.5
    assert figure(outcome, "digit") < 0.12
    _, together, stain = checked(path, compiled, outcome)
    assert together.holds  # it has not lost its place: mistakes are those of single digits
    assert together.bounds[0] == pytest.approx(1 - (1 - figure(outcome, "digit")) ** 5 + 0.01, abs=1e-6)
    assert stain.figure > 0.9
