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


class NotGiven(Problem):
    code = "Q003"
    title = "nothing was given for the input `{name}`"
    help = "give it {type}"
    name: str
    type: str


class SizeDiffers(Problem):
    code = "Q004"
    title = "the input `{name}` is {type}, and what was given has the sizes {given}"
    help = "one name stands for one size in all that is given at once"
    name: str
    type: str
    given: str


class NoSpelling(Problem):
    code = "Q005"
    title = "the backend torch does not know the operation `{op}`"
    help = "train with another backend: --backend onnx"
    op: str


class Outside(Problem):
    code = "Q006"
    title = "{index} names no place: there are {size}, counted from 0"
    help = "look at where the index comes from: a class or a token that is out of range?"
    index: int
    size: int


class NothingThere(Problem):
    code = "Q007"
    title = "there is no greatest among no numbers"
    help = "look at the sizes: the dim along which one is chosen is empty"


class NotInThisVersion(Problem):
    code = "Q010"
    title = "{what} has no PyTorch text in this version"
    label = "this cannot be written as PyTorch yet"
    help = "{way}"
    what: str
    way: str = "train it with nn itself (nn train), or compile it with another backend: --backend onnx"
