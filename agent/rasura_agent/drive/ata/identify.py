"""IDENTIFY DEVICE (ECh) and its 256 words (ACS-4 table 55; older words as ACS-2 and ATA8-ACS have them).

Words say in different ways whether they are valid: by bits 15:14 being 01b, by a bit of another word,
by not being 0000h or FFFFh. What a word does not validly say is ``None`` here, never false or zero.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

import msgspec

from rasura_agent.drive.ata.errors import AtaDecodeError
from rasura_agent.drive.ata.sanitize import SanitizeSupport, decode_sanitize_support
from rasura_agent.drive.ata.security import SecurityStatus, decode_security_status
from rasura_agent.drive.ata.words import (
    ATA_SECTOR_BYTES,
    ascii_field,
    bit,
    integrity,
    qword,
    signed,
    to_words,
)
from rasura_agent.drive.port import AtaCommand, AtaProtocol

__all__ = [
    "IDENTIFY_DEVICE",
    "AtaTransport",
    "FormFactor",
    "IdentifyDevice",
    "IdentifyFeatures",
    "ZonedCapability",
    "decode_identify",
    "identify_device",
]

IDENTIFY_DEVICE = 0xEC

_COMPACT_FLASH = frozenset({0x848A, 0x844A})
"""Word 0 of CompactFlash cards, which have bit 15 set without being ATAPI."""
_ROTATION_LOWEST, _ROTATION_HIGHEST = 0x0401, 0xFFFE
_WORDS_PER_SECTOR = 256

_E = TypeVar("_E", bound=Enum)


class AtaTransport(Enum):
    """Transport type, word 222 bits 15:12."""

    PARALLEL = 0x0
    SERIAL = 0x1
    PCIE = 0xE


class ZonedCapability(Enum):
    """Zoned capabilities, word 69 bits 1:0. A host-managed drive does not show here."""

    NOT_REPORTED = 0
    HOST_AWARE = 1
    DEVICE_MANAGED = 2


class FormFactor(Enum):
    """Nominal form factor, word 168 bits 3:0."""

    INCH_5_25 = 1
    INCH_3_5 = 2
    INCH_2_5 = 3
    INCH_1_8 = 4
    LESS_THAN_1_8_INCH = 5
    M_SATA = 6
    M_2 = 7
    MICRO_SSD = 8
    CFAST = 9


class IdentifyFeatures(msgspec.Struct, frozen=True):
    """Feature sets and commands; each ``None`` where its word is not valid."""

    smart_supported: bool | None
    smart_enabled: bool | None
    smart_self_test_supported: bool | None
    security_supported: bool | None
    security_enabled: bool | None
    write_cache_supported: bool | None
    write_cache_enabled: bool | None
    hpa_supported: bool | None
    hpa_enabled: bool | None
    hpa_security_supported: bool | None
    hpa_security_enabled: bool | None
    dco_supported: bool | None
    ama_supported: bool | None
    """Accessible Max Address Configuration, word 119 bit 8; drives don't say whether it is in use."""
    lba48_supported: bool | None
    general_purpose_logging_supported: bool | None
    trusted_computing_supported: bool | None
    encrypts_all_user_data: bool | None
    trim_supported: bool | None
    trim_deterministic: bool | None
    """DRAT: a trimmed sector reads the same every time."""
    trim_zeroes: bool | None
    """RZAT: a trimmed sector reads zeros; it counts only together with ``trim_deterministic``."""
    ncq_supported: bool | None


class IdentifyDevice(msgspec.Struct, frozen=True):
    """What a drive says of itself."""

    model: str | None
    serial: str | None
    firmware: str | None
    wwn: str | None
    """World Wide Name: 16 lower-case hex digits, no prefix."""
    sectors: int | None
    """User-addressable logical sectors."""
    sectors_28: int | None
    """Words 60-61 alone; they stop at 0FFFFFFFh."""
    logical_sector_bytes: int | None
    physical_sector_bytes: int | None
    alignment_offset_sectors: int | None
    """How many logical sectors into its physical sector LBA 0 lies."""
    rotation_rpm: int | None
    rotational: bool | None
    form_factor: FormFactor | None
    transport: AtaTransport | None
    sata_generation: int | None
    """The fastest signaling generation, 1 to 3; ``None`` for a drive that is not Serial ATA."""
    zoned: ZonedCapability | None
    removable: bool
    response_incomplete: bool
    """The drive has to be spun up before the rest can be believed."""
    checksum_valid: bool | None
    """``None``: the page carries no checksum. ``False``: no conclusion may rest on this page."""
    features: IdentifyFeatures
    security: SecurityStatus | None
    sanitize: SanitizeSupport | None

    @property
    def capacity_bytes(self) -> int | None:
        """User-addressable bytes."""
        if self.sectors is None or self.logical_sector_bytes is None:
            return None
        return self.sectors * self.logical_sector_bytes


def identify_device() -> AtaCommand:
    """IDENTIFY DEVICE: 512 bytes for :func:`decode_identify`; the timeout leaves time to spin up."""
    return AtaCommand(
        "IDENTIFY DEVICE",
        IDENTIFY_DEVICE,
        AtaProtocol.PIO_IN,
        count=1,
        data_in_bytes=ATA_SECTOR_BYTES,
        timeout_s=30.0,
    )


