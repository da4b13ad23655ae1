"""How far a net looks, worked out without running it, is how far it looks when it is run."""

from typing import Any

import numpy as np
import pytest
from tests.generate.conftest import HERE, compiled, run

from dotnn.compiler import compile_file
from dotnn.generate.reach import causal_axis, reaches
from dotnn.generate.seen import Reach
from dotnn.graph import Type
from dotnn.tape import Tape

NETS = ["Learned", "Rotary", "Mixed", "Both", "Waves", "Turns"]


@pytest.mark.parametrize("name", NETS)
def test_no_later_token_changes_an_answer(name):
    net = compiled(name)
    graph, plan = net.program.graphs["predict"], net.plan
    found = reaches(graph, plan.column)[graph.output(plan.output).value]
    assert isinstance(found, Reach)
    assert causal_axis(found, plan.length) is not None
    feeds = {**net.state, **net.others, plan.column: net.tokens}
    whole = run(graph, feeds)[plan.output]
    for place in (1, 6, 11):
        other = net.tokens.copy()
        other[:, place:] = (other[:, place:] + 1 - 4) % 5 + 4
        again = run(graph, {**feeds, plan.column: other})[plan.output]
        assert (again[:, :place] == whole[:, :place]).all()
        assert (again[:, place:] != whole[:, place:]).any()


def test_a_net_that_looks_at_everything():
    graph = compile_file(HERE / "nets.nn", {}, "Ahead").program.graphs["predict"]
    found: Any = reaches(graph, "token")[graph.output("logits").value]
    assert found.last.tolist() == [11] * 12


def reach_of(write, length: int = 5):
    tape = Tape("predict")
    token = tape.input("token", Type(dtype="i64", dims=("b", length)), "data")
    x = tape.add("gather", tape.input("table", Type(dtype="f32", dims=(9, 3)), "state"), token)
    made = write(tape, x)
    tape.output("y", made, "output")
    return reaches(tape.graph(), "token")[made.name]


def windows(tape, least: int, most: int, length: int = 5):
    """1 where least <= i - j <= most."""
    i = tape.add("iota", dim=length).reshape((length, 1))
    j = tape.add("iota", dim=length).reshape((1, length))
    back = i - j
    low, high = tape.literal(least, "i64"), tape.literal(most, "i64")
    return tape.add("and", tape.add("ge", back, low), tape.add("le", back, high))


CASES = {
    "as it is": (lambda tape, x: x * 2.0 + 1.0, [0, 1, 2, 3, 4]),
    "summed": (lambda tape, x: x.sum((1,), keep=True) + x, [4, 4, 4, 4, 4]),
    "up to here": (lambda tape, x: tape.add("cumulate", x, axis=1, back=False), [0, 1, 2, 3, 4]),
    "from here": (lambda tape, x: tape.add("cumulate", x, axis=1, back=True), [4, 4, 4, 4, 4]),
    "a matrix of 0 and 1": (lambda tape, x: windows(tape, 1, 2).cast("f32") @ x, [-1, 0, 1, 2, 3]),
    "chosen from": (
        lambda tape, x: (
            tape.add(
                "softmax",
                tape.add("select", windows(tape, 0, 9), x @ x.T, tape.literal(-1e9)),
            )
            @ x
        ),
        [0, 1, 2, 3, 4],
    ),
    "taken away": (
        lambda tape, x: (tape.add("softmax", x @ x.T - 1e6 * tape.add("not", windows(tape, 2, 3)).cast("f32")) @ x).sum(
            (2,)
        ),
        [4, 4, 2, 3, 4],  # where all are hidden the shares are even; and who looks asks with its own token
    ),
    "not taken away far enough": (
        lambda tape, x: tape.add("softmax", x @ x.T - 100 * tape.add("not", windows(tape, 0, 9)).cast("f32")) @ x,
        [4, 4, 4, 4, 4],
    ),
    "moved": (
        lambda tape, x: tape.add("pad", tape.add("slice", x, axis=1, start=0, stop=3), axis=1, before=2, after=0),
        [-1, -1, 0, 1, 2],
    ),
    "turned round": (
        lambda tape, x: tape.add("gather", x.transpose((1, 0, 2)), 4 - tape.add("iota", dim=5)).transpose((1, 0, 2)),
        [4, 3, 2, 1, 0],
    ),
    "made even": (lambda tape, x: tape.add("normalise", x, eps=1e-5), [0, 1, 2, 3, 4]),
    "along the text": (
        lambda tape, x: tape.add("normalise", x.transpose((0, 2, 1)), eps=1e-5).transpose((0, 2, 1)),
        [4, 4, 4, 4, 4],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_operation_tells_how_far_it_looks(case):
    write, expected = CASES[case]
    found = reach_of(write)
    number = next((i for i, axis in enumerate(found.axes) if axis.dim == 1), None)
    last = found.last if number is not None else np.broadcast_to(found.last, (5,))
    others = tuple(i for i in range(last.ndim) if i != (number or 0))
    assert last.max(axis=others).tolist() == expected
