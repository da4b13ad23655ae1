"""Instances: who owns which weights, and what they are called."""

import numpy as np
import pytest

from dotnn_grammar.problems import ProblemError

HEAD = "net N(x: [b, 3]) -> y: [b, 3] {\n"


def weights(bench, text, **words):
    graph = bench.graphs(text, after="build", **words)["train"]
    return {fed.name: list(fed.type.dims) for fed in graph.inputs if fed.learned}


def parts(bench, text, **words):
    """The paths of what owns weights, in order."""
    return list(dict.fromkeys(path.rpartition(".")[0] for path in weights(bench, text, **words)))


def test_each_place_makes_an_instance(bench):
    text = HEAD + "  y = dense(3)(x) - dense(3)(2 * x)\n}"
    assert parts(bench, text) == ["N.y.dense", "N.y.dense[1]"]


def test_binding_shares_it(bench):
    text = HEAD + "  f = dense(3)\n  y = f(x) - f(2 * x)\n}"
    assert weights(bench, text) == {"N.f.dense.W": [3, 3], "N.f.dense.b": [3]}
    x = np.array([[1.0, 2, 3]])
    y = bench.predict(text, {"x": x})["y"]
    shared = bench.run(bench.builder(text, {"x": x}).evaluation().tape.graph(), {
        "N.f.dense.W": np.eye(3), "N.f.dense.b": np.ones(3), "x": x, "step": 0,
    })  # fmt: skip
    np.testing.assert_allclose(shared["y"], -x)
    assert y.shape == (1, 3)


def test_a_bound_layer_may_stand_in_a_chain(bench):
    assert parts(bench, HEAD + "  f = dense(3)\n  y = x -> f -> relu -> f\n}") == ["N.f.dense"]


def test_a_layer_can_be_given_to_a_layer(bench):
    residual = "layer residual(f)(x: [..., n]) -> [..., n] { return x + f(x) }\n"
    assert parts(bench, residual + HEAD + "  y = x -> residual(dense(3))\n}") == ["N.y.dense"]
    inner = "layer residual(f)(x: [..., n]) -> [..., n] { return x + (x -> f(n)) }\n"
    assert parts(bench, inner + HEAD + "  y = x -> residual(dense)\n}") == ["N.y.residual.dense"]


def test_a_net_is_one_instance(bench):
    text = "net M(x: [b, 3]) -> z: [b, 3] { z = x -> dense(3) }\n" + HEAD + "  y = M(x) + M(2 * x)\n}"
    assert parts(bench, text) == ["M.z.dense"]


def test_a_repeat_makes_one_for_each_turn(bench):
    text = HEAD + "  repeat block in 0..3 {\n    look = x -> dense(3)\n    x = x + look\n  }\n  y = x\n}"
    assert parts(bench, text) == ["N.block[0].look.dense", "N.block[1].look.dense", "N.block[2].look.dense"]
    text = HEAD + "  repeat 2 {\n    x = x -> dense(3)\n  }\n  y = x\n}"
    assert parts(bench, text) == ["N.repeat[0].x.dense", "N.repeat[1].x.dense"]


def test_each_turn_has_weights_of_its_own(bench):
    text = HEAD + "  repeat i in 0..2 {\n    weight W: [3, 3] ~ glorot\n    x = x @ W\n  }\n  y = x\n}"
    assert list(weights(bench, text)) == ["N.i[0].W", "N.i[1].W"]


def test_a_turn_may_retype_a_name(bench):
    text = HEAD + "  repeat i in 0..3 { x = x -> dense(4 + i) }\n  y = x -> dense(3)\n}"
    assert [dims for dims in weights(bench, text).values() if len(dims) == 2] == [[3, 4], [4, 5], [5, 6], [6, 3]]


def test_a_repeat_leaves_names_but_not_its_own(bench):
    bench.predict(HEAD + "  repeat i in 0..2 { z = x * i }\n  y = z\n}")
    problem = bench.problem(HEAD + "  repeat i in 0..2 { z = x * i }\n  y = z -> dense(i)\n}")
    assert problem.title_text == "there is nothing called `i` here"


def test_as_names_a_part(bench):
    text = HEAD + "  y = x -> dense(5) as hidden -> relu -> dense(3)\n}"
    assert parts(bench, text) == ["N.hidden", "N.y.dense[1]"]


def test_a_part_inside_a_part(bench):
    text = "layer block()(x: [b, n]) { look = x -> dense(n) as eye\n return look -> dense(n) }\n"
    text += HEAD + "  h = x -> block -> block\n  y = h -> block as last\n}"
    assert parts(bench, text) == [
        "N.h.block.eye",
        "N.h.block.dense",
        "N.h.block[1].eye",
        "N.h.block[1].dense",
        "N.last.eye",
        "N.last.dense",
    ]


def test_a_name_does_not_move_when_another_line_is_added(bench):
    before = HEAD + "  y = x -> dense(5) -> dense(3)\n}"
    after = HEAD + "  a = x -> dense(3)\n  y = x + a -> dense(5) -> dense(3)\n}"
    with pytest.raises(ProblemError):
        parts(bench, after)  # a chain and an operator do not mix
    after = HEAD + "  a = x -> dense(3)\n  y = (x + a) -> dense(5) -> dense(3)\n}"
    assert set(parts(bench, after)) == {*parts(bench, before), "N.a.dense"}


