"""Who may be asked about the shelf: PyTorch and scikit-learn where they are installed."""

from pathlib import Path
from typing import Any

import pytest

from dotnn.testing.peer import Peers

GOLDENS = Path(__file__).parent / "goldens"


def here(*names: str) -> dict[str, Any]:
    """Those modules that can be imported."""
    found = {}
    for name in names:
        try:
            found[name.partition(".")[0]] = __import__(name)
        except ImportError:
            continue
    return found


@pytest.fixture(scope="session")
def peers() -> Peers:
    return Peers(**here("torch", "sklearn.metrics"))
