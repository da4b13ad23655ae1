"""Columns that are larger than memory: read once into files without a name, and from there by the batch.

Up to `--limit held=N` bytes the rows of a data block are held in memory. What is more goes into temporary files (in the
folder that `TMPDIR` names, else the system's), which the system takes away when the process ends, however it ends. The
numbers are the same, bit for bit: only where they lie is another matter.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import numpy as np
import numpy.typing as npt

from dotnn.arrays import Array
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

AT_ONCE = 1 << 24
"""Bytes that are gathered at once."""


class NoRoomOnDisk(Problem):
    code = "D081"
    title = "the rows do not fit: {why}"
    help = (
        "more than {held:,} bytes of rows are not held in memory but in {folder}: make room there, name another folder "
        "with TMPDIR=FOLDER, or hold more in memory: --limit held=N"
    )
    why: str
    held: int
    folder: str


class Spill:
    """What several columns hold together; once it is too much, each goes on in a file of its own."""

    def __init__(self, most: int | None = None) -> None:
        self.most = limits().held if most is None else most
        self._held: dict[int, int] = {}
        self._files: dict[int, IO[bytes]] = {}
        self.over = False

    def kept(self, owner: object, blocks: list[Array]) -> list[Array]:
        """Those blocks of a column that stay in memory: all while there is room, none afterwards. Raises D081."""
        self._held[id(owner)] = sum(block.nbytes for block in blocks)
        self.over = self.over or sum(self._held.values()) > self.most
        if not self.over or not blocks:
            return blocks
        file = self._files.get(id(owner)) or self._files.setdefault(id(owner), new_file())
        for block in blocks:
            write(file, block)
        self._held[id(owner)] = 0
        return []

    def whole(self, owner: object, blocks: Sequence[Array], dtype: str) -> Array:
        """The column, ``dtype[numbers]``. Raises D081."""
        file = self._files.pop(id(owner), None)
        if file is None:
            return np.concatenate(blocks) if blocks else np.empty(0, dtype)
        for block in blocks:
            write(file, block)
        return mapped(file, dtype)

    def __del__(self) -> None:
        for file in self._files.values():
            with suppress(OSError):
                file.close()


def gathered(array: Array, rows: Array) -> Array:
    """These rows, ``[len(rows), *dims]``, contiguous: in memory where the array is, else in a file. Raises D081."""
    if not isinstance(array, np.memmap):
        return np.ascontiguousarray(array[rows])
    file = new_file()
    step = max(1, AT_ONCE // max(1, array.nbytes // max(len(array), 1)))
    for start in range(0, len(rows), step):
        write(file, np.ascontiguousarray(array[rows[start : start + step]]))
    return mapped(file, array.dtype.str).reshape(len(rows), *array.shape[1:])


def room(dims: Sequence[int], dtype: npt.DTypeLike, most: int) -> Array:
    """An array to be filled: in memory where all that belongs together is ``most`` bytes at most, else in a file."""
    if most <= limits().held or not all(dims):
        return np.empty(tuple(dims), dtype)
    file = new_file()
    size = int(np.prod(dims, dtype=np.float64)) * np.dtype(dtype).itemsize
    try:
        file.truncate(size)
        made: Array = np.memmap(file, dtype, "r+", shape=tuple(dims))
    except OSError as wrong:
        raise _no_room(wrong, file) from None
    file.close()  # the rows keep it
    return made


def new_file() -> IO[bytes]:
    """A file without a name. Raises D081."""
    try:
        return tempfile.TemporaryFile(prefix="dotnn-rows-")
    except OSError as wrong:
        raise _no_room(wrong) from None


def write(file: IO[bytes], block: Array) -> None:
    """Raises D081."""
    try:
        file.write(np.ascontiguousarray(block).data.cast("B") if block.nbytes else b"")
    except OSError as wrong:
        raise _no_room(wrong, file) from None


def mapped(file: IO[bytes], dtype: str) -> Array:
    """What was written there, ``dtype[numbers]``. Raises D081."""
    try:
        file.flush()
        made: Array = np.memmap(file, dtype, "r") if file.tell() else np.empty(0, dtype)
    except OSError as wrong:
        raise _no_room(wrong, file) from None
    file.close()  # the rows keep it
    return made


def _no_room(wrong: OSError, file: IO[bytes] | None = None) -> Exception:
    if file is not None:
        with suppress(OSError):
            file.close()
    folder = tempfile.gettempdir() if wrong.errno != errno.ENOENT else "a temporary folder"
    why = (wrong.strerror or str(wrong)).lower()
    return NoRoomOnDisk(why=why, held=limits().held, folder=f"`{folder}`").error()
