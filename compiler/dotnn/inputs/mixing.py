"""Whether a column looks at other rows than its own."""

from __future__ import annotations

from typing import cast

from dotnn.graph import Dim, names_in
from dotnn.tape import Tape

BATCH = "b"


def mixes_rows(tape: Tape, since: int) -> bool:
    """Whether an operation from there on adds up, sorts or strings together rows: another batch, other numbers."""
    for node in tape.nodes[since:]:
        if node.op == "size" and BATCH in names_in(cast("Dim", node.attributes["dim"])):
            return True
        values = [tape.values[name] for name in node.inputs]
        if not any(BATCH in names_in(dim) for value in values for dim in value.dims):
            continue
        lost = not any(BATCH in names_in(dim) for dim in node.type.dims)
        if lost or (node.attributes.get("axis") == 0 and values[0].dims[:1] == (BATCH,)):
            return True
    return False
