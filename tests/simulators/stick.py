"""A stick with a hybrid live image on it, in memory: ISO 9660 and a GUID partition table over the same bytes.

Built from the specifications, not with the code under test.
"""

from __future__ import annotations

import errno
import hashlib
import json
import struct
import zlib
from dataclasses import dataclass, field

SECTOR = 512
BASIC_DATA = bytes.fromhex("a2a0d0ebe5b9334487c068b6b72699c7")
PARTS = {"base.squashfs": "a" * 64, "agent.squashfs": "b" * 64}


def build_json(parts: dict[str, str] | None = None) -> bytes:
    parts = PARTS if parts is None else parts
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(canonical).hexdigest()}"
    return json.dumps({"version": "0.2", "commit": "c0ffee", "buildHash": digest, "parts": parts}).encode()


def table(
    partitions: list[tuple[int, int]], sectors: int, *, count: int = 128, first_usable: int | None = None
) -> dict[int, bytes]:
    """A table for a disk of that many sectors, by sector: protective record, primary and backup."""
    entries = bytearray(count * 128)
    for index, (first, last) in enumerate(partitions):
        unique = hashlib.md5(str((first, last)).encode(), usedforsecurity=False).digest()
        name = f"Part {index}".encode("utf-16-le")
        struct.pack_into("<16s16sQQQ72s", entries, index * 128, BASIC_DATA, unique, first, last, 1, name)
    length = -(-len(entries) // SECTOR)
    usable = 2 + length if first_usable is None else first_usable

    def header(own: int, other: int, at: int) -> bytes:
        def packed(checksum: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other, usable,
                sectors - length - 2, b"\x11" * 16, at, count, 128, zlib.crc32(entries),
            )  # fmt: skip

        return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")

    mbr = bytearray(b"BOOT CODE ".ljust(440, b"\x90") + bytes(72))
    # The protective record, then an active empty one, which some firmware wants to see.
    mbr[446:462] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    mbr[462:478] = struct.pack("<B3sB3sII", 0x80, b"\0\1\0", 0, b"\0\1\0", 0, 1)
    mbr[510:] = b"\x55\xaa"
    last = sectors - 1
    return {
        0: bytes(mbr),
        1: header(1, last, 2),
        2: bytes(entries),
        last - length: bytes(entries),
        last: header(last, 1, last - length),
    }


def iso_record(name: bytes, at: int, size: int, *, folder: bool) -> bytes:
    record = struct.pack(
        "<BBI4xI4x7sB6xB", 0, 0, at, size, bytes(7), 2 if folder else 0, len(name)
    ) + name  # fmt: skip
    record += b"\0" * (len(record) % 2)
    return bytes([len(record)]) + record[1:]


def iso9660(label: bytes, build: bytes | None) -> dict[int, bytes]:
    """A volume with /rasura/build.json, by sector of 2048."""
    root = iso_record(b"\0", 20, 2048, folder=True) + iso_record(b"\1", 20, 2048, folder=True)
    inner = root
    if build is not None:
        root += iso_record(b"RASURA", 21, 2048, folder=True)
        inner += iso_record(b"BUILD.JSON;1", 22, len(build), folder=False)
    descriptor = bytearray(2048)
    descriptor[:8] = b"\x01CD001\x01\x00"
    descriptor[40:72] = label.ljust(32)
    descriptor[156:190] = iso_record(b"\0", 20, 2048, folder=True)
    return {16: bytes(descriptor), 20: root, 21: inner, 22: build or b""}


@dataclass
class SimulatedStick:
    """A ``RawStick``. The image is small; what lies behind it is sparse."""

    size_bytes: int = 256 << 20
    label: bytes = b"RASURA"
    build: bytes | None = field(default_factory=build_json)
    partitions: tuple[tuple[int, int], ...] = ((64, 4095), (4096, 6143), (6144, 6399))
    image_sectors: int = 6464
    broken_after: int | None = None
    """After so many writes every further one fails."""
    forgets: bool = False
    """Writes are acknowledged and lost."""
    medium: dict[int, bytes] = field(default_factory=dict)
    """By sector of 512; what is not there is zeros."""
    writes: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for at, data in iso9660(self.label, self.build).items():
            self._put(at * 2048, data)
        count = 248 if self.partitions and self.partitions[0][0] >= 64 else 128
        for at, data in table(list(self.partitions), self.image_sectors, count=count).items():
            self._put(at * SECTOR, data)

    def _put(self, offset: int, data: bytes) -> None:
        assert offset % SECTOR == 0
        for at in range(0, len(data), SECTOR):
            self.medium[(offset + at) // SECTOR] = data[at : at + SECTOR].ljust(SECTOR, b"\0")

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size_bytes - offset))
        first, last = offset // SECTOR, (offset + length + SECTOR - 1) // SECTOR
        data = b"".join(self.medium.get(sector, bytes(SECTOR)) for sector in range(first, last))
        return data[offset - first * SECTOR :][:length]

    def write(self, offset: int, data: bytes) -> None:
        if self.broken_after is not None and len(self.writes) >= self.broken_after:
            raise OSError(errno.EIO, "Input/output error")
        assert offset + len(data) <= self.size_bytes
        self.writes.append((offset, len(data)))
        if not self.forgets:
            self._put(offset, data)
