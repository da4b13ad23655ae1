"""Ctrl-C: the first ends training after the step under way, the second ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dotnn.training.loop import Flag

SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def listening(flag: Flag) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM raise the flag to their number; again, they end the process.

    Does nothing off the main thread, where Python takes no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raised(number: int, frame: FrameType | None) -> None:
        flag.raised = number
        # The operating system's own answer: the second time nothing of ours, not even a long step, stands between.
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        if sys.stderr.isatty():
            sys.stderr.write(SHOW_CURSOR)
            sys.stderr.flush()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, raised)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
