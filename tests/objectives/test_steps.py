"""Several objectives that take turns: what each sees, what it moves, and when."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.read import read_text
from dotnn.write import write_spec
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source

Make = Callable[..., Any]

DATA = """
data d {
  source generate 40
  x = normal(0, 1)[3]
  y = normal(0, 1)
  split train 80%, val 20%
  seed 4
}
"""
TWO = (
    DATA
    + """
net A(x: [b, 3]) -> a: [b] { a = x -> dense(1) -> squeeze }
net B(x: [b, 3]) -> c: [b] { c = x -> dense(1) -> squeeze }
train on d {
  step first updates A {
    loss (A(x) - y)^2
    optimizer sgd(lr = 0.1)
  }
  step second updates B {
    loss (B(x) - A(x))^2
    optimizer sgd(lr = 0.1)
  }
  error abs(A(x) - y)
  every batch first, second
  batch 8
  epochs 2
  seed 3
}
"""
)


BOTH = "every batch first, second"


def seldom(count: int | str, more: str = "") -> str:
    """The second step less often, in place of `BOTH`."""
    return f"every batch first\n every {count} batches second\n {more}"


def line(state: dict[str, Any], net: str, x: Any) -> Any:
    name = f"{net}.{ {'A': 'a', 'B': 'c'}[net] }.dense"
    return (x @ state[f"{name}.W"] + state[f"{name}.b"])[:, 0]


def moved(state: dict[str, Any], net: str, x: Any, off: Any) -> tuple[Any, Any]:
    """One step of gradient descent at 0.1 by the mean of off^2, where off is linear in the net's result."""
    name = f"{net}.{ {'A': 'a', 'B': 'c'}[net] }.dense"
    slope = 2 * off / len(x)
    return state[f"{name}.W"] - 0.1 * (x.T @ slope)[:, None], state[f"{name}.b"] - 0.1 * slope.sum()


# ---- who sees what


def test_the_second_step_sees_what_the_first_has_moved(steps: Make) -> None:
    run = steps(TWO)
    for number in range(3):
        before, fed = dict(run.state), run.batch(number)
        x, y = fed["x"], fed["y"]
        out = run.step(number)
        weight, bias = moved(before, "A", x, line(before, "A", x) - y)
        assert np.allclose(run.state["A.a.dense.W"], weight, rtol=1e-12)
        assert np.allclose(run.state["A.a.dense.b"], bias, rtol=1e-12)
        after = {**before, "A.a.dense.W": weight, "A.a.dense.b": bias}
        off = line(before, "B", x) - line(after, "A", x)
        assert out["second.loss"] == pytest.approx(np.mean(off**2), rel=1e-12)
        assert np.allclose(run.state["B.c.dense.W"], moved(before, "B", x, off)[0], rtol=1e-12)
        assert out["first.loss"] == pytest.approx(np.mean((line(before, "A", x) - y) ** 2), rel=1e-12)
        assert out["error"] == pytest.approx(np.mean(np.abs(line(before, "A", x) - y)), rel=1e-12)


def test_the_order_is_that_of_every(steps: Make) -> None:
    run = steps(TWO.replace("every batch first, second", "every batch second, first"))
    before, fed = dict(run.state), run.batch(0)
    out = run.step(0)
    off = line(before, "B", fed["x"]) - line(before, "A", fed["x"])
    assert out["second.loss"] == pytest.approx(np.mean(off**2), rel=1e-12)


def test_a_step_moves_the_weights_of_its_updates_alone(steps: Make) -> None:
    run = steps(TWO.replace("(B(x) - A(x))^2", "(B(x) - A(x))^2 + 100 * A(x)^2"))
    plain = steps(TWO)
    run.step(0)
    plain.step(0)
    assert np.array_equal(run.state["A.a.dense.W"], plain.state["A.a.dense.W"])


def test_a_step_may_update_a_part_of_a_net(steps: Make) -> None:
    run = steps(TWO.replace("step first updates A {", "step first updates A.a.dense.W {"))
    before = dict(run.state)
    run.step(0)
    assert np.array_equal(run.state["A.a.dense.b"], before["A.a.dense.b"])
    assert not np.array_equal(run.state["A.a.dense.W"], before["A.a.dense.W"])


