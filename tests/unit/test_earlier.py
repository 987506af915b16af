"""What an earlier process of the boot did to a drive holds until anything may have been written to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura.machine_report import ReportedDrive
from rasura_agent.earlier import EarlierJobs
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence
from simulators.machine import Machine
from unit.test_hotplug import Bench
from unit.test_inventory_drives import SATA

BOOT_ID = "/proc/sys/kernel/random/boot_id"
STAT = (
    "    1503        0   120341     1021      77        3    {written}     210        0      900     1231\n"
)


def erased(
    folder: Path, outcome: Outcome = Outcome.ERASED, reason: str | None = None
) -> tuple[Machine, EarlierJobs, Drive]:
    bench = Bench(folder)
    machine = bench.machine
    machine.write(BOOT_ID, "3f1c2a5e-0d7b-4a31-9c46-0b8c1f6a7d11\n")
    machine.write(f"/sys{SATA}/stat", STAT.format(written=16384))
    jobs = EarlierJobs(folder, machine)
    bench.job._note = lambda ended: jobs.note(replace(ended, outcome=outcome, reason=reason))
    bench.erase()
    return machine, jobs, bench.plan.drive


def known(jobs: EarlierJobs, drive: Drive) -> ReportedDrive | None:
    return jobs.of([drive]).get(drive.identity_sha256)


def test_it_is_known_by_its_identity_with_its_certificate(tmp_path: Path) -> None:
    machine, jobs, drive = erased(tmp_path)
    (kept,) = (tmp_path / "spool/pending").glob("*.json")
    for one in (jobs, EarlierJobs(tmp_path, machine)):
        found = known(one, drive)
        assert found is not None
        assert found.outcome is Outcome.ERASED
        assert found.certificate is not None
        assert found.certificate.id == kept.stem
        assert found.certificate.station is not None


def test_a_failure_is_kept_with_its_reason(tmp_path: Path) -> None:
    """The reasons are strings that can be said in other languages; what is kept is their text."""
    machine, jobs, drive = erased(tmp_path, Outcome.FAILED, Sentence("it holds {count} bytes", count=3))
    for one in (jobs, EarlierJobs(tmp_path, machine)):
        found = known(one, drive)
        assert found is not None
        assert (found.outcome, found.reason) == (Outcome.FAILED, "it holds 3 bytes")


@pytest.mark.parametrize(
    "change",
    [
        lambda machine: machine.write(BOOT_ID, "another\n"),
        lambda machine: machine.write(f"/sys{SATA}/stat", STAT.format(written=16392)),
        lambda machine: machine.write(f"/sys{SATA}/stat", "garbage"),
        lambda machine: machine.errors.update({BOOT_ID: PermissionError(13, "denied")}),
    ],
)
def test_after_a_boot_or_a_write_it_is_known_no_more(
    tmp_path: Path, change: Callable[[Machine], None]
) -> None:
    machine, jobs, drive = erased(tmp_path)
    change(machine)
    assert known(jobs, drive) is None


def test_a_drive_that_was_plugged_in_again_or_is_another_is_not_known(tmp_path: Path) -> None:
    _machine, jobs, drive = erased(tmp_path)
    assert known(jobs, replace(drive, diskseq=9)) is None
    assert known(jobs, replace(drive, diskseq=None)) is None
    assert known(jobs, replace(drive, identity_pages=())) is None


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"mark": null, "drive": null}', b"\xff"])
def test_a_damaged_record_says_nothing(tmp_path: Path, garbage: bytes) -> None:
    _machine, jobs, drive = erased(tmp_path)
    (record,) = (tmp_path / "erased").glob("*.json")
    record.write_bytes(garbage)
    assert known(jobs, drive) is None


def test_where_nothing_can_be_written_nothing_is_lost_but_the_record(tmp_path: Path) -> None:
    (tmp_path / "erased").write_text("a file where a folder should be")
    _machine, jobs, drive = erased(tmp_path)
    assert known(jobs, drive) is None
