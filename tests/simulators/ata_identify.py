"""The data structures that a simulated ATA drive returns: IDENTIFY DEVICE, DCO IDENTIFY, SMART READ DATA."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from simulators.ata_options import AtaOptions
from simulators.ports_media import Technique

SECTOR = 512
"""Bytes of a page and of every PIO data block that is not user data."""

LBA28_SECTORS = 0x0FFFFFFF
"""The most that words 60 and 61 can say (ACS-4 clause 7.12.7.16)."""

_SIGNATURE = 0xA5


class Changing(NamedTuple):
    """What of the IDENTIFY DEVICE data depends on the drive's state."""

    sectors: int
    security: bool
    hpa: bool
    security_enabled: bool
    word_92: int
    word_128: int


def ata_string(text: str, length: int) -> bytes:
    """ASCII padded with spaces, the two characters of each word swapped (ACS-4 clause 3.4.9)."""
    padded = text.encode("ascii").ljust(length)[:length]
    swapped = bytearray(length)
    swapped[0::2], swapped[1::2] = padded[1::2], padded[0::2]
    return bytes(swapped)


def _set_word(page: bytearray, word: int, value: int) -> None:
    struct.pack_into("<H", page, 2 * word, value)


@lru_cache(maxsize=256)
def _fixed_part(options: AtaOptions, sector_bytes: int) -> bytes:
    page = bytearray(SECTOR)
    page[20:40] = ata_string(options.serial, 20)
    page[46:54] = ata_string(options.firmware, 8)
    page[54:94] = ata_string(options.model, 40)
    words = {
        0: 0x0040,
        47: 0x8010,
        49: 0x2F00,
        50: 0x4000,
        53: 0x0006,
        59: _sanitize_word(options),
        63: 0x0007,
        64: 0x0003,
        69: options.encrypts_all << 4,
        75: 0x001F,
        76: 0x0006,
        80: 0x0FF0,
        84: 0x4100,
        87: 0x4100,
        88: 0x407F,
        89: options.erase_word if options.security else 0,
        90: options.enhanced_word if options.security and options.enhanced_erase else 0,
        106: 0x4000 | (0x1000 if sector_bytes > SECTOR else 0),
        108: options.wwn >> 48 & 0xFFFF,
        109: options.wwn >> 32 & 0xFFFF,
        110: options.wwn >> 16 & 0xFFFF,
        111: options.wwn & 0xFFFF,
        119: 0x4000 | options.ama << 8,
        120: 0x4000 | options.ama << 8,
        217: options.rotation_rate,
        222: 0x107F,
    }
    for word, value in words.items():
        _set_word(page, word, value)
    if sector_bytes > SECTOR:
        struct.pack_into("<I", page, 2 * 117, sector_bytes // 2)
    return bytes(page)


def _sanitize_word(options: AtaOptions) -> int:
    if not options.sanitize:
        return 0
    return (
        1 << 12
        | 1 << 11
        | options.antifreeze << 10
        | (Technique.CRYPTO in options.sanitize) << 13
        | (Technique.OVERWRITE in options.sanitize) << 14
        | (Technique.BLOCK in options.sanitize) << 15
    )


@lru_cache(maxsize=4096)
def identify_device(options: AtaOptions, sector_bytes: int, now: Changing) -> bytes:
    """The 512 bytes of IDENTIFY DEVICE data (ACS-4 clause 7.12.7), with the integrity word."""
    page = bytearray(_fixed_part(options, sector_bytes))
    commands_1 = 0x7021 | now.security << 1 | now.hpa << 10
    commands_2 = 0x7400 | options.dco << 11
    for word, value in {
        82: commands_1,
        83: commands_2,
        # Enabled is what is supported, but for security, which is enabled by a user password, and the cache.
        85: commands_1 & ~0x0022 | now.security_enabled << 1 | options.write_cache << 5,
        86: commands_2 & 0x3FFF | 0x8000,
        92: now.word_92,
        128: now.word_128,
    }.items():
        _set_word(page, word, value)
    struct.pack_into("<I", page, 2 * 60, min(now.sectors, LBA28_SECTORS))
    struct.pack_into("<Q", page, 2 * 100, now.sectors)
    return _sealed(page)


def dco_identify(max_lba: int, *, security: bool, hpa: bool) -> bytes:
    """The 512 bytes of DEVICE CONFIGURATION IDENTIFY data (ATA8-ACS table 19)."""
    page = bytearray(SECTOR)
    struct.pack_into("<HHH", page, 0, 0x0002, 0x0007, 0x007F)
    struct.pack_into("<Q", page, 6, max_lba)
    _set_word(page, 7, 0x0107 | security << 3 | hpa << 7)
    return _sealed(page)


def smart_data(reallocated: int, pending: int) -> bytes:
    """The 512 bytes of SMART READ DATA: attributes 5 and 197 in the customary 12-byte entries."""
    page = bytearray(SECTOR)
    _set_word(page, 0, 0x0010)
    for index, (attribute, raw) in enumerate(((5, reallocated), (197, pending))):
        page[2 + 12 * index : 14 + 12 * index] = struct.pack(
            "<BHBB6sx", attribute, 0x33, 100, 100, raw.to_bytes(6, "little")
        )
    page[511] = -sum(page) & 0xFF
    return bytes(page)


def _sealed(page: bytearray) -> bytes:
    page[510] = _SIGNATURE
    page[511] = 0
    page[511] = -sum(page) & 0xFF
    return bytes(page)


def is_sealed(page: bytes) -> bool:
    """Whether signature and checksum of a page are right."""
    return len(page) == SECTOR and page[510] == _SIGNATURE and not sum(page) & 0xFF
