"""Drives that are plugged and pulled: what the kernel does to its files, and what it tells of it."""

from __future__ import annotations

import queue

from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.hotplug import DriveWatch
from rasura_agent.inventory.watch import watch_drives
from simulators.machine import Machine

__all__ = ["Announcements", "pull", "watch_of"]


class Announcements:
    """The kernel's events, as a test lets them come; stands behind ``BlockEvents``."""

    def __init__(self) -> None:
        self._names: queue.SimpleQueue[str] = queue.SimpleQueue()

    def tell(self, name: str) -> None:
        """Something about this block device changed."""
        self._names.put(name)

    def wait(self, timeout_s: float | None) -> str | None:
        """See ``BlockEvents``."""
        try:
            return self._names.get(timeout=timeout_s)
        except queue.Empty:
            return None


def pull(machine: Machine, name: str) -> None:
    """What the kernel does when a drive is pulled out: its links go."""
    device = machine.devices.pop(name)
    machine._links.pop(f"/sys/block/{name}")
    machine._children["/sys/block"].discard(name)
    machine._links.pop(f"/sys/class/block/{name}")
    machine._links.pop(f"/sys/dev/block/{device.number[0]}:{device.number[1]}")


def watch_of(machine: Machine, events: Announcements) -> DriveWatch:
    """The watch over the drives of ``machine``."""
    return DriveWatch(
        lambda: watch_drives(events, machine, machine, enumerate_drives(machine, machine).drives), machine
    )
