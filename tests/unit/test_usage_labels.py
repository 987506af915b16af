"""Sticks of ours are known by what is on them, as other systems write it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.inventory.labels import fat32_labels, has_our_label, iso9660_label

MKFS = shutil.which("mkfs.vfat", path="/usr/sbin:/usr/bin:/sbin:/bin")
needs_mkfs = pytest.mark.skipif(
    MKFS is None, reason="mkfs.vfat is not installed (apt-get install dosfstools)"
)


def reader(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def fat(tmp_path: Path, label: str, *more: str) -> bytearray:
    image = tmp_path / "fat.img"
    with image.open("wb") as stream:
        stream.truncate(64 << 20)
    subprocess.run([MKFS, "-F", "32", "-n", label, *more, image], check=True, capture_output=True)
    return bytearray(image.read_bytes())


def iso(label: bytes) -> bytes:
    descriptor = b"\x01CD001\x01\x00" + b"LINUX".ljust(32) + label.ljust(32)
    return bytes(16 * 2048) + descriptor.ljust(2048, b"\0")


@needs_mkfs
@pytest.mark.parametrize("more", [(), ("-s", "8"), ("-f", "1"), ("-R", "64"), ("-S", "4096", "-s", "1")])
def test_a_data_partition(tmp_path: Path, more: tuple[str, ...]) -> None:
    assert fat32_labels(reader(bytes(fat(tmp_path, "RASURADATA", *more)))) == {"RASURADATA"}


@needs_mkfs
@pytest.mark.parametrize("place", [71, None])
def test_one_place_of_two_is_enough(tmp_path: Path, place: int | None) -> None:
    """Windows changes the label in the root folder alone, others the one in the boot sector."""
    data = fat(tmp_path, "RASURADATA")
    at = place if place is not None else data.rindex(b"RASURADATA ")
    data[at : at + 11] = b"HOLIDAYS   "
    assert fat32_labels(reader(bytes(data))) == {"RASURADATA", "HOLIDAYS"}
    assert has_our_label(reader(bytes(data)))


@needs_mkfs
@pytest.mark.parametrize("label", ["RASURADAT", "RASURADATA2", "HOLIDAYS"])
def test_other_volumes(tmp_path: Path, label: str) -> None:
    assert not has_our_label(reader(bytes(fat(tmp_path, label))))


def test_a_live_image() -> None:
    assert has_our_label(reader(iso(b"RASURA")))
    for other in (b"RASURA2", b"DEBIAN", b"", b"rasura"):
        assert not has_our_label(reader(iso(other)))
    assert iso9660_label(reader(iso(b"RASURA")[:-1])) is None


@given(st.binary(max_size=600))
def test_anything_else_is_none(data: bytes) -> None:
    assert not has_our_label(reader(data))


@given(st.binary(min_size=71, max_size=71), st.binary(min_size=11, max_size=11))
def test_a_boot_sector_of_nonsense(geometry: bytes, label: bytes) -> None:
    sector = (geometry + label + b"FAT32   ").ljust(510, b"\0") + b"\x55\xaa"
    assert len(fat32_labels(reader(sector))) >= 1
