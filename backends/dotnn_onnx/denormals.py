"""Numbers too small to be normal count as 0 while a graph runs, and only then.

Below 1.2e-38 a float keeps fewer and fewer digits, and a processor takes a hundred times as long for it. The moments of
weights that no longer get a gradient end there and stay. onnxruntime has a setting for it
(`session.set_denormal_as_zero`), which its own threads follow; but of the thread that calls it, it changes the
arithmetic for good, with the first session of a process alone. So sessions are made in a thread that ends with that,
and the arithmetic that it was left with is lent to whoever runs a graph: that of NumPy beside it stays as it was.

What is remembered is C's `fenv_t` (ISO C, 7.6), as it is, unread. Where C's library has no such functions, or somebody
else made the first session, graphs run with the arithmetic of their thread: the same numbers, but for those.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

Made = TypeVar("Made")

SIZE = 256
"""Bytes, more than any platform's `fenv_t` has."""


class Flushing:
    """``with flushing():`` numbers too small to be normal are 0 in this thread. One for the process: ``flushing``."""

    def __init__(self) -> None:
        self._get, self._set = _functions()
        self._ours: int | None = None
        """Where the arithmetic lies that a session left its thread with."""
        self._kept: list[Any] = []

    def make(self, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, run in a thread of its own, which alone is changed by it. Raises what it raises."""
        made: list[Made] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                made.append(make())
                if self._ours is None and _flushes():
                    self._ours = self._buffer()
                    self._get(self._ours)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def _buffer(self) -> int:
        """The address of room for one `fenv_t`, which stays."""
        self._kept.append(ctypes.create_string_buffer(SIZE))
        return ctypes.addressof(self._kept[-1])

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if self._ours is None:
            yield
            return
        before = ctypes.create_string_buffer(SIZE)
        self._get(before)
        self._set(self._ours)
        try:
            yield
        finally:
            self._set(before)

    def around(self, run: Callable[..., None]) -> Callable[..., None]:
        """``run`` with this arithmetic, for a call that is made very often, and not by two threads at once."""
        ours, get, put = self._ours, self._get, self._set
        if ours is None:
            return run
        room = ctypes.create_string_buffer(SIZE)
        before = ctypes.addressof(room)

        def flushed(*arguments: Any, _room: Any = room) -> None:
            get(before)
            put(ours)
            try:
                run(*arguments)
            finally:
                put(before)

        return flushed


def _functions() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`fegetenv` and `fesetenv` of C's library, or two that do nothing."""
    try:
        library = ctypes.PyDLL(None)
        functions = library.fegetenv, library.fesetenv
    except (OSError, TypeError, AttributeError):
        return _nothing, _nothing
    for function in functions:
        function.argtypes = [ctypes.c_void_p]
    return functions


def _nothing(_: object) -> None:
    pass


def _flushes() -> bool:
    """Whether this thread takes such numbers for 0."""
    least = np.finfo(np.float32).tiny
    return bool((np.full(1, least) * np.float32(0.5))[0] == 0)


flushing = Flushing()
