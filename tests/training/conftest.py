"""A small program made by hand: two classes of points in the plane, one layer, one rate."""

import numpy as np
import pytest

from dotnn.data import Dataset, Rows
from dotnn.differentiate import gradients
from dotnn.graph import Dtype, Role, Type
from dotnn.ops.normal import log_softmax, softmax
from dotnn.ops.random import derive_key, shuffle
from dotnn.ops.reduce import argmax
from dotnn.program import AnswerPlan, Figure, Plan, Program, RawColumn
from dotnn.tape import Tape

F: Dtype = "f32"


def _net(tape):
    w = tape.input("Net.W", Type(dtype=F, dims=(2, 2)), "state", learned=True)
    x = tape.input("x", Type(dtype=F, dims=("b", 2)), "data")
    return w, x @ w


def _figures(tape, logits):
    label = tape.input("label", Type(dtype="i64", dims=("b",)), "label")
    losses = -tape.add("pick", log_softmax(logits), label)
    wrong = tape.add("ne", argmax(logits, axis=1), label).cast(F)
    return losses, wrong


def _init():
    tape = Tape("init")
    seed = tape.input("seed", Type(dtype="i64"), "seed")
    key = derive_key(seed)
    w = tape.add("random", key, tape.literal(0, "i64"), dims=(2, 2), use="Net.W", bits=24) - 0.5
    tape.output("Net.W", w, "state")
    tape.output("step", tape.literal(0, "i64"), "state")
    return tape.graph()


def _order():
    tape = Tape("order")
    seed, epoch, n = (tape.input(name, Type(dtype="i64"), "seed") for name in ("seed", "epoch", "n"))
    tape.output("order", shuffle(derive_key(seed), epoch, n), "output")
    return tape.graph()


def _train(rate):
    tape = Tape("train")
    step = tape.input("step", Type(dtype="i64"), "state")
    w, logits = _net(tape)
    losses, wrong = _figures(tape, logits)
    loss = losses.mean()
    (g,) = gradients(loss, [w])
    tape.output("Net.W.next", w - g * rate, "state")
    tape.output("step.next", step + 1, "state")
    tape.output("loss", loss, "loss")
    tape.output("error", wrong.mean(), "error")
    norm = (g * g).sum()
    tape.output("finite", tape.add("lt", norm + loss, tape.literal(1e30)), "finite")
    tape.output("rate", tape.literal(rate), "rate")
    tape.output("norm", norm, "norm")
    return tape.graph()


def _eval():
    tape = Tape("eval")
    _, logits = _net(tape)
    losses, wrong = _figures(tape, logits)
    roles: dict[str, Role] = {"loss": "loss", "error": "error"}
    for (name, role), values in zip(roles.items(), (losses, wrong), strict=True):
        tape.output(f"{name}.total", values.sum(), role)
        tape.output(f"{name}.count", tape.size("b"), role)
    tape.output("logits", logits, "output")
    return tape.graph()


def _predict():
    tape = Tape("predict")
    _, logits = _net(tape)
    tape.output("logits", logits, "output")
    tape.output("answer", argmax(logits, axis=1), "output")
    tape.output("shares", softmax(logits), "output")
    return tape.graph()


@pytest.fixture
def make_program():
    def make(rate=0.5, **plan):
        graphs = {"init": _init(), "order": _order(), "train": _train(rate), "eval": _eval(), "predict": _predict()}
        return Program(
            dotnn="0",
            name="Net",
            spec="points.nn",
            sha256="0",
            data="points",
            inputs=(
                RawColumn(name="x", columns=("a", "b"), dtype=F, dims=(2,)),
                RawColumn(name="label", columns=("kind",), dtype="i64", classes=("left", "right"), role="label"),
            ),
            outputs=("logits",),
            figures=(
                Figure(name="loss", role="loss", text="cross(logits, label)"),
                Figure(name="error", role="error", text="argmax(logits) != label"),
            ),
            answer=AnswerPlan(column="label", classes=("left", "right"), shares="shares"),
            plan=Plan(**({"batch": 8, "epochs": 3, "seed": 1} | plan)),
            parameters=4,
            graphs=graphs,
        )

    return make


@pytest.fixture
def dataset():
    numbers = np.random.default_rng(5)
    splits = {}
    for name, count in (("train", 50), ("val", 13), ("test", 11)):
        x = numbers.normal(size=(count, 2)).astype(np.float32)
        label = (x[:, 0] + 0.3 * x[:, 1] > 0.2).astype(np.int64)
        splits[name] = Rows(count, {"x": x, "label": label})
    return Dataset(splits=splits, fingerprint="0")


@pytest.fixture
def make_regression(make_program):
    """One number from one number; the loss is the squared difference."""

    def make():
        tape = Tape("eval")
        w = tape.input("Net.W", Type(dtype=F, dims=(1, 1)), "state", learned=True)
        y = (tape.input("x", Type(dtype=F, dims=("b", 1)), "data") @ w).reshape(("b",))
        off = y - tape.input("y", Type(dtype=F, dims=("b",)), "label")
        tape.output("loss.total", (off * off).sum(), "loss")
        tape.output("loss.count", tape.size("b"), "loss")
        tape.output("guess", y, "output")
        inputs = (
            RawColumn(name="x", columns=("a",), dtype=F, dims=(1,)),
            RawColumn(name="y", columns=("c",), dtype=F, role="label"),
        )
        figures = (Figure(name="loss", role="loss", text="(guess - y)^2"),)
        changes = {"inputs": inputs, "figures": figures, "outputs": ("guess",), "answer": None}
        return make_program().model_copy(update={**changes, "graphs": {"eval": tape.graph()}})

    return make
