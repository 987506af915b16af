"""Drives as machines are collected with: real file systems, volumes, partition tables, encrypted data."""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
from pathlib import Path

SECTOR = 512
SECRET = b"INVOICE 4711 of a person who trusts us "
_MIB = 1 << 20


def _text(seed: str, size: int) -> bytes:
    """Text with the secret in every line, different for each drive."""
    lines = b"".join(
        SECRET + f"{seed} line {number:06}\n".encode() for number in range(size // len(SECRET) + 1)
    )
    return lines[:size]


def ext4(path: Path, mib: int) -> Path:
    """A file system with files."""
    files = path.with_suffix(".files")
    files.mkdir()
    (files / "invoices.txt").write_bytes(_text(path.name, (mib // 2) * _MIB))
    with path.open("wb") as stream:
        stream.truncate(mib * _MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(files), str(path)], check=True)
    return path


def lvm(path: Path, mib: int) -> Path:
    """A physical volume: the label and the metadata that a kernel and udev recognise, and data."""
    content = bytearray(_text(path.name, mib * _MIB))
    label = bytearray(SECTOR)
    # lib/label/label.h of LVM2: id, sector, checksum of what follows, offset, type.
    body = struct.pack("<I8s", 32, b"LVM2 001") + b"Rasura0test0physical0volume0uuid".ljust(32, b"0")
    body += struct.pack("<QQQQQ", mib * _MIB, _MIB, 0, 0, 0)
    label[: 20 + len(body)] = struct.pack("<8sQI", b"LABELONE", 1, 0) + body
    content[SECTOR : 2 * SECTOR] = label
    path.write_bytes(content)
    return path


def bitlocker(path: Path, mib: int) -> Path:
    """A BitLocker volume to look at: its boot sector, and random data behind."""
    noise = random.Random(path.name).randbytes(mib * _MIB - SECTOR)
    boot = bytearray(SECTOR)
    boot[:11], boot[510:] = b"\xeb\x58\x90-FVE-FS-", b"\x55\xaa"
    path.write_bytes(bytes(boot) + noise)
    return path


def windows(path: Path, mib: int) -> Path:
    """A Windows PC's partitions (EFI, reserved, basic data), each full of text."""
    path.write_bytes(_text(path.name, mib * _MIB))
    table = (
        "label: gpt\n"
        "size=8MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n"
        "size=2MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n"
        "type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, attrs=GUID:63\n"
    )
    subprocess.run(["sfdisk", "--quiet", str(path)], input=table, text=True, check=True)
    return path


class Planted:
    """What was on a drive, to be looked for afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sectors = {hashlib.sha256(one).digest() for one in _sectors(path) if any(one)}
        assert self._sectors

    def left(self) -> int:
        """How many sectors of the drive still hold what any of its sectors held, or the secret."""
        return sum(
            SECRET[:20] in one or (any(one) and hashlib.sha256(one).digest() in self._sectors)
            for one in _sectors(self.path)
        )


def _sectors(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[at : at + SECTOR] for at in range(0, len(data), SECTOR)]
