"""General purpose logs: READ LOG EXT (2Fh), and the few pages whose content decides something here."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.words import ATA_SECTOR_BYTES, bit, qword, to_words
from rasura_agent.drive.port import AtaCommand, AtaProtocol

__all__ = [
    "READ_LOG_EXT",
    "GeneralStatistics",
    "IdentifyLogPage",
    "LogAddress",
    "SecurityCapabilities",
    "StatisticsPage",
    "SupportedCapabilities",
    "decode_general_statistics",
    "decode_log_directory",
    "decode_security_capabilities",
    "decode_supported_capabilities",
    "decode_supported_pages",
    "read_log_ext",
]

READ_LOG_EXT = 0x2F
_TIMEOUT_S = 30.0
_QWORD_VALID = 63
_LIST_LENGTH_AT, _LIST_AT = 8, 9


class LogAddress(IntEnum):
    """Log addresses (ACS-4 clause 9)."""

    DIRECTORY = 0x00
    DEVICE_STATISTICS = 0x04
    IDENTIFY_DEVICE_DATA = 0x30


class IdentifyLogPage(IntEnum):
    """Pages of the IDENTIFY DEVICE data log (ACS-4 clause 9.11)."""

    SUPPORTED_PAGES = 0x00
    SUPPORTED_CAPABILITIES = 0x03
    SECURITY = 0x06


class StatisticsPage(IntEnum):
    """Pages of the Device Statistics log (ACS-4 clause 9.5)."""

    SUPPORTED_PAGES = 0x00
    GENERAL = 0x01


class SupportedCapabilities(msgspec.Struct, frozen=True):
    """Page 03h of log 30h; ``None`` where the drive says nothing."""

    overwrite_definitive_ending_pattern: bool | None
    """OVERWRITE EXT honours the DEFINITIVE ENDING PATTERN bit."""


class SecurityCapabilities(msgspec.Struct, frozen=True):
    """Page 06h of log 30h; every field is ``None`` where the drive says nothing."""

    restricted_sanitize_overrides_security: bool | None
    """A sanitize without FAILURE MODE runs on a locked drive, and removes the user password."""
    encrypts_all_user_data: bool | None


class GeneralStatistics(msgspec.Struct, frozen=True):
    """Page 01h of log 04h; ``None`` where unsupported or not yet valid."""

    power_on_resets: int | None
    power_on_hours: int | None
    logical_sectors_written: int | None
    logical_sectors_read: int | None


def read_log_ext(address: int, page: int = 0, pages: int = 1) -> AtaCommand:
    """READ LOG EXT: ``pages`` pages of 512 bytes from ``page`` on.

    Raises ``AtaEncodeError`` for an address beyond a byte, a page number beyond 16 bits or a count
    that is not 1 to FFFFh.
    """
    if not 0 <= address <= 0xFF or not 0 <= page <= 0xFFFF or not 1 <= pages <= 0xFFFF:
        raise AtaEncodeError(f"READ LOG EXT cannot ask for {pages} pages from {page} on of log {address}")
    return AtaCommand(
        f"READ LOG EXT ({address:02X}h page {page:02X}h)",
        READ_LOG_EXT,
        AtaProtocol.PIO_IN,
        count=pages,
        lba=address | (page & 0xFF) << 8 | (page >> 8) << 32,
        device=0x40,
        ext=True,
        data_in_bytes=pages * ATA_SECTOR_BYTES,
        timeout_s=_TIMEOUT_S,
    )


def decode_log_directory(data: bytes) -> dict[int, int]:
    """Read log 00h: how many pages each log has, only logs that have any.

    Raises ``AtaDecodeError`` unless it is 512 bytes of version 0001h.
    """
    words = to_words(data, "the log directory")
    if words[0] != 0x0001:
        raise AtaDecodeError(f"the log directory has version {words[0]:04X}h instead of 0001h")
    return {address: pages for address, pages in enumerate(words[1:], 1) if pages}


def decode_supported_pages(data: bytes, log: LogAddress) -> tuple[int, ...]:
    """Read page 00h of log 04h or 30h: the numbers of the pages that exist.

    Raises ``AtaDecodeError`` if the page is another one, or its list is longer than the page.
    """
    _page(data, 0x00, f"log {log:02X}h page 00h", flagged=False)
    end = _LIST_AT + data[_LIST_LENGTH_AT]
    if end > ATA_SECTOR_BYTES:
        raise AtaDecodeError(f"log {log:02X}h lists more pages than a page can hold")
    return tuple(data[_LIST_AT:end])


def decode_supported_capabilities(data: bytes) -> SupportedCapabilities:
    """Read page 03h of log 30h; raises ``AtaDecodeError`` if it is another page."""
    words = _page(data, IdentifyLogPage.SUPPORTED_CAPABILITIES, "log 30h page 03h")
    return SupportedCapabilities(overwrite_definitive_ending_pattern=_flag(qword(words, 4), 51))


def decode_security_capabilities(data: bytes) -> SecurityCapabilities:
    """Read page 06h of log 30h; raises ``AtaDecodeError`` if it is another page."""
    capabilities = qword(_page(data, IdentifyLogPage.SECURITY, "log 30h page 06h"), 24)
    return SecurityCapabilities(
        restricted_sanitize_overrides_security=_flag(capabilities, 7),
        encrypts_all_user_data=_flag(capabilities, 0),
    )


def decode_general_statistics(data: bytes) -> GeneralStatistics:
    """Read page 01h of log 04h; raises ``AtaDecodeError`` if it is another page."""
    words = _page(data, StatisticsPage.GENERAL, "log 04h page 01h", flagged=False)
    return GeneralStatistics(
        power_on_resets=_statistic(words, 8, 32),
        power_on_hours=_statistic(words, 16, 32),
        logical_sectors_written=_statistic(words, 24, 48),
        logical_sectors_read=_statistic(words, 40, 48),
    )


def _page(data: bytes, number: int, what: str, *, flagged: bool = True) -> tuple[int, ...]:
    """The words of a page whose header names it; log 30h also marks the header itself as valid."""
    words = to_words(data, what)
    header = qword(words, 0)
    if not header & 0xFFFF or header >> 16 & 0xFF != number or (flagged and not bit(header, _QWORD_VALID)):
        raise AtaDecodeError(f"{what} has header {header:016X}h, which is not its own")
    return words


def _flag(value: int, number: int) -> bool | None:
    return bit(value, number) if bit(value, _QWORD_VALID) else None


def _statistic(words: tuple[int, ...], at: int, bits: int) -> int | None:
    value = qword(words, at // 2)
    # Bit 63: the statistic is supported; bit 62: its value is valid.
    return value & (1 << bits) - 1 if value >> 62 == 0b11 else None
