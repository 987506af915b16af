"""Signals while drives are being erased."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[set[int]]:
    """Within, Ctrl-C and the end of the system stop the drives in order; yields the signals that came."""
    came: set[int] = set()

    def note(number: int, _frame: object) -> None:
        came.add(number)
        stop()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
