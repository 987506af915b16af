"""NVMe admin commands through the kernel's pass-through (``linux/nvme_ioctl.h``)."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from collections.abc import Callable

from rasura_agent.drive.nvme.status import meaning
from rasura_agent.drive.port import Command, Completion, Disposition, NvmeCommand
from rasura_agent.drive.transport.block_ioctl import Ioctl, system_ioctl

__all__ = ["NvmeIoctlTransport"]

NVME_IOCTL_ID = 0x4E40
"""_IO('N', 0x40): the NSID of the namespace behind the descriptor."""
NVME_IOCTL_ADMIN_CMD = 0xC048_4E41
"""_IOWR('N', 0x41, struct nvme_passthru_cmd). All our commands return 32 bits, so ADMIN64 is not needed."""

PASSTHRU = struct.Struct("=BBHIIIQQ10I")
"""``struct nvme_passthru_cmd``: opcode, flags, rsvd1, nsid, cdw2, cdw3, metadata, addr, metadata_len,
data_len, cdw10 to cdw15, timeout_ms, result."""

_LONGEST_TIMEOUT_MS = 2**31 - 1
_RESULT = slice(PASSTHRU.size - 4, PASSTHRU.size)
_STATUS = 0x7FFF

_REFUSED = {
    errno.EACCES: "the kernel keeps this command to the administrator (CAP_SYS_ADMIN)",
    errno.EPERM: "the kernel forbids this command",
    errno.ENOTTY: "the descriptor is not an NVMe device",
    errno.EINVAL: "the kernel rejected the request",
    errno.EBADF: "the descriptor is closed",
    errno.EOPNOTSUPP: "the driver doesn't pass this command on",
}
"""What the kernel answers before it queues anything. EFAULT is not among them: it can come after."""

_WORDS = {
    errno.EINTR: "the kernel cancelled the command (its time-out passed, or the controller was reset)",
    errno.ETIMEDOUT: "the time-out passed",
    errno.ENODEV: "the drive is gone",
    errno.ENXIO: "the drive is gone",
}


class NvmeIoctlTransport:
    """A :class:`~rasura_agent.drive.port.DrivePort` over a descriptor of a namespace or a controller.

    The descriptor stays the caller's: it is neither opened nor closed here. The controller is
    the one the kernel chooses for it, never one guessed from the digits of a name.
    """

    def __init__(
        self, fd: int, ioctl: Ioctl = system_ioctl, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fd = fd
        self._ioctl = ioctl
        self._monotonic = monotonic

    def namespace_id(self) -> int | None:
        """The NSID of the namespace behind the descriptor, ``None`` where it is no NVMe namespace.

        Raises ``OSError`` for anything else.
        """
        try:
            # The ioctl returns an int; an NSID has 32 bits without a sign.
            return self._ioctl(self._fd, NVME_IOCTL_ID, 0) & 0xFFFF_FFFF
        except OSError as error:
            # ENOTTY from a controller; other drivers answer an ioctl they don't know with either.
            if error.errno in {errno.ENOTTY, errno.EINVAL}:
                return None
            raise

    def execute(self, command: Command) -> Completion:
        """Send one admin command and wait. ``data`` is filled only where the status is success."""
        if not isinstance(command, NvmeCommand):
            return Completion(Disposition.REFUSED, f"{command.name}: not an NVMe command")
        if command.data_out and command.data_in_bytes:
            return Completion(Disposition.REFUSED, f"{command.name}: NVMe moves data in one direction only")
        length = len(command.data_out) or command.data_in_bytes
        data = ctypes.create_string_buffer(command.data_out, length) if length else None
        try:
            packed = bytearray(_pack(command, ctypes.addressof(data) if data else 0, length))
        except struct.error as error:
            return Completion(Disposition.REFUSED, f"{command.name}: not a command, {error}")
        start = self._monotonic()
        try:
            status = self._ioctl(self._fd, NVME_IOCTL_ADMIN_CMD, packed)
        except OSError as error:
            return _not_completed(command, error, self._monotonic() - start)
        elapsed = self._monotonic() - start
        known = meaning(status)
        words = f"{command.name}: {known.name} (status {status & _STATUS:04X}h)"
        return Completion(
            known.disposition,
            f"{words}, do not retry" if known.do_not_retry else words,
            data=data.raw if data and command.data_in_bytes and status == 0 else b"",
            elapsed_s=elapsed,
            nvme_status=status & _STATUS,
            nvme_result=int.from_bytes(packed[_RESULT], "little"),
        )


def _pack(command: NvmeCommand, address: int, length: int) -> bytes:
    # 0 would be the kernel's own time-out of a minute, and above INT_MAX there would be none at all.
    timeout_ms = round(min(max(1, command.timeout_s * 1000), _LONGEST_TIMEOUT_MS))
    return PASSTHRU.pack(
        command.opcode,
        0,
        0,
        command.nsid,
        0,
        0,
        0,
        address,
        0,
        length,
        command.cdw10,
        command.cdw11,
        command.cdw12,
        command.cdw13,
        command.cdw14,
        command.cdw15,
        timeout_ms,
        0,
    )


def _not_completed(command: NvmeCommand, error: OSError, elapsed_s: float) -> Completion:
    number = error.errno or 0
    if number in _REFUSED:
        disposition, words = Disposition.REFUSED, _REFUSED[number]
    else:
        disposition, words = Disposition.UNKNOWN, _WORDS.get(number, "no status came back")
    return Completion(
        disposition, f"{command.name}: {words} ({error.strerror}, errno {number})", elapsed_s=elapsed_s
    )
