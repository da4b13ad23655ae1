"""Many small arrays in one small file: all numbers of a type in one row, and a page that says where each stands."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "goldens"

Array = np.ndarray[Any, Any]


def save(name: str, arrays: Mapping[str, Array], texts: Mapping[str, str]) -> Path:
    """Writes ``goldens/NAME.npz``: the same bytes for the same content."""
    rows: dict[str, list[Array]] = {}
    page = [(key, array.dtype.name, list(array.shape)) for key, array in arrays.items()]
    for array in arrays.values():
        rows.setdefault(array.dtype.name, []).append(array.reshape(-1))
    written = json.dumps({"arrays": page, "texts": dict(texts)}).encode()
    path = FOLDER / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    flat: dict[str, Any] = {dtype: np.concatenate(parts) for dtype, parts in rows.items()}
    np.savez_compressed(buffer, page=np.frombuffer(written, np.uint8), **flat)
    path.write_bytes(buffer.getvalue())
    return path


def load(name: str) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the texts of ``goldens/NAME.npz``."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as stored:
        page = json.loads(stored["page"].tobytes())
        flat = {key: stored[key] for key in stored.files if key != "page"}
    arrays, read = {}, dict.fromkeys(flat, 0)
    for key, dtype, shape in page["arrays"]:
        start = read[dtype]
        read[dtype] += prod(shape)
        arrays[key] = flat[dtype][start : read[dtype]].reshape(shape)
    return arrays, page["texts"]


def part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Those arrays whose key begins so, under the rest of it."""
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
