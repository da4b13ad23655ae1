"""How many numbers meet in one output of a weight, and how many outputs one number reaches: what initialisers ask."""

from __future__ import annotations

import math

from dotnn.elaborate.values import Label, Shape

_WINDOW = "window "


def window_labels(count: int) -> tuple[Label, ...]:
    """Names for the dims of a window, which nobody can write: by them a weight is known to be a kernel."""
    return tuple(f"{_WINDOW}{i}" for i in range(count))


def is_window(label: Label) -> bool:
    """Whether a dim of a weight is one along which its window reaches."""
    return label is not None and label.startswith(_WINDOW)


def fans(shape: Shape) -> tuple[int, int]:
    """``fan_in`` and ``fan_out`` of a weight all of whose dims are numbers.

    The last dim are the outputs, and all before it go into each. A kernel, [out, in, window…], sees `in` numbers at
    each place of its window, and is seen by `out` at each: as PyTorch counts.
    """
    dims = [int(d) for d in shape.dims] or [1]
    places = [n for n, label in zip(dims, shape.labels, strict=False) if is_window(label)]
    if places and len(dims) == len(places) + 2:
        return dims[1] * math.prod(places), dims[0] * math.prod(places)
    return (math.prod(dims[:-1]) if len(dims) > 1 else dims[0]), dims[-1]
