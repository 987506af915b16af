"""The drives of the lab that are erased all at once, and what has to become of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.nvme_tcp import NvmeTarget, nvme_target
from lab.shelf import ShelfDrive, ata_drive, scsi_drive
from lab.station import GRANTING, SECTOR
from rasura.certificate import Method, Outcome, Technique
from simulators import ports_media as media
from simulators.ata_options import AtaOptions
from simulators.nvme_types import NvmeOptions, Remnant
from simulators.scsi_options import ScsiOptions

SECTORS = 1024
"""Few, as each look is a long way here; of fewer the markers would overwrite all that is to be left over."""
MANY = 24 * 1024
"""Of a drive that is overwritten, block by block of 4 MiB."""
BAD_SECTORS = frozenset({8192 + 100, 8192 + 101, 8192 + 5000})
"""All in the second of three blocks."""
PLATTERS, FLASH = 7200, 1
CONTENT = SECTOR * SECTORS
_NONE: frozenset[media.Technique] = frozenset()
_BLOCK = frozenset({media.Technique.BLOCK})
_OVERWRITE = frozenset({media.Technique.OVERWRITE})
_CRYPTO = frozenset({media.Technique.CRYPTO})


@dataclass(frozen=True)
class Case:
    """A drive, and how its erasure has to end."""

    name: str
    make: Callable[[str, int], ShelfDrive | NvmeTarget]
    """From serial number and World Wide Name."""
    outcome: Outcome
    technique: Technique
    """What is tried."""
    method: Method | None = None
    """What is achieved."""
    keeps: bool = False
    """Whether some of the secret may still be there: the outcome must not claim otherwise."""
    says: str = ""
    """A part of the reason."""
    policy: str = GRANTING
    """TOML."""

    @property
    def serial(self) -> str:
        """The drive's serial number."""
        return f"LAB-{self.name.upper()}"


def _ata(
    sectors: int = SECTORS, bad: frozenset[int] = frozenset(), **options: object
) -> Callable[[str, int], ShelfDrive]:
    def make(serial: str, wwn: int) -> ShelfDrive:
        made = AtaOptions(serial=serial, wwn=wwn, **options)  # type: ignore[arg-type]  # by their names
        return ata_drive(serial, made, SECTOR * sectors, bad=bad)

    return make


def _scsi(block_bytes: int = 512, **options: object) -> Callable[[str, int], ShelfDrive]:
    def make(serial: str, wwn: int) -> ShelfDrive:
        made = ScsiOptions(serial=serial, wwn=wwn, **options)  # type: ignore[arg-type]  # by their names
        return scsi_drive(serial, made, CONTENT, block_bytes=block_bytes)

    return make


def _nvme(
    *, fails_at: float | None = None, leaves: bool = False, **options: object
) -> Callable[[str, int], NvmeTarget]:
    def make(serial: str, _: int) -> NvmeTarget:
        made = NvmeOptions(serial=serial, **options)  # type: ignore[arg-type]  # by their names
        target = nvme_target(made, CONTENT)
        target.subsystem.faults.sanitize_fails_at = fails_at
        target.subsystem.faults.leaves = (Remnant(),) if leaves else ()
        return target

    return make


_ERASED, _FAILED, _UNKNOWN = Outcome.ERASED, Outcome.FAILED, Outcome.UNKNOWN
_CLEAR, _PURGE = Method.CLEAR, Method.PURGE
_T = Technique
_LIE = media.Lie()

