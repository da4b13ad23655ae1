"""How the reference backend comes in: by the same hook as a stranger."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn.plugins import Backend, hook
from dotnn_reference.backend import ReferenceBackend

API = 1


@hook
def dotnn_backends() -> Sequence[Backend]:
    return (ReferenceBackend(),)
