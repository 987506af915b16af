"""SCSI and ATA commands to one drive through the SG_IO ioctl, interface version 3 (``scsi/sg.h``).

The drive is opened by its block device, not by its ``sg`` node: there the kernel waits for a command
without letting a signal interrupt it, so that no command is ever sent twice. It is opened without
O_EXCL, for the exclusive claim is the block port's, and a second O_EXCL open of the same drive fails
with EBUSY even in the same process. O_NONBLOCK lets a drive be opened that is not ready, such as one
in the middle of a sanitize.

How an ATA command ended is judged from its registers (``drive/ata/passthrough``). Two things are
added here: trouble on the way is UNKNOWN whatever registers came along, and a path that refuses the
pass-through itself (a bridge that doesn't know the CDB) is REFUSED, but only for commands that change
nothing when they are aborted: some translators report an aborted command in the same words.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import msgspec

from rasura.errors import RefusedError
from rasura_agent.drive.ata.passthrough import (
    ABORT_MEANS_REFUSED,
    ata_pass_through_16,
    completion_from_ata,
    detail_from_ata,
    result_from_sense,
)
from rasura_agent.drive.port import AtaCommand, Command, Completion, Disposition, ScsiCommand
from rasura_agent.drive.scsi.disposition import judge, transport_problem
from rasura_agent.drive.scsi.sense import parse_sense

__all__ = ["SENSE_BYTES", "SG_IO", "SgIoHeader", "SgIoIoctl", "SgIoTransport", "kernel_ioctl"]

SG_IO = 0x2285
"""The ioctl's request number."""

SENSE_BYTES = 252
"""Room for sense data, as much as the standard allows; Linux keeps 96 bytes of it."""

_INTERFACE_ID = ord("S")
_SG_DXFER_NONE = -1
_SG_DXFER_TO_DEV = -2
_SG_DXFER_FROM_DEV = -3
_LONGEST_CDB = 16
_SHORTEST_CDB = 6

# msecs_to_jiffies() takes anything above INT_MAX for "no time-out at all".
_LONGEST_TIMEOUT_MS = 2**31 - 1

_NEVER_SENT = frozenset(
    {errno.EPERM, errno.EACCES, errno.EBADF, errno.EINVAL, errno.EMSGSIZE, errno.ENOTTY, errno.ENOSYS}
)
"""Errors with which the kernel turns a command away before the drive can see it (``scsi_ioctl.c``).

Not EFAULT, EIO, ENOMEM and ENODEV: they may also come when the command is over.
"""


