"""What a simulated ATA drive can be like, and the names of ACS-4 that its parts share."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

import msgspec

from simulators.ports_media import Lie, Technique


class Protocol(IntEnum):
    """ATA protocols by their PROTOCOL code in ATA PASS-THROUGH (SAT-4 table 155)."""

    NON_DATA = 3
    PIO_IN = 4
    PIO_OUT = 5


class Status:
    """STATUS field (ACS-4 clause 6.2)."""

    ERROR = 0x01
    DEVICE_FAULT = 0x20
    DRDY = 0x40


class Error:
    """ERROR field (ACS-4 clause 6.3)."""

    ABORT = 0x04
    ID_NOT_FOUND = 0x10
    UNCORRECTABLE = 0x40


class Opcode(IntEnum):
    """Command codes (ACS-4 table B.2; those of HPA and DCO from ATA8-ACS)."""

    READ_SECTORS = 0x20
    READ_SECTORS_EXT = 0x24
    READ_NATIVE_MAX_ADDRESS_EXT = 0x27
    WRITE_SECTORS = 0x30
    WRITE_SECTORS_EXT = 0x34
    SET_MAX_ADDRESS_EXT = 0x37
    ACCESSIBLE_MAX_ADDRESS_CONFIGURATION = 0x78
    SMART = 0xB0
    DEVICE_CONFIGURATION = 0xB1
    SANITIZE_DEVICE = 0xB4
    STANDBY_IMMEDIATE = 0xE0
    IDLE_IMMEDIATE = 0xE1
    CHECK_POWER_MODE = 0xE5
    FLUSH_CACHE = 0xE7
    FLUSH_CACHE_EXT = 0xEA
    IDENTIFY_DEVICE = 0xEC
    SECURITY_SET_PASSWORD = 0xF1
    SECURITY_UNLOCK = 0xF2
    SECURITY_ERASE_PREPARE = 0xF3
    SECURITY_ERASE_UNIT = 0xF4
    SECURITY_FREEZE_LOCK = 0xF5
    SECURITY_DISABLE_PASSWORD = 0xF6
    READ_NATIVE_MAX_ADDRESS = 0xF8
    SET_MAX_ADDRESS = 0xF9


class Registers(NamedTuple):
    """A command as it arrives; without ``ext``, LBA has 24 bits and 27:24 of it are in DEVICE 3:0."""

    command: int
    feature: int
    count: int  # type: ignore[assignment]  # the standard's name; tuple.count is never wanted
    lba: int
    device: int
    protocol: int
    ext: bool
    data_out: bytes

    @property
    def lba28(self) -> int:
        """The address of a 28-bit command."""
        return (self.device & 0x0F) << 24 | self.lba & 0xFFFFFF


class Outputs(NamedTuple):
    """What a command ends with."""

    status: int
    error: int
    count: int  # type: ignore[assignment]  # the standard's name; tuple.count is never wanted
    lba: int
    device: int
    data_in: bytes


DEVICE_LBA = 0x40
"""DEVICE bit 6, "shall be set to one" in every command that addresses sectors."""

_FINE = Status.DRDY | 0x10
"""Bit 4 is obsolete, and set by every drive."""

GOOD = Outputs(_FINE, 0, 0, 0, DEVICE_LBA, b"")


def good(*, count: int = 0, lba: int = 0, device: int = DEVICE_LBA, data_in: bytes = b"") -> Outputs:
    """Completion without error."""
    return Outputs(_FINE, 0, count, lba, device, data_in)


def failure(error: int, lba: int = 0) -> Outputs:
    """Completion with ``error``; ``lba`` is the first sector not transferred, or a reason."""
    return Outputs(_FINE | Status.ERROR, error, 0, lba, DEVICE_LBA, b"")


ABORTED = failure(Error.ABORT)


class Freeze(Enum):
    """When the BIOS sends a freeze lock command before we get to speak to the drive."""

    NEVER = "never"
    AT_BOOT = "at boot only, so that suspend and resume thaws it"
    AT_EVERY_POWER_ON = "at boot and at every resume, so that only re-plugging thaws it"


ALL_SANITIZE = frozenset({Technique.CRYPTO, Technique.BLOCK, Technique.OVERWRITE})


class AtaOptions(msgspec.Struct, frozen=True):
    """One model of drive, its past, and what is wrong with it. Sizes are logical sectors, times seconds."""

    model: str = "SIMULATED ATA DRIVE"
    serial: str = "SIM-ATA-0001"
    firmware: str = "SIM1.0"
    wwn: int = 0x5000C500A1B2C3D4
    rotation_rate: int = 7200
    """Word 217: 1 is a solid-state drive."""
    encrypts_all: bool = False
    write_cache: bool = True
    smart_failing: bool = False

    # Security feature set
    security: bool = True
    enhanced_erase: bool = True
    user_password: bytes | None = None
    """Set before we meet the drive, 32 bytes: it powers up locked (SEC4)."""
    master_password: bytes = b"factory master".ljust(32, b"\0")
    master_identifier: int = 0xFFFE
    maximum_level: bool = False
    attempts_expired: bool = False
    bios_freezes: Freeze = Freeze.NEVER
    erase_s: float = 7200.0
    enhanced_s: float = 120.0
    erase_word: int = 60
    """Word 89 as reported; 0 is "not reported", FFh and FFFFh are saturated."""
    enhanced_word: int = 1
    """Word 90 as reported."""
    enhanced_pattern: bytes = b"\0"
    erase_fails_at: float | None = None
    erase_keeps_password: bool = False
    """Firmware that erases and leaves security enabled."""

    # Sanitize Device feature set
    sanitize: frozenset[Technique] = ALL_SANITIZE
    antifreeze: bool = True
    bios_freezes_sanitize: Freeze = Freeze.NEVER
    crypto_s: float = 2.0
    block_s: float = 30.0
    block_pattern: bytes = b"\0"
    overwrite_s: float = 7200.0
    """For each pass."""
    sanitize_fails_at: float | None = None
    progress_stuck_at: float | None = None
    sanitize_completed_before: bool = False
    """A former run left "completed without error" set."""

    # Capacity
    hpa: bool = True
    hpa_sectors: int | None = None
    """Accessible sectors of a host protected area set before we meet the drive."""
    ama: bool = False
    ama_sectors: int | None = None
    dco: bool = True
    dco_sectors: int | None = None
    """What a configuration overlay lets the drive say it has."""

    # Faults
    lie: Lie | None = None
    bad_sectors_fail_erase: bool = True
    """Otherwise they are reassigned while erasing, and read well afterwards."""
    hangs: frozenset[int] = frozenset()
    """Command codes that are never answered."""
