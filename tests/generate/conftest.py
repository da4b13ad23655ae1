"""Nets that write: compiled, with weights, and a trained one that translates a few words."""

import shutil
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dotnn import plugins
from dotnn.compiler import compile_file
from dotnn.generate.plan import written

HERE = Path(__file__).parent


@cache
def compiled(name: str) -> SimpleNamespace:
    """A net of nets.nn with its graphs for writing, weights as `init` draws them, and what else it reads."""
    program: Any = written(compile_file(HERE / "nets.nn", {}, name).program, "token")
    state = run(program.graphs["init"], {"seed": np.array(0)}, float64=False)
    numbers = np.random.default_rng(len(name))
    raws = {raw.name: raw for raw in program.inputs}
    column = raws[program.generation.column]
    tokens = numbers.integers(4, column.bound, (3, program.generation.length))
    others = {
        fed.name: numbers.integers(0, raws[fed.name].bound, (3, *raws[fed.name].dims))
        for fed in program.graphs["predict"].inputs
        if fed.role != "state" and fed.name != column.name
    }
    return SimpleNamespace(program=program, state=state, tokens=tokens, others=others, plan=program.generation)


def started(graph, backend="reference", float64=True):
    runner, options = plugins.backend(backend), plugins.Options(float64=float64, threads=1)
    return runner.start(runner.lower(graph, options), options)


def run(graph, feeds, backend="reference", float64=True):
    return started(graph, backend, float64).run({fed.name: feeds[fed.name] for fed in graph.inputs})


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A folder with pairs.nn and a run of it, `run`."""
    from dotnn.commands import main

    folder = tmp_path_factory.mktemp("pairs")
    for name in ("pairs.nn", "pairs.csv"):
        shutil.copy(HERE / name, folder)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(folder / "pairs.nn"), "--out", str(folder / "run"), "--threads", "1"])
    assert not ended.value.code
    return folder