class SgIoHeader(ctypes.Structure):
    """``struct sg_io_hdr`` of ``scsi/sg.h``."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


class SgIoIoctl(Protocol):
    """The SG_IO ioctl: fills in what ``header`` has and points to for output, or raises ``OSError``."""

    def __call__(self, descriptor: int, header: SgIoHeader) -> None:
        """Send the command in ``header`` to the drive behind ``descriptor`` and wait for its end."""
        ...


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
_libc.ioctl.restype = ctypes.c_int


def kernel_ioctl(descriptor: int, header: SgIoHeader) -> None:
    """The real SG_IO.

    By ctypes and not by ``fcntl``, which from Python 3.14 on repeats an interrupted ioctl: a command
    must not be sent twice. ctypes lets other threads run, so one slow drive delays no other.
    """
    if _libc.ioctl(descriptor, SG_IO, ctypes.byref(header)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class _Answer(msgspec.Struct, frozen=True):
    """What the kernel wrote about a command that it carried to some end."""

    scsi_status: int
    sense: bytes
    problem: str | None
    untransferred: int
    received: bytes
    elapsed_s: float

    @property
    def data(self) -> bytes:
        return self.received[: max(0, len(self.received) - self.untransferred)]


class SgIoTransport:
    """A :class:`~rasura_agent.drive.port.DrivePort` over SG_IO, for one thread at a time.

    ``descriptor`` is an open block device; whoever opened it closes it. :meth:`open` makes a
    transport with a descriptor of its own. ``wrap_ata`` makes the pass-through of an ATA command,
    by default ATA PASS-THROUGH (16).
    """

    def __init__(
        self,
        descriptor: int,
        *,
        wrap_ata: Callable[[AtaCommand], ScsiCommand] = ata_pass_through_16,
        ioctl: SgIoIoctl = kernel_ioctl,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor = descriptor
        self._wrap_ata = wrap_ata
        self._ioctl = ioctl
        self._monotonic = monotonic
        self._owned = False

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the drive at ``path``; close it with :meth:`close` or a ``with`` block.

        Raises:
            RefusedError: the kernel does not let us, with what to do next.
        """
        try:
            transport = cls(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            hints = {
                errno.EACCES: "commands to a drive need root",
                errno.EPERM: "commands to a drive need root",
                errno.EROFS: "it is read-only: release its write-protect switch",
                errno.ENOENT: "it is gone: check its cable",
                errno.ENXIO: "it is gone: check its cable",
                errno.ENOMEDIUM: "there is no medium in it",
            }
            raise RefusedError(
                f"cannot open {path} for commands: {error.strerror}", hint=hints.get(error.errno or 0)
            ) from None
        transport._owned = True
        return transport

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor if it is the transport's own; again and again if you like."""
        if self._owned:
            self._owned = False
            os.close(self._descriptor)

    def execute(self, command: Command) -> Completion:
        """Send a SCSI or ATA command, and wait for its end or its time-out.

        Commands of another family are REFUSED: this path carries none. An ATA command that cannot
        be encoded raises ``AtaEncodeError``.
        """
        if isinstance(command, ScsiCommand):
            answer = self._send(command)
            return answer if isinstance(answer, Completion) else _complete_scsi(command, answer)
        if isinstance(command, AtaCommand):
            answer = self._send(self._wrap_ata(command))
            return answer if isinstance(answer, Completion) else _complete_ata(command, answer)
        family = type(command).__name__
        return Completion(Disposition.REFUSED, f"{command.name}: SG_IO carries no {family}; it was not sent")

    def _send(self, command: ScsiCommand) -> _Answer | Completion:
        """The drive's answer, or the completion of a command that the kernel did not carry to its end."""
        if problem := _unsendable(command):
            return Completion(Disposition.REFUSED, f"{command.name}: {problem}; it was not sent")
        cdb = ctypes.create_string_buffer(command.cdb, len(command.cdb))
        sense = ctypes.create_string_buffer(SENSE_BYTES)
        length = len(command.data_out) or command.data_in_bytes
        data = ctypes.create_string_buffer(command.data_out, length) if length else None
        header = SgIoHeader(
            interface_id=_INTERFACE_ID,
            dxfer_direction=_direction(command),
            cmd_len=len(command.cdb),
            mx_sb_len=SENSE_BYTES,
            dxfer_len=length,
            dxferp=ctypes.addressof(data) if data is not None else None,
            cmdp=ctypes.addressof(cdb),
            sbp=ctypes.addressof(sense),
            timeout=_milliseconds(command.timeout_s),
        )
        start = self._monotonic()
        try:
            self._ioctl(self._descriptor, header)
        except OSError as error:
            return _not_carried(error, self._monotonic() - start)
        return _Answer(
            scsi_status=header.status,
            sense=sense.raw[: header.sb_len_wr],
            problem=_problem(header),
            untransferred=header.resid,
            received=b"" if data is None or command.data_out else data.raw,
            elapsed_s=self._monotonic() - start,
        )


def _unsendable(command: ScsiCommand) -> str | None:
    if not _SHORTEST_CDB <= len(command.cdb) <= _LONGEST_CDB:
        return f"SG_IO carries no CDB of {len(command.cdb)} bytes"
    if command.data_out and command.data_in_bytes:
        return "SG_IO carries data one way only"
    return None


def _direction(command: ScsiCommand) -> int:
    if command.data_out:
        return _SG_DXFER_TO_DEV
    return _SG_DXFER_FROM_DEV if command.data_in_bytes else _SG_DXFER_NONE


def _milliseconds(timeout_s: float) -> int:
    """The kernel's time-out, at least 1: it takes 0 for its own default."""
    if not timeout_s < _LONGEST_TIMEOUT_MS / 1000:
        return _LONGEST_TIMEOUT_MS
    return max(1, math.ceil(timeout_s * 1000))


def _not_carried(error: OSError, elapsed_s: float) -> Completion:
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    words = f"SG_IO failed with {name} ({error.strerror})"
    if error.errno in _NEVER_SENT:
        return Completion(Disposition.REFUSED, f"{words}: the kernel did not send it", elapsed_s=elapsed_s)
    return Completion(
        Disposition.UNKNOWN, f"{words}: whether the drive saw it is not known", elapsed_s=elapsed_s
    )


def _problem(header: SgIoHeader) -> str | None:
    """Why the header says nothing reliable about the drive, ``None`` when it does."""
    if problem := transport_problem(header.host_status, header.driver_status):
        return problem
    # masked_status is the status byte without its lowest bit and the vendor's bits (scsi/sg.h).
    if header.status >> 1 & 0x1F != header.masked_status & 0x1F:
        return f"transport: status {header.status:02X}h, masked status {header.masked_status:02X}h"
    if not 0 <= header.resid <= header.dxfer_len:
        return f"transport: {header.resid} of {header.dxfer_len} bytes are said not to be transferred"
    return None


def _complete_scsi(command: ScsiCommand, answer: _Answer) -> Completion:
    sense = parse_sense(answer.sense)
    verdict = judge(answer.scsi_status, sense)
    disposition, detail = verdict.disposition, verdict.detail
    if answer.problem:
        disposition, detail = Disposition.UNKNOWN, answer.problem
    elif disposition is Disposition.DONE and command.data_out and answer.untransferred:
        left = f"{answer.untransferred} of {len(command.data_out)} bytes were not taken"
        disposition, detail = Disposition.UNKNOWN, f"{detail}; {left}"
    return Completion(
        disposition,
        detail,
        data=answer.data if disposition is Disposition.DONE else b"",
        elapsed_s=answer.elapsed_s,
        scsi_status=answer.scsi_status,
        sense=sense,
    )


def _complete_ata(command: AtaCommand, answer: _Answer) -> Completion:
    sense = parse_sense(answer.sense)
    result = None if answer.problem else result_from_sense(command, answer.sense)
    disposition = completion_from_ata(result, command, answer.scsi_status)
    detail = detail_from_ata(result, command, answer.scsi_status)
    if answer.problem:
        disposition, detail = Disposition.UNKNOWN, answer.problem
    elif result is None and disposition is not Disposition.DONE:
        verdict = judge(answer.scsi_status, sense)
        detail = f"{detail}; {verdict.detail}"
        if verdict.disposition is Disposition.REFUSED and command.command in ABORT_MEANS_REFUSED:
            disposition = Disposition.REFUSED
    return Completion(
        disposition,
        detail,
        data=answer.data if disposition is Disposition.DONE else b"",
        elapsed_s=answer.elapsed_s,
        scsi_status=answer.scsi_status,
        sense=sense,
        ata=result,
    )
