"""The one small door to the file system: everything that a run writes passes through a ``Disk``.

So a test can let any call fail, or end the process at it. Each method is one system call's worth of harm: what can be
half done is done on a name that nobody reads yet, and a rename makes it true.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class Disk:
    """The real one. Every method raises ``OSError`` as the system does."""

    def make(self, folder: Path) -> None:
        """A new folder."""
        folder.mkdir()

    def write(self, path: Path, data: bytes) -> None:
        """A new file with these bytes; not yet safe on the disk."""
        with path.open("wb") as file:
            file.write(data)

    def sync(self, path: Path) -> None:
        """Waits until a file, or the names in a folder, are safe on the disk."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file or a folder a name that is free."""
        old.rename(new)

    def replace(self, old: Path, new: Path) -> None:
        """Gives a file a name that another may have had."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Takes away a file, or a folder with all that is in it."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def append(self, handle: int, data: bytes) -> None:
        """Adds to an open file."""
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]

    def cut(self, path: Path, length: int) -> None:
        """Leaves the first ``length`` bytes of a file."""
        os.truncate(path, length)


DISK = Disk()


def put(disk: Disk, path: Path, data: bytes) -> None:
    """The whole file or nothing: written beside, made safe, renamed, and the name made safe. Raises ``OSError``."""
    beside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        disk.write(beside, data)
        disk.sync(beside)
        disk.replace(beside, path)
    except OSError:
        forget(disk, beside)
        raise
    disk.sync(path.parent)


def forget(disk: Disk, path: Path) -> None:
    """Takes something away if that can be done."""
    try:
        disk.remove(path)
    except OSError:
        return


def free(path: Path) -> int | None:
    """Bytes that are free where ``path`` lies, or would lie; None where nobody knows."""
    for folder in (path, *path.parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return None


def amount(count: int) -> str:
    """``231.7 kB``, ``1.2 GB``."""
    size, unit = float(count), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{count:,} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
