"""Extended Display Identification Data, the 128-byte base block; pure.

The source is VESA E-EDID Release A, Revision 2 (EDID 1.4), clauses of which are named below. A decoder of
our own: the one published for Python gives no native resolution and is not kept up.
"""

from __future__ import annotations

import math

import msgspec

__all__ = ["Edid", "EdidError", "decode_edid"]

BLOCK_BYTES = 128
_HEADER = bytes.fromhex("00ffffffffffff00")
"""Clause 3.3."""
_DESCRIPTORS = range(54, 126, 18)
"""Where the four 18-byte descriptors begin (clause 3.10)."""
_TAG_SERIAL, _TAG_TEXT, _TAG_NAME = 0xFF, 0xFE, 0xFC
_MODEL_YEAR_WEEK = 0xFF
_NO_SERIALS = frozenset({0, 0x01010101, 0xFFFFFFFF})
"""What makers put where they number nothing."""


class EdidError(ValueError):
    """These bytes are no valid base block; the sentence says why."""


class Edid(msgspec.Struct, frozen=True):
    """What a display says of itself; texts are raw."""

    manufacturer_id: str | None
    product_code: str
    """Four lower-case hex digits."""
    serial_number: int | None
    serial_text: bytes | None
    name: bytes | None
    """Its product name; panels of laptops, which have none, put their part number into a free text."""
    year: int | None
    native: tuple[int, int] | None
    """Width and height in pixels, of the timing that the display prefers."""
    size_mm: tuple[int, int] | None

    @property
    def diagonal_inches(self) -> float | None:
        """To a tenth."""
        return round(math.hypot(*self.size_mm) / 25.4, 1) if self.size_mm is not None else None


def decode_edid(data: bytes) -> Edid:
    """Decode the base block; extension blocks are not looked at.

    Raises:
        EdidError: it is too short, has another header, or its checksum is wrong.
    """
    if len(data) < BLOCK_BYTES:
        raise EdidError(f"it has {len(data)} bytes, not {BLOCK_BYTES}")
    block = data[:BLOCK_BYTES]
    if block[:8] != _HEADER:
        raise EdidError("it does not begin as an EDID does")
    if sum(block) % 256:  # clause 3.11
        raise EdidError("its checksum is wrong")
    found = [_text(block[at : at + 18]) for at in _DESCRIPTORS]
    # The free text of some panels is not text at all.
    texts = {tag: text for tag, text in found if text and (tag != _TAG_TEXT or _is_ascii(text))}
    timing = _detailed_timing(block)
    number = int.from_bytes(block[12:16], "little")
    return Edid(
        manufacturer_id=_letters(int.from_bytes(block[8:10], "big")),
        product_code=f"{int.from_bytes(block[10:12], 'little'):04x}",
        serial_number=None if number in _NO_SERIALS else number,
        serial_text=texts.get(_TAG_SERIAL),
        name=texts.get(_TAG_NAME) or texts.get(_TAG_TEXT),
        year=_year(block[16], block[17]),
        native=timing[0] if timing is not None and _prefers_first(block) else None,
        size_mm=_size(block, timing),
    )


def _is_ascii(text: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in text)


def _letters(packed: int) -> str | None:
    """The three letters of the PNP ID, five bits each, 1 is A (clause 3.4.1)."""
    codes = [packed >> 10 & 31, packed >> 5 & 31, packed & 31]
    return "".join(chr(64 + code) for code in codes) if all(1 <= code <= 26 for code in codes) else None


def _text(descriptor: bytes) -> tuple[int, bytes]:
    """Tag and text of a display descriptor (clause 3.10.3): up to 13 bytes, ended by a line feed."""
    if descriptor[:3] != b"\0\0\0":
        return 0, b""
    return descriptor[3], descriptor[5:].split(b"\n", 1)[0].strip(b" \0")


def _year(week: int, year: int) -> int | None:
    """Of manufacture, or with week FFh of the model; counted from 1990 (clause 3.4.4)."""
    plausible = week <= 54 or week == _MODEL_YEAR_WEEK
    return 1990 + year if year and plausible else None


def _prefers_first(block: bytes) -> bool:
    """Whether the first detailed timing is the display's native or preferred one.

    Feature support bit 1 says so (clause 3.6.4). Flat panels of EDID 1.3 set it always; before that only the
    digital input (byte 20 bit 7) tells them from tubes, which have no native timing.
    """
    return bool(block[24] & 0x02 or block[20] & 0x80)


def _detailed_timing(block: bytes) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Pixels and millimetres of the first descriptor, where that is a timing (clause 3.10.2)."""
    timing = block[54:72]
    if timing[:2] == b"\0\0":
        return None
    width = timing[2] | (timing[4] & 0xF0) << 4
    height = timing[5] | (timing[7] & 0xF0) << 4
    height *= 2 if timing[17] & 0x80 else 1  # interlaced: the lines are those of one field
    if not width or not height:
        return None
    return (width, height), (timing[12] | (timing[14] & 0xF0) << 4, timing[13] | (timing[14] & 0x0F) << 8)


def _size(block: bytes, timing: tuple[tuple[int, int], tuple[int, int]] | None) -> tuple[int, int] | None:
    """The size of the picture: millimetres of the timing where they agree with the whole centimetres.

    Some displays put an aspect ratio (16 by 9) or the size of another model into the timing.
    """
    coarse = (block[21] * 10, block[22] * 10) if block[21] and block[22] else None
    fine = timing[1] if timing is not None and all(timing[1]) else None
    if fine is None or coarse is None:
        return coarse or (fine if fine is not None and min(fine) >= 50 else None)
    agree = all(abs(one - other) <= 10 for one, other in zip(fine, coarse, strict=True))
    return fine if agree else coarse
