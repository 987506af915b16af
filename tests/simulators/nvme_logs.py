"""Get Log Page of a simulated NVM subsystem (Base 2.0 clause 5.16)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from simulators.nvme_sanitize import SanitizeMachine
from simulators.nvme_types import BROADCAST, AdminCommand, CommandAbortError, NvmeOptions, Reply, Status

LID_ERROR, LID_SMART, LID_FIRMWARE_SLOT, LID_SANITIZE = 0x01, 0x02, 0x03, 0x81
_LPA_EXTENDED_DATA = 1 << 2
_MAX_DWORDS_WITHOUT_LPA = 1 << 12


@dataclass(slots=True)
class Health:
    """What the SMART / Health Information log counts; ``media_errors`` and the rest are plain numbers."""

    critical_warning: int = 0
    temperature_kelvin: int = 310
    available_spare: int = 100
    percentage_used: int = 3
    data_units_read: int = 0
    data_units_written: int = 0
    power_cycles: int = 1
    power_on_hours: int = 1000
    unsafe_shutdowns: int = 0
    media_errors: int = 0

    def log_page(self) -> bytes:
        """Log page 02h, 512 bytes (Base 2.0 figure 207)."""
        page = bytearray(512)
        struct.pack_into(
            "<BHBBB",
            page,
            0,
            self.critical_warning,
            self.temperature_kelvin,
            self.available_spare,
            10,  # Available Spare Threshold
            self.percentage_used,
        )
        for offset, value in (
            (32, self.data_units_read),
            (48, self.data_units_written),
            (112, self.power_cycles),
            (128, self.power_on_hours),
            (144, self.unsafe_shutdowns),
            (160, self.media_errors),
        ):
            page[offset : offset + 16] = value.to_bytes(16, "little")
        return bytes(page)


class LogPages:
    """Answers Get Log Page from the state of the subsystem at that moment."""

    def __init__(self, options: NvmeOptions, health: Health, sanitize: SanitizeMachine) -> None:
        self._options = options
        self._pages: dict[int, Callable[[float], bytes]] = {
            LID_ERROR: lambda now: bytes(64),
            LID_SMART: lambda now: health.log_page(),
            LID_FIRMWARE_SLOT: lambda now: (
                b"\x01" + bytes(7) + options.firmware.encode("ascii").ljust(8)[:8]
            ).ljust(512, b"\0"),
        }
        if sanitize.supported:
            self._pages[LID_SANITIZE] = sanitize.log_page

    def command(self, command: AdminCommand, now: float) -> Reply:
        """Carry out Get Log Page: NUMD dwords of page LID from byte offset LPO."""
        page = self._pages.get(command.cdw10 & 0xFF)
        if page is None:
            raise CommandAbortError(Status.INVALID_LOG_PAGE)
        # The pages belong to the controller or the subsystem: no namespace, no LSP, no LSI, no index offset.
        if command.nsid not in {0, BROADCAST} or command.data_out:
            raise CommandAbortError(Status.INVALID_FIELD)
        if command.cdw10 & 0x7F00 or command.cdw11 >> 16:
            raise CommandAbortError(Status.INVALID_FIELD)
        command.require_reserved_clear(14)
        length, offset = self._window(command)
        data = page(now)
        if offset > len(data):
            raise CommandAbortError(Status.INVALID_FIELD)
        return Reply(data=command.deliver(data[offset : offset + length].ljust(length, b"\0")), ready_at=now)

    def _window(self, command: AdminCommand) -> tuple[int, int]:
        """Bytes to return and where from; NUMD is a 0's based count of dwords."""
        dwords = ((command.cdw11 & 0xFFFF) << 16 | command.cdw10 >> 16) + 1
        offset = command.cdw13 << 32 | command.cdw12
        extended = self._options.lpa & _LPA_EXTENDED_DATA
        if offset & 3 or (not extended and (offset or dwords > _MAX_DWORDS_WITHOUT_LPA)):
            raise CommandAbortError(Status.INVALID_FIELD)
        return dwords * 4, offset
