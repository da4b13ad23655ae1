"""The same step over and over: each takes what the one before carried to it.

A scan is a graph for one step, its body, with inputs in this order:

    carried     what the step before gave; before the first step, what the scan was given
    slices      of each scanned tensor, which has the steps as its first dim, the part of this step
    given       the same in every step

Its outputs `next.0`, `next.1`, … are what is carried on. A scan has one result, as every operation: the values of one
name in the body, of all steps (``result``), or what is carried out of the last step (``final``). Scans that differ in
nothing but that are run as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dotnn.graph import Attribute, Dim, Graph, Node, Type
from dotnn.operation import Gradients, MisfitError, Operation, register
from dotnn.tape import Value

Result = tuple[str, bool]
"""``result`` and ``final`` of a scan."""


def _scan(
    *inputs: Type, back: bool, body: Graph, carried: int, dim: Dim, final: bool, result: str, scanned: int
) -> Type:
    if dim == 0:
        raise MisfitError("there is nothing to scan: what it goes along has 0 places")
    wanted = [fed.type for fed in body.inputs]
    if len(inputs) != len(wanted):
        raise MisfitError(f"a step takes {len(wanted)} values, and {len(inputs)} are given")
    for number, (given, one) in enumerate(zip(inputs, wanted, strict=True)):
        whole = one.shaped((dim, *one.dims)) if carried <= number < carried + scanned else one
        if given != whole:
            raise MisfitError(f"a step takes {whole} as input {number}, not {given}")
    types = body.types()
    for number in range(carried):
        made = types[body.output(f"next.{number}").value]
        if made != wanted[number]:
            raise MisfitError(f"{wanted[number]} is carried into a step, and {made} out of it")
    if result not in types:
        raise MisfitError(f"nothing in a step is called {result}")
    one = types[result]
    return one if final else one.shaped((dim, *one.dims))


def together(node: Node) -> tuple[object, ...]:
    """The same for scans that are one run."""
    shared = {k: v for k, v in node.attributes.items() if k not in ("result", "final", "body")}
    body = node.attributes["body"]
    assert isinstance(body, Graph)
    return node.inputs, body.mark, tuple(sorted(shared.items()))


def result_of(attributes: Mapping[str, Attribute]) -> Result:
    return str(attributes["result"]), bool(attributes["final"])


def _gradient(g: Value, y: Value, *inputs: Value, **attributes: Attribute) -> Gradients:
    return _jointly({result_of(attributes): g}, inputs, [True] * len(inputs), **attributes)


def _jointly(
    flows: Mapping[Result, Value], inputs: Sequence[Value], wanted: Sequence[bool], **attributes: Attribute
) -> Gradients:
    from dotnn.scans.steps import back_through  # it writes scans itself

    return back_through(flows, inputs, wanted, attributes)


scan = register(
    Operation(
        "scan",
        _scan,
        _gradient,
        jointly=_jointly,
        doc="""the step `body` over and over, `dim` times, from the last to the first with `back`: of all steps the
value `result`, or what the last of them carries on (`final`)""",
    )
)
