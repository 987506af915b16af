"""Waiting until the machine has found its drives: slow controllers take their time after the boot.

The policy is pure: drives count as found when udev has nothing left to do and nothing about them has
changed for :data:`STILL_S`; after :data:`MOST_S` the wait is over in any case.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from rasura_agent.clock import Clock

__all__ = ["MOST_S", "STILL_S", "Settling", "have_udev_look", "settle", "udev_is_idle"]

STILL_S = 3.0
MOST_S = 60.0
_TICK_S = 0.5
_UDEV_S = 5.0

_Seen = TypeVar("_Seen")


class Settling(msgspec.Struct, Generic[_Seen], frozen=True):
    """What has been seen so far; times are seconds of one clock. Fold it with :meth:`look`."""

    begun: float
    since: float
    """When ``seen`` was first seen as it is."""
    seen: _Seen | None = None
    over: bool = False

    def look(self, now: float, seen: _Seen, *, idle: bool) -> Settling[_Seen]:
        """The state after a look at ``now``; ``idle`` is whether udev has nothing left to do."""
        since = self.since if idle and seen == self.seen else now
        over = now - since >= STILL_S or now - self.begun >= MOST_S
        return replace(self, since=since, seen=seen, over=over)


def settle(
    clock: Clock, look: Callable[[], _Seen], is_idle: Callable[[], bool], show: Callable[[_Seen, float], None]
) -> _Seen:
    """Look again and again until all is still; ``show`` gets what was seen and the seconds waited."""
    begun = clock.monotonic()
    state: Settling[_Seen] = Settling(begun, begun)
    while True:
        idle = is_idle()
        seen = look()
        now = clock.monotonic()
        state = state.look(now, seen, idle=idle)
        if state.over:
            return seen
        show(seen, now - begun)
        clock.sleep(_TICK_S)


def udev_is_idle() -> bool:
    """Whether udev has handled all that the kernel told it; also where there is no udev to ask."""
    command = ("udevadm", "settle", "--timeout=0")
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_UDEV_S)
    except OSError:
        return True
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def have_udev_look(node: str) -> None:
    """Have udev look at the block device ``node`` once more, and wait for it; also where there is no udev.

    By itself it looks when a writer closes a device it watches. It watches a new one only once it is done
    with its first look: on a slow machine, what is written meanwhile is never seen.
    """
    command = ("udevadm", "trigger", "--action=change", "--settle", node)
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, check=False, timeout=MOST_S)
