"""The inventory and the guard on this kernel, with loop devices: what is in use is refused, nothing else.

Needs root. Other programs may use loop devices meanwhile: only our own are looked at.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rasura.errors import UsageError
from rasura_agent.guard import Protection, RefusalReason, examine
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.model import Drive, Holder, HolderKind, Transport, Usage
from rasura_agent.inventory.opened import describe_open
from rasura_agent.inventory.usage import gather_usage
from rasura_agent.inventory.virtual import describe_virtual

pytestmark = pytest.mark.root

MIB = 1024 * 1024


class Bench:
    """Files, loop devices and mounts that are undone in reverse order."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self.folder, self._undo, self._count = folder, undo, 0

    def image(self, mib: int = 16) -> Path:
        self._count += 1
        path = self.folder / f"image {self._count}.img"
        path.write_bytes(b"")
        os.truncate(path, mib * MIB)
        return path

    def loop(self, backing: Path | str, *options: str) -> str:
        device = self.run("losetup", "--find", "--show", *options, str(backing)).strip()
        self._undo.callback(self._detach, device, str(backing))
        return device

    def _detach(self, device: str, backing: str) -> None:
        """Detach it if it is still ours."""
        attached = Path(f"/sys/block/{device[5:]}/loop/backing_file")
        if attached.exists() and attached.read_text().strip() == backing:
            self.run("losetup", "--detach", device)

    def swap_backing(self, device: str, backing: Path) -> None:
        """Attach another file to a loop device of ours, as when a drive is pulled and another plugged in."""
        self.run("losetup", "--detach", device)
        if subprocess.run(["losetup", device, str(backing)], capture_output=True, check=False).returncode:
            pytest.skip("another program took the loop device meanwhile")
        self._undo.callback(self._detach, device, str(backing))

    def partition(self, device: str) -> str:
        """Add a partition as a tool would, so that no table parser of the kernel is needed."""
        self.run("addpart", device, "1", "2048", "16384")
        return f"{device}p1"

    def mount(self, device: str, fstype: str = "ext4") -> Path:
        self._count += 1
        place = self.folder / f"mount {self._count}"
        place.mkdir()
        self.run("mount", "-t", fstype, device, str(place))
        self._undo.callback(self.run, "umount", str(place))
        return place

    def ext4(self, device: str | Path) -> None:
        self.run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", str(device))

    @staticmethod
    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not Path("/dev/loop-control").exists() or shutil.which("losetup") is None:
        pytest.skip("this machine has no loop devices")
    with ExitStack() as undo:
        yield Bench(tmp_path, undo)


def found(path: str) -> Drive:
    return next(drive for drive in enumerate_drives(include_loop=True).drives if drive.path == path)


def usage(drive: Drive) -> Usage:
    return gather_usage([drive])[drive.path]


def reasons(path: str) -> set[RefusalReason]:
    drive = found(path)
    return {refusal.reason for refusal in examine(drive, usage(drive), Protection())}


def test_a_loop_device_nobody_uses_is_accepted(bench):
    device = bench.loop(bench.image(), "--sector-size", "4096")
    drive = found(device)
    assert drive.transport is Transport.LOOP
    assert (drive.capacity_bytes, drive.logical_sector_bytes) == (16 * MIB, 4096)
    assert usage(drive) == Usage()
    assert reasons(device) == set()


def test_without_asking_no_loop_device_is_a_drive(bench):
    device = bench.loop(bench.image())
    assert device not in {drive.path for drive in enumerate_drives().drives}


def test_a_mounted_loop_device_is_refused_until_it_is_released(bench):
    device = bench.loop(bench.image())
    bench.ext4(device)
    place = bench.folder / "with space"
    place.mkdir()
    bench.run("mount", device, str(place))
    try:
        used = usage(found(device))
        assert [mount.mountpoint for mount in used.mounts] == [str(place)]
        assert used.busy
        assert reasons(device) == {RefusalReason.MOUNTED}
    finally:
        bench.run("umount", str(place))
    assert reasons(device) == set()


def test_a_mounted_partition_refuses_the_whole_drive(bench):
    device = bench.loop(bench.image(), "--partscan")
    partition = bench.partition(device)
    bench.ext4(partition)
    assert reasons(device) == set(), "a filesystem that is not mounted is no reason"
    bench.mount(partition)
    assert [mount.device for mount in usage(found(device)).mounts] == [partition[5:]]
    assert reasons(device) == {RefusalReason.MOUNTED}


