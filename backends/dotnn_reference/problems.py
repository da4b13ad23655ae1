"""What the reference says when a graph cannot be computed on what was given."""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class MissingInput(Problem):
    code = "F001"
    title = "nothing was given for the input `{name}`"
    help = "give it {type}"
    name: str
    type: str


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


class WrongNumbers(Problem):
    code = "F005"
    title = "the input `{name}` takes {wanted}, and {given} does not turn into that"
    help = "convert what is given first"
    name: str
    wanted: str
    given: str


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


class NoSuchNumbers(Problem):
    code = "F008"
    title = "the reference has no numbers of type {dtype}"
    help = "compute in f16, f32 or f64"
    dtype: str


class NoFormula(Problem):
    code = "F009"
    title = "the reference does not know the operation `{op}`"
    help = "a plugin that brings an operation brings its formula too"
    op: str


class WritesNothing(Problem):
    code = "F010"
    title = "the reference backend writes no files"
    help = "compile with another backend, such as onnx"


class NoState(Problem):
    code = "F011"
    title = "nothing was given for the state `{name}`"
    help = "give every state tensor, as the graph `init` makes them"
    name: str
