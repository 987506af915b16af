"""The Identify pages about namespaces: the namespace itself, lists of them, and their names."""

from __future__ import annotations

import struct
import uuid
from enum import IntEnum
from itertools import pairwise

import msgspec

from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.fields import field, require_length
from rasura_agent.drive.nvme.identify import IDENTIFY_BYTES

__all__ = [
    "DeallocatedReads",
    "IdentifyNamespace",
    "LbaFormat",
    "NamespaceNames",
    "decode_controller_list",
    "decode_identify_namespace",
    "decode_namespace_descriptors",
    "decode_namespace_list",
]

_LBA_FORMATS = 64
"""LBAF0 at byte 128 to LBAF63 (NVM Command Set 1.1 clause 4.1.5.1)."""


class LbaFormat(msgspec.Struct, frozen=True):
    """One LBA format descriptor (NVM Command Set 1.1 clause 4.1.5.1); sizes in bytes."""

    metadata_bytes: int
    """MS."""
    lbads: int
    """The sector has 2^LBADS bytes; 0 means that this format cannot be used at present."""
    relative_performance: int
    """RP: 0 best to 3 degraded."""

    @property
    def sector_bytes(self) -> int | None:
        """The size of a logical block without metadata, or ``None`` where the format is not usable."""
        return 1 << self.lbads if self.lbads else None


class DeallocatedReads(IntEnum):
    """DLFEAT bits 2:0: what a read of a deallocated block returns."""

    NOT_REPORTED = 0
    ZEROS = 1
    ONES = 2


class IdentifyNamespace(msgspec.Struct, frozen=True):
    """One namespace (NVM Command Set 1.1 clause 4.1.5.1). NSZE, NCAP and NUSE count logical blocks."""

    nsze: int
    ncap: int
    nuse: int
    nsfeat: int
    flbas: int
    format_index: int
    """The LBA format in use, FLBAS bits 3:0, with bits 6:5 above them where there are more than 16."""
    metadata_extended: bool
    """FLBAS bit 4: metadata follows each block in the same transfer (Format NVM calls it MSET)."""
    mc: int
    dpc: int
    dps: int
    protection_type: int
    """DPS bits 2:0: 0 none, else end-to-end protection type 1 to 3 (Format NVM calls it PI)."""
    protection_first: bool
    """DPS bit 3: protection information in the first bytes of the metadata (Format NVM calls it PIL)."""
    nmic: int
    deallocated_reads: DeallocatedReads | None
    """``None`` for a reserved value."""
    nvmcap: int
    """Bytes of NVM this namespace has, 0 if not reported."""
    write_protected: bool
    """NSATTR bit 0."""
    nguid: str | None
    """32 hex digits, ``None`` where all zero."""
    eui64: str | None
    """16 hex digits, ``None`` where all zero."""
    lba_formats: tuple[LbaFormat, ...]

    @property
    def lba_format(self) -> LbaFormat:
        """The LBA format in use."""
        return self.lba_formats[self.format_index]

    @property
    def sector_bytes(self) -> int:
        """The logical block size in use, without metadata."""
        return 1 << self.lba_format.lbads

    @property
    def size_bytes(self) -> int:
        """The size the host sees: NSZE times the logical block size."""
        return self.nsze * self.sector_bytes


