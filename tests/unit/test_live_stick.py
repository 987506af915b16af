"""A data partition is made on the stick we were booted from, and on nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.errors import RasuraError
from rasura_agent.guard import Protection, RefusalReason, examine
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.usage import gather_usage
from rasura_agent.live.boot_facts import Build, parse_build
from rasura_agent.live.gpt import GptError, parse_table
from rasura_agent.live.iso9660 import read_file
from rasura_agent.live.stick import StickError, append_data_partition, make_data_partition
from simulators.stick import SimulatedStick, build_json

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def running(raw: bytes | None = None) -> Build:
    build = parse_build(raw or build_json())
    assert build is not None
    return build


def test_a_partition_behind_the_image() -> None:
    stick = SimulatedStick()
    before = parse_table(stick.read).partitions
    new = append_data_partition(stick, running(), bytes(range(16)))
    assert parse_table(stick.read).partitions == (*before, new)
    assert new.first * 512 >= stick.image_sectors * 512
    with pytest.raises(RasuraError):
        append_data_partition(stick, running(), bytes(range(16)))


@pytest.mark.parametrize(
    ("stick", "said"),
    [
        (SimulatedStick(label=b"DEBIAN"), "not a stick with the live image"),
        (SimulatedStick(label=b"RASURADATA"), "not a stick with the live image"),
        (SimulatedStick(build=None), "another build"),
        (SimulatedStick(build=b"{}"), "another build"),
        (SimulatedStick(build=b"\xff" * 100), "another build"),
        (SimulatedStick(build=build_json({"base.squashfs": "c" * 64})), "another build"),
        (SimulatedStick(build=build_json().replace(b'"a', b'"c', 1)), "another build"),
        (SimulatedStick(size_bytes=6464 * 512), "no room"),
        (SimulatedStick(size_bytes=64 << 20), "no room"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_stick_stays_as_it_is(stick: SimulatedStick, said: str) -> None:
    with pytest.raises(RasuraError, match=said):
        append_data_partition(stick, running(), bytes(16))
    assert stick.writes == []


def test_a_drive_with_somebodys_data_stays_as_it_is() -> None:
    stick = SimulatedStick()
    for sector in (16 * 4 + part for part in range(4)):
        stick.medium.pop(sector, None)
    with pytest.raises(StickError):
        append_data_partition(stick, running(), bytes(16))
    assert stick.writes == []


def test_a_stick_that_forgets_is_found_out() -> None:
    stick = SimulatedStick(forgets=True)
    with pytest.raises(StickError, match="does not keep"):
        append_data_partition(stick, running(), bytes(16))


@pytest.mark.parametrize("writes", range(5))
def test_a_stick_that_fails_in_between_keeps_its_partitions(writes: int) -> None:
    stick = SimulatedStick(broken_after=writes)
    before = parse_table(stick.read).partitions
    with pytest.raises(OSError, match="Input/output"):
        append_data_partition(stick, running(), bytes(16))
    try:
        found = parse_table(stick.read).partitions
    except GptError:
        assert writes == 3, "only between the list and its header the backup must serve"
    else:
        assert found[: len(before)] == before


def test_files_of_an_iso() -> None:
    stick = SimulatedStick()
    assert read_file(stick.read, "rasura", "build.json") == build_json()
    for path in (
        ("rasura",),
        ("rasura", "other"),
        ("other", "build.json"),
        ("rasura", "build.json", "x"),
        (),
    ):
        assert read_file(stick.read, *path) is None


@given(st.binary(max_size=2048), st.binary(max_size=64))
def test_an_iso_of_nonsense(folder: bytes, root: bytes) -> None:
    descriptor = bytearray(b"\x01CD001".ljust(2048, b"\0"))
    descriptor[156 : 156 + len(root[:34])] = root[:34]
    data = bytes(16 * 2048) + bytes(descriptor) + folder
    read_file(lambda offset, length: data[offset : offset + length], "rasura", "build.json")


# The real tools, on a loop device over a real hybrid image.


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tools = ("losetup", "xorriso", "mkfs.vfat", "sfdisk", "delpart")
    for tool in tools:
        if shutil.which(tool, path=PATH) is None:
            pytest.skip(f"{tool} is not installed (apt-get install xorriso dosfstools fdisk util-linux)")
    with ExitStack() as stack:
        yield stack


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hybrid_image(folder: Path) -> Path:
    """An ISO as the live image is made (but for the boot loaders), on a stick of 160 MiB."""
    tree, image, esp = folder / "tree", folder / "stick.img", folder / "esp.img"
    (tree / "rasura").mkdir(parents=True)
    (tree / "rasura/build.json").write_bytes(build_json())
    (tree / "payload").write_bytes(os.urandom(5 << 20))
    (tree / "bios.img").write_bytes(os.urandom(4096))
    esp.write_bytes(b"")
    os.truncate(esp, 3 << 20)
    run("mkfs.vfat", esp)
    run(
        "xorriso", "-as", "mkisofs", "-o", image, "-R", "-r", "-J", "-joliet-long", "-V", "RASURA",
        "--mbr-force-bootable", "-partition_offset", "16", "-append_partition", "2", "0xef", esp,
        "-appended_part_as_gpt", "-b", "bios.img", "-no-emul-boot", "-boot-load-size", "4",
        "-boot-info-table", "-eltorito-alt-boot", "-e",
        "--interval:appended_partition_2:all::", "-no-emul-boot", tree,
    )  # fmt: skip
    os.truncate(image, 160 << 20)
    return image


@pytest.mark.root
def test_on_a_real_stick(undo: ExitStack, tmp_path: Path) -> None:
    image = hybrid_image(tmp_path)
    iso = image.read_bytes()[: 5 << 20]
    disk = run("losetup", "--find", "--show", image).strip()
    undo.callback(run, "losetup", "--detach", disk)
    with pytest.raises(StickError, match="another build"):
        make_data_partition(disk, running(build_json({"base.squashfs": "c" * 64})), SystemClock())
    node = make_data_partition(disk, running(), SystemClock())
    number = node.removeprefix(f"{disk}p")
    undo.callback(run, "delpart", disk, number)
    assert "No errors detected" in run("sfdisk", "--verify", disk)
    facts = run("blkid", "--probe", node)
    assert 'LABEL="RASURADATA"' in facts
    assert 'TYPE="vfat"' in facts
    whole = run("blkid", "--probe", disk)
    assert 'LABEL="RASURA"' in whole
    # The image is the same, byte for byte, but for its table: header, list, and the protective record's size.
    after = image.read_bytes()[: 5 << 20]
    changed = {at // 512 for at in range(0, len(iso), 512) if iso[at : at + 512] != after[at : at + 512]}
    assert changed <= set(range(64))
    assert [at for at in range(512) if iso[at] != after[at] and not 458 <= at < 462] == []
    with pytest.raises(RasuraError, match="already"):
        make_data_partition(disk, running(), SystemClock())
    (drive,) = [one for one in enumerate_drives(include_loop=True).drives if one.path == disk]
    refusals = examine(drive, gather_usage([drive])[disk], Protection())
    assert RefusalReason.LIVE_MEDIUM in {refusal.reason for refusal in refusals}


@pytest.mark.root
def test_what_is_in_use_or_no_stick_of_ours_is_left(undo: ExitStack, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    other.write_bytes(os.urandom(1 << 20))
    os.truncate(other, 160 << 20)
    disk = run("losetup", "--find", "--show", other).strip()
    undo.callback(run, "losetup", "--detach", disk)
    before = other.read_bytes()
    with pytest.raises(StickError, match="not a stick with the live image"):
        make_data_partition(disk, running(), SystemClock())
    descriptor = os.open(disk, os.O_RDONLY | os.O_EXCL)
    undo.callback(os.close, descriptor)
    with pytest.raises(StickError, match="busy"):
        make_data_partition(disk, running(), SystemClock())
    with pytest.raises(StickError, match="no block device"):
        make_data_partition(str(other), running(), SystemClock())
    assert other.read_bytes() == before
