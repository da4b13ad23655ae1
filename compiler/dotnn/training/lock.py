"""One trainer a run: a lock that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dotnn.training.problems import cannot_write
from dotnn_grammar.problems import Problem

LOCK = ".lock"


class RunBusy(Problem):
    code = "T020"
    title = "`{folder}` is being trained already{by}"
    help = "wait until that ends, or end it ({end}); then go on with nn resume"
    folder: str
    by: str
    end: str


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While inside, no other process trains in this folder. Raises ``ProblemError``.

    The system itself lets go of the lock when its process ends, so none is ever left behind by a dead one.
    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        if not _take(handle):
            owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            known = owner.isdigit()
            raise RunBusy(
                folder=str(folder),
                by=f" by the process {owner}" if known else "",
                end=f"kill -INT {owner}" if known else "Ctrl-C where it runs",
            ).error()
        with suppress(OSError):  # the number is only for the message above
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # where there is none, nothing keeps two trainers apart
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