def decode_identify(data: bytes) -> IdentifyDevice:
    """Read IDENTIFY DEVICE data.

    Raises ``AtaDecodeError`` unless it is 512 bytes, not all alike, of an ATA (not ATAPI) device. A wrong
    checksum is not an error here, because drives ship with one: see ``checksum_valid``.
    """
    words = to_words(data, "IDENTIFY DEVICE data")
    if len(set(words)) == 1:
        raise AtaDecodeError("IDENTIFY DEVICE data is the same word 256 times: nobody answered")
    if bit(words[0], 15) and words[0] not in _COMPACT_FLASH:
        raise AtaDecodeError("this is the IDENTIFY data of a packet (ATAPI) device")
    features = _features(words)
    logical, physical = _sector_sizes(words[106], words[117] | words[118] << 16)
    sectors_28 = (words[60] | words[61] << 16) or None if bit(words[49], 9) else None
    return IdentifyDevice(
        model=ascii_field(words, 27, 20),
        serial=ascii_field(words, 10, 10),
        firmware=ascii_field(words, 23, 4),
        wwn=_wwn(words),
        sectors=_sectors(words, sectors_28, features.lba48_supported),
        sectors_28=sectors_28,
        logical_sector_bytes=logical,
        physical_sector_bytes=physical,
        alignment_offset_sectors=words[209] & 0x3FFF if signed(words[209]) else None,
        rotation_rpm=words[217] if _ROTATION_LOWEST <= words[217] <= _ROTATION_HIGHEST else None,
        rotational=_rotational(words[217]),
        form_factor=_member(FormFactor, words[168] & 0xF) if words[168] != 0xFFFF else None,
        transport=_member(AtaTransport, words[222] >> 12) if _reported(words[222]) else None,
        sata_generation=_sata_generation(words[76]),
        zoned=_member(ZonedCapability, words[69] & 0b11) if _additional_supported_valid(words) else None,
        removable=bit(words[0], 7),
        response_incomplete=bit(words[0], 2),
        checksum_valid=integrity(data),
        features=features,
        security=decode_security_status(words),
        sanitize=decode_sanitize_support(words[59]),
    )


def _features(words: tuple[int, ...]) -> IdentifyFeatures:
    supported = signed(words[83])  # word 83 vouches for words 82 and 83
    enabled = signed(words[87])  # word 87 vouches for words 85 to 87
    words_119_120 = enabled and bit(words[86], 15) and signed(words[119])
    additional = _additional_supported_valid(words)
    return IdentifyFeatures(
        smart_supported=_flag(words[82], 0, supported),
        smart_enabled=_flag(words[85], 0, enabled),
        smart_self_test_supported=_flag(words[84], 1, signed(words[84])),
        security_supported=_flag(words[82], 1, supported),
        security_enabled=_flag(words[85], 1, enabled),
        write_cache_supported=_flag(words[82], 5, supported),
        write_cache_enabled=_flag(words[85], 5, enabled),
        hpa_supported=_flag(words[82], 10, supported),
        hpa_enabled=_flag(words[85], 10, enabled),
        hpa_security_supported=_flag(words[83], 8, supported),
        hpa_security_enabled=_flag(words[86], 8, enabled),
        dco_supported=_flag(words[83], 11, supported),
        ama_supported=_flag(words[119], 8, words_119_120),
        lba48_supported=_flag(words[83], 10, supported),
        general_purpose_logging_supported=_flag(words[84], 5, signed(words[84])),
        trusted_computing_supported=_flag(words[48], 0, signed(words[48])),
        encrypts_all_user_data=_flag(words[69], 4, additional),
        trim_supported=_flag(words[169], 0, words[169] != 0xFFFF),
        trim_deterministic=_flag(words[69], 14, additional),
        trim_zeroes=_flag(words[69], 5, additional),
        ncq_supported=_flag(words[76], 8, _reported(words[76])),
    )


def _flag(word: int, number: int, valid: bool) -> bool | None:
    return bit(word, number) if valid else None


def _reported(word: int) -> bool:
    return word not in {0x0000, 0xFFFF}


def _additional_supported_valid(words: tuple[int, ...]) -> bool:
    """Word 53 bit 1 vouches for words 64 to 70."""
    return bit(words[53], 1) and words[69] != 0xFFFF


def _member(kind: type[_E], value: int) -> _E | None:
    """The member of that value; ``None`` for a reserved one."""
    return next((member for member in kind if member.value == value), None)


def _wwn(words: tuple[int, ...]) -> str | None:
    """Words 108 to 111, most significant first, if word 84 or 87 says that they are there."""
    named = any(signed(words[n]) and bit(words[n], 8) for n in (84, 87))
    text = "".join(f"{word:04x}" for word in words[108:112])
    return text if named and text.strip("0") else None


def _sectors(words: tuple[int, ...], sectors_28: int | None, lba48: bool | None) -> int | None:
    """The widest count that is there and plausible; the narrower ones saturate."""
    counts = []
    if _additional_supported_valid(words) and bit(words[69], 3):
        counts.append(qword(words, 230))
    if lba48:
        counts.append(qword(words, 100))
    return next((count for count in counts if 0 < count <= 1 << 48), sectors_28)


def _sector_sizes(word: int, logical_words: int) -> tuple[int | None, int | None]:
    """Logical and physical sector size in bytes, from word 106 and words 117-118."""
    if not signed(word):
        return 2 * _WORDS_PER_SECTOR, None
    if not bit(word, 12):
        logical = 2 * _WORDS_PER_SECTOR
    elif logical_words >= _WORDS_PER_SECTOR:
        logical = 2 * logical_words
    else:
        return None, None
    return logical, logical << (word & 0xF) if bit(word, 13) else logical


def _rotational(word: int) -> bool | None:
    if word == 1:
        return False
    return True if _ROTATION_LOWEST <= word <= _ROTATION_HIGHEST else None


def _sata_generation(word: int) -> int | None:
    if not _reported(word):
        return None
    return next((generation for generation in (3, 2, 1) if bit(word, generation)), None)