def test_a_step_taken_less_often_counts_its_own_steps(steps: Make) -> None:
    text = TWO.replace(BOTH, seldom(3))
    run = steps(text.replace("loss (B(x) - A(x))^2\n    optimizer sgd(lr = 0.1)", "loss B(x)^2\n optimizer adam()"))
    for number in range(4):
        before = run.state["B.c.dense.W"]
        run.step(number)
        assert np.array_equal(before, run.state["B.c.dense.W"]) == (number != 2)
        assert (run.state["step"], run.state["first:step"]) == (number + 1, number + 1)
        assert run.state["second:step"] == (number + 1) // 3
    moved = run.state["B.c.dense.W"] - steps(text).state["B.c.dense.W"]
    assert np.allclose(np.abs(moved), 1e-3, rtol=1e-4)  # the first step of adam is one rate long


def test_a_schedule_of_a_step_knows_how_often_it_is_taken(steps: Make) -> None:
    text = TWO.replace(BOTH, seldom(2))
    run = steps(
        text.replace("- A(x))^2\n    optimizer sgd(lr = 0.1)", "- A(x))^2\n optimizer sgd(lr = linear(from = 1))")
    )
    rates = [float(run.step(number % 4)["second.rate"]) for number in range(8)]
    assert rates[1::2] == pytest.approx([1 - n / 4 for n in (1, 2, 3, 4)])


def test_a_count_may_be_a_param(steps: Make) -> None:
    text = "param often = 2\n" + TWO.replace(
        "every batch first, second", "every batch first\n every often batches second"
    )
    run = steps(text, often="4")
    for number in range(4):
        run.step(number)
    assert run.state["second:step"] == 1


# ---- what is drawn, what is remembered

DRAWS = (
    DATA
    + """
net A(x: [b, 3]) -> a: [b] { weight w: [] ~ zeros ; a = w + 0 * sum(x, over = -1) }
net B(x: [b, 3]) -> c: [b] { weight w: [] ~ zeros ; c = w + 0 * sum(x, over = -1) }
train on d {
  z = normal[b]
  step first updates A {
    OWN
    loss A(x) * DRAWN
    optimizer sgd(lr = 1)
  }
  step second updates B {
    OWN
    loss B(x) * DRAWN
    optimizer sgd(lr = 1)
  }
  every batch first, second
  batch 8
  epochs 2
}
"""
)


def test_what_is_drawn_outside_the_steps_is_drawn_once_a_batch(steps: Make) -> None:
    run = steps(DRAWS.replace("OWN", "").replace("DRAWN", "z"))
    seen = []
    for number in range(3):
        run.step(number)
        seen.append(float(run.state["A.w"]))
        assert run.state["A.w"] == run.state["B.w"] != 0
    assert len(set(np.round(np.diff([0.0, *seen]), 9))) == 3


def test_what_a_step_draws_is_its_own(steps: Make) -> None:
    run = steps(DRAWS.replace("OWN", "u = normal[b]").replace("DRAWN", "u"))
    run.step(0)
    assert 0 not in (run.state["A.w"], run.state["B.w"])
    assert run.state["A.w"] != run.state["B.w"]


def test_what_a_net_draws_in_a_step_is_its_own(steps: Make) -> None:
    text = TWO.replace("a = x -> dense(1)", "a = x -> dropout(0.5) -> dense(1)")
    text = text.replace("(B(x) - A(x))^2", "(B(x) - A(x))^2 + (A(x) - y)^2")
    run = steps(text.replace("step first updates A {", "step first updates A {\n rate 0 for *"))
    out = run.step(0)
    masks = {str(node.attributes["use"]) for node in run.graph.nodes if node.op == "random"}
    own = [use for use in masks if use.startswith(("first:", "second:"))]
    assert (len(own), len(masks)) == (3, 4)  # once in `first`, twice in `second`, and once for the error
    assert out["first.loss"] > 0


def test_a_step_writes_the_states_of_its_updates_alone(steps: Make) -> None:
    text = TWO.replace("a = x -> dense(1)", "a = x -> batch_norm -> dense(1)")
    run = steps(text)
    once = steps(text.replace("(B(x) - A(x))^2", "B(x)^2"))
    run.step(0)
    once.step(0)
    assert np.array_equal(run.state["A.a.batch_norm.mean"], once.state["A.a.batch_norm.mean"])
    assert not np.array_equal(run.state["A.a.batch_norm.mean"], steps(text).state["A.a.batch_norm.mean"])


