"""Weights of rows and of classes: `loss … weighted by …`, beside PyTorch and scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.data import Rows
from dotnn.job import Compiled
from dotnn.plugins import Options, backend
from dotnn.training.evaluate import measure
from dotnn.training.loop import train
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_onnx.plugin import OnnxBackend

Array = np.ndarray[Any, Any]

NET = """
net N(x: [b, 3]) -> logits: [b, 4] { logits = x -> dense(4) }
train N on d {
  LOSS
  optimizer sgd(lr = 0.1)
  batch 16
  epochs 1
}
"""
DATA = """
data d {
  source generate 60
  x = normal(0, 1)[3]
  label = floor(uniform(0, 1)^2 * 4) as int < 4
  rare = chance(20%)
  importance = uniform(0, 2)
  split train 70%, test 30%  stratify label
}
"""


def compiled(folder: Path, loss: str, data: str = DATA, net: str = NET) -> Compiled:
    (folder / "s.nn").write_text(data + net.replace("LOSS", loss), encoding="utf-8")
    return compile_file(folder / "s.nn")


def refused(folder: Path, loss: str, code: str) -> Problem:
    with pytest.raises(ProblemError) as caught:
        compiled(folder, loss)
    (problem,) = caught.value.problems
    assert problem.code == code, problem.title_text
    return problem


def started(made: Compiled) -> dict[str, Array]:
    reference = backend("reference")
    init = reference.start(made.program.graphs["init"], Options())
    return dict(init.run({"seed": np.array(5)}))


def step(made: Compiled, state: dict[str, Array], rows: Rows) -> dict[str, Array]:
    graph = made.program.graphs["train"]
    feeds = {fed.name: rows.arrays[fed.name] for fed in graph.inputs if fed.role in ("data", "label", "weight")}
    kept = {fed.name: state[fed.name] for fed in graph.inputs if fed.role == "state"}
    return dict(backend("reference").start(graph, Options(float64=True)).run({**kept, **feeds}))


def scores(state: dict[str, Array], rows: Rows) -> Array:
    made: Array = rows.arrays["x"].astype(np.float64) @ state["N.logits.dense.W"] + state["N.logits.dense.b"]
    return made


def surprise(logits: Array, label: Array) -> Array:
    top = logits.max(-1, keepdims=True)
    shares = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    made: Array = -shares[np.arange(len(label)), label]
    return made


def test_a_weighted_loss_is_the_sum_of_weight_times_loss_over_the_sum_of_weights(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by importance")
    state, rows = started(made), made.dataset.splits["train"]
    w, losses = rows.arrays["importance"].astype(np.float64), surprise(scores(state, rows), rows.arrays["label"])
    assert float(step(made, state, rows)["loss"]) == pytest.approx((w * losses).sum() / w.sum(), rel=1e-9)


def test_class_weights_are_those_of_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by [1, 5, 0.5, 2][label]")
    state, rows = started(made), made.dataset.splits["train"]
    W, b = (torch.tensor(state[f"N.logits.dense.{n}"], dtype=torch.float64, requires_grad=True) for n in "Wb")
    judge = torch.nn.CrossEntropyLoss(weight=torch.tensor([1, 5, 0.5, 2], dtype=torch.float64))
    loss = judge(torch.tensor(rows.arrays["x"], dtype=torch.float64) @ W + b, torch.tensor(rows.arrays["label"]))
    loss.backward()
    after = step(made, state, rows)
    assert float(after["loss"]) == pytest.approx(loss.item(), rel=1e-12)
    for name, peer in (("W", W), ("b", b)):
        path = f"N.logits.dense.{name}"
        assert np.allclose(after[f"{path}.next"], (peer - 0.1 * peer.grad).detach().numpy(), rtol=0, atol=1e-9)


def test_balanced_weights_are_those_of_scikit_learn(tmp_path: Path) -> None:
    peer = pytest.importorskip("sklearn.utils.class_weight")
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by balanced(label)")
    label = made.dataset.splits["train"].arrays["label"]
    wanted = peer.compute_class_weight("balanced", classes=np.arange(4), y=label)
    tables = [np.asarray(n.attributes["values"]) for n in made.program.graphs["eval"].nodes if n.op == "array"]
    assert np.allclose(tables, [wanted], rtol=1e-12)
    state, rows = started(made), made.dataset.splits["test"]
    w, losses = wanted[rows.arrays["label"]], surprise(scores(state, rows), rows.arrays["label"])
    found = measure(made.program, state, {"test": rows}, backend("onnx"), Options())["test"].figures["loss"]
    assert found == pytest.approx((w * losses).sum() / w.sum(), rel=1e-6)


def test_balanced_weights_make_every_class_weigh_the_same(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by balanced(label)")
    label = made.dataset.splits["train"].arrays["label"]
    (table,) = [n.attributes["values"] for n in made.program.graphs["train"].nodes if n.op == "array"]
    assert isinstance(table, tuple)
    shares = np.bincount(label) * np.array(table, np.float64)
    assert np.allclose(shares, len(label) / 4)


def test_the_figures_of_a_split_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    loss = "loss cross_entropy(logits, label) weighted by importance\n  error argmax(logits) != label"
    made = compiled(tmp_path, loss)
    state, rows = started(made), made.dataset.splits["train"]
    w, losses = rows.arrays["importance"].astype(np.float64), surprise(scores(state, rows), rows.arrays["label"])
    graph = made.program.graphs["eval"]
    total = count = 0.0
    for first in range(0, rows.count, 5):
        names = [fed.name for fed in graph.inputs if fed.role in ("data", "label", "weight")]
        batch = {name: rows.arrays[name][first : first + 5] for name in names}
        kept = {fed.name: state[fed.name] for fed in graph.inputs if fed.role == "state"}
        out = backend("reference").start(graph, Options()).run({**kept, **batch})
        total, count = total + float(out["loss.total"]), count + float(out["loss.count"])
    assert total / count == pytest.approx((w * losses).sum() / w.sum(), rel=1e-6)


def test_error_and_metrics_count_every_row_unless_they_are_weighted_too(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        "loss cross_entropy(logits, label) weighted by importance\n  error argmax(logits) != label\n"
        "  metric missed = argmax(logits) != label weighted by importance",
    )
    state, rows = started(made), made.dataset.splits["test"]
    wrong = scores(state, rows).argmax(-1) != rows.arrays["label"]
    found = measure(made.program, state, {"test": rows}, backend("reference"), Options())["test"].figures
    w = rows.arrays["importance"].astype(np.float64)
    assert found["error"] == pytest.approx(wrong.mean(), rel=1e-6)
    assert found["missed"] == pytest.approx((w * wrong).sum() / w.sum(), rel=1e-6)


def test_places_that_are_left_out_have_no_weight(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss cross_entropy(logits, label) where label != 0 weighted by importance")
    state, rows = started(made), made.dataset.splits["train"]
    kept = rows.arrays["label"] != 0
    w, losses = rows.arrays["importance"] * kept, surprise(scores(state, rows), rows.arrays["label"])
    assert float(step(made, state, rows)["loss"]) == pytest.approx((w * losses).sum() / w.sum(), rel=1e-6)


def test_a_weight_of_a_row_counts_for_all_its_places(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss mean((logits - 1)^2) weighted by importance")
    state, rows = started(made), made.dataset.splits["train"]
    w, losses = rows.arrays["importance"].astype(np.float64), ((scores(state, rows) - 1) ** 2).mean(-1)
    assert float(step(made, state, rows)["loss"]) == pytest.approx((w * losses).sum() / w.sum(), rel=1e-9)


def test_twice_the_weight_is_twice_the_row(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by 2 if rare else 1")
    plain = compiled(tmp_path, "loss cross_entropy(logits, label)")
    state, rows = started(made), made.dataset.splits["train"]
    places = np.repeat(np.arange(rows.count), 1 + rows.arrays["rare"].astype(int))
    doubled = Rows(len(places), {name: array[places] for name, array in rows.arrays.items()})
    one, two = step(made, state, rows), step(plain, state, doubled)
    for name in ("loss", "N.logits.dense.W.next"):
        assert np.allclose(one[name], two[name], rtol=1e-9)


def test_a_batch_without_weight_changes_nothing(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by importance")
    state, rows = started(made), made.dataset.splits["train"]
    nothing = Rows(rows.count, {**rows.arrays, "importance": np.zeros_like(rows.arrays["importance"])})
    after = step(made, state, nothing)
    assert float(after["loss"]) == 0
    assert bool(after["finite"])
    assert np.array_equal(after["N.logits.dense.W.next"], state["N.logits.dense.W"])


def test_the_manifest_calls_it_a_weight(tmp_path: Path) -> None:
    made = compiled(tmp_path, "loss cross_entropy(logits, label) weighted by importance")
    roles = {raw.name: raw.role for raw in made.program.inputs}
    assert roles == {"x": "data", "label": "label", "importance": "weight"}
    OnnxBackend().write(made.program, made.source, tmp_path / "bundle", Options())
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    fed = {fed["name"]: fed["role"] for fed in manifest["graphs"]["train"]["inputs"]}
    assert fed["importance"] == "weight"
    assert manifest["objective"]["loss"] == "cross_entropy(logits, label) weighted by importance"


def test_a_column_that_is_more_than_a_weight_is_called_what_it_is(tmp_path: Path) -> None:
    made = compiled(
        tmp_path, "loss cross_entropy(logits, label) weighted by balanced(label) * importance\n  error importance > 1"
    )
    assert {raw.name: raw.role for raw in made.program.inputs} == {"x": "data", "label": "label", "importance": "label"}


@pytest.mark.parametrize(
    ("loss", "code", "says"),
    [
        ("loss cross_entropy(logits, label) weighted by importance - 1", "B115", "below 0"),
        ("loss cross_entropy(logits, label) weighted by 0 * importance", "B115", "the weight 0"),
        ("loss sum(logits)^2 weighted by importance", "B114", "one number for all rows"),
        ("loss cross_entropy(logits, label) weighted by x @ x", "B003", ""),
        ("loss cross_entropy(logits, label) weighted by balanced(importance)", "B003", "as int"),
        ("loss cross_entropy(logits, label) weighted by balanced(argmax(logits))", "B003", "before the net"),
        ("loss cross_entropy(logits, label) weighted by [1, 2][label]", "B003", ""),
    ],
)
def test_what_is_no_weight_is_refused(tmp_path: Path, loss: str, code: str, says: str) -> None:
    assert says in refused(tmp_path, loss, code).title_text


def test_accumulated_gradients_are_those_of_the_larger_batch(tmp_path: Path) -> None:
    from dotnn.commands import main
    from dotnn.training.run import read_weights

    loss = "loss cross_entropy(logits, label) weighted by importance"
    ends = []
    for name, lines in (("whole", "batch 16"), ("parts", "batch 8\n  accumulate 2")):
        (tmp_path / f"{name}.nn").write_text(
            DATA + NET.replace("LOSS", loss).replace("batch 16", lines), encoding="utf-8"
        )
        with pytest.raises(SystemExit) as ended:
            main(["train", str(tmp_path / f"{name}.nn"), "--out", str(tmp_path / name)])
        assert ended.value.code == 0
        ends.append(read_weights(tmp_path / name)["N.logits.dense.W"])
    whole, parts = ends
    assert np.allclose(whole, parts, rtol=1e-5, atol=1e-7)


UNLIKE = {
    "loss weighed": "loss cross_entropy(logits, label) weighted by importance",
    "loss of some": "loss cross_entropy(logits, label) where label != 0",
    "both": "loss cross_entropy(logits, label) where rare == 0 weighted by importance",
    "error of some": "loss cross_entropy(logits, label)\n  error argmax(logits) != label where label != 0",
    "error weighed": "loss cross_entropy(logits, label)\n  error argmax(logits) != label weighted by importance",
}


@pytest.mark.parametrize("lines", UNLIKE.values(), ids=UNLIKE)
def test_the_train_figures_of_an_epoch_are_those_of_the_split(tmp_path: Path, lines: str) -> None:
    """Where nothing moves: each batch counts by its places or weights, which differ from batch to batch."""
    made = compiled(tmp_path, lines, net=NET.replace("lr = 0.1", "lr = 0"))
    outcome = train(made.program, made.dataset, backend("reference"), Options(), [])
    logged = outcome.history[0].splits["train"]
    assert set(logged) >= {"loss"} | ({"error"} if "error" in lines else set())
    assert logged == pytest.approx({name: outcome.splits["train"][name] for name in logged}, rel=1e-5)

    arrays = dict(made.dataset.splits["train"].arrays)
    OnnxBackend().write(made.program, made.source, tmp_path / "b", Options(), host="python", arrays=arrays)
    command = [sys.executable, "-W", "error", "host.py", "1"]
    ran = subprocess.run(command, cwd=tmp_path / "b", capture_output=True, text=True, timeout=60, check=True)
    assert float(ran.stdout.split()[-1]) == pytest.approx(outcome.splits["train"]["loss"], abs=1e-4)
    assert len((tmp_path / "b" / "host.py").read_text(encoding="utf-8").splitlines()) < 40