def test_swap_is_refused(bench):
    device = bench.loop(bench.image())
    bench.run("mkswap", device)
    if subprocess.run(["swapon", device], capture_output=True, check=False).returncode:
        pytest.skip("this kernel does not let us swap to a loop device")
    try:
        assert usage(found(device)).swaps == (device,)
        assert reasons(device) == {RefusalReason.SWAP}
    finally:
        bench.run("swapoff", device)
    assert reasons(device) == set()


def test_a_read_only_loop_device_is_refused(bench):
    assert reasons(bench.loop(bench.image(), "--read-only")) == {RefusalReason.READ_ONLY}


def test_a_loop_device_on_a_file_on_a_mounted_loop_device(bench):
    lower = bench.loop(bench.image())
    bench.ext4(lower)
    image = bench.mount(lower) / "inner.img"
    image.write_bytes(b"")
    os.truncate(image, 8 * MIB)
    upper = bench.loop(image)
    assert usage(found(lower)).holders == (Holder(HolderKind.LOOP, upper[5:]),)
    bench.ext4(upper)
    place = bench.mount(upper)
    assert str(place) in {mount.mountpoint for mount in usage(found(lower)).mounts}


def test_a_loop_device_straight_on_another_claims_nothing_but_is_seen(bench):
    lower = bench.loop(bench.image())
    upper = bench.loop(lower)
    used = usage(found(lower))
    assert used.holders == (Holder(HolderKind.LOOP, upper[5:]),)
    assert not used.busy
    assert reasons(lower) == {RefusalReason.HELD_BY_LOOP}


def test_every_member_of_a_btrfs_is_refused(bench):
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("mkfs.btrfs is not installed")
    devices = [bench.loop(bench.image(128)) for _ in range(2)]
    bench.run("mkfs.btrfs", "-q", "-f", "-d", "single", *devices)
    bench.run("btrfs", "device", "scan", *devices)
    bench.mount(devices[0], "btrfs")
    assert [reasons(device) for device in devices] == [{RefusalReason.MOUNTED}] * 2


def test_somebody_who_holds_it_exclusively_is_noticed(bench):
    device = bench.loop(bench.image())
    holder = os.open(device, os.O_RDWR | os.O_EXCL)
    try:
        assert reasons(device) == {RefusalReason.BUSY}
    finally:
        os.close(holder)


def test_a_file_under_a_mounted_loop_device_is_refused_as_a_virtual_drive(bench):
    image = bench.image()
    drive = describe_virtual(str(image))
    assert usage(drive) == Usage()
    device = bench.loop(image)
    bench.ext4(device)
    place = bench.mount(device)
    used = usage(drive)
    assert used.holders == (Holder(HolderKind.LOOP, device[5:]),)
    assert [mount.mountpoint for mount in used.mounts] == [str(place)]
    hard_link = image.with_name("other name.img")
    os.link(image, hard_link)
    assert usage(describe_virtual(str(hard_link))).holders == used.holders


def test_the_drive_behind_a_descriptor_is_the_one_whatever_its_name(bench):
    device = bench.loop(bench.image())
    drive = found(device)
    alias = bench.folder / "another name"
    os.mknod(alias, stat.S_IFBLK | 0o600, Path(device).stat().st_rdev)
    descriptor = os.open(alias, os.O_RDONLY)
    try:
        assert describe_open(descriptor) == drive
    finally:
        os.close(descriptor)


def test_another_disk_under_the_same_name_is_noticed(bench):
    device = bench.loop(bench.image())
    drive = found(device)
    bench.swap_backing(device, bench.image(32))
    assert "is not the drive any more" in usage(drive).unreadable[0]
    assert found(device).diskseq != drive.diskseq
    descriptor = os.open(device, os.O_RDONLY)
    try:
        assert describe_open(descriptor) == found(device) != drive
    finally:
        os.close(descriptor)


def test_only_whole_block_devices_are_described(bench):
    image = bench.image()
    device = bench.loop(image, "--partscan")
    paths = {str(image): "not a block device", bench.partition(device): "is a partition"}
    for path, sentence in paths.items():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with pytest.raises(UsageError, match=sentence):
                describe_open(descriptor)
        finally:
            os.close(descriptor)
