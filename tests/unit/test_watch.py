"""Drives that come and go, as the kernel's events tell of them."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.local import LocalFiles, LocalUdev
from rasura_agent.inventory.watch import Appeared, LocalBlockEvents, Vanished, watch_drives
from simulators.hotplug import pull
from simulators.machine import Machine
from unit.test_inventory_drives import SATA, sata

Step = tuple[str, Callable[[], object]]


class Events:
    """Block devices change, one after the other, and each change is told; then nothing happens any more."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)

    def wait(self, timeout_s: float | None) -> str | None:
        if not self._steps:
            return None
        name, change = self._steps.pop(0)
        change()
        return name


def changes(machine: Machine, *steps: Step, known: bool = True) -> list[tuple[str, str | None]]:
    drives = enumerate_drives(machine, machine).drives if known else ()
    found = watch_drives(Events(*steps), machine, machine, drives, timeout_s=0)
    return [(type(one).__name__, one.drive.serial) for one in found]


def nothing() -> None:
    pass


def test_a_drive_comes_and_goes():
    machine = Machine()
    assert changes(
        machine,
        ("sda", lambda: sata(machine)),
        ("sda", nothing),
        ("sda", lambda: pull(machine, "sda")),
        ("sda", nothing),
    ) == [("Appeared", "9XG8HR8X"), ("Vanished", "9XG8HR8X")]


def test_what_is_there_already_is_no_news_until_it_goes():
    machine = Machine()
    sata(machine)
    assert changes(machine, ("sda", nothing), ("sda", lambda: pull(machine, "sda"))) == [
        ("Vanished", "9XG8HR8X")
    ]


def test_another_drive_under_the_same_name_is_another():
    machine = Machine()
    sata(machine)

    def swap() -> None:
        pull(machine, "sda")
        sata(machine, serial=b"OTHER-77")
        machine.write(f"/sys{SATA}/diskseq", "9")

    assert changes(machine, ("sda", swap)) == [("Vanished", "9XG8HR8X"), ("Appeared", "OTHER-77")]


def test_a_card_put_into_a_reader():
    machine = Machine()
    sata(machine)
    machine.write(f"/sys{SATA}/size", "0")
    machine.write(f"/sys{SATA}/removable", "1")
    insert = lambda: machine.write(f"/sys{SATA}/size", "62333952")  # noqa: E731
    assert [kind for kind, _ in changes(machine, ("sda", insert))] == ["Vanished", "Appeared"]


def test_a_capacity_that_comes_late_is_waited_for():
    machine = Machine()

    def plug() -> None:
        sata(machine)
        machine.write(f"/sys{SATA}/size", "0")
        threading.Timer(0.2, machine.write, (f"/sys{SATA}/size", "500118192")).start()

    (found,) = watch_drives(Events(("sda", plug)), machine, machine, timeout_s=0)
    assert found.drive.capacity_bytes == 500118192 * 512


def test_what_is_no_drive_is_no_news():
    machine = Machine()
    machine.disk("sr0", "/devices/pci0000:00/ata2/host1/target1:0:0/1:0:0:0/block/sr0")
    machine.stack("dm-0", "sr0")
    assert changes(machine, ("sr0", nothing), ("dm-0", nothing), ("gone", nothing), known=False) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_a_loop_device_is_identified_within_two_seconds_and_missed_when_it_goes(tmp_path: Path):
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    events = LocalBlockEvents()
    known = enumerate_drives(include_loop=True).drives
    watch = watch_drives(events, LocalFiles(), LocalUdev(), known, include_loop=True, timeout_s=10)
    started = time.monotonic()
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        appeared = next(one for one in watch if one.drive.path == device)
        took = time.monotonic() - started
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert isinstance(appeared, Appeared)
    assert appeared.drive.capacity_bytes == 1 << 20
    assert took < 2
    vanished = next(one for one in watch if one.drive.path == device)
    assert isinstance(vanished, Vanished)
