"""The MMC transport over a stand-in for the kernel's MMC block driver."""

import ctypes
import errno
import os
import struct
from dataclasses import dataclass, field

import pytest

from rasura_agent.drive.mmc.commands import send_ext_csd, send_status, switch_byte
from rasura_agent.drive.mmc.erase import (
    EraseArgument,
    SequencePort,
    erase_sequence,
    sanitize,
    sequence_outcome,
)
from rasura_agent.drive.port import Disposition, MmcCommand, NvmeCommand
from rasura_agent.drive.transport.mmc_ioctl import MmcIoctlTransport

# struct mmc_ioc_cmd, written down a second time.
LAYOUT = struct.Struct("<iiII4IIIIIIIIIQ")
READY = 0x900
DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN


@dataclass
class Kernel:
    """``drivers/mmc/core/block.c``: stops at the first command that fails, returns all responses."""

    responses: dict[int, int] = field(default_factory=dict)
    """R1 by opcode, READY where nothing is said."""
    fails: dict[int, int] = field(default_factory=dict)
    """errno by opcode: the command fails after its response came (which may be 0: none came)."""
    number: int = 0
    """errno for the whole ioctl, before anything is sent."""
    data: bytes = b""
    seen: list[tuple[int, ...]] = field(default_factory=list)
    sent: bytes = b""

    def __call__(self, fd: int, request: int, argument: bytearray | int, /) -> int:
        assert fd == 9
        assert isinstance(argument, bytearray)
        header = {0xC048B300: 0, 0xC008B301: 8}[request]
        count = int.from_bytes(argument[:8], "little") if header else 1
        assert len(argument) == header + count * 72
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        for number in range(count):
            offset = header + number * 72
            words = LAYOUT.unpack_from(argument, offset)
            self.seen.append(words)
            opcode, arg, blksz, blocks, pointer = words[2], words[3], words[9], words[10], words[16]
            if blksz * blocks:
                self.sent = ctypes.string_at(pointer, blksz * blocks)
                ctypes.memmove(pointer, self.data.ljust(blksz * blocks, b"\xee"), blksz * blocks)
            # The driver runs a sanitize itself and fills in no response.
            r1 = 0 if opcode == 6 and arg >> 16 & 0xFF == 165 else self.responses.get(opcode, READY)
            struct.pack_into("<4I", argument, offset + 16, r1, 0, 0, 0)
            if failure := self.fails.get(opcode):
                raise OSError(failure, os.strerror(failure))
        return 0


def _transport(kernel: Kernel) -> MmcIoctlTransport:
    moments = iter((1.0, 4.0))
    return MmcIoctlTransport(9, kernel, lambda: next(moments))


SEQUENCE = erase_sequence(0, 99, EraseArgument.SECURE_ERASE, rca=1, timeout_s=30)


def test_reading_a_register() -> None:
    kernel = Kernel(data=b"ext")
    completion = _transport(kernel).execute(send_ext_csd())
    assert completion.disposition is DONE
    assert completion.data == b"ext".ljust(512, b"\xee")
    assert (completion.mmc_response, completion.elapsed_s) == ((READY, 0, 0, 0), 3.0)
    (words,) = kernel.seen
    assert words[:4] == (0, 0, 8, 0)
    assert words[8:11] == (0xB5, 512, 1)
    assert words[14] == 15_000


def test_writing_data_and_application_commands() -> None:
    kernel = Kernel()
    command = MmcCommand("X", 56, 2, 0xB5, is_application=True, data_out=b"ab" * 512, timeout_s=1e12)
    assert _transport(kernel).execute(command).data == b""
    (words,) = kernel.seen
    assert words[:4] == (1, 1, 56, 2)
    assert words[9:11] == (512, 2)
    assert words[14] == 2**31 - 1
    assert kernel.sent == b"ab" * 512


@pytest.mark.parametrize(
    ("r1", "disposition"),
    [(READY, DONE), (READY | 1 << 28, REFUSED), (READY | 1 << 19, UNKNOWN), (0, UNKNOWN)],
)
def test_the_response_decides(r1: int, disposition: Disposition) -> None:
    command = MmcCommand("ERASE", 38, flags=0x49D)
    assert _transport(Kernel({38: r1})).execute(command).disposition is disposition


def test_a_status_with_errors_is_an_answer() -> None:
    # Its error bits are of the command before; sequence_outcome reads them.
    completion = _transport(Kernel({13: READY | 1 << 19})).execute(send_status(1))
    assert completion.disposition is DONE
    assert _transport(Kernel({13: 0})).execute(send_status(1)).disposition is UNKNOWN


