"""INQUIRY data and vital product data of simulated targets (SPC-5 clauses 6.7 and 7.7, SBC-4 clause 6.6)."""

from __future__ import annotations

import struct
from functools import lru_cache

SUPPORTED_PAGES = 0x00
UNIT_SERIAL_NUMBER = 0x80
DEVICE_IDENTIFICATION = 0x83
ATA_INFORMATION = 0x89
BLOCK_LIMITS = 0xB0
BLOCK_DEVICE_CHARACTERISTICS = 0xB1
LOGICAL_BLOCK_PROVISIONING = 0xB2


@lru_cache(maxsize=256)
def standard(vendor: str, product: str, revision: str) -> bytes:
    """Standard INQUIRY data of a direct-access device, 96 bytes, SPC-4."""
    return struct.pack(
        ">BBBBBBBB8s16s4s60x",
        *(0x00, 0x00, 0x06, 0x12, 91, 0x00, 0x00, 0x02),
        vendor.encode().ljust(8)[:8],
        product.encode().ljust(16)[:16],
        revision.encode().ljust(4)[:4],
    )


def page(code: int, content: bytes) -> bytes:
    """A VPD page with its header."""
    return struct.pack(">BBH", 0x00, code, len(content)) + content


def naa(wwn: int, *, port: bool = False) -> bytes:
    """A designation descriptor with a 64-bit NAA designator: of the logical unit, or of a SAS target port."""
    head = (0x61, 0x93) if port else (0x01, 0x03)
    return struct.pack(">BBBBQ", *head, 0, 8, wwn)


def t10_vendor_id(text: bytes) -> bytes:
    """A designation descriptor with a T10 vendor ID based designator."""
    return struct.pack(">BBBB", 0x02, 0x01, 0, len(text)) + text


def vendor_specific(text: bytes) -> bytes:
    """A designation descriptor with a vendor specific designator in ASCII."""
    return struct.pack(">BBBB", 0x02, 0x00, 0, len(text)) + text


def block_limits(*, max_unmap: int, max_write_same: int) -> bytes:
    """Block Limits VPD page. WSNZ is zero: WRITE SAME of zero blocks goes to the end."""
    content = bytearray(0x3C)
    struct.pack_into(">II", content, 16, max_unmap, 1 if max_unmap else 0)
    struct.pack_into(">Q", content, 32, max_write_same)
    return page(BLOCK_LIMITS, bytes(content))


def block_device_characteristics(rotation_rate: int, after_sanitize: int = 0) -> bytes:
    """Block Device Characteristics VPD page; a rate of 1 is a non-rotating medium.

    ``after_sanitize`` is WABEREQ and WACEREQ: 01b any data, 11b a write is required before a read.
    """
    return page(
        BLOCK_DEVICE_CHARACTERISTICS,
        struct.pack(">HBB56x", rotation_rate, 0, after_sanitize << 6 | after_sanitize << 4 | 0x03),
    )


def logical_block_provisioning(*, unmaps: bool) -> bytes:
    """Logical Block Provisioning VPD page: UNMAP and WRITE SAME with UNMAP, unmapped blocks read as zero."""
    return page(LOGICAL_BLOCK_PROVISIONING, bytes((0, 0xE4 if unmaps else 0, 0x02 if unmaps else 0, 0)))
