"""Small graphs that train, made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dotnn.differentiate import gradients
from dotnn.graph import At, Graph, Type
from dotnn.plugins import Options
from dotnn.program import Figure, Plan, Program, RawColumn
from dotnn.tape import Tape
from dotnn_onnx.plugin import OnnxBackend

ONE = Options(threads=1)


def start(graph: Graph, options: Options = ONE):
    backend = OnnxBackend()
    return backend.start(backend.lower(graph, options), options)


def place(line: int, part: str) -> At:
    return At(file="net.nn", line=line, part=part)


def train_graph(inputs: int = 6, units: int = 5, classes: int = 3) -> Graph:
    """Two layers, cross entropy, momentum: a step with states of several ranks and an i64 counter."""
    tape = Tape("train")
    x = tape.input("x", Type(dtype="f32", dims=("b", inputs)), "data")
    label = tape.input("label", Type(dtype="i64", dims=("b",)), "label")
    shapes = {"W": (inputs, units), "c": (units,), "V": (units, classes)}
    w = {n: tape.input(n, Type(dtype="f32", dims=d), "state", learned=True) for n, d in shapes.items()}
    step = tape.input("step", Type(dtype="i64"), "state")
    with tape.at(place(3, "Net.hidden")):
        hidden = tape.add("maximum", x @ w["W"] + w["c"], tape.literal(0.0))
    with tape.at(place(4, "Net.out")):
        logits = hidden @ w["V"]
    with tape.at(place(9, "")):
        loss = -tape.add("pick", tape.add("log_softmax", logits), label).mean()
    for (name, weight), g in zip(w.items(), gradients(loss, list(w.values())), strict=True):
        m = tape.input(f"{name}:m", weight.type, "state")
        after = m * 0.9 + g
        tape.output(f"{name}.next", weight - after * 0.1, "state")
        tape.output(f"{name}:m.next", after, "state")
    tape.output("step.next", step + 1, "state")
    tape.output("loss", loss, "loss")
    return tape.graph()


def init_graph(train: Graph) -> Graph:
    tape = Tape("init")
    key = tape.add("derive_key", tape.input("seed", Type(dtype="i64"), "seed"))
    zero = tape.literal(0, "i64")
    for fed in train.inputs:
        if fed.role != "state":
            continue
        if fed.learned:
            drawn = tape.add("random", key, zero, dims=fed.type.dims, use=fed.name, bits=24)
            tape.output(fed.name, drawn - 0.5, "state")
        else:
            tape.output(fed.name, tape.fill(0, fed.type), "state")
    return tape.graph()


def order_graph() -> Graph:
    tape = Tape("order")
    seed, epoch, n = (tape.input(name, Type(dtype="i64"), "seed") for name in ("seed", "epoch", "n"))
    tape.output("order", tape.add("shuffle", tape.add("derive_key", seed), epoch, n), "output")
    return tape.graph()


def predict_graph(train: Graph) -> Graph:
    tape = Tape("predict")
    fed = {i.name: tape.input(i.name, i.type, i.role) for i in train.inputs if i.name in ("x", "W", "c", "V")}
    hidden = tape.add("maximum", fed["x"] @ fed["W"] + fed["c"], tape.literal(0.0))
    tape.output("logits", hidden @ fed["V"], "output")
    return tape.graph()


def program(batch: int = 7, epochs: int | None = 3, steps: int | None = None) -> Program:
    train = train_graph()
    return Program(
        dotnn="0",
        name="Net",
        spec="net.nn",
        sha256="0" * 64,
        data="rows",
        inputs=(
            RawColumn(name="x", columns=tuple("abcdef"), dtype="f32", dims=(6,)),
            RawColumn(name="label", columns=("label",), dtype="i64", bound=3, role="label"),
        ),
        outputs=("logits",),
        figures=(Figure(name="loss", role="loss", text="cross_entropy(logits, label)"),),
        plan=Plan(batch=batch, epochs=epochs, steps=steps, seed=5),
        parameters=50,
        graphs={
            "init": init_graph(train),
            "train": train,
            "predict": predict_graph(train),
            "order": order_graph(),
        },
    )


def state(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights drawn at random, everything else 0."""
    generator = np.random.default_rng(seed)
    drawn = {}
    for fed in graph.inputs:
        if fed.role == "state":
            shape = [int(d) for d in fed.type.dims]
            numbers = generator.normal(size=shape) if fed.learned else np.zeros(shape)
            drawn[fed.name] = numbers.astype(np.float32 if fed.type.is_float else np.int64)
    return drawn


@pytest.fixture
def rows() -> dict[str, np.ndarray]:
    """43 rows: no batch size in use divides them."""
    generator = np.random.default_rng(3)
    return {
        "x": generator.normal(size=(43, 6)).astype(np.float32),
        "label": generator.integers(0, 3, 43),
    }


@pytest.fixture
def nets() -> SimpleNamespace:
    """The graphs and the program above, and what runs them."""
    return SimpleNamespace(start=start, train=train_graph, program=program, state=state)
