"""Optimizers, schedules, initialisers where it gets tight: no gradient or a huge one, one number, after the end."""

from __future__ import annotations

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.elaborate.library import standard, standard_names
from dotnn.plugins import Options, backend
from dotnn.testing.lines import Try, told
from dotnn.testing.numbers import reference, starter
from dotnn.testing.trials import STEPS, Beginning, Steps
from dotnn_grammar.problems import ProblemError


def definition(name):
    known = standard(name)
    assert known is not None
    return known.definition


OPTIMIZERS = [name for name in standard_names() if definition(name).word == "optimizer"]
SIZES = "[2, 3], [3, 2], [1], [1, 1], []"


def onnx():
    return starter(backend("onnx"), Options(threads=1))


def tried(name, flow, steps=5):
    """That optimizer on gradients that are ``flow`` everywhere."""
    line = told(definition(name).doc).tries[0]
    made = Steps.of_optimizer(Try(line.expression, SIZES))
    made.__dict__["flows"] = [[np.full(shape, flow) for shape in made.shapes] for _ in range(steps)]
    return made


@pytest.mark.parametrize("flow", [0.0, 1e-30, -1e-8, 3e15])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_makes_numbers_of_any_gradient(name, flow):
    steps = tried(name, flow)
    single = steps.run(onnx(), False)
    exact = steps.run(reference(float64=True), True)
    for what in ("step 1 w0", "step 1 w1", "step 1 w2", "step 1 w3", "step 1 w4", "step 2 w0", "step 2 w4"):
        assert np.isfinite(single[what]).all(), what
        assert np.isfinite(exact[what]).all(), what
        scale = np.abs(exact[what]).max()
        np.testing.assert_allclose(single[what], exact[what], rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_against_the_gradient(name):
    steps = tried(name, 0.5)
    steps.__dict__["first"] = [np.ones(shape) for shape in steps.shapes]
    made = steps.run(reference(float64=True), True)
    for i, first in enumerate(steps.first):
        assert np.all(made[f"step 1 w{i}"] < first)
        assert np.all(made[f"step 2 w{i}"] < made[f"step 1 w{i}"])


ENDED = {
    "cosine(from = 0.1, to = 0.03)": 0.03,
    "linear(from = 0.1, to = 0.03)": 0.03,
    "polynomial(from = 0.1, to = 0.03)": 0.03,
    "polynomial(from = 0.1, to = 0.03, power = 0.5)": 0.03,
    "exponential(from = 0.1, to = 0.03)": 0.03,
    "one_cycle(peak = 0.1, end = 0.03)": 0.03,
    "constant(0.03)": 0.03,
    "warmup(20) then 0.03": 0.03,
    "step_decay(from = 0.1, every = 40)": 0.1 * 0.1 ** (399 // 40),
}


def nothing(graph, kind):
    """Zeros for one row of each column."""
    sizes = {
        fed.name: [d if isinstance(d, int) else 1 for d in fed.type.dims] for fed in graph.inputs if fed.role == "data"
    }
    return {name: np.zeros(dims, kind) for name, dims in sizes.items()}


@pytest.mark.parametrize("text", ENDED)
def test_after_its_end_a_schedule_stays_where_it_is(text):
    """A host that goes on with the compiled step must not see the rate rise again."""
    steps = Steps.of_schedule(Try(text, ""))
    for start, float64 in ((reference(float64=True), True), (onnx(), False)):
        init, graph = steps.graphs
        state = reference(float64)(init).run(nothing(init, np.float32))
        session = start(graph).train({**state, "step": np.asarray(4 * STEPS - 1)})
        fed = nothing(graph, np.float64 if float64 else np.float32)
        assert float(session.step(fed)["rate"]) == pytest.approx(ENDED[text], rel=1e-6)


@pytest.mark.parametrize(
    "shape", ["[2, 2]", "[64, 64]", "[48, 5]", "[5, 48]", "[1, 1]", "[1, 9]", "[9, 1]", "[99, 300]"]
)
def test_orthogonal_is_orthogonal_whatever_is_drawn(shape):
    """Sixteen turns that lift and six that settle: of 19,560 matrices (2 to 200 rows) the worst was 7e-7 off."""
    begin = Beginning.of(Try("orthogonal", shape))
    for seed in range(3 if "64" in shape else 1 if "99" in shape else 12):
        y = onnx()(begin.graph).run({"seed": np.asarray(seed)})["Tried.W"].astype(np.float64)
        q = y.T @ y if y.shape[0] >= y.shape[1] else y @ y.T
        assert np.abs(q - np.eye(len(q))).max() < 1e-5


# ---- the schedule that watches the loss

ROWS, BATCH, EPOCHS = 17, 5, 60
"""Four steps an epoch, the last of two rows."""

SPEC = f"""data d {{
  source table "d.csv"
  x = column x
}}
net Line(x: [b]) -> y: [b] {{
  weight w: [] ~ ones
  y = x + 0*w
}}
train Line on d {{
  loss y
  optimizer sgd(lr = LINE)
  batch {BATCH}
  epochs {EPOCHS}
}}
"""

WATCHED: dict[str, dict[str, float]] = {
    "plateau(from = 0.1, patience = 3)": {"patience": 3},
    "plateau(from = 0.1, factor = 0.5, patience = 2, rest = 3, least = 0.004, threshold = 0.01)": {
        "factor": 0.5,
        "patience": 2,
        "cooldown": 3,
        "min_lr": 0.004,
        "threshold": 0.01,
    },
    "plateau(from = 0.1, patience = 0, factor = 0.7)": {"patience": 0, "factor": 0.7},
}


def losses():
    """Of each row in each epoch: they fall, stay, fall again and stay."""
    level = np.concatenate([np.linspace(3, 1, 20), np.full(25, 1.0), np.linspace(1, 0.5, 5), np.full(10, 0.5)])
    return (level[:, None] + np.random.default_rng(1).normal(0, 0.02, (EPOCHS, ROWS))).astype(np.float32)


def by_hand(rows, factor=0.1, patience=10.0, threshold=1e-4, cooldown=0.0, min_lr=0.0):
    """PyTorch's rule on the mean of each epoch, and the rate in it."""
    rate, best, bad, resting, found = 0.1, np.inf, 0, 0.0, []
    for mean in rows.astype(np.float64).mean(1):
        found.append(rate)
        best, bad = (mean, 0) if mean < best * (1 - threshold) else (best, bad + 1)
        if resting > 0:
            resting, bad = resting - 1, 0
        if bad > patience:
            rate, resting, bad = max(rate * factor, min_lr), cooldown, 0
    return found


def by_torch(torch, rows, **settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    clock = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0, **settings)
    found = []
    for mean in rows.astype(np.float64).mean(1):
        found.append(optimizer.param_groups[0]["lr"])
        clock.step(mean)
    return found


def watching(line, folder, name, float64, stop=None):
    """The rate at each step. stop: the step after which the session ends, and another goes on with its state."""
    (folder / "d.csv").write_text("x\n" + "\n".join(map(str, range(ROWS))) + "\n", "utf-8")
    (folder / "line.nn").write_text(SPEC.replace("LINE", line), "utf-8")
    program = compile_file(folder / "line.nn").program
    options, chosen = Options(threads=1, float64=float64), backend(name)
    init = backend("reference")
    state = init.start(init.lower(program.graphs["init"], options), options).run({"seed": np.asarray(0)})
    executor = chosen.start(chosen.lower(program.graphs["train"], options), options)
    session, found = executor.train(state), []
    for epoch in losses():
        for first in range(0, ROWS, BATCH):
            found.append(float(session.step({"x": epoch[first : first + BATCH]})["rate"]))
            if len(found) == stop:
                session = executor.train(session.state())
    return np.array(found)


@pytest.mark.parametrize("line", WATCHED)
def test_a_schedule_that_watches_the_loss_is_pytorchs(line, tmp_path):
    wanted = np.repeat(by_hand(losses(), **WATCHED[line]), 4)
    assert len(set(wanted)) > 2
    np.testing.assert_allclose(watching(line, tmp_path, "reference", True), wanted, rtol=1e-12)
    np.testing.assert_allclose(watching(line, tmp_path, "onnx", False), wanted, rtol=1e-6)
    np.testing.assert_array_equal(
        watching(line, tmp_path, "onnx", False, stop=119), watching(line, tmp_path, "onnx", False)
    )


@pytest.mark.peers
@pytest.mark.parametrize("line", WATCHED)
def test_the_rule_by_hand_is_pytorchs(line):
    torch = pytest.importorskip("torch")
    assert by_hand(losses(), **WATCHED[line]) == pytest.approx(by_torch(torch, losses(), **WATCHED[line]), rel=1e-12)


def test_it_remembers_nothing_before_and_after_its_turn(tmp_path):
    """Its clock and its memory begin with it; a schedule before it rises to its first value."""
    line = "warmup(4) then plateau(from = 0.1, patience = 2) until epoch 40 then plateau(from = 0.03, patience = 3)"
    made = watching(line, tmp_path, "reference", True)
    np.testing.assert_allclose(made[:5], [0.025, 0.05, 0.075, 0.1, 0.1])
    first = np.repeat(by_hand(losses()[1:40], patience=2), 4)
    np.testing.assert_allclose(made[4:160], first, rtol=1e-12)
    second = np.repeat(by_hand(losses()[40:], patience=3), 4) * 0.3
    np.testing.assert_allclose(made[160:], second, rtol=1e-12)


# ---- settings that make no sense

SENSELESS = {
    "sgd(lr = exponential(from = 0.1, to = 0))": "by factors nothing comes to 0 or back",
    "sgd(lr = step_decay(from = 0.1, every = 0))": "a stair is at least one step long",
    "sgd(lr = cyclic(from = 0.1, to = 1, up = 0))": "up and down take one step each",
    "sgd(lr = inverse_root(peak = 0.1, rise = 0))": "the rise takes one step",
    "sgd(lr = one_cycle(peak = 0.1, up = 1))": "the way up is a share of all steps",
    "radam(b2 = 0.5)": "look back at more than 4 gradients",
}


@pytest.mark.parametrize("line", SENSELESS)
def test_what_is_impossible_is_refused_in_the_authors_words(line, tmp_path):
    (tmp_path / "d.csv").write_text("x\n1\n", "utf-8")
    (tmp_path / "line.nn").write_text(SPEC.replace("sgd(lr = LINE)", line), "utf-8")
    with pytest.raises(ProblemError) as caught:
        compile_file(tmp_path / "line.nn")
    (problem,) = caught.value.problems
    assert SENSELESS[line] in problem.title_text
    assert problem.span is not None
    assert problem.span.file.endswith("line.nn")


@pytest.mark.parametrize(("line", "sizes"), [("orthogonal", "[4]"), ("orthogonal", "[2, 2, 2]")])
def test_only_a_matrix_is_orthogonal(line, sizes):
    with pytest.raises(ProblemError, match="only a matrix can be orthogonal"):
        Beginning.of(Try(line, sizes)).run(reference(float64=True), True)