CASES = (
    Case(
        "ata-block",
        _ata(rotation_rate=FLASH, sanitize=_BLOCK, block_s=4.0),
        _ERASED,
        _T.ATA_SANITIZE_BLOCK,
        _PURGE,
    ),
    Case(
        "ata-overwrite",
        _ata(rotation_rate=PLATTERS, sanitize=_OVERWRITE, overwrite_s=5.0),
        _ERASED,
        _T.ATA_SANITIZE_OVERWRITE,
        _PURGE,
    ),
    Case(
        "ata-crypto",
        _ata(rotation_rate=FLASH, sanitize=_CRYPTO, crypto_s=1.5),
        _ERASED,
        _T.ATA_SANITIZE_CRYPTO,
        _PURGE,
    ),
    Case(
        "ata-enhanced",
        _ata(rotation_rate=PLATTERS, sanitize=_NONE, enhanced_s=4.0),
        _ERASED,
        _T.ATA_SECURITY_ERASE_ENHANCED,
        _PURGE,
    ),
    Case(
        "ata-normal",
        _ata(rotation_rate=PLATTERS, sanitize=_NONE, enhanced_erase=False, erase_s=5.0),
        _ERASED,
        _T.ATA_SECURITY_ERASE,
        _CLEAR,
    ),
    Case(
        "ata-hpa",
        _ata(rotation_rate=FLASH, sanitize=_BLOCK, block_s=3.0, hpa_sectors=SECTORS // 2),
        _ERASED,
        _T.ATA_SANITIZE_BLOCK,
        _PURGE,
    ),
    Case(
        "ata-fails",
        _ata(rotation_rate=FLASH, sanitize=_BLOCK, block_s=4.0, sanitize_fails_at=0.5),
        _UNKNOWN,
        _T.ATA_SANITIZE_BLOCK,
        keeps=True,
    ),
    Case(
        "ata-lies",
        _ata(rotation_rate=FLASH, sanitize=_BLOCK, block_s=3.0, lie=_LIE),
        _FAILED,
        _T.ATA_SANITIZE_BLOCK,
        keeps=True,
        says="old data is still there",
    ),
    Case(
        "ata-lies-normal",
        _ata(rotation_rate=PLATTERS, sanitize=_NONE, enhanced_erase=False, erase_s=3.0, lie=_LIE),
        _FAILED,
        _T.ATA_SECURITY_ERASE,
        keeps=True,
        says="old data is still there",
    ),
    Case(
        "ata-bad-sectors",
        _ata(MANY, BAD_SECTORS, rotation_rate=PLATTERS, sanitize=_NONE, security=False, write_cache=False),
        _FAILED,
        _T.OVERWRITE,
        keeps=True,
        says="could not be written",
    ),
    Case(
        "scsi-block",
        _scsi(rotation_rate=FLASH, sanitize=_BLOCK, block_s=4.0),
        _ERASED,
        _T.SCSI_SANITIZE_BLOCK,
        _PURGE,
    ),
    Case(
        "scsi-overwrite",
        _scsi(sanitize=_OVERWRITE, overwrite_s=5.0),
        _ERASED,
        _T.SCSI_SANITIZE_OVERWRITE,
        _PURGE,
    ),
    Case(
        "scsi-crypto",
        _scsi(rotation_rate=FLASH, sanitize=_CRYPTO, crypto_s=1.5),
        _ERASED,
        _T.SCSI_SANITIZE_CRYPTO,
        _PURGE,
    ),
    Case(
        "scsi-520-bytes",
        _scsi(520, sanitize=_OVERWRITE, overwrite_s=3.0, format_s=3.0),
        _ERASED,
        _T.SCSI_SANITIZE_OVERWRITE,
        _PURGE,
    ),
    Case("scsi-format", _scsi(sanitize=_NONE, format_s=5.0), _ERASED, _T.SCSI_FORMAT_UNIT, _CLEAR),
    Case(
        "scsi-fails",
        _scsi(sanitize=_OVERWRITE, overwrite_s=4.0, sanitize_fails_at=0.5),
        _UNKNOWN,
        _T.SCSI_SANITIZE_OVERWRITE,
        keeps=True,
    ),
    Case(
        "scsi-lies",
        _scsi(sanitize=_OVERWRITE, overwrite_s=3.0, lie=_LIE),
        _FAILED,
        _T.SCSI_SANITIZE_OVERWRITE,
        keeps=True,
        says="old data is still there",
    ),
    Case(
        "nvme-block",
        _nvme(sanicap=0x4000_0002, block_erase_seconds=4.0),
        _ERASED,
        _T.NVME_SANITIZE_BLOCK,
        _PURGE,
    ),
    Case(
        "nvme-crypto",
        _nvme(sanicap=0x4000_0001, crypto_erase_seconds=1.5),
        _ERASED,
        _T.NVME_SANITIZE_CRYPTO,
        _PURGE,
    ),
    Case(
        "nvme-format-ses1",
        _nvme(sanicap=0, fna=0, format_seconds=3.0),
        _ERASED,
        _T.NVME_FORMAT_USER_DATA,
        _PURGE,
    ),
    Case(
        "nvme-format-ses2",
        _nvme(sanicap=0, format_seconds=2.0),
        _ERASED,
        _T.NVME_FORMAT_CRYPTO,
        _PURGE,
        policy=GRANTING + 'technique = "nvme-format-crypto-erase"\n',
    ),
    Case(
        "nvme-fails",
        _nvme(sanicap=0x4000_0002, block_erase_seconds=4.0, fails_at=0.5),
        _UNKNOWN,
        _T.NVME_SANITIZE_BLOCK,
        keeps=True,
    ),
    Case(
        "nvme-lies",
        _nvme(sanicap=0x4000_0002, block_erase_seconds=3.0, leaves=True),
        _FAILED,
        _T.NVME_SANITIZE_BLOCK,
        keeps=True,
        says="old data is still there",
    ),
)
