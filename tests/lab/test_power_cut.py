"""The power goes in the middle of erasing: the next boot recognises what was begun, and goes on.

The simulated drives keep their state as real ones do, on the host; the agent keeps its journal on a disk.
Overwrites go on by a journal of their own: tests/functional/test_live_interrupted.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.cases import CONTENT, FLASH, PLATTERS
from lab.nvme_tcp import NvmeTarget, nvme_target
from lab.shelf import ShelfDrive, ata_drive, scsi_drive
from lab.station import KEPT, SECRET, WORK_S, Station, by_serial
from rasura.bundle import Bundle
from rasura.certificate import Outcome, Technique
from simulators.ata_options import AtaOptions
from simulators.ata_sanitize import SanitizeState
from simulators.nvme_types import NvmeOptions
from simulators.ports_media import Technique as Means
from simulators.sat import SatTarget
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]

LONG_S = 30.0
"""What each of them takes: long enough that all are at work at once."""
TECHNIQUES = {
    "LAB-CUT-SANITIZE": Technique.ATA_SANITIZE_BLOCK,
    "LAB-CUT-SECURITY": Technique.ATA_SECURITY_ERASE,
    "LAB-CUT-SCSI": Technique.SCSI_SANITIZE_OVERWRITE,
    "LAB-CUT-FORMAT": Technique.SCSI_FORMAT_UNIT,
    "LAB-CUT-NVME": Technique.NVME_SANITIZE_BLOCK,
}


@dataclass
class Cut:
    """The same drives before and after the power went."""

    station: Station
    drives: dict[str, ShelfDrive | NvmeTarget]
    at_the_cut: dict[str, bool]
    """Whether each still held old data when the power went."""
    hdparm: dict[str, str]
    """What hdparm said of the ATA drives after the next boot, before the agent ran."""
    told: dict[str, dict[str, Any]]

    def bundle(self, serial: str) -> Bundle:
        return self.station.bundle(self.told[serial])


def _drives() -> dict[str, ShelfDrive | NvmeTarget]:
    block, overwrite, none = frozenset({Means.BLOCK}), frozenset({Means.OVERWRITE}), frozenset[Means]()
    names = {
        name: {"serial": name, "wwn": 0x5000C500_00001000 + at * 2} for at, name in enumerate(TECHNIQUES)
    }
    sanitize, security, scsi, form, nvme = TECHNIQUES
    return {
        sanitize: ata_drive(
            sanitize,
            AtaOptions(rotation_rate=FLASH, sanitize=block, block_s=LONG_S, **names[sanitize]),  # type: ignore[arg-type]
            CONTENT,
        ),
        security: ata_drive(
            security,
            AtaOptions(
                rotation_rate=PLATTERS,
                sanitize=none,
                enhanced_erase=False,
                erase_s=LONG_S,
                **names[security],  # type: ignore[arg-type]
            ),
            CONTENT,
        ),
        scsi: scsi_drive(
            scsi,
            ScsiOptions(sanitize=overwrite, overwrite_s=LONG_S, **names[scsi]),  # type: ignore[arg-type]
            CONTENT,
        ),
        form: scsi_drive(
            form,
            ScsiOptions(sanitize=none, format_s=LONG_S, **names[form]),  # type: ignore[arg-type]
            CONTENT,
        ),
        nvme: nvme_target(NvmeOptions(serial=nvme, sanicap=0x4000_0002, block_erase_seconds=LONG_S), CONTENT),
    }


def _at_work(drive: ShelfDrive | NvmeTarget) -> bool:
    """Whether the drive's own command is under way, by its inner state."""
    if isinstance(drive, NvmeTarget):
        return drive.subsystem.sanitize.in_progress
    if isinstance(drive.target, SatTarget):
        ata = drive.target.drive
        return ata.sanitize.state is SanitizeState.SD2 or ata._erase is not None
    assert isinstance(drive.target, SimulatedScsiDrive)
    return drive.target.sanitize.operation is not None or drive.target._format is not None


def _connect(station: Station, drives: dict[str, ShelfDrive | NvmeTarget]) -> dict[str, str]:
    shelved = [one for one in drives.values() if isinstance(one, ShelfDrive)]
    paths = dict(zip([one.name for one in shelved], station.attach(*shelved), strict=True))
    for name, one in drives.items():
        if isinstance(one, NvmeTarget):
            paths[name] = station.connect(one)
    return paths


@pytest.fixture(scope="module")
def cut(station: Station) -> Iterator[Cut]:
    """Begin, cut the power while all of them are at work, boot again, and go on."""
    station.clear()
    drives = _drives()
    paths = _connect(station, drives)
    kept = station.disk("kept")
    mount = f"mkdir -p {KEPT} && mount -t vfat {{}} {KEPT}"
    station.hand.run("sh", "-c", f"mkfs.vfat {kept} && {mount.format(kept)}").require()
    spool = f"{KEPT}/spool"
    begun = station.erase(list(paths.values()), spool=spool)
    deadline = time.monotonic() + WORK_S
    while not all(_at_work(one) for one in drives.values()):
        assert time.monotonic() < deadline, [name for name, one in drives.items() if not _at_work(one)]
        assert not begun.done(), begun.result()
        time.sleep(0.2)
    time.sleep(1)
    assert all(_at_work(one) for one in drives.values()), "they were not all at work at once"
    station.cut_power()
    held = {name: bool(one.sectors_with(SECRET)) for name, one in drives.items()}
    paths = _connect(station, drives)
    ata = ("LAB-CUT-SANITIZE", "LAB-CUT-SECURITY")
    options = {"LAB-CUT-SANITIZE": "--sanitize-status", "LAB-CUT-SECURITY": "-I"}
    said = {name: station.hand.run("hdparm", options[name], paths[name]).out for name in ata}
    found = station.hand.run(
        "sh",
        "-c",
        f"for d in /dev/sd*; do {mount.format('$d')} 2>/dev/null && ls {spool} && exit; done; exit 1",
    )
    found.require()
    ended = station.erase(list(paths.values()), spool=spool).result(WORK_S)
    yield Cut(station, drives, held, said, by_serial(ended))
    station.clear()
    station.hand.run("umount", KEPT)
    station.machine.unplug("kept")


@pytest.fixture(params=TECHNIQUES)
def serial(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_old_data_was_still_there_when_the_power_went(cut: Cut, serial: str) -> None:
    assert cut.at_the_cut[serial]


def test_the_next_boot_finds_what_was_begun(cut: Cut) -> None:
    assert "SD2" in cut.hdparm["LAB-CUT-SANITIZE"]
    security = cut.hdparm["LAB-CUT-SECURITY"].partition("Security:")[2]
    assert "\tlocked" in security.replace("not\tlocked", ""), security


def test_the_next_run_erases_and_certifies(cut: Cut, serial: str) -> None:
    told = cut.told[serial]
    assert (told["outcome"], told["technique"]) == (Outcome.ERASED, TECHNIQUES[serial]), told["reason"]
    certificate = cut.bundle(serial).certificate
    assert certificate.result.outcome is Outcome.ERASED
    assert not cut.drives[serial].sectors_with(SECRET)


def test_no_drive_stays_locked(cut: Cut) -> None:
    drive = cut.drives["LAB-CUT-SECURITY"]
    assert isinstance(drive, ShelfDrive)
    assert isinstance(drive.target, SatTarget)
    assert not drive.target.drive.security.enabled
    assert not list(cut.station.hand.run("sh", "-c", f"ls {KEPT}/spool/journal").out.split())