def test_sanitize_is_run_by_the_kernel() -> None:
    assert _transport(Kernel()).execute(sanitize(timeout_s=1)).disposition is DONE
    assert (
        _transport(Kernel(fails={6: errno.EOPNOTSUPP})).execute(sanitize(timeout_s=1)).disposition is REFUSED
    )
    # On its time-out the kernel interrupts the operation.
    assert (
        _transport(Kernel(fails={6: errno.ETIMEDOUT})).execute(sanitize(timeout_s=1)).disposition is UNKNOWN
    )
    assert _transport(Kernel(fails={6: errno.EBADMSG})).execute(sanitize(timeout_s=1)).disposition is UNKNOWN


def test_no_other_switch_may_go_without_a_response() -> None:
    command = switch_byte("ERASE_GROUP_DEF", 175, 1, timeout_s=1)
    assert _transport(Kernel({6: 0})).execute(command).disposition is UNKNOWN


def test_data_that_came_with_an_error_is_not_returned() -> None:
    completion = _transport(Kernel(fails={8: errno.EILSEQ}, data=b"half")).execute(send_ext_csd())
    assert (completion.disposition, completion.data) == (UNKNOWN, b"")


@pytest.mark.parametrize(
    ("number", "disposition"),
    [
        (errno.EPERM, REFUSED),
        (errno.EINVAL, REFUSED),
        (errno.EOVERFLOW, REFUSED),
        (errno.ENOTTY, REFUSED),
        (errno.EIO, UNKNOWN),
        (errno.EFAULT, UNKNOWN),
        (errno.ENOMEDIUM, UNKNOWN),
        (errno.ETIMEDOUT, UNKNOWN),
    ],
)
def test_errors_of_the_kernel(number: int, disposition: Disposition) -> None:
    completion = _transport(Kernel(number=number)).execute(send_ext_csd())
    assert completion.disposition is disposition
    assert completion.mmc_response is None
    assert f"errno {number}" in completion.detail


def test_a_sequence_goes_in_one_piece() -> None:
    kernel = Kernel()
    port = _transport(kernel)
    assert isinstance(port, SequencePort)
    completions = port.execute_sequence(SEQUENCE)
    assert [words[2] for words in kernel.seen] == [35, 36, 38, 13]
    assert kernel.seen[2][14] == 30_000
    assert sequence_outcome(completions)[0] is DONE


@pytest.mark.parametrize(
    ("kernel", "outcome"),
    [
        (Kernel(number=errno.EPERM), REFUSED),
        (Kernel(number=errno.EIO), UNKNOWN),
        # Taken, and then the wait for its end timed out: it may have erased anything.
        (Kernel(fails={38: errno.ETIMEDOUT}), UNKNOWN),
        (Kernel({38: 0}, {38: errno.ETIMEDOUT}), UNKNOWN),
        (Kernel({38: 0}, {38: errno.EINVAL}), UNKNOWN),
        (Kernel({35: 0}, {35: errno.ETIMEDOUT}), UNKNOWN),
        (Kernel(fails={13: errno.EILSEQ}), UNKNOWN),
        (Kernel({13: 0}, {13: errno.EILSEQ}), UNKNOWN),
        (Kernel({36: READY | 1 << 31}), REFUSED),
        (Kernel({13: READY | 1 << 27}), REFUSED),
        (Kernel({13: READY | 1 << 15}), UNKNOWN),
        (Kernel({13: 0xE00}), UNKNOWN),
    ],
)
def test_sequences_that_go_wrong(kernel: Kernel, outcome: Disposition) -> None:
    completions = _transport(kernel).execute_sequence(SEQUENCE)
    assert len(completions) == 4
    assert sequence_outcome(completions)[0] is outcome


def test_what_comes_after_a_failure_was_not_sent() -> None:
    completions = _transport(Kernel({35: 0}, {35: errno.ETIMEDOUT})).execute_sequence(SEQUENCE)
    assert [c.disposition for c in completions] == [UNKNOWN, REFUSED, REFUSED, REFUSED]
    assert "not sent" in completions[3].detail


@pytest.mark.parametrize(
    "command",
    [
        NvmeCommand("IDENTIFY", 6),
        MmcCommand("X", 8, data_out=b"1" * 512, data_in_bytes=512),
        MmcCommand("X", 8, data_in_bytes=511),
        MmcCommand("X", 8, data_in_bytes=512, block_bytes=0),
        MmcCommand("X", 18, data_in_bytes=512 * 1025),
        MmcCommand("X", 8, arg=1 << 32),
    ],
)
def test_what_is_no_mmc_command_never_reaches_the_kernel(command: NvmeCommand | MmcCommand) -> None:
    kernel = Kernel()
    assert _transport(kernel).execute(command).disposition is REFUSED
    assert not kernel.seen


def test_sequences_of_impossible_length() -> None:
    kernel = Kernel()
    assert _transport(kernel).execute_sequence([]) == ()
    assert {c.disposition for c in _transport(kernel).execute_sequence([send_status(1)] * 256)} == {REFUSED}
    assert not kernel.seen
