"""`scan`: what it says is what is computed, however it is carried out."""

from types import MappingProxyType

import numpy as np
import pytest

from dotnn.graph import Graph, Type
from dotnn.operation import MisfitError, lookup
from dotnn.tape import Tape

RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, 6, 2))
W, U = RNG.normal(size=(2, 4)) * 0.7, RNG.normal(size=(4, 4)) * 0.5

NET = """
net N(x: [b, t, n]) -> [b, t, 4] {
  weight W: [n, 4] ~ zeros
  weight U: [before = 4, 4] ~ zeros
  scan HEAD with h = zeros[b, 4] { h = tanh(x @ W + h @ U) }
  return h
}
"""
FEEDS = {"x": X, "N.W": W, "N.U": U}


def steps(x=X, back=False, kept=None):
    h, made = np.zeros((len(x), 4)), np.zeros((len(x), x.shape[1], 4))
    for t in reversed(range(x.shape[1])) if back else range(x.shape[1]):
        after = np.tanh(x[:, t] @ W + h @ U)
        h = after if kept is None else np.where(kept[:, t, None], after, h)
        made[:, t] = h
    return made


def the_same(bench, text, feeds, named=MappingProxyType({})):
    """The results by the reference: the loop, what is written out, and ONNX are the same, gradients too."""
    bench.unrolled(0)
    loop = bench.build(text, feeds, named)
    found = loop.run(feeds)
    for name, other in loop.run(feeds, "onnx").items():
        np.testing.assert_allclose(other, found[name], rtol=2e-4, atol=2e-5, err_msg=name)
    for name, other in loop.run(feeds, "torch").items() if pytest.importorskip("torch") else ():
        np.testing.assert_allclose(other, found[name], rtol=2e-4, atol=2e-5, err_msg=name)
    if not named:
        bench.unrolled(99)
        written_out = bench.build(text, feeds)
        assert not written_out.graph.bodies()
        for name, other in written_out.run(feeds).items():
            np.testing.assert_allclose(other, found[name], rtol=1e-9, atol=1e-12, err_msg=name)
    return found


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("named", [{}, {"x": ("b", "t", 2)}, {"x": ("b", 6, 2)}])
def test_a_loop_forth_and_back(bench, back, named):
    found = the_same(bench, NET.replace("HEAD", "back over t" if back else "over t"), FEEDS, named)
    np.testing.assert_allclose(found["result"], steps(back=back), rtol=1e-9)


@pytest.mark.parametrize("back", ["", "back "])
def test_rows_of_unequal_lengths_stay_as_they_are_where_they_have_ended(bench, back):
    kept = np.arange(6) < np.array([[6], [2], [4]])
    text = NET.replace("(x:", "(kept: bool[b, t], x:").replace("HEAD", f"{back}over t where kept")
    found = the_same(bench, text, {**FEEDS, "kept": kept})
    np.testing.assert_allclose(found["result"], steps(back=bool(back), kept=kept), rtol=1e-9)
    ended = found["result"][1, 2:]
    np.testing.assert_array_equal(ended, np.repeat(ended[:1], 4, 0) if not back else np.zeros((4, 4)))


def test_a_name_is_what_was_before_until_it_is_assigned_and_then_what_comes_next(bench):
    text = """
net N(x: [b, t]) -> [b, t], [b, t] {
  scan over t with one = zeros[b], two = zeros[b] {
    two = two + one
    one = one + x
    two = 2 * two - one
  }
  return one, two
}
"""
    x = X[..., 0]
    found = the_same(bench, text, {"x": x})
    one, two = np.zeros(3), np.zeros(3)
    for t in range(6):
        two = two + one
        one = one + x[:, t]
        two = 2 * two - one
        np.testing.assert_allclose(found["result"][:, t], one, rtol=1e-9)
        np.testing.assert_allclose(found["result.1"][:, t], two, rtol=1e-9)


def test_whole_numbers_and_truths_are_carried_too(bench):
    text = """
net N(x: [b, t]) -> most: [b, t], at: int[b, t], met: bool[b, t] {
  first = fill(0, [b]) > 1
  none = int(fill(0, [b]))
  scan over t with most = fill(-9, [b]), at = none, place = none, met = first {
    higher = x > most
    most = x if higher else most
    at = place if higher else at
    place = place + 1
    met = met or x > 1
  }
}
"""
    x = X[..., 0]
    found = the_same(bench, text, {"x": x})
    np.testing.assert_allclose(found["result"], np.maximum.accumulate(x, 1))
    np.testing.assert_array_equal(found["result.1"][:, -1], x.argmax(1))
    np.testing.assert_array_equal(found["result.2"], np.logical_or.accumulate(x > 1, 1))


def test_names_that_are_not_carried_stay_inside(bench):
    text = """
net N(x: [b, t]) -> [b, t] {
  y = 10 * x
  scan over t with h = zeros[b] { y = x + 1 ; twice = 2 * y ; h = h + twice }
  return h + y
}
"""
    x = X[..., 0]
    found = the_same(bench, text, {"x": x})
    np.testing.assert_allclose(found["result"], np.cumsum(2 * (x + 1), 1) + 10 * x, rtol=1e-9)


