"""Which drives move at once, where together they are faster than the machine.

Many fast drives at once wait for each other under Python's lock, and what they have under way is larger than
the processor's cache. A few at a time, a burst each, move more in all. A slow drive takes no turns: it waits
for its medium, and nobody is to wait for it. ``agent/decisions/data-mover.md`` has the figures.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from rasura_agent.clock import Clock

__all__ = ["BURST_BYTES", "HELD_S", "MACHINE_TURNS", "Turn", "Turns"]

BURST_BYTES = 32 * 1024 * 1024
"""What a drive moves in its turn while others wait."""

HELD_S = 0.05
"""The longest turn. Whatever moves less than a burst in it, 670 MB/s, is slow."""

_FREE_BURSTS = 64
"""So many bursts a slow drive moves without a turn before it is measured again."""


class _Hold:
    """A turn, waited for or held."""

    def __init__(self) -> None:
        self.given = threading.Event()
        self.bursts = 0
        """How often it was renewed."""


class Turns:
    """``at_once`` turns; who waited first is first served. Used by many threads."""

    def __init__(self, at_once: int, held_s: float = HELD_S) -> None:
        """A turn without a new burst for ``held_s`` seconds is passed on to whoever waits."""
        self._at_once, self._held_s = at_once, held_s
        self._held: list[_Hold] = []
        self._waiting: deque[_Hold] = deque()
        self._lock = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._waiting)

    def take(self) -> _Hold:
        """Wait for a turn. One that is held for too long is passed on: a drive that hangs delays nobody."""
        hold = _Hold()
        with self._lock:
            self._waiting.append(hold)
            self._give()
            before = self._bursts()
        while not hold.given.wait(self._held_s):
            with self._lock:
                # Whoever was at the same burst a whole wait ago is at it for too long.
                self._held = [one for one in self._held if before.get(one) != one.bursts]
                self._give()
                before = self._bursts()
        return hold

    def end(self, hold: _Hold) -> None:
        """Give a turn back, whether or not it was passed on meanwhile."""
        with self._lock:
            if hold in self._held:
                self._held.remove(hold)
            self._give()

    def _bursts(self) -> dict[_Hold, int]:
        return {one: one.bursts for one in self._held}

    def _give(self) -> None:
        while self._waiting and len(self._held) < self._at_once:
            hold = self._waiting.popleft()
            self._held.append(hold)
            hold.given.set()


MACHINE_TURNS = Turns(max(2, os.cpu_count() or 1))
"""Those of this process: one for each processor."""


class Turn:
    """One drive's part in the turns. Used by one thread."""

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self._turns, self._clock = turns, clock
        self._hold: _Hold | None = None
        self._began = 0.0
        self._left = 0
        self._free = 0

    def begin(self) -> None:
        """Before the first transfer of a burst: wait for a turn, unless this drive takes none."""
        if self._free:
            self._free -= 1
        else:
            self._hold = self._turns.take()
            self._began = self._clock.monotonic()
        self._left = BURST_BYTES

    def goes_on(self, length: int) -> bool:
        """Whether another transfer of ``length`` bytes may follow in this turn."""
        if self._left <= 0 and not self._renewed():
            return False
        self._left -= length
        return True

    def end(self) -> None:
        """After the last transfer of a burst."""
        if self._hold is not None:
            self._turns.end(self._hold)
            self._hold = None

    def _renewed(self) -> bool:
        """Whether the next burst may follow at once: nobody waits, or this drive takes no turns."""
        if self._hold is not None:
            now = self._clock.monotonic()
            if now - self._began > HELD_S:
                self.end()
                self._free = _FREE_BURSTS
            elif self._turns.wanted:
                return False
            else:
                self._hold.bursts += 1
                self._began = now
        if self._hold is None:
            if not self._free:
                return False
            self._free -= 1
        self._left = BURST_BYTES
        return True
