"""A graph computed value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.feeds import NUMPY, agree, require, sized, solve
from dotnn.graph import Dtype, Graph, Input, Node, measure
from dotnn.ops.scan import result_of, together
from dotnn.plugins import lowering
from dotnn_reference.formulas import FORMULAS
from dotnn_reference.problems import NoFormula, NoSuchNumbers, WrongNumbers


def evaluate(graph: Graph, feeds: Mapping[str, Any], float64: bool = False) -> dict[str, Array]:
    """Every output of the graph. ``feeds``: an array for each input.

    Each operation is computed in float64 and rounded once to its own type; with ``float64`` reals are not rounded at
    all (random numbers keep their bits). Raises ``ProblemError`` where ``feeds`` do not suit the graph.
    """
    found = values(graph, feeds, float64)
    return {output.name: found[output.value].copy() for output in graph.outputs}


def values(graph: Graph, feeds: Mapping[str, Any], float64: bool = False) -> dict[str, Array]:
    """Every value of the graph by its name: inputs and the results of all operations."""
    require(graph.name, graph.inputs, feeds)
    found = {fed.name: _accept(fed, feeds[fed.name], float64) for fed in graph.inputs}
    sizes = solve({fed.name: fed.type for fed in graph.inputs}, {name: array.shape for name, array in found.items()})
    runs: dict[object, Run] = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [found[name] for name in node.inputs]
            if node.op == "scan":
                found[node.name] = _scanned(node, inputs, sizes, float64, runs)
            else:
                found[node.name] = _compute(node, inputs, sizes, float64)
            agree(node.name, node.type, found[node.name].shape, sizes)  # the type rule told the truth
    return found


def _stored(dtype: Dtype, float64: bool) -> np.dtype[Any]:
    if dtype not in NUMPY:
        raise NoSuchNumbers(dtype=dtype).error()
    made = np.dtype(NUMPY[dtype])
    return np.dtype(np.float64) if float64 and made.kind == "f" else made


def _accept(fed: Input, value: Any, float64: bool) -> Array:
    given = np.asarray(value)
    wanted = _stored(fed.type.dtype, float64)
    if not np.can_cast(given.dtype, wanted, "same_kind"):
        raise WrongNumbers(name=fed.name, wanted=fed.type.dtype, given=str(given.dtype)).error()
    return given.astype(wanted)


Run = dict[tuple[str, bool], Array]
"""Of a scan: by the name of a value in its body, that of all steps, or (with True) what was carried out of the last."""


def _scanned(
    node: Node, inputs: list[Array], sizes: Mapping[str, int], float64: bool, runs: dict[object, Run]
) -> Array:
    """A scan step by step; scans that are one run are run once."""
    key = together(node)
    if key not in runs:
        runs[key] = _run(node, inputs, sizes, float64)
    return runs[key][result_of(node.attributes)]


def _run(node: Node, inputs: list[Array], sizes: Mapping[str, int], float64: bool) -> Run:
    facts: dict[str, Any] = sized(node.name, node.attributes, sizes)
    body, count, scanned, length = (facts[name] for name in ("body", "carried", "scanned", "dim"))
    carried, sequences, given = inputs[:count], inputs[count : count + scanned], inputs[count + scanned :]
    types = body.types()
    made: dict[str, dict[int, Array]] = {name: {} for name in types}
    for step in reversed(range(length)) if facts["back"] else range(length):
        values = [*carried, *(sequence[step] for sequence in sequences), *given]
        now = dict(zip((fed.name for fed in body.inputs), values, strict=True))
        inner: dict[object, Run] = {}
        for one in body.nodes:
            given_now = [now[name] for name in one.inputs]
            if one.op == "scan":
                now[one.name] = _scanned(one, given_now, sizes, float64, inner)
            else:
                now[one.name] = _compute(one, given_now, sizes, float64)
        carried = [now[body.output(f"next.{number}").value] for number in range(count)]
        for name, value in now.items():
            made[name][step] = value
    run: Run = {(f"carried.{number}", True): value for number, value in enumerate(carried)}
    for name, type in types.items():
        shape = (length, *(measure(dim, sizes) for dim in type.dims))
        whole = [made[name][step] for step in range(length)]
        run[name, False] = np.stack(whole) if whole else np.zeros(shape, _stored(type.dtype, float64))
    return run


def _compute(node: Node, inputs: list[Array], sizes: Mapping[str, int], float64: bool) -> Array:
    formula = FORMULAS.get(node.op) or lowering(node.op, "reference")
    if formula is None:
        raise NoFormula(op=node.op).error()
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
    result = np.asarray(formula(*wide, **sized(node.name, node.attributes, sizes)))
    return result.astype(_stored(node.type.dtype, float64))
