"""A product of an equation moves no more numbers than it must: what is larger stays as it lies in memory."""

import pytest

from dotnn.elaborate.contract import Order, contract
from dotnn.elaborate.values import Tensor
from dotnn.graph import Dim, Type
from dotnn.simplify import only, simplify
from dotnn.tape import Tape

SIZES: dict[str, Dim] = {"b": "b", "g": 2, "p": 3, "i": 40, "j": 40, "e": 8, "n": 8, "k": 40}


def moved(*factors, left):
    """The dims of what is transposed for the product of these, in the order of the left side."""
    tape, order = Tape("layout"), Order()
    for label in left:
        order.place(label)
    given = []
    for number, labels in enumerate(factors):
        value = tape.input(f"x{number}", Type(dtype="f32", dims=tuple(SIZES[n] for n in labels)), "data")
        given.append(order.sorted(Tensor(value, tuple(labels))))  # as subscripts bring them
    made = contract(tape, given, order, left)
    graph = simplify(only(tape.graph(), {"y": made.value.name}))
    return [node.type.dims for node in graph.nodes if node.op == "transpose"]


@pytest.mark.parametrize(
    ("factors", "left", "wanted"),
    [
        # What was looked up lies as [b, i, g, p, e]; scores, the largest, come out in their order.
        (("bigpe", "bjge"), "bgpij", [("b", 2, 3, 40, 8), ("b", 2, 8, 40)]),
        # The shares stay as they lie; what they make of the values is moved.
        (("bgpij", "bjgn"), "bigpn", [("b", 2, 40, 8), ("b", 40, 2, 3, 8)]),
        # A product whose result is as large as its factors comes out in the order of the left side.
        (("bij", "bjk"), "bki", [("b", 40, 40), ("b", 40, 40)]),
    ],
)
def test_the_larger_stays(factors, left, wanted):
    assert moved(*factors, left=left) == wanted
