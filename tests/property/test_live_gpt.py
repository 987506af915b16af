"""Appending a partition touches nothing that is there, and survives a cut after any write."""

from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.live.gpt import SECTOR_BYTES, GptError, Partition, grow, parse_table
from simulators.stick import table

MIB = 2048  # in sectors


@st.composite
def disks(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, int, int]:
    """Partitions, sectors of the image, number of entries, sectors of the disk."""
    count = draw(st.sampled_from([4, 128, 248]))
    at, partitions = 64 + draw(st.integers(0, 100)), []
    for _ in range(draw(st.integers(0, min(count, 6)))):
        at += draw(st.integers(0, 300))
        length = draw(st.integers(1, 5000))
        partitions.append((at, at + length - 1))
        at += length
    image = at + 70 + draw(st.integers(0, 5000))
    return partitions, image, count, image + draw(st.integers(0, 200 * MIB))


class Disk:
    def __init__(self, content: dict[int, bytes]) -> None:
        self.content = content

    def read(self, offset: int, length: int) -> bytes:
        at, data = divmod(offset, SECTOR_BYTES), b""
        assert at[1] == 0
        while len(data) < length:
            data += self.content.get(at[0] + len(data) // SECTOR_BYTES, bytes(SECTOR_BYTES))
        return data[:length]

    def write(self, offset: int, data: bytes) -> None:
        for at in range(0, len(data), SECTOR_BYTES):
            self.content[(offset + at) // SECTOR_BYTES] = data[at : at + SECTOR_BYTES].ljust(
                SECTOR_BYTES, b"\0"
            )


def made(partitions: list[tuple[int, int]], image: int, count: int) -> Disk:
    disk = Disk({})
    for at, data in table(partitions, image, count=count).items():
        disk.write(at * SECTOR_BYTES, data)
    return disk


def backup_table(disk: Disk, sectors: int) -> tuple[Partition, ...]:
    """The partitions as a reader sees them who finds only the backup."""
    last = disk.read((sectors - 1) * SECTOR_BYTES, SECTOR_BYTES)
    at = int.from_bytes(last[72:80], "little")
    # Turned round it must be as sound as a primary one.
    swapped = Disk(dict(disk.content))
    own = bytearray(last)
    own[24:32], own[32:40] = last[32:40], last[24:32]
    own[72:80] = (2).to_bytes(8, "little")
    own[16:20] = bytes(4)
    own[16:20] = zlib.crc32(bytes(own[:92])).to_bytes(4, "little")
    count = int.from_bytes(last[80:84], "little")
    swapped.write(SECTOR_BYTES, bytes(own))
    swapped.write(2 * SECTOR_BYTES, disk.read(at * SECTOR_BYTES, count * 128))
    return parse_table(swapped.read).partitions


@given(disks())
def test_only_appended(case: tuple[list[tuple[int, int]], int, int, int]) -> None:
    partitions, image, count, sectors = case
    disk = made(partitions, image, count)
    before = parse_table(disk.read)
    try:
        growth = grow(before, sectors, os.urandom(16), "RASURADATA")
    except GptError:
        room = sectors - image - 2 * MIB - 64 * MIB - 64
        assert room < 0 or len(partitions) >= count
        return
    old = dict(disk.content)
    for offset, data in growth.writes:
        first, last = offset // SECTOR_BYTES, (offset + len(data) - 1) // SECTOR_BYTES
        assert last < sectors
        for begin, end in [*partitions, (growth.new.first, growth.new.last)]:
            assert last < begin or first > end, "a write lies in no partition, old or new"
        disk.write(offset, data)
    after = parse_table(disk.read)
    assert after.partitions == (*before.partitions, growth.new)
    assert growth.new.first > max((last for _, last in partitions), default=0)
    assert growth.new.first >= image
    assert growth.new.last < after.last_usable + 1 <= sectors
    assert (growth.new.last - growth.new.first + 1) * SECTOR_BYTES >= 64 << 20
    assert growth.new.first % 2048 == 0
    assert backup_table(disk, sectors) == after.partitions
    # Of the master boot record only the four bytes of the protective record's size change.
    changed = [at for at in range(512) if old[0][at] != disk.content[0][at]]
    assert set(changed) <= set(range(458, 462))
    with pytest.raises(GptError):
        grow(after, sectors, os.urandom(16), "RASURADATA")


@given(disks(), st.integers(0, 5))
def test_cut_after_any_write(case: tuple[list[tuple[int, int]], int, int, int], cut: int) -> None:
    """One of both tables is whole and has all old partitions."""
    partitions, image, count, sectors = case
    disk = made(partitions, image, count)
    before = parse_table(disk.read)
    try:
        growth = grow(before, sectors, os.urandom(16), "RASURADATA")
    except GptError:
        return
    for offset, data in growth.writes[:cut]:
        disk.write(offset, data)
    try:
        found = parse_table(disk.read).partitions
    except GptError:
        found = backup_table(disk, sectors)
    assert found[: len(before.partitions)] == before.partitions


@given(disks(), st.integers(0, 40 * 512), st.integers(1, 255))
def test_damage_is_seen(case: tuple[list[tuple[int, int]], int, int, int], at: int, flip: int) -> None:
    partitions, image, count, _ = case
    disk = made(partitions, image, count)
    sound = parse_table(disk.read)
    sector = 1 + at // 512
    data = bytearray(disk.content.get(sector, bytes(512)))
    data[at % 512] ^= flip
    disk.content[sector] = bytes(data)
    used = 92 if sector == 1 else 512
    inside = at % 512 < used and sector < 2 + -(-count * 128 // 512)
    if inside:
        with pytest.raises(GptError):
            parse_table(disk.read)
    else:
        assert parse_table(disk.read).partitions == sound.partitions


@given(st.binary(max_size=4096))
def test_garbage_is_none(data: bytes) -> None:
    for content in (data, b"\0" * 510 + b"\x55\xaa" + b"EFI PART" + data):
        with pytest.raises(GptError):
            parse_table(lambda offset, length, content=content: content[offset : offset + length])
