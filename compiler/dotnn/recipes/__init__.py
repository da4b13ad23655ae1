"""How to draw small inputs for each operation: a recipe is a function that writes the operation on a tape.

    @draws("add", "sub")
    def pair(draw, op):
        dims = draw.dims()
        return op(draw.real(draw.part(dims)), draw.real(draw.part(dims)))

The files stand as those of ``dotnn/ops`` do, and importing them fills ``RECIPES``. A plugin writes its recipes the same
way, for its own operations.
"""

from __future__ import annotations

from dotnn.recipes import convolve, elementwise, index, reduce, scan, shape, source
from dotnn.recipes.draw import RECIPES, Draw, Recipe, draws

__all__ = [
    "RECIPES",
    "Draw",
    "Recipe",
    "convolve",
    "draws",
    "elementwise",
    "index",
    "reduce",
    "scan",
    "shape",
    "source",
]
