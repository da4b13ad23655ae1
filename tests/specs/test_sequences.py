"""What next.nn and translate.nn promise: the losses of PyTorch on the same batches, and what a short run learns."""

import numpy as np
import pytest
from tests.sets import needs
from tests.specs.lab import SPECS

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend

STEPS = 12


def first_losses(compiled, steps):
    """The loss of each of the first steps, as `nn train` makes them."""
    program, rows = compiled.program, compiled.dataset.splits["train"]
    onnx, options = backend("onnx"), Options(threads=1)

    def started(name):
        return onnx.start(onnx.lower(program.graphs[name], options), options)

    seed = np.array(program.plan.seed)
    state = started("init").run({"seed": seed})
    session = started("train").train(state)
    places = started("order").run({"seed": seed, "epoch": np.array(0), "n": np.array(rows.count)})["order"].copy()
    losses = []
    for step in range(steps):
        chosen = places[step * program.plan.batch : (step + 1) * program.plan.batch]
        losses.append(float(session.step({name: array[chosen] for name, array in rows.arrays.items()})["loss"]))
    return losses


@pytest.mark.peers
@pytest.mark.parametrize("name", ["next", "translate"])
def test_the_first_losses_are_those_of_pytorch_on_the_same_batches(name):
    pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")
    from tests.specs import peers_sequences as peers

    needs("grimm" if name == "next" else "swahili")
    settings = {"width": "64", "depth": "2"} if name == "next" else {"forget": "0"}
    compiled = compile_file(SPECS / f"{name}.nn", settings)
    ours = first_losses(compiled, STEPS)
    if name == "next":
        theirs = peers.next_like(compiled, STEPS, 2_000)[1]
    else:
        epochs, batch = compiled.program.plan.epochs, compiled.program.plan.batch
        whole = epochs * -(-compiled.dataset.splits["train"].count // batch)
        theirs = peers.translate_like(compiled, STEPS, whole, 0.0)[1]
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert ours[-1] < ours[0]
