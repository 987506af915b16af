"""The NVMe transport over a stand-in for the kernel, which reads the structure and its memory."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable

import pytest

from rasura_agent.drive.nvme.format import SecureEraseSettings, format_nvm
from rasura_agent.drive.nvme.identify import identify_controller
from rasura_agent.drive.nvme.security import security_send
from rasura_agent.drive.port import Disposition, MmcCommand, NvmeCommand
from rasura_agent.drive.transport.nvme_ioctl import NvmeIoctlTransport

# struct nvme_passthru_cmd, written down a second time.
LAYOUT = struct.Struct("<BBHIIIQQIIIIIIIIII")
ADMIN_CMD, ID = 0xC0484E41, 0x4E40


class Kernel:
    """Takes one admin command apart and ends it as a test says."""

    def __init__(self, status: int = 0, *, number: int = 0, answer: bytes = b"", result: int = 0) -> None:
        self.status, self.number, self.answer, self.result = status, number, answer, result
        self.seen: list[tuple[int, ...]] = []
        self.sent = b""

    def __call__(self, fd: int, request: int, argument: bytearray | int, /) -> int:
        assert fd == 5
        if request == ID:
            assert argument == 0
            return self._end()
        assert request == ADMIN_CMD
        assert isinstance(argument, bytearray)
        words = LAYOUT.unpack(argument)
        self.seen.append(words)
        address, length = words[7], words[9]
        if length:
            self.sent = ctypes.string_at(address, length)
            ctypes.memmove(address, self.answer.ljust(length, b"\xee"), length)
        self._end()
        argument[-4:] = self.result.to_bytes(4, "little")
        return self.status

    def _end(self) -> int:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return self.status


def _ticking() -> Callable[[], float]:
    moments = iter((10.0, 12.5))
    return lambda: next(moments)


def _transport(kernel: Kernel) -> NvmeIoctlTransport:
    return NvmeIoctlTransport(5, kernel, _ticking())


def test_a_command_with_data_in() -> None:
    kernel = Kernel(answer=b"page", result=0x1234)
    completion = _transport(kernel).execute(identify_controller())
    assert completion.disposition is Disposition.DONE
    assert completion.data == b"page".ljust(4096, b"\xee")
    assert (completion.nvme_status, completion.nvme_result, completion.elapsed_s) == (0, 0x1234, 2.5)
    ((opcode, flags, _, nsid, cdw2, cdw3, metadata, _, metadata_len, length, *rest),) = kernel.seen
    assert (opcode, flags, nsid, cdw2, cdw3, metadata, metadata_len, length) == (6, 0, 0, 0, 0, 0, 0, 4096)
    assert rest == [1, 0, 0, 0, 0, 0, 15_000, 0]
    assert kernel.sent == bytes(4096)


def test_every_dword_arrives() -> None:
    kernel = Kernel()
    _transport(kernel).execute(NvmeCommand("X", 0xC1, 7, 10, 11, 12, 13, 14, 15, timeout_s=0.0001))
    (words,) = kernel.seen
    assert words[0] == 0xC1
    assert words[3] == 7
    # No data, no address; and never the time-out 0, which is the kernel's own.
    assert words[7:10] == (0, 0, 0)
    assert words[10:] == (10, 11, 12, 13, 14, 15, 1, 0)


def test_data_out_is_sent_and_not_returned() -> None:
    kernel = Kernel()
    completion = _transport(kernel).execute(security_send(1, 4, b"token"))
    assert kernel.sent == b"token"
    assert completion.data == b""


@pytest.mark.parametrize("seconds", [3e6, 1e12, float("inf")])
def test_a_long_timeout_does_not_become_none(seconds: float) -> None:
    kernel = Kernel()
    ses = SecureEraseSettings.USER_DATA_ERASE
    _transport(kernel).execute(format_nvm(1, ses=ses, lbaf=0, mset=False, pi=0, pil=False, timeout_s=seconds))
    assert kernel.seen[0][16] == 2**31 - 1


@pytest.mark.parametrize(
    ("status", "disposition", "words"),
    [
        (0x4001, Disposition.REFUSED, "Invalid Command Opcode (status 4001h), do not retry"),
        (0x001D, Disposition.UNKNOWN, "Sanitize In Progress (status 001Dh)"),
        (0x0371, Disposition.UNKNOWN, "Command Aborted By Host"),
        (0x0007, Disposition.UNKNOWN, "Command Abort Requested"),
        (0x07C1, Disposition.UNKNOWN, "status code type 7h"),
    ],
)
def test_a_status_that_is_not_success_brings_no_data(
    status: int, disposition: Disposition, words: str
) -> None:
    completion = _transport(Kernel(status, answer=b"garbage")).execute(identify_controller())
    assert (completion.disposition, completion.nvme_status, completion.data) == (disposition, status, b"")
    assert words in completion.detail
    assert "IDENTIFY CONTROLLER" in completion.detail


@pytest.mark.parametrize(
    ("number", "disposition"),
    [
        (errno.EACCES, Disposition.REFUSED),
        (errno.EPERM, Disposition.REFUSED),
        (errno.ENOTTY, Disposition.REFUSED),
        (errno.EINVAL, Disposition.REFUSED),
        (errno.EOPNOTSUPP, Disposition.REFUSED),
        (errno.EINTR, Disposition.UNKNOWN),
        (errno.EIO, Disposition.UNKNOWN),
        (errno.EFAULT, Disposition.UNKNOWN),
        (errno.ENODEV, Disposition.UNKNOWN),
        (errno.ETIMEDOUT, Disposition.UNKNOWN),
        (errno.ENOMEM, Disposition.UNKNOWN),
        (errno.EBUSY, Disposition.UNKNOWN),
        (999, Disposition.UNKNOWN),
    ],
)
def test_errors_of_the_kernel(number: int, disposition: Disposition) -> None:
    completion = _transport(Kernel(number=number, answer=b"garbage")).execute(identify_controller())
    assert completion.disposition is disposition
    assert (completion.nvme_status, completion.nvme_result, completion.data) == (None, None, b"")
    assert f"errno {number}" in completion.detail
    assert completion.elapsed_s == 2.5


@pytest.mark.parametrize(
    "command",
    [
        MmcCommand("SEND_STATUS", 13),
        NvmeCommand("X", 6, data_out=b"1", data_in_bytes=1),
        NvmeCommand("X", 6, cdw10=1 << 32),
        NvmeCommand("X", 256),
    ],
)
def test_what_is_no_nvme_command_never_reaches_the_kernel(command: NvmeCommand | MmcCommand) -> None:
    kernel = Kernel()
    assert _transport(kernel).execute(command).disposition is Disposition.REFUSED
    assert not kernel.seen


def test_the_namespace_is_asked_of_the_kernel() -> None:
    assert _transport(Kernel(3)).namespace_id() == 3
    assert _transport(Kernel(-2)).namespace_id() == 0xFFFFFFFE
    assert _transport(Kernel(number=errno.ENOTTY)).namespace_id() is None
    assert _transport(Kernel(number=errno.EINVAL)).namespace_id() is None
    with pytest.raises(OSError, match="No such device"):
        _transport(Kernel(number=errno.ENODEV)).namespace_id()
