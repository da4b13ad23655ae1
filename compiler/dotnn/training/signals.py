"""Ctrl-C: the first ends training after the step under way, the second ends it at once.

The runtime does not see signals while it computes, and Python hears them in its main thread alone. So all work goes on
in a thread of its own, and the main thread waits for signals.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType
from typing import TypeVar

from dotnn.training.measure import Flag

SHOW_CURSOR = "\x1b[?25h"
GRACE = 0.7
"""Seconds that a step may take to its end after a signal; then it is given up, and is done again on resuming."""
POLL = 0.1
"""Seconds between two looks at whether a signal came."""
STACK = 64 << 20
"""Bytes of stack for the work: on some systems a thread has far less than the main one."""

T = TypeVar("T")


def attended(work: Callable[[], T], flag: Flag) -> T:
    """Does the work in a thread of its own, while this one listens; what it returns or raises.

    A first SIGINT or SIGTERM raises the flag, and what takes longer than ``GRACE`` then is asked to give up.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # to be raised where somebody hears it
            failed.append(error)

    before = threading.stack_size(STACK)
    # What is set for this call alone (the limits of `--limit`, say) holds in the thread too.
    worker = threading.Thread(target=copy_context().run, args=(run,), name="training")
    with listening(flag):
        try:
            worker.start()
        finally:
            threading.stack_size(before)
        patience = 0.0
        while worker.is_alive():
            worker.join(POLL)
            if not flag.up():
                continue
            patience += POLL
            if patience >= GRACE:
                flag.give_up()
                patience = -POLL  # the last look at the splits gets its own second
    if failed:
        raise failed[0]
    return done[0]


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
