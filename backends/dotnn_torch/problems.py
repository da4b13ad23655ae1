"""What the PyTorch backend says when it cannot do what is asked."""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class NoTorch(Problem):
    code = "Q001"
    title = "the backend torch needs PyTorch, which is not installed"
    help = "install it: pip install torch (the extra `peers` of dotnn brings the version that the tests use)"


class NoDevice(Problem):
    code = "Q002"
    title = "PyTorch sees no device `{device}`"
    help = "leave --device away, or give `cpu`{way}"
    device: str
    way: str


class NoSpelling(Problem):
    code = "Q005"
    title = "the backend torch does not know the operation `{op}`"
    help = "train with another backend: --backend onnx"
    op: str


class NotInThisVersion(Problem):
    code = "Q010"
    title = "{what} has no PyTorch text in this version"
    label = "this cannot be written as PyTorch yet"
    help = "{way}"
    what: str
    way: str = "train it with nn itself (nn train), or compile it with another backend: --backend onnx"
