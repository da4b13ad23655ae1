"""`grad(E, x)`: how the number E would change with each number of x, as an expression like any other.

    x = 0.5 * image + 0.5 * fake
    slope = grad(sum(Critic(x)), x)     [b, 64]: for each row that of its own score: rows do not know of each other

The gradient is written on the same tape in the same operations, so that a loss may hold it and be differentiated again.
"""

from __future__ import annotations

from typing import Any

from dotnn.differentiate import gradients, reaches
from dotnn.elaborate.arithmetic import real
from dotnn.elaborate.spoken import Spoken, Word
from dotnn.elaborate.values import Tensor, kind, next_step
from dotnn.operation import MisfitError, shape_text


def _grad(call: Spoken) -> Any:
    """`grad(sum(score), image)`. Raises MisfitError."""
    of, by = call.two()
    for value, what in ((of, "of what"), (by, "by what")):
        if not isinstance(value, Tensor):
            way = next_step(value)
            found = f"{kind(value)}, which is the same whatever the net sees" if what == "of what" else kind(value)
            raise MisfitError(
                f"a gradient is taken of a tensor by a tensor, and this is {found}{'; ' if way else ''}{way}"
            )
    if by.value.tape is not of.value.tape:
        raise MisfitError("inside and outside of a `scan` are two worlds: take the gradient where its tensor is")
    if of.rank:
        raise MisfitError(
            f"a gradient is taken of one number, and this has the dims {shape_text(of.dims)}: "
            "of the sum, grad(sum(…), x), each row gets the gradient of its own number"
        )
    if not by.value.type.is_float:
        raise MisfitError(
            "whole numbers and yes and no cannot change a little: take the gradient by what is computed from them, "
            "as the result of the layer that reads them"
        )
    number = real(call.tape, of).value
    if not reaches(number, by.value):
        raise MisfitError(
            "no small change of the second changes the first: bind the tensor to a name, compute with that name, and "
            "take the gradient by it; comparisons, `argmax`, `floor` and `stop` let no gradient pass"
        )
    return Tensor(gradients(number, [by.value])[0], by.labels)


WORDS: dict[str, Word] = {"grad": _grad}
