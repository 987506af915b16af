"""Every kind of drive, all at once, on the built image: erased by the real agent through the real kernel.

What the agent says of each drive is held against the drive's own state, against what hdparm, sg3-utils
and nvme-cli say of it in the guest, and against the simulated medium itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.cases import BAD_SECTORS, CASES, SECTORS, Case
from lab.nvme_tcp import NvmeTarget
from lab.shelf import ShelfDrive
from lab.station import GRANTING, SECRET, WORK_S, Station, by_serial
from rasura.bundle import Bundle
from rasura.certificate import Outcome, Presence
from rasura.errors import ExitCode

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]

VICTIM, NEIGHBOUR = "LAB-VICTIM", "LAB-NEIGHBOUR"
PLANTED = {VICTIM: 4 << 20, NEIGHBOUR: 8 << 20}
"""Bytes of old data on QEMU's own disks."""


@dataclass
class Job:
    """One run of the agent on all drives, and what is left of it."""

    station: Station
    drives: dict[str, ShelfDrive | NvmeTarget]
    paths: dict[str, str]
    code: int
    told: dict[str, dict[str, Any]]

    def bundle(self, serial: str) -> Bundle:
        return self.station.bundle(self.told[serial])


@pytest.fixture(scope="module")
def job(station: Station) -> Iterator[Job]:
    """Attach every drive, erase all of them in one run, and pull one out in the middle."""
    for serial, size in PLANTED.items():
        image = station.folder / f"{serial.removeprefix('LAB-').lower()}.img"
        with image.open("r+b") as file:
            file.write(SECRET * (size // len(SECRET)))
    drives = {
        case.serial: case.make(case.serial, 0x5000C500_00000000 + 2 * at) for at, case in enumerate(CASES)
    }
    shelved = [one for one in drives.values() if isinstance(one, ShelfDrive)]
    paths = dict(zip([one.name for one in shelved], station.attach(*shelved), strict=True))
    for serial, one in drives.items():
        if isinstance(one, NvmeTarget):
            paths[serial] = station.connect(one)
    paths[VICTIM], paths[NEIGHBOUR] = station.disk("victim"), station.disk("neighbour")
    # Two agents at once: each has the drives of one policy.
    others = [one for one in CASES if one.policy != GRANTING]
    main = station.erase([paths[one] for one in paths if one not in {other.serial for other in others}])
    other = station.erase([paths[one.serial] for one in others], policy=others[0].policy)
    _wait_for_writes(station.folder / "victim.img")
    station.machine.unplug("victim")
    ended = main.result(WORK_S)
    yield Job(station, drives, paths, ended.code, by_serial(ended) | by_serial(other.result(WORK_S)))
    station.clear()
    station.machine.unplug("neighbour")


def _wait_for_writes(image: Path) -> None:
    """Until half of what was planted is overwritten; looked at from outside, the guest has enough to do."""
    deadline = time.monotonic() + WORK_S
    while True:
        with image.open("rb") as file:
            if SECRET not in file.read(PLANTED[VICTIM] // 2):
                return
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.5)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_the_drive_ends_as_it_must(job: Job, case: Case) -> None:
    told = job.told[case.serial]
    achieved = case.technique if case.outcome is Outcome.ERASED else None
    found = (told["outcome"], told["technique"], told["method"])
    assert found == (case.outcome, achieved, case.method), told["reason"]
    assert case.says in (told["reason"] or "")


def test_the_certificate_is_genuine_and_says_the_same(job: Job, case: Case) -> None:
    told, certificate = job.told[case.serial], job.bundle(case.serial).certificate
    assert certificate.drive.serial == case.serial
    result = certificate.result
    assert (result.outcome, result.method, result.reason) == (case.outcome, case.method, told["reason"])
    assert certificate.plan.technique == case.technique


def test_the_medium_holds_what_the_outcome_says(job: Job, case: Case) -> None:
    """The one thing that must never be: ERASED, and old data there."""
    left = job.drives[case.serial].sectors_with(SECRET)
    if case.outcome is Outcome.ERASED:
        assert not left
    elif case.keeps:
        assert left, "the drive was to keep something: the test would prove nothing"


def test_hidden_sectors_were_lifted_and_erased(job: Job) -> None:
    certificate = job.bundle("LAB-ATA-HPA").certificate
    areas = certificate.drive.hidden_areas
    assert (areas.hpa.before, areas.hpa.after) == (Presence.PRESENT, Presence.ABSENT)
    assert certificate.drive.capacity_bytes == SECTORS * 512
    said = job.station.hand.run("hdparm", "-N", job.paths["LAB-ATA-HPA"]).require().out
    assert re.search(rf"max sectors\s*=\s*{SECTORS}/{SECTORS}, .*disabled", said), said


def test_bad_sectors_are_on_the_certificate(job: Job) -> None:
    ranges = job.bundle("LAB-ATA-BAD-SECTORS").certificate.result.error_ranges
    covered = {
        sector for one in ranges for sector in range(one.offset // 512, (one.offset + one.length) // 512)
    }
    assert covered == BAD_SECTORS
    drive = job.drives["LAB-ATA-BAD-SECTORS"]
    assert isinstance(drive, ShelfDrive)
    assert set(drive.sectors_with(SECRET)) == BAD_SECTORS


def test_a_drive_pulled_out_takes_no_other_along(job: Job) -> None:
    assert job.told[VICTIM]["outcome"] in {Outcome.FAILED, Outcome.UNKNOWN}
    assert job.told[VICTIM]["method"] is None
    assert job.bundle(VICTIM).certificate.result.outcome == job.told[VICTIM]["outcome"]
    assert job.told[NEIGHBOUR]["outcome"] == Outcome.ERASED
    assert SECRET not in (job.station.folder / "neighbour.img").read_bytes()


def test_many_drives_and_one_exit_code(job: Job) -> None:
    assert len(job.told) == len(CASES) + 2 >= 16
    assert job.code == ExitCode.FAILED


# What other tools say of the drives afterwards.


def test_hdparm_sees_the_same_sanitize_states(job: Job) -> None:
    states = {
        "ATA-BLOCK": ("SD0", r"Last Sanitize Operation Completed Without Error"),
        "ATA-OVERWRITE": ("SD0", r"Last Sanitize Operation Completed Without Error"),
        "ATA-CRYPTO": ("SD0", r"Last Sanitize Operation Completed Without Error"),
        "ATA-FAILS": ("SD3", ""),
    }
    for name, (state, words) in states.items():
        said = job.station.hand.run("hdparm", "--sanitize-status", job.paths[f"LAB-{name}"])
        assert state in said.out + said.err or re.search(words or state, said.out + said.err), (name, said)


def test_hdparm_sees_security_as_it_was(job: Job) -> None:
    for name in ("ATA-ENHANCED", "ATA-NORMAL"):
        said = job.station.hand.run("hdparm", "-I", job.paths[f"LAB-{name}"]).require().out
        security = said[said.index("Security:") :]
        assert re.search(r"not\s+enabled", security), security
        assert re.search(r"not\s+locked", security), security


def test_smartctl_knows_the_drive(job: Job) -> None:
    said = job.station.hand.run("smartctl", "-i", job.paths["LAB-ATA-BLOCK"]).out
    assert "LAB-ATA-BLOCK" in said
    assert "ATA" in said


def test_sg3_utils_see_the_same_scsi_states(job: Job) -> None:
    sense = {"SCSI-BLOCK": "No Sense", "SCSI-OVERWRITE": "No Sense", "SCSI-FAILS": "Sanitize command failed"}
    for name, words in sense.items():
        said = job.station.hand.run("sg_requests", job.paths[f"LAB-{name}"])
        assert words.lower() in (said.out + said.err).lower(), (name, said)
    said = job.station.hand.run("sg_vpd", "--page=sn", job.paths["LAB-SCSI-BLOCK"]).require()
    assert "LAB-SCSI-BLOCK" in said.out


def test_nvme_cli_sees_the_same_logs(job: Job) -> None:
    wanted = {"NVME-BLOCK": 1, "NVME-CRYPTO": 1, "NVME-FAILS": 3}
    for name, status in wanted.items():
        path = job.paths[f"LAB-{name}"]
        log = job.station.hand.run("nvme", "sanitize-log", path, "--output-format=json").require().json
        (inner,) = log.values()
        assert (
            inner["sstat"]["status"] if isinstance(inner["sstat"], dict) else inner["sstat"] & 7 == status
        ), log
        identify = job.station.hand.run("nvme", "id-ctrl", path, "--output-format=json").require().json
        assert identify["sn"].strip() == f"LAB-{name}"
