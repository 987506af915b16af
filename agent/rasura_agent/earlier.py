"""What earlier processes of this boot did to drives, kept beside the certificates for the machine report.

A record holds only as long as nothing can have been written to the drive since: within the same boot, as
long as the drive was not pulled out, and while the kernel counts no sector written. Then a report may name
the certificate as the drive's; else the drive is reported as it is found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from rasura import durable
from rasura.machine_report import ReportedDrive
from rasura_agent.confirm import DriveOutcome
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import word
from rasura_agent.machine_claims import MachineFacts, reported_drive

__all__ = ["EarlierJobs", "untouched_mark"]

_FOLDER = "erased"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SECTORS_WRITTEN = 6
"""Which number of a block device's ``stat`` (Documentation/block/stat.rst) counts them."""


class _Record(msgspec.Struct, frozen=True):
    mark: str
    drive: ReportedDrive


def untouched_mark(drive: Drive, files: SystemFiles) -> str | None:
    """A text that is another one after a boot, a re-plugging or a write; ``None`` where that is not known."""
    if drive.is_virtual:
        try:
            found = Path(drive.path).stat()
        except OSError:
            return None
        return f"file {found.st_dev}:{found.st_ino} written {found.st_mtime_ns}"
    boot = word(files, _BOOT_ID)
    counts = word(files, f"/sys/block/{drive.path.removeprefix('/dev/').replace('/', '!')}/stat")
    numbers = counts.split() if counts is not None else []
    if boot is None or drive.diskseq is None or len(numbers) <= _SECTORS_WRITTEN:
        return None
    return f"boot {boot} disk {drive.diskseq} written {numbers[_SECTORS_WRITTEN]}"


class EarlierJobs:
    """Records of drives that have a certificate, in a folder."""

    def __init__(self, folder: Path, files: SystemFiles) -> None:
        self._folder, self._files = folder / _FOLDER, files

    def note(self, outcome: DriveOutcome) -> None:
        """Keep what became of a drive; where that cannot be written, a later report knows less."""
        if outcome.certificate is None or outcome.result is None:
            return
        mark = untouched_mark(outcome.plan.drive, self._files)
        if mark is None:
            return
        drive = reported_drive(outcome, MachineFacts())
        path = self._folder / f"{outcome.result.identity_sha256}.json"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_file(path, msgspec.json.encode(_Record(mark, drive)))

    def of(self, drives: Iterable[Drive]) -> dict[str, ReportedDrive]:
        """What is known of these drives, by their identity digest; a record that is damaged says nothing."""
        found = {}
        for drive in drives:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                raw = (self._folder / f"{drive.identity_sha256}.json").read_bytes()
                record = msgspec.json.decode(raw, type=_Record)
                if record.mark == untouched_mark(drive, self._files):
                    found[drive.identity_sha256] = record.drive
        return found
