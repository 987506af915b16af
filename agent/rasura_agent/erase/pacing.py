"""How hard drives are driven: by temperature, by bandwidth, and one after the other at the start.

All drives of a job share one :class:`MachinePace`; each has a :class:`Pacer`, called from its own thread
after every transfer. It may block; a stop is noticed within half a second meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from rasura_agent.clock import Clock
from rasura_agent.erase.buffers import BLOCK_BYTES, ROOM_BYTES
from rasura_agent.erase.events import Event, Noted, Paused, Phase, Progress
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.temperature import Thermometer

__all__ = ["PACE", "Budget", "MachinePace", "Pace", "Pacer", "Thermostat", "transfer_room"]

_HARD_DISK_CELSIUS = (60, 55)
"""Makers of hard disks allow 60 °C; above, wear and errors grow."""
_SOLID_STATE_CELSIUS = (75, 68)
"""Most SSDs slow down by themselves somewhat above."""
_LOOK_S = 5.0
_LONGEST_REST_S = 3600.0
_SLICE_S = 0.5

_MEMORY_BYTES = 160 << 20
_FEW = 4
_SMALLEST_ROOM_BYTES = 256 << 10


class Pace(msgspec.Struct, frozen=True):
    """What a policy wants. Rates in bytes a second, 0 is no limit; degrees ``None`` go by the medium."""

    pause_above_celsius: int | None = None
    go_on_below_celsius: int | None = None
    drive_bytes_s: int = 0
    machine_bytes_s: int = 0
    start_stagger_s: int = 1
    """Between the first writes to two drives that rotate: spinning up takes the most current."""


PACE = Pace()


def transfer_room(drives: int) -> int:
    """How many bytes of memory each of so many drives may use for transfers, all of them within a bound.

    More than a few drives keep two cores busy with two transfers each: more only take turns.
    """
    if drives <= _FEW:
        return ROOM_BYTES
    share = _MEMORY_BYTES // drives
    room = BLOCK_BYTES
    while room > max(share, _SMALLEST_ROOM_BYTES):
        room //= 2
    return room


class Budget:
    """So many bytes a second, for whoever takes them. Used by many threads; first come, first served."""

    def __init__(self, bytes_s: int) -> None:
        """``bytes_s`` of 0 is no limit."""
        self._bytes_s = bytes_s
        self._paid_until = 0.0
        self._lock = threading.Lock()

    def owed_s(self, count: int, now: float) -> float:
        """How many seconds to wait after ``count`` bytes were moved at ``now``."""
        if not self._bytes_s:
            return 0.0
        with self._lock:
            self._paid_until = max(self._paid_until, now) + count / self._bytes_s
            return self._paid_until - now


class Thermostat:
    """Rest above one temperature, go on below another; what is not known never makes anything rest."""

    def __init__(self, above: float, below: float) -> None:
        self.above, self.below = above, min(above, below)
        self._rests = False

    def rests(self, celsius: float | None) -> bool:
        """Whether the drive is to rest, now that it is ``celsius`` warm."""
        if celsius is None:
            self._rests = False
        elif self._rests:
            self._rests = celsius >= self.below
        else:
            self._rests = celsius > self.above
        return self._rests


class MachinePace:
    """What the drives of one machine share."""

    def __init__(self, pace: Pace, clock: Clock, thermometer: Thermometer) -> None:
        self.pace, self.clock, self.thermometer = pace, clock, thermometer
        self.budget = Budget(pace.machine_bytes_s)
        self._lock = threading.Lock()
        self._next_start = 0.0

    def start_in_s(self, drive: Drive) -> float:
        """How many seconds from now the drive may start; each call gives away a place in the row."""
        if not drive.rotational:
            return 0.0
        now = self.clock.monotonic()
        with self._lock:
            start = max(now, self._next_start)
            self._next_start = start + self.pace.start_stagger_s
        return start - now


class Pacer:
    """One drive's pace."""

    def __init__(
        self,
        machine: MachinePace,
        drive: Drive,
        is_stopped: Callable[[], bool],
        tell: Callable[[Event], None],
    ) -> None:
        self._machine, self._drive, self._is_stopped, self._tell = machine, drive, is_stopped, tell
        self._clock = machine.clock
        self._budget = Budget(machine.pace.drive_bytes_s)
        self._thermostat: Thermostat | None = _thermostat(machine.pace, drive)
        self._place = (0, 0)
        self._next_look = 0.0

    def start(self) -> None:
        """Wait for this drive's turn to start."""
        if self._temperature() is None and not self._drive.is_virtual:
            self._tell(Noted(self._drive.path, "its temperature is not known, so that it is not watched"))
        self._wait(self._machine.start_in_s(self._drive))

    def after(self, event: Progress) -> None:
        """Wait as long as what was moved since the last call costs, and while the drive is too warm.

        A drive that erases itself cannot be slowed down.
        """
        if event.phase is Phase.COMMAND:
            return
        step, done = self._place
        moved = event.done - (done if step == event.step else event.start)
        self._place = (event.step, event.done)
        now = self._clock.monotonic()
        self._wait(max(self._budget.owed_s(moved, now), self._machine.budget.owed_s(moved, now)))
        if self._clock.monotonic() >= self._next_look:
            self._cool_down()

    def _cool_down(self) -> None:
        thermostat, began = self._thermostat, self._clock.monotonic()
        self._next_look = began + _LOOK_S
        celsius = self._temperature()
        if thermostat is None or celsius is None or not thermostat.rests(celsius):
            return
        self._tell(Paused(self._drive.path, celsius, thermostat.below))
        while thermostat.rests(now := self._temperature()) and not self._is_stopped():
            celsius = now if now is not None else celsius
            if self._clock.monotonic() - began > _LONGEST_REST_S:
                self._thermostat = None
                sentence = (
                    f"still {celsius:.0f} °C after an hour of rest: it goes on, its sensor may be stuck"
                )
                self._tell(Noted(self._drive.path, sentence))
                return
            self._wait(_LOOK_S)
        self._next_look = self._clock.monotonic() + _LOOK_S
        self._tell(Paused(self._drive.path, now if now is not None else celsius, thermostat.below, over=True))

    def _temperature(self) -> float | None:
        return self._machine.thermometer.celsius(self._drive)

    def _wait(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0 and not self._is_stopped():
            self._clock.sleep(min(left, _SLICE_S))


def _thermostat(pace: Pace, drive: Drive) -> Thermostat:
    usual = _HARD_DISK_CELSIUS if drive.rotational else _SOLID_STATE_CELSIUS
    above = usual[0] if pace.pause_above_celsius is None else pace.pause_above_celsius
    below = above - (usual[0] - usual[1]) if pace.go_on_below_celsius is None else pace.go_on_below_celsius
    return Thermostat(above, below)
