"""The CID register, 128 bits, by which an eMMC or SD device names itself.

It cannot be read with a command while the device is in use; Linux keeps it in sysfs (``cid``,
32 hex digits). The checksum in its last byte is not looked at: many host controllers drop it.
"""

from __future__ import annotations

import msgspec

from rasura_agent.drive.mmc.errors import MmcDecodeError

__all__ = ["CID_BYTES", "Cid", "decode_emmc_cid", "decode_sd_cid", "parse_cid"]

CID_BYTES = 16


class Cid(msgspec.Struct, frozen=True):
    """Who made the device, what it is, and which one it is."""

    manufacturer_id: int
    """MID."""
    oem_id: str
    """OID: two hex digits for eMMC, two characters for SD."""
    product_name: str
    """PNM, without padding."""
    revision: tuple[int, int]
    """PRV as (major, minor)."""
    serial: int
    """PSN, 32 bits."""
    month: int | None
    """1 to 12; ``None`` where the register holds no month."""
    year: int | None
    """``None`` where it cannot be told (an eMMC without its EXT_CSD revision)."""

    @property
    def serial_text(self) -> str:
        """PSN as the kernel writes it in sysfs."""
        return f"0x{self.serial:08x}"


def parse_cid(text: str) -> bytes:
    """The 16 bytes of a CID that is written as 32 hex digits (sysfs).

    Raises:
        MmcDecodeError: it is not.
    """
    digits = text.strip()
    if len(digits) != 2 * CID_BYTES or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise MmcDecodeError(f"a CID has {2 * CID_BYTES} hex digits, not {text!r}")
    return bytes.fromhex(digits)


def decode_emmc_cid(data: bytes, ext_csd_rev: int | None) -> Cid:
    """Decode the CID of an eMMC (JESD84-B51 clause 7.2).

    Args:
        data: 16 bytes, MID first.
        ext_csd_rev: EXT_CSD_REV, on which the meaning of the four bits for the year depends.

    Raises:
        MmcDecodeError: not 16 bytes, or all the same byte.
    """
    _require(data)
    return Cid(
        manufacturer_id=data[0],
        oem_id=f"{data[2]:02x}",
        product_name=_name(data[3:9]),
        revision=(data[9] >> 4, data[9] & 0xF),
        serial=int.from_bytes(data[10:14], "big"),
        month=_month(data[14] >> 4),
        year=None if ext_csd_rev is None else _emmc_year(data[14] & 0xF, ext_csd_rev),
    )


def decode_sd_cid(data: bytes) -> Cid:
    """Decode the CID of an SD card (SD Physical Layer Simplified Specification clause 5.2).

    Raises:
        MmcDecodeError: not 16 bytes, or all the same byte.
    """
    _require(data)
    return Cid(
        manufacturer_id=data[0],
        oem_id=_name(data[1:3]),
        product_name=_name(data[3:8]),
        revision=(data[8] >> 4, data[8] & 0xF),
        serial=int.from_bytes(data[9:13], "big"),
        month=_month(data[14] & 0xF),
        year=2000 + ((data[13] & 0xF) << 4 | data[14] >> 4),
    )


def _require(data: bytes) -> None:
    if len(data) != CID_BYTES:
        raise MmcDecodeError(f"a CID has {CID_BYTES} bytes, not {len(data)}")
    if data.count(data[0]) == CID_BYTES:
        raise MmcDecodeError(f"the CID is {data[0]:02X}h throughout: no device filled it in")


def _name(raw: bytes) -> str:
    text = raw.rstrip(b"\0").decode("latin-1").strip(" ")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text)


def _month(value: int) -> int | None:
    return value if 1 <= value <= 12 else None


def _emmc_year(value: int, ext_csd_rev: int) -> int:
    # Four bits roll over: 1997 to 2012, from revision 5 on 2010 to 2025 (JESD84-B451), from
    # revision 9 on 2023 to 2038 (the 2025 edition of JESD84-B51).
    first = 2023 if ext_csd_rev >= 9 else 2010 if ext_csd_rev >= 5 else 1997
    return first + (1997 + value - first) % 16
