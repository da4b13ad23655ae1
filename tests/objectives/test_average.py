"""`average 0.999`: a moving average of the weights, which is what is measured, kept, asked and handed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.objectives.test_steps import BOTH, DATA, TWO, seldom

from dotnn.compiler import compile_file
from dotnn_grammar.problems import ProblemError

Make = Callable[..., Any]

ONE = (
    DATA
    + """
net N(x: [b, 3]) -> z: [b] { z = x -> dense(4) as hidden -> tanh -> dense(1) as last -> squeeze }
train N on d {
  loss (z - y)^2
  optimizer sgd(lr = 0.3)
  batch 8
  epochs 3
  average 0.9
}
"""
)
WEIGHTS = ("N.hidden.W", "N.hidden.b", "N.last.W", "N.last.b")


@pytest.mark.peers
def test_it_is_that_of_torch(steps: Make) -> None:
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    run = steps(ONE)

    model = torch.nn.ParameterList([torch.from_numpy(run.state[name].copy()) for name in WEIGHTS])
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for number in range(6):
        run.step(number % 4)
        for weight, name in zip(model, WEIGHTS, strict=True):
            weight.data.copy_(torch.from_numpy(run.state[name]))
        averaged.update_parameters(model)
        for mean, name in zip(averaged.module, WEIGHTS, strict=True):
            assert np.allclose(run.state[f"{name}:average"], mean.detach().numpy(), rtol=1e-12)


def test_the_first_update_is_taken_as_it_is(steps: Make) -> None:
    run = steps(ONE)
    first = dict(run.state)
    assert all(np.array_equal(first[name], first[f"{name}:average"]) for name in WEIGHTS)
    run.step(0)
    assert all(np.array_equal(run.state[name], run.state[f"{name}:average"]) for name in WEIGHTS)
    assert not np.array_equal(run.state["N.hidden.W"], first["N.hidden.W"])


def test_it_is_read_by_eval_and_predict_and_not_by_training(steps: Make) -> None:
    graphs = steps(ONE).program.graphs
    states = {name: {fed.name for fed in graphs[name].inputs if fed.role == "state"} for name in graphs}
    assert states["eval"] == states["predict"] == {f"{name}:average" for name in WEIGHTS}
    assert states["train"] == {*WEIGHTS, *states["eval"], "step"}


def test_it_is_of_the_weights_that_are_named_and_move(steps: Make) -> None:
    run = steps(ONE.replace("average 0.9", "average 0.9\n average 0.5 for last\n freeze *.b"))
    kept = {name for name in run.state if name.endswith(":average")}
    assert kept == {"N.hidden.W:average", "N.last.W:average"}
    run.step(0)
    before = run.state["N.last.W:average"], run.state["N.hidden.W:average"]
    run.step(1)
    halves = (before[0] + run.state["N.last.W"]) / 2, 0.9 * before[1] + 0.1 * run.state["N.hidden.W"]
    assert np.allclose(run.state["N.last.W:average"], halves[0], rtol=1e-12)
    assert np.allclose(run.state["N.hidden.W:average"], halves[1], rtol=1e-12)


def test_with_accumulate_it_moves_when_the_weights_do(steps: Make) -> None:
    run, whole = steps(ONE.replace("batch 8", "batch 4\n accumulate 2")), steps(ONE)
    for number in range(4):
        run.step(2 * number)
        run.step(2 * number + 1)
        whole.step(number)
        assert np.allclose(run.state["N.last.W:average"], whole.state["N.last.W:average"], rtol=1e-9)


def test_an_update_that_f16_leaves_out_does_not_move_it(steps: Make) -> None:
    run = steps(ONE.replace("epochs 3", "epochs 3\n precision f16").replace("loss (z", "loss 1e7 * (z"))
    first = run.state["N.last.W:average"]
    run.step(0)
    assert run.state["step"] == 0
    assert np.array_equal(run.state["N.last.W:average"], first)


def test_with_steps_it_moves_when_its_step_is_taken(steps: Make) -> None:
    run = steps(TWO.replace(BOTH, seldom(2, "average 0.9 for B")))
    seen = []
    for number in range(4):
        run.step(number)
        seen.append(run.state["B.c.dense.W:average"])
    assert [np.array_equal(a, b) for a, b in pairwise(seen)] == [False, True, False]
    assert np.array_equal(seen[1], seen[2])
    assert "A.a.dense.W:average" not in run.state


def test_a_run_measures_keeps_and_hands_on_the_average(
    nn: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    monkeypatch.chdir(tmp_path)
    Path("s.nn").write_text(ONE.replace("average 0.9", "average 0.9\n keep best val.loss"), encoding="utf-8")
    code, out, _ = nn("train", "s.nn", "--out", "run", "--format", "json")
    assert code == 0
    done = json.loads(out.splitlines()[-1])
    state = load_file("run/weights.safetensors")
    rows = compile_file(Path("s.nn")).dataset.splits["val"].arrays

    def loss(of: str) -> float:
        w, b, v, c = (state[f"{name}{of}"].astype(np.float64) for name in WEIGHTS)
        return float(np.mean(((np.tanh(rows["x"] @ w + b) @ v + c)[:, 0] - rows["y"]) ** 2))

    assert done["val"]["loss"] == pytest.approx(loss(":average"), rel=1e-5)
    assert done["val"]["loss"] != pytest.approx(loss(""), rel=1e-5)
    code, out, _ = nn("probe", "run", "N.last.W", "--save", "w.npz")
    assert code == 0
    assert np.array_equal(np.load("w.npz")["N.last.W"], state["N.last.W:average"])

    Path("then.nn").write_text(ONE.replace("average 0.9", 'start from "run"').replace("0.3", "0"), encoding="utf-8")
    code, _, err = nn("train", "then.nn", "--out", "second", "--epochs", 1)
    assert (code, "4 of 4 weights start from" in err) == (0, True)
    after = load_file("second/weights.safetensors")
    assert all(np.array_equal(after[name], state[f"{name}:average"]) for name in WEIGHTS)


def test_what_belongs_to_a_run_alone_does_not_go_into_another() -> None:
    from dotnn.training.warm import carried

    assert not any(carried(n) for n in ("accumulate.batches", "precision.scale", "N.W:average", "step", "first:step"))
    assert carried("N.norm.mean")


@pytest.mark.parametrize("share", ["0", "1", "1.5", "yes", '"much"'])
def test_a_share_is_between_nothing_and_all(steps: Make, share: str) -> None:
    with pytest.raises(ProblemError) as caught:
        steps(ONE.replace("average 0.9", f"average {share}"))
    assert [problem.code for problem in caught.value.problems] == ["B002"]
