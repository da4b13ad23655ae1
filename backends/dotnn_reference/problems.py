"""What the reference says when a graph cannot be computed on what was given."""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class WrongNumbers(Problem):
    code = "F005"
    title = "the input `{name}` takes {wanted}, and {given} does not turn into that"
    help = "convert what is given first"
    name: str
    wanted: str
    given: str


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
