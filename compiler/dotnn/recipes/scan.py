"""How to draw small scans: a drawn body over a few steps, one of its values as the result."""

from __future__ import annotations

from dotnn.graph import Dim
from dotnn.operation import Operation
from dotnn.recipes.draw import Draw, draws
from dotnn.tape import Tape, Value

ROWS: tuple[Dim, ...] = ("b", 2)


@draws("scan")
def _remembered(draw: Draw, op: Operation) -> Value:
    """h = tanh(x + h @ W) and c = sin(c) + 0.5 * h * y^2."""
    steps, rows, width = draw.whole(1, 4), draw.among(ROWS), draw.size()
    carried = [draw.real((rows, width)), draw.real((rows, width))]
    scanned = [draw.real((steps, rows, width)), draw.real((steps, rows, width))]
    given = draw.real((width, width))
    body = Tape("step")
    h, c = (body.input(f"carried.{n}", value.type, "data") for n, value in enumerate(carried))
    x, y = (body.input(f"slice.{n}", value.type.shaped(value.dims[1:]), "data") for n, value in enumerate(scanned))
    summed = x + h @ body.input("given.0", given.type, "data")
    now = body.add("tanh", summed)
    body.output("next.0", now, "output")
    body.output("next.1", body.add("sin", c) + 0.5 * now * (y * y), "output")
    final = draw.chance()
    result = draw.among(("carried.0", "carried.1")) if final else draw.among((summed, now, h)).name
    facts = {"back": draw.chance(), "body": body.graph(), "carried": 2, "dim": steps, "scanned": 2}
    return op(*carried, *scanned, given, result=result, final=final, **facts)


@draws("scan")
def _chosen(draw: Draw, op: Operation) -> Value:
    """A whole number that counts, and what is carried only where a truth of the step says so."""
    steps, rows = draw.whole(1, 4), draw.among(ROWS)
    total, x = draw.real((rows,)), draw.real((steps, rows))
    count, kept = draw.integer((), 0, 3), draw.truth((steps, rows))
    body = Tape("step")
    carried = body.input("carried.0", total.type, "data")
    place = body.input("carried.1", count.type, "data")
    here = body.input("slice.0", x.type.shaped((rows,)), "data")
    where = body.input("slice.1", kept.type.shaped((rows,)), "data")
    after = body.add("select", where, carried * 0.5 + body.add("sin", here), carried)
    body.output("next.0", after, "output")
    body.output("next.1", place + body.literal(1, "i64"), "output")
    back = draw.chance()
    facts = {"back": back, "body": body.graph(), "carried": 2, "dim": steps, "scanned": 2}
    return op(total, count, x, kept, result=after.name, final=False, **facts)
