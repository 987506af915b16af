"""Suspend to RAM and wake up by the clock, once for all drives that the firmware has frozen.

Many firmwares freeze the security feature set of every ATA drive at boot and forget to do so at
resume. Not all: some never cut the drives' power. So the drives are asked again afterwards.
"""

from __future__ import annotations

from pathlib import Path

from rasura.errors import RasuraError

__all__ = ["SuspendError", "Suspender"]

_SLEEP_S = 8
"""Long enough for the drives to lose power, short enough for a person to wait."""


class SuspendError(RasuraError):
    """The machine cannot be suspended and woken safely; nothing was done."""


class Suspender:
    """The machine's sleep, through sysfs below ``root`` (``Documentation/power/interface.rst``)."""

    def __init__(self, root: Path = Path("/sys")) -> None:
        self._alarm = root / "class/rtc/rtc0/wakealarm"
        self._now = root / "class/rtc/rtc0/since_epoch"
        self._state = root / "power/state"

    def obstacle(self) -> str | None:
        """Why this machine must not be suspended, or ``None``: without an alarm nobody would wake it."""
        try:
            states = self._state.read_text().split()
            self._now.read_text()
        except OSError:
            return "it has no real-time clock or no sleep states"
        if "mem" not in states:
            return "it cannot suspend to RAM"
        if not self._alarm.exists():
            return "its clock cannot wake it"
        return None

    def suspend(self) -> None:
        """Sleep for a few seconds; returns when the machine is awake again. Raises :class:`SuspendError`."""
        obstacle = self.obstacle()
        if obstacle is not None:
            raise SuspendError(f"this machine must not be suspended: {obstacle}")
        try:
            self._alarm.write_text("0")
            self._alarm.write_text(str(int(self._now.read_text()) + _SLEEP_S))
            # An alarm that did not take would leave the machine asleep for ever.
            if not self._alarm.read_text().strip():
                raise SuspendError("this machine must not be suspended: its wake alarm does not hold")
            self._state.write_text("mem")
        except (OSError, ValueError) as error:
            raise SuspendError(f"the machine did not suspend: {error}") from None
