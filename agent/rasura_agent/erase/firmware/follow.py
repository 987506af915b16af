"""Following a long device command to its end, the same way for every command set.

A drive that goes on for ever, repeats one progress value, or stops answering ends as unknown: the
host cannot abort a sanitize, so nothing is known but that it was begun.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from rasura_agent.erase.firmware.line import Line, Running
from rasura_agent.sentence import Sentence

__all__ = ["Followed", "Look", "LookState", "Pace", "follow"]


class LookState(Enum):
    """What one look at the drive says."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """This look said nothing usable; a few in a row end the following."""


class Look(msgspec.Struct, frozen=True):
    """One look; ``fraction`` of 1 by the drive's word."""

    state: LookState
    fraction: float | None = None
    detail: str = ""


class Pace(msgspec.Struct, frozen=True):
    """How long to follow, in seconds. ``estimate_s`` is the drive's own, ``None`` where it gives none."""

    estimate_s: float | None
    deadline_s: float
    no_progress_s: float = 3600.0
    first_look_s: float = 1.0
    longest_wait_s: float = 30.0
    blind_looks: int = 5


class Followed(msgspec.Struct, frozen=True):
    """How it ended. ``state`` is never RUNNING; ``seen_running`` is whether any look found it at work."""

    state: LookState
    detail: str
    seen_running: bool
    duration_s: float


def follow(line: Line, look: Callable[[], Look], pace: Pace) -> Followed:
    """Look at the drive at growing intervals until it ends, stalls, goes blind or overruns."""
    start, wait, blind, seen_running = line.clock.monotonic(), pace.first_look_s, 0, False
    furthest, advanced_at = -1.0, start

    def ended(state: LookState, detail: str) -> Followed:
        return Followed(state, detail, seen_running, line.clock.monotonic() - start)

    while True:
        now = look()
        elapsed = line.clock.monotonic() - start
        match now.state:
            case LookState.SUCCEEDED | LookState.FAILED:
                return ended(now.state, now.detail)
            case LookState.UNKNOWN:
                blind += 1
                if blind >= pace.blind_looks:
                    return ended(
                        LookState.UNKNOWN,
                        Sentence("the drive no longer says how far it is ({detail})", detail=now.detail),
                    )
            case LookState.RUNNING:
                blind, seen_running = 0, True
                if now.fraction is not None and now.fraction > furthest:
                    furthest, advanced_at = now.fraction, line.clock.monotonic()
        stop = line.watch(Running(now.fraction, elapsed, pace.estimate_s))
        if stop is not None:
            return ended(LookState.UNKNOWN, stop)
        if elapsed > pace.deadline_s:
            return ended(
                LookState.UNKNOWN,
                Sentence("it did not end within {seconds} s", seconds=f"{pace.deadline_s:.0f}"),
            )
        stalled = line.clock.monotonic() - advanced_at
        # A drive that tells no progress at all is held to the deadline only.
        if furthest >= 0 and stalled > pace.no_progress_s:
            return ended(
                LookState.UNKNOWN, Sentence("it has not advanced for {seconds} s", seconds=f"{stalled:.0f}")
            )
        line.clock.sleep(wait)
        wait = min(wait * 1.5, pace.longest_wait_s)
