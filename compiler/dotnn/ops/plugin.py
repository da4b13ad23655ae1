"""Our operations, as they come in by the hooks. The backends here know each of them by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dotnn import ops
from dotnn.entries import hook

if TYPE_CHECKING:
    from dotnn.plugins import NewOperation

API = 1

OURS = tuple(ops.operations())


@hook
def dotnn_operations() -> Sequence[NewOperation]:
    from dotnn.plugins import NewOperation
    from dotnn.recipes import RECIPES

    return [NewOperation(operation, recipes=tuple(RECIPES.get(operation.name, ()))) for operation in OURS]
