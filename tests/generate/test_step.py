"""The graphs `start` and `next` give, token by token, what the net gives for the whole text at once."""

from typing import Any

import numpy as np
import pytest
from tests.generate.conftest import HERE, compiled, run, started

from dotnn.compiler import compile_file
from dotnn.generate.plan import written
from dotnn.generate.step import steps
from dotnn.graph import Type
from dotnn.tape import Tape
from dotnn_grammar.problems import ProblemError

NETS = ["Learned", "Rotary", "Mixed", "Both", "Waves", "Turns"]


def by_steps(net, first: int, backend: str, float64: bool):
    """What the net gives at each place from ``first`` on, made one token after another."""
    graphs, plan = net.program.graphs, net.plan
    window = net.tokens.copy()
    window[:, first + 1 :] = 0
    feeds = {**net.state, **net.others, plan.column: window, "position": np.array(first)}
    made = run(graphs["start"], feeds, backend, float64)
    found, kept = [made[plan.output]], dict(made)
    following = started(graphs["next"], backend, float64)
    for place in range(first + 1, plan.length):
        caches = {name.removesuffix(".next"): array for name, array in kept.items()}
        feeds = {**feeds, **caches, plan.column: net.tokens[:, place], "position": np.array(place)}
        made = following.run({fed.name: feeds[fed.name] for fed in graphs["next"].inputs})
        kept |= made
        found.append(made[plan.output])
    return np.stack(found, axis=1)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("backend", "float64", "bound"), [("reference", True, 1e-12), ("onnx", False, 1e-5)])
def test_each_step_gives_what_the_whole_gives(name, backend, float64, bound):
    net = compiled(name)
    feeds = {**net.state, **net.others, net.plan.column: net.tokens}
    whole = run(net.program.graphs["predict"], feeds, backend, float64)[net.plan.output]
    for first in (4,) if float64 else (0, 5):
        found = by_steps(net, first, backend, float64)
        assert np.abs(found - whole[:, first:]).max() <= bound * np.abs(whole).max()


def test_what_is_kept_is_keys_values_and_states():
    kept = {
        name: [str(fed.type) for fed in compiled(name).program.graphs["next"].inputs if fed.role == "cache"]
        for name in NETS
    }
    assert kept["Learned"] == ["f32[b, 2, 8, 12]", "bool[b, 1, 12]", *["f32[b, 2, 12, 8]", "f32[b, 2, 8, 12]"] * 2][:5]
    # Two keys and values are shared by four heads: no more than two are kept.
    assert all("[b, 2, " in type for type in kept["Rotary"] if type.startswith("f32"))
    assert len(kept["Both"]) == 10
    states = [fed.name for fed in compiled("Turns").program.graphs["next"].inputs if fed.name.startswith("carry.")]
    assert states == ["carry.0", "carry.1", "carry.2"]
    assert not any(node.op == "scan" for node in compiled("Turns").program.graphs["next"].nodes)


def test_a_step_does_the_same_work_at_any_place():
    """All sizes but the number of texts are known, and nothing but what is kept has a dim of places twice."""
    for name in NETS:
        graph = compiled(name).program.graphs["next"]
        for node in graph.nodes:
            assert all(isinstance(dim, int) or dim == "b" or dim.endswith("*b") for dim in node.type.dims)
            assert sum(dim == 12 for dim in node.type.dims) < 2 or "Mixed" in name


def test_a_net_that_looks_ahead_is_refused_with_its_line():
    program = compile_file(HERE / "nets.nn", {}, "Ahead").program
    with pytest.raises(ProblemError) as caught:
        written(program, "token")
    problem: Any = caught.value.problems[0]
    assert problem.code == "W001"
    line = (HERE / "nets.nn").read_text().splitlines()[problem.span.line - 1]
    assert line.strip().startswith("y[b, i, group, each, f] = look")
    assert "hide what comes later" in problem.help_text


def sketch(write, length: int = 6):
    """A graph predict made by hand: ``write`` makes of the looked-up tokens f32[b, t, 4] what is answered."""
    tape = Tape("predict")
    token = tape.input("token", Type(dtype="i64", dims=("b", length)), "data")
    table = tape.input("table", Type(dtype="f32", dims=(9, 4)), "state")
    tape.output("scores", write(tape, tape.add("gather", table, token)), "output")
    return tape.graph()