def test_a_step_not_taken_writes_no_state(steps: Make) -> None:
    text = TWO.replace("c = x -> dense(1)", "c = x -> batch_norm -> dense(1)")
    run = steps(text.replace(BOTH, seldom(2)))
    first = run.state["B.c.batch_norm.mean"]
    run.step(0)
    assert np.array_equal(run.state["B.c.batch_norm.mean"], first)
    run.step(1)
    assert not np.array_equal(run.state["B.c.batch_norm.mean"], first)


def test_two_steps_may_move_one_net_each_with_slots_of_its_own(steps: Make) -> None:
    text = TWO.replace("step second updates B {\n    loss (B(x) - A(x))^2", "step second updates A {\n    loss A(x)^2")
    run = steps(text.replace("sgd(lr = 0.1)", "adam(lr = 0.1)"))
    run.step(0)
    alone = steps(TWO.replace("sgd(lr = 0.1)", "adam(lr = 0.1)"))
    alone.step(0)
    assert np.array_equal(run.state["A.a.dense.W:first:adam.m"], alone.state["A.a.dense.W:first:adam.m"])
    mine = run.state["A.a.dense.W:second:adam.m"]
    assert not np.allclose(mine, run.state["A.a.dense.W:first:adam.m"])


# ---- with everything else


def test_accumulate_gathers_for_each_step(steps: Make) -> None:
    gathered = steps(TWO.replace("batch 8", "batch 4\n accumulate 2"))
    whole = steps(TWO.replace("(B(x) - A(x))^2", "(B(x) - y)^2"))
    apart = steps(TWO.replace("(B(x) - A(x))^2", "(B(x) - y)^2").replace("batch 8", "batch 4\n accumulate 2"))
    for number in range(2):
        whole.step(number)
        for run in (gathered, apart):
            run.step(2 * number)
            run.step(2 * number + 1)
        assert gathered.state["step"] == whole.state["step"] == number + 1
        for name in ("A.a.dense.W", "B.c.dense.W"):
            assert np.allclose(apart.state[name], whole.state[name], rtol=1e-9)
        assert np.allclose(gathered.state["A.a.dense.W"], whole.state["A.a.dense.W"], rtol=1e-9)


def test_accumulate_with_a_step_taken_less_often(steps: Make) -> None:
    text = TWO.replace("batch 8", "batch 4\n accumulate 2")
    run = steps(text.replace(BOTH, seldom(2)))
    taken = []
    for number in range(8):
        run.step(number)
        taken.append(int(run.state["second:step"]))
    assert taken == [0, 0, 0, 1, 1, 1, 1, 2]  # every second one of the large batches


def test_bf16_rounds_in_every_step(steps: Make) -> None:
    run, wide = steps(TWO.replace("epochs 2", "epochs 2\n precision bf16")), steps(TWO)
    for number in range(3):
        run.step(number)
        wide.step(number)
    assert np.allclose(run.state["B.c.dense.W"], wide.state["B.c.dense.W"], atol=2e-2)
    assert not np.array_equal(run.state["B.c.dense.W"], wide.state["B.c.dense.W"])


def test_f16_scales_each_step_by_itself(steps: Make) -> None:
    run = steps(TWO.replace("epochs 2", "epochs 2\n precision f16"))
    for number in range(8):
        run.step(number % 4)
    for turn in ("first", "second"):
        taken = int(run.state[f"{turn}:step"])
        assert taken >= 4
        assert run.state[f"{turn}:precision.scale"] == 2.0 ** (16 - (8 - taken))


def test_an_overflow_in_one_step_holds_that_step_alone(steps: Make) -> None:
    run = steps(
        TWO.replace("epochs 2", "epochs 2\n precision f16").replace("loss (A(x) - y)^2", "loss 1e6 * (A(x) - y)^2")
    )
    before = dict(run.state)
    out = run.step(0)
    assert np.array_equal(run.state["A.a.dense.W"], before["A.a.dense.W"])
    assert run.state["first:precision.scale"] == before["first:precision.scale"] / 2
    assert run.state["second:precision.scale"] == before["second:precision.scale"]
    assert (run.state["step"], run.state["first:step"], run.state["second:step"]) == (1, 0, 1)
    assert out["finite"]


