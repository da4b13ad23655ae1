"""A graph computed value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dotnn.feeds import NUMPY, agree, require, sized, solve
from dotnn.graph import Dtype, Graph, Input, Node
from dotnn.plugins import lowering
from dotnn_reference.formulas import FORMULAS, Array
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
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            found[node.name] = _compute(node, [found[name] for name in node.inputs], sizes, float64)
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


def _compute(node: Node, inputs: list[Array], sizes: Mapping[str, int], float64: bool) -> Array:
    formula = FORMULAS.get(node.op) or lowering(node.op, "reference")
    if formula is None:
        raise NoFormula(op=node.op).error()
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
    result = np.asarray(formula(*wide, **sized(node.name, node.attributes, sizes)))
    return result.astype(_stored(node.type.dtype, float64))
