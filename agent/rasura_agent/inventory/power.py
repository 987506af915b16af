"""Whether the machine may lose power in the middle of the work."""

from __future__ import annotations

import psutil

__all__ = ["power_note"]


def power_note() -> str | None:
    """A sentence for a laptop that runs on its battery, ``None`` for every other machine."""
    battery = psutil.sensors_battery()
    # power_plugged is None where the firmware does not say; a machine without a battery has none at all.
    if battery is None or battery.power_plugged is not False:
        return None
    return (
        f"this machine runs on its battery ({battery.percent:.0f} %): plug it in, an erasure can take hours"
    )
