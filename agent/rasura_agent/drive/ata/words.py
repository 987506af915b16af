"""The 512-byte data structures of ATA: words, strings and the integrity word."""

from __future__ import annotations

from rasura_agent.drive.ata.errors import AtaDecodeError

__all__ = [
    "ATA_SECTOR_BYTES",
    "ascii_field",
    "bit",
    "integrity",
    "qword",
    "seal",
    "signed",
    "to_words",
]

ATA_SECTOR_BYTES = 512
"""Size of an IDENTIFY, SMART, DCO or log page, whatever the drive's logical sector size (ACS-4)."""

_CHECKSUM_SIGNATURE = 0xA5
"""CHECKSUM VALIDITY INDICATOR: bits 7:0 of word 255 (ACS-4 table 55)."""


def to_words(data: bytes, what: str) -> tuple[int, ...]:
    """Return the 256 little-endian words of ``data``.

    Raises ``AtaDecodeError``, naming ``what``, unless there are exactly 512 bytes.
    """
    if len(data) != ATA_SECTOR_BYTES:
        raise AtaDecodeError(f"{what} has {len(data)} bytes instead of {ATA_SECTOR_BYTES}")
    return tuple(data[i] | data[i + 1] << 8 for i in range(0, ATA_SECTOR_BYTES, 2))


def bit(value: int, number: int) -> bool:
    """Whether bit ``number`` of ``value`` is one."""
    return bool(value >> number & 1)


def signed(word: int) -> bool:
    """Whether bits 15:14 are 01b, by which a word of IDENTIFY data declares itself valid."""
    return word >> 14 == 0b01


def qword(words: tuple[int, ...], first: int) -> int:
    """The four words from ``first`` on, least significant word first."""
    return words[first] | words[first + 1] << 16 | words[first + 2] << 32 | words[first + 3] << 48


def ascii_field(words: tuple[int, ...], first: int, count: int) -> str | None:
    """An ATA string: two characters a word, the first one in the high byte (ACS-4, ATA string convention).

    NULs, which old drives pad with, and blanks at the ends are dropped; any other byte outside
    printable ASCII becomes ``?``. An empty string is ``None``.
    """
    raw = b"".join(word.to_bytes(2, "big") for word in words[first : first + count])
    text = "".join(chr(c) if 0x20 <= c <= 0x7E else "?" for c in raw if c)
    return text.strip() or None


def integrity(data: bytes) -> bool | None:
    """Whether the checksum in word 255 holds; ``None`` when its signature A5h is absent.

    The bytes of all 512 sum to zero modulo 256 when the checksum is right (ACS-4 table 55, word 255).
    """
    if data[ATA_SECTOR_BYTES - 2] != _CHECKSUM_SIGNATURE:
        return None
    return sum(data) % 256 == 0


def seal(body: bytes) -> bytes:
    """Put signature A5h and checksum behind the first 510 bytes of ``body``: 512 bytes."""
    head = body[: ATA_SECTOR_BYTES - 2] + bytes([_CHECKSUM_SIGNATURE])
    return head + bytes([-sum(head) % 256])
