"""Numbers that stand for texts, compared with a text: `word == "bank"`, `kind == "setosa"`.

A column of texts (cut into pieces, or `as class`) is whole numbers in the graph. A text beside it stands for its number
there, which is known once the texts are.
"""

from __future__ import annotations

from typing import Any

from dotnn.elaborate.evaluate import notice
from dotnn.elaborate.frame import Frame
from dotnn.elaborate.values import Tensor
from dotnn.spec import Binary
from dotnn.tape import Value
from dotnn_grammar.problems import Problem, perhaps

MOVING = ("slice", "pad", "reshape", "transpose", "expand", "cast")
"""Operations after which the numbers still stand for the same texts."""


class NoSuchText(Problem):
    code = "B230"
    title = 'no text of `{column}` is "{text}"'
    label = "never equal"
    help = "{near}"
    column: str
    text: str
    near: str


def by_number(frame: Frame, binary: Binary, left: Any, right: Any) -> tuple[Any, Any]:
    """Both sides of a comparison, a text as its number in the column that the other side is."""
    if binary.operator not in ("==", "!=") or isinstance(left, str) == isinstance(right, str):
        return left, right
    (other, _), (text, part) = sorted(((left, binary.left), (right, binary.right)), key=lambda s: isinstance(s[0], str))
    column = _column(other) if isinstance(other, Tensor) else None
    texts = frame.machine.texts.get(column.name) if column is not None else None
    if column is None or texts is None:
        return left, right
    if text not in texts:
        # Those that a person can see: not what fills a text up, begins and ends it.
        seen = [each for each in texts if each.strip("\ufffd ") and each.isprintable()]
        listed = ", ".join(f'"{each}"' for each in seen[:8]) + (", …" if len(seen) > 8 else "")
        near = perhaps(text, texts, f"there are: {listed}")
        frame.fail(NoSuchText, part, column=column.name, text=text, near=near)
    return other, notice(frame, part, texts.index(text))


def _column(tensor: Tensor) -> Value | None:
    """The graph's input that a tensor's numbers come from as they are."""
    value, tape = tensor.value, tensor.value.tape
    while (node := tape.node(value)) is not None:
        if node.op not in MOVING:
            return None
        value = tape.values[node.inputs[0]]
    return value