def test_several_tensors_are_scanned_wherever_they_have_the_dim(bench):
    text = """
net N(x: [b, t, n], w: [t, n], z: [n, t]) -> [b, t, n] {
  scan over t with h = zeros[b, n] { h = 0.5 * h + x * w + z }
  return h
}
"""
    w, z = RNG.normal(size=(6, 2)), RNG.normal(size=(2, 6))
    found = the_same(bench, text, {"x": X, "w": w, "z": z})
    h = np.zeros((3, 2))
    for t in range(6):
        h = 0.5 * h + X[:, t] * w[t] + z[:, t]
        np.testing.assert_allclose(found["result"][:, t], h, rtol=1e-9)


def test_a_layer_in_a_scan_is_one_for_all_steps_and_scans_stand_in_repeats(bench):
    text = """
net N(x: [b, t, n]) -> [b, t, n] {
  repeat turn in 0..2 {
    scan over t with h = zeros[b, n] { h = concat(x, h) -> dense(n) as both -> tanh }
    x = x + h
  }
  return x
}
"""
    bench.unrolled(0)
    built = bench.build(text, {"x": X})
    assert built.weights == ("N.turn[0].both.W", "N.turn[0].both.b", "N.turn[1].both.W", "N.turn[1].both.b")
    weights = {path: RNG.normal(size=(4, 2) if path.endswith("W") else 2) for path in built.weights}
    the_same(bench, text, {"x": X, **weights})


def test_a_scan_in_a_scan(bench):
    text = """
net N(x: [b, s, t]) -> [b, s] {
  weight w: [] ~ ones
  scan over s with outer = zeros[b] {
    scan over t with inner = outer { inner = sin(w * inner + x) }
    outer = last(inner, over = t) * w
  }
  return outer
}
"""
    x = RNG.normal(size=(2, 3, 4))
    found = the_same(bench, text, {"x": x, "N.w": np.array(0.7)})
    outer = np.zeros(2)
    for s in range(3):
        inner = outer
        for t in range(4):
            inner = np.sin(0.7 * inner + x[:, s, t])
        outer = inner * 0.7
        np.testing.assert_allclose(found["result"][:, s], outer, rtol=1e-9)


def test_only_what_waits_for_the_step_before_is_done_step_by_step(bench):
    bench.unrolled(0)
    text = NET.replace("HEAD", "over t").replace("return h", "return exp(h) @ U + x @ W")
    graph = bench.build(text, FEEDS).graph

    def products(graph: Graph) -> int:
        return sum(node.op == "matmul" for node in graph.nodes)

    assert [products(body) for body in graph.bodies()] == [1, 1]  # h @ U, and back through it
    assert products(graph) >= 4  # x @ W of all steps, and what each weight's gradient is: one product each
    assert not [n for n in graph.nodes if n.op == "scan" and n.type.dims == (4, 4)]  # no gradient is added up in a loop


@pytest.mark.parametrize("every", [1, 2, 4, 9])
def test_a_cut_lets_no_gradient_pass_every_so_many_steps(bench, every):
    """As with PyTorch, where what is carried is detached every so many steps."""
    torch = pytest.importorskip("torch")
    found = the_same(bench, NET.replace("HEAD", f"over t cut {every}"), FEEDS)
    x, w, u = (torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (X, W, U))
    h, made = torch.zeros(3, 4, dtype=torch.float64), []
    for t in range(6):
        h = torch.tanh(x[:, t] @ w + (h.detach() if t % every == 0 else h) @ u)
        made.append(h)
    y = torch.stack(made, 1)
    (y * y * torch.cos(y)).sum().backward()
    np.testing.assert_allclose(found["result"], y.detach(), rtol=1e-9)
    for name, leaf in (("x", x), ("N.W", w), ("N.U", u)):
        np.testing.assert_allclose(found[f"gradient {name}"], leaf.grad, rtol=1e-8, atol=1e-12, err_msg=name)


def test_each_step_draws_its_own_numbers(bench):
    text = """
net N(x: [b, t, n]) -> [b, t, n] {
  scan over t with h = zeros[b, n] { h = 0*h + (ones(shape(x)) -> dropout(0.5)) }
  return h
}
function ones(shape) { return fill(1, shape) }
"""
    feeds = {"x": np.zeros((2, 5, 30)), "key": np.array(12345, np.uint64), "step": np.array(1)}
    found = the_same(bench, text, feeds)["result"]
    assert set(np.unique(found)) == {0.0, 2.0}
    assert all((found[:, t] != found[:, 0]).any() for t in range(1, 5))


def test_a_scan_of_one_step(bench):
    found = the_same(bench, NET.replace("HEAD", "over t"), {**FEEDS, "x": X[:, :1]}, {"x": ("b", "t", 2)})
    np.testing.assert_allclose(found["result"], steps(X[:, :1]), rtol=1e-9)


def test_a_graph_with_scans_is_json_and_back(bench):
    bench.unrolled(0)
    graph = bench.build(NET.replace("HEAD", "over t"), FEEDS).graph
    assert Graph.model_validate_json(graph.model_dump_json()) == graph
    assert "graph " + graph.bodies()[0].name in str(graph)


def test_a_scan_over_nothing_is_refused():
    tape = Tape("step")
    tape.output("next.0", tape.input("carried.0", Type(dtype="f32", dims=(2,)), "data"), "output")
    how = {"back": False, "body": tape.graph(), "carried": 1, "final": True, "result": "next.0", "scanned": 0}
    with pytest.raises(MisfitError, match="nothing to scan"):
        lookup("scan").infer(Type(dtype="f32", dims=(2,)), dim=0, **how)
