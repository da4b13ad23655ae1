"""What next.nn and translate.nn promise: the losses of PyTorch on the same batches, and what a short run learns."""

import numpy as np
import pytest
from tests.sets import needs
from tests.specs.lab import SPECS, figure

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend
from dotnn.training.loop import train

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
        whole = (epochs or 0) * -(-compiled.dataset.splits["train"].count // batch)
        theirs = peers.translate_like(compiled, STEPS, whole, 0.0)[1]
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert ours[-1] < ours[0]


def by_pairs(compiled):
    """Nats a character of the test part, each guessed from the one before it by how often they stood together."""
    rows = compiled.dataset.splits
    vocab = int(max(rows[part].arrays["next"].max() for part in rows)) + 1
    counts = np.full((vocab, vocab), 0.1)
    np.add.at(counts, (rows["train"].arrays["token"].ravel(), rows["train"].arrays["next"].ravel()), 1)
    shares = counts / counts.sum(1, keepdims=True)
    return -np.log(shares[rows["test"].arrays["token"].ravel(), rows["test"].arrays["next"].ravel()]).mean()


def test_the_gpt_learns_more_than_pairs_of_letters():
    needs("grimm")
    compiled = compile_file(
        SPECS / "next.nn",
        {"width": "64", "depth": "1", "steps": "500", "optimizer.lr": "warmup(50) then cosine(from = 6e-3)"},
    )
    outcome = train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))
    pairs = by_pairs(compiled)
    assert 2.2 < pairs < 2.4
    assert figure(outcome, "loss") < pairs - 0.2


def test_the_translator_writes_sentences_that_it_never_met():
    needs("swahili")
    compiled = compile_file(SPECS / "translate.nn", {"epochs": "14"})
    outcome = train(compiled.program, compiled.dataset, backend("onnx"), Options(threads=1))
    assert figure(outcome) < 0.2
    assert figure(outcome, "exact") > 0.3
