"""The promised result of specs/depth.nn: of as many weights the deep net makes both spirals, the wide one does not."""

import pytest
from tests.specs.lab import DECLARED, figure, trained

from dotnn.compiler import compile_file


@pytest.mark.parametrize("seeds", DECLARED[:3])
def test_deep_wins(tmp_path, seeds):
    (wide, by_width), (deep, by_depth) = (trained(tmp_path, "depth", seeds, name) for name in ("Shallow", "Deep"))
    assert (wide.program.parameters, deep.program.parameters) == (257, 267)
    assert figure(by_depth) < 0.1
    assert figure(by_width) > 0.3


def test_with_fewer_turns_the_wide_one_manages_too(tmp_path):
    trained_path = tmp_path / "depth.nn"
    trained(tmp_path, "depth", None, "Shallow")
    compiled = compile_file(trained_path, {"turns": "1.5"}, "Shallow")
    from dotnn.plugins import Options, backend
    from dotnn.training.loop import train

    assert figure(train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))) < 0.05
