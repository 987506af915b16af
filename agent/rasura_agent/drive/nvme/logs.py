"""Get Log Page (opcode 02h), and the SMART / Health Information page 02h (NVMe Base 2.1 clause 5.1.12)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import msgspec

from rasura.errors import UsageError
from rasura_agent.drive.nvme.fields import BROADCAST_NSID, field, require_length
from rasura_agent.drive.port import NvmeCommand

__all__ = [
    "DATA_UNIT_BYTES",
    "OPCODE_GET_LOG_PAGE",
    "SMART_LOG_BYTES",
    "CriticalWarning",
    "LogPage",
    "SmartLog",
    "decode_smart_log",
    "get_log_page",
    "smart_status",
]

OPCODE_GET_LOG_PAGE = 0x02
SMART_LOG_BYTES = 512
DATA_UNIT_BYTES = 512_000
"""Data Units Read and Written count thousands of 512 bytes."""


class LogPage(IntEnum):
    """Log Page Identifiers, CDW10 bits 7:0, that we read."""

    ERROR_INFORMATION = 0x01
    SMART = 0x02
    SANITIZE_STATUS = 0x81


def get_log_page(page: LogPage, length: int, *, nsid: int = BROADCAST_NSID, offset: int = 0) -> NvmeCommand:
    """Read ``length`` bytes of a log page from byte ``offset``; both are multiples of four.

    An ``offset`` needs LPA bit 2 of the controller.

    Raises:
        UsageError: no whole number of dwords, or more than the fields can hold.
    """
    dwords, rest = divmod(length, 4)
    if rest or not 0 < dwords <= 1 << 32 or offset % 4 or not 0 <= offset < 1 << 64:
        raise UsageError(f"a log page is read in dwords: {length} bytes from {offset} are not possible")
    # NUMD counts from zero; its low half is in CDW10 and its high half in CDW11.
    numd = dwords - 1
    return NvmeCommand(
        f"GET LOG PAGE {page.value:02X}h",
        OPCODE_GET_LOG_PAGE,
        nsid=nsid,
        cdw10=page | (numd & 0xFFFF) << 16,
        cdw11=numd >> 16,
        cdw12=offset & 0xFFFF_FFFF,
        cdw13=offset >> 32,
        data_in_bytes=length,
    )


def smart_status() -> NvmeCommand:
    """Get Log Page for the SMART / Health Information of the whole controller."""
    return get_log_page(LogPage.SMART, SMART_LOG_BYTES)


class CriticalWarning(IntFlag):
    """Byte 0 of the SMART page."""

    SPARE_BELOW_THRESHOLD = 1 << 0
    TEMPERATURE = 1 << 1
    RELIABILITY_DEGRADED = 1 << 2
    READ_ONLY = 1 << 3
    VOLATILE_MEMORY_BACKUP_FAILED = 1 << 4
    PERSISTENT_MEMORY_REGION_UNRELIABLE = 1 << 5


class SmartLog(msgspec.Struct, frozen=True):
    """Log page 02h (clause 5.1.12.1.3): counters of the drive's life, 16 bytes each."""

    critical_warning: CriticalWarning
    composite_temperature_k: int
    """Kelvin."""
    available_spare: int
    """Percent."""
    available_spare_threshold: int
    percentage_used: int
    """Percent of the expected life; may pass 100, 255 stands for more."""
    data_units_read: int
    data_units_written: int
    host_read_commands: int
    host_write_commands: int
    controller_busy_minutes: int
    power_cycles: int
    power_on_hours: int
    unsafe_shutdowns: int
    media_errors: int
    error_log_entries: int
    warning_temperature_minutes: int
    critical_temperature_minutes: int

    @property
    def bytes_read(self) -> int:
        """What hosts have read, to the next 512,000 bytes above."""
        return self.data_units_read * DATA_UNIT_BYTES

    @property
    def bytes_written(self) -> int:
        """What hosts have written, to the next 512,000 bytes above."""
        return self.data_units_written * DATA_UNIT_BYTES


def decode_smart_log(data: bytes) -> SmartLog:
    """Decode the 512 bytes of log page 02h.

    Raises:
        NvmeDecodeError: not 512 bytes.
    """
    require_length("the SMART log page", data, SMART_LOG_BYTES)
    return SmartLog(
        critical_warning=CriticalWarning(data[0]),
        composite_temperature_k=field(data, 2, 1),
        available_spare=data[3],
        available_spare_threshold=data[4],
        percentage_used=data[5],
        data_units_read=field(data, 47, 32),
        data_units_written=field(data, 63, 48),
        host_read_commands=field(data, 79, 64),
        host_write_commands=field(data, 95, 80),
        controller_busy_minutes=field(data, 111, 96),
        power_cycles=field(data, 127, 112),
        power_on_hours=field(data, 143, 128),
        unsafe_shutdowns=field(data, 159, 144),
        media_errors=field(data, 175, 160),
        error_log_entries=field(data, 191, 176),
        warning_temperature_minutes=field(data, 195, 192),
        critical_temperature_minutes=field(data, 199, 196),
    )