def test_each_step_has_its_clip_its_rates_its_decay_and_what_it_holds(steps: Make) -> None:
    lines = "clip norm 1e-3\n decay 0.5 for *.W\n rate 0.1 for *.b"
    run = steps(TWO.replace("step first updates A {", f"step first updates A {{\n {lines}"))
    plain, before, fed = steps(TWO), dict(run.state), run.batch(0)
    out = run.step(0)
    plain.step(0)
    slope = 2 * (line(before, "A", fed["x"]) - fed["y"]) / 8
    gradient = np.concatenate([fed["x"].T @ slope, [slope.sum()]])
    assert out["first.norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-9)
    short = gradient * 1e-3 / np.linalg.norm(gradient)
    weight = before["A.a.dense.W"][:, 0]
    assert np.allclose(run.state["A.a.dense.W"][:, 0], weight - 0.1 * (short[:3] + 0.5 * weight), rtol=1e-6)
    assert run.state["A.a.dense.b"][0] == pytest.approx(before["A.a.dense.b"][0] - 0.01 * short[3], rel=1e-6)
    held = steps(TWO.replace("step second updates B {", "step second updates B {\n freeze B.c.dense.W"))
    held.step(0)
    assert np.array_equal(held.state["B.c.dense.W"], before["B.c.dense.W"])
    assert not np.array_equal(held.state["B.c.dense.b"], before["B.c.dense.b"])


# ---- the text


def test_it_is_written_and_read_again() -> None:
    text = TWO.replace("every batch first, second", "every batch first\n every 3 batches second\n average 0.9 for A.*")
    text = text.replace("step first updates A {", "step first updates A, *.b {\n z = 1\n clip norm 2\n freeze A.none")
    once = read_text(Source(name="a", text=text))
    written = write_spec(once)
    twice = read_text(Source(name="a", text=written))
    assert write_spec(twice) == written
    assert "every 3 batches second" in written
    assert "step first updates A, *.b {" in written
    again = type(once).model_validate_json(once.model_dump_json())
    assert again == once


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("first.optimizer.lr", "0.5", {"first.rate": 0.5, "second.rate": 0.1}),
        ("optimizer.lr", "0.5", {"first.rate": 0.5, "second.rate": 0.5}),
        ("train.second.optimizer.lr", "0.5", {"first.rate": 0.1, "second.rate": 0.5}),
        ("d.first.optimizer", "sgd(lr = 2)", {"first.rate": 2, "second.rate": 0.1}),
    ],
)
def test_set_reaches_into_a_step(steps: Make, name: str, value: str, seen: dict[str, float]) -> None:
    run = steps(TWO, **{name: value})
    out = run.step(0)
    assert {key: pytest.approx(float(out[key])) for key in seen} == seen


def test_a_step_may_be_clipped_by_hand(steps: Make) -> None:
    clipped, plain = steps(TWO, **{"first.clip.norm": "1e-4"}), steps(TWO)
    clipped.step(0)
    plain.step(0)
    assert not np.array_equal(clipped.state["A.a.dense.W"], plain.state["A.a.dense.W"])


@pytest.mark.parametrize("name", ["frist.optimizer.lr", "first.optimizer.momentun", "first.batch", "clip.nrom"])
def test_set_names_what_there_is(steps: Make, name: str) -> None:
    with pytest.raises(ProblemError) as caught:
        steps(TWO, **{name: "1"})
    (problem,) = caught.value.problems
    assert problem.code in ("B060", "B069")
    assert problem.help_text


# ---- as a command


