"""`precision`: what is multiplied in matrix products is rounded, and nothing else; with f16 the loss is scaled."""

from typing import Any

import numpy as np
import pytest

import onnx
from dotnn.compiler import lower
from dotnn.graph import Type
from dotnn.ops.elementwise import narrow
from dotnn.plugins import Options, backend
from dotnn.tape import Tape
from dotnn.updates import scaling
from dotnn_onnx.lower import lower as onnx_model

NET = """
net N(x: [b, 6]) -> y: [b, 3] {
  y = x -> dense(8) as first -> tanh -> dense(3) as second
}
"""
X = np.random.default_rng(4).normal(size=(12, 6)).round(3)
TOLD = np.random.default_rng(5).integers(0, 3, 12)


def graphs(bench, precision, loss="cross_entropy(y, t)", optimizer="sgd(lr = 0.1)", more=""):
    line = f"precision {precision}" if precision else ""
    head = f"loss {loss}\n  optimizer {optimizer}\n  batch 12\n  epochs 9"
    text = f"{NET}train N on d {{\n  {head}\n  {line}\n  {more}\n}}"
    builder = bench.builder(text, {"x": X, "t": TOLD})
    return lower(builder, builder.train, 9, 1)


def start(bench, made):
    return bench.run(made["init"], {"seed": 3})


def one(bench, made, state, **feeds):
    return bench.run(made["train"], {**state, "x": X, "t": TOLD, **feeds})


def by_torch(torch, state, kind):
    """The gradient, each operand of a product rounded by torch, forward and back."""

    def rounded(x):
        return x.to(kind).float()

    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return rounded(a) @ rounded(b)

    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return rounded(g) @ rounded(b).T, rounded(a).T @ rounded(g)

    rules = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    made: Any = type("Product", (torch.autograd.Function,), rules)
    product = made.apply

    learned = {name: value for name, value in state.items() if name.endswith((".W", ".b"))}
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in learned.items()}
    h = torch.tanh(product(torch.tensor(X.astype(np.float32)), weights["N.first.W"]) + weights["N.first.b"])
    y = product(h, weights["N.second.W"]) + weights["N.second.b"]
    loss = torch.nn.functional.cross_entropy(y, torch.tensor(TOLD))
    loss.backward()
    return float(loss.detach()), {name: w.grad.numpy() for name, w in weights.items()}


@pytest.mark.parametrize("precision", ["bf16", "f16"])
@pytest.mark.parametrize("runner", ["reference", "onnx"])
def test_loss_and_gradient_are_those_of_rounded_operands(bench, precision, runner):
    torch = pytest.importorskip("torch")
    made = graphs(bench, precision)
    state = {**start(bench, made), **({scaling.SCALE: np.float32(1)} if precision == "f16" else {})}
    chosen, options = backend(runner), Options(target="portable", device="cpu")
    feeds = {**state, "x": X.astype(np.float32), "t": TOLD}
    graph = made["train"]
    out = chosen.start(chosen.lower(graph, options), options).run({i.name: feeds[i.name] for i in graph.inputs})
    loss, gradients = by_torch(torch, state, {"bf16": torch.bfloat16, "f16": torch.float16}[precision])
    assert float(out["loss"]) == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        found = (state[name] - out[f"{name}.next"]) / 0.1
        off = np.linalg.norm(found - gradient) / np.linalg.norm(gradient)
        # A sum in another order may fall on the other side of halfway between two narrow numbers.
        assert off < 2e-4, name


