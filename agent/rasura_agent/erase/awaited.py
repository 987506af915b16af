"""Single transfers with the drive's own deadline, for all that is read and written beside the passes."""

from __future__ import annotations

import errno
from collections.abc import Callable

from rasura_agent.clock import Clock
from rasura_agent.drive.port import Transfers
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.mover import unanswered
from rasura_agent.erase.pipeline import answered

__all__ = ["Awaited"]


class Awaited:
    """``port``'s transfers; one that is not answered in time is abandoned, and no other is begun after it.

    Its memory stays with the thread that waits in the kernel: whoever gave it gets nothing any more.
    """

    def __init__(self, port: Transfers, limits: Limits, clock: Clock) -> None:
        self._port, self._limits, self._clock = port, limits, clock
        self._abandoned = False

    def read(self, offset: int, into: memoryview) -> None:
        """See :class:`Transfers`; raises ``ETIMEDOUT`` where the drive does not answer."""
        self._await(lambda: self._port.read(offset, into))

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`Transfers`; raises ``ETIMEDOUT`` where the drive does not answer."""
        self._await(lambda: self._port.write(offset, data))

    def flush(self) -> None:
        """See :class:`Transfers`; raises ``ETIMEDOUT`` where the drive does not answer."""
        self._await(self._port.flush)

    def _await(self, call: Callable[[], None]) -> None:
        if self._abandoned:
            raise OSError(errno.ETIMEDOUT, unanswered(self._limits.answer_s))
        try:
            answered(call, self._limits, self._clock)
        except OSError as error:
            # The kernel's own time-out has the same number, and ends the transfer: nothing is lost by it.
            self._abandoned = error.errno == errno.ETIMEDOUT
            raise
