"""The pages by which SCSI and ATA drives identify themselves, as the kernel keeps them in sysfs; pure.

They come from the drive, so anything may be in them: what does not decode is ``None`` or left out.
"""

from __future__ import annotations

import msgspec

from rasura_agent.inventory.text import identifier, text, world_wide_name

__all__ = [
    "AtaIdentify",
    "ata_identify",
    "inquiry_without_port",
    "lun_name",
    "rotation_rate",
    "sat_serial",
    "unit_serial",
    "without_ports",
]

UNIT_SERIAL_NUMBER = 0x80
"""VPD page code (SPC-5 clause 7.7.22)."""
DEVICE_IDENTIFICATION = 0x83
"""VPD page code (SPC-5 clause 7.7.6)."""
ATA_INFORMATION = 0x89
"""VPD page code (SAT-4 clause 12.4.2)."""
BLOCK_DEVICE_CHARACTERISTICS = 0xB1
"""VPD page code (SBC-4 clause 6.6.2)."""

_ASSOCIATION_LUN, _ASSOCIATION_TARGET_PORT = 0, 1
_TYPE_T10, _TYPE_EUI64, _TYPE_NAA = 1, 2, 3
_CODE_SET_BINARY = 1
_IDENTIFY_OFFSET, _IDENTIFY_BYTES = 60, 512
_SLOWEST_RPM, _FASTEST_RPM = 0x0401, 0xFFFE


class AtaIdentify(msgspec.Struct, frozen=True):
    """What IDENTIFY DEVICE says about who the drive is (ACS-4 clause 7.12.7)."""

    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    wwn: str | None = None
    serial_ata: bool = False
    """Word 76 is filled in, which only Serial ATA devices do."""
    rotation_rate: int = 0
    """Word 217, as :func:`rotation_rate`."""


class _Designator(msgspec.Struct, frozen=True):
    code_set: int
    association: int
    type: int
    data: bytes
    raw: bytes


def _body(page: bytes | None, code: int) -> bytes | None:
    """The part of a VPD page that its length field (bytes 2-3) covers, where it is the page asked for."""
    if page is None or len(page) < 4 or page[1] != code:
        return None
    return page[4 : 4 + int.from_bytes(page[2:4], "big")]


def unit_serial(page: bytes | None) -> str | None:
    """The serial number of VPD page 80h."""
    return identifier(_body(page, UNIT_SERIAL_NUMBER))


def _designators(page: bytes | None) -> list[_Designator]:
    """The designators of VPD page 83h up to the first that does not fit."""
    rest, found = _body(page, DEVICE_IDENTIFICATION) or b"", []
    while len(rest) >= 4 and len(rest) >= 4 + rest[3]:
        raw, rest = rest[: 4 + rest[3]], rest[4 + rest[3] :]
        found.append(_Designator(raw[0] & 0xF, raw[1] >> 4 & 3, raw[1] & 0xF, raw[4:], raw))
    return found


def lun_name(page: bytes | None) -> str | None:
    """The World Wide Name of the logical unit in VPD page 83h, as the kernel would write it."""
    names = [
        prefix + designator.data.hex()
        for designator_type, prefix in ((_TYPE_NAA, "naa."), (_TYPE_EUI64, "eui."))
        for designator in sorted(_designators(page), key=lambda d: -len(d.data))
        if designator.type == designator_type
        and designator.association == _ASSOCIATION_LUN
        and designator.code_set == _CODE_SET_BINARY
    ]
    return next(filter(None, map(world_wide_name, names)), None)


def sat_serial(page: bytes | None) -> tuple[str | None, str | None]:
    """Model and serial number of an ATA drive behind a SCSI layer, from VPD page 83h (SAT-4 clause 12.4.3).

    The T10 designator then holds "ATA", 40 characters of model and 20 of serial number.
    """
    for designator in _designators(page):
        data = designator.data
        if designator.type == _TYPE_T10 and len(data) == 68 and data[:8] == b"ATA     ":
            return text(data[8:48]), identifier(data[48:])
    return None, None


def without_ports(page: bytes | None) -> bytes | None:
    """VPD page 83h without its target-port designators, which differ with the port a drive is plugged by."""
    body = _body(page, DEVICE_IDENTIFICATION)
    if page is None or body is None:
        return None
    designators = _designators(page)
    kept = b"".join(d.raw for d in designators if d.association != _ASSOCIATION_TARGET_PORT)
    undecoded = body[sum(len(d.raw) for d in designators) :]
    return page[:2] + len(kept + undecoded).to_bytes(2, "big") + kept + undecoded


def inquiry_without_port(inquiry: bytes) -> bytes:
    """Standard INQUIRY data without the port it was asked through.

    Dual-port drives (MULTIP, byte 6 bit 4) tell port B by the vendor-specific bit beside it; Seagate
    documents 10h for port A and 30h for port B.
    """
    if len(inquiry) < 7 or not inquiry[6] & 0x10:
        return inquiry
    return inquiry[:6] + bytes([inquiry[6] & ~0x20]) + inquiry[7:]


def rotation_rate(page: bytes | None) -> int | None:
    """MEDIUM ROTATION RATE of VPD page B1h: revolutions a minute, 1 for none, 0 for not reported."""
    body = _body(page, BLOCK_DEVICE_CHARACTERISTICS)
    if body is None or len(body) < 2:
        return None
    return _known_rate(int.from_bytes(body[:2], "big"))


def _known_rate(rate: int) -> int:
    return rate if rate == 1 or _SLOWEST_RPM <= rate <= _FASTEST_RPM else 0


def ata_identify(page: bytes | None) -> AtaIdentify | None:
    """The IDENTIFY DEVICE data inside VPD page 89h, where a SCSI layer passes on what an ATA drive said."""
    if page is None or _body(page, ATA_INFORMATION) is None:
        return None
    data = page[_IDENTIFY_OFFSET : _IDENTIFY_OFFSET + _IDENTIFY_BYTES]
    if len(data) < _IDENTIFY_BYTES or not any(data):
        return None
    words = [int.from_bytes(data[i : i + 2], "little") for i in range(0, _IDENTIFY_BYTES, 2)]

    def ascii_words(first: int, last: int) -> bytes:
        return b"".join(word.to_bytes(2, "big") for word in words[first : last + 1])

    # Word 87: bits 15:14 = 01b make it valid, bit 8 says that words 108-111 hold a World Wide Name.
    has_name = words[87] >> 14 == 1 and words[87] >> 8 & 1
    return AtaIdentify(
        model=text(ascii_words(27, 46)),
        serial=identifier(ascii_words(10, 19)),
        firmware=text(ascii_words(23, 26)),
        wwn=world_wide_name(f"naa.{ascii_words(108, 111).hex()}") if has_name else None,
        serial_ata=words[76] not in {0, 0xFFFF},
        rotation_rate=_known_rate(words[217]),
    )