def test_it_is_not_what_f32_gives(bench):
    wide, short = (graphs(bench, kind) for kind in ("", "bf16"))
    state = start(bench, wide)
    losses = [float(one(bench, made, state)["loss"]) for made in (wide, short)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_only_products_are_rounded_and_all_of_them(bench, precision):
    made = graphs(bench, precision, optimizer="adam(lr = 0.1)")
    for name in ("train", "eval", "predict"):
        graph = made[name]
        makers = {node.name: node for node in graph.nodes}
        products = [node for node in graph.nodes if node.op == "matmul"]
        assert len(products) == (5 if name == "train" else 2)
        for node in products:
            for operand in node.inputs:
                while makers[operand].op in ("transpose", "reshape"):
                    operand = makers[operand].inputs[0]
                assert (makers[operand].op, makers[operand].attributes["dtype"]) == ("narrow", precision)
        assert not any(t.dtype in ("bf16", "f16") for t in graph.types().values())
    rounded = [node.inputs[0] for node in made["train"].nodes if node.op == "narrow"]
    assert len(rounded) == len(set(rounded))  # a weight once, for the net and its gradient


def test_f32_is_nothing_new(bench):
    plain, named = (graphs(bench, kind) for kind in ("", "f32"))
    assert [n.op for n in plain["train"].nodes] == [n.op for n in named["train"].nodes]


# ---- rounding


NUMBERS = np.array(
    [
        0,
        1,
        -1.5,
        1 + 2**-8,
        1 + 2**-9,
        1 + 3 * 2**-9,
        65504,
        65520,
        -65519,
        1e-8,
        6e-8,
        5.9e-8,
        1e30,
        3.4e38,
        0.1,
        -0.3,
    ],
    np.float32,
)


@pytest.mark.parametrize("runner", ["reference", "onnx", "torch"])
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_rounding_is_to_the_nearest(runner, dtype):
    """Halfway between two, the even one; too large a number is endless; small ones lose bits, down to 0."""
    torch = pytest.importorskip("torch")
    tape = Tape("rounding")
    x = tape.input("x", Type(dtype="f32", dims=(len(NUMBERS),)), "data")
    tape.output("y", narrow(x, dtype=dtype), "output")
    chosen, options = backend(runner), Options(target="portable", device="cpu")
    out = chosen.start(chosen.lower(tape.graph(), options), options).run({"x": NUMBERS})["y"]
    wanted = torch.tensor(NUMBERS).to({"bf16": torch.bfloat16, "f16": torch.float16}[dtype]).float().numpy()
    assert np.array_equal(out, wanted)


# ---- f16: scaling


def judged(bench, made, state, scale, fine=0, **feeds):
    out = one(bench, made, {**state, scaling.SCALE: np.float32(scale), scaling.FINE: fine}, **feeds)
    return out, float(out[f"{scaling.SCALE}.next"]), int(out[f"{scaling.FINE}.next"])


def test_the_gradient_does_not_depend_on_the_scale(bench):
    made = graphs(bench, "f16")
    state = start(bench, made)
    assert float(state[scaling.SCALE]) == scaling.FIRST
    small, large = (one(bench, made, {**state, scaling.SCALE: np.float32(s)}) for s in (2.0**4, 2.0**10))
    for name in ("N.first.W", "N.second.b"):
        assert small[f"{name}.next"] == pytest.approx(large[f"{name}.next"], rel=1e-4, abs=1e-6)


def test_small_gradients_are_lost_without_it(bench):
    made = graphs(bench, "f16", loss="1e-6 * cross_entropy(y, t)", optimizer="sgd(lr = 1e6)")
    wide = graphs(bench, "", loss="1e-6 * cross_entropy(y, t)", optimizer="sgd(lr = 1e6)")
    state = start(bench, made)
    exact = one(bench, wide, state)["N.first.W.next"]
    scaled = one(bench, made, state)["N.first.W.next"]
    bare = one(bench, made, {**state, scaling.SCALE: np.float32(1)})["N.first.W.next"]
    assert np.linalg.norm(scaled - exact) < 0.01 * np.linalg.norm(exact - state["N.first.W"])
    assert np.linalg.norm(bare - exact) > 0.1 * np.linalg.norm(exact - state["N.first.W"])


def test_an_update_that_is_not_finite_is_left_out_and_the_scale_halved(bench):
    made = graphs(bench, "f16", optimizer="adam(lr = 0.1)")
    state = start(bench, made)
    out, scale, fine = judged(bench, made, state, 2.0**24, fine=7)
    assert (scale, fine, bool(out["finite"])) == (2.0**23, 0, True)
    for name in state:
        if not name.startswith("precision."):
            assert np.array_equal(out[f"{name}.next"], state[name]), name


def test_after_many_good_updates_it_is_doubled(bench):
    made = graphs(bench, "f16")
    state = start(bench, made)
    out, scale, fine = judged(bench, made, state, 16, scaling.PATIENCE - 1)
    assert (scale, fine, bool(out["finite"])) == (32, 0, True)
    assert judged(bench, made, state, 16, 3)[1:] == (16, 4)
    assert not np.array_equal(out["N.first.W.next"], state["N.first.W"])


def test_what_no_scale_helps_is_not_finite(bench):
    made = graphs(bench, "f16")
    state = start(bench, made)
    assert bool(judged(bench, made, state, 16)[0]["finite"])
    lost = {**state, "N.second.W": np.full_like(state["N.second.W"], 1e6)}
    assert not bool(judged(bench, made, lost, 16)[0]["finite"])


def test_with_accumulate_the_whole_update_is_judged(bench):
    made = graphs(bench, "f16", more="accumulate 2")
    made = dict(made)
    state = start(bench, made)
    out, scale, fine = judged(bench, made, state, 2.0**24)
    assert bool(out["finite"])
    assert (scale, fine) == (2.0**23, 0)  # an epoch has one batch here: each is a whole update
    assert np.array_equal(out["N.first.W.next"], state["N.first.W"])
    assert not out["N.first.W:accumulated.next"].any()


# ---- the target cuda


def multiplied(model):
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    types |= {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    return [types[node.input[0]] for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]


@pytest.mark.parametrize(
    ("precision", "kind"), [("bf16", onnx.TensorProto.BFLOAT16), ("f16", onnx.TensorProto.FLOAT16)]
)
def test_products_are_in_the_narrow_type_on_cuda(bench, precision, kind):
    made = graphs(bench, precision)
    for name, count in (("train", 5), ("eval", 2)):
        assert multiplied(onnx_model(made[name])) == [onnx.TensorProto.FLOAT] * count
        model = onnx_model(made[name], "cuda")
        onnx.checker.check_model(model, full_check=True)
        assert multiplied(model) == [kind] * count


def test_what_cuda_is_given_computes_the_same(bench):
    """A processor runs its f16 too, by way of f32."""
    made = graphs(bench, "f16")
    state = start(bench, made)
    feeds = {**state, scaling.SCALE: np.float32(64), "x": X.astype(np.float32), "t": TOLD}
    chosen = backend("onnx")
    found = []
    for target in ("portable", "cuda"):
        options = Options(target=target, device="cpu")
        graph = made["train"]
        executor = chosen.start(chosen.lower(graph, options), options)
        found.append(executor.run({i.name: feeds[i.name] for i in graph.inputs}))
    for name in ("N.first.W.next", "N.second.W.next", "loss"):
        assert found[0][name] == pytest.approx(found[1][name], rel=2e-3, abs=2e-4)
