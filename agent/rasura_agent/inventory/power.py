"""Whether the machine may lose power in the middle of the work."""

from __future__ import annotations

from rasura_agent.inventory.batteries import is_on_battery
from rasura_agent.inventory.ports import SystemFiles

__all__ = ["power_note"]


def power_note(files: SystemFiles) -> str | None:
    """A sentence for a laptop that runs on its battery, ``None`` for every other machine."""
    percent = is_on_battery(files)
    if percent is None:
        return None
    return f"this machine runs on its battery ({percent} %): plug it in, an erasure can take hours"
