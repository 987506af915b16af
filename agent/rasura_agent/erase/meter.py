"""How fast it goes and how long it still takes: one phase of one drive. Pure; the caller has the clock."""

from __future__ import annotations

from collections import deque

from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.firmware.line import Running

__all__ = ["Meter", "command_left_s"]

_WINDOW_S = 30.0
"""Long enough to even out a flush or a retry, short enough that a slow zone of a disk shows."""
_SAMPLE_S = 1.0


class Meter:
    """Turns positions into :class:`~rasura_agent.erase.events.Progress` that never goes back."""

    def __init__(self, drive: str, phase: Phase, step: int, steps: int, total: int, start: int = 0) -> None:
        """``start`` of ``total`` bytes were done before this phase began here."""
        self._drive, self._phase, self._step, self._steps = drive, phase, step, steps
        self._total, self._start = total, start
        self._done, self._elapsed = start, 0.0
        self._samples: deque[tuple[float, int]] = deque([(0.0, start)])

    def at(self, done: int, elapsed_s: float, command_left_s: float | None = None) -> Progress:
        """The progress at ``done`` bytes, ``elapsed_s`` seconds after the phase began."""
        self._done = min(self._total, max(self._done, done))
        self._elapsed = max(self._elapsed, elapsed_s)
        rate = self._recent()
        return Progress(
            drive=self._drive,
            phase=self._phase,
            step=self._step,
            steps=self._steps,
            done=self._done,
            total=self._total,
            elapsed_s=self._elapsed,
            start=self._start,
            recent_rate=rate,
            command_left_s=command_left_s,
        )

    def _recent(self) -> float | None:
        samples = self._samples
        if self._elapsed - samples[-1][0] >= _SAMPLE_S:
            samples.append((self._elapsed, self._done))
        # One sample from before the window stays, so that the rate is always over all of it.
        while len(samples) > 2 and self._elapsed - samples[1][0] >= _WINDOW_S:
            samples.popleft()
        at, done = samples[0]
        if self._elapsed - at < _SAMPLE_S or self._done == done:
            return None
        return (self._done - done) / (self._elapsed - at)


def command_left_s(running: Running) -> float | None:
    """Seconds that a device command still takes: the drive's estimate, corrected by its progress.

    At the beginning a percentage says little and the estimate counts; the further the drive is by its own
    word, the more its pace so far does. ``None`` where it tells neither, or its estimate has run out.
    """
    fraction, elapsed, estimate = running.fraction, running.elapsed_s, running.estimate_s
    by_estimate = estimate - elapsed if estimate is not None and estimate > elapsed else None
    if fraction is None or not 0 < fraction <= 1:
        return by_estimate
    by_pace = elapsed * (1 - fraction) / fraction
    if by_estimate is None:
        return by_pace
    return fraction * by_pace + (1 - fraction) * by_estimate
