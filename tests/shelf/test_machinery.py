"""The battery of the shelf is tested itself: what is a little wrong fails, and the report says where."""

from __future__ import annotations

import numpy as np
import pytest

from dotnn.testing import FailedError, Peers, check_definition, goldens
from dotnn.testing.lines import Try, told
from dotnn.testing.shelf import distance, near
from dotnn.testing.tried import STEPS, Tensors

DOC = "# Something.\n#\n# source: nobody\n"


def report(body, *lines):
    return check_definition(DOC + "".join(f"# {line}\n" for line in lines) + body)


CASES = {
    "right": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: [3, 4]", "numpy: 2 * x", "holds: y == 2 * x"],
        "",
    ),
    "wrong by a billionth": (
        "function twice(x) { return 2.000000001 * x }",
        ["try: twice(x)  for x: [3, 4]", "numpy: 2 * x"],
        "in double precision (1 of 1 failed)",
    ),
    "no gradient where there is one": (
        "function twice(x) { return x + stop(x) }",
        ["try: twice(x)  for x: [3, 4]", "numpy: 2 * x"],
        "its gradients are derivatives (1 of 1 failed)",
    ),
    "far out it overflows": (
        "function soft(x) { return log(1 + exp(x)) }",
        ["try: soft(x)  for x: [3, 4]", "numpy: logaddexp(x, 0)"],
        "far result is off by inf",
    ),
    "with a range it is not sent far out": (
        "function soft(x) { return log(1 + exp(x)) }",
        ["try: soft(x)  for x: [3, 4] in -2..2", "numpy: logaddexp(x, 0)"],
        "",
    ),
    "equal numbers divide by zero": (
        "function even(x) { return (x - mean(x)) / sqrt(mean((x - mean(x))^2)) }",
        ["try: even(x)  for x: [3, 4]", "numpy: (x - x.mean()) / (x.std() or 1)"],
        "equal result is off by inf",
    ),
    "too much for single precision": (
        "function spread(x) { return mean(x^2, over = -1) - mean(x, over = -1)^2 }",
        ["try: spread(x)  for x: [3, 4] in 1000..1001", "numpy: x.var(-1)"],
        "as ONNX in single precision (1 of 1 failed)",
    ),
    "training is forgotten": (
        "layer noisy()(x: [b, n]) -> [b, n] { when training { y = 2*x } else { y = x }\n return y }",
        ["try: x -> noisy  for x: [3, 4]", "numpy: 2 * x"],
        "elsewhere result is off by 5.0e-01",
    ),
    "the state is another": (
        "layer memory()(x: [b, n]) -> [b, n] {\n state m: [n] = 1\n"
        " when training { m = 0.9*m + 0.1*mean(x, over = b) }\n return x - m }",
        ["try: x -> memory  for x: [3, 4]", 'numpy: x - state["m"]'],
        "step 1 result",
    ),
    "a weight by its name": (
        "layer scaled()(x: [..., n]) -> [..., n] { weight s: [n] ~ 1\n return x * s }",
        ["try: x -> scaled  for x: [b, 4]", 'numpy: x * weight["s"]'],
        "",
    ),
    "what was drawn": (
        "layer noise()(x: [b, n]) -> [b, n] { return x + random([b, n]) }",
        ["try: x -> noise  for x: [b, 4]", "numpy: x + drawn[0]"],
        "",
    ),
    "an optimizer with a memory": (
        "optimizer heavy(lr = 0.1)(w, g) { state m = 0\n m = 0.9*m + g\n w = w - lr*m }",
        ["try: heavy(lr = 0.2)", "numpy: (slot(m = 0.9*slot.m + g), w - 0.2*slot.m)[-1]"],
        "",
    ),
    "another memory": (
        "optimizer heavy(lr = 0.1)(w, g) { state m = 0\n m = 0.9*m + g\n w = w - lr*m }",
        ["try: heavy", "numpy: (slot(m = 0.9*slot.m + 0.1*g), w - slot.m)[-1]", "try: heavy(lr = 0.2)", "numpy: w"],
        "step 1 w0 is off",
    ),
    "a schedule a step early": (
        "function ramp(to)(step, steps) { return to * (step - 1) / steps }",
        ["try: ramp(2)  for 10 steps", "numpy: 2 * step / steps"],
        "rates is off",
    ),
    "a start that is too wide": (
        "function wide()(shape, fan_in) { return random(shape) * fan_in }",
        ["try: wide  for [4, 3]", "numpy: drawn[0] * fan_out"],
        "result is off",
    ),
    "a truth that is none": (
        "function wide()(shape) { return random(shape) }",
        ["try: wide  for [40, 3]", "holds: y.max() < 0.5"],
        "this does not hold: y.max() < 0.5",
    ),
    "nobody to agree with": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: [3, 4]"],
        "has somebody to agree with (nothing was tried)",
    ),
    "a peer who is not here": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: [3, 4]", "torch: 2 * x"],
        "torch is not here to be asked: give `peers=Peers(torch=torch)`",
    ),
    "a peer that Python refuses": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: [3, 4]", "numpy: 2 * z"],
        "`2 * z` is refused by Python: NameError",
    ),
    "an expression that has no meaning": (
        "function twice(x) { return 2 * x }",
        ["try: thrice(x)  for x: [3, 4]", "numpy: 3 * x"],
        "there is nothing called `thrice`",
    ),
    "no sizes": ("function twice(x) { return 2 * x }", ["try: twice(x)  for x", "numpy: 2 * x"], "`x` needs its sizes"),
    "no bound": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: int[3]", "numpy: 2 * x"],
        "needs a bound below which to draw",
    ),
    "a line of prose among them": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: [3]", "and more"],
        "`and more` stands below the labelled lines",
    ),
    "two peers for one line": (
        "function twice(x) { return 2 * x }",
        ["try: twice(x)  for x: [3]", "numpy: 2*x", "torch: 2*x"],
        "stands below no `try:` of its own",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_fails_and_what_is_right_does_not(case):
    body, lines, said = CASES[case]
    made = report(body, *lines)
    assert made.ok == (not said), str(made)
    assert said in str(made)


@pytest.mark.peers
def test_a_line_beside_pytorch_compares_gradients_by_inputs_and_weights():
    torch = pytest.importorskip("torch")
    text = "layer scaled()(x: [..., n]) -> [..., n] {{ weight s: [n] ~ 1\n return x * {} }}"
    lines = 'try: x -> scaled  for x: [b, 4]\n# torch: x * weight["s"]'
    right = check_definition(f"{DOC}# {lines}\n{text.format('s')}", Peers(torch=torch))
    assert right.ok, str(right)
    wrong = check_definition(f"{DOC}# {lines}\n{text.format('stop(s)')}", Peers(torch=torch))
    assert "gradient weight Tried.scaled.s is off by 1.0e+00" in str(wrong)


def test_every_extreme_is_reached():
    plain = Tensors.of(Try("x * y", "x: [3, 4], y: [3, 4] in 0..1"))
    feeds = {made.how: made.turns[0].feeds for made in (plain, *plain.extremes())}
    assert list(feeds) == ["", "far", "equal", "zero", "row"]
    assert np.abs(feeds["far"]["x"]).min() > 9_900
    assert {1, -1} == set(np.sign(feeds["far"]["x"]).reshape(-1))
    assert set(feeds["zero"]["x"].reshape(-1)) == {0}
    assert feeds["row"]["x"].shape == feeds["row"]["y"].shape == (1, 4)
    assert all(0 <= fed["y"].min() < fed["y"].max() <= 1 for fed in feeds.values())


def test_state_is_carried_from_step_to_step_and_then_held():
    text = "layer count()(x: [b]) -> [b] {\n state n = 0\n when training { n = n + 1 }\n return x + n }"
    from dotnn.read import read_definitions
    from dotnn.testing.numbers import reference
    from dotnn_grammar.source import Source

    own = read_definitions(Source(name="own", text=text))
    made = Tensors.of(Try("x -> count", "x: [5]"), own).run(reference(float64=True), True)
    assert [float(made[f"step {n + 1} state n"]) for n in range(STEPS)] == [1, 2, 3]
    assert "elsewhere state n" not in made


def test_numbers_are_kept_as_they_are(tmp_path):
    tried = told("Something.\n\ntry: f(x) for x: [2]\ntorch: f(x)").tries[0]
    made = {"result": np.array([[1 / 3, -1e-300], [0, 1e10]]), "gradient x": np.array(0.1), "none": np.zeros((2, 0))}
    (tmp_path / "f.txt").write_text(goldens.written({goldens.heading(tried): made}), "utf-8")
    kept = goldens.read(tmp_path / "f.txt")[goldens.heading(tried)]
    assert list(kept) == list(made)
    for what, array in made.items():
        assert kept[what].shape == array.shape
        np.testing.assert_allclose(kept[what], array, rtol=1e-14)
    assert goldens.read(tmp_path / "nothing.txt") == {}
    (tmp_path / "f.txt").write_text("try: x\ntorch: x\nresult: 1 2\n", "utf-8")
    with pytest.raises(FailedError, match="this is no array"):
        goldens.read(tmp_path / "f.txt")


def test_a_line_whose_numbers_are_not_kept_says_how_to_write_them(tmp_path):
    text = f"{DOC}# try: f(x)  for x: [2]\n# torch: x\nfunction f(x) {{ return x }}"
    assert "f.txt holds no numbers for `try: f(x)  for x: [2]`" in str(check_definition(text, kept=tmp_path))


def test_distance():
    one = np.array([3.0, 4.0])
    assert distance(one * (1 + 1e-6), one) == pytest.approx(1e-6)
    assert distance(np.array([1e-9]), np.zeros(1)) == 1e-9
    assert distance(np.array([np.inf]), np.array([1.0])) == np.inf
    assert distance(np.array([np.nan, 1]), np.array([np.nan, 1])) == 0
    with pytest.raises(FailedError, match=r"there is no gradient x, but result"):
        near({"result": one}, {"gradient x": one}, 1)
    with pytest.raises(FailedError, match=r"result is \[2\], and by the peer \[1\]"):
        near({"result": one}, {"result": one[:1]}, 1)


def test_a_comment_is_taken_apart():
    said = told('One.of two. Three\nof it.\n\n    a + b\n    c\n\nMore.\n\nsource: A 1999, "B\n        c"\nsource: D')
    assert said.summary == "One.of two."
    assert said.formula == ("a + b", "c")
    assert said.sources == ('A 1999, "B c"', "D")
    assert told("Only a line").summary == "Only a line"
    tried = told('X.\n\ntry: f(x, [1, 2], g = "a for b")  for x: [3, 4] in 0..1, y: int[2] < 3').tries[0]
    assert tried == Try('f(x, [1, 2], g = "a for b")', "x: [3, 4] in 0..1, y: int[2] < 3")