def decode_identify_namespace(data: bytes) -> IdentifyNamespace | None:
    """Decode the 4096 bytes of CNS 00h; ``None`` for all zeros, which is how an inactive NSID answers.

    Raises:
        NvmeDecodeError: not 4096 bytes, or a format in use that the page does not describe or that
            cannot be.
    """
    require_length("Identify Namespace", data, IDENTIFY_BYTES)
    if not any(data):
        return None
    # NLBAF counts from zero; NULBAF (2.0) does not.
    count = data[25] + 1 + data[82]
    if count > _LBA_FORMATS:
        raise NvmeDecodeError(f"the namespace claims {count} LBA formats, there is room for {_LBA_FORMATS}")
    flbas = data[26]
    index = flbas & 0xF
    if count > 16:
        index |= flbas >> 1 & 0x30
    formats = tuple(_lba_format(field(data, 131 + 4 * i, 128 + 4 * i)) for i in range(count))
    if index >= count:
        raise NvmeDecodeError(f"the namespace uses LBA format {index} of {count}")
    # A block is at least 512 bytes (LBADS), and nothing real is larger than 64 KiB.
    if not 9 <= formats[index].lbads <= 16:
        raise NvmeDecodeError(f"the namespace uses logical blocks of 2^{formats[index].lbads} bytes")
    protection_type = data[29] & 0b111
    if protection_type > 3:
        raise NvmeDecodeError(f"the namespace uses protection type {protection_type}, which does not exist")
    dlfeat = data[33] & 0b111
    return IdentifyNamespace(
        nsze=field(data, 7, 0),
        ncap=field(data, 15, 8),
        nuse=field(data, 23, 16),
        nsfeat=data[24],
        flbas=flbas,
        format_index=index,
        metadata_extended=bool(flbas & 1 << 4),
        mc=data[27],
        dpc=data[28],
        dps=data[29],
        protection_type=protection_type,
        protection_first=bool(data[29] & 1 << 3),
        nmic=data[30],
        deallocated_reads=DeallocatedReads(dlfeat) if dlfeat <= DeallocatedReads.ONES else None,
        nvmcap=field(data, 63, 48),
        write_protected=bool(data[99] & 1),
        nguid=_identifier(data[104:120]),
        eui64=_identifier(data[120:128]),
        lba_formats=formats,
    )


def _lba_format(raw: int) -> LbaFormat:
    return LbaFormat(
        metadata_bytes=raw & 0xFFFF, lbads=raw >> 16 & 0xFF, relative_performance=raw >> 24 & 0b11
    )


def _identifier(raw: bytes) -> str | None:
    return raw.hex() if any(raw) else None


def decode_namespace_list(data: bytes) -> tuple[int, ...]:
    """Decode CNS 02h or 10h: at most 1024 NSIDs, rising; 1024 of them mean that there may be more.

    Raises:
        NvmeDecodeError: not 4096 bytes, or not a rising list with zeros after it.
    """
    require_length("the namespace list", data, IDENTIFY_BYTES)
    words = struct.unpack("<1024I", data)
    nsids = words[: words.index(0)] if 0 in words else words
    if any(words[len(nsids) :]) or any(a >= b for a, b in pairwise(nsids)):
        raise NvmeDecodeError("the namespace list is not a rising list")
    return nsids


def decode_controller_list(data: bytes) -> tuple[int, ...]:
    """Decode CNS 12h: the identifiers of at most 2047 controllers, rising.

    Raises:
        NvmeDecodeError: not 4096 bytes, or not such a list.
    """
    require_length("the controller list", data, IDENTIFY_BYTES)
    count, *identifiers = struct.unpack("<2048H", data)
    if count > len(identifiers):
        raise NvmeDecodeError(f"the controller list claims {count} entries")
    controllers = tuple(identifiers[:count])
    if any(a >= b for a, b in pairwise(controllers)):
        raise NvmeDecodeError("the controller list is not a rising list")
    return controllers


class NamespaceNames(msgspec.Struct, frozen=True):
    """Globally unique names of a namespace, in hex; ``None`` for what it does not have."""

    eui64: str | None
    nguid: str | None
    uuid: str | None


_NIDT_BYTES = {1: 8, 2: 16, 3: 16, 4: 1}
"""Length by Namespace Identifier Type: EUI-64, NGUID, UUID, command set (NVMe Base 2.1 clause 5.1.13)."""


def decode_namespace_descriptors(data: bytes) -> NamespaceNames:
    """Decode CNS 03h; types we don't know are passed over.

    Raises:
        NvmeDecodeError: not 4096 bytes, a length that does not fit, or a type that comes twice.
    """
    require_length("the namespace descriptors", data, IDENTIFY_BYTES)
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data) and data[offset + 1]:
        kind, length = data[offset], data[offset + 1]
        value = data[offset + 4 : offset + 4 + length]
        if len(value) != length or _NIDT_BYTES.get(kind, length) != length:
            raise NvmeDecodeError(f"a namespace descriptor of type {kind} has {length} bytes")
        if kind in found:
            raise NvmeDecodeError(f"the namespace descriptors name type {kind} twice")
        found[kind] = value
        offset += 4 + length
    name = found.get(3)
    return NamespaceNames(
        eui64=_identifier(found.get(1, b"")),
        nguid=_identifier(found.get(2, b"")),
        uuid=str(uuid.UUID(bytes=name)) if name and any(name) else None,
    )