def test_several_results(bench):
    halves = "layer halves()(x: [b, n]) -> low: [b, n], high: [b, n] { low, high = min(x, 4), max(x, 4) }\n"
    x = np.arange(12.0).reshape(4, 3)
    text = halves + HEAD + "  a, c = x -> halves\n  y = a + 10 * c\n}"
    np.testing.assert_array_equal(bench.predict(text, {"x": x})["y"], np.minimum(x, 4) + 10 * np.maximum(x, 4))
    problem = bench.problem(halves + HEAD + "  a = x -> halves -> relu\n  y = a\n}")
    assert "only its last stage may give several" in problem.help_text
    problem = bench.problem(halves + HEAD + "  a = x -> halves\n  y = a\n}")
    assert problem.title_text == "1 name on the left, and 2 values on the right"


def test_a_named_result_is_the_tensor_of_that_name(bench):
    text = "function f(q) -> r: [...] { r = q\n r = r + 1 }\n"
    assert bench.value("f(sum(x))", before=text) == 1
    problem = bench.problem("function f(q) -> r: [...] { s = q }\n" + HEAD + "  y = f(x)\n}")
    assert problem.title_text == "`f` ends without its result `r`"


def test_functions_take_tensors_then_settings(bench):
    scale = "function scale(q, by = 2) { return q * by }\n"
    x = np.ones((4, 3))
    for text, factor in (("scale(x)", 2), ("x -> scale", 2), ("x -> scale(3)", 3), ("scale(x, by = 4)", 4)):
        np.testing.assert_array_equal(bench.value(text, {"x": x}, scale), factor * x)


def test_functions_with_two_lists(bench):
    scale = "function scale(by)(q) { return q * by }\n"
    x = np.ones((4, 3))
    np.testing.assert_array_equal(bench.value("scale(3)(x)", {"x": x}, scale), 3 * x)
    text = scale + HEAD + "  f = scale(3)\n  y = x -> f\n}"
    np.testing.assert_array_equal(bench.predict(text, {"x": x})["y"], 3 * x)
    assert "two lists" in bench.problem(scale + HEAD + "  y = x -> scale(3)\n}").help_text


def test_settings_may_use_those_before_them(bench):
    text = "function f(q, by = 2, twice = by * 2) { return q * twice }\n"
    np.testing.assert_array_equal(bench.value("f(x, by = 5)", {"x": np.ones((4, 3))}, text), np.full((4, 3), 10))


def test_an_initialiser_gets_shape_and_fans(bench):
    fans = "function fans()(shape, fan_in, fan_out) { return fill(100 * fan_in + fan_out, shape) }\n"
    for dims, expected in (("[3, 5]", 305), ("[2, 3, 5]", 605), ("[7]", 707)):
        text = fans + f"net N(x: [b, 3]) -> y: [...] {{ weight w: {dims} ~ fans\n y = w }}"
        assert (bench.predict(text)["y"] == expected).all()


def test_a_number_or_a_shaped_initialiser(bench):
    text = "net N(x: [b, 3]) -> y: [...] { weight w: [2, 3] ~ 5\n y = w + uniform(2, 2)[2, 3] }"
    np.testing.assert_array_equal(bench.predict(text)["y"], np.full((2, 3), 7))


def test_glorot_and_he_have_their_spread(bench):
    text = "net N(x: [b, 3]) -> u: [...], v: [...] {\n weight p: [300, 100] ~ glorot\n weight q: [300, 100] ~ he\n"
    made = bench.predict(text + " u = p\n v = q }", loss="mean(u)")
    limit = (6 / 400) ** 0.5
    assert 0.99 * limit < np.abs(made["u"]).max() <= limit
    assert np.var(made["v"]) == pytest.approx(2 / 300, rel=0.05)


def test_require_says_what_its_author_wrote(bench):
    heads = 'layer heads(n)(x: [b, d]) { require d % n == 0: "width {d} is not {n} heads"\n return x }\n'
    problem = bench.problem(heads + HEAD + "  y = x -> heads(2) -> dense(3)\n}")
    assert (problem.code, problem.title_text) == ("B011", "width 3 is not 2 heads")
    assert problem.span.line == 8
    bench.predict(heads + HEAD + "  y = x -> heads(3)\n}")


OUTSIDE = {
    "function f(x) { return x -> dense(3) }": "the function `f` owns no weights",
    "function f(x: [..., n]) { weight w: [n] ~ ones\n return x * w }": "only layers and nets own weights",
    "layer f()(x) { return x -> f }": "`repeat` writes a part out several times",
    "function f(x) { return g(x) }\nfunction g(x) { return f(x) }": "`repeat` writes a part out several times",
}


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_cannot_own_weights_or_use_itself(bench, text):
    assert OUTSIDE[text] in bench.problem(f"{text}\n{HEAD}  y = x -> f\n}}").help_text
