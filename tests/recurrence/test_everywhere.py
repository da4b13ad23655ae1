"""A spec with scans, from its text to every place where it can be run."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from dotnn.build import Builder
from dotnn.compiler import check_file, compile_file
from dotnn.measures.rows import behind, depending, own_rows
from dotnn.plugins import Options, backend
from dotnn.program import Program
from dotnn.scans.bodies import written_out

SPEC = """
data rows {
  source npz "rows.npz"
  x = x
  y = y
}

net Net(x: [b, t, n]) -> guess: [b] {
  kept = sum(x, over = n) > -1
  repeat 2 { x = x -> lstm(4) }
  both = concat((x -> gru(3)), (x -> gru(3, back = yes)))
  z = rnn(5)(both, kept)
  guess = concat(last(z, over = t), first(both, over = t)) -> dense(1) -> squeeze
}

train Net on rows {
  loss mse(guess, y)
  error abs(guess - y) > 1
  metric found = recall(guess > 0, y > 0)
  optimizer adam(lr = 1e-2)
  batch 8
  epochs 2
  seed 1
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(3)
    np.savez(folder / "rows.npz", x=rng.normal(size=(24, 7, 3)).astype("f"), y=rng.normal(size=24).astype("f"))
    (folder / "net.nn").write_text(SPEC, encoding="utf-8")
    return folder / "net.nn"


@pytest.fixture(scope="module")
def program(path: Path) -> Program:
    return compile_file(path).program


def losses(program: Program, path: Path, name: str, options: Options) -> list[float]:
    found = backend(name)
    graphs = {which: found.start(found.lower(program.graphs[which], options), options) for which in ("init", "train")}
    session = graphs["train"].train(dict(graphs["init"].run({"seed": np.array(1)})))
    rows = np.load(path.parent / "rows.npz")
    return [float(session.step({k: rows[k][n : n + 8] for k in ("x", "y")})["loss"]) for n in (0, 8, 16)]


@pytest.mark.parametrize("name", ["reference", "torch", "training-info"])
def test_every_backend_learns_the_same(program: Program, path: Path, name: str) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    ours = losses(program, path, "onnx", Options(threads=1))
    assert losses(program, path, name, Options()) == pytest.approx(ours, rel=1e-4)


def test_for_cuda_short_scans_are_written_out(program: Program) -> None:
    from dotnn_onnx.lower import lower

    def scans(target: str) -> int:
        return sum(node.op_type == "Scan" for node in lower(program.graphs["train"], target).graph.node)

    assert scans("portable") == 10  # five layers, forth and back
    assert scans("cuda") == 0


def test_where_a_loop_is_a_kernel_prediction_takes_it(program: Program, path: Path) -> None:
    """Each of the gated layers; the plain one, with rows of unequal lengths, stays a loop."""
    from dotnn_onnx.lower import lower

    rows = np.load(path.parent / "rows.npz")
    state = backend("onnx").start(backend("onnx").lower(program.graphs["init"], Options()), Options())
    feeds = {**state.run({"seed": np.array(1)}), "x": rows["x"]}
    graph = program.graphs["predict"]
    for target in ("portable", "cuda"):
        kinds = [node.op_type for node in lower(graph, target).graph.node]
        assert [kinds.count(kind) for kind in ("LSTM", "GRU")] == [2, 2]
        assert ("Scan" in kinds) == (target == "portable")
    made = {}
    for name in ("onnx", "reference"):
        found = backend(name)
        executor = found.start(found.lower(graph, Options()), Options())
        made[name] = executor.run({fed.name: feeds[fed.name] for fed in graph.inputs})["guess"]
    np.testing.assert_allclose(made["onnx"], made["reference"], rtol=1e-4, atol=1e-6)


OTHER_ORDER = """
net N(x: [b, t, n], first: [b, 4]) -> [b, t, 4], [b, 4] {
  weight W: [n, 16] ~ zeros
  weight U: [before = 4, 16] ~ zeros
  scan HEAD with c = 0.5 * first, h = first {
    o, g, i, f = split(h @ U + x @ W, 4)
    c = tanh(g) * sigmoid(i) + c * sigmoid(f)
    h = tanh(c) * sigmoid(o)
  }
  return h, first(c, over = t)
}
"""


@pytest.mark.parametrize(("change", "kernels"), [("", 1), ("back", 1), ("2 *", 0)])
def test_a_kernel_is_known_by_what_it_computes(bench, change: str, kernels: int) -> None:
    from dotnn.simplify import only, simplify
    from dotnn_onnx.lower import lower

    bench.unrolled(0)
    text = OTHER_ORDER.replace("HEAD", "back over t" if change == "back" else "over t")
    text = text.replace("first(c, over = t)", "2 * first")
    text = text.replace("sigmoid(o)", "2 * sigmoid(o)") if kernels == 0 else text
    rng = np.random.default_rng(5)
    feeds = {"x": rng.normal(size=(3, 6, 2)), "first": rng.normal(size=(3, 4))}
    feeds |= {"N.W": rng.normal(size=(2, 16)), "N.U": rng.normal(size=(4, 16))}
    whole = bench.build(text, feeds)
    graph = simplify(only(whole.graph, {"result": whole.graph.output("result").value}))
    assert [n.op_type for n in lower(graph).graph.node].count("LSTM") == kernels
    found = backend("onnx")
    fed = {fed.name: feeds[fed.name].astype("f") for fed in graph.inputs}
    made = found.start(found.lower(graph, Options()), Options()).run(fed)["result"]
    np.testing.assert_allclose(made, whole.run(feeds)["result"], rtol=1e-4, atol=1e-6)


def test_a_length_that_is_open_is_refused_where_each_step_must_be_written_out(bench) -> None:
    from dotnn_grammar.problems import ProblemError
    from dotnn_training_info.model import alone

    text = "net N(x: [b, t]) -> [b, t] { scan over t with h = zeros[b] { h = sin(x + h) } ; return h }"
    graph = bench.build(text, {"x": np.zeros((2, 3))}, {"x": ("b", "t")}).graph
    with pytest.raises(ProblemError) as caught:
        alone(graph)
    assert [problem.code for problem in caught.value.problems] == ["N004"]
    assert "`t`" in caught.value.problems[0].title_text


def test_written_out_it_is_the_same_program(program: Program, path: Path) -> None:
    graphs = {name: written_out(graph, 99) for name, graph in program.graphs.items()}
    assert not any(graph.bodies() for graph in graphs.values())
    ours = losses(program, path, "onnx", Options(threads=1))
    assert losses(program.model_copy(update={"graphs": graphs}), path, "onnx", Options(threads=1)) == pytest.approx(
        ours, rel=1e-5
    )


def test_a_program_is_json_and_back(program: Program) -> None:
    assert Program.model_validate_json(program.model_dump_json()) == program


def test_short_numbers_are_rounded_in_the_loops_too(path: Path) -> None:
    graph = compile_file(path, {"Net.precision": "bf16"}).program.graphs["train"]
    products = [(body, node) for body in (graph, *graph.bodies()) for node in body.nodes if node.op == "matmul"]
    assert any(body is not graph for body, _ in products)
    for body, node in products:
        makers = {one.name: one.op for one in body.nodes}
        given = [name for name in node.inputs if name not in makers]  # rounded outside, once for all steps
        assert all(name.startswith("given") for name in given)
        assert all(makers[n] in ("narrow", "transpose", "reshape", "scan", "slice") for n in node.inputs if n in makers)


def test_each_row_is_by_itself_in_a_scan_and_a_metric_can_be_measured(path: Path) -> None:
    check_file(path)  # recall is made of totals: it needs to know that a row's guess is its own
    from dotnn.inputs.fit import no_fit
    from dotnn.job import Job, Text

    builder: Builder = Job.of(Text.read(path), None, {}).builder(no_fit)
    phase = builder.evaluation()
    guess = phase.outputs["guess"].value
    nodes = behind(guess, ())
    own = own_rows(phase.tape, nodes, (), depending(phase.tape, nodes))
    assert own[guess.name] == 0
    assert any(node.op == "scan" for node in nodes)


def test_the_text_for_pytorch_learns_the_same(path: Path, nn, tmp_path: Path, monkeypatch, capfd) -> None:
    pytest.importorskip("torch")
    code, _, said = nn("compile", path, "--backend", "torch", "-o", tmp_path / "torch")
    assert code == 0, said
    code, _, said = nn("train", path, "--out", tmp_path / "run", "--threads", "1")
    assert code == 0, said
    monkeypatch.chdir(tmp_path / "torch")
    monkeypatch.setattr(sys, "argv", ["net.py"])
    monkeypatch.syspath_prepend(str(tmp_path / "torch"))
    capfd.readouterr()
    runpy.run_path("net.py", run_name="__main__")
    told = capfd.readouterr().out
    ours = [line.split() for line in said.splitlines() if line.strip().startswith("2 ")]
    theirs = [line.split() for line in told.splitlines() if line.strip().startswith("2 ")]
    assert float(theirs[0][1]) == pytest.approx(float(ours[0][1]), rel=2e-3), (told, said)


def test_what_goes_wrong_in_a_step_is_named_by_its_line(path: Path, nn, tmp_path: Path) -> None:
    text = SPEC[: SPEC.index("\nnet ")] + WRONG + SPEC[SPEC.index("\ntrain ") :]
    spec = path.parent / "wrong.nn"
    spec.write_text(text, encoding="utf-8")
    code, _, said = nn("train", spec, "--out", tmp_path / "run")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "exp(" in line)
    assert code == 4
    assert f"wrong.nn:{line}" in said
    assert "`exp` of Net.h was the first" in said


WRONG = """
net Net(x: [b, t, n]) -> guess: [b] {
  weight w: [3] ~ ones
  scan over t with h = ones[b, 3] {
    h = exp(5 * h + w * x)
  }
  guess = mean(last(h, over = t), over = n)
}
"""
