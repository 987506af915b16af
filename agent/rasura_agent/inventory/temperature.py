"""How warm a drive is, by the kernel's hwmon: ``drivetemp`` for ATA and SCSI, the NVMe driver for its own.

Documentation/hwmon/sysfs-interface: ``temp1_input`` is in thousandths of a degree Celsius. ``drivetemp``
hangs below the SCSI device and wakes no sleeping disk; an NVMe controller's folder is the namespace's
``device``, or, with native multipath, below the subsystem that ``device`` is then.
"""

from __future__ import annotations

from typing import Protocol

from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles

__all__ = ["HwmonThermometer", "Thermometer"]

_DRIVERS = frozenset({"drivetemp", "nvme"})
_PLAUSIBLE = range(-40, 120)
"""Outside of this a sensor is broken, or says that it has nothing to say."""


class Thermometer(Protocol):
    """The temperature of drives."""

    def celsius(self, drive: Drive) -> float | None:
        """Degrees now; ``None`` where nobody tells. Never raises."""
        ...


class HwmonThermometer:
    """The :class:`Thermometer` of the running system."""

    def __init__(self, files: SystemFiles) -> None:
        self._files = files
        self._sensors: dict[tuple[int, int], str | None] = {}

    def celsius(self, drive: Drive) -> float | None:
        """See :class:`Thermometer`."""
        number = drive.device_number
        if number is None:
            return None
        if number not in self._sensors:
            self._sensors[number] = self._sensor(number)
        sensor = self._sensors[number]
        text = self._text(f"{sensor}/temp1_input") if sensor is not None else None
        try:
            degrees = int(text or "") / 1000
        except ValueError:
            return None
        return degrees if round(degrees) in _PLAUSIBLE else None

    def _sensor(self, number: tuple[int, int]) -> str | None:
        device = f"/sys/dev/block/{number[0]}:{number[1]}/device"
        controllers = [device, *(f"{device}/{name}" for name in self._names(device, "nvme"))]
        for place in (one for controller in controllers for one in (controller, f"{controller}/hwmon")):
            for name in self._names(place, "hwmon"):
                sensor = f"{place}/{name}"
                if self._text(f"{sensor}/name") in _DRIVERS:
                    return sensor
        return None

    def _names(self, folder: str, prefix: str) -> list[str]:
        try:
            return [name for name in self._files.list_dir(folder) if name.startswith(prefix)]
        except OSError:
            return []

    def _text(self, path: str) -> str | None:
        try:
            return self._files.read_bytes(path).decode("ascii", "replace").strip()
        except OSError:
            return None
