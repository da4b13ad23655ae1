"""A graph computed value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dotnn.graph import Attribute, Dim, Dtype, Graph, Input, Node, Type, measure, names_in
from dotnn.plugins import lowering
from dotnn_reference.formulas import FORMULAS, Array
from dotnn_reference.problems import (
    MissingInput,
    NoFormula,
    NoSuchNumbers,
    SizesDisagree,
    UnknownSize,
    WrongNumbers,
    WrongRank,
)

STORED: dict[Dtype, type[np.generic]] = {
    "bool": np.bool_,
    "u8": np.uint8,
    "i32": np.int32,
    "i64": np.int64,
    "u64": np.uint64,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
}

SIZES = ("dim", "dims", "rows", "size")
"""Attributes that are sizes, and so may hold names."""


def evaluate(graph: Graph, feeds: Mapping[str, Any], float64: bool = False) -> dict[str, Array]:
    """Every output of the graph. ``feeds``: an array for each input.

    Each operation is computed in float64 and rounded once to its own type; with ``float64`` reals are not rounded at
    all (random numbers keep their bits). Raises ``ProblemError`` where ``feeds`` do not suit the graph.
    """
    found = values(graph, feeds, float64)
    return {output.name: found[output.value].copy() for output in graph.outputs}


def values(graph: Graph, feeds: Mapping[str, Any], float64: bool = False) -> dict[str, Array]:
    """Every value of the graph by its name: inputs and the results of all operations."""
    found = {fed.name: _accept(fed, feeds, float64) for fed in graph.inputs}
    sizes = solve({fed.name: fed.type for fed in graph.inputs}, found)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            found[node.name] = _compute(node, [found[name] for name in node.inputs], sizes, float64)
            _agree(node, found[node.name], sizes)
    return found


def solve(types: Mapping[str, Type], arrays: Mapping[str, Array]) -> dict[str, int]:
    """The named sizes, from the shapes of what was given. Raises ``ProblemError`` where two disagree."""
    sizes: dict[str, int] = {}
    while True:
        before = len(sizes)
        for name, type in types.items():
            _solve_one(name, type, arrays[name].shape, sizes)
        if len(sizes) == before:
            return sizes


def _solve_one(name: str, type: Type, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Adds to ``sizes`` what this shape says of them."""
    if len(shape) != type.rank:
        raise WrongRank(name=name, type=str(type), given=str(list(shape))).error()
    for dim, given in zip(type.dims, shape, strict=True):
        unknown = [n for n in names_in(dim) if n not in sizes]
        if not unknown:
            if measure(dim, sizes) != given:
                raise SizesDisagree(
                    dim=str(dim), first=str(measure(dim, sizes)), second=str(given), name=name, type=str(type)
                ).error()
        elif len(unknown) == 1:
            rest = math.prod(int(f) if f.isdigit() else sizes.get(f, 1) for f in str(dim).split("*"))
            if rest == 0:
                continue  # 0 times anything is 0: this says nothing
            if given % rest:
                raise SizesDisagree(
                    dim=str(dim), first=f"a multiple of {rest}", second=str(given), name=name, type=str(type)
                ).error()
            sizes[unknown[0]] = given // rest


def _stored(dtype: Dtype, float64: bool) -> type[np.generic]:
    if dtype not in STORED:
        raise NoSuchNumbers(dtype=dtype).error()
    return np.float64 if float64 and issubclass(STORED[dtype], np.floating) else STORED[dtype]


def _accept(fed: Input, feeds: Mapping[str, Any], float64: bool) -> Array:
    if fed.name not in feeds:
        raise MissingInput(name=fed.name, type=str(fed.type)).error()
    given = np.asarray(feeds[fed.name])
    wanted = _stored(fed.type.dtype, float64)
    if not np.can_cast(given.dtype, wanted, "same_kind"):
        raise WrongNumbers(name=fed.name, wanted=fed.type.dtype, given=str(given.dtype)).error()
    return given.astype(wanted)


def _compute(node: Node, inputs: list[Array], sizes: Mapping[str, int], float64: bool) -> Array:
    formula = FORMULAS.get(node.op) or lowering(node.op, "reference")
    if formula is None:
        raise NoFormula(op=node.op).error()
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
    attributes = {
        key: _measured(node, value, sizes) if key in SIZES else value for key, value in node.attributes.items()
    }
    result = np.asarray(formula(*wide, **attributes))
    return result.astype(_stored(node.type.dtype, float64))


def _measured(node: Node, value: Attribute, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, tuple):
        return tuple(_number(node, dim, sizes) for dim in value if not isinstance(dim, float))
    return _number(node, value, sizes) if isinstance(value, (int, str)) else value


def _number(node: Node, dim: Dim, sizes: Mapping[str, int]) -> int:
    unknown = [n for n in names_in(dim) if n not in sizes]
    if unknown:
        raise UnknownSize(dim=unknown[0], name=node.name).error()
    return measure(dim, sizes)


def _agree(node: Node, result: Array, sizes: dict[str, int]) -> None:
    """The type rule told the truth. A size that is born here (the rows of a shuffle) is known from here on."""
    _solve_one(node.name, node.type, result.shape, sizes)
