"""An array of NumPy, whatever its numbers and however many its dims."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