def test_it_goes_on_to_the_last_bit(nn: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = TWO.replace(
        "net B(x: [b, 3]) -> c: [b] { c = x ->", "net B(x: [b, 3]) -> c: [b] { c = x -> dropout(0.2) ->"
    )
    text = drawn.replace("sgd(lr = 0.1)", "adam()").replace(
        "first, second", "first\n every 3 batches second\n average 0.9"
    )
    text = text.replace("epochs 2", "epochs 4")
    Path("s.nn").write_text(text, encoding="utf-8")
    assert nn("train", "s.nn", "--out", "straight")[0] == 0
    assert nn("train", "s.nn", "--out", "broken", "--epochs", 2)[0] == 0
    assert nn("resume", "broken", "--epochs", 4)[0] == 0
    weights = [Path(name, "weights.safetensors").read_bytes() for name in ("straight", "broken")]
    assert weights[0] == weights[1]
    assert Path("straight/predict.onnx").read_bytes() == Path("broken/predict.onnx").read_bytes()


def test_its_figures_are_those_of_each_step(
    nn: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = TWO.replace("seed 3", "seed 3\n keep best val.second.loss\n stop when val.first.loss < 1e-9")
    Path("s.nn").write_text(text, encoding="utf-8")
    code, out, _ = nn("train", "s.nn", "--out", "run", "--format", "json")
    assert code == 0
    done = json.loads(out.splitlines()[-1])
    assert list(done["val"]) == ["first.loss", "second.loss", "error"]
    code, out, _ = nn("eval", "run", "--on", "val", "--format", "json")
    assert code == 0
    assert json.loads(out)["val"] == {"rows": 8, **{name: pytest.approx(value) for name, value in done["val"].items()}}
    code, out, _ = nn("probe", "run", "B.c", "--example", 0)
    assert (code, "B.c" in out) == (0, True)
    code, out, _ = nn("check", "s.nn", "--gradients")
    assert code == 0
    assert "by second.loss" in out


def test_a_net_that_no_step_updates_is_named(nn: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "s.nn"
    path.write_text(TWO.replace("step second updates B {", "step second updates A {"), encoding="utf-8")
    code, out, err = nn("check", path)
    assert code == 0
    assert "note: no step updates `B`: it stays as it begins" in out + err
    path.write_text(TWO, encoding="utf-8")
    code, out, err = nn("check", path)
    assert "note" not in out + err


def test_an_answer_that_is_drawn_is_asked_about_nothing(
    nn: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.nn").write_text(TWO.replace("  error", "  answer B(normal[4, 3])\n  error"), encoding="utf-8")
    code, _, err = nn("train", "s.nn", "--out", "run")
    assert (code, "nn predict run\n" in err) == (0, True)
    told = [nn("predict", "run", *more) for more in ((), (), ("--seed", 5))]
    assert [code for code, _, _ in told] == [0, 0, 0]
    assert told[0][1] == told[1][1] != told[2][1]
    assert len(told[0][1].splitlines()) == 4
    code, _, err = nn("predict", "run", "x.csv")
    assert (code, "leave x.csv away" in " ".join(err.split())) == (2, True)


def test_without_an_answer_the_nets_that_read_columns_are_asked(steps: Make) -> None:
    run = steps(TWO)
    assert run.program.outputs == ("a", "c")
    assert [output.name for output in run.program.graphs["predict"].outputs] == ["a", "c"]


def test_nets_with_windows_and_scans_that_are_called_are_measured_row_by_row(compiled):
    made = compiled("""
data dots { source generate 24; x = normal(0, 1)[4, 6]; split train 50%, test 50% }
net Rates(x: [b, c, t]) -> y: [b] {
  seen = x -> conv(3) -> max_pool
  y = concat(flatten(seen), last((x -> gru(3)), over = 1)) -> dense(1) -> squeeze
}
train on dots as rated {
  step one updates Rates {
    loss (Rates(x) - 1)^2
    optimizer sgd(lr = 0.1)
  }
  every batch one
  error Rates(0.5*x) > 0
  metric middle = Rates(x)
  batch 5
  epochs 1
}
""")
    assert not any(total.fold == "rows" for figure in made.program.figures for total in figure.totals)


def test_a_net_that_looks_at_all_rows_and_scans_is_measured_in_the_steps_own_types(compiled):
    made = compiled("""
data dots { source generate 24; x = normal(0, 1)[6, 4]; split train 50%, test 50% }
net Rates(x: [b, t, n]) -> y: [b] { y = last((x -> gru(3)), over = 1) -> dense(1) -> squeeze }
train on dots as rated {
  step one updates Rates {
    loss Rates(x)^2
    optimizer sgd(lr = 0.1)
  }
  every batch one
  metric odd = abs(Rates(x - mean(x, over = b)))
  batch 5
  epochs 1
}
""")
    formula = made.program.graphs["figures"]
    assert any(node.op == "scan" for node in formula.nodes)