def agree(graph, length: int = 6):
    made = steps(graph, "token", "scores")
    numbers = np.random.default_rng(1)
    feeds = {"table": numbers.normal(size=(9, 4)), "token": numbers.integers(0, 9, (2, length))}
    whole = run(graph, feeds)["scores"]
    first = feeds["token"].copy()
    first[:, 1:] = 0
    kept = run(made.start, {**feeds, "token": first, "position": np.array(0)})
    assert np.allclose(kept["scores"], whole[:, 0], atol=1e-12)
    for place in range(1, length):
        caches = {name.removesuffix(".next"): array for name, array in kept.items()}
        feeds |= {**caches, "position": np.array(place)}
        kept = kept | run(made.next, {**feeds, "token": feeds["token"][:, place]})
        assert np.allclose(kept["scores"], whole[:, place], atol=1e-12)
    return made


def test_what_comes_back_from_later_places_is_worked_out_anew():
    """Shifted to later places and back again: right, though a kept place would not be known in time."""

    def write(tape, x):
        zeros = tape.literal(0.0).expand(("b", 2, 4))
        late = tape.add("concat", zeros, tape.add("slice", x, axis=1, start=0, stop=4), axis=1)
        return tape.add("concat", tape.add("slice", late * 2.0, axis=1, start=2, stop=6), zeros, axis=1)

    made = agree(sketch(write))
    assert [str(fed.type) for fed in made.next.inputs if fed.role == "cache"] == ["i64[b, 6]"]


def test_places_that_are_merged_with_others_are_followed():
    def write(tape, x):
        flat = x.reshape(("6*b", 4))
        apart = (flat * 2.0).reshape(("b", 6, 2, 2)).transpose((0, 2, 1, 3)).reshape(("b", 2, 12))
        return apart.reshape(("b", 2, 6, 2)).transpose((0, 2, 1, 3)).reshape(("b", 6, 4))

    made = agree(sketch(write))
    assert not [fed for fed in made.next.inputs if fed.role == "cache"]


def test_sums_of_what_came_before():
    def write(tape, x):
        upto = tape.add("cumulate", x, axis=1, back=False)
        order = tape.add("iota", dim=6).cast("f32").reshape((6, 1)) + 1.0
        return upto / order

    agree(sketch(write))


@pytest.mark.parametrize(("dilation", "before"), [(1, 2), (2, 4), (1, 4), (2, 6)])
def test_a_convolution_is_made_at_one_place(dilation, before):
    """Of windows that reach over the beginning, and that end before the place itself."""

    def write(tape, x):
        kernel = tape.add("slice", x.tape.values["table"], axis=0, start=0, stop=6).reshape((4, 2, 3))
        moved = tape.add("normalise", x, eps=1e-3).transpose((0, 2, 1))
        how = {"stride": (1,), "dilation": (dilation,), "before": (before,), "after": (0,), "groups": 2}
        every = tape.add("convolve", moved, kernel, **how)
        return tape.add("slice", every, axis=2, start=0, stop=6).transpose((0, 2, 1)) + x

    made = agree(sketch(write))
    assert [str(node.type) for node in made.next.nodes if node.op == "convolve"] == ["f32[b, 4, 1]"]
    assert [str(fed.type) for fed in made.next.inputs if fed.role == "cache"] == ["f32[b, 4, 6]"]


@pytest.mark.parametrize("op", ["sum", "mean", "max", "cumulate", "sort"])
def test_what_mixes_all_places_is_refused(op):
    def write(tape, x):
        if op == "cumulate":
            return tape.add("cumulate", x, axis=1, back=True)
        if op == "sort":
            order = tape.add("argsort", x, axis=1, size=6, falling=False)
            return tape.add("take", x, order, axis=1)
        return x + tape.add(op, x, axes=(1,), keep=True)

    with pytest.raises(ProblemError) as caught:
        steps(sketch(write), "token", "scores")
    assert caught.value.problems[0].code == "W001"
