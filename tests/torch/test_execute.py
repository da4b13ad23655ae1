"""Graphs run by PyTorch, operation by operation: held against the reference, as every backend is."""

from pathlib import Path

import numpy as np
import pytest
from tests.torch.conftest import compiled

from dotnn.graph import Graph, Input, Node, Output, Type
from dotnn.operation import operations
from dotnn.plugins import Options, backend
from dotnn.testing import cases, cases_of
from dotnn.training.loop import train
from dotnn_grammar.problems import ProblemError

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")

SINGLE, DOUBLE = 2e-6, 1e-12


def start(graph: Graph, float64: bool = False, device: str = "cpu"):
    options = Options(float64=float64, device=device)
    chosen = backend("torch")
    return chosen.start(chosen.lower(graph, options), options)


def judged(graph, feeds, float64=False):
    options = Options(float64=float64)
    reference = backend("reference")
    return reference.start(reference.lower(graph, options), options).run(feeds)


@pytest.mark.parametrize("op", [o.name for o in operations()])
def test_every_operation_gives_the_numbers_of_the_reference(op):
    count = 0
    for case in cases_of(op, each=8):
        for float64, allowed in ((False, SINGLE), (True, DOUBLE)):
            wanted = judged(case.graph, case.feeds, float64)["y"]
            found = start(case.graph, float64).run(case.feeds)["y"]
            assert found.dtype == wanted.dtype, str(case)
            if found.dtype.kind == "f":
                np.testing.assert_allclose(found, wanted, rtol=allowed, atol=allowed, err_msg=str(case))
            else:
                np.testing.assert_array_equal(found, wanted, err_msg=str(case))
            count += 1
    assert count >= 16


@pytest.mark.cuda
def test_on_cuda_too():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device")
    for case in cases(each=4):
        wanted = judged(case.graph, case.feeds)["y"]
        found = start(case.graph, device="cuda").run(case.feeds)["y"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=str(case))


def test_a_run_by_torch_is_a_run_by_onnx(folder: Path):
    made = compiled(folder / "blocks.nn")
    ours, theirs = (train(made.program, made.dataset, backend(n), Options(threads=1), []) for n in ("onnx", "torch"))
    assert [e.splits["train"]["loss"] for e in theirs.history] == pytest.approx(
        [e.splits["train"]["loss"] for e in ours.history], rel=1e-5
    )
    assert set(theirs.state) == set(ours.state)
    for name, tensor in ours.state.items():
        assert theirs.state[name].dtype == tensor.dtype
    assert theirs.state["key"] == ours.state["key"]


def code(run) -> str:
    with pytest.raises(ProblemError) as caught:
        run()
    (problem,) = caught.value.problems
    assert problem.title_text
    assert problem.help_text
    return problem.code


def test_what_does_not_fit_is_told():
    case = next(c for c in cases_of("matmul") if len(c.feeds) == 2)
    first, second = case.feeds
    assert code(lambda: start(case.graph).run({first: case.feeds[first]})) == "F001"
    assert code(lambda: start(case.graph).run({**case.feeds, second: np.zeros((2, 3, 4, 5, 6, 7))})) == "F002"
    real = Type(dtype="f32", dims=(2,))
    unknown = Graph(
        name="one",
        inputs=(Input(name="x", type=real, role="data"),),
        nodes=(Node(name="y", op="knit", inputs=("x",), type=real),),
        outputs=(Output(name="y", value="y", role="output"),),
    )
    assert code(lambda: start(unknown)) == "Q005"
    assert code(lambda: start(case.graph, device="abacus")) == "Q002"


def test_without_torch_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    case = next(cases_of("add"))
    assert code(lambda: backend("torch").lower(case.graph, Options())) == "Q001"
