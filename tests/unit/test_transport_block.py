"""The block layer's ioctls over a stand-in for the kernel, and the real ioctl where it changes nothing."""

import errno
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rasura_agent.drive.mmc.commands import send_ext_csd
from rasura_agent.drive.nvme.identify import identify_controller
from rasura_agent.drive.port import Disposition
from rasura_agent.drive.tcg.psid import parse_psid
from rasura_agent.drive.transport.block_ioctl import (
    BlockResult,
    discard,
    disk_sequence,
    flush,
    is_read_only,
    logical_sector_bytes,
    physical_sector_bytes,
    psid_revert,
    secure_discard,
    size_bytes,
    system_ioctl,
    zero_out,
)
from rasura_agent.drive.transport.mmc_ioctl import MmcIoctlTransport
from rasura_agent.drive.transport.nvme_ioctl import NvmeIoctlTransport

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
PSID = parse_psid("VUJ8K2TTQ0L5D7XW1N4CH9RZ6M3BPAGE")


class Kernel:
    """Answers one ioctl."""

    def __init__(self, answer: bytes = b"", *, number: int = 0, result: int = 0) -> None:
        self.answer, self.number, self.result = answer, number, result
        self.seen: list[tuple[int, bytes]] = []

    def __call__(self, fd: int, request: int, argument: bytearray | int, /) -> int:
        assert fd == 4
        assert isinstance(argument, bytearray)
        self.seen.append((request, bytes(argument)))
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        argument[: len(self.answer)] = self.answer
        return self.result


def test_facts() -> None:
    assert size_bytes(4, Kernel(struct.pack("<Q", 2**63 + 512))) == 2**63 + 512
    assert logical_sector_bytes(4, Kernel(struct.pack("<i", 512))) == 512
    assert physical_sector_bytes(4, Kernel(struct.pack("<I", 4096))) == 4096
    assert is_read_only(4, Kernel(struct.pack("<i", 1)))
    assert not is_read_only(4, Kernel(struct.pack("<i", 0)))
    assert disk_sequence(4, Kernel(struct.pack("<Q", 17))) == 17


def test_an_old_kernel_has_no_disk_sequence() -> None:
    assert disk_sequence(4, Kernel(number=errno.ENOTTY)) is None
    with pytest.raises(OSError, match="Input/output"):
        disk_sequence(4, Kernel(number=errno.EIO))
    with pytest.raises(OSError, match="Inappropriate"):
        size_bytes(4, Kernel(number=errno.ENOTTY))


@pytest.mark.parametrize(
    ("operation", "request_number"), [(discard, 0x1277), (secure_discard, 0x127D), (zero_out, 0x127F)]
)
def test_operations_on_a_range(operation: Callable[..., BlockResult], request_number: int) -> None:
    kernel = Kernel()
    assert operation(4, 512, 1 << 40, kernel).disposition is DONE
    assert kernel.seen == [(request_number, struct.pack("<QQ", 512, 1 << 40))]
    for number in (errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EROFS, errno.EBUSY, errno.ENOTTY):
        result = operation(4, 0, 512, Kernel(number=number))
        assert result.disposition is REFUSED
        assert f"errno {number}" in result.detail
    for number in (
        errno.EIO,
        errno.ENOSPC,
        errno.EREMOTEIO,
        errno.ENODEV,
        errno.EINTR,
        errno.ETIMEDOUT,
        errno.EFAULT,
    ):
        assert operation(4, 0, 512, Kernel(number=number)).disposition is UNKNOWN


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 0), (0, -1), (1 << 64, 1), (0, 1 << 64)])
def test_ranges_that_are_none(offset: int, length: int) -> None:
    kernel = Kernel()
    assert discard(4, offset, length, kernel).disposition is REFUSED
    assert not kernel.seen


def test_flush() -> None:
    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    assert flush(4, lambda fd: None).disposition is DONE
    assert flush(4, failing) == BlockResult(UNKNOWN, "flush: Input/output error (errno 5)")


@pytest.mark.parametrize(
    ("kernel", "disposition"),
    [
        (Kernel(), DONE),
        (Kernel(result=0x01), REFUSED),
        (Kernel(result=0x12), REFUSED),
        (Kernel(result=0x04), UNKNOWN),
        (Kernel(result=0x0F), UNKNOWN),
        (Kernel(result=0x3F), UNKNOWN),
        (Kernel(result=99), UNKNOWN),
        (Kernel(number=errno.EACCES), REFUSED),
        (Kernel(number=errno.EOPNOTSUPP), REFUSED),
        (Kernel(number=524), REFUSED),
        (Kernel(number=errno.ENOTTY), REFUSED),
        (Kernel(number=errno.EIO), UNKNOWN),
        (Kernel(number=errno.ETIMEDOUT), UNKNOWN),
    ],
)
def test_psid_revert(kernel: Kernel, disposition: Disposition) -> None:
    assert psid_revert(4, PSID, kernel).disposition is disposition
    ((request, raw),) = kernel.seen
    assert request == 0x410870E8
    assert raw[:40] == b"\0\x20" + bytes(6) + PSID.value.encode()
    assert len(raw) == 264


def test_the_real_ioctl() -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Inappropriate ioctl") as caught:
            system_ioctl(descriptor, 0x80081272, bytearray(8))
        assert caught.value.errno == errno.ENOTTY
        assert discard(descriptor, 0, 512).disposition is REFUSED
    finally:
        os.close(descriptor)
    reader, writer = os.pipe()
    try:
        os.write(writer, b"twelve bytes")
        waiting = bytearray(4)
        # FIONREAD, so that something is really written into the buffer.
        assert system_ioctl(reader, 0x541B, waiting) == 0
        assert int.from_bytes(waiting, "little") == 12
    finally:
        os.close(reader)
        os.close(writer)


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a loop device over four zero-filled megabytes."""
    image = tmp_path / "image"
    image.write_bytes(bytes(4 << 20))
    made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    name = made.stdout.strip()
    try:
        descriptor = os.open(name, os.O_RDWR)
        yield descriptor
        os.close(descriptor)
    finally:
        subprocess.run(["losetup", "-d", name], check=True)


@pytest.mark.root
def test_a_real_block_device(loop_device: int) -> None:
    assert size_bytes(loop_device) == 4 << 20
    assert logical_sector_bytes(loop_device) == 512
    assert physical_sector_bytes(loop_device) >= 512
    assert not is_read_only(loop_device)
    sequence = disk_sequence(loop_device)
    assert sequence is None or sequence > 0
    os.pwrite(loop_device, b"x" * 8192, 0)
    assert flush(loop_device).disposition is DONE
    assert zero_out(loop_device, 0, 4096).disposition is DONE
    assert os.pread(loop_device, 8192, 0) == bytes(4096) + b"x" * 4096
    assert zero_out(loop_device, 1, 512).disposition is REFUSED
    assert zero_out(loop_device, 4 << 20, 512).disposition is REFUSED
    assert secure_discard(loop_device, 0, 512).disposition is REFUSED
    assert discard(loop_device, 4096, 4096).disposition in {DONE, REFUSED}
    assert psid_revert(loop_device, PSID).disposition is REFUSED


@pytest.mark.root
def test_a_block_device_that_is_neither_nvme_nor_mmc(loop_device: int) -> None:
    nvme = NvmeIoctlTransport(loop_device)
    assert nvme.namespace_id() is None
    assert nvme.execute(identify_controller()).disposition is REFUSED
    assert MmcIoctlTransport(loop_device).execute(send_ext_csd()).disposition is REFUSED
