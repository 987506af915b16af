"""MMC commands through the kernel (``linux/mmc/ioctl.h``), one at a time or as an unbroken sequence."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from collections.abc import Callable, Sequence
from itertools import repeat

from msgspec.structs import replace

from rasura_agent.drive.mmc.commands import Opcode
from rasura_agent.drive.mmc.erase import EXT_CSD_SANITIZE_START
from rasura_agent.drive.mmc.status import accepted
from rasura_agent.drive.port import Command, Completion, Disposition, MmcCommand
from rasura_agent.drive.transport.block_ioctl import Ioctl, system_ioctl

__all__ = ["MmcIoctlTransport"]

MMC_IOC_CMD = 0xC048_B300
"""_IOWR(MMC_BLOCK_MAJOR, 0, struct mmc_ioc_cmd), with the major number 179."""
MMC_IOC_MULTI_CMD = 0xC008_B301
"""_IOWR(MMC_BLOCK_MAJOR, 1, struct mmc_ioc_multi_cmd), which counts as its 8 bytes without the array."""
MMC_IOC_MAX_BYTES = 512 * 1024
MMC_IOC_MAX_CMDS = 255

IOC_CMD = struct.Struct("=iiII4I8IQ")
"""``struct mmc_ioc_cmd``: write_flag, is_acmd, opcode, arg, response[4], flags, blksz, blocks,
postsleep_min_us, postsleep_max_us, data_timeout_ns, cmd_timeout_ms, padding, data_ptr."""

_LONGEST_TIMEOUT_MS = 2**31 - 1
_COUNT = struct.Struct("=Q")
_RESPONSE = struct.Struct("=4I")
_RESPONSE_OFFSET = 16

_REFUSED = {
    errno.EPERM: "the kernel wants CAP_SYS_RAWIO and the whole device, not a partition",
    errno.EINVAL: "the kernel rejected the request",
    errno.EOVERFLOW: "more data than the kernel moves in one command",
    errno.EOPNOTSUPP: "the device doesn't have it",
    errno.ENOTTY: "the descriptor is not an MMC device",
    errno.EBADF: "the descriptor is closed",
}
"""What the kernel answers instead of sending the command."""

_WORDS = {
    errno.ETIMEDOUT: "no response in time; it may go on inside",
    errno.EILSEQ: "the response came damaged",
    errno.EBADMSG: "the device reported a switch error",
    errno.ENOMEDIUM: "the device is gone",
    errno.ENODEV: "the device is gone",
}


class MmcIoctlTransport:
    """A :class:`~rasura_agent.drive.port.DrivePort` over a descriptor of a whole MMC block device.

    ``DONE`` means that the device took the command; the R1 is in ``mmc_response``. Errors that
    appear while a command runs are in the next SEND_STATUS (``drive.mmc.status.completed``). The
    kernel switches to the hardware partition of the descriptor by itself: boot0 has its own.
    """

    def __init__(
        self, fd: int, ioctl: Ioctl = system_ioctl, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fd = fd
        self._ioctl = ioctl
        self._monotonic = monotonic

    def execute(self, command: Command) -> Completion:
        """Send one command and wait for its end."""
        if not isinstance(command, MmcCommand):
            return Completion(Disposition.REFUSED, f"{command.name}: not an MMC command")
        return self._send([command], MMC_IOC_CMD, 0)[0]

    def execute_sequence(self, commands: Sequence[MmcCommand]) -> tuple[Completion, ...]:
        """Send commands with nothing in between, up to the first that fails; one completion each.

        A command that was not sent because an earlier one failed is ``REFUSED``. ``elapsed_s`` is
        the time of the whole sequence.
        """
        if not 0 < len(commands) <= MMC_IOC_MAX_CMDS:
            words = f"the kernel takes 1 to {MMC_IOC_MAX_CMDS} commands at once, not {len(commands)}"
            return tuple(Completion(Disposition.REFUSED, f"{c.name}: {words}") for c in commands)
        return self._send(commands, MMC_IOC_MULTI_CMD, _COUNT.size)

    def _send(self, commands: Sequence[MmcCommand], request: int, header: int) -> tuple[Completion, ...]:
        for command in commands:
            if problem := _problem(command):
                return tuple(
                    Completion(Disposition.REFUSED, f"{c.name}: not sent, {problem}") for c in commands
                )
        buffers = [_buffer(command) for command in commands]
        packed = bytearray(_COUNT.pack(len(commands))[:header])
        try:
            for command, buffer in zip(commands, buffers, strict=True):
                packed += _pack(command, buffer)
        except struct.error as error:
            return tuple(Completion(Disposition.REFUSED, f"{c.name}: not sent, {error}") for c in commands)
        start = self._monotonic()
        failure: OSError | None = None
        try:
            self._ioctl(self._fd, request, packed)
        except OSError as error:
            failure = error
        elapsed = self._monotonic() - start
        responses = [
            _RESPONSE.unpack_from(packed, header + number * IOC_CMD.size + _RESPONSE_OFFSET)
            for number in range(len(commands))
        ]
        if failure is None:
            return tuple(map(_completed, commands, responses, buffers, repeat(elapsed)))
        answered = next((number for number, r in enumerate(responses) if not any(r)), len(responses))
        # The one that failed is the last that answered (its data, or the wait for its end) or the
        # first that did not: neither can be trusted.
        known = [*map(_completed, commands[:answered], responses, buffers, repeat(elapsed))]
        if known and known[-1].disposition is Disposition.DONE:
            words = f"{known[-1].detail}, then {failure.strerror} (errno {failure.errno})"
            known[-1] = replace(known[-1], disposition=Disposition.UNKNOWN, detail=words, data=b"")
        return (
            *known,
            *(_not_completed(c, failure, elapsed) for c in commands[answered : answered + 1]),
            *(_not_sent(c, elapsed) for c in commands[answered + 1 :]),
        )


def _problem(command: MmcCommand) -> str | None:
    length = len(command.data_out) or command.data_in_bytes
    if command.data_out and command.data_in_bytes:
        return f"{command.name} moves data in both directions"
    if length and (command.block_bytes <= 0 or length % command.block_bytes):
        return f"{length} bytes are no whole number of blocks of {command.block_bytes}"
    if length > MMC_IOC_MAX_BYTES:
        return f"{length} bytes are more than the kernel moves at once"
    return None


_Buffer = ctypes.Array[ctypes.c_char]


def _buffer(command: MmcCommand) -> _Buffer | None:
    length = len(command.data_out) or command.data_in_bytes
    return ctypes.create_string_buffer(command.data_out, length) if length else None


def _pack(command: MmcCommand, buffer: _Buffer | None) -> bytes:
    blocks = len(buffer) // command.block_bytes if buffer else 0
    return IOC_CMD.pack(
        command.write or bool(command.data_out),
        command.is_application,
        command.opcode,
        command.arg,
        0,
        0,
        0,
        0,
        command.flags,
        command.block_bytes if blocks else 0,
        blocks,
        0,
        0,
        0,
        # 0 would be the kernel's own time-out, and above INT_MAX there would be none at all.
        round(min(max(1, command.timeout_s * 1000), _LONGEST_TIMEOUT_MS)),
        0,
        ctypes.addressof(buffer) if buffer else 0,
    )


def _not_completed(command: MmcCommand, error: OSError, elapsed_s: float) -> Completion:
    number = error.errno or 0
    if number in _REFUSED:
        disposition, words = Disposition.REFUSED, _REFUSED[number]
    else:
        disposition, words = Disposition.UNKNOWN, _WORDS.get(number, "no response came back")
    detail = f"{command.name}: {words} ({error.strerror}, errno {number})"
    return Completion(disposition, detail, elapsed_s=elapsed_s)


def _not_sent(command: MmcCommand, elapsed_s: float) -> Completion:
    words = f"{command.name}: not sent, because of the command before it"
    return Completion(Disposition.REFUSED, words, elapsed_s=elapsed_s)


def _completed(
    command: MmcCommand, response: tuple[int, int, int, int], buffer: _Buffer | None, elapsed_s: float
) -> Completion:
    if command.opcode == Opcode.SEND_STATUS and response[0]:
        # Its error bits are about the command before it.
        disposition, words = Disposition.DONE, f"R1 {response[0]:08X}h"
    elif _run_by_kernel(command) and not response[0]:
        disposition, words = Disposition.DONE, "the kernel ran it to its end and checked the status"
    else:
        disposition, words = accepted(response[0])
    return Completion(
        disposition,
        f"{command.name}: {words}",
        data=buffer.raw if buffer and command.data_in_bytes and disposition is Disposition.DONE else b"",
        elapsed_s=elapsed_s,
        mmc_response=response,
    )


def _run_by_kernel(command: MmcCommand) -> bool:
    # drivers/mmc/core/block.c replaces this one CMD6 by mmc_sanitize(), which waits, checks the
    # device status and fills in no response.
    return command.opcode == Opcode.SWITCH and command.arg >> 16 & 0xFF == EXT_CSD_SANITIZE_START
