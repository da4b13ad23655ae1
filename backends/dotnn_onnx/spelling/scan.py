"""Scans: the body as a graph inside the graph. What is the same in every step it reads from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dotnn.graph import Dim, Graph, Node, Type
from dotnn.ops.scan import Result, result_of, together
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.tidy import drop_expands
from onnx import helper

if TYPE_CHECKING:
    from dotnn_onnx.writer import Writer


@spelling("scan")
def scan(w: Writer, node: Node) -> None:
    key = ("scan", together(node))
    if w.shared(key) is None:
        made = _run(w, [other for other in w.graph.nodes if other.op == "scan" and together(other) == key[1]])
        for (result, final), name in made.items():
            w.share((*key, result, final), name)
        w.share(key)
    found = w.shared((*key, *result_of(node.attributes)))
    assert found is not None
    w.alias(node.name, found[0])


def _run(w: Writer, nodes: list[Node]) -> dict[Result, str]:
    """Writes the run of which these are the results."""
    from dotnn_onnx.inside import Inside  # it builds on the writer, which knows these rules

    first = nodes[0]
    body = cast("Graph", first.attributes["body"])
    count, scanned = cast(int, first.attributes["carried"]), cast(int, first.attributes["scanned"])
    length = cast("Dim", first.attributes["dim"])
    results = list(dict.fromkeys(result_of(node.attributes) for node in nodes))
    wanted = list(dict.fromkeys(result for result, final in results if not final))

    carried, slices, given = (
        first.inputs[:count],
        first.inputs[count : count + scanned],
        first.inputs[count + scanned :],
    )
    ends = {f"next.{number}": body.output(f"next.{number}").value for number in range(count)}
    inside = Inside(w, _with_outputs(body, ends, wanted))
    w.bodies.append(inside)
    for fed in body.inputs[: count + scanned]:
        inside.take(fed.name)
    for fed, outer in zip(body.inputs[count + scanned :], given, strict=True):
        inside.alias(fed.name, w[outer])
    feeds = [inside.info(fed.name, fed.type) for fed in body.inputs[: count + scanned]]
    sequences = [w[name] for name in slices]
    if not sequences:  # Scan counts its steps by what it scans
        sequences = [w.emit("Range", w.number(0, "i64"), w.size(length), w.number(1, "i64"))]
        inside.take("step")
        feeds.append(inside.info("step", Type(dtype="i64")))
    inside.write()
    types = body.types()
    outputs = [inside.handed(name, types[value]) for name, value in ends.items()]
    outputs += [inside.handed(f"all.{name}", types[name]) for name in wanted]
    inner = helper.make_graph(inside.nodes, first.name, feeds, outputs)
    back = 1 if first.attributes["back"] else None
    made = w.emit_many(
        "Scan",
        [*(w[name] for name in carried), *sequences],
        [None] * (count + len(wanted)),
        body=inner,
        num_scan_inputs=len(sequences),
        scan_input_directions=back and [1] * len(sequences),
        scan_output_directions=back and [1] * len(wanted) if wanted else None,
    )
    found: dict[Result, str] = {(f"carried.{number}", True): made[number] for number in range(count)}
    found |= {(name, False): made[count + number] for number, name in enumerate(wanted)}
    return found


def _with_outputs(body: Graph, ends: dict[str, str], wanted: list[str]) -> Graph:
    """The body with outputs for what it carries on and for what is wanted of all steps; nothing that neither needs."""
    from dotnn.simplify import only

    outputs = {**ends, **{f"all.{name}": name for name in wanted}}
    kept = only(body, outputs)
    return drop_expands(kept.model_copy(update={"inputs": body.inputs}))
