"""Drives that the firmware froze at boot, and a real suspend to RAM that thaws one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.cases import CONTENT, PLATTERS
from lab.shelf import ShelfDrive, ata_drive
from lab.station import SECRET, WORK_S, Station, by_serial
from rasura.certificate import Method, Outcome, Technique
from simulators.ata_options import AtaOptions, Freeze

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]

STRICT = 'name = "strict"\n\n[erase]\nmethod = "Purge"\naccept_r1_basis = true\n'
"""Purge or nothing: a frozen drive of platters has only its enhanced security erase for that."""


def _frozen(serial: str, wwn: int, when: Freeze) -> ShelfDrive:
    # With its cache on, the kernel would flush it on the way to sleep, when the lab's handler sleeps already.
    options = AtaOptions(
        serial=serial,
        wwn=wwn,
        rotation_rate=PLATTERS,
        sanitize=frozenset(),
        write_cache=False,
        enhanced_s=3.0,
        bios_freezes=when,
    )
    return ata_drive(serial, options, CONTENT)


@pytest.fixture(scope="module")
def frozen(station: Station) -> Iterator[tuple[dict[str, ShelfDrive], dict[str, Any], str]]:
    """Both drives after one run with --unfreeze, what was told of them, and the kernel's log."""
    station.clear()
    drives = {
        "LAB-THAWS": _frozen("LAB-THAWS", 0x5000C500_0000F000, Freeze.AT_BOOT),
        "LAB-STAYS-FROZEN": _frozen("LAB-STAYS-FROZEN", 0x5000C500_0000F002, Freeze.AT_EVERY_POWER_ON),
    }
    paths = station.attach(*drives.values())
    said = station.hand.run("hdparm", "-I", paths[0]).require().out
    assert "\tfrozen" in said[said.index("Security:") :].replace("not\tfrozen", ""), said
    sleeping = station.during_suspend(*drives.values())
    ended = station.erase(paths, "--unfreeze", policy=STRICT, number=1).result(WORK_S)
    sleeping.join(5)
    log = station.hand.run("dmesg").require().out
    yield drives, by_serial(ended), log
    station.clear()


def test_the_machine_really_slept(frozen: tuple[Any, Any, str]) -> None:
    assert "PM: suspend entry (deep)" in frozen[2]
    assert "PM: suspend exit" in frozen[2]


def test_a_thawed_drive_is_purged(station: Station, frozen: tuple[dict[str, ShelfDrive], Any, str]) -> None:
    drives, told, _ = frozen
    thawed = told["LAB-THAWS"]
    wanted = (Outcome.ERASED, Method.PURGE, Technique.ATA_SECURITY_ERASE_ENHANCED)
    assert (thawed["outcome"], thawed["method"], thawed["technique"]) == wanted
    assert station.bundle(thawed).certificate.result.outcome is Outcome.ERASED
    assert not drives["LAB-THAWS"].sectors_with(SECRET)


def test_one_that_stays_frozen_is_left_alone_and_says_so(
    frozen: tuple[dict[str, ShelfDrive], Any, str],
) -> None:
    drives, told, _ = frozen
    left = told["LAB-STAYS-FROZEN"]
    assert (left["outcome"], left["path"]) == (Outcome.REFUSED, None)
    assert "frozen (SEC2)" in left["reason"]
    assert len(drives["LAB-STAYS-FROZEN"].sectors_with(SECRET)) == len(CONTENT) // len(SECRET)
