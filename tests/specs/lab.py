"""Specs as they are shipped, trained with other seeds."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from tests.sets import copy_data

from dotnn.claims.verdict import Verdict
from dotnn.compiler import Compiled, compile_file
from dotnn.plugins import Options, backend
from dotnn.training.events import Outcome
from dotnn.training.figures import number_of
from dotnn.training.loop import train

SPECS = Path(__file__).parents[2] / "specs"
DECLARED = [(seed, seed) for seed in range(1, 6)]
"""(data, training): declared in specs/README.md before any of them was tried."""


def trained(
    folder: Path, name: str, seeds: tuple[int, int] | None = None, block: str | None = None
) -> tuple[Compiled, Outcome]:
    """One train block of a spec in ``specs/``, the first without a name. seeds: of the data, and of training."""
    text = (SPECS / f"{name}.nn").read_text(encoding="utf-8")
    if seeds is not None:
        head, word, tail = text.partition("\ntrain ")
        head, first = re.subn(r"(?m)^(  seed +)\d+$", rf"\g<1>{seeds[0]}", head)
        tail, second = re.subn(r"(?m)^(  seed +)\d+$", rf"\g<1>{seeds[1]}", tail)
        assert first or "  seed " not in head
        assert second
        text = head + word + tail
    copy_data(folder, text)
    path = folder / f"{name}.nn"
    path.write_text(text, encoding="utf-8")
    compiled = compile_file(path, train=block)
    return compiled, train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))


def figure(outcome: Outcome, name: str = "error", split: str = "test") -> float:
    return number_of(outcome.splits[split][name])


def elsewhere(path: Path, compiled: Compiled, outcome: Outcome, on: str) -> dict[str, float]:
    """The numbers among the figures of a trained net on another `data` block of its spec: `other_clinic.test`."""
    from dotnn.job import Text
    from dotnn.training.elsewhere import elsewhere as there
    from dotnn.training.evaluate import measure

    spec = Text.read(path).spec
    program, rows = there(spec, compiled.program, compiled.dataset, path.parent, on)
    found = measure(program, outcome.state, rows, backend("onnx"), Options(threads=1))[on]
    return {name: number_of(value) for name, value in found.figures.items()}


def probed(path: Path, compiled: Compiled, outcome: Outcome, asked: str, split: str = "test") -> np.ndarray[Any, Any]:
    """What `nn probe RUN ASKED --on SPLIT --all` shows."""
    from dotnn.inputs.fit import fitted_on
    from dotnn.insight.ask import answers
    from dotnn.insight.paths import Paths
    from dotnn.job import Job, Text

    job = Job.of(Text.read(path), compiled.program.name, {})
    found = Paths(job.builder(fitted_on(compiled.dataset))).ask(asked)
    rows = compiled.dataset.splits[split]
    return answers([found], outcome.state, rows, range(rows.count), backend("onnx"), Options(threads=1))[0].numbers


def checked(path: Path, compiled: Compiled, outcome: Outcome) -> tuple[Verdict, ...]:
    """What `nn claims RUN` finds."""
    from dotnn.job import Text
    from dotnn.training.claims import check_claims, claimed_rows

    rows = claimed_rows(compiled.program, Text.read(path).spec, path.parent, compiled.dataset)
    return check_claims(compiled.program, outcome.state, rows, backend("onnx"), Options(threads=1))
