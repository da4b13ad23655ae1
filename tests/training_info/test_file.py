"""The one file: what ONNX asks of it, who takes it, and that it trains as the reference does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator
from tests.sets import specs_folder

import onnx
from dotnn.commands import main
from dotnn.compiler import compile_file
from dotnn.graph import Type
from dotnn.plugins import Options, backend
from dotnn.tape import Tape
from dotnn_grammar.problems import ProblemError
from dotnn_onnx.lower import serialize
from dotnn_training_info.bundle import model_of
from dotnn_training_info.join import join
from dotnn_training_info.model import alone, assemble, combined, like
from dotnn_training_info.session import Trainer

ROOT = Path(__file__).parents[2]
SPECS = sorted(specs_folder().glob("*.nn"))
TOLERANCE = 1e-5


def graphs_of(model):
    (info,) = model.training_info
    return model.graph, info.algorithm, info.initialization


def names(tensors):
    return [tensor.name for tensor in tensors]


# ---- what onnx.proto asks of a TrainingInfoProto


def test_the_checker_takes_the_file_and_each_graph_in_it(points):
    model = model_of(points().program)
    onnx.checker.check_model(model, full_check=True)
    info = model.training_info[0]
    onnx.checker.check_model(combined(model, info), full_check=True)  # as a step is run
    onnx.checker.check_model(like(model, info.initialization), full_check=True)


def test_the_checker_sees_a_fault_in_the_algorithm(points):
    """It does not look into training_info by itself: that is why the graphs are checked as models of their own."""
    model = model_of(points().program)
    model.training_info[0].algorithm.node[0].input[0] = "nothing"
    onnx.checker.check_model(model, full_check=True)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(combined(model, model.training_info[0]), full_check=True)


def test_the_inference_graph_stands_by_itself(points):
    graph, algorithm, initialization = graphs_of(model_of(points().program))
    known = {*names(graph.input), *names(graph.initializer), *(o for node in graph.node for o in node.output)}
    assert {name for node in graph.node for name in node.input} <= known
    assert set(names(graph.output)) <= known
    assert names(graph.input) == ["place"]
    assert names(algorithm.input) == ["kind"]
    assert not initialization.input
    assert names(graph.output) == ["scores", "answer", "shares"]


def test_the_step_takes_from_the_net_what_the_net_computes(points):
    graph, algorithm, _ = graphs_of(model_of(points().program))
    made = {o for node in graph.node for o in node.output}
    assert made & {name for node in algorithm.node for name in node.input}
    assert [node.op_type for node in algorithm.node].count("Tanh") == 0
    assert [node.op_type for node in graph.node].count("Tanh") == 1


def test_each_name_stands_for_one_value(points):
    graph, algorithm, _ = graphs_of(model_of(points().program))
    values = [name for g in (graph, algorithm) for name in (*names(g.input), *names(g.initializer))]
    values += [o for g in (graph, algorithm) for node in g.node for o in node.output]
    assert len(values) == len(set(values))


def test_bindings_name_initializers_and_results(points):
    program = points().program
    model = model_of(program)
    graph, algorithm, initialization = graphs_of(model)
    info = model.training_info[0]
    states = [fed.name for fed in program.graphs["train"].inputs if fed.role == "state"]
    for binding, results in ((info.update_binding, algorithm), (info.initialization_binding, initialization)):
        keys = [pair.key for pair in binding]
        assert sorted(keys) == sorted(states)
        assert set(keys) <= {*names(graph.initializer), *names(algorithm.initializer)}
        assert {pair.value for pair in binding} <= set(names(results.output))
    weights = {fed.name for fed in program.graphs["predict"].inputs if fed.role == "state"}
    assert weights == {pair.key for pair in info.update_binding} & set(names(graph.initializer))
    assert {"step", "key"} <= set(names(algorithm.initializer))


def test_no_gradient_is_left_to_be_found(points):
    domains = {node.domain for g in graphs_of(model_of(points().program)) for node in g.node}
    assert domains == {"", "ai.onnx.preview.training"}
    assert "Gradient" not in {node.op_type for node in graphs_of(model_of(points().program))[1].node}


def test_every_node_leads_back_to_the_spec(points):
    _, algorithm, _ = graphs_of(model_of(points().program))
    assert any(node.name.startswith("points.nn:") and "hidden.W" in node.name for node in algorithm.node)
    assert any(node.name.startswith("points.nn:") and "Momentum" in node.name for node in algorithm.node)


# ---- who runs it


def test_a_stock_onnxruntime_runs_the_net_and_passes_over_the_rest(points, tools):
    compiled = points()
    program = compiled.program
    predict, rows = program.graphs["predict"], compiled.dataset.splits["train"].arrays
    trainer = Trainer(model_of(program))
    trainer.initialise()
    model = model_of(program, trainer.variables)
    session = ort.InferenceSession(serialize(model))
    assert [fed.name for fed in session.get_inputs()] == ["place"]
    made = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"place": rows["place"]}), strict=True))
    wanted = tools.judge(predict).run({**trainer.variables, "place": rows["place"]})
    assert {name: tools.far(made[name], wanted[name]) < TOLERANCE for name in wanted} == dict.fromkeys(wanted, True)
    assert np.ptp(made["scores"]) > 0
    assert trainer.infer({"place": rows["place"]})["answer"].tolist() == wanted["answer"].tolist()


def test_a_host_needs_the_file_and_the_evaluator_alone(points):
    """What a stranger writes who has read onnx.proto, and knows nothing of us."""
    compiled = points()
    rows = {n: compiled.dataset.splits["train"].arrays[n] for n in ("place", "kind")}
    model = onnx.load_from_string(serialize(model_of(compiled.program)))
    info = model.training_info[0]
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    for field in ("input", "initializer", "node", "output"):
        getattr(graph, field).extend(getattr(info.algorithm, field))

    def evaluator(one):
        return ReferenceEvaluator(onnx.helper.make_model(one, opset_imports=model.opset_import, ir_version=10))

    def run(runner, feeds):
        return dict(zip(runner.output_names, runner.run(None, feeds), strict=True))

    start, step = evaluator(info.initialization), evaluator(graph)
    first = run(start, {})
    state = {pair.key: first[pair.value] for pair in info.initialization_binding}
    losses = []
    for _ in range(60):
        with np.errstate(over="ignore"):
            made = run(step, {**state, **rows})
        state |= {pair.key: made[pair.value] for pair in info.update_binding}
        losses.append(float(made["loss"]))
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert int(state["step"]) == 60


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        ("sgd(lr = 0.1, momentum = 0.9)", ""),
        ("sgd(lr = 0.1)", "clip norm 0.01"),
        ("adam(lr = 0.01)", "decay 1e-2 for *.W"),
        ("adamw(lr = cosine(from = 0.01))", ""),
        ("sgd(lr = cosine(from = 0.05), momentum = 0.8)", "clip norm 0.5"),
    ],
)
def test_twenty_steps_are_those_of_the_reference(points, tools, optimizer, more):
    compiled = points(optimizer, more)
    program = compiled.program
    trainer = Trainer(model_of(program))
    trainer.initialise()
    start = tools.judge(program.graphs["init"]).run({"seed": np.array(program.plan.seed)})
    assert {name: tools.far(trainer.variables[name], start[name]) for name in start} == dict.fromkeys(start, 0.0)
    judge = tools.judge(program.graphs["train"]).train(start)
    for batch in tools.batches(program, compiled.dataset.splits["train"].arrays, 20):
        made, wanted = trainer.step(batch), judge.step(batch)
        assert max(tools.far(made[name], wanted[name]) for name in wanted) < TOLERANCE
    assert tools.states_far(program, trainer.variables, judge.state()) < TOLERANCE
    assert int(trainer.variables["step"]) == 20
    trainer.reset()
    assert int(trainer.variables["step"]) == 0


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_each_spec_of_ours_takes_its_first_steps(path, tools):
    compiled = compile_file(path)
    program = compiled.program
    model = model_of(program)
    onnx.checker.check_model(model, full_check=True)
    trainer = Trainer(model)
    trainer.initialise()
    judge = tools.judge(program.graphs["train"]).train(trainer.variables)
    for batch in tools.batches(program, compiled.dataset.splits["train"].arrays, 2):
        made, wanted = trainer.step(batch), judge.step(batch)
        assert max(tools.far(made[name], wanted[name]) for name in wanted) < TOLERANCE
    # An optimizer that divides by the size of a gradient makes a hundredth of a step of what is only rounding.
    assert tools.states_far(program, trainer.variables, judge.state()) < 10 * TOLERANCE


# ---- two graphs as one


def test_results_of_one_name_are_told_apart():
    net, step = Tape("net"), Tape("step")
    w = {
        t: (t.input("x", Type(dtype="f32", dims=("b",)), "data"), t.input("w", Type(dtype="f32"), "state"))
        for t in (net, step)
    }
    x, weight = w[net]
    net.output("loss", x * weight, "output")
    x, weight = w[step]
    step.output("loss", (x * weight).sum(), "loss")
    step.output("w.next", weight - 1.0, "state")
    joined = join(net.graph(), step.graph())
    assert [o.name for o in joined.outputs] == ["loss", "loss.training", "w.next"]
    assert [node.op for node in joined.nodes].count("mul") == 1
    model = assemble(net.graph(), step.graph())
    onnx.checker.check_model(combined(model, model.training_info[0]), full_check=True)
    trainer = Trainer(model)
    trainer.variables["w"] = np.array(3, np.float32)
    made = trainer.step({"x": np.array([1, 2], np.float32)})
    assert float(made["loss.training"]) == 9
    assert float(trainer.variables["w"]) == 2
    assert trainer.infer({"x": np.array([1, 2], np.float32)})["loss"].tolist() == [2, 4]


def test_an_input_of_two_types_is_refused():
    net, step = Tape("net"), Tape("step")
    net.input("x", Type(dtype="f32", dims=("b",)), "data")
    step.input("x", Type(dtype="i64", dims=("b",)), "data")
    with pytest.raises(ValueError, match=r"x is f32\[b\] and i64\[b\]"):
        join(net.graph(), step.graph())


# ---- as files


def test_nn_compile_writes_one_onnx_file(points, tmp_path, capsys):
    points()
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["compile", str(tmp_path / "points.nn"), "--backend", "training-info", "-o", str(out)])
    assert not ended.value.code
    assert sorted(p.name for p in out.iterdir()) == ["manifest.json", "spec.nn", "training.onnx"]
    assert capsys.readouterr().out.split() == [str(out / n) for n in ("training.onnx", "spec.nn", "manifest.json")]
    model = onnx.load(out / "training.onnx")
    onnx.checker.check_model(model, full_check=True)
    manifest = json.loads((out / "manifest.json").read_text())
    graph, algorithm, _ = graphs_of(model)
    graphs = manifest["graphs"]
    assert [t["name"] for t in graphs["predict"]["outputs"]] == names(graph.output)
    assert [t["name"] for t in graphs["train"]["outputs"]] == names(algorithm.output)
    fed = {t["name"] for t in graphs["train"]["inputs"] if t["role"] != "state"}
    assert fed == {*names(graph.input), *names(algorithm.input)}
    assert {g["file"] for g in graphs.values()} == {"training.onnx"}


def test_the_same_bytes_each_time(points, tmp_path):
    model = serialize(model_of(points().program))
    program = (
        "import hashlib, pathlib, sys; from dotnn.compiler import compile_file; "
        "from dotnn_training_info.bundle import model_of; from dotnn_onnx.lower import serialize; "
        "sys.stdout.write(serialize(model_of(compile_file(pathlib.Path(sys.argv[1])).program)).hex())"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "points.nn")]
    other = subprocess.run(words, capture_output=True, text=True, env={"PYTHONHASHSEED": "5"}, check=True)
    assert bytes.fromhex(other.stdout) == model


def test_it_writes_for_no_device_alone(points, tmp_path):
    with pytest.raises(ProblemError, match="N003"):
        backend("training-info").write(points().program, "", tmp_path, Options(target="cuda"))


# ---- as a backend


def test_a_run_has_the_figures_of_the_reference(points, tmp_path, capsys):
    points("adam(lr = 0.05)")
    figures = []
    for name in ("training-info", "reference"):
        words = ["train", str(tmp_path / "points.nn"), "--backend", name, "--epochs", "2", "--format", "json"]
        with pytest.raises(SystemExit) as ended:
            main([*words, "--out", str(tmp_path / name)])
        assert not ended.value.code
        capsys.readouterr()
        result = json.loads((tmp_path / name / "result.json").read_text())
        figures.append({split: result[split] for split in ("train", "val", "test")})
    ours, judged = figures
    for split in judged:
        assert ours[split] == pytest.approx(judged[split], rel=1e-5)


def test_a_session_steps_back_and_begins_again(points, tools):
    compiled = points()
    train = compiled.program.graphs["train"]
    start = tools.judge(compiled.program.graphs["init"]).run({"seed": np.array(1)})
    executor = tools.own(train)
    session = executor.train(start)
    (batch,) = tools.batches(compiled.program, compiled.dataset.splits["train"].arrays, 1)
    made = session.step(batch)
    assert set(made) == {"loss", "error", "norm", "rate", "finite"}
    assert {n: tools.far(session.former()[n], start[n]) for n in start} == dict.fromkeys(start, 0.0)
    after = session.state()
    assert tools.far(after["Sides.hidden.W"], start["Sides.hidden.W"]) > 0
    session.load(start)
    again = executor.run(batch, session)
    assert float(again["loss"]) == float(made["loss"])
    assert {n: tools.far(again[f"{n}.next"], after[n]) for n in after} == dict.fromkeys(after, 0.0)
    with pytest.raises(ProblemError, match="`key`"):
        session.load({n: v for n, v in start.items() if n != "key"})


def test_problems_are_told_in_our_words(points, tools):
    compiled = points()
    executor = tools.own(compiled.program.graphs["predict"])
    with pytest.raises(ProblemError, match="F001"):
        executor.run({})
    tape = Tape("taken")
    table = tape.input("table", Type(dtype="f32", dims=(3, 2)), "data")
    tape.output("y", tape.add("gather", table, tape.input("i", Type(dtype="i64", dims=("b",)), "data")), "output")
    with pytest.raises(ProblemError, match="N001"):
        tools.own(tape.graph()).run({"table": np.zeros((3, 2), np.float32), "i": np.array([7])})


def test_a_graph_without_states_is_an_inference_graph(points):
    model = alone(points().program.graphs["predict"])
    onnx.checker.check_model(model, full_check=True)
    assert not model.training_info
