"""What is fed to a graph: its number types in NumPy's words, the sizes that shapes tell, and what does not suit."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from typing import Any

from dotnn.graph import Attribute, Dim, Dtype, Input, Type, measure, names_in
from dotnn_grammar.problems import Problem

NUMPY: Mapping[Dtype, str] = {
    "bool": "bool",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
    "u64": "uint64",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
}
"""NumPy's word for a type. It has none for bf16."""

SIZES = ("dim", "dims", "rows", "size")
"""Attributes that are sizes, and so may hold names."""


class NotGiven(Problem):
    code = "F001"
    title = "nothing was given for {names}, which the graph `{graph}` needs"
    help = "give an array for each input, by its name"
    graph: str
    names: str


class WrongRank(Problem):
    code = "F002"
    title = "the input `{name}` is {type}, but what was given has the sizes {given}"
    help = "give it as many dims as its type has"
    name: str
    type: str
    given: str


class SizesDisagree(Problem):
    code = "F003"
    title = "the size `{dim}` is {first}, but {second} in `{name}`, which is {type}"
    help = "one name stands for one size in all that is given at once"
    dim: str
    first: str
    second: str
    name: str
    type: str


class UnknownSize(Problem):
    code = "F004"
    title = "nothing that was given says what the size `{dim}` of `{name}` is"
    help = "a size must stand alone, or beside known ones, in the type of an input"
    dim: str
    name: str


class IndexOutside(Problem):
    code = "F006"
    title = "{index} names no place: there are {size}, counted from 0"
    help = "look at where the index comes from: a class or a token that is out of range?"
    index: int
    size: int


class NothingToChoose(Problem):
    code = "F007"
    title = "there is no greatest among no numbers"
    help = "look at the sizes: the dim along which one is chosen is empty"


def require(graph: str, wanted: Iterable[Input], given: Container[str]) -> None:
    """Raises ``ProblemError`` (F001) with the name and type of each input for which there is nothing."""
    absent = [f"`{fed.name}`, {fed.type}" for fed in wanted if fed.name not in given]
    if absent:
        raise NotGiven(graph=graph, names="; ".join(absent)).error()


def solve(types: Mapping[str, Type], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The named sizes, from the shapes of what was given. Raises ``ProblemError`` (F002, F003) where they disagree."""
    sizes: dict[str, int] = {}
    while True:
        before = len(sizes)
        for name, type in types.items():
            agree(name, type, shapes[name], sizes)
        if len(sizes) == before:
            return sizes


def agree(name: str, type: Type, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Adds to ``sizes`` what this shape says of them. Raises ``ProblemError`` (F002, F003) where it says otherwise."""
    if len(shape) != type.rank:
        raise WrongRank(name=name, type=str(type), given=str(list(shape))).error()
    for dim, given in zip(type.dims, shape, strict=True):
        unknown = [n for n in names_in(dim) if n not in sizes]
        if not unknown:
            if measure(dim, sizes) != given:
                first = str(measure(dim, sizes))
                raise SizesDisagree(dim=str(dim), first=first, second=str(given), name=name, type=str(type)).error()
        elif len(unknown) == 1:
            rest = math.prod(int(f) if f.isdigit() else sizes.get(f, 1) for f in str(dim).split("*"))
            if rest == 0:
                continue  # 0 times anything is 0: this says nothing
            if given % rest:
                first = f"a multiple of {rest}"
                raise SizesDisagree(dim=str(dim), first=first, second=str(given), name=name, type=str(type)).error()
            sizes[unknown[0]] = given // rest


def sized(name: str, attributes: Mapping[str, Attribute], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The attributes of the operation ``name``, its sizes as numbers. Raises ``ProblemError`` (F004)."""
    return {key: _measured(name, value, sizes) if key in SIZES else value for key, value in attributes.items()}


def _measured(name: str, value: Attribute, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, tuple):
        return tuple(_number(name, dim, sizes) for dim in value if not isinstance(dim, float))
    return _number(name, value, sizes) if isinstance(value, (int, str)) else value


def _number(name: str, dim: Dim, sizes: Mapping[str, int]) -> int:
    unknown = [n for n in names_in(dim) if n not in sizes]
    if unknown:
        raise UnknownSize(dim=unknown[0], name=name).error()
    return measure(dim, sizes)
